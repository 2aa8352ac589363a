"""The loss at the end of a schedule, by the fit and each of its draws; and what no law can be asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scalefit.errors import InputError
from scalefit.fitting.result import Fit
from scalefit.numerics import FloatArray
from scalefit.planning.allocation.spread import constants_of
from scalefit.schedules import Schedule

IDLE = 0.01  #: share of a run at a learning rate of zero above which it is padding
SAME_PEAK = 1.02
SAME_LENGTH = 1.05  #: runs within this factor of each other are of one length
LEAST_FREEDOM = 2  #: runs less lengths from which a resolution is given
BEYOND_TWO = 1.6449 * 2**0.5  #: of the scatter of one error, what the difference of two exceeds in one of ten pairs


def final_losses(fit: Fit, plans: Sequence[Schedule], at: Mapping[str, float]) -> FloatArray:
    """(1 + draws, n): the law's loss at the last step of each schedule, for the fit and for its draws.

    ``at``: what else the law reads of a run (N, for one).
    """
    table, law = constants_of(fit), fit.law
    columns = []
    for plan in plans:
        steps = np.array([plan.steps])
        marks = {column: _given(fit, column, at) for column in law.path_columns}
        variables = law.at_steps(plan.per_step(), plan.warmup, steps, **marks)
        for name, column in law.columns.items():
            if name not in variables:
                variables[name] = np.array([_given(fit, column, at)])
        columns.append(fit.estimate.values(variables, table)[:, 0])
    return np.stack(columns, axis=1)


def _given(fit: Fit, column: str, at: Mapping[str, float]) -> float:
    if column not in at:
        raise InputError(f"law {fit.law.name} also reads {column}", where="schedules", todo=f"give {column}=...")
    return at[column]


def refuse_other_laws(fit: Fit) -> None:
    """Raise InputError for a law that knows no schedule."""
    if not fit.law.is_trajectory:
        todo = "fit curves under two or more schedules by a law along the run, such as annealing"
        raise InputError(f"law {fit.law.name} does not read the schedule", where="schedules", todo=todo)


def refuse_unphysical(fit: Fit, plans: Mapping[str, Schedule]) -> None:
    """Raise InputError for schedules that a law of areas rewards for what no training would.

    Every step at a learning rate of zero lowers its loss while nothing is trained; so does every higher peak, without
    bound.
    """
    peaks = {name: float(plan.per_step().max()) for name, plan in plans.items()}
    for name, plan in plans.items():
        idle = float(np.mean(plan.per_step()[1:] == 0.0))
        if idle > IDLE:
            what = f"{name} is at a learning rate of zero for {100 * idle:.0f} % of its steps"
            why = f"law {fit.law.name} lets the loss fall there, though nothing is trained"
            raise InputError(f"{what}; {why}", where="schedules", todo="end the schedule where its rate reaches zero")
    low, high = min(peaks, key=lambda n: peaks[n]), max(peaks, key=lambda n: peaks[n])
    if peaks[high] > SAME_PEAK * peaks[low] and "R1" not in fit.law.variables:
        what = f"peak learning rates from {peaks[low]:g} ({low}) to {peaks[high]:g} ({high})"
        why = f"law {fit.law.name} prefers any higher peak, without bound"
        raise InputError(
            f"{what}: {why}", where="schedules", todo="compare schedules of one peak, or fit annealing-transfer"
        )


def resolution(fit: Fit) -> float:
    """The difference of final losses below which this law cannot order schedules; NaN from fewer than three runs.

    Each run's end is predicted by the law refitted without that run; within runs of one length, so that a common level
    cancels, the scatter s of these errors gives differences that exceed sqrt(2) 1.645 s in one of ten pairs.
    """
    points, law = fit.points, fit.law
    runs = np.asarray(points.runs)
    names = [name for name in dict.fromkeys(points.runs) if fit.without.get(name)]
    errors, lengths = [], []
    for name in names:
        last = int(np.flatnonzero(runs == name)[-1])
        variables = {
            key: np.asarray(column, dtype=np.float64)[last : last + 1] for key, column in points.variables.items()
        }
        constants = dict(zip(law.parameters, fit.without[name], strict=True))
        errors.append(float(points.values[last] - np.squeeze(law.evaluate(variables, constants))))
        lengths.append((points.steps or (0,))[last])
    if not lengths:
        return float("nan")
    ordered, place = np.unique(np.log(lengths), return_inverse=True)
    groups = np.cumsum(np.diff(ordered, prepend=ordered[0]) > np.log(SAME_LENGTH))[place]
    freedom = len(errors) - len(np.unique(groups))
    if freedom < LEAST_FREEDOM:
        return float("nan")
    apart = np.array(errors)
    for group in np.unique(groups):
        apart[groups == group] -= apart[groups == group].mean()
    return float(BEYOND_TWO * np.sqrt(apart @ apart / freedom))


def budget_of(fit: Fit, steps: Any, peak_lr: Any, warmup: int | None = None) -> tuple[int, float, int]:
    """Length, peak and warmup of the candidates: as given, else the longest fitted run's and those of the fitted runs.

    Of several warmups it is the longest that leaves half of the run.
    """
    from scalefit.planning.allocation.targets import positive

    if steps is None:
        steps = max(fit.points.steps or (0,))
    if peak_lr is None:
        fitted = fit.recipe.get("peak_lr")
        if not fitted or fitted[1] > SAME_PEAK * fitted[0]:
            todo = "give the peak of the candidates (--lr)"
            raise InputError("the fitted runs have no one peak learning rate", where="schedules", todo=todo)
        peak_lr = fitted[1]
    length = int(positive("steps", steps))
    if warmup is None:
        warmup = min(int(fit.recipe.get("warmup", (0,))[-1]), length // 2)
    return length, positive("lr", peak_lr), warmup
