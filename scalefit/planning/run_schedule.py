"""A schedule from the log of a run: the warmup from its curvature, the shape of the decay from its gradient norms.

    warmup       the steps until lr * sharpness stays below the optimiser's threshold
    decay        eta_t ∝ w_t sum_{p>t} w_p,  w_t = 1/G_t^2 (descent, Euclidean norms) or 1/G_t (Adam, absolute sums)

Sources: arXiv:2110.04369 (warmup from curvature), arXiv:2310.07831 (refinement; equal norms give a linear decay).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from scalefit.answers import Shown
from scalefit.errors import InputError
from scalefit.notices import Line, Notice
from scalefit.numerics import FloatArray
from scalefit.runs import Runs, runs_of
from scalefit.schedules.theory import refine_schedule, smooth_norms
from scalefit.stability.thresholds import sharpness_threshold, shortest_warmup

LEAST_NORMS = 20  #: fewest rows with a gradient norm: with fewer the shape would be noise
SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)  #: of the run, at which the text lists the refined schedule
ADAM_NORMS = ("grad_norm_l1", "grad_norm")  #: columns, the better one first
NORMS = ("grad_norm",)


@dataclass(frozen=True, eq=False, repr=False)
class RunSchedule(Shown):
    """What :func:`schedule_of` found."""

    run: str
    peak_lr: float
    steps: int
    warmup: float  #: steps; NaN if none is long enough, or if the log has no curvature
    sharpness: pd.DataFrame  #: step, product (lr times sharpness), of the rows that have it
    threshold: float  #: of the product
    norms: pd.DataFrame  #: step, grad_norm, of the rows that have it
    lr: FloatArray | None  #: (steps + 1,) refined learning rate of updates 0..steps; None without gradient norms
    notes: tuple[str, ...]
    missing: dict[str, str]  #: what the log lacks, by answer

    @property
    def table(self) -> pd.DataFrame:
        """The refined schedule as columns step and lr; empty without gradient norms."""
        lr = self.lr if self.lr is not None else np.array([])
        return pd.DataFrame({"step": np.arange(len(lr)), "lr": lr})

    @property
    def lines(self) -> list[Line]:
        """What is said, line by line."""
        lines: list[Line] = [f"{self.run}: {self.steps} steps, peak learning rate {self.peak_lr:.4g}"]
        if len(self.sharpness):
            rows = f"{len(self.sharpness)} measurements to step {self.sharpness['step'].iloc[-1]:.0f}"
            below = f"stay{'' if np.isnan(self.warmup) else 's'} below {self.threshold:.3g}"
            enough = f"warmup: {self.warmup:.0f} steps until lr times sharpness {below} ({rows})"
            never = Notice(f"warmup: lr times sharpness does not {below} in {rows}: lower the peak")
            lines.append(never if np.isnan(self.warmup) else enough)
        if self.lr is not None:
            shape = self.lr[1:] / self.peak_lr
            rates = [f"{100 * at:.0f} %: {shape[min(int(at * self.steps), self.steps - 1)]:.2f}" for at in SHARES]
            lines += [
                f"refined schedule: its peak is at {100 * int(shape.argmax()) / self.steps:.0f} % of the run",
                f"  share of the peak, by share of the run: {'   '.join(rates)}",
                "  tune the peak again: the log gives only the shape, not the height",
            ]
        return [*lines, *self.notes, *(f"no {name}: {why}" for name, why in self.missing.items())]


def schedule_of(
    runs: Runs | pd.DataFrame,
    run: str | None = None,
    peak_lr: float | None = None,
    steps: int | None = None,
    rule: str = "adam",
    beta: float = 0.9,
) -> RunSchedule:
    """The warmup and the refined schedule that follow from a run's log.

    ``runs``: curves with gradient norms before clipping (grad_norm; grad_norm_l1, the sum of absolute values, is better
    under Adam) or sharpness (sharpness_preconditioned under Adam, else sharpness). ``peak_lr``: the peak of the
    schedule, for which the warmup is chosen (default: the largest learning rate in the log); ``steps``: the length to
    which the shape is stretched (default: the run's). Tune the peak of a refined schedule again. Raises InputError for
    a log without steps or learning rate, without both columns, with several runs and no choice, and with fewer than 20
    gradient norms.

    >>> calm = pd.DataFrame({"run": "a", "step": np.arange(1, 401), "lr": 0.1, "loss": 2.0, "grad_norm": 1.0})
    >>> found = schedule_of(calm, rule="gd")
    >>> [round(float(rate), 3) for rate in found.lr[[1, 200, 400]]], found.missing
    ([0.1, 0.05, 0.0], {'warmup': 'no column sharpness'})
    """
    known = runs_of(runs)
    name, curves = _one_run(known, run)
    if peak_lr is None and not curves.reindex(columns=["lr"])["lr"].notna().any():
        raise InputError("no learning rate in the log", todo="write --map lr=COLUMN, or give the peak learning rate")
    peak = peak_lr if peak_lr is not None else float(curves["lr"].max())
    if not 0 < peak < np.inf:
        raise InputError(f"the peak learning rate is {peak:g}", todo="give a number above 0")
    length = steps if steps is not None else int(curves["step"].max())
    if length < 2:
        raise InputError(f"a schedule of {length} steps is too short", todo="give two steps or more")
    missing: dict[str, str] = {}
    notes, lr = [], None
    column, warmup = "sharpness_preconditioned" if rule == "adam" else "sharpness", float("nan")
    sharpness = _rows(curves, column).rename(columns={column: "product"})
    if len(sharpness):
        warmup = shortest_warmup(sharpness["step"], sharpness["product"], peak, rule, beta)
        sharpness["product"] *= peak
    else:
        missing["warmup"] = f"no column {column}"
        if rule == "adam" and "sharpness" in curves.columns:
            missing["warmup"] += " (the column sharpness is for --rule gd)"
    wanted = ADAM_NORMS if rule == "adam" else NORMS
    norm = next((each for each in wanted if each in curves.columns and curves[each].notna().any()), "")
    norms = _rows(curves, norm or "grad_norm").rename(columns={norm: "grad_norm"})
    if norm:
        lr = _refined(norms, length, peak, 1.0 if rule == "adam" else 2.0)
        if rule == "adam" and norm != ADAM_NORMS[0]:
            notes.append("grad_norm, a Euclidean norm, is used instead of the sum of absolute values (grad_norm_l1)")
    else:
        missing["refined schedule"] = f"no column {' or '.join(wanted)}"
    if len(missing) == 2:
        raise InputError("; ".join(missing.values()), todo="log the gradient norm or the sharpness, or write --map")
    limit = sharpness_threshold(rule, beta)
    return RunSchedule(name, peak, length, warmup, sharpness, limit, norms, lr, tuple(notes), missing)


def _one_run(runs: Runs, run: str | None) -> tuple[str, pd.DataFrame]:
    if runs.curves is None:
        raise InputError("the log holds no steps", todo="give a log with one row per logged step")
    if run is None and len(runs.names) > 1:
        raise InputError(f"the log holds {len(runs.names)} runs", todo=f"choose one: {', '.join(runs.names[:9])}")
    if run is not None and run not in runs.names:
        raise InputError(f'there is no run "{run}"', todo=f"runs: {', '.join(runs.names[:9])}")
    name = run or runs.names[0]
    return name, runs.curves[runs.curves["run"].astype(str) == name]


def _rows(curves: pd.DataFrame, column: str) -> pd.DataFrame:
    """step and a column, where it holds a finite number; empty without the column. Raises InputError below 0."""
    rows: pd.DataFrame = curves.reindex(columns=["step", column]).astype(float)
    below = np.flatnonzero(rows[column] < 0)
    if len(below):
        step, value = rows["step"].iloc[below[0]], rows[column].iloc[below[0]]
        what = f"{column} is {value:g} at step {step:g}, below 0 ({len(below)} of {len(rows)} rows)"
        raise InputError(what, where="schedule", todo="log the largest eigenvalue and the length of the gradient")
    return rows.take(np.flatnonzero(np.isfinite(rows[column]))).reset_index(drop=True)


def _refined(norms: pd.DataFrame, steps: int, peak: float, power: float) -> FloatArray:
    """The refined learning rate at updates 0 to steps; update 0 is never made and has the rate of the first."""
    norms = norms[norms["grad_norm"] > 0]
    if len(norms) < LEAST_NORMS:
        raise InputError(f"{len(norms)} gradient norms above 0 are too few", todo=f"log {LEAST_NORMS} or more")
    at = norms["step"].to_numpy()
    even = np.interp(np.linspace(at[0], at[-1], len(at)), at, norms["grad_norm"])  # smooth_norms needs equal distances
    shape = refine_schedule(smooth_norms(even), power)
    place = np.linspace(0, len(shape) - 1, steps)
    rate = peak * np.interp(place, np.arange(len(shape)), shape)
    return np.concatenate([rate[:1], rate])
