"""Whether rows determine the parameters of a law: directions in which no prediction changes, and too much noise."""

from __future__ import annotations

import numpy as np

from scalefit.solver.model import BoundLaw
from scalefit.solver.solve import Solution

SINGULAR = 1e-11  #: a singular value below this fraction of the largest one is zero
SHARE = 0.1  #: a parameter with this share of a direction belongs to it
MOST_ROWS = 4000  #: rows that suffice to see which directions are determined


def undetermined(model: BoundLaw, solution: Solution) -> str:
    """What these rows leave open at the optimum, in one sentence; empty where all is determined.

    Either some parameters can change together without changing any prediction (the scaled Jacobian is singular), or
    the noise leaves a non-linear one wider than the range in which it was sought.
    """
    rows = slice(None, None, max(1, model.n // MOST_ROWS))
    value, jacobian = model.take(rows).jacobian(solution.theta[None])
    matrix = jacobian[0] / value[0] if solution.objective.space == "log" else jacobian[0]
    size = np.sqrt(np.sum(matrix**2, axis=1))
    inside = (solution.theta > model.low) & (solution.theta < model.high) & (size > 0)
    if not inside.any() or not np.isfinite(matrix).all():
        return ""
    names = [coordinate.name for coordinate, free in zip(model.coordinates, inside, strict=True) if free]
    scaled = (matrix[inside] / size[inside, None]).T
    _, singular, directions = np.linalg.svd(scaled, full_matrices=len(scaled) < len(names))
    singular = np.pad(singular, (0, len(names) - len(singular)))
    if singular[-1] <= SINGULAR * singular[0]:
        free = [name for name, share in zip(names, directions[-1], strict=True) if abs(share) > SHARE]
        return (
            f"{_and(free)} can change together without changing the fit of these rows: hold one with fix, or add runs"
        )
    shrink = np.sqrt(scaled.shape[0] / model.n)
    errors = solution.sigma * shrink * np.sqrt(np.sum((directions.T / singular) ** 2, axis=1)) / size[inside]
    wide = [
        c.name
        for c, error in zip([c for c, free in zip(model.coordinates, inside, strict=True) if free], errors, strict=True)
        if not c.linear and not c.signed and error > c.start[1] - c.start[0]
    ]
    return f"the noise leaves {_and(wide)} open: add runs over a wider range, or hold it with fix" if wide else ""


def _and(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
