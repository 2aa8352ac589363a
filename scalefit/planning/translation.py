"""A law transferred to another data set by a loss-to-loss map."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from scalefit.fitting.fit import fit
from scalefit.fitting.result import Fit
from scalefit.laws.loss_to_loss import pair_runs, refuse_below_floor


def translate_law(constants: Mapping[str, float], K: float, kappa: float, E1: float) -> dict[str, float]:
    """The constants of ``kaplan-floor`` on the target of L1 = E1 + K (L0 - E)^kappa, exactly.

    E' = E1, alpha' = kappa alpha, beta' = kappa beta, A' = A K^(1/(kappa alpha)), B' = B K^(1/(kappa beta)). The map
    must have the law's own floor: E0 = E. The compute-optimal N*(C) does not change.
    Source: arXiv:2411.12925.

    >>> from scalefit.laws.kaplan_floor import KaplanFloor
    >>> law = {"E": 1.97, "A": 6.7e7, "B": 8.9e8, "alpha": 0.41, "beta": 0.46}
    >>> there = translate_law(law, 0.6, 1.07, 1.32)
    >>> at = {"N": 1e8, "D": 2e9}
    >>> mapped = 1.32 + 0.6 * (KaplanFloor().evaluate(at, law) - 1.97) ** 1.07
    >>> round(float(KaplanFloor().evaluate(at, there) - mapped), 12)
    0.0
    """
    alpha, beta = kappa * constants["alpha"], kappa * constants["beta"]
    return {
        "E": E1,
        "A": constants["A"] * K ** (1 / alpha),
        "B": constants["B"] * K ** (1 / beta),
        "alpha": alpha,
        "beta": beta,
    }


def transfer(
    source: Fit, few: pd.DataFrame, source_runs: pd.DataFrame | None = None, **settings: Any
) -> tuple[dict[str, float], Fit]:
    """The law on a new data set from a few runs there and a full fit of ``kaplan-floor`` on another.

    ``few`` has one row per run on the new data set with ``N``, ``D`` and ``loss``; 6 to 8 runs near 20 tokens per
    parameter, one per compute budget, were enough in the source. They are paired with ``source_runs`` of equal N and D
    if these are given, so that the effect of size and length on both losses cancels; otherwise the source losses are
    those of the law. The floor of the source is fixed; kappa, K and the new floor are fitted. Returns the new constants
    and the fit of the map. Source: arXiv:2411.12925.

    Raises :class:`~scalefit.errors.IdentificationError` for source losses below the floor.
    """
    if source_runs is not None:
        pairs = pair_runs(source_runs, few)[["loss_source", "loss"]]
    else:
        losses = source.evaluate({"N": few["N"].to_numpy(float), "D": few["D"].to_numpy(float)})
        pairs = pd.DataFrame({"loss_source": losses, "loss": few["loss"].to_numpy(float)})
    refuse_below_floor(pairs["loss_source"], source["E"])
    found = fit(pairs, "loss-to-loss", fix={"E0": source["E"]}, **settings)
    return translate_law(source.parameters, found["K"], found["kappa"], found["E1"]), found
