"""Sweeps that end in a verdict: grid, seeds and steps for a question and a budget of core-hours."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from scalefit.errors import InputError
from scalefit.numerics import suggestion
from scalefit.proxy.config import Config
from scalefit.proxy.limits import nested

#: what a step costs on one core, measured with torch 2.13 on a 2.5 GHz CPU: seconds for each block, and FLOP a second
PER_BLOCK, FLOP_RATE = 2.7e-3, 4.3e10
VOCAB = 256  #: of bytes, which the data are until something else is set
MOST_STEPS = 8000
STRIDE = 50  #: of the steps that a design may have
OCTAVES = [2.0**-k for k in range(11, 2, -1)]

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Design:
    """A question that a sweep answers: what all runs share, grids from the best to the smallest that still decides,
    the fewest steps with which it does, and the command that gives the verdict. ``lengths`` are what steps is
    multiplied with."""

    base: Values
    grids: Sequence[Values]
    fewest: int
    verdict: str
    lengths: Sequence[int] = (1,)


_LM = {"data": "stdlib", "parametrization": "mup", "d_head": 8, "batch": 768, "eval_batch": 16384}
DESIGNS = {
    "lr-transfer": Design(
        _LM | {"batch": 512, "schedule": "constant", "qk_norm": False},
        [
            {"d_model": widths, "lr": OCTAVES, "seed": list(range(seeds))}
            for widths, seeds in (
                ([32, 64, 128, 256], 3),
                ([32, 64, 128], 3),
                ([16, 32, 64, 128], 2),
            )
        ],
        250,
        "scalefit lr-transfer",
    ),
    "chinchilla": Design(
        _LM | {"lr": 0.01},
        [
            {"d_model": [16, 24, 32, 48, 64, 96], "seed": [0, 1]},
            {"d_model": [16, 24, 32, 48, 64], "seed": [0, 1]},
            {"d_model": [16, 24, 32, 48], "seed": [0]},
        ],
        150,
        "scalefit backtest --law chinchilla",
        (1, 2, 4, 8),
    ),
    "annealing": Design(
        _LM | {"lr": 0.008, "eval_batch": 8192},
        [
            {"d_model": widths, "schedule": ["cosine", "wsd", "wsd:decay=1-sqrt", "constant"], "seed": [0]}
            for widths in ([32, 64, 96], [32])
        ],
        400,
        "scalefit backtest --law annealing",
        (2, 3),
    ),
    "encoder-decoder": Design(
        {"model": "encoder-decoder", "data": "translation", "n_layer": 1, "n_encoder_layer": 1, "d_head": 4}
        | {"data_options": {"source_words": 64, "draft_words": 96, "meanings": 4, "exponent": 1.5}}
        | {"seq_len": 2, "lr": 0.01, "batch": 512, "eval_batch": 16384},
        [
            {"encoder_width": [8, 12, 16, 24], "d_model": [4, 8, 12, 16, 20], "seed": list(range(8))},
            {"encoder_width": [8, 12, 16, 24], "d_model": [4, 8, 12, 16], "seed": list(range(4))},
            {"encoder_width": [8, 16, 24], "d_model": [4, 8, 16], "seed": list(range(4))},
        ],
        400,
        "scalefit fit --law encoder-decoder",
    ),
}


def design(question: str, core_hours: float, settings: Values | None = None) -> tuple[dict[str, Any], float]:
    """The grid that answers ``question`` within ``core_hours``, as a table for `plan_sweep`, and what it will cost.

    It is the best grid whose runs can be long enough to decide, and then as long as the budget allows. ``settings``
    replaces keys that all runs share. Raises InputError for an unknown question, and for a budget that is too small,
    with the least that would do. Costs are estimated from what a step took on one core of another machine: they are
    right within a factor of about two.
    """
    if question not in DESIGNS:
        raise InputError(f"no design for {question!r}", where="--for", todo=suggestion(question, DESIGNS))
    asked, own = DESIGNS[question], dict(settings or {})
    chosen = {"steps", "warmup", "eval_every"}.union({"model"} & asked.base.keys(), *asked.grids)
    fixed = sorted(chosen & own.keys())
    if fixed:
        raise InputError(f"{fixed[0]} is what the design chooses", where="--set", todo="leave it out, or write a grid")
    budget, least = core_hours * 3600, 0.0
    for grid in asked.grids:
        least = _cost(_table(asked, grid, own, asked.fewest))
        if least <= budget:
            more = range(asked.fewest + STRIDE, MOST_STEPS + STRIDE, STRIDE)
            affordable = bisect_right(more, budget, key=lambda steps: _cost(_table(asked, grid, own, steps)))
            table = _table(asked, grid, own, asked.fewest + STRIDE * affordable)
            return table, _cost(table) / 3600
    todo = f"give at least {least / 3600 * 1.01:.2g} core-hours"
    raise InputError(f"{core_hours:g} core-hours are too few to decide", where="--core-hours", todo=todo)


def _table(asked: Design, grid: Values, own: Values, steps: int) -> dict[str, Any]:
    """[base] and [grid] of a sweep."""
    base = nested({**asked.base, "warmup": max(steps // 10, 10), **own})
    base |= {"eval_every": steps // 10} if asked is DESIGNS["annealing"] else {"eval_every": steps}
    return {"base": base, "grid": {**grid, "steps": [steps * each for each in asked.lengths]}}


def _cost(table: Mapping[str, Values]) -> float:
    """Seconds of one core for all runs."""
    axes = table["grid"]
    points = (dict(zip(axes, values, strict=True)) for values in product(*axes.values()))
    return sum(seconds(Config.read({**table["base"], **point})) for point in points)


def seconds(config: Config) -> float:
    """What one run takes on one core: a time for each block, and the FLOP of matrices and attention."""
    c, joint = config, config.model == "encoder-decoder"
    blocks = c.n_layer + (c.n_encoder_layer + c.n_layer if joint else 0)
    evaluated = (c.steps // c.eval_every + 2) * c.eval_batch
    tokens = c.steps * c.batch + evaluated / 3
    return c.steps * PER_BLOCK * blocks + tokens * per_token(c) / FLOP_RATE


def per_token(config: Config) -> float:
    """FLOP of matrices and attention for a token, as in run.json but for norms and biases, and what reads a source
    that is longer than the target."""
    c, width, shared = config, config.d_model, 1 + 1 / config.kv_group
    parts = c.experts_per_token * (3 if c.activation == "swiglu" else 2)
    matrices = c.n_layer * width * (2 * shared * width + parts * (c.d_ff or 4 * width)) + width * VOCAB
    attended = c.n_layer * width
    if c.model == "encoder-decoder":
        encoder = c.encoder_width or width
        matrices += c.n_encoder_layer * encoder * (2 * shared * encoder + parts * (c.encoder_ff or 4 * encoder))
        matrices += 2 * c.n_layer * width * (width + encoder / c.kv_group)
        attended += c.n_encoder_layer * encoder + c.n_layer * width
    return 6 * matrices + 12 * c.seq_len * attended


def as_toml(table: Mapping[str, Values], head: str) -> str:
    """The table as a file to keep and change.

    >>> print(as_toml({"base": {"data": "stdlib", "lr": 0.01}, "grid": {"seed": [0, 1]}}, "Two runs."), end="")
    # Two runs.
    <BLANKLINE>
    [base]
    data = "stdlib"
    lr = 0.01
    <BLANKLINE>
    [grid]
    seed = [0, 1]
    """
    parts = (
        f"\n[{name}]\n" + "".join(f"{key} = {_toml(v)}\n" for key, v in rows.items()) for name, rows in table.items()
    )
    return "".join([f"# {head}\n", *parts])


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return str(value).lower() if isinstance(value, bool) else repr(value)
