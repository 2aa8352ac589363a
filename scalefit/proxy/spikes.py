"""Gradient spikes added on purpose, to see how an optimiser or clipping copes with them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from scalefit.proxy.tasks.data import draws


def add_spikes_(grad_KP: Tensor, seeds: Sequence[int], step: int, size: float, share: float) -> None:
    """Add ±``size`` times the gradient's RMS to a random ``share`` of the weights of each member, in place.

    Places and signs depend only on a member's seed and the step, so that two optimisers meet the same spikes. At least
    one weight is hit. arXiv:2501.06842 reports spikes of a thousand times the usual gradient in large runs.

    >>> grad = torch.ones(1, 100)
    >>> add_spikes_(grad, [0], step=5, size=1000.0, share=0.02)
    >>> int((grad.abs() > 900).sum())
    2
    """
    P = grad_KP.shape[1]
    rms_K = grad_KP.square().mean(1).sqrt()
    for k, seed in enumerate(seeds):
        rng = draws(-1 - seed, step)  # a stream that no batch uses
        places = rng.choice(P, max(round(share * P), 1), replace=False)
        signs = np.where(rng.random(len(places)) < 0.5, -1.0, 1.0)
        index = torch.from_numpy(places).to(grad_KP.device)
        grad_KP[k, index] += torch.from_numpy(signs).to(grad_KP) * size * rms_K[k]
