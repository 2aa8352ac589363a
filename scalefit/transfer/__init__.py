"""Sweeps of learning rates: the optimum of each size, its drift with size, and what to run at a larger one."""

from scalefit.transfer.backtest import backtest_transfer
from scalefit.transfer.boundary import backtest_divergence
from scalefit.transfer.lr_transfer import Transfer, lr_transfer
from scalefit.transfer.optimum import Optimum, best_lr
from scalefit.transfer.sensitivity import lr_sensitivity
from scalefit.transfer.sweeps import Sweeps, read_sweeps

__all__ = [
    "Optimum",
    "Sweeps",
    "Transfer",
    "backtest_divergence",
    "backtest_transfer",
    "best_lr",
    "lr_sensitivity",
    "lr_transfer",
    "read_sweeps",
]
