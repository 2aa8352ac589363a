"""``plot_fit``: the figure that suits a law."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from scalefit.errors import InputError
from scalefit.fitting.result import Fit
from scalefit.plots import labels
from scalefit.plots.curves import plot_curves
from scalefit.plots.parity import plot_parity
from scalefit.plots.scaling import plot_scaling
from scalefit.plots.sizes import plot_sizes, suits_sizes
from scalefit.rows.asked import asked_of, read_point
from scalefit.runs import Runs
from scalefit.runs.table import DERIVED
from scalefit.schedules import Schedule


def plot_fit(
    fit: Fit,
    held_out: Runs | pd.DataFrame | None = None,
    *,
    schedule: str | Schedule | None = None,
    at: Mapping[str, Any] | None = None,
    ax: Axes | None = None,
    **options: Any,
) -> Axes:
    """Draw a fit by the figure of its family and return the axes.

    A law of the whole schedule: :func:`plot_curves`; of one variable: :func:`plot_scaling`; of N and D:
    :func:`plot_sizes`; any other: :func:`plot_parity`.

    Args:
        held_out: runs that were not fitted; drawn hollow, with their prediction.
        schedule, at: what is predicted and marked, with its prediction interval: the curve of a schedule never run,
            one point, or several (``at={"N": [7e9, 70e9], "D": "2T"}``). A variable of the law may also be given as a
            keyword: ``N=7e9, D="2T"``.
        options: the other keywords of that figure.

    Raises:
        InputError: the law has no such variable, or follows no schedule.
    """
    figure = _figure(fit)
    known = inspect.signature(figure).parameters
    columns = fit.law.columns.values()
    given = {name: options.pop(name) for name in list(options) if name in columns or name not in known}
    asked = {**(options.pop("target", None) or {}), **(at or {}), **given}
    target = read_point(asked, {*asked_of(fit.law), "schedule"})
    if schedule is not None:
        target["schedule"] = schedule
    if target and not (fit.law.is_trajectory and "schedule" not in target):  # the figure refuses that
        _refuse_unknown(fit, target)
    return figure(fit, held_out, ax=ax, target=target or None, **options)


def _figure(fit: Fit) -> Callable[..., Axes]:
    if fit.law.is_trajectory:
        return plot_curves
    if len(fit.law.columns) == 1:
        return plot_scaling
    return plot_sizes if suits_sizes(fit) else plot_parity


def _refuse_unknown(fit: Fit, target: Mapping[str, Any]) -> None:
    """Raise where a prediction is asked for at something that the law does not read."""
    law = fit.law
    read = [name for name in law.columns.values() if name in labels.WORDS or not law.is_trajectory]
    read += [*law.path_columns, *(["schedule"] if law.is_trajectory else [])]
    known = {*read, *law.columns, *(() if law.is_trajectory else DERIVED)}
    unknown = [name for name in target if name not in known]
    if "schedule" in unknown:
        todo = f"leave the schedule out, and give {', '.join(read)}"
        raise InputError(f"law {law.name} does not follow a learning-rate schedule", where="plot", todo=todo)
    if unknown:
        raise InputError(f'law {law.name} has no variable "{unknown[0]}"', where="plot", todo=f"give {', '.join(read)}")
