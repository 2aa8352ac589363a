"""What plans start from: a fit, the file of one, or run logs to which a law is fitted first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scalefit.fitting.fit import fit as fit_law
from scalefit.fitting.result import Fit
from scalefit.fitting.saved import load_fit
from scalefit.runs import Runs, read_runs

LAW = "chinchilla"  #: fitted where run logs are given instead of a fit
DRAWS = 200


def fit_of(source: Any, law: str, draws: int, seed: int) -> Fit:
    """A fit, the one in a file, or that of a law to run logs."""
    if isinstance(source, Fit):
        return source
    if isinstance(source, str | Path) and Path(source).suffix == ".json":
        return load_fit(source)
    runs = source if isinstance(source, Runs) else read_runs(source)
    return fit_law(runs, law, draws=draws, seed=seed)
