"""Measurements of a model in training besides its loss: sizes of activations, gradients, updates and logits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from scalefit.proxy.models.layers import Leaf


class Probe:
    """Reduces the tensors that a model records in one forward pass to one number per member.

    Logged are ``rms_act/B.attention_out``, ``rms_act/B.mlp_out`` and ``rms_act/B.mlp_residual`` of block B,
    ``attention_logit_max/B`` (of an encoder-decoder over both kinds of attention in the block, and of its encoder as
    ``attention_logit_max/encoderB``) and ``attention_logit_max`` over all blocks, ``output_logit_mean`` and
    ``output_logit_logsumexp`` (mean over tokens), and ``zero_gradient_tokens``, the share of tokens (or examples) whose
    loss is zero in single precision: the model is so sure of them that they no longer pull at its weights.
    """

    def __init__(self) -> None:
        self.values: dict[str, Tensor] = {}

    def __call__(self, name: str, value: Tensor) -> None:
        """Reduce one tensor of the forward pass, (K, ...), to (K,)."""
        value = value.detach().float()
        flat = value.flatten(1)
        if name == "output_logit":
            self.values["output_logit_mean"] = flat.mean(1)
            self.values["output_logit_logsumexp"] = value.logsumexp(-1).flatten(1).mean(1)
        elif name == "token_loss":
            self.values["zero_gradient_tokens"] = (flat == 0).float().mean(1)
        elif name.endswith("_logit"):
            largest = flat.amax(1)
            for key in (f"attention_logit_max/{name.partition('.')[0]}", "attention_logit_max"):
                self.values[key] = torch.maximum(self.values.get(key, largest), largest)
        else:
            self.values[f"rms_act/{name}"] = flat.square().mean(1).sqrt()


def by_role(what: str, value_KP: Tensor, leaves: Mapping[str, Leaf]) -> dict[str, Tensor]:
    """Root mean square over the weights of each role, (K,) each, and over the first MLP matrix of block 0, which
    arXiv:2309.14322 compares with Adam's epsilon."""
    parts = torch.split(value_KP, [leaf.size for leaf in leaves.values()], dim=1)
    squares: dict[str, Tensor] = {}
    counts: dict[str, int] = {}
    for part, (name, leaf) in zip(parts, leaves.items(), strict=True):
        keys = (leaf.role, name) if name == "0.mlp_in" else (leaf.role,)
        for key in keys:
            squares[key] = squares.get(key, 0) + part.square().sum(1)
            counts[key] = counts.get(key, 0) + leaf.size
    return {f"{what}/{key}": (squares[key] / counts[key]).sqrt() for key in squares}


def noise(parts: Sequence[Tensor], mean_KP: Tensor, examples: int) -> dict[str, Tensor]:
    """Unbiased estimates of the squared gradient and of the trace of the gradient's covariance per example, (K,) each.

        |G|² = (B |g|² − b ⟨|g_b|²⟩) / (B − b)        S = (⟨|g_b|²⟩ − |g|²) / (1/b − 1/B)

    from the gradients g_b of equal parts of b examples and their mean g over B. Either may be negative at a single
    step: average each over steps before taking the ratio, as `noise_scale` does.
    Source: arXiv:1812.06162, appendix A.
    """
    B, b = examples, examples / len(parts)
    small = torch.stack([part.square().sum(1) for part in parts]).mean(0)
    big = mean_KP.square().sum(1)
    return {
        "noise_grad_square": (B * big - b * small) / (B - b),
        "noise_trace": (small - big) / (1 / b - 1 / B),
    }


def noise_scale(trace: ArrayLike, grad_square: ArrayLike, decay: float = 0.99) -> NDArray[np.float64]:
    """B_simple = S/|G|² in examples, the ratio of exponential running means of the two logged columns.

    ``trace`` and ``grad_square`` are the columns noise_trace and noise_grad_square of a log, (n,); steps
    that are not finite are skipped. NaN where the running |G|² is not above zero.

    >>> noise_scale([2.0, 4.0], [1.0, 1.0], decay=0.5).round(3).tolist()
    [2.0, 3.333]
    """
    import pandas as pd

    logged = pd.DataFrame({"trace": np.asarray(trace, float), "square": np.asarray(grad_square, float)})
    running = logged.where(np.isfinite(logged)).ewm(alpha=1 - decay, ignore_na=True).mean()
    return np.asarray((running["trace"] / running["square"]).where(running["square"] > 0))
