"""The back-test behind the calibration: refits to the smaller runs judged on the larger; of curves, without each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from scalefit.errors import IdentificationError, InputError
from scalefit.laws.law import Law
from scalefit.numerics import FLAT, FloatArray, robust_sigma
from scalefit.parallel import each
from scalefit.rows.door import check_identified
from scalefit.rows.rows import Rows
from scalefit.rows.scale import maps_losses, scale_of
from scalefit.solver.first_stage import held_again
from scalefit.solver.many import solve_each
from scalefit.solver.model import BoundLaw
from scalefit.solver.solve import Settings, Solution
from scalefit.status_line import tell
from scalefit.uncertainty.bootstrap import bootstrap, resampled_as_one
from scalefit.uncertainty.calibration import (
    PRIOR_FOLDS,
    WORST,
    Calibration,
    Fold,
    estimated,
    small_sample,
    spreads,
    towards,
)
from scalefit.uncertainty.forms import other_form
from scalefit.uncertainty.pieces import distinct, independent
from scalefit.uncertainty.unlike import FALLEN, kept_states, states_of

CUTS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)  #: quantiles of scale below which the law is refitted
FOLD_DRAWS = 60
HIGHEST = 0.95  #: quantile of the predictions up to which their range is taken
DECAYED = 0.9  #: share of the peak below which a learning rate has fallen
FEWEST_DECAYED = 3  #: rows of such a rate that tell what a law misses there
FOLD_ROWS = 4000  #: most rows that a refit reads, and most that it predicts
MOVED = 1e-6  #: share of a prediction's slope that such a direction must have to decide it


def folds_of(law: Law, rows: Rows, free: int) -> list[tuple[str, NDArray[np.bool_]]]:
    """Labels and masks of the rows to hold out, one per fold."""
    runs = rows.run_codes
    if law.is_trajectory:
        count = int(runs.max()) + 1
        if count < law.schedules_needed + 1:
            return []
        names = rows.frame["run"].astype(str).to_numpy()
        return [(f"without {names[runs == code][0]}", runs == code) for code in range(count)]
    scale = scale_of(law, dict(rows.variables))
    found: dict[int, NDArray[np.bool_]] = {}
    a_run = np.isfinite(scale)  # not the point of a perfect model, which no run reaches and none is forecast from
    for cut in np.quantile(scale[a_run], CUTS) if a_run.any() else ():
        held = a_run & (scale > cut + 1e-9)
        if held.any() and int((~held).sum()) >= free + 3:
            found[int((~held).sum())] = held  # two cuts can leave the same rows
    return [(f"smallest {count} rows", held) for count, held in found.items()]


def walk(
    law: Law,
    model: BoundLaw,
    rows: Rows,
    settings: Settings,
    seed: int,
    folds: list[tuple[str, NDArray[np.bool_]]],
    workers: int | None = None,
) -> list[Fold]:
    """Refit without each fold's rows and record the errors there; folds that cannot be fitted are left out."""

    tell(f"back-test of law {law.name}: {len(folds)} refits")
    parts = [part for label, held in folds if (part := _part(law, model, rows, settings, label, held)) is not None]
    models, values = [part.model for part in parts], [part.values for part in parts]
    found = solve_each(models, values, [None] * len(parts), settings, partial(each, workers=workers))
    refitted = [(part, solution) for part, solution in zip(parts, found, strict=True) if solution is not None]

    def one(fold: tuple[Part, Solution]) -> Fold | None:
        try:
            return _judged(law, rows, seed, *fold)
        except (InputError, np.linalg.LinAlgError):
            return None  # the remaining runs do not identify the law

    return [fold for fold in each(one, refitted, workers) if fold is not None]


@dataclass(frozen=True)
class Part:
    """A law bound to the rows that a fold leaves, and to those that it holds out."""

    label: str
    model: BoundLaw
    values: FloatArray
    kept: Rows
    ahead: BoundLaw
    beyond: NDArray[np.intp]  #: positions of the held-out rows


def _part(
    law: Law, model: BoundLaw, rows: Rows, settings: Settings, label: str, held: NDArray[np.bool_]
) -> Part | None:
    """What a fold leaves; None where the remaining runs do not identify the law."""
    assert rows.values is not None
    fitted, beyond = _thinned(~held), _thinned(held)
    kept, values = rows.keep(np.isin(np.arange(len(held)), fitted)), rows.values[fitted]
    try:
        check_identified(law, kept, len(model.coordinates))
        part = held_again(model, model.take(fitted), rows.values, values, settings)
    except (InputError, np.linalg.LinAlgError):
        return None
    return Part(label, part, values, kept, replace(model.take(beyond), fixed=part.fixed), beyond)


def _judged(law: Law, rows: Rows, seed: int, part: Part, solution: Solution) -> Fold:
    """The errors of a refit on its held-out rows, and the spread of its draws there."""
    assert rows.values is not None
    ahead, values, kept, beyond = part.ahead, part.values, part.kept, part.beyond
    if left_open(part.model, ahead, solution.theta):
        where = f"{part.label}, law {law.name}"
        raise IdentificationError("the fitted rows do not decide the predictions", where=where)
    blocks, method = resampled_as_one(solution.residuals, independent(kept), "auto")
    given = part.model, solution.objective, values, np.ones(len(values)), solution.theta, blocks
    draws = bootstrap(*given, draws=FOLD_DRAWS, seed=seed, method=method, sigma=solution.sigma)
    few = small_sample(int(blocks.max()) + 1, len(np.unique(distinct(kept))), len(part.model.coordinates), method)
    scale = scale_of(law, dict(kept.variables))
    other = other_form(part.model, solution.objective, values, None, solution.theta, scale)
    variables = {name: v[beyond] for name, v in rows.variables.items()}
    log = solution.objective.space == "log"
    inside = fitted_range(law, kept, part.model.value(solution.theta[None])[0], log)
    centre, measured = ahead.value(solution.theta[None])[0], solution.objective.target(rows.values[beyond])
    error = -solution.objective.residuals(centre, measured)
    with np.errstate(all="ignore"):
        made = ahead.value(draws)
        middle, made = (np.log(centre), np.log(made)) if log else (centre, made)
        pulled = 0.0 if other is None else towards(solution.objective.target(ahead.value(other[None])[0]), middle)
    states = schedule_states(law, rows)
    distance = inside.distance(law, variables)
    missed = inside.missed(law, variables, None if states is None else states[beyond])
    wide = spreads(middle, made, few)
    return Fold(part.label, beyond, len(values), distance, missed, error, *wide, solution.sigma, pulled)


def bias_of(law: Law, folds: Sequence[Fold]) -> float:
    """The factor b: by how many m the held-out runs lie above the centres of the intervals; 0 along curves.

    The errors of a law that lacks a term have one sign at scale. With e the errors of a refit,
    b_f = sum w e m / sum w m^2, w = 1 / (m^2 + s^2 + sigma^2), at most WORST; b is the mean of b_f, each of the weight
    that it has for k, and of 0, which counts as PRIOR_FOLDS refits.
    """
    total, weight = 0.0, PRIOR_FOLDS
    for fold in () if law.is_trajectory else folds:
        rows = fold.known
        if rows.any():
            missed, trust = fold.missed[rows], estimated(fold, rows)[1]
            pull = missed / (missed**2 + fold.spread[rows] ** 2 + fold.sigma**2)
            own = float(np.sum(pull * fold.missed_by[rows]) / np.sum(pull * missed))
            total, weight = total + trust * min(max(own, -WORST), WORST), weight + trust
    return total / weight


def recentred(folds: Sequence[Fold], bias: float) -> list[Fold]:
    """The same refits, judged from centres that lie b m higher."""
    return [replace(fold, pulled=fold.pulled + bias * fold.missed) for fold in folds]


def left_open(part: BoundLaw, ahead: BoundLaw, theta: FloatArray) -> bool:
    """Whether parameters can change together so that predictions ahead change and none of the fitted rows does.

    Such are E, B and beta of E + B D^-beta where the fitted rows have two values of D: every beta fits them alike, and
    rounding alone would choose among forecasts. A parameter at a bound can only move inwards; those of a term that is
    zero decide nothing ahead either, and do not count.
    """
    here, there = (bound.jacobian(theta[None])[1][0].T for bound in (part, ahead))
    if not (np.isfinite(here).all() and np.isfinite(there).all()):
        return False
    size = np.maximum(np.abs(here).max(axis=0), np.abs(there).max(axis=0))
    here, there = (slope / np.where(size > 0, size, 1.0) for slope in (here, there))
    _, singular, directions = np.linalg.svd(here, full_matrices=False)
    flat = directions[singular <= FLAT * singular[0]]
    below, above = theta <= part.low, theta >= part.high
    stopped = [((below & (v < -MOVED)) | (above & (v > MOVED))).any(axis=1) for v in (flat, -flat)]
    moved = there @ flat[~(stopped[0] & stopped[1])].T
    return bool(np.any(np.abs(moved) > MOVED * np.abs(there).max()))


def fitted_range(law: Law, rows: Rows, predicted: FloatArray, log: bool) -> Calibration:
    """What was fitted, before any back-test: the range of scales, and that of the predictions."""
    scale, states = scale_of(law, dict(rows.variables)), schedule_states(law, rows)
    made = np.log(predicted) if log else predicted
    decays = _missed_decays(states, rows.values, made, log)
    kept = () if states is None else kept_states(states)
    a_run = np.isfinite(scale)
    low, high = (float(end(scale[a_run])) for end in (np.min, np.max)) if a_run.any() else (0.0, 0.0)
    made = made[a_run] if a_run.any() else made
    change = float(np.quantile(made, HIGHEST) - made.min())
    lowest = float(made.min()) if kept else None
    return Calibration(
        1.0, 0, 0, low, high, change=change, states=kept, decays=decays, mapped=maps_losses(law), lowest=lowest
    )


def _missed_decays(states: FloatArray | None, values: FloatArray | None, made: FloatArray, log: bool) -> float:
    """What a law misses, beyond the noise, of the rows whose learning rate has fallen; 0 without such rows."""
    if states is None or values is None:
        return 0.0
    residual = np.asarray(np.log(values) if log else values) - made
    fallen = states[:, FALLEN] > 1 - DECAYED
    if fallen.sum() < FEWEST_DECAYED:
        return 0.0
    square = float(np.mean(residual[fallen] ** 2)) - robust_sigma(residual) ** 2
    return float(np.sqrt(max(square, 0.0)))


def schedule_states(law: Law, rows: Rows) -> FloatArray | None:
    """The states of the schedules at the rows of curves; None for laws that follow no schedule."""
    if not law.is_trajectory or not rows.paths:
        return None
    return states_of(rows.paths, rows.frame["run"].astype(str).to_numpy(), rows.frame["step"].to_numpy())


def _thinned(mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Positions where the mask holds, evenly thinned to FOLD_ROWS at most."""
    positions = np.flatnonzero(mask)
    return positions[:: max(1, -(-len(positions) // FOLD_ROWS))]
