"""SPAM: Adam that clips spikes of single weights and resets its moments from time to time."""

from __future__ import annotations

import torch
from torch import Tensor

from scalefit.proxy.optimizers.optimizer import Optimizer, State

CLIPPING = {"threshold": 5000.0, "interval": 500.0, "warmup": 150.0, "grace": 20.0}


class SPAM(Optimizer, slots="m v", beta1=0.9, beta2=0.999, eps=1e-6, **CLIPPING):
    """Spike-aware Adam with momentum reset.

        g_i ← sign(g_i) √(θ v_i)  where g_i² > θ v_i,   v before this update and without bias correction
        in every ``interval``-th update first m ← 0, v ← 0, and from it on the step is scaled by
        1 − .99 c(s),   c(s) = (1 + cos(π s / warmup)) / 2,   s = updates since the reset, at most ``warmup``

    then Adam. θ is the option ``threshold``. The bias corrections keep counting from the first update, so after a reset
    m̂/√v̂ starts at (1 − β1)/√(1 − β2), which is why the step needs the warmup. The first ``grace`` updates, and as many
    after each reset, are not clipped. Source: arXiv:2501.06842.
    """

    name, kind, source = "spam", "adam", "arXiv:2501.06842"

    def update(self, theta_KP: Tensor, grad_KP: Tensor, state: State, lr: Tensor, loss_K: Tensor) -> None:
        """The rule above."""
        count, m, v = state["count"], state["m"], state["v"]
        early = count < self.exact["interval"]
        since = torch.where(early, count - 1, count % self.exact["interval"])
        kept = (early | (since > 0)).to(m)
        m.mul_(kept)
        v.mul_(kept)
        limit = v * self.of["threshold"]
        spiked = (grad_KP.square() > limit) & (since >= self.exact["grace"])
        grad_KP = torch.where(spiked, grad_KP.sign() * limit.sqrt(), grad_KP)
        m.lerp_(grad_KP, self.rest["beta1"])
        v.lerp_(grad_KP.square(), self.rest["beta2"])
        part = (since / self.exact["warmup"]).clamp(max=1.0)
        warmup = torch.where(early, 1.0, 1 - 0.99 * (1 + torch.cos(torch.pi * part)) / 2)
        theta_KP.sub_((m / self.scale(state)).mul_(lr * (warmup.to(m) / self.bias("beta1", state))))
