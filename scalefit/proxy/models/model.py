"""A decoder-only transformer, written for K members at once.

Every tensor has a leading member axis: K models of one shape are trained as one batch of matrices, and a single
model is the case K = 1. No operation mixes members, so one that diverges does not affect the others.

Letters in names are axes: K member, B sequence, T position, N = B·T token, D d_model, H head, C d_head,
F d_ff, V vocabulary, G gate and up together. Weights are stored as (in, out).

Sources: RoPE arXiv:2104.09864, qk-layernorm arXiv:2302.05442, SwiGLU arXiv:2002.05202,
peri-LN arXiv:2502.02732; defaults follow arXiv:2309.14322 (no biases, pre-LN, RoPE, untied head).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from scalefit.errors import InputError
from scalefit.proxy.models.parametrization import Factors

Weights = Mapping[str, Tensor]  # name -> (K, *shape)
Batch = Mapping[str, Tensor]  # name -> (K or 1, B, ...)
Recorder = Callable[
    [str, Tensor], None
]  # receives tensors of the forward pass by name, member axis first; see `probes`
NORMS, ACTIVATIONS = ("pre", "post", "peri"), ("gelu", "swiglu")


@dataclass(frozen=True)
class Leaf:
    """One weight tensor: shape without the member axis, role in the parametrisation, initial standard deviation at the
    base size (None: ones, 0: zeros)."""

    shape: tuple[int, ...]
    role: str
    std: float | None

    @property
    def size(self) -> int:
        """How many numbers it holds in one member."""
        return int(torch.Size(self.shape).numel())


class Model(Protocol):
    """What the trainer needs of a model."""

    @property
    def leaves(self) -> dict[str, Leaf]:
        """Weights by name."""
        ...

    def losses(self, w: Weights, batch: Batch, record: Recorder | None = None) -> tuple[Tensor, Tensor]:
        """Two losses of each member, (K,): the one that is minimised, and the one in nats per token that is logged."""
        ...


def scaled(x: Tensor, factor: float) -> Tensor:
    """factor · x; x itself where the factor is one, as most are."""
    return x if factor == 1.0 else x * factor


def at_least_float32(x: Tensor) -> Tensor:
    """Half precision raised to float32, which logits need; single and double precision unchanged."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def layer_norm(x: Tensor, gain_KD: Tensor) -> Tensor:
    """Mean 0 and variance 1 over the last axis of x (K, ..., D), times the member's gain; no bias."""
    K, D = gain_KD.shape
    if K == 1:  # the same values from one kernel
        return F.layer_norm(x, (D,), gain_KD.view(D), eps=1e-6)
    return F.layer_norm(x, (D,), eps=1e-6) * gain_KD.view(K, *[1] * (x.dim() - 2), D)


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


def member_cross_entropy(logits_KNV: Tensor, target_KN: Tensor, record: Recorder | None = None) -> Tensor:
    """Mean cross-entropy of each member, (K,)."""
    K, N, V = logits_KNV.shape
    loss = F.cross_entropy(logits_KNV.reshape(K * N, V), target_KN.reshape(K * N), reduction="none")
    loss_KN = loss.view(K, N)
    if record is not None:
        record("token_loss", loss_KN)
    return loss_KN.mean(1)


@dataclass(frozen=True)
class Decoder:
    """Decoder-only language model; ``factors`` holds what the parametrisation prescribes at this size.

    ``norm`` is the place of layer norm: pre y = x + f(N(x)), post y = N(x + f(x)), peri y = x + N(f(N(x))). With
    ``sees_all`` it is an encoder: attention is not causal, and only the attention logits are recorded.
    Raises InputError for a shape that cannot be built.
    """

    vocab: int
    d_model: int
    n_layer: int
    d_head: int
    d_ff: int
    factors: Factors
    norm: str = "pre"
    activation: str = "gelu"
    qk_norm: bool = True
    tied: bool = False
    zero_readout: bool = True
    embed_std: float = 0.1
    z_loss: float = 0.0
    sees_all: bool = False

    def __post_init__(self) -> None:
        if self.d_model % self.d_head or self.d_head % 2:
            raise InputError(
                f"d_model={self.d_model} cannot be divided into heads of d_head={self.d_head}",
                todo="choose an even d_head that divides d_model",
            )
        if self.norm not in NORMS or self.activation not in ACTIVATIONS:
            raise InputError(
                f"unknown norm={self.norm!r} or activation={self.activation!r}",
                todo=f"choose norm from {', '.join(NORMS)} and activation from {', '.join(ACTIVATIONS)}",
            )

    @cached_property
    def leaves(self) -> dict[str, Leaf]:
        """Weights by name, in the order of theta."""
        D, V = self.d_model, self.vocab
        leaves = {"embed": Leaf((V, D), "embed", self.embed_std)}
        if self.norm == "peri":
            leaves["embed_norm"] = Leaf((D,), "final", None)
        for layer in range(self.n_layer):
            leaves |= {f"{layer}.{name}": leaf for name, leaf in self._block.items()}
        if self.norm != "post":
            leaves["final_norm"] = Leaf((D,), "final", None)
        if not self.tied:
            leaves["readout"] = Leaf((D, V), "readout", 0.0 if self.zero_readout else self._std(D))
        return leaves

    def _std(self, fan_in: int) -> float:
        """Standard deviation 1/sqrt(fan-in at the base width)."""
        return float((fan_in / self.factors.width) ** -0.5)

    @cached_property
    def _block(self) -> dict[str, Leaf]:
        D, C, F_ = self.d_model, self.d_head, self.d_ff
        wide = F_ if self.activation == "gelu" else 2 * F_
        gain = Leaf((D,), "gain", None)
        leaves = {
            "attention_norm": gain,
            "qkv": Leaf((D, 3 * D), "hidden", self._std(D)),
            "attention_out": Leaf((D, D), "hidden", self._std(D)),
            "mlp_norm": gain,
            "mlp_in": Leaf((D, wide), "hidden", self._std(D)),
            "mlp_out": Leaf((F_, D), "hidden", self._std(F_)),
        }
        if self.qk_norm:
            leaves |= {"q_norm": Leaf((C,), "gain", None), "k_norm": Leaf((C,), "gain", None)}
        if self.norm == "peri":
            leaves |= {"attention_out_norm": gain, "mlp_out_norm": gain}
        return leaves

    def logits(self, w: Weights, ids_KBT: Tensor, record: Recorder | None = None) -> Tensor:
        """Next-token logits (K, B, T, V) in the dtype of the weights; ``ids_KBT`` may have K = 1 (shared)."""
        x_KND = self._embed(w, ids_KBT)
        if record is not None:
            record("embed", x_KND)
        shape = ids_KBT.shape[1:]
        for layer in range(self.n_layer):
            x_KND = self._layer(w, layer, x_KND, shape, record)
        return self._read_out(w, x_KND).unflatten(1, shape)

    def _embed(self, w: Weights, ids_KBT: Tensor) -> Tensor:
        K, V, D = w["embed"].shape
        ids_KN = ids_KBT.expand(K, -1, -1).flatten(1)
        row_KN = ids_KN + V * torch.arange(K, device=ids_KN.device).unsqueeze(1)
        x_KND = scaled(F.embedding(row_KN, w["embed"].reshape(K * V, D)), self.factors.forward["embed"])
        return layer_norm(x_KND, w["embed_norm"]) if self.norm == "peri" else x_KND

    def _layer(self, w: Weights, layer: int, x_KND: Tensor, shape: tuple[int, int], record: Recorder | None) -> Tensor:
        block = {name: w[f"{layer}.{name}"] for name in self._block}
        x_KND = self._residual(block, "attention", x_KND, shape, layer, record)
        return self._residual(block, "mlp", x_KND, shape, layer, record)

    def _read_out(self, w: Weights, x_KND: Tensor) -> Tensor:
        """Logits (K, N, V) from the residual stream after the last block."""
        x_KND = x_KND if self.norm == "post" else layer_norm(x_KND, w["final_norm"])
        head_KDV = w["embed"].transpose(1, 2) if self.tied else w["readout"]
        return scaled(torch.bmm(x_KND, head_KDV), self.factors.forward["readout"])

    def _residual(
        self, w: Weights, kind: str, x_KND: Tensor, shape: tuple[int, int], layer: int, record: Recorder | None
    ) -> Tensor:
        """The stream after one residual branch, attention or mlp, with its norms."""
        gain_KD = w[f"{kind}_norm"]
        y_KND = x_KND if self.norm == "post" else layer_norm(x_KND, gain_KD)
        name = f"{layer}.{kind}"
        y_KND = self._attention(w, y_KND, shape, name, record) if kind == "attention" else self._mlp(w, y_KND)
        if self.norm == "peri":
            y_KND = layer_norm(y_KND, w[f"{kind}_out_norm"])
        x_KND = x_KND + scaled(y_KND, self.factors.residual)
        x_KND = layer_norm(x_KND, gain_KD) if self.norm == "post" else x_KND
        if record is not None and not self.sees_all:
            record(f"{name}_out", y_KND)
            record(f"{name}_residual", x_KND)
        return x_KND

    def _linear(self, x_KND: Tensor, w_KDF: Tensor) -> Tensor:
        return scaled(torch.bmm(x_KND, w_KDF), self.factors.forward["hidden"])

    def _attention(
        self, w: Weights, x_KND: Tensor, shape: tuple[int, int], name: str, record: Recorder | None
    ) -> Tensor:
        qkv = self._linear(x_KND, w["qkv"]).view(len(x_KND), *shape, 3, -1, self.d_head)
        q_KBHTC, k_KBHTC, v_KBHTC = qkv.permute(3, 0, 1, 4, 2, 5).unbind(0)
        name = f"encoder{name}" if self.sees_all else name
        y_KND = self._attend(w, q_KBHTC, k_KBHTC, v_KBHTC, name, record, causal=not self.sees_all)
        return self._linear(y_KND, w["attention_out"])

    def _attend(
        self, w: Weights, q: Tensor, k: Tensor, v: Tensor, name: str, record: Recorder | None, causal: bool
    ) -> Tensor:
        """Norm, rotate and attend: q (K, B, H, T, C) over k and v, whose length may differ; heads joined, (K, N, D)."""
        T, C = q.shape[3:]
        if self.qk_norm:
            q, k = layer_norm(q, w["q_norm"]), layer_norm(k, w["k_norm"])
        q, k = (rotate(x, *rope_table(x.shape[3], C, x.device, x.dtype)) for x in (q, k))
        scale = self.factors.attention * C**-0.5
        if record is not None:
            future = torch.ones(T, k.shape[3], dtype=torch.bool, device=q.device).triu(1)
            att_KBHTT = (q @ k.transpose(-1, -2)).mul(scale)
            record(f"{name}_logit", att_KBHTT.masked_fill(future, -torch.inf) if causal else att_KBHTT)
        y = F.scaled_dot_product_attention(
            q.flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1), is_causal=causal, scale=scale
        )
        return y.view(q.shape).transpose(2, 3).flatten(3).flatten(1, 2)

    def _mlp(self, w: Weights, x_KND: Tensor) -> Tensor:
        h_KNF = self._linear(x_KND, w["mlp_in"])
        if self.activation == "swiglu":
            gate_KNF, up_KNF = h_KNF.chunk(2, dim=-1)
            return self._linear(F.silu(gate_KNF) * up_KNF, w["mlp_out"])
        return self._linear(F.gelu(h_KNF), w["mlp_out"])

    def losses(self, w: Weights, batch: Batch, record: Recorder | None = None) -> tuple[Tensor, Tensor]:
        """Cross-entropy plus z_loss · (log Z)^2, and cross-entropy alone: (K,) each, nats per token.

        ``batch["tokens"]``: (K or 1, B, T + 1); every token but the first is predicted from those before it.
        """
        ids = batch["tokens"]
        return self._losses(self.logits(w, ids[..., :-1], record), ids[..., 1:], record)

    def _losses(self, logits_KBTV: Tensor, target_KBT: Tensor, record: Recorder | None) -> tuple[Tensor, Tensor]:
        logits_KNV = at_least_float32(logits_KBTV.flatten(1, 2))
        if record is not None:
            record("output_logit", logits_KNV)
        loss_K = member_cross_entropy(logits_KNV, target_KBT.expand(logits_KBTV.shape[:3]), record)
        if not self.z_loss:
            return loss_K, loss_K
        return loss_K + self.z_loss * logits_KNV.logsumexp(-1).square().mean(1), loss_K
