"""Schedule-free AdamW: averaging in place of a decaying learning rate."""

from __future__ import annotations

import torch
from torch import Tensor

from scalefit.proxy.optimizers.optimizer import Optimizer, State


class ScheduleFreeAdamW(Optimizer, slots="x z v", member_slots="peak weight", beta1=0.9, beta2=0.999, eps=1e-8, r=0.0):
    """The gradient is taken at y, steps are made from z, and x, their average, is what is evaluated.

        y = (1 − β1) z + β1 x                     v ← β2 v + (1 − β2) g(y)²
        z ← z − lr g / (√v̂ + ε) − decay y         x ← (1 − c) x + c z,  c = w_t / Σ w,  w_t = t^r (max lr)^2

    theta holds y. Use a constant schedule with warmup and a larger rate than AdamW's. Training losses are those
    of y, held-out losses those of x. Source: arXiv:2405.15682.
    """

    name, kind, source = "schedule-free-adamw", "adam", "arXiv:2405.15682"

    def start(self, theta_KP: Tensor) -> State:
        """x = y = z at first."""
        return super().start(theta_KP) | {"x": theta_KP.clone(), "z": theta_KP.clone()}

    def step(
        self, theta_KP: Tensor, grad_KP: Tensor, state: State, lr: Tensor, decay: Tensor | None, loss_K: Tensor
    ) -> None:
        """As in `Optimizer`, but the decay, decay · y, is taken from z."""
        if decay is not None:
            state["z"].sub_(decay * theta_KP)
        super().step(theta_KP, grad_KP, state, lr, None, loss_K)

    def update(self, theta_KP: Tensor, grad_KP: Tensor, state: State, lr: Tensor, loss_K: Tensor) -> None:
        """The rule above."""
        x, z = state["x"], state["z"]
        state["v"].lerp_(grad_KP.square(), self.rest["beta2"])
        z.sub_((grad_KP / self.scale(state)).mul_(lr))
        state["peak"].copy_(torch.maximum(state["peak"], lr.amax(1, keepdim=True)))
        weight = (state["count"].to(z) ** self.of["r"]) * state["peak"].square()
        state["weight"].add_(weight)
        share = torch.where(state["weight"] > 0, weight / state["weight"], torch.ones_like(weight))
        x.lerp_(z, share)
        theta_KP.copy_(z.lerp(x, self.of["beta1"]))

    def evaluation_point(self, theta_KP: Tensor, state: State) -> Tensor:
        """x."""
        return state["x"]
