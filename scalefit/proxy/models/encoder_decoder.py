"""An encoder-decoder transformer, each side with its own depth and width, K members at once.

Axes as in `model`; S is a position of the source, E the width of the encoder. Width and depth ratios of the
parametrisation are those of the decoder.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

from torch import Tensor

from scalefit.proxy.models.layers import Batch, Leaf, Pass, Recorder, Weights, drop, scaled
from scalefit.proxy.models.model import Decoder
from scalefit.proxy.models.shapes import refuse_pair


@dataclass(frozen=True)
class EncoderDecoder(Decoder):
    """Pre-LN encoder of ``n_encoder_layer`` blocks of width ``encoder_width`` that see the whole source, and pre-LN
    decoder of ``n_layer`` blocks of causal self-attention, attention over the encoder's output, and MLP. Each side has
    its own embedding. ``encoder_ff`` is the encoder's d_ff."""

    n_encoder_layer: int = 2
    encoder_width: int = 0
    encoder_ff: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_pair(self.norm)

    @cached_property
    def encoder(self) -> Decoder:
        """The encoder, as a decoder whose attention sees everything; its readout is not used."""
        own: dict[str, Any] = {
            "vocab": self.vocab,
            "d_model": self.encoder_width or self.d_model,
            "n_layer": self.n_encoder_layer,
        }
        own |= {"d_ff": self.encoder_ff or self.d_ff, "tied": True, "sees_all": True}
        shared = {each.name: getattr(self, each.name) for each in fields(Decoder) if each.name not in own}
        return Decoder(**own, **shared)

    @cached_property
    def _cross(self) -> dict[str, Leaf]:
        D, E = self.d_model, self.encoder.d_model
        leaves = {
            "cross_norm": Leaf((D,), "gain", None),
            "cross_q": Leaf((D, D), "hidden", self._std(D), zeros=D if self.zero_query else 0),
            "cross_kv": Leaf((E, 2 * D // self.kv_group), "hidden", self._std(E)),
            "cross_out": Leaf((D, D), "hidden", self._std(D)),
        }
        return leaves | self._biases(leaves)

    @cached_property
    def leaves(self) -> dict[str, Leaf]:
        """Weights by name: those of the decoder, then ``encoder.…``; ``cross_…`` joins the two."""
        leaves = dict(super().leaves)
        for layer in range(self.n_layer):
            leaves |= {f"{layer}.{name}": leaf for name, leaf in self._cross.items()}
        return leaves | {f"encoder.{name}": leaf for name, leaf in self.encoder.leaves.items()}

    def encode(self, w: Weights, source_KBS: Tensor, run: Pass) -> Tensor:
        """Source tokens to vectors, (K, B·S, E)."""
        w = {name.removeprefix("encoder."): value for name, value in w.items() if name.startswith("encoder.")}
        x_KNE = drop(self.encoder._embed(w, source_KBS), self.dropout, run, 0)
        for layer in range(self.n_encoder_layer):
            x_KNE = self.encoder._layer(w, layer, x_KNE, run)
        return self._normed(x_KNE, w["final_norm"])

    def translate(self, w: Weights, source_KBS: Tensor, target_KBT: Tensor, run: Pass | None = None) -> Tensor:
        """Logits, (K, B, T, V), from the source and the decoder's own tokens up to each position."""
        run = run or Pass(target_KBT.shape[1:])
        keys_KB = None if run.keys_KB is None else run.keys_KB + 1  # the encoder drops other places than the decoder
        memory_KNE = self.encode(w, source_KBS, replace(run, shape=source_KBS.shape[1:], keys_KB=keys_KB))
        x_KND = drop(self._embed(w, target_KBT), self.dropout, run, 0)
        for layer in range(self.n_layer):
            block = {name: w[f"{layer}.{name}"] for name in (*self._block, *self._cross)}
            x_KND = self._residual(block, "attention", x_KND, layer, run)
            y_KND = self._read_source(block, x_KND, memory_KNE, layer, run)
            y_KND = drop(y_KND, self.dropout, run, 2 * (self.n_layer + layer) + 1)
            x_KND = self._residual(block, "mlp", x_KND + scaled(y_KND, self.factors.residual), layer, run)
        return self._read_out(w, x_KND).unflatten(1, run.shape)

    def _read_source(self, w: Weights, x_KND: Tensor, memory_KNE: Tensor, layer: int, run: Pass) -> Tensor:
        """What attention over the encoder's output adds, (K, N, D)."""
        q = self._heads(self._linear(w, "cross_q", self._normed(x_KND, w["cross_norm"])), run.shape)
        k, v = (
            self._heads(part, (run.shape[0], -1)) for part in self._linear(w, "cross_kv", memory_KNE).chunk(2, dim=-1)
        )
        y_KND = self._attend(w, q, k, v, f"{layer}.cross", run.record, causal=False)
        return self._linear(w, "cross_out", y_KND)

    def losses(self, w: Weights, batch: Batch, record: Recorder | None = None) -> tuple[Tensor, Tensor]:
        """Of the target given source and tokens, as those of `Decoder`; (K,) each.

        ``batch["source"]``: (K or 1, B, S), ``batch["tokens"]`` and ``batch["target"]``: (K or 1, B, T); target t is
        predicted from the whole source and tokens 0..t.
        """
        run = Pass(batch["tokens"].shape[1:], record, batch.get("dropout"))
        logits_KBTV = self.translate(w, batch["source"], batch["tokens"], run)
        return self._losses(logits_KBTV, batch["target"], run, batch.get("teacher"))
