"""Does the best learning rate of small models carry over to large ones? Its drift with size, its law, the verdict.

    log2 lr*(size) = a + drift log2(size)

The measured drift is told without theory's part in the law (:mod:`scalefit.transfer.drift`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from scalefit.errors import IdentificationError, InputError
from scalefit.numerics import FloatArray
from scalefit.runs import Runs
from scalefit.transfer.drift import EXPECTED, drift_line, interval_of, with_theory
from scalefit.transfer.optimum import Optimum, best_lr
from scalefit.transfer.reach import far_beyond, refuse_target
from scalefit.transfer.sensitivity import lr_sensitivity
from scalefit.transfer.sweeps import Sweeps, read_sweeps
from scalefit.transfer.verdict import Interval, apart, verdict_of

LEAST_DRAWS = 5


@dataclass(frozen=True, eq=False)
class Arm:
    """One parametrisation, or whatever is compared: its optima, their drift and law."""

    name: str
    optima: dict[float, Optimum]  #: by size
    drift: Interval  #: measured, octaves per doubling of the size; NaN with fewer than two optima
    law_drift: Interval  #: of the law, with theory's share
    expected: tuple[float, float] | None  #: what theory added, None for nothing
    height: FloatArray  #: (1 + draws,) log2 of the optimum at ``origin``: the fit, then its draws
    slope: FloatArray  #: (1 + draws,) octaves per doubling
    origin: float  #: size
    verdict: str
    contradicts: str = ""  #: why theory has no part in the law, where it would have had one

    def at(self, size: float) -> Interval:
        """The best learning rate at a size, by the law. Raises InputError for a size that is not above 0."""
        refuse_target(size)
        logs = self.height + self.slope * np.log2(size / self.origin)
        return interval_of(logs, np.exp2)

    @property
    def found(self) -> dict[float, Optimum]:
        """The optima that were not refused."""
        return {size: best for size, best in self.optima.items() if not best.refused}


@dataclass(frozen=True, eq=False)
class Transfer:
    """What :func:`lr_transfer` found."""

    sweeps: Sweeps
    arms: tuple[Arm, ...]
    table: pd.DataFrame  #: one row an arm and size
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
        """Arm -> why the target is too far beyond the sizes of its optima; arms that are near enough are left out."""
        if self.target is None:
            return {}
        said = {arm.name: far_beyond(self.sweeps.over, list(arm.found), self.target) for arm in self.arms if arm.found}
        return {name: why for name, why in said.items() if why}


def lr_transfer(
    runs: Runs | pd.DataFrame | Sweeps,
    over: str | None = None,
    arms: str | None = None,
    target: float | None = None,
    initial_loss: float | None = None,
    theory: bool = True,
    draws: int = 300,
    seed: int = 0,
    ignore: Sequence[str] = (),
) -> Transfer:
    """The best learning rate at each size, its drift, and its law for a target size.

    ``runs``: logs with columns of size, learning rate and final loss; ``over``, ``arms``, ``initial_loss``, ``ignore``:
    see :func:`scalefit.stability.read_sweeps`. ``theory=False`` keeps the law to the measured drift. Intervals hold
    90 %. Raises InputError where settings are mixed, IdentificationError where no size has a minimum inside its grid.

    >>> grid = [(w, lr, 2 * np.exp(0.02 * np.log2(lr * w) ** 2)) for w in (64, 128) for lr in 2.0 ** np.arange(-10, -3)]
    >>> found = lr_transfer(pd.DataFrame(grid, columns=["width", "lr", "loss"]), target=256)
    >>> round(found["all"].drift.value, 3), round(float(np.log2(found["all"].at(256).value)), 3)
    (-1.0, -8.0)
    """
    if target is not None:
        refuse_target(target)
    if draws < LEAST_DRAWS:
        raise InputError(f"{draws} draws", todo="give some hundreds: the intervals are made of them")
    sweeps = runs if isinstance(runs, Sweeps) else read_sweeps(runs, over, arms, initial_loss, ignore)
    optima: dict[str, dict[float, Optimum]] = {}
    for name in sweeps.names:
        sizes = sweeps.sizes(name)
        optima[name] = {size: _optimum(sweeps, name, size, draws, [seed, i]) for i, size in enumerate(sizes)}
    if not any(not best.refused for each in optima.values() for best in each.values()):
        size, best = next(iter(next(iter(optima.values())).items()))
        raise IdentificationError(
            "no size has a minimum inside its grid", where=f"{sweeps.over} {size:g}", todo=best.refused
        )
    found = tuple(_arm(sweeps, name, each, theory, seed) for name, each in optima.items())
    sensitivities, notes = _sensitivities(sweeps, optima)
    notes = [*_doubts(sweeps, found), *notes]
    return Transfer(sweeps, found, _table(found, sensitivities), target, (*sweeps.notes, *notes))


def backtest_transfer(runs: Runs | pd.DataFrame | Sweeps, **options: object) -> pd.DataFrame:
    """The law of the smaller sizes, judged at the largest: one row an arm.

    ``regret`` is the loss at the predicted learning rate over the least loss, minus 1; the losses between the measured
    learning rates are interpolated (monotone cubic in log lr, means over seeds). The least of several noisy means is
    too low by about ``noise`` (:func:`seed_noise`). ``options`` as in :func:`lr_transfer`.
    """
    asked = {name: options.pop(name) for name in ("over", "arms", "initial_loss", "ignore") if name in options}
    sweeps = runs if isinstance(runs, Sweeps) else read_sweeps(runs, **asked)  # type: ignore[arg-type]
    largest = max(size for name in sweeps.names for size in sweeps.sizes(name))
    if all(len(sweeps.sizes(name)) < 2 for name in sweeps.names):
        raise IdentificationError(f"one {sweeps.over} can not be predicted from others", todo="add a sweep at another")
    earlier = lr_transfer(sweeps.below(largest), **options)  # type: ignore[arg-type]
    rows = []
    for arm in earlier.arms:
        held = sweeps.cell(arm.name, largest)
        if not len(held) or not np.isfinite(arm.height[0]):
            continue
        predicted = arm.at(largest)
        rows.append(
            {
                "arm": arm.name, sweeps.over: largest, "lr": predicted.value, "low": predicted.low,
                "high": predicted.high, "regret": regret(held, predicted.value), "noise": seed_noise(held),
                "least_at": float(str(held.groupby("lr")["loss"].mean().idxmin())),
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def regret(cell: pd.DataFrame, lr: float) -> float:
    """Loss at a learning rate over the least loss of a sweep, minus 1; NaN outside the learning rates tried."""
    from scipy.interpolate import PchipInterpolator

    means = cell.groupby("lr")["loss"].mean().dropna()
    curve = PchipInterpolator(np.log2(means.index.to_numpy(float)), means.to_numpy(), extrapolate=False)
    return float(curve(np.log2(lr)) / means.min() - 1)


def seed_noise(cell: pd.DataFrame) -> float:
    """Standard error of the difference between the mean losses of two learning rates, relative to the loss.

    From the four best learning rates that all seeds have, without what a seed adds to all of them; NaN for one seed.
    """
    losses = cell.pivot_table(index="lr", columns="seed", values="loss").dropna()
    losses = losses.loc[losses.mean(axis=1).nsmallest(4).index]
    rates, seeds = losses.shape
    if seeds < 2 or rates < 2:
        return float("nan")
    left = losses.sub(losses.mean(axis=1), axis=0) - losses.mean() + losses.to_numpy().mean()
    variance = float((left**2).to_numpy().sum()) / ((rates - 1) * (seeds - 1))
    return float(np.sqrt(2 * variance / seeds) / losses.mean(axis=1).min())


def _optimum(sweeps: Sweeps, arm: str, size: float, draws: int, seed: list[int]) -> Optimum:
    """The optimum of one size; each size has random numbers of its own."""
    cell = sweeps.cell(arm, size)
    try:
        lr, loss, seeds = cell["lr"].to_numpy(float), cell["loss"].to_numpy(float), cell["seed"].to_numpy(str)
        return best_lr(lr, loss, seeds, draws, seed, sweeps.initial_loss)
    except InputError as error:
        return Optimum(np.nan, np.nan, np.nan, np.nan, np.array([]), refused=str(error))


def _doubts(sweeps: Sweeps, arms: tuple[Arm, ...]) -> list[str]:
    """What speaks against an optimum that was found, such as runs left out; and theory that was left out of a law."""
    notes = []
    for arm in arms:
        for size, best in arm.optima.items():
            where = f"{arm.name}, {sweeps.over} {size:g}"
            if best.left_out:
                count = "1 run jumps" if best.left_out == 1 else f"{best.left_out} runs jump"
                notes.append(f"{where}: {count} far above the losses beside: left out of the curve as diverged")
            notes += [f"{where}: {doubt}" for doubt in best.doubts]
        if arm.contradicts:
            notes.append(f"{arm.name}: {arm.contradicts}")
    return notes


def _arm(sweeps: Sweeps, name: str, optima: dict[float, Optimum], theory: bool, seed: int) -> Arm:
    found = {size: best for size, best in optima.items() if not best.refused}
    bounds = {size: best.within for size, best in optima.items() if best.refused}
    nothing = Interval(np.nan, np.nan, np.nan)
    if not found:
        empty = np.array([np.nan])
        words = f"no optimum: {next(iter(optima.values())).refused}"
        return Arm(name, optima, nothing, nothing, None, empty, empty, np.nan, words)
    sizes = np.array(list(found))
    origin = float(np.exp2(np.mean(np.log2(sizes))))
    x = np.log2(sizes / origin)
    y = np.array([[best.log2, *best.draws] for best in found.values()])
    height, slope = drift_line(x, y, seed)
    drift = interval_of(slope) if len(sizes) > 1 else nothing
    expected = EXPECTED.get((name.lower().replace("_", "-"), sweeps.over)) if theory else None
    height, slope, contradicts = with_theory(height, slope, expected, seed)
    measured = {size: best.log2 for size, best in found.items()}
    verdict = verdict_of(name, sweeps.over, drift, sizes, apart(measured, bounds))
    expected = None if contradicts else expected
    return Arm(name, optima, drift, interval_of(slope), expected, height, slope, origin, verdict, contradicts)


def _sensitivities(
    sweeps: Sweeps, optima: dict[str, dict[float, Optimum]]
) -> tuple[dict[tuple[str, float], float], list[str]]:
    """Learning-rate sensitivity by arm and size, on the learning rates that all of them share."""
    cells = {
        (arm, size): _without(sweeps.cell(arm, size), best.stray)
        for arm, each in optima.items()
        for size, best in each.items()
    }
    grids = [set(cell["lr"]) for cell in cells.values()]
    shared = set.intersection(*grids)
    if len(shared) < 3:
        return dict.fromkeys(cells, float("nan")), ["LR sensitivity: the grids share fewer than three learning rates"]
    notes = []
    if any(grid != shared for grid in grids):
        notes.append(f"LR sensitivity: over the {len(shared)} learning rates that all sizes share")
    found = {}
    for key, cell in cells.items():
        same = cell[cell["lr"].isin(shared)]
        # a seed that diverged counts as the initial loss before the mean over seeds, as the definition has it
        start = sweeps.initial_loss
        capped = same["loss"].fillna(start).clip(upper=start if np.isfinite(start) else None)
        means = capped.groupby(same["lr"]).mean().to_numpy()
        found[key] = lr_sensitivity(means) if np.isfinite(means).all() else float("nan")
    if any(not np.isfinite(value) for value in found.values()):
        notes.append("LR sensitivity: runs diverged and the initial loss is not known: give it (ln vocabulary)")
    elif not np.isfinite(sweeps.initial_loss):
        notes.append("LR sensitivity: no loss is capped, as the initial loss is not known")
    return found, notes


def _without(cell: pd.DataFrame, stray: tuple[tuple[float, float], ...]) -> pd.DataFrame:
    """The runs of a cell but those that were left out as far off."""
    for lr, loss in stray:
        cell = cell[~(np.isclose(cell["lr"], lr, rtol=1e-5) & np.isclose(cell["loss"], loss, rtol=1e-9))]
    return cell


def _table(arms: tuple[Arm, ...], sensitivities: dict[tuple[str, float], float]) -> pd.DataFrame:
    rows = []
    for arm in arms:
        for size, best in arm.optima.items():
            rows.append(
                {
                    "arm": arm.name, "size": size, "lr": best.lr, "low": best.low, "high": best.high,
                    "log2_lr": best.log2, "loss": best.loss, "lr_sensitivity": sensitivities[arm.name, size],
                    "interval_from": best.how, "refused": best.refused,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)
