"""Lion: the sign of an interpolation between momentum and gradient."""

from __future__ import annotations

from torch import Tensor

from scalefit.proxy.optimizers.optimizer import Optimizer, State


class Lion(Optimizer, slots="m", beta1=0.9, beta2=0.99):
    """Evolved sign momentum.

        u = sign(β1 m + (1 − β1) g)        θ ← θ − decay θ − lr u        m ← β2 m + (1 − β2) g

    Every weight moves by lr: use a third to a tenth of AdamW's rate. Source: arXiv:2302.06675.
    """

    name, kind, source = "lion", "adam", "arXiv:2302.06675"

    def update(self, theta_KP: Tensor, grad_KP: Tensor, state: State, lr: Tensor, loss_K: Tensor) -> None:
        """The rule above."""
        m = state["m"]
        theta_KP.sub_(m.lerp(grad_KP, self.rest["beta1"]).sign_().mul_(lr))
        m.lerp_(grad_KP, self.rest["beta2"])
