"""The best size and data for a budget, and the least compute for a loss, by any fitted law that reads size and data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import pandas as pd

from scalefit.diagnosis.checks import Check
from scalefit.errors import InputError, all_of
from scalefit.fitting.prediction import predict
from scalefit.fitting.result import Fit
from scalefit.numerics import FloatArray
from scalefit.planning.allocation.answer import Plan, assumptions, floor_name
from scalefit.planning.allocation.cost import SHAPE, SIZES, Rate, rate_of
from scalefit.planning.allocation.measured import priced
from scalefit.planning.allocation.source import DRAWS, LAW, fit_of, followed
from scalefit.planning.allocation.spread import constants_of, ends, plain_ends
from scalefit.planning.allocation.surface import Surface, surface_of
from scalefit.planning.allocation.targets import budgets_of, fixed_of, losses_of, positive
from scalefit.runs import Runs

if TYPE_CHECKING:
    from scalefit.planning.hyperparameters.answer import Hyperparameters

MOST_LOST = 0.05  #: share of the draws without an optimum above which that is reported
SAME_SPEED = 0.05  #: relative difference of two throughputs up to which nothing is said
HEEDED = 0.1  #: weight from which on another law of the mixture is named


@overload
def plan(source: Any, *, hyperparameters: Literal[False] = False, **targets: Any) -> Plan: ...
@overload
def plan(source: Any = None, *, hyperparameters: Any, **targets: Any) -> Hyperparameters: ...
def plan(
    source: Fit | Runs | pd.DataFrame | str | Path | None = None,
    *,
    hyperparameters: Any = False,
    compute: Any = None,
    loss: Any = None,
    hours: Any = None,
    money: Any = None,
    inference_tokens: Any = None,
    cost: str | None = None,
    active: float | None = None,
    gpu: str | Rate | None = None,
    law: str | None = None,
    draws: int = DRAWS,
    seed: int = 0,
    **at: Any,
) -> Plan | Hyperparameters:
    """The best size and data for a budget, or the least compute that reaches a loss, with 90 % intervals.

    Args:
        source: a fit, the file of one, or run logs to which ``law`` is fitted first (with ``draws`` and ``seed``;
            default: ``chinchilla``, for hyperparameters ``lr-batch-surface``).
        hyperparameters: True, or further fits: learning rate, batch and weight decay at ``N`` and ``D`` instead, see
            :func:`scalefit.planning.hyperparameters.advice.hyperparameters`; there ``source`` may be left out.
        compute: FLOP: a number, several, or a range ``"1e20:1e23"``. ``hours``, ``money``: the same by the ``gpu``.
        loss: nats/token to reach, one or several.
        inference_tokens: tokens served over the life of the model; 2 N of them are added to the cost
            (arXiv:2401.00448).
        cost: another cost than 6 N D, see :mod:`scalefit.planning.allocation.cost`; ``"fitted:COLUMN"`` fits it to
            FLOP or GPU-hours that the runs measured (then ``hours`` needs no ``gpu``); ``active``: the share of all
            parameters that a token passes, for laws of the total size of mixtures of experts.
        gpu: ``"peak=989T,mfu=0.4,price=2"``, for hours and money.
        at: columns that are held: what else the law reads (``U="25B"``), or N or D, so that the rest is planned.

    Raises InputError for a law that reads neither size nor data, and for targets that make no sense.

    >>> from scalefit.laws import find_law
    >>> N, D = np.repeat([1e7, 1e8, 1e9], 3), np.tile([1e9, 1e10, 1e11], 3)
    >>> loss = find_law("chinchilla").evaluate({"N": N, "D": D}, find_law("chinchilla").published[0].parameters)
    >>> found = plan(pd.DataFrame({"N": N, "D": D, "loss": loss}), compute=5.76e23, draws=0)
    >>> f"{found.table['N'][0]:.2e} {found.table['D'][0]:.2e}"
    '3.22e+10 2.98e+12'
    """
    if hyperparameters is not False:
        beside = {"compute": compute, "hours": hours, "money": money, "gpu": gpu, "inference_tokens": inference_tokens}
        beside |= {"cost": cost, "active": active}
        _refuse_budgets({name: value for name, value in beside.items() if value is not None})
        more = {} if law is None else {"law": law}
        more |= {} if loss is None else {"loss": loss}
        return plan_hyperparameters(_sources(source, hyperparameters), draws=draws, seed=seed, **more, **at)
    if source is None:
        raise InputError("no fit and no run logs", where="plan", todo="give a fit, or run logs")
    fitted = followed(fit_of(source, law or LAW, draws, seed))
    columns, given = tuple(fitted.law.columns.values()), fixed_of(at)
    price, measured = priced(cost, source, columns, active, given)
    rate = rate_of(gpu, measured)
    targets = [partial(budgets_of, compute, hours, money, rate), partial(losses_of, loss)]
    budgets, losses = all_of(lambda read: read(), targets)
    if not budgets and not losses:
        raise InputError("no target", where="plan", todo="give compute=1e23, or loss=2.2 (--compute, --loss)")
    if inference_tokens is not None:
        price = price.with_inference(positive("inference_tokens", inference_tokens))
    unknown = [name for name in given if name not in {*columns, "D", *price.numbers}]
    if unknown:
        what = f'neither law {fitted.law.name} nor the cost reads "{unknown[0]}"'
        raise InputError(what, where="plan", todo=f"give {', '.join(columns)}")
    surface = surface_of(fitted.law, constants_of(fitted), price, given)
    if budgets and not surface.has_budget:
        todo = "give the tokens of the runs (--at D=20B), or a law that reads D"
        raise InputError(f"law {fitted.law.name} reads no data, so it has no compute", where="plan", todo=todo)
    one = _Asked(fitted, surface, rate)
    rows = [one.for_budget(budget) for budget in budgets] + [one.for_loss(each) for each in losses]
    table = pd.DataFrame([row.values for row in rows])
    cautions = _cautions(fitted, surface, table)
    notes = tuple(dict.fromkeys([*(note for row in rows for note in row.notes), *_another_speed(rate, measured)]))
    return Plan(fitted, surface, rate, table, assumptions(fitted, surface, rate), cautions, notes)


def _another_speed(rate: Rate | None, measured: Rate | None) -> list[str]:
    """What must be said where hours were measured, and a GPU of another speed is given."""
    if rate is None or measured is None or abs(np.log(rate.speed / measured.speed)) < SAME_SPEED:
        return []
    given = f"hours and prices are those of the GPU that is given, {rate.speed:.3g} FLOP/s"
    return [f"{given}; the measured hours are of {measured.speed:.3g} FLOP/s (--gpu price=... keeps to these)"]


def plan_hyperparameters(*sources: Any, **given: Any) -> Hyperparameters:
    """Learning rate, batch and weight decay of a planned run."""
    from scalefit.planning.hyperparameters.advice import hyperparameters

    return hyperparameters(*sources, **given)


def _sources(source: Any, more: Any) -> list[Any]:
    """All fits and logs from which hyperparameters are planned."""
    others = [] if more is True else list(more) if isinstance(more, list | tuple) else [more]
    return [*([] if source is None else [source]), *others]


def _refuse_budgets(given: Mapping[str, Any]) -> None:
    """Raise InputError for what hyperparameters do not depend on."""
    if given:
        todo = "plan size and data first, then give N and D to the hyperparameters"
        raise InputError(f"hyperparameters beside {next(iter(given))}", where="plan", todo=todo)


@dataclass(frozen=True)
class _Row:
    """One target's answer, as a row of the table, and what must be said about it."""

    values: dict[str, Any]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Asked:
    """A fit and its surface, of which targets are asked."""

    fit: Fit
    surface: Surface
    rate: Rate | None

    @property
    def few(self) -> float:
        return self.fit.intervals.few if self.fit.intervals else 1.0

    def for_budget(self, budget: float) -> _Row:
        place = self.surface.optimum(budget)
        chosen = {name: float(values[0]) for name, values in place.items()}
        if not all(value >= 1.0 or name == "precision" for name, value in chosen.items()):
            raise self._nothing_left(budget)
        row: dict[str, Any] = {"target": f"{budget:.4g} FLOP", "C": budget, "C_low": np.nan, "C_high": np.nan}
        return self._completed(row, place, budget)

    def _nothing_left(self, budget: float) -> InputError:
        """A budget that trains nothing; where the size is held, its inference alone may cost more."""
        where, cost, held = f"plan by law {self.fit.law.name}", self.surface.cost, self.surface.held
        if cost.inference and all(name in held for name in self.surface.law.columns.values() if name in SIZES):
            served = float(cost.inference * np.asarray(cost.served(held)))
            if served >= budget:
                what = f"{cost.inference:.3g} tokens of inference alone cost {served:.3g} FLOP at the size that is held"
                todo = "give a larger budget, fewer tokens of inference, or a smaller size"
                return InputError(f"{what}, of a budget of {budget:.3g}", where=where, todo=todo)
        besides = f" besides {cost.inference:.3g} tokens of inference" if cost.inference else ""
        what = f"{budget:.3g} FLOP{besides} have no optimum with a parameter and a token to train"
        return InputError(what, where=where, todo="give another budget or cost")

    def for_loss(self, loss: float) -> _Row:
        surface = self.surface
        row: dict[str, Any] = {"target": f"loss {loss:g}", "aim": loss}
        floor = surface.floor()
        if not floor[0] < loss:
            name = floor_name(self.fit, float(floor[0]))
            low, high = self.fit.table.loc[name, ["low", "high"]] if name else plain_ends(floor, self.few)
            return _Row(row | {"floor": float(floor[0]), "floor_low": low, "floor_high": high})
        if surface.free:
            budget = surface.budget_for(loss)
            place = {
                name: values if name == "precision" else np.where(np.isinf(budget), np.inf, values)
                for name, values in surface.optimum(budget).items()
            }
            budget = budget if surface.has_budget else np.full(len(floor), np.nan)
        else:
            place = {surface.pivot: surface.paid_for(loss)}
            budget = self._paid(place)
        if not all(np.isfinite(values[0]) for values in place.values()):
            what = f"no plan has a loss as high as {loss:g}"
            raise InputError(what, where=f"plan by law {self.fit.law.name}", todo="give a loss that runs end at")
        low, high = ends(budget, self.few)
        row |= {"C": float(budget[0]), "C_low": low, "C_high": high}
        never = float(np.mean(np.isinf(next(iter(place.values()))[1:]))) if len(floor) > 1 else 0.0
        notes = (f"loss {loss:g} is never reached in {100 * never:.0f} % of the draws",) if never > 0 else ()
        found = self._completed(row, place, float(budget[0]))
        return replace(found, notes=(*notes, *found.notes))

    def _paid(self, place: Mapping[str, FloatArray]) -> FloatArray:
        """The compute of a place, or NaN for laws that do not know it."""
        if self.surface.pivot == "C":
            return place["C"]
        if not self.surface.has_budget:
            return np.full(len(self.surface.table), np.nan)
        with np.errstate(all="ignore"):
            return self.surface.cost({**self.surface.held, **place}) + np.zeros(len(self.surface.table))

    def _completed(self, row: dict[str, Any], place: Mapping[str, FloatArray], budget: float) -> _Row:
        """The row with the place and its interval, its prediction, the flat of the valley, and what it costs."""
        surface, law = self.surface, self.fit.law
        for name, values in place.items():
            if name != "C":
                low, high = ends(values, self.few) if np.ptp(values[np.isfinite(values)]) > 0 else (np.nan, np.nan)
                row |= {name: float(values[0]), f"{name}_low": low, f"{name}_high": high}
        where: dict[str, Any] = {**surface.held, **{name: float(values[0]) for name, values in place.items()}}
        fit = self.fit if self.fit.choice is None else replace(self.fit, choice=None)  # whose sizes these are
        predicted = predict(fit, at={column: where[column] for column in law.columns.values()}).iloc[0]
        row |= {"loss": predicted[self.fit.target], "low": predicted["low"], "high": predicted["high"]}
        if {"N", "D"} <= set(where):
            row["tokens_per_parameter"] = where["D"] / where["N"]
        if surface.free and surface.has_budget:
            row["flat_low"], row["flat_high"] = surface.flat(budget)
        row |= self._overhead(row, budget) | self._of_inference(row, where, budget)
        row["decades_beyond"] = predicted["decades_beyond"]
        if self.rate is not None:
            row["gpu_hours"], row["money"] = self.rate.hours(budget), self.rate.money(budget)
        lost = float(np.mean(np.isnan(next(iter(place.values()))[1:]))) if len(surface.table) > 1 else 0.0
        note = f"{100 * lost:.0f} % of the draws have no optimum; the intervals are of the others"
        return _Row(row, (note,) if lost > MOST_LOST else ())

    def _overhead(self, row: Mapping[str, Any], budget: float) -> dict[str, float]:
        """For a plan with N or D held: its compute over the least that reaches the same loss."""
        if self.surface.free or not ({"N", "D"} & set(self.surface.held)) or not self.surface.has_budget:
            return {}
        others = {name: value for name, value in self.surface.held.items() if name not in ("N", "D")}
        if "D" not in self.fit.law.columns.values() or {*SHAPE} <= {*others}:
            return {}
        free = surface_of(self.fit.law, self.surface.table[:1], self.surface.cost, others)
        return {"overhead": budget / float(free.budget_for(float(row["loss"]))[0])}

    def _of_inference(self, row: Mapping[str, Any], where: Mapping[str, float], budget: float) -> dict[str, float]:
        """With inference: the compute of training alone, and what is saved against its own optimum at this loss."""
        cost = self.surface.cost
        if not cost.inference:
            return {}
        found = {"C_training": float(cost.of_training(where))}
        if self.surface.free:
            trained = replace(self.surface.take([0]), cost=cost.of_training)
            place = trained.optimum(trained.budget_for(float(row["loss"])))
            found["saving"] = 1 - budget / float(cost({**self.surface.held, **place})[0])
        return found


def _other_laws(fit: Fit) -> list[Check]:
    """A warning where the forecast mixes laws: the sizes and data that are best follow one of them."""
    weights = dict(fit.choice.weights) if fit.choice else {}
    others = {name: weight for name, weight in weights.items() if name != fit.law.spec and weight >= HEEDED}
    if not others:
        return []
    named = ", ".join(f"{name} {100 * weight:.0f} %" for name, weight in others.items())
    text = f"the plan follows {fit.law.spec} alone, but these runs do not tell it from other laws ({named}), whose best"
    return [Check("one-law-of-several", f"{text} size and data may lie elsewhere: plan with each of them (--law)")]


def _cautions(fit: Fit, surface: Surface, table: pd.DataFrame) -> tuple[Check, ...]:
    """What ``predict`` warns about at the planned places, of each kind the one furthest beyond the data."""
    found = {check.code: check for check in _other_laws(fit)}
    if "decades_beyond" not in table:
        return tuple(found.values())
    columns = fit.law.columns.values()
    for _, row in table.dropna(subset=["decades_beyond"]).sort_values("decades_beyond", ascending=False).iterrows():
        where: dict[str, Any] = {name: surface.held.get(name, row.get(name)) for name in columns}
        for check in fit.cautions(**where):
            found.setdefault(check.code, check)
    return tuple(found.values())
