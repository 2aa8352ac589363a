"""How much compute a difference of losses is worth: of two recipes, or of one run over a fitted baseline."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from scalefit.errors import InputError
from scalefit.fitting.result import Fit
from scalefit.numerics import FloatArray
from scalefit.planning.allocation.bottom import falling_root
from scalefit.planning.allocation.spread import constants_of, ends
from scalefit.planning.allocation.targets import fixed_of
from scalefit.runs.quantities import quantity

GAINS = (-16.0, 16.0)  #: natural logarithms of the factors of compute that are searched


def kind_of(target: Mapping[str, float]) -> str:
    """C, or ND, by what the target gives."""
    if set(target) == {"C"}:
        return "C"
    if set(target) == {"N", "D"}:
        return "ND"
    given = ", ".join(target) or "nothing"
    raise InputError(f"the target gives {given}", where="compare_recipes", todo="give C=1e23, or N=7B and D=2T (--at)")


def scaled(target: Mapping[str, float], log_factor: FloatArray) -> dict[str, FloatArray]:
    """The target with its compute times a factor, at the same D/N."""
    power = 1.0 if "C" in target else 0.5
    return {name: value * np.exp(power * log_factor) for name, value in target.items()}


def factor_to(line: Callable[[FloatArray], FloatArray], count: int) -> FloatArray:
    """(count,) the factor of compute at which falling lines (count, 1) of its logarithm cross 0.

    Infinite where a line stays above 0, and 0 where it is below throughout.
    """
    low, high = (np.full(count, end) for end in GAINS)
    found = np.exp(falling_root(line, low, high))
    never = line(high[:, None])[:, 0] > 0
    return np.where(np.isnan(found), np.where(never, np.inf, 0.0), found)


def compute_gain(fit: Fit, loss: Any, **at: Any) -> tuple[float, float, float]:
    """The compute-equivalent gain of one run over a fitted baseline, with its 90 % interval.

    ``loss``: of the run at ``at`` (C, or N and D). The gain is the compute at which the baseline reaches that loss, at
    the same D/N, over the run's own: 1 where the run lies on the baseline. The interval counts the draws and the noise
    of one run.

    >>> import pandas as pd
    >>> C = np.geomspace(1e18, 1e21, 8)
    >>> from scalefit.fitting.fit import fit
    >>> baseline = fit(pd.DataFrame({"C": C, "loss": 1.7 + 20 * C**-0.08}), "power-floor:over=C")
    >>> round(compute_gain(baseline, 1.7 + 20 * 2e20**-0.08, C=1e20)[0], 3)
    2.0
    """
    target = fixed_of(at, "compute_gain")
    kind = kind_of(target)
    columns = set(fit.law.columns.values())
    if columns != ({"C"} if kind == "C" else {"N", "D"}):
        what = f"law {fit.law.name} reads {', '.join(sorted(columns))}, the run gives {', '.join(target)}"
        raise InputError(what, where="compute_gain", todo="give what the law reads")
    table, law = constants_of(fit), fit.law
    measured = quantity(loss) if isinstance(loss, str) else float(loss)
    rng = np.random.default_rng(0)
    noise = fit.sigma * rng.standard_normal(len(table))
    noise[0] = 0.0
    aim = measured * np.exp(noise) if fit.settings.residuals == "log" else measured + noise
    constants = {name: table[:, j, None] for j, name in enumerate(law.parameters)}

    def line(x: FloatArray) -> FloatArray:
        values = scaled(target, x)
        with np.errstate(all="ignore"):
            made = law.evaluate({name: values[column] for name, column in law.columns.items()}, constants)
        return np.asarray(made - aim[:, None])

    found = factor_to(line, len(table))
    few = fit.intervals.few if fit.intervals else 1.0
    return float(found[0]), *ends(found, few)
