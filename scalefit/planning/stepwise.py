"""Step-by-step estimation of the constants of the trajectory law, one regression per step.

    1  N_c, alpha_N   log-log line through the converged losses of several model sizes
    2  S_c, alpha_S   one model at its largest batch: log(L - (N_c/N)^alpha_N) against log of its steps
    3  B_star, alpha_B   the same model at several batches: at each of many losses the trade-off
                         S = S_min (1 + B_crit/batch), then log B_crit against log L

Step 2 would treat the largest batch as infinite; because the critical batch grows while the loss falls, that biases S_c
and alpha_S. Here step 3 comes first (it does not need step 2), and step 2 uses S_min = S/(1 + B_crit/batch).

Sources: arXiv:2001.08361 (formulas), arXiv:2403.06563 (every constant must be estimated anew for each setup). The order
of the steps follows from the formulas; no constants are taken from the papers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from scalefit.errors import IdentificationError, InputError
from scalefit.numerics import FloatArray
from scalefit.planning.critical_batch import critical_batch, fit_tradeoff
from scalefit.planning.isoflop.approaches import require_columns

LEVELS = 30  #: losses at which steps of the batches are compared
FLAT = 1e-9  #: an exponent of the converged losses that is no larger is rounding
LARGE = 10.0  #: a batch this many times the critical one counts as infinite


@dataclass(frozen=True)
class Stepwise:
    """What the procedure found. ``parameters`` starts a joint fit: ``sf.fit(curves, "trajectory", start=...)``."""

    N_c: float
    alpha_N: float
    S_c: float
    alpha_S: float
    B_star: float
    alpha_B: float
    levels: pd.DataFrame  #: loss, S_min and B_crit at each level
    biased: float  #: S_c before the correction for the finite largest batch, over S_c
    doubts: tuple[str, ...]

    @property
    def parameters(self) -> dict[str, float]:
        """The six constants by name."""
        return {name: getattr(self, name) for name in ("N_c", "S_c", "B_star", "alpha_N", "alpha_S", "alpha_B")}


def estimate_stepwise(converged: pd.DataFrame, curves: pd.DataFrame, levels: int = LEVELS) -> Stepwise:
    """Constants of the law ``trajectory``, one after the other.

    ``converged``: columns N and loss, one row per model size, each trained until its loss no longer falls. ``curves``:
    columns N, batch (tokens), step, loss of one model size at two or more batch sizes, rows after warmup. Raises
    InputError for a missing column and IdentificationError if the runs are too few.
    """
    require_columns(converged, ("N", "loss"), "converged")
    require_columns(curves, ("N", "batch", "step", "loss"), "curves")
    if converged["N"].nunique() < 2:
        raise IdentificationError("converged losses of only one model size", todo="add another model size")
    if curves["N"].nunique() != 1 or curves["batch"].nunique() < 2:
        why = f"curves of {curves['N'].nunique()} model sizes at {curves['batch'].nunique()} batch sizes"
        todo = "give one model size at two or more batch sizes, one of them very large"
        raise IdentificationError(why, todo=todo)
    slope, height = _line(converged["N"].to_numpy(float), converged["loss"].to_numpy(float))
    if slope >= -FLAT:
        raise IdentificationError("converged losses do not fall with model size", todo="train the larger models longer")
    floor = float(np.exp(height + slope * np.log(float(curves["N"].iloc[0]))))
    table = _trade_offs(curves, levels)
    B_slope, B_height = _line(table["loss"].to_numpy(), table["B_crit"].to_numpy())
    B_star, alpha_B = float(np.exp(B_height)), float(-1 / B_slope)
    largest = curves[curves["batch"] == curves["batch"].max()]
    loss, step = largest["loss"].to_numpy(float), largest["step"].to_numpy(float)
    first = _steps_term(loss, step, floor)
    noise = critical_batch(loss, B_star, alpha_B) / float(curves["batch"].max())
    S_c, alpha_S = _steps_term(loss, step / (1 + noise), floor)
    doubts = []
    if noise.max() > 1 / LARGE:
        doubts.append(
            f"the largest batch is only {1 / noise.max():.3g} times the critical one at the lowest loss: "
            "the steps with an infinite batch are corrected, not measured"
        )
    if B_slope >= 0:
        doubts.append("the critical batch does not grow as the loss falls")
    return Stepwise(
        float(np.exp(-height / slope)), -slope, S_c, alpha_S, B_star, alpha_B, table, first[0] / S_c, tuple(doubts)
    )


def _line(x: FloatArray, y: FloatArray) -> tuple[float, float]:
    """Slope and height of the least-squares line through the logarithms."""
    slope, height = np.polyfit(np.log(x), np.log(y), 1)
    return float(slope), float(height)


def _steps_term(loss: FloatArray, step: FloatArray, floor: float) -> tuple[float, float]:
    """S_c and alpha_S of loss - floor = (S_c/step)^alpha_S."""
    above = loss > floor
    if above.sum() < 3:
        why = f"the curve at the largest batch size lies below the converged loss {floor:.4g} of its model size"
        raise IdentificationError(why, todo="give converged losses of the same data and tokenizer")
    slope, height = _line(step[above], loss[above] - floor)
    return float(np.exp(-height / slope)), -slope


def _trade_offs(curves: pd.DataFrame, levels: int) -> pd.DataFrame:
    """The trade-off at losses that every batch size has passed, evenly spaced in log loss."""
    batches = np.unique(curves["batch"].to_numpy(float))
    passed = {float(batch): _first_passage(curves[curves["batch"] == batch]) for batch in batches}
    high = min(float(loss[0]) for loss, _ in passed.values())
    low = max(float(loss[-1]) for loss, _ in passed.values())
    if not low < high:
        raise IdentificationError("no loss is passed at every batch size", todo="train the slower runs longer")
    found = []
    for loss in np.geomspace(high, low, levels + 2)[1:-1]:
        steps = [float(np.exp(np.interp(-np.log(loss), -np.log(x), np.log(s)))) for x, s in passed.values()]
        try:
            trade = fit_tradeoff(list(passed), steps)
        except InputError:  # no trade-off at this loss
            continue
        found.append({"loss": float(loss), "S_min": trade.S_min, "B_crit": trade.B_crit})
    if len(found) < 2:
        raise IdentificationError("the steps do not follow S_min (1 + B_crit/batch)", todo="add smaller batch sizes")
    return pd.DataFrame(found)


def _first_passage(rows: pd.DataFrame) -> tuple[FloatArray, FloatArray]:
    """Losses in falling order and the steps at which each was first reached."""
    ordered = rows.sort_values("step")
    loss, step = ordered["loss"].to_numpy(float), ordered["step"].to_numpy(float)
    lowest = np.minimum.accumulate(loss)
    new = np.concatenate([[True], lowest[1:] < lowest[:-1]])
    return lowest[new], step[new]
