"""Whether these rows identify the parameters of a law: directions in which no prediction changes, too much noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scalefit.solver.model import BoundLaw
from scalefit.solver.solve import Solution

SINGULAR = 1e-11  #: a singular value below this fraction of the largest one is zero
SHARE = 0.1  #: a parameter with this share of a direction belongs to it
TODO = "hold one with --fix, or add runs over a wider range"
MOST_ROWS = 4000  #: rows that suffice to see which directions are identified


def undetermined(model: BoundLaw, solution: Solution) -> str:
    """Which parameters these rows do not identify, in one sentence; empty where they identify all.

    Either some parameters can change together without changing any prediction (the scaled Jacobian is singular), or
    the standard error of a non-linear one is larger than the range in which it was searched.
    """
    rows = slice(None, None, max(1, model.n // MOST_ROWS))
    value, jacobian = model.take(rows).jacobian(solution.theta[None])
    matrix = jacobian[0] / value[0] if solution.objective.space == "log" else jacobian[0]
    size = np.sqrt(np.sum(matrix**2, axis=1))
    inside = (solution.theta > model.low) & (solution.theta < model.high) & (size > 0)
    if not np.isfinite(matrix).all():
        return ""
    idle = _idle(model, solution, size, rows)
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
    errors = solution.sigma * shrink * np.sqrt(np.sum((directions.T / singular) ** 2, axis=1)) / size[inside]
    wide = [
        c.name
        for c, error in zip(free, errors, strict=True)
        if not c.linear and not c.signed and error > c.start[1] - c.start[0]
    ]
    what = f"{listed(wide)} cannot be identified: the noise leaves a standard error wider than the range searched"
    return f"{what}; {TODO}" if wide else ""


def _idle(model: BoundLaw, solution: Solution, size: np.ndarray, rows: slice) -> list[str]:
    """The parameters on which no prediction depends, also where the terms that are zero at the optimum are not."""
    quiet = (size == 0) & (solution.theta > model.low) & (solution.theta < model.high)
    if not quiet.any():
        return []
    linear = np.array([coordinate.linear for coordinate in model.coordinates])
    theta = np.where(linear & (solution.theta == 0), 1.0, solution.theta)
    jacobian = model.take(rows).jacobian(theta[None])[1][0]
    still = quiet & (jacobian == 0).all(axis=1)
    return [coordinate.name for coordinate, idle in zip(model.coordinates, still, strict=True) if idle]


def listed(names: Sequence[str]) -> str:
    """Names in a sentence.

    >>> listed(["A", "B", "alpha"])
    'A, B and alpha'
    """
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
