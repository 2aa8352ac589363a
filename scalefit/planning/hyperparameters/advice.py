"""The settings of a planned run, from fits to sweeps and by published rules side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scalefit.diagnosis.checks import Check
from scalefit.errors import InputError
from scalefit.fitting.result import Fit
from scalefit.numerics import FloatArray
from scalefit.planning.allocation.source import DRAWS, fit_of
from scalefit.planning.allocation.targets import fixed_of
from scalefit.planning.hyperparameters.answer import Hyperparameters
from scalefit.planning.hyperparameters.fitted import SURFACE, Setting, refuse_other_laws, settings_of
from scalefit.planning.hyperparameters.rules import RULES, Place, Rule, flop_per_token, tuned_of
from scalefit.runs import Runs

KNOWN = ("N", "D", "C", "loss", "batch", "peak_lr", "timescale", "seq_len", "n_layer", "d_model")
ALIASES = {"lr": "peak_lr"}
OTHER = {"batch": "batch", "peak_lr": "learning rate"}

Source = Fit | Runs | pd.DataFrame | str | Path


def hyperparameters(
    sources: Source | Iterable[Source] = (),
    *,
    tuned: Any = None,
    law: str = SURFACE,
    draws: int = DRAWS,
    seed: int = 0,
    **at: Any,
) -> Hyperparameters:
    """The best peak learning rate, batch and weight decay of a run of N parameters on D tokens.

    Args:
        sources: fits (or files of them) of ``lr-batch-surface``, ``optimal-lr-batch``, ``critical-batch``,
            ``trajectory`` and ``adamw-timescale``; run logs are sweeps to which ``law`` is fitted; none for the
            published rules alone.
        tuned: a learning rate that was tuned at another number of tokens, ``"lr=3e-4,D=100B"``: what the law of the
            token horizon (arXiv:2409.19913) makes of it is added.
        at: ``N`` and ``D``; ``batch`` or ``peak_lr`` where one is held; ``loss`` at which the critical batch is asked
            for (default: that of the fitted surface); ``timescale`` of AdamW, from which weight decay follows;
            ``n_layer``, ``d_model`` and ``seq_len``, so that attention is counted and batches are also sequences.

    Raises InputError for fits of other laws, and for places that make no sense.

    >>> found = hyperparameters(N=1e9, D=1e11)
    >>> f"{found.value('peak_lr', 'Step Law'):.6f} {found.value('batch', 'Step Law'):.4e}"
    '0.001632 1.1077e+06'
    """
    place = _place(at) | tuned_of(tuned)
    many = [sources] if isinstance(sources, Fit | Runs | pd.DataFrame | str | Path) else list(sources)
    fits = [fit_of(source, law, draws, seed) for source in many]
    for fit in fits:
        refuse_other_laws(fit)
    place, told = _completed(place, fits)
    found = [setting for fit in fits for setting in settings_of(fit, place)]
    found += _by_rules(place)
    found += _weight_decays(found, place)
    silent = [fit.law.spec for fit in fits if fit.law.name in ("critical-batch", "trajectory") and "loss" not in place]
    notes = [f"{name} gives a critical batch at a loss: give loss=... (--at loss=2.2)" for name in silent]
    used = [rule for rule in RULES if rule.applies(place)]
    conventions = [*(rule.text for rule in used), *told]
    return Hyperparameters(
        tuple(fits), place, tuple(found), tuple(conventions), _cautions(fits, found, place), tuple(notes)
    )


def _place(at: Mapping[str, Any]) -> dict[str, float]:
    """What is known of the planned run, refused by name where it makes no sense."""
    given = {ALIASES.get(name, name): value for name, value in at.items()}
    unknown = [name for name in given if name not in KNOWN]
    if unknown or not {"N", "D"} <= set(given):
        what = f'no setting depends on "{unknown[0]}"' if unknown else "N and D are not both given"
        todo = f"give N and D (--at N=7B,D=2T), and of {', '.join(KNOWN[2:])} what is known"
        raise InputError(what, where="hyperparameters", todo=todo)
    place = fixed_of(given, "hyperparameters")
    for name, value in place.items():
        if value <= 0:
            raise InputError(f"{name} is {value:g}", where="hyperparameters", todo=f"give a {name} above 0")
    return place


def _completed(place: dict[str, float], fits: list[Fit]) -> tuple[dict[str, float], list[str]]:
    """The place with its compute, and with the loss of the fitted surface; and how they were counted."""
    found, told = dict(place), []
    if "C" not in found:
        per_token, how = flop_per_token(found)
        found["C"] = per_token * found["D"]
        told.append(f"C = {found['C']:.4g} FLOP: {how}")
    surface = next((fit for fit in fits if fit.law.name == SURFACE), None)
    if "loss" not in found and surface is not None:
        bottom = surface.parameters
        found["loss"] = (
            bottom["E"] + bottom["A"] * found["N"] ** -bottom["alpha"] + bottom["B"] * found["D"] ** -bottom["beta"]
        )
        told.append(f"loss {found['loss']:.4g}: the bottom of the fitted surface")
    return found, told


def _by_rules(place: Mapping[str, float]) -> list[Setting]:
    """What the published rules say, of what is not held."""
    return [
        Setting(name, rule.name, np.array([give(place)]), note=_noted(rule, name, place))
        for rule in RULES
        if rule.applies(place)
        for name, give in rule.gives.items()
        if name not in place
    ]


def _noted(rule: Rule, name: str, place: Place) -> str:
    """Where a rule is outside its range, and that it knows nothing of a batch or a rate that is held."""
    other = {"peak_lr": "batch", "batch": "peak_lr"}.get(name, "")
    own = f"at the {OTHER[other]} of the rule, not at the held one" if other in place else ""
    return "; ".join(filter(None, [own, rule.outside(place)]))


def _weight_decays(found: list[Setting], place: Mapping[str, float]) -> list[Setting]:
    """Weight decay by the timescale, for each source that gives a rate and a batch."""
    scales = [each for each in found if each.name == "timescale"]
    if "timescale" in place:
        scales = [Setting("timescale", f"a timescale of {place['timescale']:g}", np.array([place["timescale"]]))]
    held = {name: np.array([place[name]]) for name in ("peak_lr", "batch") if name in place}
    sources = dict.fromkeys(each.source for each in found if each.name in ("peak_lr", "batch"))
    decays = []
    for scale in scales[:1]:
        for source in sources or dict.fromkeys(["what is held"]):
            own = {each.name: each for each in found if each.source == source}
            pair = held | {name: own[name].values for name in ("peak_lr", "batch") if name in own}
            if len(pair) == 2:
                few = max([scale.few, *(each.few for each in own.values())])
                values = _combined(pair["batch"], 1 / pair["peak_lr"], 1 / scale.values) / place["D"]
                decays.append(Setting("weight_decay", f"{scale.source}, with {source}", values, few))
    return decays


def _combined(*factors: FloatArray) -> FloatArray:
    """The product of values with draws: draws of one fit go together, those of another are put in another order."""
    most = max(len(each) for each in factors)
    made = np.ones(most)
    rng = np.random.default_rng(0)
    for each in factors[:-1]:
        made = made * (each if len(each) == most else _spread(each, most, rng))
    last = factors[-1]
    return made * _spread(last, most, rng)


def _spread(values: FloatArray, count: int, rng: np.random.Generator) -> FloatArray:
    """The value, then ``count`` less one of its draws in another order (the value where it has none)."""
    draws = values[1:] if len(values) > 1 else values
    return np.concatenate([values[:1], rng.permutation(np.resize(draws, count - 1))]) if count > 1 else values[:1]


def _cautions(fits: list[Fit], found: list[Setting], place: Mapping[str, float]) -> tuple[Check, ...]:
    """What ``predict`` warns about at the planned place."""
    checks: dict[str, Check] = {}
    for fit in fits:
        own = {each.name: each.value for each in found if each.source == f"your fit of {fit.law.spec}"}
        known = {**own, **place}
        if all(column in known for column in fit.law.columns.values()) and not fit.law.is_trajectory:
            where: dict[str, Any] = {column: known[column] for column in fit.law.columns.values()}
            checks |= {check.code: check for check in fit.cautions(**where)}
    return tuple(checks.values())
