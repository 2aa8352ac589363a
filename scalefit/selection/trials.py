"""A candidate tried: fitted to all rows, and to those that each fold leaves, without the checks of a full fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from scalefit.selection.runaway import turns
from scalefit.solver.many import solve_each
from scalefit.solver.model import BoundLaw
from scalefit.solver.solve import Solution, solve
from scalefit.uncertainty.folds import left_open
from scalefit.uncertainty.forms import other_forms

OF_A_FIT = ("draws", "seed", "method", "calibrated", "workers")  #: keywords that a trial does not take
MOST_ROWS = 600  #: rows that a trial reads, evenly thinned
SPARE = 2  #: rows that a refit needs beyond its free parameters
INDEPENDENT = 10  #: rows of one run that count as independent, at most
WORST = 1.0  #: the largest error that counts, also where the law has no value
FOLD_STARTS = 3  #: starts of a refit: the law has found its optimum on all rows before
FITTED = ""  #: name of the form that is the law's own fit
EACH = "every row"  #: label of the error of the rows that the law was fitted to, for the parameters spent on them
LEAST_LEFT = 0.02  #: share of the rows that the parameters leave, at least


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
    turning: frozenset[str] = frozenset()  #: the forms, its own fit among them, that turn far beyond the runs

    @property
    def walked(self) -> dict[str, float]:
        """The errors beyond growing scales, or of runs, without those of the largest rows and of all rows."""
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
class Refit:
    """A form fitted to the rows that a fold leaves: ``part`` is ``whole``, or was prepared again from these rows."""

    held: NDArray[np.bool_]
    whole: Ready
    part: Ready
    solution: Solution

    @property
    def open(self) -> bool:
        """Whether the rows that are left do not decide what is predicted of the others."""
        model = self.part.prepared.model
        fitted = model.take(~self.held) if self.part is self.whole else model
        return left_open(fitted, self.whole.ahead(self.held, self.part.prepared), self.solution.theta)


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

    def solved(self) -> Solution:
        """The fit to all rows."""
        ready = self.prepared
        return solve(ready.model, ready.values, ready.weights, ready.settings, ready.start)

    def solved_on(self, masks: Sequence[NDArray[np.bool_]]) -> list[Solution | None]:
        """The fits to the rows where each mask holds, as one batch; None where these rows do not identify the law."""
        ready, few = self.prepared, replace(self.prepared.settings, starts=FOLD_STARTS)

        def identified(kept: NDArray[np.bool_]) -> bool:
            try:
                check_identified(ready.law, ready.rows.keep(kept), ready.free)
            except InputError:
                return False
            return True

        able = [i for i, kept in enumerate(masks) if identified(kept)]
        models, values = [ready.model.take(masks[i]) for i in able], [ready.values[masks[i]] for i in able]
        weights = [None if ready.weights is None else ready.weights[masks[i]] for i in able]
        found = dict(zip(able, solve_each(models, values, weights, few), strict=True))
        return [found.get(i) for i in range(len(masks))]

    def refitted(self, folds: Sequence[Fold]) -> dict[str, Refit]:
        """The fits to the rows that each fold leaves, by its label, where they identify the law."""
        rows, free = self.prepared.rows, self.prepared.free
        held = {fold.label: fold.held(rows, self.runs) for fold in folds}
        held = {label: mask for label, mask in held.items() if mask.any() and int((~mask).sum()) >= free + SPARE}
        if not self.prepared.law.stages and self.prepared.law.base is None:
            made = zip(held.items(), self.solved_on([~mask for mask in held.values()]), strict=True)
            found = {label: Refit(mask, self, self, one) for (label, mask), one in made if one is not None}
        else:
            found = {}
            for label, mask in held.items():
                try:
                    part = _staged(self, ~mask)
                    found[label] = Refit(mask, self, part, part.solved())
                except (InputError, np.linalg.LinAlgError):
                    continue  # the remaining rows do not identify it
        return {label: refit for label, refit in found.items() if not refit.open}

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

    def turning(self, coordinates: Mapping[str, FloatArray], axis: Axis | None) -> frozenset[str]:
        """Those of a law's forms that turn far beyond the runs, by the coordinates of each."""
        if axis is None:
            return frozenset()
        ready, scale = self.prepared, axis.of(self.prepared.rows, self.runs)
        made = {
            name: turns(ready.model, theta, ready.values, scale, axis.powers) for name, theta in coordinates.items()
        }
        return frozenset(name for name, bad in made.items() if bad)

    def spent(self, solution: Solution) -> float:
        """The mean absolute error of n rows that a law of p free parameters was fitted to, over 1 - p / n.

        As of each row by all others on average (generalised cross-validation). The share that each row has of its own
        prediction is not asked for: a robust fit that passes through as many rows as it has parameters leaves the
        others no say, and would seem exact. NaN for rows along runs, which are alike.
        """
        ready = self.prepared
        if ready.law.is_trajectory:
            return float("nan")
        left = max(1 - ready.free / len(ready.rows), LEAST_LEFT)
        return float(np.mean(np.minimum(np.abs(solution.residuals / self.unit(solution)) / left, WORST)))

    def unit(self, solution: Solution) -> float:
        """What residuals are divided by: the usual value, unless they are logarithms."""
        return 1.0 if solution.objective.space == "log" else float(np.median(np.abs(self.prepared.values))) or 1.0

    def ahead(self, held: NDArray[np.bool_], fitted: Prepared) -> BoundLaw:
        """A fitted form, bound to the rows that it did not see."""
        there = {name: column[held] for name, column in self.prepared.rows.variables.items()}
        return replace(fitted.model, variables=there, position=None)

    def misses(self, held: NDArray[np.bool_], fitted: Prepared, solution: Solution) -> FloatArray:
        """Predicted minus measured in residual space, in units of the target where that is linear; (held,)."""
        values, objective = self.prepared.values, solution.objective
        ahead = self.ahead(held, fitted)
        vector = dict(zip(fitted.law.parameters, ahead.vector(solution.theta[None])[0].tolist(), strict=True))
        made = objective.residuals(ahead.value(solution.theta[None])[0], objective.target(values[held]))
        lost = fitted.law.no_image(ahead.variables, vector) | ~np.isfinite(made)
        return np.asarray(np.where(lost, WORST, np.clip(made / self.unit(solution), -WORST, WORST)))


@dataclass(frozen=True)
class Attempt:
    """A law fitted to all rows, in each of its forms among which the data choose."""

    runs: Runs
    ready: tuple[Ready, ...]
    whole: tuple[Solution, ...]  #: the fit of each form

    @classmethod
    def of(cls, runs: Runs, forms: Sequence[Law], options: Options) -> Attempt:
        """Fit them; raises :class:`InputError` as a fit does."""
        ready = tuple(Ready.of(runs, law, options) for law in forms)
        return cls(runs, ready, tuple(each.solved() for each in ready))

    def judged(self, folds: Sequence[Fold]) -> Trial:
        """The form with the least misfit, held to the folds; in each fold the best form is found anew."""
        misfits = [_misfit(solution) for solution in self.whole]
        best = int(np.argmin(misfits))
        ready, whole = self.ready[best], self.whole[best]
        prepared = ready.prepared
        axis = folds[0].axis if folds else None
        refits = [each.refitted(folds) for each in self.ready]
        found = {
            fold.label: _errors([made[fold.label] for made in refits if fold.label in made], axis) for fold in folds
        }
        found = {label: errors for label, errors in found.items() if errors}
        spent = ready.spent(whole)
        each = {EACH: spent} if folds and np.isfinite(spent) else {}
        forms = ready.forms(whole, axis)
        return Trial(
            prepared.law,
            prepared.free,
            len(prepared.rows),
            int(prepared.rows.run_codes.max()) + 1,
            misfits[best],
            whole.agree / len(whole.costs),
            {label: errors[FITTED] for label, errors in found.items()} | each,
            {
                name: Form(
                    tuple(prepared.model.vector(theta[None])[0].tolist()),
                    {label: errors[name] for label, errors in found.items()} | each,
                )
                for name, theta in forms.items()
                if all(name in errors for errors in found.values())
            },
            ready.turning({FITTED: whole.theta, **forms}, axis),
        )


def _misfit(solution: Solution) -> float:
    return float(np.mean(np.abs(solution.residuals)))


def _errors(refits: Sequence[Refit], axis: Axis | None) -> dict[str, float]:
    """The mean absolute error in a fold of the best of a law's forms, as fitted and in other ways; empty where it has
    none."""
    if not refits:
        return {}
    best = min(refits, key=lambda refit: _misfit(refit.solution))
    part, solution, held = best.part, best.solution, best.held
    kept = ~held if part is best.whole else None
    errors = {}
    for name, theta in {FITTED: solution.theta, **part.forms(solution, axis, kept)}.items():
        missed = best.whole.misses(held, part.prepared, replace(solution, theta=theta))
        errors[name] = float(np.mean(np.abs(missed)))
    return errors


def _staged(each: Ready, kept: NDArray[np.bool_]) -> Ready:
    """A law whose constants come from an earlier stage, prepared again from the kept rows alone."""
    positions = each.prepared.rows.positions[kept]
    few = replace(each.options, starts=FOLD_STARTS)
    return Ready.of(replace(each.runs, table=each.runs.table.iloc[positions]), each.prepared.law, few)
