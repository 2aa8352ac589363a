"""Collapse: the loss curves of a well-scaled family of models coincide when each is divided by its own end.

    l(x, p) = (L(x t*, p) - L0) / (L(t*, p) - L0),   x in [0, 1]

t* is the length of the run, proportional to its compute-optimal horizon, and L0 the irreducible loss. Under
learning-rate decay, runs of one family (one schedule shape, width-transferring parametrisation, horizons on the
compute-optimal line) agree more closely than two seeds of one size do: supercollapse. A run that departs from the
others points to a wrong learning rate, width scaling, horizon or L0.

Source: arXiv:2507.02119.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from scalefit.errors import IdentificationError, InputError
from scalefit.fitting.fit import fit
from scalefit.numerics import FloatArray
from scalefit.runs import Runs, runs_of

POINTS = 100  #: positions along the run at which curves are compared


def normalised_curve(position: ArrayLike, loss: ArrayLike, L0: float, at: ArrayLike) -> FloatArray:
    """One curve in units of its own end: (L(x t*) - L0)/(L(t*) - L0) at positions x in (0, 1].

    ``position``: (n,) increasing, in any unit (steps, tokens, FLOP); its last value is t*. NaN before the first
    logged point. Raises InputError where the last loss does not lie above L0.

    >>> normalised_curve([1, 2, 4], [5.0, 3.0, 2.0], L0=1.0, at=[0.25, 0.5, 1.0]).tolist()
    [4.0, 2.0, 1.0]
    """
    t, y = np.asarray(position, dtype=float), np.asarray(loss, dtype=float)
    if not y[-1] > L0:
        raise InputError(f"the run ends at {y[-1]:g}, not above L0 = {L0:g}", todo="give a lower irreducible loss")
    scaled = (y - L0) / (y[-1] - L0)
    return np.asarray(np.interp(np.asarray(at, dtype=float), t / t[-1], scaled, left=np.nan))


def power_law_shape(x: ArrayLike, mu: float, nu: float) -> FloatArray:
    """The collapsed curve of L = L0 + t^-mu + p^-nu, trained for the compute-optimal t.

        l(x) = (r x^-mu + 1)/(r + 1), r = nu/mu

    >>> round(float(power_law_shape(0.5, mu=0.3, nu=0.2)), 7)
    1.0924578
    """
    ratio = nu / mu
    return np.asarray((ratio * np.asarray(x, dtype=float) ** -mu + 1) / (ratio + 1))


@dataclass(frozen=True)
class Collapse:
    """How closely the normalised curves of a family agree.

    Arrays over the positions ``x`` (m,): ``deviation`` is std/mean over all runs; ``noise`` is std/mean of L - L0 over
    the seeds of one size, averaged over sizes (NaN without repeated seeds).
    """

    L0: float
    x: FloatArray
    curves: pd.DataFrame  #: one row per run, one column per position
    deviation: FloatArray
    noise: FloatArray

    @property
    def super_share(self) -> float:
        """The last share of the run over which the curves agree better than seeds do; 0 if they never do."""
        fails = np.flatnonzero(~(self.deviation[:-1] < self.noise[:-1]))  # at the end every curve is 1
        first = int(fails[-1]) + 1 if len(fails) else 0
        return float(1 - self.x[first])

    @property
    def departures(self) -> pd.Series:
        """The root mean square departure of each run from the median curve, largest first."""
        middle = self.curves.median()
        return ((self.curves / middle - 1) ** 2).mean(axis=1).pow(0.5).sort_values(ascending=False)


def collapse(runs: Runs | pd.DataFrame, L0: float | None = None, along: str = "step", points: int = POINTS) -> Collapse:
    """Normalise the curves of a family of runs and measure how closely they collapse.

    ``L0``: the irreducible loss; by default the floor of L0 + A C^-alpha through the runs' final losses, which needs a
    column C (or N and D). ``along``: the curves' column that measures progress. Runs of equal N are seeds of one size.
    Raises InputError for a missing column and IdentificationError for fewer than two runs.
    """
    logs = runs_of(runs)
    if logs.curves is None or not {along, "loss"} <= set(logs.curves.columns):
        raise InputError(f"no loss curves with the columns {along} and loss", todo="give curves, not final losses")
    if len(logs.table) < 2:
        raise IdentificationError("there is only one run to compare", todo="add runs of other sizes")
    floor = _floor(logs) if L0 is None else float(L0)
    x = (np.arange(points) + 1) / points
    curves, ends = {}, {}
    for run, rows in logs.curves[np.isfinite(logs.curves["loss"])].groupby("run", observed=True, sort=False):
        curves[str(run)] = normalised_curve(rows[along], rows["loss"], floor, x)
        ends[str(run)] = float(rows["loss"].iloc[-1]) - floor
    table = pd.DataFrame.from_dict(curves, orient="index", columns=x)
    with np.errstate(invalid="ignore"):
        deviation = (table.std() / table.mean()).to_numpy()
    return Collapse(floor, x, table, deviation, _noise(logs, table.mul(pd.Series(ends), axis=0)))


def _noise(runs: Runs, reducible: pd.DataFrame) -> FloatArray:
    """Relative standard deviation over the seeds of one size, averaged over sizes."""
    if "N" not in runs.table.columns:
        return np.full(reducible.shape[1], np.nan)
    table = runs.table.drop_duplicates("run")
    groups = reducible.groupby(table.set_index(table["run"].astype(str))["N"].reindex(reducible.index))
    relative = (groups.std() / groups.mean())[groups.size() > 1]
    return relative.mean().to_numpy(float) if len(relative) else np.full(reducible.shape[1], np.nan)


def _floor(runs: Runs) -> float:
    """The floor of the power law in compute through the final losses, averaged over seeds."""
    table = runs.table if "C" in runs.table.columns else runs.with_compute().table
    ends = table.groupby("C")["loss"].mean().reset_index()
    if len(ends) < 4:
        why = f"{len(ends)} amounts of compute cannot identify the irreducible loss"
        raise IdentificationError(why, todo="give L0, or add runs of other sizes")
    return float(fit(ends, "power-floor:over=C", delta=1e-3, force=True)["L_inf"])
