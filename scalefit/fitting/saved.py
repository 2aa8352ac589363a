"""Reads a saved fit; nothing in it is executed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from scalefit.diagnosis.checks import Check, Outlier
from scalefit.diagnosis.one_sided import Bias
from scalefit.errors import InputError
from scalefit.escaping import plain_words
from scalefit.fitting.document import AS_THEY_ARE, SCHEMA, TUPLES
from scalefit.fitting.result import Fit
from scalefit.laws import Law, find_law
from scalefit.laws.formula import FormulaLaw
from scalefit.laws.registry import built_in
from scalefit.rows.points import Points
from scalefit.solver.solve import Settings, Starts
from scalefit.uncertainty.intervals import from_dict
from scalefit.uncertainty.mixture import Choice, OtherForm
from scalefit.uncertainty.unlike import LENGTH
from scalefit.version import __version__


def load_fit(path: str | Path, law: str | Law | type[Law] | None = None) -> Fit:
    """Read a fit that :meth:`Fit.save` wrote; ``law`` is needed where the law is defined in a file of yours.

    Raises :class:`InputError` for a missing file, one that is not a fit, or one from a newer version.
    """
    place = Path(path)
    try:
        content = json.loads(place.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=str(place), todo="give a saved fit") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"not JSON ({error})", where=str(place), todo="give a fit saved by scalefit") from error
    if not isinstance(content, dict) or not isinstance(content.get("schema_version"), int):
        raise InputError("not a saved fit", where=str(place), todo="make one with scalefit fit ... --save fit.json")
    if content["schema_version"] > SCHEMA:
        written = f"saved with schema {content['schema_version']} by scalefit {content.get('scalefit_version', '?')}"
        what = f"{written}; this is {__version__} and reads up to schema {SCHEMA}"
        raise InputError(what, where=str(place), todo="install a newer scalefit, or fit again")
    content = plain_words(content)
    try:
        return _tried(_checked(_from_dict(content, law)))
    except InputError as error:
        raise InputError(error.what, where=str(place), todo=error.todo) from error
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        what = f"{type(error).__name__}: {error}"
        raise InputError(f"the saved fit is damaged ({what})", where=str(place), todo="fit again") from error


def _law_of(content: dict[str, Any], law: str | Law | type[Law] | None) -> Law:
    if law is not None:
        return find_law(law)
    if content["kind"] == "formula":
        return FormulaLaw(content["law"], variables=tuple(content["columns"]))
    return built_in(_renamed(content))  # a file that it may name is never opened


def _renamed(content: dict[str, Any]) -> str:
    """The law's specification today: the form with ``fade`` bore the name of the paper's law."""
    spec = str(content["law"])
    if spec.partition(":")[0] == "multi-power" and "fade" in content["parameters"]:
        return spec.replace("multi-power", "multi-power-fading", 1).replace("shape=paper", "shape=unfaded")
    return spec


def _checked(fit: Fit) -> Fit:
    """The fit, if its numbers are possible ones: the only place at which they are checked. Raises ValueError."""
    rows, count = fit.points, len(fit.law.parameters)
    columns = [rows.values, *rows.variables.values(), rows.steps or rows.values]
    draws = np.asarray(fit.intervals.draws if fit.intervals else np.empty((0, count)), dtype=float)
    without = [np.asarray(values, dtype=float) for values in fit.without.values() if values]  # empty: not refitted
    without += [np.asarray(values, dtype=float) for values in fit.choices.values()]
    states = np.asarray(rows.states or np.empty((0, LENGTH + 1)), dtype=float)
    impossible = {
        "parameters": not np.isfinite(list(fit.parameters.values())).all(),
        "sigma, delta or objective": not all(
            np.isfinite(value) and value >= 0 for value in (fit.sigma, fit.cost, fit.delta)
        ),
        "ranges": not all(np.isfinite(pair).all() and pair[0] <= pair[1] for pair in fit.ranges.values()),
        "residuals": fit.settings.residuals not in ("log", "linear"),
        "loss": fit.settings.loss not in ("huber", "squared", "soft_l1"),
        "draws": draws.ndim != 2 or draws.shape[1] != count or not np.isfinite(draws).all(),
        "without": any(values.shape != (count,) or not np.isfinite(values).all() for values in without),
        "points": len({len(column) for column in (*columns, rows.runs)}) != 1 or not rows.values,
        "states": states.shape[1:] != (LENGTH + 1,) or not np.isfinite(states).all(),
        "numbers of rows": not (0 < fit.runs <= fit.rows and isinstance(fit.rows, int)),
    }
    said = [fit.target, *fit.notes, *fit.doubts, *(text for check in fit.warnings for text in (check.code, check.text))]
    impossible["words"] = not all(isinstance(text, str) for text in said) or not isinstance(fit.converged, bool)
    settings = [each for values in fit.recipe.values() for each in values]
    impossible["recipe"] = not all(each is None or isinstance(each, str | int | float) for each in settings)
    wrong = [name for name, is_so in impossible.items() if is_so]
    for column in columns:
        np.asarray(column, dtype=float)  # ragged columns and words raise
    many = {name: 2 if variable.many else 1 for name, variable in fit.law.variables.items()}
    if any(np.ndim(values) != many[name] for name, values in rows.variables.items()):
        raise ValueError("points of another shape")
    if wrong:
        raise ValueError(f"impossible {wrong[0]}")
    return fit


def _tried(fit: Fit) -> Fit:
    """The fit, if it can say what it is and predict its own first row: what else is damaged raises here, not later."""
    first = {name: np.asarray(values[:1], dtype=float) for name, values in fit.points.variables.items()}
    with np.errstate(all="ignore"):
        fit.summary()
        fit.left_out.checks(first)
        if fit.intervals is not None:
            fit.intervals.at(fit.estimate, first, 0.9, "observation")
    return fit


def _from_dict(content: dict[str, Any], law: str | Law | type[Law] | None) -> Fit:
    points, known = content["points"], _law_of(content, law)
    ranged = {name for name, variable in known.variables.items() if not variable.many}
    if set(content["parameters"]) != set(known.parameters) or set(content["ranges"]) != ranged:
        names = ", ".join([*known.variables, *known.parameters])
        raise InputError(f"its names are not those of the law {known.name} ({names})", todo="fit again")
    tuples: dict[str, Any] = {
        name: {key: tuple(values) for key, values in content.get(name, {}).items()} for name in TUPLES
    }
    return Fit(
        law=known,
        target=content["target"],
        parameters={name: float(entry["value"]) for name, entry in content["parameters"].items()},
        settings=Settings(**content["settings"]),
        cost=content["objective"],
        starts=Starts(**content["starts"]),
        warnings=tuple(Check(**entry) for entry in content["warnings"]),
        outliers=tuple(Outlier(**entry) for entry in content["outliers"]),
        notes=tuple(content["notes"]),
        doubts=tuple(content.get("doubts", ())),
        origin=tuple(content["data"]),
        points=_points(points),
        intervals=from_dict(content["intervals"]) if content.get("intervals") else None,
        choice=_choice(content["choice"], known) if content.get("choice") else None,
        biases=tuple(Bias(**each) for each in _biases(content)),
        **{name: content[name] for name in AS_THEY_ARE},
        **tuples,
    )


def _biases(content: dict[str, Any]) -> Any:
    """The biases of the refits; earlier versions kept them with the calibration."""
    calibration = (content.get("intervals") or {}).get("calibration") or {}
    return content.get("biases", calibration.get("biases", ()))


def _choice(content: dict[str, Any], first: Law) -> Choice:
    """How the law was chosen; each of the other fits is checked like the first."""
    others = tuple(_checked(_from_dict(other, None)) for other in content["others"])
    weights = {str(name): float(weight) for name, weight in content["weights"].items()}
    if len(weights) != len(others) + 1 or not all(0 < weight <= 1 for weight in weights.values()):
        raise ValueError("impossible weights")
    forms = {
        name: tuple(OtherForm(str(each["of"]), float(each["share"]), dict(each["parameters"])) for each in some)
        for name, some in content.get("forms", {}).items()
    }
    for name, some in forms.items():
        law = next((other.law for other in others if other.law.spec == name), first)
        possible = name in weights and 0 < sum(each.share for each in some) <= 1 + 1e-9
        for each in some:
            finite = np.isfinite(list(each.parameters.values())).all()
            if not (possible and each.parameters.keys() == law.parameters.keys() and finite and each.share > 0):
                raise ValueError("impossible forms")
    return Choice(weights, content["text"], content["tested"], content["errors"], content["refused"], others, forms)


def _points(kept: dict[str, Any]) -> Points:
    """The fitted rows that a saved fit holds; curves alone have steps and schedules."""
    area, fall, steps = (None if kept.get(name) is None else tuple(kept[name]) for name in ("area", "fall", "steps"))
    return Points(
        runs=tuple(kept["runs"]),
        steps=steps,
        variables={name: tuple(values) for name, values in kept["variables"].items()},
        values=tuple(kept["values"]),
        area=area,
        fall=fall,
        states=None if kept.get("states") is None else tuple(map(tuple, kept["states"])),
    )
