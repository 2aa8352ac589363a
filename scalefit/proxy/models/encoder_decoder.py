"""An encoder-decoder transformer with its own depth and width on either side, K members at once.

Axes as in `model`; S is a position of the source, E the width of the encoder. Width and depth ratios of the
parametrisation count the decoder.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from scalefit.proxy.models.model import (
    Batch,
    Decoder,
    Leaf,
    Recorder,
    Weights,
    at_least_float32,
    layer_norm,
    member_cross_entropy,
    scaled,
)


@dataclass(frozen=True)
class EncoderDecoder(Decoder):
    """Pre-LN encoder of ``n_encoder_layer`` blocks of width ``encoder_width`` that see the whole source, and decoder
    of ``n_layer`` blocks of causal self-attention, attention over the encoder's output, and MLP. Each side has its
    own embedding. ``encoder_ff`` is the encoder's d_ff."""

    n_encoder_layer: int = 2
    encoder_width: int = 0
    encoder_ff: int = 0

    @cached_property
    def encoder(self) -> Decoder:
        """The shape of the encoder, as that of a decoder of its own; it has no readout."""
        return Decoder(
            vocab=self.vocab,
            d_model=self.encoder_width or self.d_model,
            n_layer=self.n_encoder_layer,
            d_head=self.d_head,
            d_ff=self.encoder_ff or self.d_ff,
            factors=self.factors,
            activation=self.activation,
            qk_norm=self.qk_norm,
            tied=True,
            embed_std=self.embed_std,
        )

    @cached_property
    def leaves(self) -> dict[str, Leaf]:
        """Weights by name: those of the decoder, then ``encoder.…``; ``cross_…`` joins the two."""
        D, E, gain = self.d_model, self.encoder.d_model, Leaf((self.d_model,), "gain", None)
        leaves = dict(super().leaves)
        cross = {
            "cross_norm": gain,
            "cross_q": Leaf((D, D), "hidden", self._std(D)),
            "cross_kv": Leaf((E, 2 * D), "hidden", self._std(E)),
            "cross_out": Leaf((D, D), "hidden", self._std(D)),
        }
        for layer in range(self.n_layer):
            leaves |= {f"{layer}.{name}": leaf for name, leaf in cross.items()}
        return leaves | {f"encoder.{name}": leaf for name, leaf in self.encoder.leaves.items()}

    def encode(self, w: Weights, source_KBS: Tensor, record: Recorder | None = None) -> Tensor:
        """Source tokens to vectors, (K, B·S, E)."""
        K, (B, S) = w["embed"].shape[0], source_KBS.shape[1:]
        w = {name.removeprefix("encoder."): value for name, value in w.items() if name.startswith("encoder.")}
        x_KNE = self._embed(w, source_KBS.expand(K, B, S))
        for layer in range(self.n_encoder_layer):
            block = {name: w[f"{layer}.{name}"] for name in self._block()}
            y_KNE = self._see_all(block, layer_norm(x_KNE, block["attention_norm"]), (B, S), layer, record)
            x_KNE = x_KNE + scaled(y_KNE, self.factors.residual)
            y_KNE = self._mlp(block, layer_norm(x_KNE, block["mlp_norm"]))
            x_KNE = x_KNE + scaled(y_KNE, self.factors.residual)
        return layer_norm(x_KNE, w["final_norm"])

    def _see_all(
        self, w: Weights, x_KNE: Tensor, shape: tuple[int, int], layer: int, record: Recorder | None
    ) -> Tensor:
        (K, N, E), (B, S), C = x_KNE.shape, shape, self.d_head
        qkv = self._linear(x_KNE, w["qkv"]).view(K, B, S, 3, E // C, C)
        q, k, v = qkv.permute(3, 0, 1, 4, 2, 5).unbind(0)
        y = self._attend(w, q, k, v, f"encoder{layer}.attention", record, causal=False)
        return self._linear(y.transpose(2, 3).reshape(K, N, E), w["attention_out"])

    def translate(self, w: Weights, source_KBS: Tensor, target_KBT: Tensor, record: Recorder | None = None) -> Tensor:
        """Logits, (K, B, T, V), from the source and the decoder's own tokens up to each position."""
        K, (B, T) = w["embed"].shape[0], target_KBT.shape[1:]
        memory_KNE = self.encode(w, source_KBS, record)
        x_KND = self._embed(w, target_KBT.expand(K, B, T))
        names = (*self._block(), "cross_norm", "cross_q", "cross_kv", "cross_out")
        for layer in range(self.n_layer):
            block = {name: w[f"{layer}.{name}"] for name in names}
            x_KND = self._residual(block, "attention", x_KND, (B, T), layer, record)
            y_KND = self._cross(block, layer_norm(x_KND, block["cross_norm"]), memory_KNE, (B, T), layer, record)
            x_KND = x_KND + scaled(y_KND, self.factors.residual)
            x_KND = self._residual(block, "mlp", x_KND, (B, T), layer, record)
        x_KND = layer_norm(x_KND, w["final_norm"])
        head_KDV = w["embed"].transpose(1, 2) if self.tied else w["readout"]
        return scaled(x_KND @ head_KDV, self.factors.forward["readout"]).view(K, B, T, self.vocab)

    def _cross(
        self,
        w: Weights,
        x_KND: Tensor,
        memory_KNE: Tensor,
        shape: tuple[int, int],
        layer: int,
        record: Recorder | None,
    ) -> Tensor:
        (K, N, D), (B, T), C = x_KND.shape, shape, self.d_head
        S = memory_KNE.shape[1] // B
        q = self._linear(x_KND, w["cross_q"]).view(K, B, T, D // C, C).transpose(2, 3)
        kv = self._linear(memory_KNE, w["cross_kv"]).view(K, B, S, 2, D // C, C)
        k, v = kv.permute(3, 0, 1, 4, 2, 5).unbind(0)
        y = self._attend(w, q, k, v, f"{layer}.cross", record, causal=False)
        return self._linear(y.transpose(2, 3).reshape(K, N, D), w["cross_out"])

    def losses(self, w: Weights, batch: Batch, record: Recorder | None = None) -> tuple[Tensor, Tensor]:
        """Cross-entropy of the target given source and tokens, nats per target, (K,), twice.

        ``batch["source"]``: (K or 1, B, S), ``batch["tokens"]`` and ``batch["target"]``: (K or 1, B, T); target t is
        predicted from the whole source and tokens 0..t.
        """
        target_KBT = batch["target"]
        K, (B, T) = w["embed"].shape[0], target_KBT.shape[1:]
        logits = self.translate(w, batch["source"], batch["tokens"], record).view(K, B * T, self.vocab)
        logits_KNV = at_least_float32(logits)
        if record is not None:
            record("output_logit", logits_KNV)
        loss_K = member_cross_entropy(logits_KNV, target_KBT.expand(K, B, T))
        return loss_K, loss_K
