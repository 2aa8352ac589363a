"""An encoder-decoder transformer, each side with its own depth and width, K members at once.

Axes as in `model`; S is a position of the source, E the width of the encoder. Width and depth ratios of the
parametrisation are those of the decoder.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from scalefit.errors import InputError
from scalefit.proxy.models.model import Batch, Decoder, Leaf, Recorder, Weights, layer_norm, scaled


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
        if self.norm != "pre":
            raise InputError(f"an encoder-decoder cannot have norm={self.norm!r}", todo="choose norm pre")

    @cached_property
    def encoder(self) -> Decoder:
        """The encoder, as a decoder whose attention sees everything; its readout is not used."""
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
            sees_all=True,
        )

    @cached_property
    def _cross(self) -> dict[str, Leaf]:
        D, E = self.d_model, self.encoder.d_model
        return {
            "cross_norm": Leaf((D,), "gain", None),
            "cross_q": Leaf((D, D), "hidden", self._std(D)),
            "cross_kv": Leaf((E, 2 * D), "hidden", self._std(E)),
            "cross_out": Leaf((D, D), "hidden", self._std(D)),
        }

    @cached_property
    def leaves(self) -> dict[str, Leaf]:
        """Weights by name: those of the decoder, then ``encoder.…``; ``cross_…`` joins the two."""
        leaves = dict(super().leaves)
        for layer in range(self.n_layer):
            leaves |= {f"{layer}.{name}": leaf for name, leaf in self._cross.items()}
        return leaves | {f"encoder.{name}": leaf for name, leaf in self.encoder.leaves.items()}

    def encode(self, w: Weights, source_KBS: Tensor, record: Recorder | None = None) -> Tensor:
        """Source tokens to vectors, (K, B·S, E)."""
        w = {name.removeprefix("encoder."): value for name, value in w.items() if name.startswith("encoder.")}
        x_KNE = self.encoder._embed(w, source_KBS)
        for layer in range(self.n_encoder_layer):
            x_KNE = self.encoder._layer(w, layer, x_KNE, source_KBS.shape[1:], record)
        return layer_norm(x_KNE, w["final_norm"])

    def translate(self, w: Weights, source_KBS: Tensor, target_KBT: Tensor, record: Recorder | None = None) -> Tensor:
        """Logits, (K, B, T, V), from the source and the decoder's own tokens up to each position."""
        memory_KNE, x_KND = self.encode(w, source_KBS, record), self._embed(w, target_KBT)
        shape = target_KBT.shape[1:]
        for layer in range(self.n_layer):
            block = {name: w[f"{layer}.{name}"] for name in (*self._block, *self._cross)}
            x_KND = self._residual(block, "attention", x_KND, shape, layer, record)
            q = self._linear(layer_norm(x_KND, block["cross_norm"]), block["cross_q"])
            q_KBHTC = q.view(len(q), *shape, -1, self.d_head).transpose(2, 3)
            kv = self._linear(memory_KNE, block["cross_kv"]).view(len(q), shape[0], -1, 2, *q_KBHTC.shape[2::2])
            k_KBHSC, v_KBHSC = kv.permute(3, 0, 1, 4, 2, 5).unbind(0)
            y_KND = self._attend(block, q_KBHTC, k_KBHSC, v_KBHSC, f"{layer}.cross", record, causal=False)
            x_KND = x_KND + scaled(self._linear(y_KND, block["cross_out"]), self.factors.residual)
            x_KND = self._residual(block, "mlp", x_KND, shape, layer, record)
        return self._read_out(w, x_KND).unflatten(1, shape)

    def losses(self, w: Weights, batch: Batch, record: Recorder | None = None) -> tuple[Tensor, Tensor]:
        """Cross-entropy of the target given source and tokens, plus z_loss · (log Z)^2, and without it; (K,) each.

        ``batch["source"]``: (K or 1, B, S), ``batch["tokens"]`` and ``batch["target"]``: (K or 1, B, T); target t is
        predicted from the whole source and tokens 0..t.
        """
        return self._losses(self.translate(w, batch["source"], batch["tokens"], record), batch["target"], record)
