"""The same law fitted in other defensible ways: how much a prediction depends on choices that the data do not make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from scalefit.errors import InputError
from scalefit.laws.law import Law
from scalefit.numerics import FloatArray
from scalefit.rows.door import check_identified
from scalefit.rows.rows import Rows
from scalefit.rows.scale import scale_of
from scalefit.solver.model import BoundLaw
from scalefit.solver.solve import Settings, Solution, solve
from scalefit.uncertainty.estimate import Estimate

PAPERS = 1e-3  #: the threshold of the robust loss that the papers use
SMALLEST = 1 / 3  #: share of the rows, the smallest ones, that are left out
MOST_ROWS = 4000


def other_choices(
    law: Law, model: BoundLaw, rows: Rows, weights: FloatArray | None, settings: Settings, solution: Solution
) -> dict[str, tuple[float, ...]]:
    """The parameters under other choices, by the name of the choice; those that cannot be fitted are left out."""
    assert rows.values is not None
    every = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), MOST_ROWS)).astype(np.intp))
    scale = scale_of(law, dict(rows.variables))
    larger = every[scale[every] > np.quantile(scale, SMALLEST)]
    tried = {
        "delta auto": (every, replace(settings, loss="huber", delta="auto")),
        "delta 1e-3": (every, replace(settings, loss="huber", delta=PAPERS)),
        "least squares": (every, replace(settings, loss="squared")),
        "without the smallest third": (larger, settings),
    }
    found = {}
    for name, (chosen, how) in tried.items():
        same = how == settings and len(chosen) == len(every)
        if same or (name == "delta 1e-3" and settings.residuals != "log"):  # a threshold in the unit of the loss
            continue
        mask = np.zeros(len(rows), dtype=bool)
        mask[chosen] = True
        try:
            check_identified(law, rows.keep(mask), len(model.coordinates))
            own = None if weights is None else weights[chosen]
            made = solve(model.take(chosen), rows.values[chosen], own, how, np.repeat(solution.theta[None], 2, axis=0))
        except (InputError, np.linalg.LinAlgError):
            continue  # these rows do not identify the law
        if made.converged:
            found[name] = tuple(model.vector(made.theta[None])[0].tolist())
    return found


@dataclass(frozen=True)
class Sensitivity:
    """A prediction under each defensible choice."""

    predicted: float
    others: Mapping[str, float]
    of: str = ""  #: of a forecast by a mixture of laws, the one law whose choices these are

    @property
    def spread(self) -> float:
        """The largest prediction over the smallest one, less one; for predictions of either sign their difference."""
        values = [self.predicted, *self.others.values()]
        return max(values) / min(values) - 1 if min(values) > 0 else max(values) - min(values)

    @property
    def text(self) -> str:
        """One line: by how much the prediction changes, and with which choice."""
        told = ", ".join(f"{name.replace('delta', 'Huber delta')}: {value:.5g}" for name, value in self.others.items())
        spread = (
            f"{100 * self.spread:.2g} %" if min(self.predicted, *self.others.values()) > 0 else f"{self.spread:.2g}"
        )
        this = f"law {self.of} alone" if self.of else "this fit"
        return f"sensitivity: {spread} between defensible ways to fit ({this}: {self.predicted:.5g}, {told})"


def sensitivity(
    fit: Estimate, choices: Mapping[str, tuple[float, ...]], variables: Mapping[str, FloatArray]
) -> Sensitivity | None:
    """The prediction at the last of some rows under each choice; None where there is no other one."""
    last = {name: values[-1:] for name, values in variables.items()}
    others = {
        name: float(np.ravel(fit.values(last, np.array([parameters])))[0]) for name, parameters in choices.items()
    }
    finite = {name: value for name, value in others.items() if np.isfinite(value)}
    return Sensitivity(float(np.ravel(fit.value(last))[0]), finite) if finite else None
