"""Settings of a planned run from fits: of the whole sweep, of its optima, of the critical batch, of AdamW's timescale.

Arrays are (1 + draws,): the value by the fitted constants, then by those of the draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalefit.answers import LEAST_FAR, said
from scalefit.errors import InputError
from scalefit.fitting.cautions import how_far
from scalefit.fitting.prediction import predict
from scalefit.fitting.result import Fit
from scalefit.numerics import FloatArray
from scalefit.planning.allocation.bottom import bottom, falling_root
from scalefit.planning.allocation.spread import constants_of, ends
from scalefit.planning.allocation.surface import FLAT
from scalefit.planning.optimum.learning_rate import best_lr_batch

SURFACE = "lr-batch-surface"
LAWS = (SURFACE, "optimal-lr-batch", "critical-batch", "trajectory", "adamw-timescale")
SEARCHED = 6.0  #: natural logarithms around the bottom in which a best setting is looked for


@dataclass(frozen=True)
class Setting:
    """One setting, by one source."""

    name: str  #: peak_lr, batch, critical_batch, timescale or weight_decay
    source: str
    values: FloatArray  #: (1 + draws,)
    few: float = 1.0  #: the small-sample factor of the draws
    note: str = ""  #: where it is outside, and the flat of its valley

    @property
    def value(self) -> float:
        """By the fit itself, or by the rule."""
        return float(self.values[0])

    @property
    def ends(self) -> tuple[float, float]:
        """The 90 % interval; NaN without draws."""
        return ends(self.values, self.few)


def refuse_other_laws(fit: Fit) -> None:
    """Raise InputError for a fit that says nothing of learning rate, batch or weight decay."""
    if fit.law.name not in LAWS:
        todo = f"give fits of {', '.join(LAWS)}, or none for the published rules alone"
        raise InputError(f"law {fit.law.name} knows no hyperparameters", where="hyperparameters", todo=todo)


def settings_of(fit: Fit, place: Mapping[str, float]) -> list[Setting]:
    """What a fit says at a place; ``batch`` and ``peak_lr`` in the place are held."""
    refuse_other_laws(fit)
    table, few = constants_of(fit), fit.intervals.few if fit.intervals else 1.0
    constants = {name: table[:, j] for j, name in enumerate(fit.law.parameters)}
    name = f"your fit of {fit.law.spec}"
    with np.errstate(all="ignore"):
        if fit.law.name == SURFACE:
            return _of_surface(fit, constants, place, name, few)
        if fit.law.name in ("critical-batch", "trajectory"):
            if "loss" not in place:
                return []
            values = constants["B_star"] * place["loss"] ** (-1 / constants["alpha_B"])
            note = _beyond(fit, place) if fit.law.name == "critical-batch" else ""
            return [Setting("critical_batch", name, values, few, note)]
        columns = {key: np.array([place[column]]) for key, column in fit.law.columns.items()}
        values = fit.estimate.values(columns, table)[:, 0]
    return [Setting(fit.law.target, name, values, few, _beyond(fit, place))]


def _beyond(fit: Fit, place: Mapping[str, float]) -> str:
    """How far a place lies beyond the fitted runs, as text."""
    columns = [column for column in fit.law.columns.values() if column in place]
    if set(columns) != set(fit.law.columns.values()):
        return ""
    where: dict[str, Any] = {column: place[column] for column in columns}
    row = predict(fit, at=where).iloc[0]
    return f"outside: {how_far(fit, row)}" if row["decades_beyond"] >= LEAST_FAR else ""


def _of_surface(
    fit: Fit, constants: Mapping[str, FloatArray], place: Mapping[str, float], name: str, few: float
) -> list[Setting]:
    """The bottom of the surface, or of its section at a held batch or rate."""
    best = best_lr_batch(constants, place["N"], place["D"])  # type: ignore[arg-type]
    found = {"peak_lr": np.asarray(best.lr), "batch": np.asarray(best.batch)}
    found = {key: values + np.zeros(len(constants["lr_0"])) for key, values in found.items()}
    held = {key: place[key] for key in found if key in place}
    if len(held) == 1:
        (pinned,) = held
        (other,) = set(found) - set(held)
        middle = np.log(found[other])
        section = _section(fit, constants, {**place, pinned: held[pinned]}, other)
        found[other] = np.exp(bottom(section, middle - SEARCHED, middle + SEARCHED))
    settings = []
    for key, values in found.items():
        if key in held:
            continue
        at = {"N": place["N"], "D": place["D"], **{k: float(v[0]) for k, v in found.items()}, **held}
        flat = _flat(fit, at, key)
        form = said if key == "batch" else "{:.3g}".format
        notes = [f"within {100 * FLAT:g} % of the loss: {form(flat[0])} to {form(flat[1])}", _beyond(fit, at)]
        settings.append(Setting(key, name, values, few, "; ".join(filter(None, notes))))
    return settings


def _section(fit: Fit, constants: Mapping[str, FloatArray], at: Mapping[str, float], key: str) -> Any:
    """The loss along the logarithm of one setting, the others held: (B, n) to (B, n)."""
    rows = {name: values[:, None] for name, values in constants.items()}

    def line(x: FloatArray) -> FloatArray:
        columns: dict[str, Any] = {name: at[name] for name in ("N", "D", "peak_lr", "batch") if name != key}
        variables = {name: {**columns, key: np.exp(x)}[column] for name, column in fit.law.columns.items()}
        return np.asarray(fit.law.evaluate(variables, rows) + np.zeros(x.shape))

    return line


def _flat(fit: Fit, at: Mapping[str, float], key: str) -> tuple[float, float]:
    """Between which values of a setting the loss exceeds that at its best by at most 0.1 %."""
    constants = {name: np.array([value]) for name, value in fit.parameters.items()}
    section, middle = _section(fit, constants, at, key), np.log(at[key])
    most = float(section(np.array([[middle]]))[0, 0]) * (1 + FLAT)
    up, down = (
        falling_root(lambda x, sign=sign: most - section(middle + sign * x), np.zeros(1), np.full(1, SEARCHED))  # type: ignore[misc]
        for sign in (1.0, -1.0)
    )
    return float(np.exp(middle - down[0])), float(np.exp(middle + up[0]))
