"""A decoder-only transformer, written for K members at once.

Every tensor has a leading member axis: K models of one shape are trained as one batch of matrices, and a single
model is the case K = 1. No operation mixes members, so one that diverges does not affect the others.

Letters in names are axes: K member, B sequence, T position, N = B·T token, D d_model, H head, C d_head,
F d_ff, V vocabulary, G gate and up together, E expert. Weights are stored as (in, out).

Sources: RoPE arXiv:2104.09864, qk-layernorm arXiv:2302.05442, SwiGLU arXiv:2002.05202, RMSNorm arXiv:1910.07467,
grouped queries arXiv:2305.13245, peri-LN arXiv:2502.02732; defaults follow arXiv:2309.14322 (no biases, pre-LN, RoPE,
untied head).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from scalefit.proxy.models.experts import dispatch, route
from scalefit.proxy.models.layers import (
    NORM_TYPES,
    Batch,
    Leaf,
    Pass,
    Recorder,
    Weights,
    at_least_float32,
    drop,
    member_cross_entropy,
    member_divergence,
    rope_table,
    rotate,
    scaled,
    spread,
)
from scalefit.proxy.models.parametrization import Factors
from scalefit.proxy.models.shapes import refuse_heads, refuse_parts

ROUTER = 0.1  #: initial size of a router relative to a matrix: at first all experts weigh nearly alike, at any width


@dataclass(frozen=True)
class Decoder:
    """Decoder-only language model; ``factors`` holds what the parametrisation prescribes at this size.

    ``norm`` is the place of the norm, whose kind is ``norm_type``: pre y = x + f(N(x)), post y = N(x + f(x)), peri
    y = x + N(f(N(x))). ``kv_group`` heads share one key and value. ``dropout`` is the share dropped of the embedding
    and of what each branch adds, in training alone. With ``experts`` > 1 the feed-forward layer is that many, of which
    each token passes ``experts_per_token``, and ``balance`` times their mean balance loss is added to what is
    minimised; of that, ``distill`` is the share of the divergence from a teacher whose logits the batch holds. With
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
    norm_type: str = "layer"
    activation: str = "gelu"
    qk_norm: bool = True
    kv_group: int = 1
    biases: bool = False
    dropout: float = 0.0
    experts: int = 1
    experts_per_token: int = 1
    balance: float = 0.01
    tied: bool = False
    zero_readout: bool = True
    zero_query: bool = False
    embed_std: float = 0.1
    z_loss: float = 0.0
    distill: float = 1.0
    temperature: float = 1.0
    sees_all: bool = False

    def __post_init__(self) -> None:
        refuse_heads(self.d_model, self.d_head, self.kv_group)
        refuse_parts(self.norm, self.norm_type, self.activation, self.experts, self.experts_per_token)

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
        """Weights of one block; gate and up lie side by side in mlp_in."""
        D, F_, C = self.d_model, self.d_ff, self.d_head
        wide, gain = (2 * F_ if self.activation == "swiglu" else F_), Leaf((D,), "gain", None)
        joint = D + 2 * D // self.kv_group
        leaves = {
            "attention_norm": gain,
            "qkv": Leaf((D, joint), "hidden", self._std(D), zeros=D if self.zero_query else 0),
            "attention_out": Leaf((D, D), "hidden", self._std(D)),
            "mlp_norm": gain,
        }
        if self.experts == 1:
            leaves |= {"mlp_in": Leaf((D, wide), "hidden", self._std(D))}
            leaves |= {"mlp_out": Leaf((F_, D), "hidden", self._std(F_))}
        else:
            active = self.experts_per_token / self.experts
            leaves["router"] = Leaf((D, self.experts), "router", ROUTER * self._std(D))
            leaves["mlp_in"] = Leaf((self.experts, D, wide), "hidden", self._std(D), active=active)
            leaves["mlp_out"] = Leaf((self.experts, F_, D), "hidden", self._std(F_), active=active)
        if self.qk_norm:
            leaves |= {"q_norm": Leaf((C,), "gain", None), "k_norm": Leaf((C,), "gain", None)}
        if self.norm == "peri":
            leaves |= {"attention_out_norm": gain, "mlp_out_norm": gain}
        return leaves | self._biases(leaves)

    def _biases(self, leaves: Weights | dict[str, Leaf]) -> dict[str, Leaf]:
        """A bias for each matrix, whose rules are those of a gain; experts and routers have none."""
        matrices = {name: leaf.shape for name, leaf in leaves.items() if len(leaf.shape) == 2 and name != "router"}
        return {f"{name}_bias": Leaf(shape[1:], "gain", 0.0) for name, shape in matrices.items() if self.biases}

    def logits(self, w: Weights, ids_KBT: Tensor, record: Recorder | None = None) -> Tensor:
        """Next-token logits (K, B, T, V) in the dtype of the weights; ``ids_KBT`` may have K = 1 (shared)."""
        return self._logits(w, ids_KBT, Pass(ids_KBT.shape[1:], record))

    def _logits(self, w: Weights, ids_KBT: Tensor, run: Pass) -> Tensor:
        x_KND = drop(self._embed(w, ids_KBT), self.dropout, run, 0)
        if run.record is not None:
            run.record("embed", x_KND)
        for layer in range(self.n_layer):
            x_KND = self._layer(w, layer, x_KND, run)
        return self._read_out(w, x_KND).unflatten(1, run.shape)

    def _embed(self, w: Weights, ids_KBT: Tensor) -> Tensor:
        K, V, D = w["embed"].shape
        ids_KN = ids_KBT.expand(K, -1, -1).flatten(1)
        row_KN = ids_KN + V * torch.arange(K, device=ids_KN.device).unsqueeze(1)
        x_KND = scaled(F.embedding(row_KN, w["embed"].reshape(K * V, D)), self.factors.forward["embed"])
        return self._normed(x_KND, w["embed_norm"]) if self.norm == "peri" else x_KND

    def _normed(self, x: Tensor, gain_KD: Tensor) -> Tensor:
        return NORM_TYPES[self.norm_type](x, gain_KD)

    def _layer(self, w: Weights, layer: int, x_KND: Tensor, run: Pass) -> Tensor:
        block = {name: w[f"{layer}.{name}"] for name in self._block}
        x_KND = self._residual(block, "attention", x_KND, layer, run)
        return self._residual(block, "mlp", x_KND, layer, run)

    def _read_out(self, w: Weights, x_KND: Tensor) -> Tensor:
        """Logits (K, N, V) from the residual stream after the last block."""
        x_KND = x_KND if self.norm == "post" else self._normed(x_KND, w["final_norm"])
        head_KDV = w["embed"].transpose(1, 2) if self.tied else w["readout"]
        return scaled(torch.bmm(x_KND, head_KDV), self.factors.forward["readout"])

    def _residual(self, w: Weights, kind: str, x_KND: Tensor, layer: int, run: Pass) -> Tensor:
        """The stream after one residual branch, attention or mlp, with its norms."""
        gain_KD, name = w[f"{kind}_norm"], f"{layer}.{kind}"
        y_KND = x_KND if self.norm == "post" else self._normed(x_KND, gain_KD)
        y_KND = self._attention(w, y_KND, run, name) if kind == "attention" else self._mlp(w, y_KND, run, name)
        if self.norm == "peri":
            y_KND = self._normed(y_KND, w[f"{kind}_out_norm"])
        y_KND = drop(y_KND, self.dropout, run, 2 * layer + (1 if kind == "attention" else 2))
        x_KND = x_KND + scaled(y_KND, self.factors.residual)
        x_KND = self._normed(x_KND, gain_KD) if self.norm == "post" else x_KND
        if run.record is not None and not self.sees_all:
            run.record(f"{name}_out", y_KND)
            run.record(f"{name}_residual", x_KND)
        return x_KND

    def _linear(self, w: Weights, name: str, x_KND: Tensor) -> Tensor:
        y_KNF = scaled(torch.bmm(x_KND, w[name]), self.factors.forward["hidden"])
        bias_KF = w.get(f"{name}_bias")
        return y_KNF if bias_KF is None else y_KNF + spread(bias_KF, y_KNF.shape[1]).to(y_KNF.dtype)

    def _attention(self, w: Weights, x_KND: Tensor, run: Pass, name: str) -> Tensor:
        qkv, D = self._linear(w, "qkv", x_KND), self.d_model
        q, k, v = (self._heads(part, run.shape) for part in qkv.split([D, D // self.kv_group, D // self.kv_group], -1))
        name = f"encoder{name}" if self.sees_all else name
        y_KND = self._attend(w, q, k, v, name, run.record, causal=not self.sees_all)
        return self._linear(w, "attention_out", y_KND)

    def _heads(self, x_KND: Tensor, shape: tuple[int, int]) -> Tensor:
        """(K, B, H, T, C)."""
        return x_KND.unflatten(1, shape).unflatten(-1, (-1, self.d_head)).transpose(2, 3)

    def _attend(
        self, w: Weights, q: Tensor, k: Tensor, v: Tensor, name: str, record: Recorder | None, causal: bool
    ) -> Tensor:
        """Norm, rotate and attend: q (K, B, H, T, C) over k and v, whose length may differ and which may have fewer
        heads; heads joined, (K, N, D)."""
        T, C = q.shape[3:]
        if self.qk_norm:
            q, k = self._normed(q, w["q_norm"]), self._normed(k, w["k_norm"])
        q, k = (rotate(x, *rope_table(x.shape[3], C, x.device, x.dtype)) for x in (q, k))
        if self.kv_group > 1:
            k, v = (x.repeat_interleave(self.kv_group, dim=2) for x in (k, v))
        scale = self.factors.attention * C**-0.5
        if record is not None:
            future = torch.ones(T, k.shape[3], dtype=torch.bool, device=q.device).triu(1)
            att_KBHTT = (q @ k.transpose(-1, -2)).mul(scale)
            record(f"{name}_logit", att_KBHTT.masked_fill(future, -torch.inf) if causal else att_KBHTT)
        y = F.scaled_dot_product_attention(
            q.flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1), is_causal=causal, scale=scale
        )
        return y.view(q.shape).transpose(2, 3).flatten(3).flatten(1, 2)

    def _mlp(self, w: Weights, x_KND: Tensor, run: Pass, name: str) -> Tensor:
        if self.experts == 1:
            return self._linear(w, "mlp_out", self._activated(self._linear(w, "mlp_in", x_KND)))
        logits_KNE = scaled(torch.bmm(x_KND, w["router"]), self.factors.forward["router"])
        gate_KNS, chosen_KNS = route(logits_KNE, self.experts_per_token, run, f"{name}_router")
        first, second = (w[part].flatten(0, 1).unbind() for part in ("mlp_in", "mlp_out"))
        forward = self.factors.forward["hidden"]

        def expert(x_nD: Tensor, number: int) -> Tensor:
            h_nF = self._activated(scaled(x_nD @ first[number], forward))
            return scaled(h_nF @ second[number], forward)

        return dispatch(x_KND, gate_KNS, chosen_KNS, self.experts, expert)

    def _activated(self, h: Tensor) -> Tensor:
        if self.activation == "gelu":
            return F.gelu(h)
        gate, up = h.chunk(2, dim=-1)
        return F.silu(gate) * up

    def losses(self, w: Weights, batch: Batch, record: Recorder | None = None) -> tuple[Tensor, Tensor]:
        """What is minimised, and the cross-entropy alone: (K,) each, nats per token.

        ``batch["tokens"]``: (K or 1, B, T + 1); every token but the first is predicted from those before it. It may
        hold ``"dropout"``, the keys of what is dropped, (K or 1, B), and ``"teacher"``, logits (K or 1, B, T, V).
        """
        ids = batch["tokens"]
        run = Pass(ids[..., :-1].shape[1:], record, batch.get("dropout"))
        return self._losses(self._logits(w, ids[..., :-1], run), ids[..., 1:], run, batch.get("teacher"))

    def _losses(
        self, logits_KBTV: Tensor, target_KBT: Tensor, run: Pass, teacher_KBTV: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Cross-entropy, or its blend with the divergence from a teacher, plus z_loss · (log Z)² and the balance loss;
        and the cross-entropy alone."""
        logits_KNV = at_least_float32(logits_KBTV.flatten(1, 2))
        if run.record is not None:
            run.record("output_logit", logits_KNV)
        loss_K = member_cross_entropy(logits_KNV, target_KBT.expand(logits_KBTV.shape[:3]), run.record)
        objective_K = loss_K
        if teacher_KBTV is not None:
            apart_K = member_divergence(logits_KNV, teacher_KBTV.flatten(1, 2), self.temperature)
            objective_K = torch.lerp(loss_K, apart_K, self.distill)
        if self.z_loss:
            objective_K = objective_K + self.z_loss * logits_KNV.logsumexp(-1).square().mean(1)
        if run.balance:
            objective_K = objective_K + self.balance * torch.stack(run.balance).mean(0)
        return objective_K, loss_K
