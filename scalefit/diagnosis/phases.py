"""Residuals along a curve that stray by phase: the decay of the learning rate, and the first steps of a run."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from scalefit.diagnosis.checks import Check
from scalefit.numerics import FloatArray, robust_sigma
from scalefit.rows.rows import Rows
from scalefit.runs import Trajectory
from scalefit.uncertainty.folds import DECAYED

FEWEST = 3  #: rows of a phase
STRAY = 6.0  #: how many times the noise the median of a phase lies off the law
LEAST = 0.002  #: and the least such error, relative
EARLY = 1 / 3  #: part of a run's rows that can be its first steps
WINDOW = 3  #: rows over which the first steps are smoothed
MANY = 10  #: so many of them tell noise that falls, and single spikes, from what lies off
SHOWN = 3


def stray_phases(rows: Rows, residuals: FloatArray, unit: float) -> list[Check]:
    """A warning where the rows under a decayed learning rate lie off the law, though the others follow it.

    ``residuals`` (n,) are predicted minus measured, ``unit`` is the size of one of 1.
    """
    if not rows.paths:
        return []
    names, steps = rows.frame["run"].astype(str).to_numpy(), rows.frame["step"].to_numpy()
    decayed = _decayed(names, steps, rows.paths)
    if min(decayed.sum(), (~decayed).sum()) < FEWEST:
        return []
    noise = robust_sigma(residuals[~decayed] - np.median(residuals[~decayed]))
    found = {}
    for run in dict.fromkeys(names[decayed]):
        mine = decayed & (names == run)
        off = -float(np.median(residuals[mine]))
        if mine.sum() >= FEWEST and abs(off) > max(STRAY * noise, LEAST * unit):
            found[run] = off
    if not found:
        return []
    worst = max(found, key=lambda run: abs(found[run]))
    side = "above" if found[worst] > 0 else "below"
    shown = ", ".join(list(found)[:SHOWN]) + (", ..." if len(found) > SHOWN else "")
    size = f"{abs(found[worst]) / max(noise, 1e-300):.2g} sigma" if noise > 0 else "far"
    text = f"the rows of decayed learning rate of {len(found)} runs ({shown}) lie off the law, up to {size} {side} it"
    return [Check("stray-phase", f"{text}: it misses what the decay does; fit another law along the schedule")]


def _decayed(names: np.ndarray, steps: np.ndarray, paths: Mapping[str, Trajectory]) -> np.ndarray:
    """Whether the learning rate at each row is well below the peak of its run, (n,)."""
    found = np.zeros(len(steps), dtype=bool)
    for run, path in paths.items():
        mine = names == run
        found[mine] = path.lr[steps[mine]] < DECAYED * path.lr.max()
    return found


def first_steps(runs: np.ndarray, steps: np.ndarray, residuals: FloatArray) -> int:
    """The step up to which curves lie off a law that they follow afterwards; 0 where there are no such steps.

    ``runs``, ``steps`` and ``residuals`` have one entry a row, (n,), those of a run in order. The first steps are at
    most the first third of a run's rows.
    """
    last = 0
    for _, mine in pd.DataFrame({"step": steps, "residual": residuals}).groupby(runs):
        count = int(EARLY * len(mine))
        if count < FEWEST:
            continue
        early, late = np.split(mine["residual"].to_numpy(), [count])
        noise = robust_sigma(late - np.median(late))
        smooth = mine["residual"].rolling(WINDOW, min_periods=1).median().to_numpy()[:count]
        if count >= MANY:
            noise = max(noise, robust_sigma(np.diff(early)) / np.sqrt(2))
            smooth = pd.Series(early).rolling(WINDOW).median().bfill().to_numpy()
        off = np.flatnonzero(np.abs(smooth - np.median(late)) > max(STRAY * noise, LEAST))
        if len(off):
            last = max(last, int(mine["step"].to_numpy()[off[-1]]))
    return last


def transient(rows: Rows, residuals: FloatArray) -> list[Check]:
    """A warning where the first steps of curves are no part of the law."""
    if "step" not in rows.frame.columns or not rows.in_curves:
        return []
    step = first_steps(rows.run_codes, rows.frame["step"].to_numpy(), residuals)
    if not step:
        return []
    first = f"the first {step} steps lie" if step > 1 else "the first step lies"
    text = f"{first} off the law that the curves follow afterwards, by more than {STRAY:g} sigma"
    return [Check("transient", f"{text}: leave {'them' if step > 1 else 'it'} out with --skip auto (or --skip {step})")]
