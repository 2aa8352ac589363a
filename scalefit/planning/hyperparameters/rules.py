"""Published rules for learning rate and batch, each with what it counts and the range that it comes from.

Batches count tokens in all of them. The constants are those of the sources. A range is given only where the source's
public runs or pages show it, for a word of warning outside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from scalefit.answers import said
from scalefit.errors import InputError
from scalefit.laws.optimal_lr_batch import OptimalLrBatch

Place = Mapping[str, float]  #: N, D, C, and what else is known of the planned run

HORIZON = 0.32  #: exponent of tokens, arXiv:2409.19913
TRAINED_PER_FORWARD = 3  #: FLOP of a training step over those of a forward pass
LR, BATCH = (dict(each.parameters) for each in OptimalLrBatch.published[:2])


@dataclass(frozen=True)
class Rule:
    """A published rule for one or more settings."""

    name: str
    source: str
    formula: str
    conventions: str
    spans: Mapping[str, tuple[float, float]]  #: from which range it comes; empty where no source at hand says so
    gives: Mapping[str, Callable[[Place], float]]  #: settings, from a place
    needs: tuple[str, ...] = ("N", "D")

    def applies(self, place: Place) -> bool:
        """Whether everything that the rule reads is known."""
        return all(name in place for name in self.needs)

    def outside(self, place: Place) -> str:
        """Where the place lies outside the range that the rule comes from, as text; empty inside."""
        parts: list[str] = []
        for name, (low, high) in self.spans.items():
            if name in place and not low <= place[name] <= high:
                side, end = ("below", low) if place[name] < low else ("above", high)
                parts.append(f"{name} = {said(place[name])} is {side} {said(end)}")
        return "outside: " + ", ".join(parts) if parts else ""

    @property
    def text(self) -> str:
        """The rule in one line."""
        known = ", ".join(f"{name} {said(low)} to {said(high)}" for name, (low, high) in self.spans.items())
        known = f"from {known}" if known else "the range of its runs is not stated here"
        return f"{self.name} ({self.source}): {self.formula}; {self.conventions}; {known}"


def _step_lr(place: Place) -> float:
    return float(OptimalLrBatch.formula(place["D"], N=place["N"], **LR))


def _step_batch(place: Place) -> float:
    return float(OptimalLrBatch.formula(place["D"], **BATCH))


STEP_LAW = Rule(
    "Step Law",
    "arXiv:2503.04715",
    "lr = 1.79 N^-0.713 D^0.307, batch = 0.58 D^0.571",
    "N without embeddings, D and batch in tokens, every schedule decays to a rate of 1e-5 (not to a share of the peak)",
    {"N": (2.1e8, 1.1e9), "D": (4e9, 1e11)},  # its public sweeps, and its page's sweep of 1B models on 100B tokens
    {"peak_lr": _step_lr, "batch": _step_batch},
)
DEEPSEEK = Rule(
    "DeepSeek",
    "arXiv:2401.02954",
    "lr = 0.3118 C^-0.1250, batch = 0.2920 C^0.3271",
    "C = M D in FLOP with M the non-embedding FLOP a token, attention counted; batch in tokens; multi-step schedule",
    {},
    {
        "peak_lr": lambda place: 0.3118 * place["C"] ** -0.1250,
        "batch": lambda place: 0.2920 * place["C"] ** 0.3271,
    },
    needs=("C",),
)
TOKEN_HORIZON = Rule(
    "token horizon",
    "arXiv:2409.19913",
    "lr = lr_0 (D/D_0)^-0.32",
    "lr_0 was tuned at D_0 tokens with the same size and batch",
    {},
    {"peak_lr": lambda place: place["tuned_lr"] * (place["D"] / place["tuned_D"]) ** -HORIZON},
    needs=("D", "tuned_lr", "tuned_D"),
)
KAPLAN = Rule(
    "Kaplan",
    "arXiv:2001.08361",
    "critical batch = 2.1e8 / loss^(1/0.21)",
    "loss in nats a token of that source's text and tokenizer, batch in tokens",
    {},
    {"critical_batch": lambda place: 2.1e8 * place["loss"] ** (-1 / 0.21)},
    needs=("loss",),
)
RULES = (STEP_LAW, DEEPSEEK, TOKEN_HORIZON, KAPLAN)


def flop_per_token(place: Place) -> tuple[float, str]:
    """M, the non-embedding FLOP of training on one token, and what was counted.

    6 N, and with the shape 12 n_layer d_model seq_len more for attention. Source: arXiv:2401.02954.

    >>> shape = {"N": 72 / 6 * 30 * 4096**2, "n_layer": 30, "d_model": 4096, "seq_len": 4096}
    >>> flop_per_token(shape)[0] == 72 * 30 * 4096**2 + 12 * 30 * 4096**2
    True
    """
    shape = [place.get(name) for name in ("n_layer", "d_model", "seq_len")]
    if all(shape):
        n_layer, d_model, seq_len = (float(each or 0) for each in shape)
        return 6 * place["N"] + 12 * n_layer * d_model * seq_len, "M = 6 N + 12 n_layer d_model seq_len"
    return 6 * place["N"], "M = 6 N, without attention (give n_layer, d_model and seq_len to count it)"


def tuned_of(given: Any) -> dict[str, float]:
    """A learning rate that was tuned at a number of tokens: ``{"lr": 3e-4, "D": 1e11}`` or ``"lr=3e-4,D=100B"``."""
    from scalefit.planning.allocation.targets import positive

    if given is None:
        return {}
    pairs = given
    if isinstance(given, str):
        pairs = {name.strip(): value for name, _, value in (part.partition("=") for part in given.split(","))}
    if not isinstance(pairs, Mapping) or set(pairs) != {"lr", "D"}:
        todo = "give the rate and the tokens at which it was tuned: lr=3e-4,D=100B"
        raise InputError(f"{given!r} is no tuned learning rate", where="hyperparameters, tuned", todo=todo)
    return {f"tuned_{name}": positive(name, value, "hyperparameters") for name, value in pairs.items()}
