"""Candidates of one budget: texts with shares of the run and of the peak, families, and files.

wsd:decay=20%,final=10%      decay over the last fifth of the steps, to a tenth of the peak
1-sqrt:decay=0.2             the same share; the shape of the decay is the name (wsd-linear, wsd-cosine, wsd-exp)
wsd:decay=5%..60%            a family: the best share is looked for
all                          the families below
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scalefit.errors import InputError
from scalefit.schedules import Schedule, parse_schedule, read_schedule_table
from scalefit.schedules.shapes import DECAYS, SHAPES
from scalefit.schedules.text import is_schedule_file

SHARES = ("10%", "20%", "40%")
#: what ``all`` stands for
FAMILIES = (
    "constant",
    *(f"{name}{final}" for name in ("linear", "cosine") for final in ("", ":final=10%")),
    *(f"{name}:decay={share}" for name in ("wsd", "1-sqrt") for share in SHARES),
    "multi_step:at=80%/90%,factor=0.316",
)
RANGE = re.compile(r"decay=(\d+(?:\.\d+)?)%?\.\.(\d+(?:\.\d+)?)(%?)")
SEARCHED = 56  #: shares that are compared in a family
MOST_SEARCHED = 0.95  #: a decay longer than this share of a run is another schedule
STEP_KEYS, RATE_KEYS = ("decay_steps", "at"), ("final", "initial")


@dataclass(frozen=True)
class Budget:
    """What all candidates share."""

    steps: int
    peak_lr: float
    warmup: int = 0


@dataclass(frozen=True)
class Family:
    """Decays of one shape over shares of the run."""

    name: str
    shares: np.ndarray  #: (n,), from the shortest decay to the longest
    members: tuple[Schedule, ...]

    def named(self, place: int) -> str:
        """One of the members, as a candidate is written."""
        return RANGE.sub(f"decay={100 * self.shares[place]:.3g}%", self.name)


def candidates_of(texts: Sequence[str], budget: Budget) -> tuple[dict[str, Schedule], list[Family]]:
    """Candidates by name, and the families in which the best share is looked for.

    Raises InputError for a text that is no schedule, and for candidates of another length than the budget.
    """
    found: dict[str, Schedule] = {}
    families: list[Family] = []
    for text in [each for given in texts for each in (FAMILIES if given.strip() == "all" else [given.strip()])]:
        if is_schedule_file(text) and "#" not in text:
            table = read_schedule_table(text.removeprefix("csv:"))
            found |= {name or text: table.schedule(name) for name in table.rows}
        elif ".." in text:
            families.append(_family(text, budget))
        else:
            found[text] = complete(text, budget)
    others = {plan.steps for plan in found.values()} - {budget.steps}
    if others:
        what = f"schedules of {', '.join(f'{n:g}' for n in sorted({budget.steps, *others}))} steps"
        todo = "compare schedules of one length; give it with steps=... (--steps)"
        raise InputError(f"{what} are not of one budget", where="schedules", todo=todo)
    if len(found) + len(families) == 0:
        raise InputError("no schedules", where="schedules", todo='give "all", names, texts, or a CSV of (step, lr)')
    return found, families


def complete(text: str, budget: Budget) -> Schedule:
    """The schedule of a text in which steps, peak and warmup may be left out, and shares stand for steps and rates.

    >>> complete("wsd:decay=20%,final=10%", Budget(1000, 0.5)).text
    'wsd:peak_lr=0.5,steps=1000,decay_steps=200,final=0.05'
    >>> complete("1-sqrt:decay=0.1", Budget(1000, 0.5)).text
    'wsd:peak_lr=0.5,steps=1000,decay_steps=100,decay=1-sqrt'
    """
    name, _, rest = text.partition(":")
    if is_schedule_file(text):
        return parse_schedule(text)
    shape = name.strip().lower().removeprefix("wsd-")
    values = dict(_pair(part, text) for part in filter(None, (piece.strip() for piece in rest.split(","))))
    if shape != name.strip().lower() or (shape in (*DECAYS, "exp") and shape not in SHAPES):
        name, values = "wsd", {"decay": shape, **_renamed(values)}
    elif name == "wsd":
        values = _renamed(values)
    defaults = {"peak_lr": f"{budget.peak_lr!r}", "steps": str(budget.steps), "warmup": str(budget.warmup)}
    if not budget.warmup:
        defaults.pop("warmup")
    if name == "piecewise":
        defaults = {"steps": defaults["steps"]}
    values = {**defaults, **values}
    peak, steps = float(values.get("peak_lr", budget.peak_lr)), int(float(values["steps"]))
    for key in values:
        unit = steps if key in STEP_KEYS else peak if key in RATE_KEYS else None
        if unit is not None:
            values[key] = "/".join(_share(part, unit, key) for part in values[key].split("/"))
    return parse_schedule(f"{name}:" + ",".join(f"{key}={value}" for key, value in values.items()))


def _pair(part: str, text: str) -> tuple[str, str]:
    key, sign, value = (piece.strip() for piece in part.partition("="))
    if not sign:
        raise InputError(f"'{part}' is not of the form key=value", where=f"schedule '{text}'", todo="write decay=20%")
    return key, value


def _renamed(values: dict[str, str]) -> dict[str, str]:
    """A decay that is a share counts steps: ``decay=0.2`` or ``decay=20%``."""
    share = values.get("decay", "")
    if not re.fullmatch(r"0?\.\d+|\d+(\.\d+)?%", share):
        return values
    return {**{key: value for key, value in values.items() if key != "decay"}, "decay_steps": _percent(share)}


def _percent(share: str) -> str:
    return share if share.endswith("%") else f"{100 * float(share):.6g}%"


def _share(part: str, unit: float, key: str) -> str:
    """A share in percent as so many steps, or as a rate; other numbers as they are."""
    if not part.endswith("%"):
        return part
    value = float(part[:-1]) / 100 * unit
    return str(round(value)) if key in STEP_KEYS else f"{value:.12g}"


def _family(text: str, budget: Budget) -> Family:
    """The members of ``wsd:decay=5%..60%``."""
    found = RANGE.search(text)
    where = f"schedule family '{text}'"
    if found is None:
        raise InputError("a family is a range of decays", where=where, todo="write wsd:decay=5%..60%")
    low, high = (float(end) / (100 if found[3] else 1) for end in found.groups()[:2])
    if not 0 < low < high <= MOST_SEARCHED:
        todo = f"give shares above 0 and up to {MOST_SEARCHED:.0%}: a longer decay is the schedule linear or cosine"
        raise InputError(f"decays of {low:.3g} to {high:.3g} of the run", where=where, todo=todo)
    shares = np.linspace(low, high, SEARCHED)
    members = [complete(text.replace(found[0], f"decay={100 * share:.9g}%"), budget) for share in shares]
    return Family(text, shares, tuple(members))
