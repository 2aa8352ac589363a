"""Whether these rows identify the parameters of a law: directions in which no prediction changes, too much noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from scalefit.numerics import FloatArray
from scalefit.solver.descent import descend
from scalefit.solver.model import BoundLaw
from scalefit.solver.solve import Solution
from scalefit.uncertainty.calibration import LEVEL, student
from scalefit.uncertainty.profile import Search

SINGULAR = 1e-11  #: a singular value below this fraction of the largest one is zero
IDLE = 1e-13  #: change of a prediction, as a share of it, that is rounding
SHARE = 0.1  #: a parameter with this share of a direction belongs to it
TODO = "hold one with --fix, or add runs over a wider range"
AS_WELL = 0.25  #: rise of the objective, in units of the noise, below which another value fits as well
CERTAIN = 0.05  #: standard error, as a share of the range searched, below which a parameter is not profiled
PROFILED_ROWS = 400  #: rows that suffice for a profile
MOST_ROWS = 4000  #: rows that suffice to see which directions are identified


def undetermined(model: BoundLaw, values: FloatArray, weights: FloatArray | None, solution: Solution) -> str:
    """Which parameters these rows do not identify, in one sentence; empty where they identify all.

    Either some parameters can change together without changing any prediction (the scaled Jacobian is singular), or
    the profile of a searched one is flat over the range in which it was searched.
    """
    rows = slice(None, None, max(1, model.n // MOST_ROWS))
    value, jacobian = (found[0] for found in model.take(rows).jacobian(solution.theta[None]))
    matrix = jacobian / value if solution.objective.space == "log" else jacobian
    if not np.isfinite(matrix).all():
        return ""
    largest = np.abs(matrix).max(axis=1, initial=0.0)  # whose square may be beyond all floats
    with np.errstate(over="ignore"):
        size = largest * np.sqrt(np.sum((matrix / np.where(largest > 0, largest, 1.0)[:, None]) ** 2, axis=1))
    inside = (solution.theta > model.low) & (solution.theta < model.high) & (size > 0)
    idle = _idle(model, solution, matrix, rows)
    if idle:
        return f"{listed(idle)} cannot be identified: no prediction for these rows depends on it; {TODO}"
    if not inside.any():
        return ""
    free = [coordinate for coordinate, free in zip(model.coordinates, inside, strict=True) if free]
    scaled = (matrix[inside] / size[inside, None]).T
    _, singular, directions = np.linalg.svd(scaled, full_matrices=len(scaled) < len(free))
    singular = np.pad(singular, (0, len(free) - len(singular)))
    if singular[-1] <= SINGULAR * singular[0]:
        tied = [c.name for c, share in zip(free, directions[-1], strict=True) if abs(share) > SHARE]
        return f"{listed(tied)} can change together without changing any prediction for these rows; {TODO}"
    shrink = np.sqrt(scaled.shape[0] / model.n)
    errors = np.zeros(len(inside))
    errors[inside] = solution.sigma * shrink * np.sqrt(np.sum((directions.T / singular) ** 2, axis=1)) / size[inside]
    wide = unsettled(model, values, weights, solution, errors)
    what = f"{listed(wide)} cannot be identified: other values, over the whole range searched, fit these rows as well"
    return f"{what}; {TODO}" if wide else ""


def _idle(model: BoundLaw, solution: Solution, slopes: FloatArray, rows: slice) -> list[str]:
    """The parameters on which no prediction depends, also where the terms that are zero at the optimum are not.

    A threshold that has gone so far that predictions change by rounding alone is one of them.
    """
    inside = (solution.theta > model.low) & (solution.theta < model.high)
    quiet = inside & _without_effect(model, solution.theta, slopes)
    if not quiet.any():
        return []
    theta = np.where(model.linear & (solution.theta == 0), 1.0, solution.theta)
    value, jacobian = (found[0] for found in model.take(rows).jacobian(theta[None]))
    still = quiet & _without_effect(model, theta, jacobian / np.where(value == 0, 1.0, value))
    return [coordinate.name for coordinate, idle in zip(model.coordinates, still, strict=True) if idle]


def _without_effect(model: BoundLaw, theta: FloatArray, slopes: FloatArray) -> NDArray[np.bool_]:
    """Whether predictions change by rounding alone where a searched coordinate moves by itself or over its range, and
    not at all where a linear one does, (p,)."""
    searched = np.array([np.ptp(one.searched) for one in model.coordinates])
    unit = np.where(model.log, 1.0, np.maximum(np.abs(theta), searched))
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(np.abs(slopes).max(axis=1, initial=0.0) * unit <= np.where(model.linear, 0.0, IDLE))


def unsettled(
    model: BoundLaw, values: FloatArray, weights: FloatArray | None, solution: Solution, errors: FloatArray
) -> list[str]:
    """Searched parameters that can be moved to both ends of the range in which they were searched.

    The others are re-optimised there. ``errors`` are the standard errors by local curvature, (p,): where they are below
    a twentieth of the range it is not tried. Of a floor they tell nothing: next to the least value of its variable it
    has a narrow minimum of its own, beside a wide one that is nearly as low. A floor is not identified where no floor
    at all, the lower end of its domain, lies within its 90 % profile interval.
    """
    thin = slice(None, None, max(1, model.n // PROFILED_ROWS))
    part, some = model.condensed_at(solution.theta).take(thin), values[thin]
    own = None if weights is None else weights[thin]
    here = replace(solution, residuals=solution.residuals[thin])
    if thin.step > 1:
        ones = np.ones(len(some)) if own is None else own
        found = descend(part, solution.objective, some, ones, solution.theta[None])
        here = replace(here, theta=found.theta[0], cost=float(found.objective[0]))
    wide = []
    for j, (coordinate, error) in enumerate(zip(model.coordinates, errors, strict=True)):
        floor, span = coordinate.name in model.law.floors, coordinate.start[1] - coordinate.start[0]
        if coordinate.linear or coordinate.signed or here.cost <= 0 or not (floor or error > CERTAIN * span):
            continue
        search = Search(part, some, own, here, j)
        ends = sorted(coordinate.start, key=lambda end, at=here.theta[j]: -abs(end - at))  # type: ignore[misc]
        most = AS_WELL
        if floor:
            ends, most = [coordinate.low], student(LEVEL, max(part.n - len(errors), 1)) ** 2
        if all(search.deviance(float(end), most) < most for end in ends):
            wide.append(coordinate.name)
    return wide


def hardly_known(model: BoundLaw, values: FloatArray, weights: FloatArray | None, solution: Solution) -> list[str]:
    """Sentences on the parameters of the law's ``hardly`` list of which twice or half fits these rows nearly as well.

    By profile: the others are re-optimised, and the objective rises by less than a 90 % interval allows.
    """
    found = []
    freedom = max(model.n - len(model.coordinates), 1)
    for j, coordinate in enumerate(model.coordinates):
        inside = solution.theta[j] > coordinate.low  # at the upper end half may fit as well
        if coordinate.name not in model.law.hardly or not inside or solution.cost <= 0:
            continue
        search = Search(model.condensed_at(solution.theta), values, weights, solution, j)
        value = float(np.exp(solution.theta[j])) if coordinate.log else float(solution.theta[j])
        others = [(word, value * times) for word, times in (("twice", 2.0), ("half", 0.5))]
        places = [(word, float(np.log(v)) if coordinate.log else v) for word, v in others]
        allowed = student(LEVEL, freedom) ** 2
        as_well = [word for word, at in places if at < coordinate.high and search.deviance(at, allowed) < allowed]
        if as_well:
            text = f"{coordinate.name} = {value:.3g} is hardly identified: {' and '.join(as_well)} as much"
            lies = "lie" if len(as_well) > 1 else "lies"
            todo = f"hold it with --fix {coordinate.name}=VALUE, or add runs that tell"
            found.append(f"{text} {lies} inside its 90 % profile interval; {todo}")
    return found


def open_above(model: BoundLaw, values: FloatArray, weights: FloatArray | None, solution: Solution, name: str) -> bool:
    """Whether a searched parameter at the upper end of the law's own domain might as well lie at half of it.

    Rows that tell it from the least start bound it from below alone (a power that has become an exponential), and
    where its domain ends changes nothing that they tell. By profile: the others are re-optimised.
    """
    j = next(i for i, coordinate in enumerate(model.coordinates) if coordinate.name == name)
    coordinate, at = model.coordinates[j], float(solution.theta[j])
    high = float(np.exp(coordinate.high)) if coordinate.log else coordinate.high
    own = 0 < high < np.inf and bool(np.isclose(high, model.law.parameters[name].high))
    if coordinate.linear or not own or coordinate.high - at > at - coordinate.low or not solution.cost > 0:
        return False
    half = float(np.log(high / 2)) if coordinate.log else high / 2
    allowed = student(LEVEL, max(model.n - len(model.coordinates), 1)) ** 2
    search = Search(model, values, weights, solution, j)
    as_well = coordinate.low < half and abs(search.deviance(half)) < allowed
    return as_well and search.deviance(coordinate.start[0]) >= allowed


def listed(names: Sequence[str]) -> str:
    """Names in a sentence.

    >>> listed(["A", "B", "alpha"])
    'A, B and alpha'
    """
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
