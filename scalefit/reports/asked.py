"""What a report is asked: a fit, the prediction, and the rows from which the law can be fitted again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from scalefit.fitting.result import Fit
from scalefit.runs import Runs
from scalefit.schedules import Schedule


@dataclass(frozen=True)
class Asked:
    """A fit with what is asked of it, and the runs that it was fitted to, where they are at hand."""

    fit: Fit
    runs: Runs | None
    held_out: Runs | pd.DataFrame | None
    schedule: str | Schedule | None
    at: Mapping[str, Any]

    @property
    def any(self) -> bool:
        """Whether a prediction is asked for."""
        return bool(self.at) or self.schedule is not None

    @property
    def target(self) -> dict[str, Any]:
        """The keywords of a prediction."""
        return {"schedule": self.schedule, **self.at}

    @property
    def place(self) -> str:
        """The point that is asked for, as text."""
        parts = [f"{name} = {_said(value)}" for name, value in self.at.items()]
        under = [f"under the schedule {self.schedule}"] if self.schedule is not None else []
        return " ".join([*([f"at {', '.join(parts)}"] if parts else []), *under])

    @property
    def data(self) -> Runs | pd.DataFrame | None:
        """Rows from which the law can be fitted again; None for curves of which only the fit is at hand."""
        if self.runs is not None or self.fit.law.is_trajectory:
            return self.runs
        frame = self.fit.points.frame(self.fit.target)
        if any(np.ndim(values) > 1 for values in self.fit.points.variables.values()):
            return None
        return frame.drop(columns="step", errors="ignore").rename(columns=dict(self.fit.law.columns))

    @property
    def settings(self) -> dict[str, Any]:
        """The keywords with which the law is fitted again as it was."""
        fit = self.fit
        how: dict[str, Any] = {name: getattr(fit.settings, name) for name in ("residuals", "loss", "delta", "starts")}
        held = {"fix": dict(fit.fixed), "tie": dict(fit.ties), "bounds": dict(fit.bounds)}
        return how | held | {"target": fit.target}


def _said(value: Any) -> str:
    """A value as it was given; numbers without the filling of their exponents.

    >>> _said(7e9), _said("2T")
    ('7e9', '2T')
    """
    return f"{value:g}".replace("e+0", "e").replace("e+", "e") if isinstance(value, (int, float)) else str(value)
