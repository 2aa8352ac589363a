"""scalefit: fit scaling laws to the logs of small training runs and say what the big one will reach.

>>> import scalefit as sf
>>> sf.find_law("chinchilla").equation
'L(N, D) = E + A N^-alpha + B D^-beta'
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

#: where each public name lives; it is imported when it is first used
_PLACES = {
    "Fit": "scalefit.fitting.result",
    "FitWarning": "scalefit.errors",
    "IdentificationError": "scalefit.errors",
    "InputError": "scalefit.errors",
    "Law": "scalefit.laws",
    "Option": "scalefit.laws",
    "Parameter": "scalefit.laws",
    "Runs": "scalefit.runs",
    "Schedule": "scalefit.schedules",
    "ScalefitError": "scalefit.errors",
    "Variable": "scalefit.laws",
    "automatic": "scalefit.selection",
    "backtest": "scalefit.comparison",
    "batch_size": "scalefit.stability",
    "compare": "scalefit.comparison",
    "find_law": "scalefit.laws",
    "fit": "scalefit.fitting.fit",
    "forecast": "scalefit.stability",
    "inspect": "scalefit.runs.inspect",
    "law_names": "scalefit.laws",
    "load": "scalefit.datasets",
    "load_fit": "scalefit.fitting.saved",
    "lr_sensitivity": "scalefit.stability",
    "lr_transfer": "scalefit.stability",
    "parse_schedule": "scalefit.schedules",
    "plot_fit": "scalefit.plots",
    "predict_partial": "scalefit.fitting.partial",
    "read_runs": "scalefit.runs",
    "schedule_of": "scalefit.stability",
    "watch": "scalefit.stability",
}
__all__ = ["__version__", *sorted(_PLACES)]

if TYPE_CHECKING:
    from scalefit.comparison import backtest, compare
    from scalefit.datasets import load
    from scalefit.errors import FitWarning, IdentificationError, InputError, ScalefitError
    from scalefit.fitting.fit import fit
    from scalefit.fitting.partial import predict_partial
    from scalefit.fitting.result import Fit
    from scalefit.fitting.saved import load_fit
    from scalefit.laws import Law, Option, Parameter, Variable, find_law, law_names
    from scalefit.plots import plot_fit
    from scalefit.runs import Runs, read_runs
    from scalefit.runs.inspect import inspect
    from scalefit.schedules import Schedule, parse_schedule
    from scalefit.selection import automatic
    from scalefit.stability import batch_size, lr_sensitivity, lr_transfer, schedule_of
    from scalefit.stability.forecast import forecast
    from scalefit.stability.watch import watch


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'scalefit' has no attribute {name!r}")
    value = getattr(importlib.import_module(_PLACES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
