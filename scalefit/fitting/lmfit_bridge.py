"""A fit as lmfit Parameters with bounds and ties, and a law as lmfit Model (the reference that tests compare with)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit.laws.law import Law

if TYPE_CHECKING:
    from scalefit.fitting.result import Fit


def to_lmfit(fit: Fit) -> Any:
    """``lmfit.Parameters`` of a fit: values, bounds, fixed ones, ties as expressions.

    There are no standard errors: those of lmfit are wrong after a robust loss.
    """
    import lmfit

    found = lmfit.Parameters()
    for name in [*(n for n in fit.law.parameters if n not in fit.ties), *fit.ties]:
        low, high = fit.bounds.get(name, (None, None))
        declared = fit.law.parameters[name]
        found.add(
            name,
            value=fit.parameters[name],
            min=declared.low if low is None else low,
            max=declared.high if high is None else high,
            vary=name not in fit.fixed,
            expr=fit.ties.get(name),
        )
    return found


def to_model(law: Law) -> Any:
    """The law as ``lmfit.Model``: the same formula, the variables independent."""
    import lmfit

    def evaluate(**values: Any) -> Any:
        variables = {name: values[name] for name in law.variables}
        return np.asarray(law.evaluate(variables, {name: values[name] for name in law.parameters}))

    return lmfit.Model(evaluate, independent_vars=list(law.variables), param_names=list(law.parameters), name=law.spec)
