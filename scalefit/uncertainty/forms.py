"""Other forms of a fitted law: fitted mostly to the largest rows, drawn towards published constants, or both.

No law is exact, and its error among small runs is another one than beyond the large ones. So each law of sizes, data or
compute enters the mixture again with weights of rows that fall by e over SPAN of the range of ln scale, downwards from
the largest. And few or noisy runs leave exponents and the irreducible loss E so open that the best fit takes values
which no study has found: no floor at all, or one next to the least loss with an exponent of 1.5. So each law that has
both enters with its exponents a and E drawn towards published ones, once with either weights of rows, at the minimum of

    m/n sum w r^2 / s^2 + sum ((ln a - ln A0) / A_WIDTH)^2 + (logit(E / least loss) - logit E0)^2 / E_WIDTH^2

with the scatter s of its own fit and robust weights w. Errors of a law are alike in neighbours, so n rows count as m,
at most COUNTED. Held-out runs weigh all of them (``judging``). docs/choosing.md lists the published values: exponents
of size and data have the median .24 and a scatter of .36 in the logarithm, of which A_WIDTH is twice; floors lie at .55
to .99 of the least loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from scalefit.memory import once
from scalefit.numerics import FloatArray
from scalefit.rows.scale import reads_scale
from scalefit.solver.model import BoundLaw
from scalefit.solver.objective import Objective

A0, A_WIDTH = 0.25, 0.7  #: exponents of size, data and compute: the middle, and one width in the logarithm
E0, E_WIDTH = 0.75, 1.0  #: the irreducible loss over the least measured one: the middle, and one width in its logit
COUNTED = 12.0  #: rows that count as independent, at most
SPAN = 1 / 3  #: part of the range of ln scale over which the weights of rows fall by e
EXPONENTS = ("exponent", "exponent of model size", "exponent of data", "exponent of compute")
USUAL = (0.15, 0.6)  #: where the exponents of the second start lie
EDGE = 0.01  #: share of the least loss by which a start lies inside the range of E
STEPS = 100
FIRST, LESS, MORE = 1e-3, 5.0, 4.0  #: damping of the first step; divided after one that helps, multiplied after another
LEAST_DAMPING, LAST = 1e-12, 1e12  #: the least one; and that above which a search has ended
SETTLED = 1e-8  #: share of the squares by which the last step changes them
TINY = 1e-300  #: of a coordinate that changes nothing
LEAST = 1e-12  #: what a positive coordinate is at least, where its logarithm is taken
LARGEST, DRAWN, BOTH = "largest rows", "published constants", "largest rows and published constants"


@dataclass(frozen=True)
class Search:
    """Searches (B of them at once) that move in logarithms of positive coordinates, and in the logit of a drawn E."""

    model: BoundLaw
    objective: Objective
    values: FloatArray  #: (n,)
    rows: FloatArray  #: weight of each residual, (B, n)
    drawn: NDArray[np.bool_]  #: which of them draw constants (B,)
    floor: int | None  #: position of E among the coordinates
    exponents: NDArray[np.intp]  #: positions of those that are drawn

    @property
    def positive(self) -> NDArray[np.bool_]:
        """Which coordinates are moved in their logarithm (B, p); a drawn E is moved in its logit."""
        found = np.tile(~self.model.log & (self.model.low >= 0), (len(self.drawn), 1))
        if self.floor is not None:
            found[self.drawn, self.floor] = False
        return found

    def outward(self, theta: FloatArray) -> FloatArray:
        """(B, p) where the searches are at coordinates (B, p)."""
        found = np.where(self.positive, np.log(np.maximum(theta, LEAST)), theta)
        if self.floor is not None:
            share = np.clip(theta[:, self.floor] / float(self.values.min()), EDGE, 1 - EDGE)
            found[:, self.floor] = np.where(self.drawn, logit(share), found[:, self.floor])
        return found

    def inward(self, place: FloatArray) -> FloatArray:
        """The coordinates (B, p) at places of the searches, inside their box."""
        with np.errstate(over="ignore"):
            found = np.where(self.positive, np.exp(np.minimum(place, 300.0)), place)
        if self.floor is not None:
            floor = float(self.values.min()) * expit(place[:, self.floor])
            found[:, self.floor] = np.where(self.drawn, floor, found[:, self.floor])
        return np.clip(found, self.model.low, self.model.high)

    def linear(self, place: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Weighted residuals with the distances from the published constants (B, m), and derivatives (B, p, m)."""
        theta = self.inward(place)
        with np.errstate(all="ignore"):
            value, slope = self.model.jacobian(theta)
            missed = self.rows * self.objective.residuals(value, self.objective.target(self.values))
            slope = self.objective.slopes(value[:, None], slope)
        inner = np.where(self.positive, theta, 1.0)
        parts, steep = [missed], []
        if self.floor is not None:
            E = theta[:, self.floor]
            inner[:, self.floor] = np.where(self.drawn, E * (1 - E / float(self.values.min())), inner[:, self.floor])
            drawn = self.drawn[:, None]
            parts += [drawn * (place[:, self.exponents] - np.log(A0)) / A_WIDTH]
            parts += [drawn * (place[:, [self.floor]] - logit(E0)) / E_WIDTH]
            far = np.zeros((place.shape[1], len(self.exponents) + 1))
            far[self.exponents, np.arange(len(self.exponents))] = 1 / A_WIDTH
            far[self.floor, -1] = 1 / E_WIDTH
            steep = [self.drawn[:, None, None] * far]
        off = np.concatenate(parts, axis=1)
        every = np.concatenate([self.rows[:, None] * slope * inner[..., None], *steep], axis=2)
        if not (np.isfinite(off).all() and np.isfinite(every).all()):
            off, every = (
                np.nan_to_num(off, nan=1e6, posinf=1e6, neginf=-1e6),
                np.nan_to_num(every, posinf=0.0, neginf=0.0),
            )
        return off, every

    def starts(self, theta: FloatArray, usual: NDArray[np.bool_]) -> FloatArray:
        """(B, p) where the searches begin: at a fit (p,), and those of ``usual`` (B,) with usual constants instead."""
        first = self.outward(np.tile(theta, (len(self.drawn), 1)))
        if self.floor is not None:
            first[np.ix_(usual, self.exponents)] = np.clip(first[np.ix_(usual, self.exponents)], *np.log(USUAL))
            first[usual, self.floor] = np.where(self.drawn[usual], logit(E0), np.log(E0 * float(self.values.min())))
        return first

    def found(self, place: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The coordinates (B, p) of least squares from places (B, p), and their sums of squares (B,).

        Levenberg-Marquardt steps, each search with its own damping; it has settled where a step with hardly any damping
        changes next to nothing.
        """
        place, damping = place.copy(), np.full(len(place), FIRST)
        missed, slope = self.linear(place)
        cost = np.sum(missed**2, axis=1)
        able = np.ones(len(place), dtype=bool)
        for _ in range(STEPS):
            gradient, curved = slope @ missed[..., None], slope @ slope.swapaxes(1, 2)
            size = np.einsum("bpp->bp", curved)
            ridge = damping[:, None] * size + np.finfo(float).eps * size.max(axis=1, keepdims=True) + TINY
            step = -np.linalg.solve(curved + ridge[..., None] * np.eye(place.shape[1]), gradient)[..., 0]
            new_missed, new_slope = self.linear(place + step)
            new = np.sum(new_missed**2, axis=1)
            better = able & (new < cost)
            still = np.abs(cost - new) < SETTLED * cost
            able &= ~(still & (damping <= FIRST)) & (damping < LAST)
            place[better], cost[better] = (place + step)[better], new[better]
            missed[better], slope[better] = new_missed[better], new_slope[better]
            damping = np.where(better, np.maximum(damping / LESS, LEAST_DAMPING), damping * MORE)
            if not able.any():
                break
        return self.inward(place), cost


def other_forms(
    model: BoundLaw,
    objective: Objective,
    values: FloatArray,
    weights: FloatArray | None,
    theta: FloatArray,
    scale: FloatArray,
    wanted: Sequence[str] = (LARGEST, DRAWN, BOTH),
) -> dict[str, FloatArray]:
    """The coordinates (p,) of each other form of a law that was fitted at ``theta``; none for a law of no scale.

    ``scale`` (n,) is the logarithm of that along which runs grow.
    """
    if model.law.is_trajectory or not reads_scale(model.law):
        return {}
    residuals = objective.residuals(model.value(theta[None])[0], objective.target(values))
    robust = objective.majorant(residuals) * (1.0 if weights is None else weights)
    near = np.exp((scale - scale.max()) / (SPAN * np.ptp(scale))) if np.ptp(scale) > 0 else None
    exponents, floor = _drawn_constants(model, values)
    rows = {LARGEST: None if near is None else np.sqrt(robust * near)}
    if floor is not None:
        rows[DRAWN] = _counted(robust, np.ones(len(values)), residuals, len(theta))
        rows[BOTH] = None if near is None else _counted(robust, near, residuals, len(theta))
    known = {name: each for name, each in rows.items() if each is not None and name in wanted}
    if not known:
        return {}
    starts = 1 if floor is None else 2  # the fit, and usual constants
    drawn, usual = np.repeat([name != LARGEST for name in known], starts), np.tile([False, True][:starts], len(known))
    weight = np.repeat(np.stack([*known.values()]), starts, axis=0)
    given = (objective, values, weight, drawn, floor, exponents)
    search = Search(model, *given)
    ends, costs = once(lambda: search.found(search.starts(theta, usual)), "forms", model.told, *given, theta, usual)
    best = np.argmin(costs.reshape(-1, starts), axis=1) + starts * np.arange(len(known))
    return dict(zip(known, ends[best], strict=True))


def other_form(
    model: BoundLaw,
    objective: Objective,
    values: FloatArray,
    weights: FloatArray | None,
    theta: FloatArray,
    scale: FloatArray,
) -> FloatArray | None:
    """The form (p,) that is furthest from the fit: of both kinds, else that of the largest rows; None without any."""
    for name in (BOTH, LARGEST):
        found = other_forms(model, objective, values, weights, theta, scale, (name,))
        if found:
            return found[name]
    return None


def _drawn_constants(model: BoundLaw, values: FloatArray) -> tuple[NDArray[np.intp], int | None]:
    """Positions of the exponents and of the irreducible loss; None for a law without either."""
    law, names = model.law, [coordinate.name for coordinate in model.coordinates]
    found = [
        j for j, name in enumerate(names) if law.parameters[name].meaning in EXPONENTS and law.parameters[name].low >= 0
    ]
    known = bool(found) and law.irreducible in names and float(values.min()) > 0
    return np.array(found, dtype=np.intp), names.index(str(law.irreducible)) if known else None


def _counted(robust: FloatArray, weight: FloatArray, residuals: FloatArray, free: int) -> FloatArray | None:
    """Weights of residuals in units of their scatter, for rows that count as COUNTED; None without a scatter."""
    whole = robust * weight / np.mean(weight)
    count = len(residuals)
    scatter = float(np.sqrt(np.sum(whole * residuals**2) / max(count - free, 1)))
    known = np.isfinite(scatter) and scatter > 0
    return np.asarray(np.sqrt(whole * min(COUNTED / count, 1.0)) / scatter) if known else None
