"""What values the keys of a configuration may have."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from scalefit.errors import InputError

LARGEST = 2**53  #: whole numbers from here on are not told apart as floats

#: the smallest value allowed
LEAST = dict.fromkeys(("d_model", "n_layer", "n_encoder_layer", "d_head", "seq_len", "steps", "batch", "accumulate"), 1)
LEAST |= dict.fromkeys(("eval_every", "eval_batch", "checkpoint_every", "flush_every", "base_width", "base_depth"), 1)
LEAST |= dict.fromkeys(("kv_group", "experts", "experts_per_token"), 1)
LEAST |= dict.fromkeys(("d_ff", "encoder_width", "encoder_ff", "base_d_head", "probe_every", "curvature_every"), 0)
LEAST |= dict.fromkeys(("warmup", "clip", "weight_decay", "z_loss", "embed_std", "init_scale"), 0)
LEAST |= dict.fromkeys(("spike_every", "spike_size", "spike_share", "dropout", "balance", "embed_lr", "output_mult"), 0)
LEAST |= dict.fromkeys(("weight_bits", "weight_group", "distill", "spike_examples"), 0)
#: the largest value allowed
MOST = {"spike_share": 1, "distill": 1, "weight_bits": 24}
#: keys that an MLP does not know
NOT_OF_MLP = ("kv_group", "biases", "dropout", "experts", "zero_query", "teacher", "tokenizer")
#: what built-in data teach
BUILT_IN = dict.fromkeys(("stdlib", "pydoc", "zipf-markov"), "language")
BUILT_IN |= {"sparse-parity": "classification", "translation": "translation", "postfix": "translation"}
#: keys that count only in some configurations: in which others they do nothing, and which these are
IDLE: dict[tuple[str, ...], tuple[str, Callable[[Mapping[str, Any]], bool]]] = {
    ("distill", "temperature"): ("without a teacher", lambda values: not values["teacher"]),
    ("spike_size", "spike_share"): ("without spike_every", lambda values: not values["spike_every"]),
    ("balance",): ("without experts", lambda values: values["experts"] == 1),
    ("sources",): ("without a mixture", lambda values: not values["mixture"]),
    ("data",): ("beside a mixture", lambda values: bool(values["mixture"])),
    ("n_encoder_layer", "encoder_width", "encoder_ff"): (
        "but in model 'encoder-decoder'",
        lambda values: values["model"] != "encoder-decoder",
    ),
}


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Keys with a dot as keys of a table inside.

    >>> nested({"val": {"a": "pydoc"}, "val.b": "stdlib"})
    {'val': {'a': 'pydoc', 'b': 'stdlib'}}
    """
    found: dict[str, Any] = {}
    for key, value in values.items():
        outer, dot, inner = key.partition(".")
        table = found.get(outer, {})
        found[outer] = value if not dot else {**table, inner: value} if isinstance(table, Mapping) else {inner: value}
    return found


def refuse_idle(runs: Sequence[Mapping[str, Any]], defaults: Mapping[str, Any]) -> None:
    """Raise InputError for a key that somebody set and that changes none of these runs."""
    for keys, (where, idle) in IDLE.items():
        for key in keys:
            own = [values for values in runs if values[key] != defaults[key]]
            if own and all(map(idle, own)):
                raise InputError(f"{key} does nothing {where}", todo="leave it out")


def refuse_impossible(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Raise InputError for a value out of range, and for values that contradict each other."""
    for key, least in LEAST.items():
        if not values[key] >= least:
            raise InputError(f"{key} is {values[key]}", todo=f"give a value of at least {least}")
    for key, most in MOST.items():
        if values[key] > most:
            raise InputError(f"{key} is {values[key]}", todo=f"give a value of at most {most}")
    if values["dropout"] >= 1:
        raise InputError(f"dropout is {values['dropout']}", todo="give a share below 1")
    if values["weight_bits"] == 1:
        raise InputError("weight_bits is 1", todo="give 2 bits or more, or 0 for weights that are not rounded")
    if values["weight_group"] and not values["weight_bits"]:
        raise InputError("weight_group without weight_bits", todo="say to how many bits the weights are rounded")
    if not values["temperature"] > 0:
        raise InputError(f"temperature is {values['temperature']}", todo="give a value above 0")
    if values["precision"] not in ("fp32", "bf16"):
        raise InputError(f"precision is {values['precision']!r}", todo="choose fp32 or bf16")
    foreign = [key for key in NOT_OF_MLP if values["model"] == "mlp" and values[key] != defaults[key]]
    if foreign:
        raise InputError(f"model 'mlp' has no {foreign[0]}", todo="leave it out, or choose another model")
    _refuse_unthinkable(values)
    _refuse_mixed(values)
    _refuse_paths(values["name"])


def _refuse_mixed(values: Mapping[str, Any]) -> None:
    """Raise for options of the data beside a mixture, and for a held-out set of the name of one of its sources."""
    if values["mixture"] and values["data_options"]:
        name, option = next(iter(values["mixture"])), next(iter(values["data_options"]))
        said = f"{values['sources'].get(name, name)}:{option}={values['data_options'][option]}"
        todo = f'write the options of each source behind its name: sources = {{ {name} = "{said}" }}'
        raise InputError("data_options beside a mixture: they are of no source", todo=todo)
    twice = [name for name in values["val"] if name in values["mixture"]]
    if twice:
        todo = "give it another name: a source of the mixture is evaluated under its own"
        raise InputError(f"val.{twice[0]} has the name of a source of the mixture", todo=todo)


def _refuse_unthinkable(values: Mapping[str, Any], inside: str = "") -> None:
    """Raise for a number that is not finite, or a whole number that no computer counts to."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            _refuse_unthinkable(value, f"{key}.")
        elif isinstance(value, int) and abs(value) >= LARGEST:
            raise InputError(f"{inside}{key} has {len(hex(value)) - 2} hexadecimal digits", todo="give one below 2^53")
        elif isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"{inside}{key} is {value}", todo="give a finite number")


def _refuse_paths(name: str) -> None:
    if name != PurePath(name).name or name == ".." or "\\" in name or not name.isprintable():
        todo = "give the name of a folder without a path; out says where it lies"
        raise InputError(f"name is {name!r}", todo=todo)
