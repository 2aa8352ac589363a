"""What the models are made of, for K members at once: weight tensors, norms, dropout, losses.

Letters in names are axes, as in `model`. A member gets the same numbers alone and beside others, to the bit (on one
thread of a CPU): no operation mixes members, and a sum over the tokens is a product of matrices, because the order in
which other sums add depends on the number of members.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

Weights = Mapping[str, Tensor]  # name -> (K, *shape)
Batch = Mapping[str, Tensor]  # name -> (K or 1, B, ...)
Recorder = Callable[
    [str, Tensor], None
]  # receives tensors of the forward pass by name, member axis first; see `probes`
EPS = 1e-6  #: of all norms


@dataclass(frozen=True)
class Leaf:
    """One weight tensor: shape without the member axis, role in the parametrisation, initial standard deviation at the
    base size (None: ones, 0: zeros). The first ``zeros`` columns start at zero. ``active`` is the share that one token
    uses: below one for experts."""

    shape: tuple[int, ...]
    role: str
    std: float | None
    zeros: int = 0
    active: float = 1.0

    @property
    def size(self) -> int:
        """How many numbers it holds in one member."""
        return int(torch.Size(self.shape).numel())

    @property
    def used(self) -> int:
        """How many of them one token uses."""
        return round(self.size * self.active)


class Model(Protocol):
    """What the trainer needs of a model."""

    @property
    def leaves(self) -> dict[str, Leaf]:
        """Weights by name."""
        ...

    def losses(self, w: Weights, batch: Batch, record: Recorder | None = None) -> tuple[Tensor, Tensor]:
        """Two losses of each member, (K,): the one that is minimised, and the one in nats per token that is logged."""
        ...


@dataclass
class Pass:
    """What a forward pass carries beside the stream: the shape (B, T) of the batch, who records, the keys of dropout
    (K or 1, B; None: no dropout), and the balance losses of the routers passed so far, (K,) each."""

    shape: tuple[int, int]
    record: Recorder | None = None
    keys_KB: Tensor | None = None
    balance: list[Tensor] = field(default_factory=list)


def scaled(x: Tensor, factor: float) -> Tensor:
    """factor · x; x itself where the factor is one, as most are."""
    return x if factor == 1.0 else x * factor


def at_least_float32(x: Tensor) -> Tensor:
    """Half precision raised to float32, which logits need; single and double precision unchanged."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class _Spread(torch.autograd.Function):  # type: ignore[misc]
    """(K, D) -> (K, N, D), whose gradient is summed by `over_tokens`."""

    @staticmethod
    def forward(ctx: Any, x_KD: Tensor, N: int) -> Tensor:
        return x_KD.unsqueeze(1).expand(-1, N, -1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return over_tokens(grads[0]), None


def spread(x_KD: Tensor, N: int) -> Tensor:
    """A member's gain or bias for each of its N tokens, (K, N, D)."""
    return torch.as_tensor(_Spread.apply(x_KD, N))  # type: ignore[no-untyped-call]


def over_tokens(x_KND: Tensor) -> Tensor:
    """Sum over the tokens of each member, (K, D)."""
    K, N, _ = x_KND.shape
    return torch.bmm(x_KND.new_ones(K, 1, N), x_KND).squeeze(1)


def layer_norm(x: Tensor, gain_KD: Tensor) -> Tensor:
    """Mean 0 and variance 1 over the last axis of x (K, ..., D), times the member's gain; no bias."""
    return _gained(F.layer_norm(x, gain_KD.shape[1:], eps=EPS), gain_KD)


def rms_norm(x: Tensor, gain_KD: Tensor) -> Tensor:
    """Mean square 1 over the last axis of x (K, ..., D), times the member's gain."""
    return _gained(F.rms_norm(x, list(gain_KD.shape[1:]), eps=EPS), gain_KD)


def _gained(x: Tensor, gain_KD: Tensor) -> Tensor:
    K, D = gain_KD.shape
    x_KND = x.reshape(K, -1, D)
    return (x_KND * spread(gain_KD, x_KND.shape[1])).view(x.shape)


#: kinds of norm by name
NORM_TYPES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"layer": layer_norm, "rms": rms_norm}


def drop(x_KND: Tensor, share: float, run: Pass, site: int) -> Tensor:
    """x with a random ``share`` of its numbers zero and the others 1/(1 − share) times as large; x itself where the
    pass has no keys. What is dropped depends only on an example's key, the site and the place, so that a resumed run
    drops the same.

    >>> x = torch.ones(1, 1000, 2)
    >>> run = Pass((1, 1000), keys_KB=torch.tensor([[7]]))
    >>> bool((drop(x, 0.5, run, 0) - drop(x, 0.5, run, 0)).any()), round(drop(x, 0.5, run, 0).mean().item(), 1)
    (False, 1.0)
    """
    if not share or run.keys_KB is None:
        return x_KND
    (B, T), D = run.shape, x_KND.shape[2]
    place = torch.arange(T * D, device=x_KND.device) + (site << 40)
    bits = hashed(hashed(run.keys_KB).unsqueeze(-1) + hashed(place))
    kept = (bits & (2**24 - 1)) >= share * 2**24
    return x_KND * kept.view(-1, B * T, D).to(x_KND.dtype).mul(1 / (1 - share))


def hashed(x: Tensor) -> Tensor:
    """Whole numbers, 64 bits, scrambled one by one (the finaliser of splitmix64)."""
    x = (x ^ ((x >> 30) & (2**34 - 1))) * (0xBF58476D1CE4E5B9 - 2**64)
    x = (x ^ ((x >> 27) & (2**37 - 1))) * (0x94D049BB133111EB - 2**64)
    return x ^ ((x >> 31) & (2**33 - 1))


@lru_cache(maxsize=8)
def rope_table(T: int, C: int, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """cos and ∓sin of position times frequency, (T, C) each, for the pairs (i, i + C/2)."""
    frequency = 10000.0 ** (-torch.arange(0, C, 2, dtype=torch.float64) / C)
    angle = torch.outer(torch.arange(T, dtype=torch.float64), frequency)
    cos, sin = angle.cos(), angle.sin()
    return torch.cat((cos, cos), -1).to(device, dtype), torch.cat((-sin, sin), -1).to(device, dtype)


def rotate(x_TC: Tensor, cos_TC: Tensor, sin_TC: Tensor) -> Tensor:
    """Rotate each pair (i, i + C/2) of the last axis by its position's angle."""
    a, b = x_TC.chunk(2, dim=-1)
    return x_TC * cos_TC + torch.cat((b, a), dim=-1) * sin_TC


def member_cross_entropy(logits_KNV: Tensor, target_KN: Tensor, record: Recorder | None) -> Tensor:
    """Mean cross-entropy of each member, (K,)."""
    K, N, V = logits_KNV.shape
    loss = F.cross_entropy(logits_KNV.reshape(K * N, V), target_KN.reshape(K * N), reduction="none")
    loss_KN = loss.view(K, N)
    if record is not None:
        record("token_loss", loss_KN)
    return loss_KN.mean(1)


def member_divergence(logits_KNV: Tensor, teacher_KNV: Tensor, temperature: float) -> Tensor:
    """T² KL(teacher ‖ model) of the distributions softmax(logits/T), the mean over tokens, (K,): what is minimised in
    distillation. Source: arXiv:1503.02531."""
    ours, theirs = ((logits / temperature).log_softmax(-1) for logits in (logits_KNV, teacher_KNV))
    apart_KN = (theirs.exp() * (theirs - ours)).sum(-1)
    return apart_KN.mean(1) * temperature**2
