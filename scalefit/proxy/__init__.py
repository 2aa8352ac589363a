"""Trains small models, many at a time, and writes their run logs: the only part of scalefit that needs torch."""

from __future__ import annotations

from scalefit.proxy.config import QUICK, Config
from scalefit.proxy.coordinates import Coordinates, coordinate_check
from scalefit.proxy.ensemble import Ensemble
from scalefit.proxy.facts import gpu_name
from scalefit.proxy.own.parametrize import Parametrized, parametrize
from scalefit.proxy.own.run_logger import RunLogger
from scalefit.proxy.sweep import Job, collect_sweep, plan_sweep, run_sweep, sweep_status
from scalefit.proxy.train import Stopped, Trainer, train, train_members

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
    "run_sweep",
    "sweep_status",
    "train",
    "train_members",
]
