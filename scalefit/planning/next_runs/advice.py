"""Which runs to make next, for a target and a budget; what halving the interval costs; when to stop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scalefit.answers import Shown, as_lines, place, said
from scalefit.diagnosis.checks import Check
from scalefit.diagnosis.reach import unsupported
from scalefit.errors import InputError, counted
from scalefit.fitting.cautions import how_far
from scalefit.fitting.prediction import predict
from scalefit.fitting.result import Fit
from scalefit.notices import Line, doubted
from scalefit.planning.allocation.cost import SHAPE, SIZES, Cost
from scalefit.planning.allocation.measured import priced
from scalefit.planning.allocation.source import DRAWS, LAW, fit_of
from scalefit.planning.allocation.targets import compute_of, fixed_of
from scalefit.planning.next_runs.belief import LEVEL, believed, noise_of
from scalefit.planning.next_runs.design import Design
from scalefit.rows.asked import asked_of, read_point
from scalefit.runs import Runs

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZES_TRIED, RATIOS_TRIED = 16, 8  #: of the candidates; their ratios of data to size are those of the fitted runs
LARGER = 2.0  #: candidates are at most so many times the larger of the target and the fitted runs
HELPS = 0.05  #: share of the interval that the best batch must take away, else the advice is to stop
FAILURE = 0.05
DEARER = np.geomspace(1 / 16, 64, 13)  #: budgets, over the given one, at which halving is looked for
MOST_RUNS = 12  #: of a batch that halves the interval
HALF = 0.5
WIDENED = 1.02  #: times the noise of the fit, from which on the answer says why
LEAST_NOISE = 1e-5  #: of a run, as a share of its loss


@dataclass(frozen=True, eq=False, repr=False)
class NextRuns(Shown):
    """What :func:`next_runs` found."""

    fit: Fit
    target: dict[str, float]
    budget: float
    table: pd.DataFrame  #: the runs in the order of what they add: columns of the law, C, and the interval after each
    predicted: pd.Series  #: the prediction at the target now: loss, low, high
    now: float  #: half width of the 90 % interval of the law's value at the target, as a share of the loss
    after: float  #: the same, expected after the runs
    halving: float  #: FLOP of the batch that is expected to halve it; NaN where none was found
    candidates: pd.DataFrame  #: all that were compared, with the interval expected after each alone
    cost: Cost
    failure: float
    cautions: tuple[Check, ...]
    noise: float  #: of one run, as a share of its loss, that is reckoned with

    @property
    def stop(self) -> bool:
        """Whether no affordable run helps."""
        return not len(self.table) or self.after > (1 - HELPS) * self.now

    @property
    def ok(self) -> bool:
        """Whether the fit has no warnings and the target is within reach once the advised runs have been made."""
        return self.fit.ok and not self.cautions

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """The candidates in size and data, coloured by what each alone would leave, and the advised runs."""
        from scalefit.plots.next_runs import plot_next_runs

        return plot_next_runs(self, ax=ax)

    @property
    def _widened(self) -> str:
        """Why the noise that is reckoned with is not that of the fit, where it is not."""
        unit = 1.0 if self.fit.estimate.log else abs(float(self.predicted[self.fit.target]))
        own, left = self.fit.sigma / unit, max(self.fit.rows - self.fit.free, 0)
        if self.noise < WIDENED * own:
            return ""
        if self.noise <= LEAST_NOISE:
            return f" (the least that is reckoned with; that of the fit is {100 * own:.2g} %)"
        few = f"{counted(left, 'row')} beyond its {self.fit.free} constants"
        return f" (that of the fit is {100 * own:.2g} %; as only {few} tell it, more is reckoned with)"

    @property
    def lines(self) -> list[Line]:
        """What is said, line by line."""
        where = place(self.target)
        now = f"{self.fit.target} {self.predicted[self.fit.target]:.4g} ± {100 * self.now:.2g} %"
        if self.stop:
            saved = f"{100 * (1 - self.after / self.now):.1f} %"
            lines = [f"stop: no affordable run helps (the best would narrow the interval by {saved})"]
        else:
            count = "this run" if len(self.table) == 1 else f"these {len(self.table)} runs"
            lines = [f"make {count} next: the interval is expected to shrink to ± {100 * self.after:.2g} %"]
        lines.append(f"now, at {where}: {now} (half of the 90 % interval of the law's value)")
        lines.append(f"the target lies {how_far(self.fit, self.predicted)}")
        if len(self.table):
            names = [name for name in self.fit.law.columns.values() if name in self.table]
            shown = pd.DataFrame({name: [said(value) for value in self.table[name]] for name in names})
            shown["FLOP"] = [f"{value:.3g}" for value in self.table["C"]]
            shown["then"] = [f"± {100 * value:.3g} %" for value in self.table["half_width"]]
            lines += ["", as_lines(shown), f"  together {self.table['C'].sum():.3g} of {self.budget:.3g} FLOP"]
        halves = f"about {self.halving:.2g} FLOP" if self.halving == self.halving else "not found within 64 budgets"
        lines += ["", f"halving the interval: {halves}", "", "assumed:"]
        lines.append(f"  law: {self.fit.law.equation}; noise of a run {100 * self.noise:.2g} %{self._widened}")
        lines.append(f"  cost in FLOP: {self.cost.text}; {100 * self.failure:g} % of the runs fail")
        lines.append("  expected errors of the fitted law, linear in its constants; its own error, of the size of the")
        lines.append(
            "  back-test, is alike for runs near one another; settings tuned at each size as in the fitted runs"
        )
        return [*lines, *doubted(check.text for check in (*self.cautions, *self.fit.warnings))]


def next_runs(
    source: Fit | Runs | pd.DataFrame | str | Path,
    budget: Any,
    *,
    runs: int = 4,
    candidates: pd.DataFrame | str | None = None,
    cost: str | None = None,
    active: float | None = None,
    failure: float = FAILURE,
    law: str = LAW,
    draws: int = DRAWS,
    seed: int = 0,
    **target: Any,
) -> NextRuns:
    """The affordable runs that are expected to shrink the interval at a target most.

    ``source``: a fit with draws, the file of one, or run logs to which ``law`` is fitted first (with ``draws`` and
    ``seed``). ``budget``: FLOP of all runs together; ``target``: the point to predict (``N=7e9, D=2e12``); ``runs``: at
    most so many; ``candidates``: a table with the columns of the law, ``"seen"`` (sizes and data of the fitted
    runs, crossed), or None, a grid of sizes and ratios around the fitted ones; ``cost``, ``active``: as for
    :func:`scalefit.plan`; ``failure``: the chance that a run fails and tells nothing.

    Raises InputError for a fit without draws, a law that reads no size and data, and a target that makes no sense.
    """
    fit = fit_of(source, law, draws, seed)
    if fit.intervals is None:
        raise InputError(f"a fit without intervals: {fit.no_intervals}", where="next", todo="fit with draws=200")
    columns = {*fit.law.columns.values()}
    if fit.law.is_trajectory or "D" not in columns or not ({*SIZES} & columns or {*SHAPE} <= columns):
        todo = "fit a law of size and data, such as chinchilla"
        raise InputError(f"law {fit.law.name} reads no size and data", where="next", todo=todo)
    if not 0 <= failure < 1 or runs < 1:
        raise InputError(f"{runs} runs, failure {failure:g}", where="next", todo="give 1 run or more, a chance below 1")
    budgets = compute_of(budget, "next", "budget")
    if len(budgets) != 1:
        raise InputError(f"{len(budgets)} budgets", where="next", todo="give one, of all runs together (--budget 3e20)")
    (money,) = budgets
    goal = fixed_of(read_point(target, asked_of(fit.law)), "next")
    predicted = predict(fit, at=goal).iloc[0]
    whole = {name: float(predicted[name]) for name in fit.law.columns.values()}  # of N, D and C two are enough
    goal = {name: value for name, value in goal.items() if name != "C"} | whole
    price, _ = priced(cost, source, tuple(fit.law.columns.values()), active, goal)
    table = _candidates(fit, candidates, money, price, goal)
    design = _design(fit, table, price, goal, failure)
    affordable = table[design.costs <= money]
    if not len(affordable):
        cheapest = f"{design.costs.min():.3g} FLOP"
        raise InputError(f"no candidate costs less than {cheapest}", where="next", todo="give a larger budget")
    batch = design.best(money, runs)
    steps = [design.expected(batch[: i + 1]) for i in range(len(batch))]
    chosen = table.iloc[list(batch)].reset_index(drop=True).assign(C=design.costs[list(batch)], half_width=steps)
    alone = design.with_one_more(())
    every = table.assign(C=design.costs, half_width=alone)
    now = design.expected(())
    after = steps[-1] if steps else now
    cautions = [check for check in fit.cautions(**dict[str, Any](goal)) if check.code != "far-beyond"]
    cautions += _still_far(fit, chosen, goal)
    known = [batch[: i + 1] for i in range(len(batch))] + [(int(k),) for k in np.flatnonzero(alone <= HALF * now)]
    half = _halving(design, money, known)
    return NextRuns(
        fit, goal, money, chosen, predicted, now, after, half, every, price, failure, tuple(cautions), design.noise
    )


def _still_far(fit: Fit, chosen: pd.DataFrame, goal: Mapping[str, float]) -> list[Check]:
    """A doubt where the target lies too far beyond the runs even when those that are advised have been made."""
    columns = fit.law.columns
    runs = {name: (*fit.points.variables[name], *chosen[column]) for name, column in columns.items()}
    text = unsupported(columns, runs, {name: np.array([goal[column]]) for name, column in columns.items()})
    what = f"{text}, those that are advised among them: what is expected there rests on the law"
    return [Check("far-beyond", f"{what}; give a nearer target, or a larger budget")] if text else []


def _halving(design: Design, budget: float, known: Sequence[tuple[int, ...]] = ()) -> float:
    """The least cost that was found to halve the interval, of the batches of some budgets and of those that are known.

    NaN where none does.
    """
    aim = HALF * design.expected(())
    dearer = (design.best(budget * float(factor), MOST_RUNS) for factor in DEARER)
    first = next((batch for batch in dearer if batch and design.expected(batch) <= aim), None)
    enough = [batch for batch in known if design.expected(batch) <= aim] + ([] if first is None else [first])
    return min((float(design.costs[list(batch)].sum()) for batch in enough), default=float("nan"))


def _candidates(fit: Fit, given: Any, budget: float, cost: Cost, goal: Mapping[str, float]) -> pd.DataFrame:
    """What is compared: a table with the law's columns."""
    columns = list(fit.law.columns.values())
    fixed = {name: goal[name] for name in columns if name not in (*SIZES, "D")}
    if isinstance(given, pd.DataFrame):
        lacking = [name for name in columns if name not in given.columns and name not in fixed]
        if lacking:
            raise InputError(
                f'candidates have no column "{lacking[0]}"', where="next", todo=f"give {', '.join(columns)}"
            )
        table = given.assign(**{name: value for name, value in fixed.items() if name not in given.columns})[columns]
        if not len(table):
            raise InputError("no candidates", where="next", todo="give a table with one row for each run")
        rows = [{name: row[name] for name in columns} for row in table.to_dict("records")]
        return pd.DataFrame([fixed_of(row, f"next, candidate {i + 1}") for i, row in enumerate(rows)])
    seen = {
        fit.law.columns[name]: np.asarray(values, dtype=np.float64) for name, values in fit.points.variables.items()
    }
    if given not in (None, "seen"):
        raise InputError(f'no candidates "{given}"', where="next", todo='give a table, "seen", or nothing')
    if {*SHAPE} <= {*columns}:
        return _of_shapes(columns, seen, goal, given == "seen")
    size = next(name for name in SIZES if name in columns)
    shares = {name: float(np.median(seen[name] / seen[size])) for name in columns if name in SIZES}
    if given == "seen":
        N, D = np.meshgrid(np.unique(seen[size]), np.unique(seen["D"]), indexing="ij")
    else:
        ratios = seen["D"] / seen[size]
        ratio = np.geomspace(ratios.min(), ratios.max(), RATIOS_TRIED)
        most = budget * float(DEARER.max())
        unit = {name: np.array([1.0]) * share for name, share in shares.items()} | {"D": ratio[:1]}
        per_square = float(np.asarray(cost({**fixed, **unit})).min())  # of a run of one parameter
        largest = max(np.sqrt(most / max(per_square, 1e-300)), seen[size].min() * 2)
        sizes = np.geomspace(seen[size].min(), min(largest, max(seen[size].max(), goal[size]) * LARGER), SIZES_TRIED)
        N, R = np.meshgrid(sizes, ratio, indexing="ij")
        able = seen["D"].min() <= N * R  # fewer tokens than in any fitted run are another regime
        N, D = N[able], (N * R)[able]
    found = {name: N.ravel() * shares[name] for name in shares} | {"D": D.ravel()}
    found |= {name: np.full(N.size, value) for name, value in fixed.items()}
    return pd.DataFrame(found)[columns]


def _of_shapes(columns: list[str], seen: Mapping[str, Any], goal: Mapping[str, float], known: bool) -> pd.DataFrame:
    """The shapes of the fitted runs and the target, each with its own size: at data seen, or at ratios of data to size.

    What else the law reads is as in the target.
    """
    own = [name for name in columns if name in (*SHAPE, *SIZES)]
    rows = pd.DataFrame(dict(seen))
    shapes = rows[own] if known else pd.concat([rows[own], pd.DataFrame([goal])[own]])
    shapes = shapes.drop_duplicates(list(SHAPE), ignore_index=True)
    sizes = [12 * each["n_layer"] * each["d_model"] ** 2 for each in (rows, shapes)]
    ratios = rows["D"] / sizes[0]
    ratio = np.geomspace(ratios.min(), ratios.max(), RATIOS_TRIED)
    data = [np.unique(rows["D"]) if known else N * ratio[rows["D"].min() <= N * ratio] for N in sizes[1]]
    table = shapes.loc[np.repeat(shapes.index, [len(each) for each in data])].assign(D=np.concatenate(data))
    fixed = {name: goal[name] for name in columns if name not in table}
    return table.assign(**fixed)[columns].astype(float).reset_index(drop=True)


def _design(fit: Fit, table: pd.DataFrame, cost: Cost, goal: Mapping[str, float], failure: float) -> Design:
    """What is believed of the losses at target and candidates, their costs, and the width of the interval now."""
    assert fit.intervals is not None
    columns = {str(name): table[name].to_numpy(float) for name in table}
    places = {column: np.concatenate([[goal[column]], values]) for column, values in columns.items()}
    variables = {name: places[column] for name, column in fit.law.columns.items()}
    first = {name: values[:1] for name, values in variables.items()}
    low, high = (float(end[0]) for end in fit.intervals.at(fit.estimate, first, LEVEL, "mean"))
    unit = abs(float(np.squeeze(fit.estimate.value(first))))
    now = 0.5 * (np.log(high / low) if fit.estimate.log else (high - low) / unit)
    noise = max(noise_of(fit) if fit.estimate.log else noise_of(fit) / unit, LEAST_NOISE)
    costs = cost({**goal, **columns}) + np.zeros(len(table))
    design = Design(*believed(fit, variables, noise, unit), noise, costs, failure=failure)
    return replace(design, width=float(now) / max(design.half_width(()), 1e-150))
