"""How much a prediction changes under other defensible choices, without single runs, under other laws and floors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from scalefit.errors import InputError
from scalefit.fitting.cautions import able
from scalefit.fitting.fit import fit as fit_one
from scalefit.fitting.prediction import predict
from scalefit.fitting.result import Fit
from scalefit.reports.asked import Asked
from scalefit.reports.blocks import Block, Figure, Table, Text
from scalefit.rows.asked import own_point
from scalefit.rows.scale import scale_of
from scalefit.runs import Runs, runs_of
from scalefit.selection.candidates import candidates_for
from scalefit.selection.judging import MANY


def sensitivity_of(asked: Asked) -> list[Block]:
    """A table of predictions under other choices, and the figure of what single runs do; nothing without a target."""
    if not asked.any:
        return [Text(["No point was asked for (--at, --forecast): nothing to compare."])]
    fit, here, refused = asked.fit, _value(asked.fit, asked), list[str]()
    one_law, at = able(fit, None, asked.at)
    alone = replace(asked, fit=replace(one_law, choice=None), at=at)
    own = _value(alone.fit, alone)
    others = _laws(asked, one_law, refused)
    mixed = [] if fit.choice is None else [(f"law {one_law.law.spec}", own), *others]
    rows = [(name, value, here) for name, value in mixed]
    one = f"law {one_law.law.spec}, " if mixed else ""
    choices = [*_choices(alone), *_ends_of_scale(alone), *_floors(alone)]
    rows += [(f"{one}{name}", value, own) for name, value in choices]
    rows += [] if mixed else [(name, value, here) for name, value in others]
    changes = ["", *(f"{round(100 * (value / base - 1), 2) + 0:+.2f} %" for _, value, base in rows)]
    names = ["this forecast", *(name for name, _, _ in rows)]
    values = [here, *(value for _, value, _ in rows)]
    shown = pd.DataFrame({"choice": names, fit.target: values, "change": changes})
    if mixed:  # the choices of one law are compared with that law alone
        bases = [names[0]] * len(mixed) + [mixed[0][0]] * len(choices)
        shown["compared with"] = ["", *bases]
    blocks: list[Block] = [Table.of("The prediction under other choices", shown)]
    if refused:
        blocks.append(Text(refused, "notes"))
    if any(alone.fit.without.values()):
        blocks.append(_influence(alone))
    return blocks


def _value(fit: Fit, asked: Asked) -> float:
    return float(predict(fit, schedule=asked.schedule, at=asked.at)[fit.target].iloc[-1])


def _choices(asked: Asked) -> list[tuple[str, float]]:
    found = asked.fit.sensitivity(**asked.target)
    return list(found.others.items()) if found is not None else []


def _ends_of_scale(asked: Asked) -> list[tuple[str, float]]:
    """Without the largest and without the smallest run."""
    fit = asked.fit
    if not any(fit.without.values()):
        return []
    scale = scale_of(fit.law, {name: np.asarray(values) for name, values in fit.points.variables.items()})
    by_run = pd.Series(scale).groupby(list(fit.points.runs), sort=False).max()
    by_run = by_run[np.isfinite(by_run)]  # a perfect model is no run
    table = fit.influence(**asked.target)
    table = table.set_index("run") if "run" in table.columns else table
    found = []
    for what, run in (("largest", by_run.idxmax()), ("smallest", by_run.idxmin())):
        values = table["prediction"].to_numpy(float)[table.index == run]
        if np.isfinite(values).all() and len(values):
            found.append((f"without the {what} run ({run})", float(values[0])))
    return found


def _floors(asked: Asked) -> list[tuple[str, float]]:
    """The floor held at either end of its interval, the rest fitted again."""
    fit, data = asked.fit, asked.data
    name = fit.law.irreducible
    if not name or data is None or fit.intervals is None or name in fit.fixed or name in fit.ties:
        return []
    found = []
    for end in ("low", "high"):
        value = float(fit.table[end].to_dict()[name])
        bounds = {other: ends for other, ends in fit.bounds.items() if other != name}
        how: dict[str, Any] = {**asked.settings, "fix": {**fit.fixed, name: value}, "bounds": bounds}
        try:
            again = fit_one(data, fit.law, **how)
        except InputError:
            continue  # without it the runs identify less than the law has
        found.append((f"{name} held at {value:.4g}", _value(again, asked)))
    return found


def _laws(asked: Asked, but: Fit, refused: list[str]) -> list[tuple[str, float]]:
    """Each other law of the mixture by itself, or, where a law was named, the others of few constants in its variables.

    Those that cannot be fitted, or that have no value at the point, are named in ``refused``.
    """
    fit, data = asked.fit, asked.data
    if fit.choice is not None:
        members = [each for each in (fit, *fit.choice.others) if each is not but]
    else:
        members = _rivals(fit, data, refused) if data is not None else []
    found = []
    for other in members:
        one = replace(asked, fit=replace(other, choice=None), at=own_point(other.law, asked.at))
        try:
            found.append((f"law {other.law.spec}", _value(one.fit, one)))
        except InputError as error:
            refused.append(f"law {other.law.spec} is not compared: {error}")
    return found


def _rivals(fit: Fit, data: Runs | pd.DataFrame, refused: list[str]) -> list[Fit]:
    """The laws that read the same columns, fitted to the same rows."""
    runs = runs_of(data)
    columns = set(fit.law.columns.values())
    found = []
    for law, *_ in candidates_for(runs, None if fit.target == "loss" else fit.target).laws:
        few = len(law.parameters) - len(law.held) <= MANY
        if few and law.name != fit.law.name and set(law.columns.values()) == columns:
            try:
                found.append(fit_one(runs, law, target=fit.target, force=True))
            except InputError as error:
                refused.append(f"law {law.spec} is not compared: {error}")
    return found


def _influence(asked: Asked) -> Block:
    from scalefit.plots import plot_influence

    return Figure.of(
        "How far the prediction moves without each run; a grey bar is the change that is likely by chance.",
        "Change of the prediction without each run, the largest first",
        lambda: plot_influence(asked.fit, schedule=asked.schedule, **asked.at),
    )
