"""The probes that are forecast: their columns in a log, the shape of their growth, their limits."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
import pandas as pd

from scalefit.numerics import FloatArray
from scalefit.runs import Runs, runs_of
from scalefit.stability.thresholds import EPSILON_FACTOR, FP16_LARGEST, LOGIT_LIMIT, sharpness_threshold

LOG_Z_LIMIT = 50.0
SPREAD = 10.0  #: about how many times the RMS the largest activation is
TAIL = 0.1  #: last share of a run whose rows are averaged
TIMES_LR = " times lr"  #: ends the name of a column that holds a probe times the learning rate of its own step


@dataclass(frozen=True)
class Probe:
    """What is extrapolated, its columns in a log, and its limit."""

    name: str
    columns: tuple[str, ...]
    degree: int
    limit: float
    above: bool = True  #: crossing means going above
    log: bool = True
    both: bool = False  #: whether the limit holds for either sign
    times_lr: bool = False
    cure: str = ""


def probes(epsilon: float = 1e-8, rule: str = "adam", beta: float = 0.9) -> tuple[Probe, ...]:
    """All probes that can be forecast, for Adam's ``epsilon`` and a rule of :func:`sharpness_threshold`."""
    curvature = "sharpness_preconditioned" if rule == "adam" else "sharpness"
    return (
        Probe(
            "largest attention logit", ("attention_logit_max/0", "attention_logit_max"), 2, LOGIT_LIMIT,
            cure="qk-layernorm, or a lower learning rate",
        ),
        Probe(
            "log Z", ("output_logit_logsumexp",), 1, LOG_Z_LIMIT, log=False, both=True,
            cure="z-loss (1e-4 for 1e5 steps, more for short runs), or weight decay",
        ),
        Probe(
            "gradient RMS", ("rms_grad/0.mlp_in", "rms_grad"), 1, EPSILON_FACTOR * epsilon, above=False,
            cure="a smaller epsilon of Adam",
        ),
        Probe(
            "activation RMS", ("rms_act", "rms_act/*"), 1, FP16_LARGEST / SPREAD,
            cure="bfloat16, or norms after the blocks (peri-LN)",
        ),
        Probe(
            "sharpness times lr", (curvature,), 1, sharpness_threshold(rule, beta), times_lr=True,
            cure="a longer warmup, or a lower learning rate",
        ),
    )  # fmt: skip


def measured(runs: Runs | pd.DataFrame) -> pd.DataFrame:
    """One row per run, with the peak learning rate as ``lr`` and each probe's mean over the run's last tenth."""
    known = runs_of(runs)
    table = known.table.copy()
    if "peak_lr" in table.columns:
        table["lr"] = table["peak_lr"]
    if known.curves is None:
        return table
    curves, run_of_row = known.curves, table["run"].astype(str)
    wanted = [name for probe in probes() for name in _matching(curves, (*probe.columns, "sharpness"))]
    last = curves.groupby("run", observed=True)["step"].transform("max") if "step" in curves else None
    tail = np.ones(len(curves), dtype=bool) if last is None else (curves["step"] >= (1 - TAIL) * last).to_numpy()
    for name in dict.fromkeys(wanted):
        table[name] = _at_end(curves["run"], curves[name], tail).reindex(run_of_row).to_numpy()
        if name.startswith("sharpness") and "lr" in curves.columns:  # a decayed end has another rate than the peak
            product = _at_end(curves["run"], curves[name] * curves["lr"], tail)
            table[f"{name}{TIMES_LR}"] = product.reindex(run_of_row).to_numpy()
    if "peak_lr" not in table.columns and "lr" in curves.columns:
        peaks = curves.groupby("run", observed=True)["lr"].max()
        table["lr"] = peaks.reindex(run_of_row).to_numpy()
    return table


def _at_end(run: pd.Series, values: pd.Series, tail: np.ndarray) -> pd.Series:
    """The mean of each run over the rows marked by ``tail``, or its last value where none of them has one."""
    means = values[tail].groupby(run[tail], observed=True).mean()
    return means.fillna(values.groupby(run, observed=True).last())


def _matching(frame: pd.DataFrame, patterns: tuple[str, ...]) -> list[str]:
    """Columns of a frame that match one of the patterns; ``name/*`` matches all of that probe."""
    return [name for pattern in patterns for name in map(str, frame.columns) if fnmatchcase(name, pattern)]


def column_of(table: pd.DataFrame, probe: Probe) -> tuple[str, FloatArray]:
    """The name of the probe's column and its values on the scale of the fit; "" and no values without one."""
    names = [name for name in _matching(table, probe.columns) if table[name].notna().any()]
    if not names:
        return "", np.array([])
    blocks = names[0].startswith("rms_act/")  # of these the largest counts
    values, name = (
        table[names if blocks else names[:1]].max(axis=1).to_numpy(float),
        "rms_act/*" if blocks else names[0],
    )
    if probe.times_lr:
        product = f"{name}{TIMES_LR}"
        values = table[product].to_numpy(float) if product in table else values * table["lr"].to_numpy(float)
    if probe.log:
        values = np.log(np.where(values > 0, values, np.nan))
    return name, values
