"""Adam with decoupled weight decay."""

from __future__ import annotations

import torch
from torch import Tensor

from scalefit.proxy.optimizers.optimizer import Optimizer, State


class AdamW(Optimizer, slots="m v", beta1=0.9, beta2=0.95, eps=1e-8):
    """Adam with decoupled weight decay.

        m ← β1 m + (1 − β1) g            v ← β2 v + (1 − β2) g²
        θ ← θ − decay θ − lr m̂ / (√v̂ + ε),   m̂ = m / (1 − β1^t), v̂ = v / (1 − β2^t)

    Source: arXiv:1412.6980, arXiv:1711.05101; defaults of arXiv:2309.14322.
    """

    name, kind, source = "adamw", "adam", "arXiv:1711.05101"

    def update(self, theta_KP: Tensor, grad_KP: Tensor, state: State, lr: Tensor, loss_K: Tensor) -> None:
        """The rule above."""
        m = state["m"].lerp_(grad_KP, self.rest["beta1"])
        v = state["v"].lerp_(grad_KP.square_(), self.rest["beta2"])
        root = self.bias("beta2", state).sqrt()  # taken out of √v̂: one pass over (K, P) less
        denominator = torch.sqrt(v, out=grad_KP).add_(self.eps * root)
        step_KP = torch.div(m, denominator, out=denominator)
        theta_KP.sub_(step_KP.mul_(lr * root / self.bias("beta1", state)))
