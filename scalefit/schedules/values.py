"""The values in the text of a schedule: `peak_lr=3e-4,steps=60k,warmup=2%`, with the keys that trainers use."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation

import numpy as np
from numpy.typing import NDArray

from scalefit.errors import InputError, all_of

Floats = NDArray[np.float64]
STEP_KEYS = ("steps", "warmup", "decay_steps")
TEXT_KEYS = ("decay",)
THOUSANDS = {"k": 1_000, "m": 1_000_000}
LIST_KEYS = ("at", "lr", "factor")
#: what trainers call the keys
ALIASES = {
    "lr": "peak_lr", "max_lr": "peak_lr", "learning_rate": "peak_lr", "min_lr": "final", "end_lr": "final",
    "final_lr": "final", "warmup_steps": "warmup", "total_steps": "steps", "max_steps": "steps",
    "cooldown_steps": "decay_steps",
}  # fmt: skip
#: of what a value in percent is a share
WHOLES = {"decay_steps": "steps", "at": "steps", "warmup": "steps", "final": "peak_lr", "initial": "peak_lr"}


def values_of(text: str, shape: Callable[..., Floats], where: str) -> dict[str, object]:
    """The key=value pairs, each read by the type of its key, in the order of the function's signature."""
    known = [*inspect.signature(shape).parameters][1:]
    known = known if "steps" in known else ["steps", *known]
    text = ",".join(_usual(piece, known) for piece in text.split(","))
    values: dict[str, object] = {}

    def one(part: str) -> None:
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals:
            raise InputError(f"'{part}' is not of the form key=value", where=where, todo="write steps=20000, say")
        if key == "decay" and value.endswith("%"):
            key = "decay_steps"  # as in the names of candidates, wsd:decay=20%
        if key not in known:
            raise InputError(f"unknown key '{key}'", where=where, todo=f"use {', '.join(known)}")
        if key in values:
            raise InputError(f"key '{key}' is given twice", where=where, todo="remove one")
        values[key] = _value(key, _of_whole(key, value, text, where), where)

    all_of(one, filter(None, (piece.strip() for piece in text.split(","))))
    return {key: values[key] for key in known if key in values}


def _usual(piece: str, known: Sequence[str]) -> str:
    """A pair with its key as the function has it."""
    key, equals, value = piece.partition("=")
    name = ALIASES.get(key.strip(), "")
    return f"{name}{equals}{value}" if name in known and key.strip() not in known else piece


def _of_whole(key: str, value: str, text: str, where: str = "") -> str:
    """A value with shares in percent as steps or rates, by the length and the peak in the text of a schedule.

    >>> text = "peak_lr=3e-4,steps=1k"
    >>> _of_whole("final", "10%", text), _of_whole("at", "80%/900", text)
    ('3e-05', '800/900')
    """
    pairs = [piece.partition("=") for piece in text.split(",")]
    unit = WHOLES.get(key, "")
    given = next((whole.strip() for name, _, whole in pairs if name.strip() == unit), "")
    if "%" in value and unit and not given:
        what = f"{key}={value} is a share of {unit}, which is not given"
        raise InputError(what, where=where, todo=f"add {unit}=…")
    try:
        whole = _number(unit, given) if given else float("nan")
        return "/".join(_share(part, whole, unit) for part in value.split("/"))
    except (ValueError, InvalidOperation):
        return value  # refused as no number


def _share(part: str, whole: float, unit: str) -> str:
    if not part.endswith("%") or not np.isfinite(whole):
        return part
    return f"{float(part[:-1]) / 100 * whole:{'.12g' if unit == 'peak_lr' else '.0f'}}"


def _value(key: str, text: str, where: str) -> object:
    if key in TEXT_KEYS:
        return text
    is_list = key in LIST_KEYS
    try:
        numbers = tuple(_number(key, piece) for piece in (text.split("/") if is_list else [text]))
    except (ValueError, InvalidOperation) as error:
        todo = f"write {'numbers with slashes between them' if is_list else 'a number'}"
        raise InputError(f"{key}='{text}' is not a number", where=where, todo=todo) from error
    if is_list and not np.isfinite(numbers).all():
        raise InputError(f"{key}={text[:40]} is not finite", where=where, todo="give a finite number")
    if key in STEP_KEYS and not numbers[0].is_integer():
        what = f"{key}={text} is not a whole number of steps"
        raise InputError(what, where=where, todo=f"round {key}")
    if is_list:
        return numbers
    return int(numbers[0]) if key in STEP_KEYS else numbers[0]


def _number(key: str, text: str) -> float:
    """A number; steps may also be written as 20k."""
    text = text.strip()
    if key not in (*STEP_KEYS, "at") or text[-1:].lower() not in THOUSANDS:
        return float(text)
    return float(Decimal(text[:-1]) * THOUSANDS[text[-1].lower()])
