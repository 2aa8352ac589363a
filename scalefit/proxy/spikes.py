"""Spikes: of the gradient, added on purpose, to see how an optimiser or clipping copes with them; and of the loss: the
examples behind them.

Over a spike the loss of a few examples changes far more than that of the others, some up and some down: they pull at
the weights in opposite directions. Source: arXiv:2311.04163.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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


WINDOW, SETTLED = 32, 16  #: last calm losses that a new one is held against, and how many there must be
FAR, SIGMA = 8.0, 1.4826  #: robust deviations that make a spike; of a normal distribution over its median deviation
BATCHES, SHOWN = 4, 5  #: how many batches are compared, and how many examples of either sign are kept
BEFORE, KEPT, LOSSES, STEPS = "spike_before", "spike_kept", "spike_losses", "spike_steps"


def watched(theta_KP: Tensor) -> dict[str, Tensor]:
    """What is kept from step to step: the weights of two earlier steps, the last calm losses (NaN: none yet), and those
    two steps and whether the loss spikes, (K, 3)."""
    losses = theta_KP.new_full((len(theta_KP), WINDOW), torch.nan, dtype=torch.float64)
    steps = theta_KP.new_zeros(len(theta_KP), 3, dtype=torch.float64)
    return {BEFORE: theta_KP.clone(), KEPT: theta_KP.clone(), LOSSES: losses, STEPS: steps}


def begun(state: dict[str, Tensor], theta_KP: Tensor, loss_K: Tensor, step: int, every: int) -> list[int]:
    """The members whose loss begins to spike at this step: it lies FAR robust deviations above the last calm ones.

    ``theta_KP``: the weights at which ``loss_K`` was computed, kept every ``every`` steps while the loss is calm.
    """
    losses, steps, loss = state[LOSSES], state[STEPS], loss_K.double()
    middle = losses.nanmedian(1).values
    spread = SIGMA * (losses - middle[:, None]).abs().nanmedian(1).values
    far = (loss - middle) / spread.clamp(min=1e-9) * (losses.isfinite().sum(1) >= SETTLED)
    lasting = steps[:, 2] > 0
    new = ~lasting & (far > FAR)
    calm = ~new & ~(lasting & (far > FAR / 2)) & loss.isfinite()
    steps[:, 2] = (~calm & (lasting | new)).double()
    rolled = torch.cat((losses[:, 1:], loss[:, None]), dim=1)
    state[LOSSES] = torch.where(calm[:, None], rolled, losses)
    if step % every == 0:
        state[BEFORE] = torch.where(calm[:, None], state[KEPT], state[BEFORE])
        state[KEPT] = torch.where(calm[:, None], theta_KP.detach(), state[KEPT])
        steps[:, 0] = torch.where(calm, steps[:, 1], steps[:, 0])
        steps[:, 1] = torch.where(calm, torch.full_like(loss, step - 1), steps[:, 1])
    return [k for k, begins in enumerate(torch.as_tensor(new).tolist()) if begins]


def ranked(change: Tensor, before: Tensor, first: int, size: int) -> list[dict[str, Any]]:
    """The examples whose loss rose most, then those whose loss fell most: step and number in the batch, change, loss
    before. ``change``: of the examples of consecutive batches of ``size``, of which step ``first`` had the first.

    >>> [each["example"] for each in ranked(torch.tensor([0.0, 2.0, -1.0]), torch.ones(3), 7, 3)]
    [1, 2]
    """
    order = change.argsort(descending=True).tolist()
    rose = [i for i in order[:SHOWN] if change[i] > 0]
    fell = [i for i in order[: -SHOWN - 1 : -1] if change[i] < 0]
    return [
        {"step": first + i // size, "example": i % size, "change": change[i].item(), "before": before[i].item()}
        for i in (*rose, *fell)
    ]
