"""What the first stage of a staged law holds in the second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from scalefit.errors import InputError, counted
from scalefit.laws import find_law
from scalefit.laws.law import Law
from scalefit.numerics import FloatArray
from scalefit.solver.model import BoundLaw, bind
from scalefit.solver.solve import Settings, solve


def held_by_base(
    law: Law, variables: Mapping[str, FloatArray], values: FloatArray, settings: Settings
) -> dict[str, float]:
    """The parameters that the law's base holds, fitted to its own rows. Raises InputError for too few."""
    base = law.base
    if base is None:
        return {}
    first, chosen = find_law(base.law), np.flatnonzero(base.rows(variables))
    model = bind(first, {name: variables[name][chosen] for name in first.variables}, tie=dict(base.ties))
    if len(chosen) <= len(model.coordinates):
        need = f"{len(model.coordinates) + 1} are needed"
        what, todo = (
            f"only {counted(len(chosen), 'run')} {base.what} ({need})",
            "add such runs, or take procedure=joint",
        )
        raise InputError(what, where=f"law {law.spec}", todo=todo)
    first.check(model.variables)
    solution = solve(model, values[chosen], None, replace(settings, delta=base.delta))
    return base.held(dict(zip(first.parameters, map(float, model.vector(solution.theta[None])[0]), strict=True)))


def held_again(whole: BoundLaw, part: BoundLaw, values: FloatArray, inner: FloatArray, settings: Settings) -> BoundLaw:
    """A part of the rows bound with what the base gives on that part alone, so that a back-test sees no held-out row.

    ``values`` and ``inner`` are those of the whole and of the part; what the user holds stays.
    """
    if part.law.base is None:
        return part
    all_rows = held_by_base(whole.law, whole.variables, values, settings)
    own = held_by_base(part.law, part.variables, inner, settings)
    moved = {name: value for name, value in own.items() if whole.fixed.get(name) == all_rows[name]}
    return replace(part, fixed={**part.fixed, **moved})
