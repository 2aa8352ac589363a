"""A fit as plain JSON with a schema version, and its file, which appears whole or not at all."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit.laws.formula import FormulaLaw
from scalefit.uncertainty import intervals
from scalefit.uncertainty.mixture import Choice
from scalefit.version import __version__
from scalefit.writing import write_text

if TYPE_CHECKING:
    from scalefit.fitting.result import Fit

SCHEMA = 1
AS_THEY_ARE = ("delta", "sigma", "converged", "fixed", "ties", "rows", "runs")  #: attributes that are JSON types
TUPLES = ("bounds", "ranges", "without", "recipe", "choices")  #: attributes that map names to tuples


def as_dict(fit: Fit) -> dict[str, Any]:
    """The whole fit as JSON types."""
    law = fit.law
    formula = isinstance(law, FormulaLaw)
    return {
        "schema_version": SCHEMA,
        "scalefit_version": __version__,
        "numpy_version": np.__version__,
        "law": law.spec,
        "kind": "formula" if formula else "law",
        "columns": sorted(law.variables) if formula else None,
        "equation": law.equation,
        "source": law.source,
        **{name: getattr(fit, name) for name in ("target", "status", "ok")},
        "parameters": {
            name: {"value": value, "unit": fit.unit_of(name), "meaning": law.parameters[name].meaning}
            for name, value in fit.parameters.items()
        },
        **{name: [asdict(each) for each in getattr(fit, name)] for name in ("warnings", "outliers")},
        **{name: getattr(fit, name) for name in AS_THEY_ARE},
        "objective": fit.cost,
        **{name: asdict(getattr(fit, name)) for name in ("settings", "starts", "points")},
        **{name: {key: list(v) for key, v in getattr(fit, name).items()} for name in TUPLES},
        "one_sided": fit.one_sided or None,
        "biases": [asdict(each) for each in fit.biases],
        "notes": list(fit.notes),
        "doubts": list(fit.doubts),
        "data": [dict(origin) for origin in fit.origin],
        "intervals": intervals.as_dict(fit.intervals) if fit.intervals else None,
        "choice": _choice(fit.choice) if fit.choice else None,
    }


def _choice(choice: Choice) -> dict[str, Any]:
    """How the law was chosen, with the whole fits that are mixed with it."""
    return {
        "text": choice.text,
        "tested": choice.tested,
        "weights": dict(choice.weights),
        "errors": [dict(record) for record in choice.errors],
        "refused": dict(choice.refused),
        "others": [as_dict(other) for other in choice.others],
        "forms": {
            name: [{"of": form.name, "share": form.share, "parameters": dict(form.parameters)} for form in forms]
            for name, forms in choice.forms.items()
        },
    }


def save(fit: Fit, path: str | Path) -> Path:
    """Write a fit; the file appears whole or not at all.

    Raises :class:`InputError` where the place cannot be written.
    """
    return write_text(path, json.dumps(as_dict(fit), indent=1, allow_nan=True) + "\n", "fit")
