"""The schedule that a run asks for: a warm-up by its curvature, the shape of its decay by its gradient norms.

    warm-up      as many steps as pass until lr * sharpness stays below the optimiser's threshold
    decay        eta_t ∝ w_t sum_{p>t} w_p,  w_t = 1/G_t^2 (descent, Euclidean norms) or 1/G_t (Adam, absolute sums)

Sources: arXiv:2110.04369 (warm-up by curvature), arXiv:2310.07831 (refinement; equal norms give a linear decay).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from scalefit.errors import InputError
from scalefit.numerics import FloatArray
from scalefit.runs import Runs, read_runs
from scalefit.schedules.theory import refine_schedule, smooth_norms
from scalefit.stability.thresholds import sharpness_threshold, shortest_warmup

LEAST_NORMS = 20  #: rows with a gradient norm below which a shape would be made of noise
ADAM_NORMS = ("grad_norm_l1", "grad_norm")  #: columns, the better first
NORMS = ("grad_norm",)


@dataclass(frozen=True, eq=False)
class RunSchedule:
    """What :func:`schedule_of` found."""

    run: str
    peak_lr: float
    steps: int
    warmup: float  #: steps; NaN where none suffices, or where the curvature is not in the log
    sharpness: pd.DataFrame  #: step, product (lr times sharpness), for the rows that have it
    threshold: float  #: of the product
    norms: pd.DataFrame  #: step, grad_norm, for the rows that have it
    lr: FloatArray | None  #: (steps + 1,) refined learning rate of updates 0..steps; None without gradient norms
    notes: tuple[str, ...]
    missing: dict[str, str]  #: what the log lacks, by answer

    @property
    def table(self) -> pd.DataFrame:
        """The refined schedule as columns step and lr; empty without gradient norms."""
        lr = self.lr if self.lr is not None else np.array([])
        return pd.DataFrame({"step": np.arange(len(lr)), "lr": lr})


def schedule_of(
    runs: Runs | pd.DataFrame,
    run: str | None = None,
    peak_lr: float | None = None,
    steps: int | None = None,
    rule: str = "adam",
    beta: float = 0.9,
) -> RunSchedule:
    """The warm-up and the refined schedule that a run's log asks for.

    ``runs``: curves with gradient norms before clipping (grad_norm; grad_norm_l1, the sum of absolute values, is better
    under Adam) or sharpness (sharpness_preconditioned under Adam, else sharpness). ``peak_lr``: at which curvature is
    judged and to which the schedule rises (default: the log's largest learning rate); ``steps``: the length that the
    shape is stretched to (default: the run's). A refined schedule wants its peak tuned anew. Raises InputError for a
    log without steps or learning rate, without both columns, with several runs and no choice, and with fewer than 20
    gradient norms.

    >>> calm = pd.DataFrame({"run": "a", "step": np.arange(1, 401), "lr": 0.1, "loss": 2.0, "grad_norm": 1.0})
    >>> found = schedule_of(calm, rule="gd")
    >>> [round(float(rate), 3) for rate in found.lr[[1, 200, 400]]], found.missing
    ([0.1, 0.05, 0.0], {'warm-up': 'no column sharpness'})
    """
    known = runs if isinstance(runs, Runs) else read_runs(runs, need=())
    name, curves = _one_run(known, run)
    peak = peak_lr if peak_lr is not None else _peak(curves)
    if not 0 < peak < np.inf:
        raise InputError(f"a peak learning rate of {peak:g}", todo="give one above 0")
    length = steps if steps is not None else int(curves["step"].max())
    if length < 2:
        raise InputError(f"a schedule of {length} steps", todo="give two steps or more")
    missing: dict[str, str] = {}
    notes = []
    column = "sharpness_preconditioned" if rule == "adam" else "sharpness"
    sharpness = _rows(curves, column).rename(columns={column: "product"})
    sharpness["product"] *= peak
    warmup = float("nan")
    if len(sharpness):
        warmup = shortest_warmup(sharpness["step"], sharpness["product"] / peak, peak, rule, beta)
    else:
        missing["warm-up"] = f"no column {column}"
        if rule == "adam" and "sharpness" in curves.columns:
            missing["warm-up"] += " (sharpness is that of --rule gd)"
    wanted = ADAM_NORMS if rule == "adam" else NORMS
    norm = next((each for each in wanted if each in curves.columns and curves[each].notna().any()), "")
    norms = _rows(curves, norm).rename(columns={norm: "grad_norm"}) if norm else _rows(curves, "grad_norm")
    lr = None
    if norm:
        lr = _refined(norms, length, peak, 1.0 if rule == "adam" else 2.0)
        if rule == "adam" and norm != ADAM_NORMS[0]:
            notes.append("grad_norm, a Euclidean norm, stands in for the sum of absolute values (grad_norm_l1)")
    else:
        missing["refined schedule"] = f"no column {' or '.join(wanted)}"
    if len(missing) == 2:
        raise InputError("; ".join(missing.values()), todo="log the gradient norm or the sharpness, or write --map")
    threshold = sharpness_threshold(rule, beta)
    return RunSchedule(name, peak, length, warmup, sharpness, threshold, norms, lr, tuple(notes), missing)


def _one_run(runs: Runs, run: str | None) -> tuple[str, pd.DataFrame]:
    if runs.curves is None:
        raise InputError("the log holds no steps", todo="give a log with a row a step")
    if run is None and len(runs.names) > 1:
        raise InputError(f"the log holds {len(runs.names)} runs", todo=f"choose one: {', '.join(runs.names[:9])}")
    if run is not None and run not in runs.names:
        raise InputError(f'there is no run "{run}"', todo=f"runs: {', '.join(runs.names[:9])}")
    name = run or runs.names[0]
    return name, runs.curves[runs.curves["run"].astype(str) == name]


def _peak(curves: pd.DataFrame) -> float:
    if "lr" not in curves.columns or not curves["lr"].notna().any():
        raise InputError("there is no learning rate", todo="write --map lr=COLUMN, or give the peak learning rate")
    return float(curves["lr"].max())


def _rows(curves: pd.DataFrame, column: str) -> pd.DataFrame:
    """step and a column, where it holds a finite number."""
    if column not in curves.columns:
        return pd.DataFrame({"step": pd.Series(dtype=float), column: pd.Series(dtype=float)})
    rows = curves[["step", column]].astype(float).reset_index(drop=True)
    return rows.take(np.flatnonzero(np.isfinite(rows[column]))).reset_index(drop=True)


def _refined(norms: pd.DataFrame, steps: int, peak: float, power: float) -> FloatArray:
    """The refined learning rate at updates 0..steps; update 0 is not made and has the rate of the first."""
    norms = norms[norms["grad_norm"] > 0]
    if len(norms) < LEAST_NORMS:
        raise InputError(
            f"{len(norms)} gradient norms above 0 make no schedule", todo=f"log {LEAST_NORMS} or more along the run"
        )
    at = norms["step"].to_numpy()
    even = np.interp(np.linspace(at[0], at[-1], len(at)), at, norms["grad_norm"])  # smooth_norms wants even distances
    shape = refine_schedule(smooth_norms(even), power)
    place = np.linspace(0, len(shape) - 1, steps)
    rate = peak * np.interp(place, np.arange(len(shape)), shape)
    return np.concatenate([rate[:1], rate])
