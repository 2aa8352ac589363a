"""How the law of a fit was chosen, and the other laws whose forecasts are mixed with its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scalefit.numerics import FloatArray
from scalefit.rows.points import Points
from scalefit.uncertainty.ceiling import capped
from scalefit.uncertainty.estimate import Estimate

if TYPE_CHECKING:
    from scalefit.fitting.result import Fit

CUT = 0.1  #: part of the weight that is cut off at either end of the members' forecasts


@dataclass(frozen=True)
class OtherForm:
    """Other constants of a law, whence they come, and the share of the law's forecast that is made with them."""

    name: str
    share: float
    parameters: Mapping[str, float]


@dataclass(frozen=True)
class Choice:
    """The weights of the mixture by law, why, and the fits that are mixed with this one."""

    weights: Mapping[str, float]  #: of this law, first, and of each of the others
    text: str
    tested: bool  #: whether held-out runs decided
    errors: Sequence[Mapping[str, Any]]  #: one record a law: its errors on held-out runs, misfit, parameters
    refused: Mapping[str, str] = field(default_factory=dict)
    others: tuple[Fit, ...] = ()
    forms: Mapping[str, Sequence[OtherForm]] = field(
        default_factory=dict
    )  #: by law, where held-out runs speak for them

    @property
    def mixes(self) -> bool:
        """Whether forecasts are not those of one law as it was fitted."""
        return bool(self.others or self.forms)

    def __str__(self) -> str:
        text = self.text
        if len(self.weights) > 1:
            mixed = ", ".join(f"{name} {100 * weight:.0f} %" for name, weight in self.weights.items())
            text += f"; forecasts are the trimmed weighted mean of {mixed}"
        if self.forms:
            share = sum(self.weights[name] * form.share for name, forms in self.forms.items() for form in forms)
            forms = "that weigh the largest runs most, or draw exponents and floor towards published ones"
            text += f"; {100 * share:.0f} % of the weight is on refits {forms}"
        return text


def moved(
    table: pd.DataFrame, target: str, estimate: Estimate, variables: Mapping[str, Any], points: Points, level: float
) -> pd.DataFrame:
    """A member's forecast with other constants: its intervals go with it, but no higher than smaller runs allow."""
    found, centre = table.copy(), table[target].to_numpy(dtype=float)
    value = np.where(np.isfinite(centre), estimate.value(variables) + np.zeros(len(table)), np.nan)
    low, high = (table[side].to_numpy(dtype=float) for side in ("low", "high"))
    shares = estimate.log | (estimate.law.log_residuals & (np.minimum(value, centre) > 0))  # as ``Estimate.moved``
    low = np.where(shares, value * low / centre, value + low - centre)
    high = value * high / centre if estimate.log else value + high - centre
    if np.isfinite(high).any():
        fitted = {name: np.asarray(values) for name, values in points.variables.items()}
        asked = {name: values + np.zeros(len(table)) for name, values in variables.items()}
        high = capped(estimate, fitted, np.asarray(points.values), asked, high, None, level)
    return found.assign(**{target: value, "low": low, "high": high})


def mixed(target: str, weights: Sequence[float], tables: Sequence[pd.DataFrame], log: bool) -> pd.DataFrame:
    """The forecast of a mixture from its members: the mean of their predictions, and of the ends of their intervals.

    Each member's interval holds the error that its law is believed to make, and the difference between the laws is that
    error, too. So it counts once: the quantiles of the mixture are the members' quantiles averaged, not those of a draw
    of a member and then of its loss (doi:10.1287/mnsc.1120.1667). The means are trimmed: a tenth of the weight is cut
    off at either end, so that no member of little weight that is far from all others moves them.

    A member without a value at a row does not count there; one without an interval, for which its runs are too few, is
    no more certain than the widest of the others. ``log``: whether widths are differences of logarithms; a member that
    falls to zero there has no value that the target can have, and does not count beside one that has.
    """
    share = np.array(weights)[:, None]
    centre = np.array([table[target].to_numpy(dtype=float) for table in tables])
    counts = np.isfinite(centre)
    possible = counts & (centre > 0) if log else counts
    share = np.where(np.where(possible.any(axis=0), possible, counts), share, 0.0)
    share = share / np.maximum(share.sum(axis=0), 1e-300)
    found = tables[0].copy()
    found[target] = _trimmed(share, centre)
    for side in ("low", "high"):
        end = np.array([table[side].to_numpy(dtype=float) for table in tables])
        found[side] = _trimmed(share, _known(end, centre, share, log))
    if "measured" in found.columns:
        found["relative_error"] = found[target] / found["measured"] - 1
    return found


def _known(end: FloatArray, centre: FloatArray, share: FloatArray, log: bool) -> FloatArray:
    """The ends of the members' intervals (members, n), of one without an interval as far off as the furthest."""
    with np.errstate(all="ignore"):
        far = end / centre if log else end - centre
        counts = ~np.isnan(far) & (share > 0)
        apart = np.where(counts, np.abs(np.log(far)) if log else np.abs(far), -np.inf)
        furthest = np.take_along_axis(far, np.argmax(apart, axis=0)[None], axis=0)
        return np.where(np.isnan(end), centre * furthest if log else centre + furthest, end)


def _trimmed(share: FloatArray, centre: FloatArray) -> FloatArray:
    """The mean (n,) of members (members, n) between the quantiles CUT and 1 - CUT of their weights; NaN without any."""
    order = np.argsort(np.where(share > 0, centre, np.inf), axis=0)
    ordered = np.take_along_axis(np.where(share > 0, centre, 0.0), order, axis=0)
    above = np.cumsum(np.take_along_axis(share, order, axis=0), axis=0)
    below = np.vstack([np.zeros_like(above[:1]), above[:-1]])
    kept = np.clip(np.minimum(above, 1 - CUT) - np.maximum(below, CUT), 0.0, None)
    whole = kept.sum(axis=0)
    counted = np.multiply(kept, ordered, out=np.zeros_like(ordered), where=kept > 0)  # an end may be infinite
    return np.where(whole > 0, np.sum(counted, axis=0) / np.maximum(whole, 1e-300), np.nan)
