"""Which runs diverged, and the largest stable learning rate over size, batch and tokens: from the losses alone."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from scalefit.runs.cliff import lost
from scalefit.runs.final import diverged
from scalefit.stability.probes import column_of, probes
from scalefit.transfer.boundary import Boundary, fit_boundary
from scalefit.transfer.sweeps import initial_loss_of

NEAR = 1.5  #: factor between learning rates up to which runs that diverged are reported
FOLLOWED = {"batch": "batch", "D": "tokens"}  #: what a boundary may follow beside the size


def followed(table: pd.DataFrame, over: str) -> tuple[str, ...]:
    """The columns other than the size that the boundary follows: batch and D, where runs of one size differ in them.

    A log with probes has none: their lines are over the size alone. ``steps`` goes with D.
    """
    if any(column_of(table, probe)[0] for probe in probes()):
        return ()
    found = []
    for name in FOLLOWED:
        if name == over or name not in table.columns:
            continue
        values = pd.to_numeric(table[name], errors="coerce")
        if (values > 0).all() and (values.groupby(table[over]).nunique() > 1).any():
            found.append(name)
    return (*found, "steps") if found else ()


def told_of(along: Collection[str], over: str) -> tuple[str, ...]:
    """A note on what the boundary follows beside the size."""
    names = " and ".join(name for name in along if name in FOLLOWED)
    if not names:
        return ()
    where = f"the geometric mean {names} of the runs of the largest {over}"
    return (f"the boundary follows {over} and {names} together: the answer is that at {where}",)


def boundary_of(table: pd.DataFrame, over: str) -> tuple[Boundary | None, str]:
    """The largest stable learning rate over size, and why there is none, or ""."""
    if "loss" not in table.columns:
        return None, "no column loss"
    losses = table["loss"].astype(float).where(~by_the_rule(table, over))
    frame = pd.DataFrame({"size": table[over].astype(float), "lr": table["lr"].astype(float), "loss": losses})
    for name in followed(table, over):
        if name in FOLLOWED:
            frame[FOLLOWED[name]] = pd.to_numeric(table[name])
    found = fit_boundary({float(str(key)): cell for key, cell in frame.groupby("size")})
    return found, "" if found else "fewer than two sizes have both stable and diverged runs"


def by_the_rule(table: pd.DataFrame, over: str) -> pd.Series:
    """A mask of the runs that diverged, by the rule of :func:`scalefit.runs.cliff.lost` among the runs of one sweep."""
    losses = np.asarray(table["loss"].astype(float).where(~diverged(table)), dtype=np.float64)
    names = [over, *(name for name in followed(table, over) if name in FOLLOWED)]
    cell = table[names].astype(str).agg(" ".join, axis=1).to_numpy(str)
    return pd.Series(lost(np.asarray(table["lr"], dtype=np.float64), losses, cell, initial_loss_of(table)), table.index)


def lost_near(table: pd.DataFrame, over: str, lr: float, alive: pd.Series) -> str:
    """Which sizes have runs that diverged, or have an infinite probe, at learning rates near the one asked for."""
    infinite = pd.Series(False, table.index)
    for probe in probes():
        names = [name for name in probe.columns if name in table.columns]
        infinite |= table[names].apply(pd.to_numeric, errors="coerce").abs().eq(np.inf).any(axis=1) if names else False
    near = (table["lr"] / lr).between(1 / NEAR, NEAR)
    sizes = sorted(table.loc[near & (~alive | infinite), over].astype(float).unique())
    if not sizes:
        return ""
    which = ", ".join(f"{each:g}" for each in sizes)
    return f"runs of {over} {which} at learning rates within a factor of {NEAR:g} of {lr:g} have diverged"
