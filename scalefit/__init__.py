"""scalefit: fit scaling laws to the logs of small training runs and say what the big one will reach.

>>> import scalefit as sf
>>> sf.find_law("chinchilla").equation
'L(N, D) = E + A N^-alpha + B D^-beta'
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from scalefit.version import __version__

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
    "batch_size": "scalefit.planning.batch",
    "compare": "scalefit.comparison",
    "find_law": "scalefit.laws",
    "fit": "scalefit.fitting.fit",
    "forecast": "scalefit.stability",
    "inspect": "scalefit.runs.inspect",
    "law_names": "scalefit.laws",
    "load": "scalefit.datasets",
    "load_fit": "scalefit.fitting.saved",
    "lr_sensitivity": "scalefit.transfer",
    "lr_transfer": "scalefit.transfer",
    "parse_schedule": "scalefit.schedules",
    "plot_fit": "scalefit.plots",
    "predict_partial": "scalefit.progress.forecast",
    "read_runs": "scalefit.runs",
    "schedule_of": "scalefit.planning.run_schedule",
    "watch": "scalefit.progress.watch",
}
__all__ = ["__version__", *sorted(_PLACES)]

if TYPE_CHECKING:
    from scalefit.comparison import backtest, compare
    from scalefit.datasets import load
    from scalefit.errors import FitWarning, IdentificationError, InputError, ScalefitError
    from scalefit.fitting.fit import fit
    from scalefit.fitting.result import Fit
    from scalefit.fitting.saved import load_fit
    from scalefit.laws import Law, Option, Parameter, Variable, find_law, law_names
    from scalefit.planning.batch import batch_size
    from scalefit.planning.run_schedule import schedule_of
    from scalefit.plots import plot_fit
    from scalefit.progress.forecast import predict_partial
    from scalefit.progress.watch import watch
    from scalefit.runs import Runs, read_runs
    from scalefit.runs.inspect import inspect
    from scalefit.schedules import Schedule, parse_schedule
    from scalefit.selection import automatic
    from scalefit.stability.forecast import forecast
    from scalefit.transfer.lr_transfer import lr_transfer
    from scalefit.transfer.sensitivity import lr_sensitivity


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'scalefit' has no attribute {name!r}")
    value = getattr(importlib.import_module(_PLACES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
