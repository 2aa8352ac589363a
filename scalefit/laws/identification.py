"""Reasons for which rows cannot identify a law, or a fit of them deserves doubt, that several laws share. Not a law."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scalefit.errors import IdentificationError, InputError
from scalefit.laws.law import Array, Law

SAME_PEAK = 1.02  #: peak learning rates within this factor count as one
ROUNDED = 0.005  #: how far the shares of a mixture may be from one together
TIED = 0.01  #: two variables move together when one explains all but this fraction of the other's spread


def move_together(x: Array, y: Array) -> bool:
    """Whether y is one power of x in all rows, within a hundredth of its spread.

    >>> move_together(np.array([1e7, 1e8, 1e9]), np.array([2e8, 2e9, 2e10]))
    True
    >>> move_together(np.array([1e7, 1e8, 1e7]), np.array([2e8, 2e9, 2e10]))
    False
    """
    log_x, log_y = np.log(np.asarray(x, dtype=float)), np.log(np.asarray(y, dtype=float))
    columns = np.stack([np.ones_like(log_x), log_x], axis=1)
    fitted = columns @ np.linalg.lstsq(columns, log_y, rcond=None)[0]
    return bool(np.std(log_y - fitted) <= TIED * np.std(log_y))


def refuse_tied(
    law: str, variables: Mapping[str, Array], first: str, second: str, todo: str, *, additive: bool = False
) -> None:
    """Raise :class:`IdentificationError` where two variables move together in every row.

    ``additive``: their terms add up, so only variables that grow together are tied. Where one falls as the other
    grows (sizes of one compute budget) the sum has a minimum that tells its terms apart.
    """
    x, y = variables[first], variables[second]
    if not move_together(x, y) or (additive and np.ptp(y) > 0 and (y[np.argmax(x)] < y[np.argmin(x)])):
        return
    raise IdentificationError(
        f"{first} and {second} move together in all {len(x)} rows: their terms cannot be told apart",
        where=f"law {law}",
        todo=todo,
    )


def refuse_shares(law: str, variables: Mapping[str, Array], name: str) -> None:
    """Raise :class:`InputError` for shares above one, which are percentages."""
    largest = float(np.max(variables[name]))
    if largest > 1:
        raise InputError(f"{name} = {largest:g} is no share", where=f"law {law}", todo="divide percentages by 100")


def refuse_no_shares(law: Law, variables: Mapping[str, Array]) -> None:
    """Raise :class:`InputError` for shares outside 0 to 1, and for whole sets of them that do not make up 1."""
    for name, one in law.variables.items():
        values = np.asarray(variables[name], dtype=float)
        if one.share and np.any(wrong := (values < 0) | (values > 1)):
            what = f"{law.columns[name]} = {values[wrong][0]:g} is no share"
            raise InputError(what, where="predict", todo="give one between 0 and 1; divide percentages by 100")
    whole = [name for name, one in law.variables.items() if one.share == "whole"]
    together = np.sum([variables[name] for name in whole], axis=0) if whole else np.ones(1)
    if np.any(wrong := np.abs(together - 1) > ROUNDED):
        what = f"{' + '.join(law.columns[name] for name in whole)} = {together[wrong][0]:g}"
        raise InputError(what, where="predict", todo="give shares that add up to 1")


def mixed_peaks(paths: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    """The doubt, as (code, text), of runs whose peak learning rates differ: raw areas do not transfer between them.

    In back-tests on runs of a 124M model at three peaks, each a factor of two apart, the loss at one left out was off
    by 2 to 5 % on average and 3 to 7 % at the end, under annealing, multi-power and functional alike.
    """
    peaks = [float(path.lr.max()) for path in paths.values()]
    if not peaks or max(peaks) <= min(peaks) * SAME_PEAK:
        return ()
    return [
        (
            "peak-lr-mixed",
            f"peak learning rates from {min(peaks):g} to {max(peaks):g}: areas of raw learning rate do not transfer "
            "between them (off by 2 to 7 % of the loss); fit one peak at a time, or the law annealing-transfer",
        )
    ]
