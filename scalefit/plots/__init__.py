"""Figures: one function each. Every one takes ``ax`` and returns it, and sets nothing global."""

from scalefit.plots.backtest import plot_backtest
from scalefit.plots.batch import plot_batch
from scalefit.plots.canvas import save_figure, styled
from scalefit.plots.comparison import plot_comparison
from scalefit.plots.coordinates import plot_coordinates
from scalefit.plots.curves import plot_curves, plot_schedule_prediction
from scalefit.plots.dispatch import plot_fit
from scalefit.plots.influence import plot_influence
from scalefit.plots.isoflop import plot_isoflop
from scalefit.plots.learning_rate import plot_lr_sensitivity, plot_lr_transfer
from scalefit.plots.next_runs import plot_next_runs
from scalefit.plots.parity import plot_parity
from scalefit.plots.partial import plot_partial
from scalefit.plots.plan import plot_plan
from scalefit.plots.probes import plot_forecast, plot_sharpness
from scalefit.plots.recipes import plot_recipes
from scalefit.plots.residuals import plot_residuals
from scalefit.plots.run_schedule import plot_run_schedule
from scalefit.plots.scaling import plot_scaling
from scalefit.plots.schedule_ranking import plot_schedule_ranking
from scalefit.plots.sizes import plot_sizes
from scalefit.plots.watch import plot_watch

__all__ = [
    "plot_backtest",
    "plot_batch",
    "plot_comparison",
    "plot_coordinates",
    "plot_curves",
    "plot_fit",
    "plot_forecast",
    "plot_influence",
    "plot_isoflop",
    "plot_lr_sensitivity",
    "plot_lr_transfer",
    "plot_next_runs",
    "plot_parity",
    "plot_partial",
    "plot_plan",
    "plot_recipes",
    "plot_residuals",
    "plot_run_schedule",
    "plot_scaling",
    "plot_schedule_prediction",
    "plot_schedule_ranking",
    "plot_sharpness",
    "plot_sizes",
    "plot_watch",
    "save_figure",
    "styled",
]
