"""A small multilayer perceptron, for classification tasks such as sparse parity; K members at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from scalefit.proxy.models.layers import (
    Batch,
    Leaf,
    Recorder,
    Weights,
    at_least_float32,
    member_cross_entropy,
    scaled,
    spread,
)
from scalefit.proxy.models.parametrization import Factors


@dataclass(frozen=True)
class MLP:
    """``inputs`` → n_layer hidden ReLU layers of width d_model, with biases → ``vocab`` classes.

    Axes: K member, B example, I inputs, D d_model, V classes.
    """

    inputs: int
    vocab: int
    d_model: int
    n_layer: int
    factors: Factors
    zero_readout: bool = True

    @cached_property
    def leaves(self) -> dict[str, Leaf]:
        """Weights by name; biases have the role of input weights, since one of their dimensions grows with width."""
        I, D, V = self.inputs, self.d_model, self.vocab
        base = D / self.factors.width
        leaves = {"in": Leaf((I, D), "embed", (2 / I) ** 0.5), "in_bias": Leaf((D,), "embed", 0.0)}
        for layer in range(1, self.n_layer):
            leaves[f"{layer}.w"] = Leaf((D, D), "hidden", (2 / base) ** 0.5)
            leaves[f"{layer}.bias"] = Leaf((D,), "embed", 0.0)
        return leaves | {"readout": Leaf((D, V), "readout", 0.0 if self.zero_readout else base**-0.5)}

    def logits(self, w: Weights, x_KBI: Tensor, record: Recorder | None = None) -> Tensor:
        """Class logits, (K, B, V)."""
        forward, K = self.factors.forward, w["in"].shape[0]
        h_KBD = scaled(torch.bmm(x_KBI.expand(K, *x_KBI.shape[1:]), w["in"]), forward["embed"])
        h_KBD = F.relu(h_KBD + spread(w["in_bias"], h_KBD.shape[1]))
        for layer in range(1, self.n_layer):
            h_KBD = scaled(torch.bmm(h_KBD, w[f"{layer}.w"]), forward["hidden"])
            h_KBD = F.relu(h_KBD + spread(w[f"{layer}.bias"], h_KBD.shape[1]))
            if record is not None:
                record(f"{layer}.hidden_out", h_KBD)
        return scaled(torch.bmm(h_KBD, w["readout"]), forward["readout"])

    def losses(self, w: Weights, batch: Batch, record: Recorder | None = None) -> tuple[Tensor, Tensor]:
        """Cross-entropy, nats per example, (K,), of ``batch["x"]`` (K or 1, B, I) and ``"y"`` (K or 1, B)."""
        logits_KBV = at_least_float32(self.logits(w, batch["x"].to(w["in"].dtype), record))
        loss_K = member_cross_entropy(logits_KBV, batch["y"].expand(logits_KBV.shape[:2]), record)
        return loss_K, loss_K
