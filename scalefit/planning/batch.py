"""Which batch size, from run logs: the gradient noise scale, and the steps and tokens needed to reach one loss.

    noise scale     B_simple = tr(Sigma)/|G|^2, both averaged over the end of a run before the ratio is taken
    trade-off       steps(batch) = S_min (1 + B_crit/batch), at the best learning rate of each batch size

At B_crit a run needs twice the minimal steps and twice the minimal tokens. Sources: arXiv:1812.06162 (sections 2.2 and
5, appendix A), arXiv:2001.08361 (section 5.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.interpolate import PchipInterpolator
from scipy.optimize import brentq
from scipy.special import stdtrit

from scalefit.answers import Shown, as_lines, interval
from scalefit.errors import InputError
from scalefit.notices import Line, doubted
from scalefit.numerics import FloatArray
from scalefit.planning.critical_batch import Tradeoff, fit_tradeoff
from scalefit.planning.noise import fit_lr_exponent
from scalefit.runs import Runs, runs_of
from scalefit.runs.final import diverged, finished
from scalefit.runs.settings import refuse_mixed
from scalefit.runs.trajectory import spans
from scalefit.transfer.grid import snapped
from scalefit.transfer.reach import far_beyond
from scalefit.transfer.sweeps import columns_of, peak_rates
from scalefit.transfer.verdict import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NOISE = ("noise_trace", "noise_grad_square")  #: columns: tr(Sigma) per example, |G|^2
TAIL = 0.2  #: last share of a run over which the noise is averaged
LEAST_ROWS = 5  #: rows with a held-out loss that every run needs for it to be used
FAR, WIDE = (
    1.5,
    10.0,
)  #: factor off the hyperbola, and ratio of the interval's ends, beyond which B_crit is undetermined
NEAR = 2.01  #: runs within this factor of the best learning rate give the noise of their batch size
UPPER = 0.95  #: quantile at the upper end of a 90 % interval


@dataclass(frozen=True, eq=False, repr=False)
class BatchAnswer(Shown):
    """What :func:`batch_size` found."""

    loss: float  #: to which steps were counted; NaN without a trade-off
    reached: pd.DataFrame  #: one row per batch size: batch, lr, steps, tokens, edge (why the learning rate is in doubt)
    tradeoff: Tradeoff | None
    critical: Interval  #: B_crit in tokens; ends NaN for two batch sizes
    noise: pd.DataFrame  #: one row per batch size: batch, runs, noise_scale (tokens; examples if seq_len is not known)
    unit: str  #: of the noise scale
    missing: dict[str, str]  #: what the log lacks, by answer
    notes: tuple[str, ...] = ()  #: which runs were left out, which batch sizes miss the loss
    counts: str = "tokens"  #: what a batch size counts, else "sequences"

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """The steps at each batch size with the hyperbola through them, and the critical batch."""
        from scalefit.plots.batch import plot_batch

        return plot_batch(self, ax=ax)

    @property
    def fastest(self) -> Interval:
        """The exponent in the batch size of the learning rates that reach the loss in the fewest steps."""
        return fit_lr_exponent(self.reached["batch"], self.reached["lr"])

    @property
    def doubt(self) -> str:
        """Why the critical batch is not determined, or "": a batch size far off the hyperbola, or a wide interval.

        Without an interval: one that lies further beyond the batch sizes than these span.
        """
        if self.tradeoff is None:
            return ""
        if np.isnan(self.critical.low):
            return far_beyond("critical batch", self.reached["batch"].tolist(), self.critical.value)
        batch, steps = (self.reached[name].to_numpy(float) for name in ("batch", "steps"))
        off = steps / self.tradeoff.steps(batch)
        worst = int(np.argmax(np.abs(np.log(off))))
        if max(off[worst], 1 / off[worst]) < FAR and not self.critical.high > WIDE * self.critical.low:
            return ""
        return (
            f"the critical batch is not determined: the steps do not follow S_min (1 + B_crit/batch), batch "
            f"{batch[worst]:g} needs {off[worst]:.2g} times as many; leave it out with --where, or give a higher --loss"
        )

    @property
    def lines(self) -> list[Line]:
        """What is said, line by line."""
        trade, word = self.tradeoff, self.counts
        lines: list[Line] = []
        if trade:
            lines = [
                f"critical batch {interval(self.critical)} {word}: twice the least steps, twice the least {word}",
                f"  steps = {trade.S_min:.4g} (1 + {trade.B_crit:.4g}/batch), "
                f"{word} = {trade.E_min:.4g} (1 + batch/{trade.B_crit:.4g})",
                f"  the learning rate that needs the fewest steps grows as batch^{interval(self.fastest, '.2f')}",
                *["  two batch sizes leave no interval"] * bool(np.isnan(self.critical.low)),
                "",
            ]
        if len(self.reached):
            shown = _as_text(self.reached.drop(columns="edge")).rename(columns={"tokens": word})
            lines += [f"fewest steps to a loss of {self.loss:.5g}:", as_lines(shown, 4), ""]
        if len(self.noise):
            head = f"gradient noise scale at the end of the runs, in {self.unit}:"
            lines += [head, as_lines(_as_text(self.noise), 3), ""]
        edges = zip(self.reached["batch"], self.reached["edge"], strict=True)
        edge = [f"batch {batch:g}: {where}; add learning rates beyond it" for batch, where in edges if where]
        lines += [*doubted(each for each in (self.doubt, *edge) if each), *self.notes]
        lines += [f"no {name}: {why}" for name, why in self.missing.items()]
        return lines[:-1] if lines and lines[-1] == "" else lines


def batch_size(runs: Runs | pd.DataFrame, loss: float | None = None) -> BatchAnswer:
    """The critical batch size from the steps to one loss, and the noise scale from logged gradient noise.

    ``runs``: curves (run, step, loss or better val_loss, batch in tokens, lr) of runs that differ in batch size,
    learning rate and seed alone; with columns noise_trace and noise_grad_square for the noise scale. ``loss``: to which
    steps are counted (default: the lowest that every batch size reaches). Each batch size counts at the learning rate
    that needs the fewest steps; seeds are averaged, and a rate counts only if all of its seeds reach the loss. Raises
    InputError where a batch size is not known, where other settings are mixed, and for a loss that fewer than two batch
    sizes reach.

    >>> step = np.arange(1, 401)
    >>> frames = [pd.DataFrame({"run": f"b{b}", "step": step, "batch": b, "lr": 0.01,
    ...                         "loss": 2 + 5 / (step / (1 + 3000 / b)) ** 0.5}) for b in (1000, 4000, 16000)]
    >>> found = batch_size(pd.concat(frames))
    >>> round(found.tradeoff.B_crit, -2), found.missing
    (3000.0, {'noise scale': 'no columns noise_trace and noise_grad_square'})
    """
    known = runs_of(runs)
    table = known.table
    if "batch" not in table.columns or table["batch"].isna().any():
        raise InputError("no batch size in the log", todo=f"write --map batch=COLUMN; {columns_of(table)}")
    rates = pd.Series(snapped(peak_rates(known, table).to_numpy(float)), index=table.index)
    table, notes = finished(table, "batch", "", curves=known.curves is not None)
    rates = rates[table.index]
    refuse_mixed(table, table["batch"].astype(str), {"batch"}, rates, arms=False)
    missing: dict[str, str] = {}
    lost = int(diverged(table).sum())
    notes += (f"{lost} of {len(table)} runs diverged",) * (lost > 0)
    reached, target, unreached = _reached(known, table, rates, loss, missing)
    notes += unreached
    best = table["batch"].map(reached.set_index("batch")["lr"].to_dict())  # NaN without a trade-off
    near = table[(rates / best).between(1 / NEAR, NEAR) | best.isna()]
    noise, unit = _noise(known, near, missing)
    tradeoff, critical = None, Interval(np.nan, np.nan, np.nan)
    if len(reached):
        try:
            tradeoff = fit_tradeoff(reached["batch"], reached["steps"])
            critical = _interval(reached["batch"].to_numpy(float), reached["steps"].to_numpy(float), tradeoff)
        except InputError as error:  # the steps are reported all the same
            missing["critical batch"] = str(error)
    unknown = [note.text for note in known.notes if note.kind == "unknown" and note.text.startswith("batch is")]
    counts = "sequences" if unknown else "tokens"
    return BatchAnswer(target, reached, tradeoff, critical, noise, unit, missing, (*unknown, *notes), counts)


def steps_to(step: FloatArray, loss: FloatArray, target: float) -> float:
    """The step at which a curve, smoothed by a running median, first reaches a loss; NaN where it never does.

    Between rows the curve is a monotone cubic. 0 where the first row is already below it: then the step is not known.

    >>> steps_to(np.array([0.0, 10.0, 20.0]), np.array([4.0, 3.0, 2.0]), 2.5)
    15.0
    """
    kept = np.isfinite(loss)
    step, smooth = step[kept], _smoothed(loss[kept])
    below = np.flatnonzero(smooth <= target)
    if not len(below) or below[0] == 0:
        return 0.0 if len(below) else float("nan")
    i = int(below[0])
    near = slice(max(i - 2, 0), i + 2)  # a straight line through a falling, curved loss would be passed too late
    curve = PchipInterpolator(step[near], smooth[near] - target)
    return float(brentq(curve, step[i - 1], step[i]) if curve(step[i]) < 0 else step[i])


def _reached(
    runs: Runs, table: pd.DataFrame, rates: pd.Series, loss: float | None, missing: dict[str, str]
) -> tuple[pd.DataFrame, float, tuple[str, ...]]:
    """The fewest steps at each batch size, the loss to which they were counted, a note on batch sizes that miss it."""
    if runs.curves is None or table["batch"].nunique() < 2:
        no_steps = "the log holds no steps: it needs the loss along the runs"
        missing["critical batch"] = no_steps if runs.curves is None else "all runs have one batch size"
        return pd.DataFrame(columns=["batch", "lr", "steps", "tokens", "edge"]), float("nan"), ()
    step, values = runs.curves["step"].to_numpy(float), runs.curves[_steadiest(runs.curves)].to_numpy(float)
    curves = {str(name): (step[start:stop], values[start:stop]) for name, start, stop in spans(runs.curves)}
    batch = table["batch"].astype(float)
    about = pd.DataFrame({"batch": batch, "lr": rates, "run": table["run"].astype(str)})
    target = loss if loss is not None else _common(about, curves)
    about["steps"] = [steps_to(*curves[run], target) for run in about["run"]]
    if not about["steps"].fillna(1).gt(0).all():
        raise InputError(f"some runs begin below a loss of {target:g}", todo="give a lower --loss")
    mean = about.groupby(["batch", "lr"])["steps"].agg(lambda steps: steps.mean(skipna=False))
    by_batch = {size: mean.xs(size, level="batch") for size in np.unique(batch).tolist()}
    rows = [_best(size, each) for size, each in by_batch.items() if each.notna().any()]
    if len(rows) < 2:
        count = "only one batch size reaches" if rows else "no batch size reaches"
        raise InputError(f"{count} a loss of {target:g}", todo="give a higher --loss, or runs at another batch size")
    miss = [f"{size:g}" for size, each in by_batch.items() if not each.notna().any()]
    note = (f"no learning rate reaches a loss of {target:g} at batch {', '.join(miss)}",) * bool(miss)
    return pd.DataFrame(rows), target, note


def _steadiest(curves: pd.DataFrame) -> str:
    """The held-out loss, if every run has it at five steps or more: the loss of a small training batch is noisy."""
    if "val_loss" not in curves.columns:
        return "loss"
    held = curves["val_loss"].notna().groupby(curves["run"], observed=True).sum()
    return "val_loss" if held.min() >= LEAST_ROWS else "loss"


def _best(batch: float, steps: pd.Series) -> dict[str, object]:
    """The learning rate with the fewest steps, and whether a better one may lie outside the grid."""
    place = int(np.nanargmin(steps.to_numpy()))
    end = "smallest" if place == 0 else "largest" if place == len(steps) - 1 else ""
    edge = f"the fewest steps are at the {end} learning rate tried" if end and len(steps) > 1 else ""
    fewest = float(steps.iloc[place])
    return {"batch": batch, "lr": float(steps.index[place]), "steps": fewest, "tokens": fewest * batch, "edge": edge}


def _as_text(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(batch=[f"{batch:.7g}" for batch in table["batch"]])


def _common(about: pd.DataFrame, curves: dict[str, tuple[FloatArray, FloatArray]]) -> float:
    """The lowest loss that the best learning rate of every batch size reaches in all its seeds."""
    finite = [curves[run][1][np.isfinite(curves[run][1])] for run in about["run"]]
    least = about.assign(least=[float(_smoothed(loss).min()) if len(loss) else np.inf for loss in finite])
    worst_seed = least.groupby(["batch", "lr"])["least"].max()
    return float(worst_seed.groupby(level="batch").min().max())


def _smoothed(loss: FloatArray) -> FloatArray:
    """The running median over a twentieth of the rows, at least five; mirrored at the ends."""
    half = max(2, len(loss) // 40)
    if len(loss) <= 2 * half:
        return loss
    padded = pd.Series(np.pad(loss, half, mode="reflect"))
    return padded.rolling(2 * half + 1, center=True).median().to_numpy()[half:-half]


def _interval(batch: FloatArray, steps: FloatArray, found: Tradeoff) -> Interval:
    """The 90 % interval of B_crit: Student's, on its logarithm, from the relative residuals of the trade-off."""
    freedom = len(batch) - 2
    if not freedom:
        return Interval(found.B_crit, float("nan"), float("nan"))
    share = found.B_crit / batch
    columns = np.stack([np.ones_like(share), share / (1 + share)], axis=1)  # d log steps / d log S_min, d log B_crit
    residual = np.log(steps / found.steps(batch))
    error = np.sqrt(residual @ residual / freedom * np.linalg.inv(columns.T @ columns)[1, 1])
    factor = float(np.exp(stdtrit(freedom, UPPER) * error))
    return Interval(found.B_crit, found.B_crit / factor, found.B_crit * factor)


def _noise(runs: Runs, near: pd.DataFrame, missing: dict[str, str]) -> tuple[pd.DataFrame, str]:
    """The noise scale by batch size, from the runs ``near`` the best learning rate of their batch size.

    tr(Sigma) and |G|^2 are averaged over the ends of the runs, then divided.
    """
    rows = near if runs.curves is None else runs.curves
    lacking = [name for name in NOISE if name not in rows.columns]
    if lacking:
        missing["noise scale"] = f"no column{'s' * (len(lacking) > 1)} {' and '.join(lacking)}"
        return pd.DataFrame(columns=["batch", "runs", "noise_scale"]), ""
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
