"""Does the best learning rate of small models carry over to large ones? Its drift with size, its law, the verdict.

    log2 lr*(size) = a + drift log2(size)

by least squares over the optima of the sizes, each weighted by its interval. Where theory says what the drift is (over
width, in a known parametrisation), the law leans on it as on one more measurement; the measured drift is told without.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from scalefit.errors import IdentificationError, InputError
from scalefit.numerics import FloatArray
from scalefit.runs import Runs
from scalefit.stability.optimum import LEVEL, Optimum, best_lr
from scalefit.stability.reach import far_beyond, refuse_target
from scalefit.stability.sensitivity import lr_sensitivity
from scalefit.stability.sweeps import Sweeps, read_sweeps
from scalefit.stability.verdict import Interval, verdict_of

#: (arm, size): drift in octaves per doubling that theory expects for Adam, and how far measured ones stray from it
EXPECTED = {
    ("sp", "d_model"): (-1.0, 0.4),
    ("mup", "d_model"): (0.0, 0.2),
    ("depth-mup", "d_model"): (0.0, 0.2),
    ("completep", "d_model"): (0.0, 0.2),
}
NORMAL_90 = 1.6448536269514722
LEAST_ERROR = 0.05  #: octaves, of an optimum


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

    def at(self, size: float) -> Interval:
        """The best learning rate at a size, by the law. Raises InputError for a size that is not above 0."""
        refuse_target(size)
        logs = self.height + self.slope * np.log2(size / self.origin)
        return _interval(logs, np.exp2)

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
) -> Transfer:
    """The best learning rate at each size, its drift, and its law for a target size.

    ``runs``: logs with columns of size, learning rate and final loss; ``over``, ``arms``, ``initial_loss``: see
    :func:`scalefit.stability.read_sweeps`. ``theory=False`` keeps the law to the measured drift. Intervals hold 90 %.
    Raises InputError where settings are mixed, IdentificationError where no size has a minimum inside its grid.

    >>> grid = [(w, lr, 2 * np.exp(0.02 * np.log2(lr * w) ** 2)) for w in (64, 128) for lr in 2.0 ** np.arange(-10, -3)]
    >>> found = lr_transfer(pd.DataFrame(grid, columns=["width", "lr", "loss"]), target=256)
    >>> round(found["all"].drift.value, 3), round(float(np.log2(found["all"].at(256).value)), 3)
    (-1.0, -8.0)
    """
    if target is not None:
        refuse_target(target)
    sweeps = runs if isinstance(runs, Sweeps) else read_sweeps(runs, over, arms, initial_loss)
    optima: dict[str, dict[float, Optimum]] = {}
    for name in sweeps.names:
        optima[name] = {size: _optimum(sweeps, name, size, draws, seed) for size in sweeps.sizes(name)}
    if not any(not best.refused for each in optima.values() for best in each.values()):
        size, best = next(iter(next(iter(optima.values())).items()))
        raise IdentificationError(
            "no size has a minimum inside its grid", where=f"{sweeps.over} {size:g}", todo=best.refused
        )
    found = tuple(_arm(sweeps, name, each, theory, seed) for name, each in optima.items())
    sensitivities, notes = _sensitivities(sweeps)
    notes = [*_doubts(sweeps, found), *notes]
    return Transfer(sweeps, found, _table(found, sensitivities), target, (*sweeps.notes, *notes))


def backtest_transfer(runs: Runs | pd.DataFrame | Sweeps, **options: object) -> pd.DataFrame:
    """The law of the smaller sizes, judged at the largest: one row an arm.

    ``regret`` is the loss at the predicted learning rate over the least loss, minus 1; the losses between the measured
    learning rates are interpolated (monotone cubic in log lr, means over seeds). The least of several noisy means is
    too low by about ``noise``, the standard error of a mean, relative to the loss (NaN for one seed). ``options`` as in
    :func:`lr_transfer`.
    """
    asked = {name: options.pop(name, None) for name in ("over", "arms", "initial_loss")}
    sweeps = runs if isinstance(runs, Sweeps) else read_sweeps(runs, **asked)  # type: ignore[arg-type]
    largest = max(size for name in sweeps.names for size in sweeps.sizes(name))
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
    """Standard error of the mean loss over seeds, pooled over the four best learning rates, relative to the loss."""
    groups = cell.groupby("lr")["loss"]
    best = groups.mean().nsmallest(4).index
    return float(np.sqrt((groups.var() / groups.count())[best].mean()) / groups.mean().min())


def _optimum(sweeps: Sweeps, arm: str, size: float, draws: int, seed: int) -> Optimum:
    cell = sweeps.cell(arm, size)
    try:
        lr, loss, seeds = cell["lr"].to_numpy(float), cell["loss"].to_numpy(float), cell["seed"].to_numpy(str)
        return best_lr(lr, loss, seeds, draws, seed, sweeps.initial_loss)
    except InputError as error:
        return Optimum(np.nan, np.nan, np.nan, np.nan, np.array([]), refused=str(error))


def _doubts(sweeps: Sweeps, arms: tuple[Arm, ...]) -> list[str]:
    """What speaks against an optimum that was found: runs left out beyond a cliff, a minimum far below the losses."""
    notes = []
    for arm in arms:
        for size, best in arm.optima.items():
            where = f"{arm.name}, {sweeps.over} {size:g}"
            if best.left_out:
                count = "1 run jumps" if best.left_out == 1 else f"{best.left_out} runs jump"
                notes.append(f"{where}: {count} far above the losses beside: left out of the curve as diverged")
            if best.doubt:
                notes.append(f"{where}: {best.doubt}")
    return notes


def _arm(sweeps: Sweeps, name: str, optima: dict[float, Optimum], theory: bool, seed: int) -> Arm:
    found = {size: best for size, best in optima.items() if not best.refused}
    nothing = Interval(np.nan, np.nan, np.nan)
    if not found:
        empty = np.array([np.nan])
        words = f"no optimum: {next(iter(optima.values())).refused}"
        return Arm(name, optima, nothing, nothing, None, empty, empty, np.nan, words)
    sizes = np.array(list(found))
    origin = float(np.exp2(np.mean(np.log2(sizes))))
    x = np.log2(sizes / origin)
    y = np.array([[best.log2, *best.draws] for best in found.values()])
    error = np.maximum(y[:, 1:].std(axis=1), LEAST_ERROR)
    expected = EXPECTED.get((name.lower().replace("_", "-"), sweeps.over)) if theory else None
    measured = _line(x, y, error, None, seed)
    height, slope = _line(x, y, error, expected, seed)
    drift = _interval(measured[1]) if len(sizes) > 1 else nothing
    verdict = verdict_of(name, sweeps.over, drift, sizes)
    return Arm(name, optima, drift, _interval(slope), expected, height, slope, origin, verdict)


def _line(
    x: FloatArray, y: FloatArray, error: FloatArray, expected: tuple[float, float] | None, seed: int
) -> tuple[FloatArray, FloatArray]:
    """Height and slope (octaves per doubling) of the weighted line through each column of ``y``, (1 + draws,) each.

    Where the optima lie further from the line than their own errors say, the draws are spread to match.
    """
    count = y.shape[1]
    columns = np.stack([np.ones_like(x), x], axis=1) / error[:, None]
    values = y / error[:, None]
    if expected is not None:
        columns = np.vstack([columns, [0.0, 1 / expected[1]]])
        noise: FloatArray = np.concatenate([[0.0], np.random.default_rng(seed).standard_normal(count - 1)])
        values = np.vstack([values, expected[0] / expected[1] + noise])
    if len(columns) < 2:
        return y[0], np.full(count, np.nan)
    from scipy.special import stdtrit

    solved = np.linalg.lstsq(columns, values, rcond=None)[0]
    freedom = len(columns) - 2
    misfit = float(np.sum((values[:, 0] - columns @ solved[:, 0]) ** 2))
    student = float(stdtrit(freedom, (1 + LEVEL) / 2) / NORMAL_90) if freedom else 1.0  # few optima tell little of it
    spread = max(1.0, np.sqrt(misfit / freedom) * student) if freedom else 1.0
    wide = solved[:, :1] + spread * (solved - solved[:, :1])
    return wide[0], wide[1]


def _interval(draws: FloatArray, scale: np.ufunc | None = None) -> Interval:
    """The first of the draws as the value, and the interval of the others."""
    rest = draws[1:] if len(draws) > 1 else draws
    low, high = np.quantile(rest, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    ends = np.array([draws[0], min(low, draws[0]), max(high, draws[0])])
    return Interval(*(float(end) for end in (ends if scale is None else scale(ends))))


def _sensitivities(sweeps: Sweeps) -> tuple[dict[tuple[str, float], float], list[str]]:
    """Learning-rate sensitivity by arm and size, on the learning rates that all of them share."""
    cells = {(arm, size): sweeps.cell(arm, size) for arm in sweeps.names for size in sweeps.sizes(arm)}
    grids = [set(cell["lr"].round(12)) for cell in cells.values()]
    shared = set.intersection(*grids)
    if len(shared) < 3:
        return dict.fromkeys(cells, float("nan")), ["LR sensitivity: the grids share fewer than three learning rates"]
    notes = []
    if any(grid != shared for grid in grids):
        notes.append(f"LR sensitivity: over the {len(shared)} learning rates that all sizes share")
    found = {}
    for key, cell in cells.items():
        same = cell[cell["lr"].round(12).isin(shared)]
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


def _table(arms: tuple[Arm, ...], sensitivities: dict[tuple[str, float], float]) -> pd.DataFrame:
    rows = []
    for arm in arms:
        for size, best in arm.optima.items():
            rows.append(
                {
                    "arm": arm.name, "size": size, "lr": best.lr, "low": best.low, "high": best.high,
                    "log2_lr": best.log2, "loss": best.loss, "lr_sensitivity": sensitivities[arm.name, size],
                    "resampled": best.how, "refused": best.refused,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)
