"""What a figure shows, as tables: the fitted rows and the held-out ones, each with its measured and predicted value."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from scalefit.errors import FitWarning, InputError
from scalefit.fitting.result import Fit
from scalefit.numerics import errors
from scalefit.plots.labels import percent
from scalefit.runs import Runs, runs_of
from scalefit.schedules import Schedule, parse_schedule

SIGMAS = 5.0  #: rows that are off by more than this many times the noise are marked


def fitted_rows(fit: Fit) -> pd.DataFrame:
    """The fitted rows: run, step where there is one, the law's columns, ``measured`` and ``predicted``."""
    points = fit.points
    values = {name: np.asarray(column, dtype=np.float64) for name, column in points.variables.items()}
    frame = pd.DataFrame({"run": points.runs, "measured": points.values})
    frame = frame if points.steps is None else frame.assign(step=points.steps)
    frame = frame.assign(**{fit.law.columns[name]: column for name, column in values.items() if column.ndim == 1})
    return frame.assign(predicted=fit.evaluate(values) + np.zeros(len(frame)))


def held_rows(fit: Fit, held_out: Runs | pd.DataFrame | None) -> pd.DataFrame:
    """The same table for held-out runs, with ``low`` and ``high`` where predictions have them.

    ``measured`` is NaN where nothing was measured. Rows that were fitted are left out: they are no test of the fit.
    """
    if held_out is None:
        return fitted_rows(fit).iloc[:0]
    frame = _renamed(_quietly(fit, held_out), fit.target)
    if not len(frame):
        raise InputError("there are no held-out rows", where="plot", todo="check the expression that selects them")
    frame = frame[~frame.pop("fitted")].reset_index(drop=True) if "fitted" in frame.columns else frame
    return frame if "measured" in frame.columns else frame.assign(measured=np.nan)


def predicted(fit: Fit, at: Mapping[str, Any]) -> pd.DataFrame:
    """Predictions at variables given by name, with the column ``predicted``."""
    return _renamed(_quietly(fit, **dict(at)), fit.target)


def _quietly(fit: Fit, *data: Runs | pd.DataFrame, **at: Any) -> pd.DataFrame:
    """Predictions without the warnings of Python: a figure shows them itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        return fit.predict(*data, **at)


def _renamed(frame: pd.DataFrame, target: str) -> pd.DataFrame:
    """Predictions as figures read them: the column ``predicted``, and no interval where the fit has none."""
    without = ["low", "high"] if frame["low"].isna().all() else []
    return frame.rename(columns={target: "predicted"}).drop(columns=without)


def plan_of(schedule: str | Schedule) -> Schedule:
    """A schedule from its text."""
    return parse_schedule(schedule) if isinstance(schedule, str) else schedule


def as_runs(data: Runs | pd.DataFrame | None) -> Runs | None:
    """Run logs from a table."""
    return None if data is None else runs_of(data)


def residuals(fit: Fit, rows: pd.DataFrame) -> np.ndarray:
    """(n,) how far each row lies above the law, in the unit of the fit's noise: a ratio minus 1, or a difference."""
    measured = np.asarray(rows["measured"], dtype=np.float64)
    predicted = np.asarray(rows["predicted"], dtype=np.float64)
    return measured / predicted - 1 if fit.settings.residuals == "log" else measured - predicted


def far_out(fit: Fit, rows: pd.DataFrame) -> np.ndarray:
    """(n,) which rows are off by more than five times the fit's noise."""
    if not fit.sigma > 0:
        return np.zeros(len(rows), dtype=bool)
    far: np.ndarray = np.abs(residuals(fit, rows)) > SIGMAS * fit.sigma
    return far


def error_text(fit: Fit, rows: pd.DataFrame) -> str:
    """The mean error on rows that were measured, such as "1.2 %"; "" where there are none."""
    rows = rows[np.isfinite(rows["measured"])]
    if not len(rows):
        return ""
    found = errors(rows["predicted"].to_numpy(), rows["measured"].to_numpy())
    return percent(found["mean_relative"]) if fit.settings.residuals == "log" else f"rms {found['rmse']:.3g}"


def thinned(count: int, most: int) -> np.ndarray:
    """Positions of at most ``most`` of ``count`` rows, evenly spread, the first and the last among them.

    >>> thinned(100, 4).tolist(), thinned(2, 4).tolist()
    ([0, 33, 66, 99], [0, 1])
    """
    return np.linspace(0, count - 1, min(count, most)).astype(np.int64)
