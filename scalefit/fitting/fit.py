"""``fit``: a law and run logs in, a ``Fit`` out. It joins reading, checking, solving and warnings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from scalefit.diagnosis.checks import Check, examine, find_outliers, sub_models
from scalefit.diagnosis.choices import other_choices
from scalefit.diagnosis.clusters import clustered_residuals, clusters
from scalefit.diagnosis.degenerate import degenerate
from scalefit.diagnosis.influence import usual_target, without_each
from scalefit.diagnosis.one_sided import refits
from scalefit.diagnosis.phases import stray_phases, transient
from scalefit.diagnosis.residuals import outlier_checks, still_falling, trends, under_trained, units_of
from scalefit.diagnosis.unread import overridden, unread
from scalefit.fitting.prepare import Options, Prepared, prepare
from scalefit.fitting.recipe import recipe_of
from scalefit.fitting.result import Fit
from scalefit.fitting.streaming import settle
from scalefit.laws import Law
from scalefit.notices import doubts_of
from scalefit.rows.gather import Which
from scalefit.rows.points import Points
from scalefit.rows.rows import Rows
from scalefit.runs import Runs, runs_of
from scalefit.runs.conventions import mixed_conventions
from scalefit.runs.endings import unfinished
from scalefit.runs.trajectory import clocks_of
from scalefit.solver.model import SAME
from scalefit.solver.solve import Solution, Starts, solve
from scalefit.status_line import tell
from scalefit.uncertainty.bootstrap import Method
from scalefit.uncertainty.intervals import Resampling, make_intervals
from scalefit.uncertainty.levels import Levels
from scalefit.uncertainty.unlike import kept_states, states_of

MOST_POINTS = 2000  #: fitted rows that a fit keeps, also when it is saved


def fit(
    runs: Runs | pd.DataFrame,
    law: str | Law | type[Law],
    *,
    target: str | None = None,
    residuals: Literal["log", "linear"] | None = None,
    loss: Literal["huber", "squared", "soft_l1"] = "huber",
    delta: float | Literal["auto"] = "auto",
    weights: str | None = None,
    fix: Mapping[str, float] | None = None,
    tie: Mapping[str, str] | None = None,
    bounds: Mapping[str, tuple[float | None, float | None]] | None = None,
    parameters: Any = None,
    start: Mapping[str, float] | pd.DataFrame | None = None,
    starts: int = 8,
    points: Which = "auto",
    drop_diverged: bool = False,
    force: bool = False,
    draws: int = 0,
    seed: int = 0,
    method: Method = "auto",
    calibrated: bool = True,
    workers: int | None = None,
) -> Fit:
    """Fit a law to run logs.

    The objective is the sum over rows of w rho(r), r = log(predicted) - log(measured) (``residuals="linear"``: the
    plain difference), rho Huber's loss with threshold ``delta``: ``"auto"`` sets it to 1.345 sigma, sigma from the
    median absolute residual, and repeats until both agree; 1e-3 reproduces the papers.

    Args:
        runs: run logs (:func:`scalefit.read_runs`) or a DataFrame with canonical column names.
        law: a name with options, a formula, a Law class or instance, or ``"./mine.py:MyLaw"``.
        target: the column to explain; by default the law's own, mostly ``loss``.
        residuals, loss, delta: the objective; residuals are logarithms unless the law says otherwise.
        weights: a column of non-negative row weights.
        fix, tie, bounds: ``{"alpha": 0.5}``, ``{"beta": "alpha"}``, ``{"E": (1.0, None)}``.
        parameters: an ``lmfit.Parameters`` with values, bounds, ``vary`` and ``expr`` instead of those three.
        start: initial values of one additional start, or a DataFrame with one start per row.
        starts: how many starts are refined to a minimum after the global search.
        points: for laws that need no curves: each run's ``"final"`` row or ``"all"`` rows.
        drop_diverged: leave out rows without a finite loss and count them, instead of refusing them.
        force: fit even where the data do not identify the law; the result then carries a warning.
        draws: how many refits to resampled runs the intervals are made from; 0 (the default) makes no intervals, since
            each draw costs as much as a fit. The command ``scalefit fit`` makes 200. A single curve, or a fit that did
            not converge, has none.
        seed, method, workers: of the resampling (see :func:`scalefit.uncertainty.bootstrap.bootstrap`); the same seed
            gives the same draws on any number of workers, and None leaves the number to ``joblib.parallel_config``.
        calibrated: also back-test the law on these runs, and scale the prediction intervals by its errors.

    Raises:
        InputError: a column, row or option cannot be used; the message names it.
        IdentificationError: the runs do not identify the law; the message names the run that is missing.

    >>> import numpy as np
    >>> N = np.repeat([1e7, 1e8, 1e9], 3)
    >>> D = np.tile([1e9, 1e10, 1e11], 3)
    >>> runs = pd.DataFrame({"N": N, "D": D, "loss": 1.7 + 400 * N**-0.34 + 410 * D**-0.28})
    >>> result = fit(runs, "chinchilla")
    >>> result.status, round(result["alpha"], 6)
    ('converged', 0.34)
    """
    resampling = Resampling(draws, seed, method, workers)
    logs = runs_of(runs)
    options = Options(
        *(target, residuals, loss, delta, weights, fix, tie, bounds),
        *(parameters, start, starts, points, drop_diverged, force),
    )
    ready = prepare(logs, law, options)
    tell(f"fitting law {ready.law.name}")
    solution = solve(ready.model, ready.values, ready.weights, ready.settings, ready.start)
    if ready.model.condensed.between is not None:
        ready = replace(ready, model=ready.model.condensed_at(solution.theta))
    if ready.rows.stream is not None and weights is None:
        solution, ready = _settled(ready, solution)
    levels = clusters(ready.law, ready.model, ready.rows, ready.runs, solution)
    result = _result(ready, solution, levels)
    if draws and not result.none_worth_having:
        result = _with_intervals(result, ready, solution, resampling, calibrated, levels)
    beyond = usual_target(ready.law, ready.rows)
    single = (*result.left_out.checks(beyond), *result.left_out.largest(beyond))
    return replace(result, warnings=(*result.warnings, *single))


def _with_intervals(
    result: Fit,
    ready: Prepared,
    solution: Solution,
    resampling: Resampling,
    calibrated: bool,
    levels: Levels | None,
) -> Fit:
    """The fit with its intervals, and the fits under other choices."""
    given = (ready.law, ready.model, ready.rows, ready.weights)
    tell(f"intervals of law {ready.law.name}: {resampling.draws} resamples and a back-test")
    made = make_intervals(*given, solution, ready.settings, resampling, calibrated, levels)
    choices = {} if ready.rows.stream else other_choices(*given, ready.settings, solution)
    return replace(result, intervals=made, choices=choices)


def _settled(ready: Prepared, solution: Solution) -> tuple[Solution, Prepared]:
    """The solution of the sample moved to the optimum of all rows of a large log; told where sums are not exact."""
    rows = ready.rows
    assert rows.stream is not None and rows.values is not None
    theta, cost, settled, apart = settle(ready.model, solution.objective, rows.values, rows.stream, solution.theta)
    scale = cost / solution.cost if solution.cost > 0 else 1.0
    converged, costs = solution.converged and settled, solution.costs * scale
    if apart > SAME:
        text = f"predictions of streamed rows are off by up to {apart:.1g} of the loss: sums over the drops of a noisy "
        text += "learning rate follow less exactly from few rows; give the schedule as text (--schedule) if it has one"
        ready = replace(ready, rows=replace(rows, notes=(*rows.notes, text)))
    return replace(solution, theta=theta, cost=cost, costs=costs, converged=converged), ready


def _result(ready: Prepared, solution: Solution, levels: Levels | None) -> Fit:
    law, rows, runs = ready.law, ready.rows, ready.runs
    vector = ready.model.vector(solution.theta[None])[0]
    outliers = find_outliers(rows, runs, solution.objective, solution.residuals, solution.sigma)
    return Fit(
        law=law,
        target=ready.target,
        parameters=dict(zip(law.parameters, map(float, vector), strict=True)),
        settings=ready.settings,
        delta=solution.objective.delta,
        cost=solution.cost,
        sigma=solution.sigma,
        starts=Starts(len(solution.costs), solution.agree, sub_models(ready.model, solution), solution.iterations),
        converged=solution.converged,
        warnings=tuple(_warnings(ready, solution, levels)),
        outliers=tuple(outliers),
        fixed=dict(ready.given["fix"]),
        ties=dict(ready.given["tie"]),
        bounds=dict(ready.given["bounds"]),
        rows=rows.stream.rows if rows.stream else len(rows),
        runs=int(rows.run_codes.max()) + 1,
        ranges={name: (float(v.min()), float(v.max())) for name, v in rows.variables.items() if v.ndim == 1},
        notes=(*(note.text for note in runs.notes), *rows.notes),
        doubts=tuple(doubts_of(note.notice for note in runs.notes)),
        origin=tuple({"path": o.path, "sha256": o.sha256, "rows": o.rows} for o in runs.origin),
        points=_points(law, rows),
        recipe=recipe_of(law, rows, runs),
        without=without_each(law, ready.model, rows, ready.weights, solution),
        biases=refits(law, ready.model, rows, ready.weights, solution),
    )


def _warnings(ready: Prepared, solution: Solution, levels: Levels | None) -> list[Check]:
    """The warnings about a fit, the gravest first."""
    law, rows, runs = ready.law, ready.rows, ready.runs
    found = [Check("not-identified", text) for text in ready.doubts] + examine(
        law, ready.model, solution, rows, ready.weights
    )
    found += degenerate(ready.model, ready.values, solution)
    found += unread(law, rows, runs)
    fitted = runs.table[runs.table["run"].astype(str).isin(rows.names)]
    read = {*law.columns.values(), *law.path_columns}
    found += [Check("mixed-conventions", text) for text in mixed_conventions(fitted, read, ready.target)]
    if law.is_trajectory:
        found += overridden(runs)
    if not law.is_trajectory:
        found += [Check("mid-schedule", text) for text in unfinished(runs, rows.in_curves, rows.names)]
        found += still_falling(law, rows, runs, ready.target)
    log = ready.settings.residuals == "log"
    units = units_of(law, rows, solution.residuals)
    unit = 1.0 if log else float(np.median(np.abs(ready.values)))
    early = transient(rows, solution.residuals)
    found += early or stray_phases(rows, solution.residuals, unit)
    found += under_trained(law, units, solution.sigma)
    found += trends(law, units, solution.sigma, unit) or clustered_residuals(levels, unit)
    if solution.sigma > 0:
        found += outlier_checks(units, solution.residuals, len(rows), solution.sigma, log)
    return found


def _points(law: Law, rows: Rows) -> Points:
    """The fitted rows that the result keeps for its figures and predictions, evenly thinned when there are many."""
    keep = slice(None, None, max(1, -(-len(rows) // MOST_POINTS)))
    assert rows.values is not None
    step = rows.frame["step"].to_numpy()[keep] if "step" in rows.frame.columns else None
    names = rows.frame["run"].iloc[keep].astype(str).to_numpy()
    clock = clocks_of(rows.paths, names, step) if rows.paths and step is not None else None
    return Points(
        runs=tuple(names.tolist()),
        steps=None if step is None else tuple(int(s) for s in step),
        variables={name: tuple(values[keep].tolist()) for name, values in rows.variables.items()},
        values=tuple(rows.values[keep].tolist()),
        area=None if clock is None else tuple(clock.area.tolist()),
        fall=None if clock is None else tuple(clock.fall.tolist()),
        states=None if clock is None or step is None else kept_states(states_of(rows.paths, names, step)),
    )
