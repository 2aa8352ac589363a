"""scalefit: fit scaling laws to the logs of small training runs and predict the large ones.

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
    "ScalefitError": "scalefit.errors",
    "Schedule": "scalefit.schedules",
    "Variable": "scalefit.laws",
    "approach1": "scalefit.planning.isoflop",
    "approach2": "scalefit.planning.isoflop",
    "approach2_bias": "scalefit.planning.isoflop",
    "automatic": "scalefit.selection.automatic",
    "backtest": "scalefit.comparison",
    "backtest_divergence": "scalefit.transfer",
    "backtest_transfer": "scalefit.transfer",
    "batch_size": "scalefit.planning.batch",
    "best_lr": "scalefit.transfer",
    "best_of": "scalefit.runs.final",
    "best_lr_batch": "scalefit.planning.optimum.learning_rate",
    "coordinate_slopes": "scalefit.stability",
    "collapse": "scalefit.planning.collapse",
    "compare": "scalefit.comparison",
    "compare_recipes": "scalefit.planning.recipes.compare",
    "compute_gain": "scalefit.planning.recipes.gain",
    "compute_optimal": "scalefit.planning.optimum.compute_optimal",
    "critical_batch": "scalefit.planning.critical_batch",
    "critical_tokens": "scalefit.planning.optimum.rounding",
    "data_constrained": "scalefit.fitting.stages",
    "estimate_stepwise": "scalefit.planning.stepwise",
    "find_law": "scalefit.laws",
    "fit": "scalefit.selection.automatic",
    "fit_batch_hessian": "scalefit.planning.noise",
    "fit_many": "scalefit.fitting.many",
    "fit_lr_exponent": "scalefit.planning.noise",
    "fit_tradeoff": "scalefit.planning.critical_batch",
    "forecast": "scalefit.stability",
    "identify": "scalefit.diagnosis.identifiable",
    "inspect": "scalefit.runs.inspect",
    "isoflop": "scalefit.planning.isoflop",
    "isoflop_grid": "scalefit.planning.isoflop",
    "kaplan_frontier": "scalefit.planning.optimum.kaplan_frontier",
    "law_names": "scalefit.laws",
    "load": "scalefit.datasets",
    "load_fit": "scalefit.fitting.saved",
    "loss_to_loss": "scalefit.fitting.stages",
    "lr_for_batch": "scalefit.planning.noise",
    "lr_sensitivity": "scalefit.transfer",
    "lr_transfer": "scalefit.transfer",
    "mixture": "scalefit.fitting.stages",
    "next_runs": "scalefit.planning.next_runs.advice",
    "next_sweeps": "scalefit.transfer.further",
    "noise_scale": "scalefit.planning.critical_batch",
    "overfitting": "scalefit.planning.optimum.kaplan_frontier",
    "parse_schedule": "scalefit.schedules",
    "plan": "scalefit.planning.allocation.plan",
    "plot_fit": "scalefit.plots",
    "predict_partial": "scalefit.progress.forecast",
    "profile": "scalefit.fitting.profile",
    "rank_schedules": "scalefit.planning.schedules.ranking",
    "read_runs": "scalefit.runs",
    "read_sweeps": "scalefit.transfer",
    "repeated_optimum": "scalefit.planning.allocation.single",
    "report": "scalefit.reports.of_fit",
    "running_noise": "scalefit.planning.noise",
    "schedule_of": "scalefit.planning.run_schedule",
    "sharpness_threshold": "scalefit.stability",
    "shortest_warmup": "scalefit.stability",
    "split_parameters": "scalefit.planning.optimum.encoder_share",
    "steps_for_loss": "scalefit.planning.schedules.length",
    "task_ladder": "scalefit.planning.downstream.ladder",
    "translate": "scalefit.planning.downstream.translate",
    "translate_law": "scalefit.planning.translation",
    "watch": "scalefit.progress.watch",
    "worth_of_repeats": "scalefit.planning.optimum.repeated_data",
}
#: commands whose function has another name are reached by their own as well; ``*`` leaves Python's ``next`` alone
_TWINS = {"batch": "batch_size", "next": "next_runs", "schedule": "schedule_of"}
__all__ = ["__version__", *sorted({*_PLACES, *_TWINS} - {"next"})]

if TYPE_CHECKING:
    from scalefit.comparison import backtest, compare
    from scalefit.datasets import load
    from scalefit.diagnosis.identifiable import identify
    from scalefit.errors import FitWarning, IdentificationError, InputError, ScalefitError
    from scalefit.fitting.many import fit_many
    from scalefit.fitting.profile import profile
    from scalefit.fitting.result import Fit
    from scalefit.fitting.saved import load_fit
    from scalefit.fitting.stages import data_constrained, loss_to_loss, mixture
    from scalefit.laws import Law, Option, Parameter, Variable, find_law, law_names
    from scalefit.planning.allocation.plan import plan
    from scalefit.planning.allocation.single import repeated_optimum
    from scalefit.planning.batch import batch_size
    from scalefit.planning.batch import batch_size as batch
    from scalefit.planning.collapse import collapse
    from scalefit.planning.critical_batch import critical_batch, fit_tradeoff, noise_scale
    from scalefit.planning.downstream.ladder import task_ladder
    from scalefit.planning.downstream.translate import translate
    from scalefit.planning.isoflop import approach1, approach2, approach2_bias, isoflop, isoflop_grid
    from scalefit.planning.next_runs.advice import next_runs
    from scalefit.planning.next_runs.advice import next_runs as next
    from scalefit.planning.noise import fit_batch_hessian, fit_lr_exponent, lr_for_batch, running_noise
    from scalefit.planning.optimum.compute_optimal import compute_optimal
    from scalefit.planning.optimum.encoder_share import split_parameters
    from scalefit.planning.optimum.kaplan_frontier import kaplan_frontier, overfitting
    from scalefit.planning.optimum.learning_rate import best_lr_batch
    from scalefit.planning.optimum.repeated_data import worth_of_repeats
    from scalefit.planning.optimum.rounding import critical_tokens
    from scalefit.planning.recipes.compare import compare_recipes
    from scalefit.planning.recipes.gain import compute_gain
    from scalefit.planning.run_schedule import schedule_of
    from scalefit.planning.run_schedule import schedule_of as schedule
    from scalefit.planning.schedules.length import steps_for_loss
    from scalefit.planning.schedules.ranking import rank_schedules
    from scalefit.planning.stepwise import estimate_stepwise
    from scalefit.planning.translation import translate_law
    from scalefit.plots import plot_fit
    from scalefit.progress.forecast import predict_partial
    from scalefit.progress.watch import watch
    from scalefit.reports.of_fit import report
    from scalefit.runs import Runs, read_runs
    from scalefit.runs.final import best_of
    from scalefit.runs.inspect import inspect
    from scalefit.schedules import Schedule, parse_schedule
    from scalefit.selection.automatic import automatic, fit
    from scalefit.stability.coordinates import coordinate_slopes
    from scalefit.stability.forecast import forecast
    from scalefit.stability.thresholds import sharpness_threshold, shortest_warmup
    from scalefit.transfer import (
        backtest_divergence,
        backtest_transfer,
        best_lr,
        lr_sensitivity,
        lr_transfer,
        read_sweeps,
    )
    from scalefit.transfer.further import next_sweeps


def __getattr__(name: str) -> Any:
    known = _TWINS.get(name, name)
    if known not in _PLACES:
        raise AttributeError(f"module 'scalefit' has no attribute {name!r}")
    value = getattr(importlib.import_module(_PLACES[known]), known)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES, *_TWINS})
