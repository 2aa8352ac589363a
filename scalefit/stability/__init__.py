"""What a sweep of small runs says of a large one: which learning rate carries over, what breaks first. Reads logs."""

from scalefit.stability.batch import BatchAnswer, batch_size
from scalefit.stability.boundary import backtest_divergence
from scalefit.stability.forecast import Forecasts, forecast
from scalefit.stability.noise import fit_batch_hessian, fit_lr_exponent, lr_for_batch, running_noise
from scalefit.stability.optimum import Optimum, best_lr
from scalefit.stability.run_schedule import RunSchedule, schedule_of
from scalefit.stability.sensitivity import lr_sensitivity
from scalefit.stability.sweeps import Sweeps, read_sweeps
from scalefit.stability.thresholds import sharpness_threshold, shortest_warmup
from scalefit.stability.transfer import Transfer, backtest_transfer, lr_transfer
from scalefit.stability.watch import Watch, watch

__all__ = [
    "BatchAnswer",
    "Forecasts",
    "Optimum",
    "RunSchedule",
    "Sweeps",
    "Transfer",
    "Watch",
    "backtest_divergence",
    "backtest_transfer",
    "batch_size",
    "best_lr",
    "fit_batch_hessian",
    "fit_lr_exponent",
    "forecast",
    "lr_for_batch",
    "lr_sensitivity",
    "lr_transfer",
    "read_sweeps",
    "running_noise",
    "schedule_of",
    "sharpness_threshold",
    "shortest_warmup",
    "watch",
]
