"""A candidate tried: fitted to all rows, and to those that each fold leaves, without the checks of a full fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from scalefit.errors import InputError
from scalefit.fitting.prepare import Options, Prepared, prepare
from scalefit.laws import Law
from scalefit.numerics import FloatArray
from scalefit.rows.door import check_identified
from scalefit.runs import Runs
from scalefit.selection.holding import NEXT, Fold
from scalefit.selection.published import drawn_to_published
from scalefit.solver.solve import Settings, Solution, solve

OF_A_FIT = ("draws", "seed", "method", "calibrated", "workers")  #: keywords that a trial does not take
MOST_ROWS = 600  #: rows that a trial reads, evenly thinned
SPARE = 2  #: rows that a refit needs beyond its free parameters
INDEPENDENT = 10  #: rows of one run that count as independent, at most
WORST = 1.0  #: the largest error that counts, also where the law has no value
FOLD_STARTS = 3  #: starts of a refit: the law has found its optimum on all rows before


@dataclass(frozen=True)
class Trial:
    """What a law makes of the runs: its form, its misfit, and its mean absolute error on the rows of each fold."""

    law: Law
    free: int
    rows: int
    runs: int
    misfit: float  #: mean absolute residual of the fit to all rows
    agree: float  #: share of its starts that agree
    errors: dict[str, float] = field(default_factory=dict)
    drawn: tuple[float, ...] = ()  #: the parameters drawn towards published ones, where the law has such a form
    drawn_errors: dict[str, float] = field(default_factory=dict)  #: and the errors of that form

    @property
    def walked(self) -> dict[str, float]:
        """The errors of the folds that every candidate is compared on, without the one of the largest rows alone."""
        return {label: error for label, error in self.errors.items() if label != NEXT}

    @property
    def noise(self) -> float:
        """The misfit as an estimate of the noise, corrected for the constants that were fitted."""
        return self.misfit * float(np.sqrt(self.rows / max(self.rows - self.free, 1)))

    @property
    def independent(self) -> int:
        """How many rows count as independent: at most ten a run."""
        return min(self.rows, INDEPENDENT * self.runs)

    @property
    def criterion(self) -> float:
        """m ln misfit^2 + p ln m, with m the rows that count as independent."""
        count = self.independent
        return count * 2 * float(np.log(max(self.misfit, 1e-12))) + self.free * float(np.log(count))

    @property
    def corrected(self) -> float:
        """ln misfit^2 + 2 p / (m - p - 1): Akaike's criterion for few rows, as if of one; infinite without a spare."""
        spare = self.independent - self.free - 1
        return 2 * float(np.log(max(self.misfit, 1e-12))) + 2 * self.free / spare if spare > 0 else float("inf")


@dataclass(frozen=True)
class Ready:
    """A form of a law, bound to thinned rows."""

    runs: Runs
    prepared: Prepared
    options: Options

    @classmethod
    def of(cls, runs: Runs, law: Law, options: Options) -> Ready:
        """Prepare a form; raises :class:`InputError` as a fit does."""
        prepared = prepare(runs, law, options)
        count = len(prepared.rows)
        if count > MOST_ROWS:
            keep = np.zeros(count, dtype=bool)
            keep[:: -(-count // MOST_ROWS)] = True
            rows = prepared.rows.keep(keep)
            assert rows.values is not None
            weights = None if prepared.weights is None else prepared.weights[keep]
            model = prepared.model.take(keep)
            prepared = replace(prepared, rows=rows, values=rows.values, weights=weights, model=model)
        return cls(runs, prepared, options)

    def solved(self, kept: NDArray[np.bool_] | None = None) -> Solution:
        """The fit to all rows, or to some of them."""
        ready = self.prepared
        if kept is None:
            return solve(ready.model, ready.values, ready.weights, ready.settings, ready.start)
        check_identified(ready.law, ready.rows.keep(kept), ready.free)
        weights = None if ready.weights is None else ready.weights[kept]
        few = Settings(ready.settings.residuals, ready.settings.loss, ready.settings.delta, FOLD_STARTS)
        return solve(ready.model.take(kept), ready.values[kept], weights, few)

    def drawn(self, solution: Solution, kept: NDArray[np.bool_] | None = None) -> FloatArray | None:
        """The coordinates of a solution drawn towards published ones, where the law has such a form."""
        ready = self.prepared
        rows = slice(None) if kept is None else kept
        weights = None if ready.weights is None else ready.weights[rows]
        model = ready.model if kept is None else ready.model.take(kept)
        return drawn_to_published(model, solution.objective, ready.values[rows], weights, solution.theta)

    def misses(self, held: NDArray[np.bool_], fitted: Prepared, solution: Solution) -> FloatArray:
        """Predicted minus measured in residual space, in units of the target where that is linear; (held,)."""
        rows, values, objective = self.prepared.rows, self.prepared.values, solution.objective
        ahead = replace(
            fitted.model, variables={name: column[held] for name, column in rows.variables.items()}, position=None
        )
        vector = dict(zip(fitted.law.parameters, ahead.vector(solution.theta[None])[0].tolist(), strict=True))
        made = objective.residuals(ahead.value(solution.theta[None])[0], objective.target(values[held]))
        unit = 1.0 if objective.space == "log" else float(np.median(np.abs(values))) or 1.0
        lost = fitted.law.no_image(ahead.variables, vector) | ~np.isfinite(made)
        return np.asarray(np.where(lost, WORST, np.clip(made / unit, -WORST, WORST)))


def attempt(runs: Runs, forms: Sequence[Law], options: Options, folds: Sequence[Fold]) -> Trial:
    """Try a law: of several forms the one with the least misfit, on all rows and in each fold anew."""
    ready = [Ready.of(runs, law, options) for law in forms]
    whole = [each.solved() for each in ready]
    misfits = [_misfit(solution) for solution in whole]
    best = int(np.argmin(misfits))
    prepared = ready[best].prepared
    errors = {fold.label: _errors(ready, fold, runs) for fold in folds}
    drawn = ready[best].drawn(whole[best]) if folds else None
    return Trial(
        prepared.law,
        prepared.free,
        len(prepared.rows),
        int(prepared.rows.run_codes.max()) + 1,
        misfits[best],
        whole[best].agree / len(whole[best].costs),
        {label: error for label, (error, _) in errors.items() if np.isfinite(error)},
        () if drawn is None else tuple(prepared.model.vector(drawn[None])[0].tolist()),
        {label: error for label, (_, error) in errors.items() if np.isfinite(error)},
    )


def _misfit(solution: Solution) -> float:
    return float(np.mean(np.abs(solution.residuals)))


def _errors(ready: Sequence[Ready], fold: Fold, runs: Runs) -> tuple[float, float]:
    """The mean absolute errors of a fold, as fitted and drawn towards published constants; NaN where there is none."""
    found, least = (np.nan, np.nan), np.inf
    for each in ready:
        held = fold.held(each.prepared.rows, runs)
        if not held.any() or int((~held).sum()) < each.prepared.free + SPARE:
            continue
        try:
            staged = bool(each.prepared.law.stages) or each.prepared.law.base is not None
            part = _staged(each, ~held) if staged else each
            solution = part.solved(None if staged else ~held)
        except (InputError, np.linalg.LinAlgError):
            continue  # the remaining rows do not identify it
        if _misfit(solution) < least:
            least = _misfit(solution)
            drawn = part.drawn(solution, None if staged else ~held)
            both = [solution, *([] if drawn is None else [replace(solution, theta=drawn)])]
            missed = [float(np.mean(np.abs(each.misses(held, part.prepared, one)))) for one in both]
            found = missed[0], missed[1] if len(missed) > 1 else np.nan
    return found


def _staged(each: Ready, kept: NDArray[np.bool_]) -> Ready:
    """A law whose constants come from an earlier stage, prepared again from the kept rows alone."""
    positions = each.prepared.rows.positions[kept]
    few = replace(each.options, starts=FOLD_STARTS)
    return Ready.of(replace(each.runs, table=each.runs.table.iloc[positions]), each.prepared.law, few)
