"""Trains small models, many at a time, and writes their run logs: the only part of scalefit that needs torch.

What plans and reads sweeps does without: each name is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

#: where each public name lives
_PLACES = {
    "QUICK": "config",
    "Config": "config",
    "Coordinates": "coordinates",
    "Ensemble": "ensemble",
    "Job": "sweep.jobs",
    "Parametrized": "own.parametrize",
    "RunLogger": "own.run_logger",
    "Stopped": "trainer",
    "Trainer": "trainer",
    "collect_sweep": "sweep.tables",
    "coordinate_check": "coordinates",
    "gpu_name": "facts",
    "parametrize": "own.parametrize",
    "plan_sweep": "sweep.grid",
    "run_on_ray": "sweep.on_ray",
    "run_sweep": "sweep.run",
    "sweep_status": "sweep.tables",
    "train": "trainer",
    "train_members": "trainer",
    "write_slurm": "sweep.slurm",
}
__all__ = [
    "QUICK",
    "Config",
    "Coordinates",
    "Ensemble",
    "Job",
    "Parametrized",
    "RunLogger",
    "Stopped",
    "Trainer",
    "collect_sweep",
    "coordinate_check",
    "gpu_name",
    "parametrize",
    "plan_sweep",
    "run_on_ray",
    "run_sweep",
    "sweep_status",
    "train",
    "train_members",
    "write_slurm",
]

if TYPE_CHECKING:
    from scalefit.proxy.config import QUICK, Config
    from scalefit.proxy.coordinates import Coordinates, coordinate_check
    from scalefit.proxy.ensemble import Ensemble
    from scalefit.proxy.facts import gpu_name
    from scalefit.proxy.own.parametrize import Parametrized, parametrize
    from scalefit.proxy.own.run_logger import RunLogger
    from scalefit.proxy.sweep.grid import plan_sweep
    from scalefit.proxy.sweep.jobs import Job
    from scalefit.proxy.sweep.on_ray import run_on_ray
    from scalefit.proxy.sweep.run import run_sweep
    from scalefit.proxy.sweep.slurm import write_slurm
    from scalefit.proxy.sweep.tables import collect_sweep, sweep_status
    from scalefit.proxy.trainer import Stopped, Trainer, train, train_members


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
    globals()[name] = value
    return value
