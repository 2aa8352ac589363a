"""Which batch, from run logs: the gradient noise scale, and the steps and tokens that each batch needs to one loss.

    noise scale     B_simple = tr(Sigma)/|G|^2, both averaged over the end of a run before the ratio is taken
    trade-off       steps(batch) = S_min (1 + B_crit/batch), at the best learning rate of each batch

At B_crit a run needs twice the least number of steps and twice the least number of tokens. Sources: arXiv:1812.06162
(sections 2.2 and 5, appendix A), arXiv:2001.08361 (section 5.1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from scalefit.errors import InputError
from scalefit.numerics import FloatArray
from scalefit.planning.critical_batch import Tradeoff, fit_tradeoff
from scalefit.runs import Runs, read_runs
from scalefit.runs.final import diverged, finished
from scalefit.runs.settings import refuse_mixed
from scalefit.runs.table import spans
from scalefit.transfer.grid import snapped
from scalefit.transfer.sweeps import columns_of, peak_rates
from scalefit.transfer.verdict import Interval

NOISE = ("noise_trace", "noise_grad_square")  #: columns: tr(Sigma) per example, |G|^2
TAIL = 0.2  #: of a run, over which the noise is averaged
LEAST_ROWS = 5
FAR, WIDE = 1.5, 10.0  #: factors off the hyperbola, and between the ends of an interval, from which there is none
NEAR = 2.01  #: factor from the best learning rate of a batch, within which runs tell its noise
UPPER = 0.95  #: quantile at the upper end of a 90 % interval


@dataclass(frozen=True, eq=False)
class BatchAnswer:
    """What :func:`batch_size` found."""

    loss: float  #: to which steps were counted; NaN where there is no trade-off
    reached: pd.DataFrame  #: one row a batch: batch, lr, steps, tokens, edge (why the learning rate is in doubt)
    tradeoff: Tradeoff | None
    critical: Interval  #: B_crit in tokens; ends NaN where two batches leave no scatter
    noise: pd.DataFrame  #: one row a batch: batch, runs, noise_scale (tokens, or examples where seq_len is not known)
    unit: str  #: of the noise scale
    missing: dict[str, str]  #: what the log lacks, by answer
    notes: tuple[str, ...] = ()  #: which runs were left out, which batches miss the loss
    counts: str = "tokens"  #: what a batch counts, else "sequences"

    @property
    def doubt(self) -> str:
        """Why the critical batch is not to be believed, or nothing: a batch far off the hyperbola, or no interval."""
        if self.tradeoff is None:
            return ""
        batch, steps = (self.reached[name].to_numpy(float) for name in ("batch", "steps"))
        off = steps / self.tradeoff.steps(batch)
        worst = int(np.argmax(np.abs(np.log(off))))
        if max(off[worst], 1 / off[worst]) < FAR and not self.critical.high > WIDE * self.critical.low:
            return ""
        needs = f"batch {batch[worst]:g} needs {off[worst]:.2g} times as many"
        todo = "leave it out with --where, or give a higher --loss"
        return (
            f"the steps do not follow S_min (1 + B_crit/batch), {needs}: the critical batch is not determined; {todo}"
        )


def batch_size(runs: Runs | pd.DataFrame, loss: float | None = None) -> BatchAnswer:
    """Critical batch from the steps to one loss, and the noise scale from logged gradient noise.

    ``runs``: curves (run, step, loss or better val_loss, batch in tokens, lr) of runs that differ in batch, learning
    rate and seed alone; with columns noise_trace and noise_grad_square for the noise scale. ``loss``: to which steps
    are counted (default: the least that every batch reaches). At each batch the learning rate that needs the fewest
    steps counts, seeds are averaged, and a rate with a seed that does not get there does not count. Raises InputError
    where a batch is not known, where other settings are mixed, and for a loss that fewer than two batches reach.

    >>> step = np.arange(1, 401)
    >>> frames = [pd.DataFrame({"run": f"b{b}", "step": step, "batch": b, "lr": 0.01,
    ...                         "loss": 2 + 5 / (step / (1 + 3000 / b)) ** 0.5}) for b in (1000, 4000, 16000)]
    >>> found = batch_size(pd.concat(frames))
    >>> round(found.tradeoff.B_crit, -2), found.missing
    (3000.0, {'noise scale': 'no columns noise_trace and noise_grad_square'})
    """
    known = runs if isinstance(runs, Runs) else read_runs(runs, need=())
    table = known.table
    if "batch" not in table.columns or table["batch"].isna().any():
        raise InputError("the batch of the runs is not known", todo=f"write --map batch=COLUMN; {columns_of(table)}")
    rates = pd.Series(snapped(peak_rates(known, table).to_numpy(float)), index=table.index)
    table, notes = finished(table, "batch", "", curves=known.curves is not None)
    rates = rates[table.index]
    refuse_mixed(table, table["batch"].astype(str), {"batch"}, rates, arms=False)
    missing: dict[str, str] = {}
    lost = int(diverged(table).sum())
    notes += (f"{lost} of {len(table)} runs diverged",) * (lost > 0)
    reached, target, unreached = _reached(known, table, rates, loss, missing)
    notes += unreached
    best = rates * np.nan if reached.empty else table["batch"].map(reached.set_index("batch")["lr"].to_dict())
    near = table[(rates / best).between(1 / NEAR, NEAR) | best.isna()]
    noise, unit = _noise(known, near, missing)
    tradeoff, critical = None, Interval(np.nan, np.nan, np.nan)
    if len(reached):
        try:
            tradeoff = fit_tradeoff(reached["batch"], reached["steps"])
            critical = _interval(reached["batch"].to_numpy(float), reached["steps"].to_numpy(float), tradeoff)
        except InputError as error:  # the steps are told all the same
            missing["critical batch"] = str(error)
    unknown = [note.text for note in known.notes if note.kind == "unknown" and note.text.startswith("batch is")]
    counts = "sequences" if unknown else "tokens"
    return BatchAnswer(target, reached, tradeoff, critical, noise, unit, missing, (*unknown, *notes), counts)


def steps_to(step: FloatArray, loss: FloatArray, target: float) -> float:
    """The step at which a curve, smoothed by a running median, first reaches a loss; NaN where it never does.

    0 where it is there from its first row on: then the step is not known.

    >>> steps_to(np.array([0.0, 10.0, 20.0]), np.array([4.0, 3.0, 2.0]), 2.5)
    15.0
    """
    kept = np.isfinite(loss)
    step, loss = step[kept], loss[kept]
    smooth = _smoothed(loss)
    below = np.flatnonzero(smooth <= target)
    if not len(below):
        return float("nan")
    i = int(below[0])
    if i == 0:
        return 0.0
    share = (smooth[i - 1] - target) / (smooth[i - 1] - smooth[i])
    return float(step[i - 1] + share * (step[i] - step[i - 1]))


def _reached(
    runs: Runs, table: pd.DataFrame, rates: pd.Series, loss: float | None, missing: dict[str, str]
) -> tuple[pd.DataFrame, float, tuple[str, ...]]:
    """The fewest steps at each batch, the loss to which they were counted, and a note on batches that miss it."""
    nothing = pd.DataFrame(columns=["batch", "lr", "steps", "tokens", "edge"])
    if runs.curves is None:
        missing["critical batch"] = "the log holds no steps: it needs the loss along the runs"
        return nothing, float("nan"), ()
    if table["batch"].nunique() < 2:
        missing["critical batch"] = "all runs have one batch"
        return nothing, float("nan"), ()
    column = _steadiest(runs.curves)
    curves = {
        str(name): (rows["step"].to_numpy(float), rows[column].to_numpy(float))
        for name, start, stop in spans(runs.curves)
        for rows in [runs.curves.iloc[start:stop]]
    }
    batch, names = table["batch"].astype(float), table["run"].astype(str)
    about = pd.DataFrame({"batch": batch, "lr": rates, "run": names})
    target = loss if loss is not None else _common(about, curves)
    about["steps"] = [steps_to(*curves[run], target) for run in about["run"]]
    if not about["steps"].fillna(1).gt(0).all():
        raise InputError(f"runs begin below a loss of {target:g}", todo="give a lower --loss")
    mean = about.groupby(["batch", "lr"])["steps"].agg(lambda steps: steps.mean(skipna=False))
    by_batch = {size: mean.xs(size, level="batch") for size in np.unique(batch).tolist()}
    rows = [_best(size, each) for size, each in by_batch.items() if each.notna().any()]
    if len(rows) < 2:
        count = "one batch reaches" if rows else "no batch reaches"
        raise InputError(f"{count} a loss of {target:g}", todo="give a higher --loss, or runs at another batch")
    miss = [f"{size:g}" for size, each in by_batch.items() if not each.notna().any()]
    said = (f"no learning rate reaches a loss of {target:g} at batch {', '.join(miss)}",) * bool(miss)
    return pd.DataFrame(rows), target, said


def _steadiest(curves: pd.DataFrame) -> str:
    """The held-out loss where every run has it at five steps or more: that of a small training batch is all noise."""
    if "val_loss" not in curves.columns:
        return "loss"
    held = curves["val_loss"].notna().groupby(curves["run"], observed=True).sum()
    return "val_loss" if held.min() >= LEAST_ROWS else "loss"


def _best(batch: float, steps: pd.Series) -> dict[str, object]:
    """The learning rate with the fewest steps, and whether a better one may lie beyond the grid."""
    place = int(np.nanargmin(steps.to_numpy()))
    edge = "smallest" if place == 0 else "largest" if place == len(steps) - 1 else ""
    said = f"the fewest steps are at the {edge} learning rate tried" if edge and len(steps) > 1 else ""
    fewest = float(steps.iloc[place])
    return {"batch": batch, "lr": float(steps.index[place]), "steps": fewest, "tokens": fewest * batch, "edge": said}


def _common(about: pd.DataFrame, curves: dict[str, tuple[FloatArray, FloatArray]]) -> float:
    """The least loss that the best learning rate of every batch reaches in all its seeds."""
    least = about.assign(least=[_least(curves[run][1]) for run in about["run"]])
    worst_seed = least.groupby(["batch", "lr"])["least"].max()
    return float(worst_seed.groupby(level="batch").min().max())


def _least(loss: FloatArray) -> float:
    finite = loss[np.isfinite(loss)]
    return float(_smoothed(finite).min()) if len(finite) else float("inf")


def _smoothed(loss: FloatArray) -> FloatArray:
    """The running median over a twentieth of the rows, and over five at least; mirrored at the ends."""
    half = max(2, len(loss) // 40)
    if len(loss) <= 2 * half:
        return loss
    padded = pd.Series(np.pad(loss, half, mode="reflect"))
    return padded.rolling(2 * half + 1, center=True).median().to_numpy()[half:-half]


def _interval(batch: FloatArray, steps: FloatArray, found: Tradeoff) -> Interval:
    """90 % of B_crit, on its logarithm, by Student from the relative misfit of the trade-off."""
    freedom = len(batch) - 2
    if not freedom:
        return Interval(found.B_crit, float("nan"), float("nan"))
    share = found.B_crit / batch
    # d log steps / d log S_min = 1, d log steps / d log B_crit = share/(1 + share)
    columns = np.stack([np.ones_like(share), share / (1 + share)], axis=1)
    residual = np.log(steps / found.steps(batch))
    error = np.sqrt(residual @ residual / freedom * np.linalg.inv(columns.T @ columns)[1, 1])
    factor = float(np.exp(stdtrit(freedom, UPPER) * error))
    return Interval(found.B_crit, found.B_crit / factor, found.B_crit * factor)


def _noise(runs: Runs, near: pd.DataFrame, missing: dict[str, str]) -> tuple[pd.DataFrame, str]:
    """The noise scale by batch, of the runs ``near`` the best learning rate of their batch.

    tr(Sigma) and |G|^2 are averaged over the ends of the runs, then divided.
    """
    nothing = pd.DataFrame(columns=["batch", "runs", "noise_scale"])
    source = near if runs.curves is None else runs.curves
    lacking = [name for name in NOISE if name not in source.columns]
    if lacking:
        missing["noise scale"] = f"no column{'s' * (len(lacking) > 1)} {' and '.join(lacking)}"
        return nothing, ""
    rows = source
    if runs.curves is not None:
        last = rows.groupby("run", observed=True)["step"].transform("max")
        rows = rows[rows["step"] > (1 - TAIL) * last]
    means = rows.groupby("run", observed=True)[list(NOISE)].mean().reindex(near["run"].astype(str))
    in_tokens = "seq_len" in near.columns and near["seq_len"].notna().all()
    unit = near["seq_len"].to_numpy(float) if in_tokens else 1.0
    means = means.assign(batch=near["batch"].to_numpy(float), noise_trace=means["noise_trace"] * unit).dropna()
    grouped = means.groupby("batch")[list(NOISE)].mean()
    signal = grouped["noise_grad_square"]
    scale = (grouped["noise_trace"] / signal).where(signal > 0)
    counted = means.groupby("batch").size()
    found = pd.DataFrame({"batch": scale.index, "runs": counted.to_numpy(), "noise_scale": scale.to_numpy()})
    return found, "tokens" if in_tokens else "examples"
