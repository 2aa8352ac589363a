"""Does the best learning rate of small models carry over to large ones? Its drift with size, its law, the verdict.

The law is the line of :mod:`scalefit.transfer.drift`; the measured drift is reported without theory's part in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from scalefit.answers import Shown, alike, as_lines, interval
from scalefit.errors import IdentificationError, InputError
from scalefit.notices import Line, doubted
from scalefit.numerics import FloatArray
from scalefit.runs import Runs
from scalefit.runs.settings import UNKNOWN, said
from scalefit.transfer.bounds import held_in
from scalefit.transfer.drift import EXPECTED, drift_line, interval_of, with_theory
from scalefit.transfer.optimum import DRAWS, Optimum, best_lr
from scalefit.transfer.reach import far_beyond, refuse_target
from scalefit.transfer.sensitivity import sensitivities
from scalefit.transfer.sweeps import Sweeps, read_sweeps
from scalefit.transfer.verdict import Interval, apart, verdict_of

LEAST_DRAWS = 5
ALONE = "all"  #: the name of the only arm, where nothing is compared
NOTHING = Interval(np.nan, np.nan, np.nan)
FORMS = {"lr": ".3g", "low": ".3g", "high": ".3g", "log2_lr": ".2f", "loss": ".5g", "lr_sensitivity": ".3f"}


@dataclass(frozen=True, eq=False, repr=False)
class Arm(Shown):
    """One parametrisation, or another thing that is compared: its optima, their drift and law."""

    name: str
    optima: dict[float, Optimum]  #: by size
    drift: Interval  #: measured, octaves per doubling of the size; NaN with fewer than two optima
    law_drift: Interval  #: of the law, which includes theory
    expected: tuple[float, float] | None  #: the drift that theory expects, with its spread; None where it has no part
    height: FloatArray  #: (1 + draws,) log2 of the optimum at ``origin``: the fit, then its draws
    slope: FloatArray  #: (1 + draws,) octaves per doubling
    origin: float  #: size
    verdict: str
    contradicts: str = ""  #: why theory was left out of the law
    broken: tuple[float, ...] = ()  #: sizes without an optimum, through whose gaps the law does not pass
    over: str = "size"  #: the column of the size

    def at(self, size: float) -> Interval:
        """The best learning rate at a size, by the law. Raises InputError for a size that is not above 0."""
        refuse_target(size)
        logs = self.height + self.slope * np.log2(size / self.origin)
        return interval_of(logs, np.exp2)

    @property
    def found(self) -> dict[float, Optimum]:
        """The optima that were not refused."""
        return {size: best for size, best in self.optima.items() if not best.refused}

    @property
    def outside(self) -> list[str]:
        """Why the law is wrong at sizes whose optimum must lie in another place."""
        lines = []
        for size in self.broken:
            low, high = self.optima[size].within
            side, end = ("above", low) if np.isfinite(low) else ("below", high)
            law = f"the law gives the learning rate {self.at(size).value:.3g} at {self.over} {size:g}"
            todo = "extend the learning rates there before you use the law"
            lines.append(f"{self.prefix}{law}, where the best one lies {side} {2**end:.3g}: {todo}")
        return lines

    @property
    def prefix(self) -> str:
        """The name as the beginning of a line, where there are others to tell it from."""
        return "" if self.name == ALONE else f"{self.name}: "

    def told(self, target: float | None = None) -> list[str]:
        """For a target size the best learning rate there; the verdict, the drift, and theory's part in the law."""
        lines = [f"{self.prefix}{self.verdict}"]
        if np.isnan(self.drift.value):
            return lines
        if target is not None:
            at = f"{self.prefix}best learning rate at {self.over} {target:g}: {interval(self.at(target))}"
            lines = [at, f"  {self.verdict}"]
        lines.append(f"  drift {interval(self.drift, '+.2f')} octaves (factors of 2) per doubling of {self.over}")
        if self.expected is not None:
            theory = f"theory's {self.expected[0]:+g} ± {self.expected[1]:g}: {self.law_drift.value:+.2f}"
            lines.append(f"  the law combines the measured drift with {theory} (--measured-only leaves theory out)")
        return lines

    @property
    def lines(self) -> list[Line]:
        """What is said, line by line."""
        return [*self.told()]


@dataclass(frozen=True, eq=False, repr=False)
class Transfer(Shown):
    """What :func:`lr_transfer` found."""

    sweeps: Sweeps
    arms: tuple[Arm, ...]
    table: pd.DataFrame  #: one row per arm and size
    target: float | None
    notes: tuple[str, ...]

    def __getitem__(self, arm: str) -> Arm:
        """An arm by its name."""
        for each in self.arms:
            if each.name == arm:
                return each
        raise InputError(f'no arm "{arm}"', todo=f"arms: {', '.join(each.name for each in self.arms)}")

    @property
    def far(self) -> dict[str, str]:
        """Arm -> why the target is too far beyond the sizes of its optima; arms near enough are left out."""
        if self.target is None:
            return {}
        why = {arm.name: far_beyond(self.sweeps.over, list(arm.found), self.target) for arm in self.arms if arm.found}
        return {name: each for name, each in why.items() if each}

    @property
    def doubts(self) -> list[str]:
        """Reasons not to trust the answer: a target too far, a law that contradicts a size, an optimum or a sweep in
        doubt. ``notes`` has the last two as well, beside what only tells how the answer came about.
        """
        far = list(dict.fromkeys(self.far.values())) if len(self.far) == len(self.arms) else alike(self.far)
        outside = [line for arm in self.arms for line in arm.outside]
        own = [doubt for arm in self.arms for doubt in _of_each(arm, lambda best: best.doubts)]
        return [*far, *outside, *self.sweeps.doubts, *own]

    @property
    def ok(self) -> bool:
        """Whether there are no doubts."""
        return not self.doubts

    @property
    def lines(self) -> list[Line]:
        """What is said, line by line."""
        shown = self.table.drop(columns=["refused", "interval_from"]).rename(columns={"size": self.sweeps.over})
        if self.arms[0].name == ALONE:
            shown = shown.drop(columns="arm")
        for name, form in FORMS.items():
            shown[name] = [format(value, form) if value == value else "-" for value in shown[name]]
        lines = [line for arm in self.arms for line in (*arm.told(self.target), "")]
        lines += [*said(self.sweeps.settings), "", "optimum of each size, with its 90 % interval:", as_lines(shown, 5)]
        refused = self.table[self.table["refused"] != ""]
        where = [
            f"{self.sweeps.over} {size:g}" if arm == ALONE else f"{arm}, {self.sweeps.over} {size:g}"
            for arm, size in zip(refused["arm"], refused["size"], strict=True)
        ]
        missing = alike(dict(zip(where, refused["refused"], strict=True)))
        counts = [note for note in self.notes if note not in self.doubts]
        return [*lines, *doubted(self.doubts), *(f"no optimum at {line}" for line in missing), *counts]


def lr_transfer(
    runs: Runs | pd.DataFrame | Sweeps,
    over: str | None = None,
    arms: str | None = None,
    target: float | None = None,
    initial_loss: float | None = None,
    theory: bool = True,
    draws: int = DRAWS,
    seed: int = 0,
    ignore: Sequence[str] = (),
) -> Transfer:
    """The best learning rate at each size, its drift, and its law for a target size.

    ``runs``: logs with columns of size, learning rate and final loss; ``over``, ``arms``, ``initial_loss``, ``ignore``:
    see :func:`scalefit.transfer.read_sweeps`. With ``theory=False`` the law follows the measured drift alone. All
    intervals are of 90 %. Raises InputError where settings are mixed, IdentificationError where no size has a minimum
    inside its grid.

    >>> grid = [(w, lr, 2 * np.exp(0.02 * np.log2(lr * w) ** 2)) for w in (64, 128) for lr in 2.0 ** np.arange(-10, -3)]
    >>> found = lr_transfer(pd.DataFrame(grid, columns=["width", "lr", "loss"]), target=256)
    >>> round(found["all"].drift.value, 3), round(float(np.log2(found["all"].at(256).value)), 3)
    (-1.0, -8.0)
    """
    if target is not None:
        refuse_target(target)
    if draws < LEAST_DRAWS:
        raise InputError(f"{draws} draws are too few for intervals", todo="give some hundreds")
    sweeps = runs if isinstance(runs, Sweeps) else read_sweeps(runs, over, arms, initial_loss, ignore)
    optima = {
        name: {size: _optimum(sweeps, name, size, draws, [seed, i]) for i, size in enumerate(sweeps.sizes(name))}
        for name in sweeps.names
    }
    if all(best.refused for each in optima.values() for best in each.values()):
        size, best = next(iter(next(iter(optima.values())).items()))
        why = "no size has a minimum inside its grid"
        raise IdentificationError(why, where=f"{sweeps.over} {size:g}", todo=best.refused)
    found = tuple(_arm(sweeps, name, each, theory, seed) for name, each in optima.items())
    costs, notes = sensitivities(sweeps, optima)
    table = _table(found, costs)
    return Transfer(sweeps, found, table, target, (*sweeps.notes, *_remarks(found), *notes))


def _optimum(sweeps: Sweeps, arm: str, size: float, draws: int, seed: list[int]) -> Optimum:
    """The optimum of one size; each size has its own random numbers."""
    cell = sweeps.cell(arm, size)
    try:
        lr, loss, seeds = cell["lr"].to_numpy(float), cell["loss"].to_numpy(float), cell["seed"].to_numpy(str)
        return best_lr(lr, loss, seeds, draws, seed, sweeps.initial_loss)
    except InputError as error:
        return Optimum(np.nan, np.nan, np.nan, np.nan, np.array([]), refused=str(error))


def _remarks(arms: tuple[Arm, ...]) -> list[str]:
    """How optima came about, why one may be wrong, and why theory was left out of a law."""
    notes = []
    for arm in arms:
        notes += _of_each(arm, _of_one)
        notes += [f"{arm.name}: {arm.contradicts}"] * bool(arm.contradicts)
    return notes


def _of_one(best: Optimum) -> list[str]:
    count = "1 run jumps" if best.left_out == 1 else f"{best.left_out} runs jump"
    jumps = f"{count} far above the neighbouring losses: left out of the curve as diverged"
    return [*[jumps] * bool(best.left_out), *best.notes, *best.doubts]


def _of_each(arm: Arm, said: Callable[[Optimum], Sequence[str]]) -> list[str]:
    """What is said of the optimum of each size, with the arm and the size before it."""
    return [f"{arm.name}, {arm.over} {size:g}: {each}" for size, best in arm.optima.items() for each in said(best)]


def _arm(sweeps: Sweeps, name: str, optima: dict[float, Optimum], theory: bool, seed: int) -> Arm:
    found = {size: best for size, best in optima.items() if not best.refused}
    bounds = {size: best.within for size, best in optima.items() if best.refused}
    if not found:
        empty, verdict = np.array([np.nan]), f"no optimum: {next(iter(optima.values())).refused}"
        return Arm(name, optima, NOTHING, NOTHING, None, empty, empty, np.nan, verdict, over=sweeps.over)
    sizes = np.array(list(found))
    origin = float(np.exp2(np.mean(np.log2(sizes))))
    height, slope = drift_line(np.log2(sizes / origin), np.array([[b.log2, *b.draws] for b in found.values()]), seed)
    gaps = np.log2([[size / origin] for size in bounds]).ravel(), np.array(list(bounds.values())).reshape(-1, 2), seed
    drift = interval_of(held_in(height, slope, *gaps)[1]) if len(sizes) > 1 else NOTHING
    along = sweeps.along(name)
    expected = _expected(sweeps, name) if theory and not along else None
    height, slope, contradicts = with_theory(height, slope, expected, seed, _measured(found, origin))
    height, slope, broken = held_in(height, slope, *gaps)
    beyond = apart({size: best.log2 for size, best in found.items()}, bounds)
    verdict = verdict_of(name, sweeps.over, drift, sizes, beyond, along)
    expected, law_drift = None if contradicts else expected, interval_of(slope)
    return Arm(
        name, optima, drift, law_drift, expected, height, slope, origin, verdict, contradicts,
        tuple(size for size, wrong in zip(bounds, broken, strict=True) if wrong), sweeps.over,
    )  # fmt: skip


def _expected(sweeps: Sweeps, arm: str) -> tuple[float, float] | None:
    """The drift that theory expects of an arm, which it does for Adam alone; None where there is none."""
    rule = sweeps.settings.get("optimizer", UNKNOWN).lower()
    known = rule == UNKNOWN or "adam" in rule
    return EXPECTED.get((arm.lower().replace("_", "-"), sweeps.over)) if known else None


def _measured(found: dict[float, Optimum], origin: float) -> FloatArray:
    """Octaves of the size, and of the ends of the interval of its optimum, (n, 3)."""
    return np.log2([[size / origin, best.low, best.high] for size, best in found.items()])


def _table(arms: tuple[Arm, ...], sensitivities: dict[tuple[str, float], float]) -> pd.DataFrame:
    rows = [
        {
            "arm": arm.name, "size": size, "lr": best.lr, "low": best.low, "high": best.high, "log2_lr": best.log2,
            "loss": best.loss, "lr_sensitivity": sensitivities[arm.name, size],
            "interval_from": best.how, "refused": best.refused,
        }
        for arm in arms
        for size, best in arm.optima.items()
    ]  # fmt: skip
    return pd.DataFrame(rows)
