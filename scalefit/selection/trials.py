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
from scalefit.selection.holding import NEXT, Axis, Fold
from scalefit.selection.left_out import left_out_residuals
from scalefit.solver.solve import Settings, Solution, solve
from scalefit.uncertainty.forms import other_forms

OF_A_FIT = ("draws", "seed", "method", "calibrated", "workers")  #: keywords that a trial does not take
MOST_ROWS = 600  #: rows that a trial reads, evenly thinned
SPARE = 2  #: rows that a refit needs beyond its free parameters
INDEPENDENT = 10  #: rows of one run that count as independent, at most
WORST = 1.0  #: the largest error that counts, also where the law has no value
FOLD_STARTS = 3  #: starts of a refit: the law has found its optimum on all rows before
FITTED = ""  #: name of the form that is the law's own fit
EACH = "each row by the others"  #: label of the error of rows that are left out one at a time


@dataclass(frozen=True)
class Form:
    """Another form of a law (``forms``): its parameters, and its mean absolute error on the rows of each fold."""

    parameters: tuple[float, ...]
    errors: dict[str, float]


@dataclass(frozen=True)
class Trial:
    """What a law makes of the runs: its misfit, and its mean absolute error on rows that it had not seen."""

    law: Law
    free: int
    rows: int
    runs: int
    misfit: float  #: mean absolute residual of the fit to all rows
    agree: float  #: share of its starts that agree
    errors: dict[str, float] = field(default_factory=dict)
    forms: dict[str, Form] = field(default_factory=dict)  #: by name; those that could be refitted wherever the law was

    @property
    def walked(self) -> dict[str, float]:
        """The errors beyond growing scales, or of runs, without those of the largest rows and of each row alone."""
        return {label: error for label, error in self.errors.items() if label not in (NEXT, EACH)}

    @property
    def independent(self) -> int:
        """How many rows count as independent: at most ten a run."""
        return min(self.rows, INDEPENDENT * self.runs)

    @property
    def criterion(self) -> float:
        """m ln misfit^2 + p ln m, with m the rows that count as independent."""
        count = self.independent
        return count * 2 * float(np.log(max(self.misfit, 1e-12))) + self.free * float(np.log(count))


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

    def forms(
        self, solution: Solution, axis: Axis | None, kept: NDArray[np.bool_] | None = None
    ) -> dict[str, FloatArray]:
        """The coordinates of the other forms of a law that was fitted to all rows, or to some of them."""
        if axis is None:
            return {}
        ready = self.prepared
        rows = np.ones(len(ready.rows), dtype=bool) if kept is None else kept
        weights = None if ready.weights is None else ready.weights[rows]
        scale = axis.of(ready.rows, self.runs)[rows]
        model = ready.model if kept is None else ready.model.take(kept)
        return other_forms(model, solution.objective, ready.values[rows], weights, solution.theta, scale)

    def alone(self, solution: Solution) -> float:
        """The mean absolute error of each row as the others predict it; NaN for rows along runs, which are alike."""
        ready = self.prepared
        if ready.law.is_trajectory:
            return float("nan")
        made = left_out_residuals(ready.model, solution.objective, ready.values, ready.weights, solution.theta)
        return float(np.mean(np.minimum(np.abs(made / self.unit(solution)), WORST)))

    def unit(self, solution: Solution) -> float:
        """What residuals are divided by: the usual value, unless they are logarithms."""
        return 1.0 if solution.objective.space == "log" else float(np.median(np.abs(self.prepared.values))) or 1.0

    def misses(self, held: NDArray[np.bool_], fitted: Prepared, solution: Solution) -> FloatArray:
        """Predicted minus measured in residual space, in units of the target where that is linear; (held,)."""
        rows, values, objective = self.prepared.rows, self.prepared.values, solution.objective
        ahead = replace(
            fitted.model, variables={name: column[held] for name, column in rows.variables.items()}, position=None
        )
        vector = dict(zip(fitted.law.parameters, ahead.vector(solution.theta[None])[0].tolist(), strict=True))
        made = objective.residuals(ahead.value(solution.theta[None])[0], objective.target(values[held]))
        lost = fitted.law.no_image(ahead.variables, vector) | ~np.isfinite(made)
        return np.asarray(np.where(lost, WORST, np.clip(made / self.unit(solution), -WORST, WORST)))


def attempt(runs: Runs, forms: Sequence[Law], options: Options, folds: Sequence[Fold]) -> Trial:
    """Try a law: of several forms the one with the least misfit, on all rows and in each fold anew."""
    ready = [Ready.of(runs, law, options) for law in forms]
    whole = [each.solved() for each in ready]
    misfits = [_misfit(solution) for solution in whole]
    best = int(np.argmin(misfits))
    prepared = ready[best].prepared
    axis = folds[0].axis if folds else None
    found = {fold.label: _errors(ready, fold, runs, axis) for fold in folds}
    found = {label: errors for label, errors in found.items() if errors}
    made = ready[best].forms(whole[best], axis)
    alone = ready[best].alone(whole[best])
    each = {EACH: alone} if folds and np.isfinite(alone) else {}
    return Trial(
        prepared.law,
        prepared.free,
        len(prepared.rows),
        int(prepared.rows.run_codes.max()) + 1,
        misfits[best],
        whole[best].agree / len(whole[best].costs),
        {label: errors[FITTED] for label, errors in found.items()} | each,
        {
            name: Form(
                tuple(prepared.model.vector(theta[None])[0].tolist()),
                {label: errors[name] for label, errors in found.items()} | each,
            )
            for name, theta in made.items()
            if all(name in errors for errors in found.values())
        },
    )


def _misfit(solution: Solution) -> float:
    return float(np.mean(np.abs(solution.residuals)))


def _errors(ready: Sequence[Ready], fold: Fold, runs: Runs, axis: Axis | None) -> dict[str, float]:
    """The mean absolute error in a fold of the law as fitted and of its other forms; empty where it has none."""
    found: dict[str, float] = {}
    least = np.inf
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
            forms = {FITTED: solution.theta, **part.forms(solution, axis, None if staged else ~held)}
            made = {
                name: each.misses(held, part.prepared, replace(solution, theta=theta)) for name, theta in forms.items()
            }
            found = {name: float(np.mean(np.abs(missed))) for name, missed in made.items()}
    return found


def _staged(each: Ready, kept: NDArray[np.bool_]) -> Ready:
    """A law whose constants come from an earlier stage, prepared again from the kept rows alone."""
    positions = each.prepared.rows.positions[kept]
    few = replace(each.options, starts=FOLD_STARTS)
    return Ready.of(replace(each.runs, table=each.runs.table.iloc[positions]), each.prepared.law, few)
