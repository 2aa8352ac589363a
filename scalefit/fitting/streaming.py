"""Fits to logs of millions of rows in bounded memory.

The optimum of a thinned sample comes first; then a few passes read every row in blocks of steps, whose variables are
computed and dropped again. Each pass sums the exact gradient over all rows and takes a step with the curvature of the
sample. That differs from the curvature of all rows by sampling error only, so that three passes reach the optimum of
the full data. Where it differs more (the first steps of a run without warmup are few and weigh much), a pass sums the
curvature over all rows as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from scalefit.numerics import FloatArray
from scalefit.rows.streams import Curve, Stream
from scalefit.solver.derivatives import Local, curvatures, measure
from scalefit.solver.model import BoundLaw
from scalefit.solver.objective import Objective
from scalefit.solver.steps import newton_step
from scalefit.solver.sums.between import Between
from scalefit.solver.sums.condensed import condense_rows

PASSES = 12
SETTLED = 1e-9  #: a fit has settled when a further pass would lower the objective by less than this share

TESTED = 8  #: rows of each curve that are summed anew at the end
NEAR = np.array([True])  #: exact second derivatives
STREAM_BLOCK = 1 << 15  #: rows of a curve that are evaluated together
Parts = Callable[[], Iterator[tuple[BoundLaw, FloatArray]]]


def settle(
    model: BoundLaw, objective: Objective, sample_values: FloatArray, stream: Stream, theta: FloatArray
) -> tuple[FloatArray, float, bool, float]:
    """The optimum of all rows from that of the sample: coordinates (p,), objective, whether it has settled.

    The last number is the largest error of the predictions, as a share, in rows that were summed anew.
    """
    target = objective.target(sample_values)
    weights = np.full(model.n, stream.rows / model.n)
    theta = theta[None]
    local = measure(model, objective, target, weights, theta)
    _, matrix, diagonal, _ = curvatures(model, objective, weights, theta, local, NEAR)
    kept = _few_rows(model, stream)
    parts = _parts(model, stream, kept)
    cost, gradient = _pass(parts, objective, theta)
    damping, of_here = 0.0, False
    for _ in range(PASSES):
        held = ((theta <= model.low) & (gradient > 0)) | ((theta >= model.high) & (gradient < 0))
        step = newton_step(gradient, matrix, diagonal, np.array([damping]), held)
        trial = np.clip(theta + step, model.low, model.high)
        expected = -0.5 * float(np.sum(gradient * (trial - theta)))
        if expected <= SETTLED * cost:
            return theta[0], cost, True, _apart(model, stream, kept, theta)
        trial_cost, trial_gradient = _pass(parts, objective, trial)
        gained = cost - trial_cost
        misled = not gained >= 0.5 * expected
        if gained > 0:
            theta, cost, gradient, of_here = trial, trial_cost, trial_gradient, False
        if misled and not of_here:  # rows that are rare in the sample shape the objective
            matrix, diagonal, of_here = *_curvature(parts, objective, theta), True
        elif misled:
            damping = max(10 * damping, 1e-3)
        else:
            damping *= 0.1
    return theta[0], cost, False, _apart(model, stream, kept, theta)


def _apart(model: BoundLaw, stream: Stream, kept: list[Between], theta: FloatArray) -> float:
    """By how much predictions from few rows differ from those of all sums, at some rows of each curve."""
    largest = 0.0
    for curve, between in zip(stream.curves, kept, strict=True):
        for row in np.unique(np.linspace(0, len(curve.values) - 1, TESTED).astype(np.intp)):
            one = np.array([row])
            all_sums = replace(model, variables=curve.at(one), position=None, between=None).value(theta)
            few = _along(model, curve, between, slice(row, row + 1)).value(theta)
            largest = max(largest, float(np.max(np.abs(few / all_sums - 1))))
    return largest


def _curvature(parts: Parts, objective: Objective, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The step matrix (1, p, p) and its scale (1, p) over all rows."""
    matrix, diagonal = np.zeros(()), np.zeros(())
    for part, ones, local in _blocks(parts, objective, theta):
        _, of_block, scale, _ = curvatures(part, objective, ones, theta, local, NEAR)
        matrix, diagonal = matrix + of_block, diagonal + scale
    return matrix, diagonal


def _pass(parts: Parts, objective: Objective, theta: FloatArray) -> tuple[float, FloatArray]:
    """The objective and its gradient (1, p) over all rows."""
    cost, gradient = 0.0, np.zeros_like(theta)
    for _, _, local in _blocks(parts, objective, theta):
        cost += float(local.cost[0])
        pull = objective.psi(local.residual) / (local.value if objective.space == "log" else 1.0)
        gradient += np.einsum("bpn,bn->bp", local.jacobian, pull)
    return cost, gradient


def _blocks(parts: Parts, objective: Objective, theta: FloatArray) -> Iterator[tuple[BoundLaw, FloatArray, Local]]:
    """The law bound to each block of rows, its weights of one, and the objective there."""
    for part, values in parts():
        ones = np.ones(len(values))
        yield part, ones, measure(part, objective, objective.target(values), ones, theta)


def _few_rows(model: BoundLaw, stream: Stream) -> list[Between]:
    """Of each curve whose rows are sums over many values the few rows from which the others follow."""
    with np.errstate(all="ignore"):
        spread = model.all_over() if stream.curves else {}
        return [condense_rows(model.law, curve.at, curve.steps, spread) for curve in stream.curves]


def _along(model: BoundLaw, curve: Curve, between: Between, rows: slice) -> BoundLaw:
    """The law bound to some rows of a curve."""
    variables = {name: column[rows] for name, column in curve.single.items()}
    count = len(curve.values[rows])
    variables |= {name: np.zeros((count, 0)) for name, one in model.law.variables.items() if one.many}
    return replace(model, variables=variables, position=None, between=between.take(rows))


def _parts(model: BoundLaw, stream: Stream, kept: list[Between]) -> Parts:
    """What makes the law bound to each block of rows, and the values there."""

    def along_curves() -> Iterator[tuple[BoundLaw, FloatArray]]:
        for curve, between in zip(stream.curves, kept, strict=True):
            for begin in range(0, len(curve.values), STREAM_BLOCK):
                rows = slice(begin, begin + STREAM_BLOCK)
                yield _along(model, curve, between, rows), curve.values[rows]

    def in_blocks() -> Iterator[tuple[BoundLaw, FloatArray]]:
        for variables, values in stream.blocks():
            yield replace(model, variables=variables, position=None, between=None), values

    return along_curves if stream.curves else in_blocks
