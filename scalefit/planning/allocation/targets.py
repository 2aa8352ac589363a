"""What a plan is asked for: budgets and losses, read and refused by name where they make no sense."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from scalefit.errors import InputError, all_of
from scalefit.planning.allocation.cost import SIZES, Rate
from scalefit.runs.quantities import flop, quantity

PER_DECADE = 2  #: budgets of a range "1e20:1e23" in each decade
LEAST_FLOP, MOST_FLOP = 1e6, 1e35  #: budgets beyond are slips of the pen
MOST_LOSS = 50.0  #: nats/token
MOST_LISTED = 500  #: budgets of a range
#: sizes, tokens and compute beyond are no run that anyone plans
RUNS = {**dict.fromkeys(SIZES, (100.0, 1e16)), "D": (100.0, 1e20), "C": (LEAST_FLOP, MOST_FLOP)}
COMPUTE = ("compute", "budget", "C")  #: names of amounts of compute
WITH_UNIT = re.compile(r"(.*?[\d.])\s*([a-zA-Z][a-zA-Z/\s_-]*)")  #: a number and a unit
UNITS = {"D": "tokens", "C": "FLOP"}


def number(name: str, value: Any, where: str = "plan") -> float:
    """A number given as 7e9 or "7B", compute also with its unit. Raises InputError that names it.

    >>> number("N", "7B"), number("compute", "1 ZFLOP"), number("C", "100 PF-days")
    (7000000000.0, 1e+21, 8.64e+21)
    """
    todo = "write 1e21, 1 ZFLOP or 12 PF-days" if name in COMPUTE else "write 7e9 or 7B"
    try:
        if name in COMPUTE and (found := WITH_UNIT.fullmatch(str(value).strip())) and (unit := flop(found[2].lower())):
            return quantity(found[1]) * unit
        return quantity(value) if isinstance(value, str) else float(value)
    except (InputError, TypeError, ValueError) as error:
        raise InputError(f"{value!r} is not a number", where=f"{where}, {name}", todo=todo) from error


def positive(name: str, value: Any, where: str = "plan") -> float:
    """A finite number above 0."""
    found = number(name, value, where)
    if not 0 < found < np.inf:
        raise InputError(f"{name} is {found:g}", where=where, todo=f"give a finite {name} above 0")
    return found


def listed_numbers(name: str, value: Any, where: str = "plan") -> list[float]:
    """One number, several, or a range "1e20:1e23" (two in each decade; a third part gives how many).

    >>> listed_numbers("compute", "1e20:1e21"), listed_numbers("loss", [2.2, "2.1"])
    ([1e+20, 3.1622776601683794e+20, 1e+21], [2.2, 2.1])
    """
    if value is None:
        return []
    if isinstance(value, str):
        parts = value.split(":")
        if len(parts) in (2, 3):
            low, high = sorted(positive(name, part, where) for part in parts[:2])
            count = round(PER_DECADE * np.log10(high / low)) + 1.0 if len(parts) == 2 else number(name, parts[2], where)
            if len(parts) == 3 and not (2 <= count <= MOST_LISTED and count % 1 == 0):
                todo = f"give a whole number from 2 to {MOST_LISTED} after the second colon"
                raise InputError(f"{name} {value} asks for {parts[2]} values", where=where, todo=todo)
            return [float(each) for each in np.geomspace(low, high, int(np.clip(count, 2, MOST_LISTED)))]
        value = value.split(",") if "," in value else [value]
    many = value if isinstance(value, Sequence | np.ndarray) else [value]
    return [positive(name, each, where) for each in many]


def compute_of(value: Any, where: str, name: str = "compute") -> list[float]:
    """Compute in FLOP, one or several; raises InputError that names it for what no training run costs."""
    found = listed_numbers(name, value, where)
    for each in found:
        if not LEAST_FLOP <= each <= MOST_FLOP:
            what = f"a {name} of {each:.3g} FLOP is no training run"
            raise InputError(what, where=where, todo=f"give FLOP, such as {name}=1e21 (a petaflop/s-day is 8.64e19)")
    return found


def budgets_of(compute: Any, hours: Any, money: Any, rate: Rate | None) -> list[float]:
    """Budgets in FLOP. Raises InputError for hours or money without a rate, and for what is no training run."""
    found = compute_of(compute, "plan")
    if (hours is not None or money is not None) and rate is None:
        todo = 'describe the GPU: gpu="peak=989T,mfu=0.4,price=2" (--gpu)'
        raise InputError("hours and money need to know the GPU", where="plan", todo=todo)
    if rate is not None:
        found += compute_of([each * 3600 * rate.speed for each in listed_numbers("hours", hours)], "plan")
        if money is not None and not rate.price:
            raise InputError("money needs the price of a GPU-hour", where="plan", todo="add price=2 to the GPU")
        found += compute_of([each / rate.money(1.0) for each in listed_numbers("money", money)], "plan")
    return found


def losses_of(loss: Any) -> list[float]:
    """Losses to reach. Raises InputError where one is not above 0, or larger than any untrained model's."""
    found = listed_numbers("loss", loss)
    for each in found:
        if each > MOST_LOSS:
            what = f"a loss of {each:g} is above that of any untrained model"
            raise InputError(what, where="plan", todo="give nats per token, such as loss=2.2")
    return found


def fixed_of(at: Mapping[str, Any], where: str = "plan") -> dict[str, float]:
    """What is held, by column; 0 is a number of what may be absent (sparsity, for one)."""
    for name, value in at.items():
        if isinstance(value, Mapping):
            inside = ", ".join(f"{key}={each!r}" for key, each in value.items())
            todo = f"write {inside} without {name}=, or **{{...}}"
            raise InputError(f"{name} is a dictionary", where=where, todo=todo)

    def one(each: tuple[str, Any]) -> tuple[str, float]:
        name, value = each[0], number(*each, where)
        if not 0 <= value < np.inf or (value == 0 and name in (*SIZES, "D")):
            raise InputError(f"{name} is {value:g}", where=where, todo=f"give a finite {name} above 0")
        low, high = RUNS.get(name, (0.0, np.inf))
        if not low <= value <= high:
            what = f"{name} = {value:.3g} {UNITS.get(name, 'parameters')} is no run that anyone plans"
            raise InputError(what, where=where, todo=f"give {name} from {low:g} to {high:g}")
        return name, value

    return dict(all_of(one, at.items()))


def above_zero(table: pd.DataFrame, where: str) -> None:
    """Raise InputError that names the first run whose loss is not above 0; missing losses are left to the caller."""
    loss = table["loss"].astype(float)
    bad = np.flatnonzero(loss <= 0)
    if len(bad):
        name = f" in {table['run'].iloc[bad[0]]}" if "run" in table.columns else ""
        what = f"loss is {loss.iloc[bad[0]]:g}{name}, not above 0 ({len(bad)} of {len(loss)} runs)"
        raise InputError(what, where=where, todo='leave such runs out (--where "loss > 0")')
