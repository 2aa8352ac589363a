"""A law as a surface over what a plan chooses: sizes and data, everything else held; for the fit and all its draws.

Arrays are (B, n): B sets of constants (the fit first, then its draws), n places.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scalefit.duals import differentiated
from scalefit.errors import InputError
from scalefit.laws.law import Law
from scalefit.numerics import FloatArray
from scalefit.planning.allocation.bottom import bottoms, falling_root, falling_zero, first_fall
from scalefit.planning.allocation.cost import SHAPE, SIZES, Cost
from scalefit.planning.optimum.compute_optimal import CLOSED_FORMS

BITS = "precision"
BIT_RANGE = (0.1, 64.0)
#: sizes and data, both at once, at which the least loss of a law is read off; not every formula has a value at the last
ENDLESS = (1e12, 1e16, 1e20, 1e30, 1e45, 1e60, 1e100, 1e250)
BUDGETS = (0.0, 150.0)  #: logarithms of the compute between which a loss is looked for
PATH = 51  #: budgets between these at which a law that rises again is first looked at
GOLDEN, GOLDEN_STEPS = (np.sqrt(5) - 1) / 2, 26
RISES = 1e-9  #: share of the loss by which a law with unlimited size and data must lie above its least to rise again
PIVOT_STEP = 0.5  #: logarithms between the values of a single column at which a loss is first looked for
FLAT = 1e-3  #: share of the loss by which a plan may be worse and still lie on the flat of the valley


@dataclass(frozen=True)
class Surface:
    """A law whose columns are free, spent or held."""

    law: Law
    table: FloatArray  #: (B, P) constants, in the law's order
    cost: Cost
    free: tuple[str, ...]  #: columns that are chosen
    pivot: str  #: the column that is paid with what the others leave
    held: Mapping[str, float]

    @property
    def has_budget(self) -> bool:
        """Whether compute can be counted: the law reads a size or a shape, and data are planned or held."""
        columns = {*self.law.columns.values()}
        return (bool({*SIZES} & columns) or {*SHAPE} <= columns) and "D" in {*self.free, self.pivot, *self.held}

    def take(self, rows: Any) -> Surface:
        """The same for some of the sets of constants."""
        return replace(self, table=self.table[rows])

    @property
    def log_ends(self) -> tuple[FloatArray, FloatArray]:
        """Logarithms between which the free columns are looked for, apart from the budget: (K,) each."""
        ends = np.array([np.log(BIT_RANGE) if name == BITS else (0.0, np.nan) for name in self.free])
        return ends[:, 0], ends[:, 1]

    def loss(self, values: Mapping[str, Any]) -> FloatArray:
        """The law (B, n) at arrays of columns."""
        variables = {name: {**self.held, **values}[column] for name, column in self.law.columns.items()}
        constants = {name: self.table[:, j, None] for j, name in enumerate(self.law.parameters)}
        with np.errstate(all="ignore"):
            return np.asarray(self.law.evaluate(variables, constants)) + np.zeros((len(self.table), 1))

    def spent(self, budget: Any, chosen: Mapping[str, Any]) -> dict[str, Any]:
        """The chosen columns and the one that the rest of a budget pays."""
        values = {**self.held, **chosen}
        return {**chosen, self.pivot: self.cost.spend(budget, values, self.pivot)}

    def optimum(self, budget: Any) -> dict[str, FloatArray]:
        """The free columns and the pivot (B,) of least loss for a budget (a number, or (B,)); NaN where none is."""
        count = len(self.table)
        C = np.broadcast_to(np.asarray(budget, dtype=np.float64), (count,))
        if not self.free:
            return {self.pivot: np.broadcast_to(self.cost.spend(C, dict(self.held), self.pivot), (count,))}
        if self.free == ("N",) and self.pivot == "D" and self.cost.plain and self.law.name in CLOSED_FORMS:
            constants = {name: self.table[:, j] for j, name in enumerate(self.law.parameters)}
            with np.errstate(all="ignore"):  # an exponent of 0 has no optimum
                N = np.broadcast_to(CLOSED_FORMS[self.law.name](constants, C), (count,))
                N = np.where(np.isfinite(N) & (N > 0), N, np.nan)
            return {"N": N, "D": self.cost.spend(C, {**self.held, "N": N}, "D")}
        low, high = (np.broadcast_to(ends, (count, len(self.free))).copy() for ends in self.log_ends)
        high = np.where(np.isnan(high), np.log(C)[:, None], high)

        def landscape(logs: FloatArray) -> FloatArray:
            chosen = {name: np.exp(logs[..., k]) for k, name in enumerate(self.free)}
            losses = self.loss(self.spent(C[:, None], chosen))
            return np.where(np.isfinite(losses), losses, np.inf)

        def gradient(logs: FloatArray) -> FloatArray:
            chosen = {name: np.exp(logs[..., k]) for k, name in enumerate(self.free)}
            return self.slopes(self.spent(C[:, None], chosen))

        with np.errstate(all="ignore"):
            found = np.exp(bottoms(landscape, low, high, gradient if self._is_smooth else None))
            return self.spent(C, {name: found[:, k] for k, name in enumerate(self.free)})

    @property
    def _is_smooth(self) -> bool:
        """Whether the formulas of law and cost are of operations whose derivatives are known."""
        try:
            self.slopes({name: np.ones((1, 1)) for name in (*self.free, self.pivot)})
        except TypeError:
            return False
        return True

    def slopes(self, place: Mapping[str, FloatArray]) -> FloatArray:
        """(B, n, K): the slope of the loss in the logarithm of each free column, the pivot paid with the rest."""
        columns = (*self.free, self.pivot)
        names = {column: name for name, column in self.law.columns.items()}
        own = {names[column]: place[column] for column in columns if column in names}
        fixed: dict[str, Any] = {name: self.held[column] for column, name in names.items() if column in self.held}
        fixed |= {name: self.table[:, j, None] for j, name in enumerate(self.law.parameters)}
        with np.errstate(all="ignore"):
            by_loss = differentiated(self.law.evaluate_flat, fixed, own).partials
            by_cost = differentiated(self.cost.plainly, self.held, {name: place[name] for name in columns}).partials
            lost = by_loss.get(names.get(self.pivot, ""), 0.0) / by_cost[self.pivot]
            slopes = [
                place[name] * (by_loss.get(names.get(name, ""), 0.0) - lost * by_cost[name]) for name in self.free
            ]
        shape = np.broadcast_shapes((len(self.table), 1), *(np.shape(each) for each in slopes))
        return np.stack([np.broadcast_to(each, shape) for each in slopes], axis=-1)

    def least(self, budget: Any) -> FloatArray:
        """The loss (B,) of the optimum."""
        return self.at(self.optimum(budget))

    def at(self, place: Mapping[str, FloatArray]) -> FloatArray:
        """The loss (B,) of each set of constants at its own place (B,)."""
        return self.loss({name: np.asarray(values)[:, None] for name, values in place.items()})[:, 0]

    def floor(self) -> FloatArray:
        """The loss (B,) that the law approaches with unlimited size and data, what is held being held.

        Of a law that rises again (few bits, a held learning rate) the least that it ever has.
        """
        return self._reach()[0]

    def _reach(self) -> tuple[FloatArray, FloatArray]:
        """The least loss (B,) of any compute, and the logarithm of the compute beyond which nothing is gained."""
        count, most = len(self.table), np.full(len(self.table), BUDGETS[1])
        if not self.free:
            return self._first_paid(0.0)[0], most
        endless = {name: np.array([ENDLESS]) for name in (*self.free, self.pivot)}
        found = self.loss(endless | ({BITS: np.full((1, 1), BIT_RANGE[1])} if BITS in self.free else {}))
        found = np.where(np.isfinite(found), found, np.inf)
        least: FloatArray = found.min(axis=1)
        last = found[np.arange(count), found.shape[1] - 1 - np.argmax(np.isfinite(found[:, ::-1]), axis=1)]
        rises = last > least * (1 + RISES)
        return self._lowest(most) if rises.any() and self.has_budget else (least, most)

    def _lowest(self, most: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The least of the losses (B,) of the optima of all budgets, and the logarithm of its budget."""
        budgets, count = np.linspace(*BUDGETS, PATH), len(most)

        def along(x: FloatArray) -> FloatArray:
            """Losses (B, n) at logarithms of compute (B, n)."""
            many = self.take(np.repeat(np.arange(count), x.shape[1]))
            with np.errstate(all="ignore"):
                losses = many.least(np.exp(x.ravel())).reshape(x.shape)
            return np.where(np.isfinite(losses), losses, np.inf)

        path = along(np.tile(budgets, (count, 1)))
        best = np.argmin(path, axis=1)
        low, high = budgets[np.maximum(best - 1, 0)], budgets[np.minimum(best + 1, PATH - 1)]
        for _ in range(GOLDEN_STEPS):
            two = np.stack([high - GOLDEN * (high - low), low + GOLDEN * (high - low)], axis=1)
            right = np.greater(*along(two).T)
            low, high = np.where(right, two[:, 0], low), np.where(right, high, two[:, 1])
        middle = (low + high) / 2
        return np.minimum(along(middle[:, None])[:, 0], path.min(axis=1)), middle

    def budget_for(self, loss: float) -> FloatArray:
        """The compute (B,) whose optimum has a loss; infinite where the law never reaches it, NaN where it is above."""
        floor, end = self._reach()
        reached = floor < loss

        def excess(x: FloatArray) -> FloatArray:
            """Close to a line in the logarithm of compute; NaN where no plan is that cheap."""
            with np.errstate(all="ignore"):
                return np.asarray(np.log((self.least(np.exp(x)) - floor) / (loss - floor)))

        x = falling_zero(excess, np.full(len(floor), BUDGETS[0]), end)
        return np.where(reached, np.where(x >= BUDGETS[1], np.inf, np.exp(x)), np.inf)

    def paid_for(self, loss: float) -> FloatArray:
        """The least pivot (B,) with a loss, everything else held; infinite where the law never has it."""
        return np.exp(self._first_paid(loss)[1])

    def _first_paid(self, loss: float) -> tuple[FloatArray, FloatArray]:
        """The least loss (B,) of any pivot above ``loss``, and the logarithm of the pivot that first has ``loss``."""
        count = len(self.table)
        low, high = np.zeros(count), np.full(count, np.log(ENDLESS[-1]))
        return first_fall(lambda x: self.loss({self.pivot: np.exp(x)}) - loss, low, high, PIVOT_STEP)

    def flat(self, budget: float) -> tuple[float, float]:
        """The smallest and largest first free column whose best loss exceeds the optimum by at most FLAT."""
        first, best = self.take([0]), self.take([0]).optimum(budget)
        name, most = self.free[0], float(first.at(best)[0]) * (1 + FLAT)
        middle = np.log(best[name])
        rest = replace(first, free=self.free[1:])

        def excess(x: FloatArray) -> FloatArray:
            pinned = replace(rest, held={**self.held, name: float(np.exp(x[0, 0]))})
            over = pinned.least(budget)
            return np.asarray(np.where(np.isfinite(over), over - most, 1.0))[:, None]

        up = falling_root(lambda x: -excess(middle[:, None] + x), np.zeros(1), np.full(1, 30.0))
        down = falling_root(lambda x: -excess(middle[:, None] - x), np.zeros(1), np.full(1, 30.0))
        return float(np.exp(middle - down)[0]), float(np.exp(middle + up)[0])


def with_its_size(columns: Collection[str], given: Mapping[str, float]) -> Mapping[str, float]:
    """What is given, with the N of a width and depth that are held: another N would be another model.

    >>> with_its_size(("d_model", "n_layer", "N", "D"), {"d_model": 100.0, "n_layer": 2.0})["N"]
    240000.0
    """
    if not {*SHAPE, "N"} <= {*columns} or not {*SHAPE} <= {*given} or "N" in given:
        return given
    return {**given, "N": 12 * given["n_layer"] * given["d_model"] ** 2}


def surface_of(law: Law, table: FloatArray, cost: Cost, given: Mapping[str, float]) -> Surface:
    """The surface of a law with some of its columns given. Raises InputError for a law without size or data."""
    columns = tuple(law.columns.values())
    if law.is_trajectory:
        todo = f"see {law.name} with --loss and --schedule, or fit a law of N and D, such as chinchilla"
        raise InputError(f"law {law.name} reads a schedule, not size and data", where="plan", todo=todo)
    if law.target != "loss" and law.target_unit != "nats/token":
        todo = "fit a law of the loss, such as chinchilla; see also scalefit plan --hyperparameters"
        raise InputError(f"law {law.name} predicts {law.target}, which no plan makes least", where="plan", todo=todo)
    given = with_its_size(columns, given)
    sizes = [name for name in SIZES if name in columns and name not in given]
    open_ = [*sizes, *([BITS] if BITS in columns and BITS not in given else [])]
    lacking = [name for name in columns if name not in {*open_, "D", *given}]
    if lacking == ["C"] and len(columns) == 1:
        return Surface(law, table, cost, (), "C", {})
    if lacking:
        todo = f"give {','.join(f'{name}=...' for name in lacking)}"
        raise InputError(f"law {law.name} also reads {', '.join(lacking)}", where="plan", todo=todo)
    held = {name: value for name, value in given.items() if name in columns or name == "D"}
    if "D" in columns and "D" not in given:
        return Surface(law, table, cost, tuple(open_), "D", held)
    if not sizes:
        what = f"law {law.name} reads neither size nor data" if not given else "size and data are both given"
        raise InputError(what, where="plan", todo="leave one of N and D free, for a law of N and D")
    pivot = sizes[0] if "D" in columns else sizes[-1]
    return Surface(law, table, cost, tuple(name for name in open_ if name != pivot), pivot, held)
