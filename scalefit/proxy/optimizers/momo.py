"""MoMo and MoMo-Adam: momentum with a step size from a model of the loss."""

from __future__ import annotations

import torch
from torch import Tensor

from scalefit.proxy.optimizers.optimizer import Optimizer, State


class MoMo(Optimizer, slots="d", member_slots="f gamma", beta=0.9, floor=0.0):
    """Momentum whose learning rate is capped by how far the modelled loss lies above its floor.

        d ← β d + (1 − β) g      f̄ ← β f̄ + (1 − β) f      γ ← β γ + (1 − β) <g, θ>      ρ = 1 − β^t
        τ = min(lr / ρ,  [f̄ + <d, θ> − γ − ρ f*]₊ / <d, D⁻¹ d>)        θ ← θ − τ D⁻¹ d

    D = 1 here, and Adam's √v̂ + ε in MoMo-Adam; factors of the parametrisation are part of D⁻¹. ``floor`` is f*,
    a lower bound on the loss: 0 is a poor bound for language, the entropy a good one. All sums are per member.
    Decay comes after the step, θ ← θ / (1 + decay). Source: arXiv:2305.07583.
    """

    name, kind, source = "momo", "sgd", "arXiv:2305.07583"
    momentum = "beta"

    def step(
        self, theta_KP: Tensor, grad_KP: Tensor, state: State, lr: Tensor, decay: Tensor | None, loss_K: Tensor
    ) -> None:
        """As in `Optimizer`, but the decay comes after the step, in the proximal form."""
        super().step(theta_KP, grad_KP, state, lr, None, loss_K)
        if decay is not None:
            theta_KP.div_(1 + decay)

    def inverse_metric(self, grad_KP: Tensor, state: State) -> Tensor:
        """D⁻¹ without the parametrisation, (K, 1) or (K, P)."""
        return torch.ones_like(state["f"])

    def update(self, theta_KP: Tensor, grad_KP: Tensor, state: State, lr: Tensor, loss_K: Tensor) -> None:
        """The rule above."""
        new = self.rest[self.momentum]
        d = state["d"].lerp_(grad_KP, new)
        state["f"].lerp_(loss_K.detach().to(theta_KP).unsqueeze(1), new)
        state["gamma"].lerp_((grad_KP * theta_KP).sum(1, keepdim=True), new)
        rho = self.bias(self.momentum, state)
        peak = lr.amax(1, keepdim=True)
        relative = torch.where(peak > 0, lr / peak, torch.zeros_like(lr))
        direction = d * relative * self.inverse_metric(grad_KP, state)
        gap = state["f"] + (d * theta_KP).sum(1, keepdim=True) - state["gamma"] - rho * self.of["floor"]
        size = (d * direction).sum(1, keepdim=True)
        cap = torch.where(size > 0, gap.clamp(min=0.0) / size, torch.full_like(size, torch.inf))
        theta_KP.sub_(torch.minimum(peak / rho, cap) * direction)


class MoMoAdam(MoMo, slots="d v", member_slots="f gamma", beta1=0.9, beta2=0.999, eps=1e-8, floor=0.0):
    """MoMo in Adam's metric, D = √v̂ + ε."""

    name, kind, momentum = "momo-adam", "adam", "beta1"

    def inverse_metric(self, grad_KP: Tensor, state: State) -> Tensor:
        """1/(√v̂ + ε), (K, P), with this gradient already in v."""
        state["v"].lerp_(grad_KP.square(), self.rest["beta2"])
        return 1 / self.scale(state)
