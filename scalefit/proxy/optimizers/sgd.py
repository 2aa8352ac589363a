"""Gradient descent with momentum."""

from __future__ import annotations

from torch import Tensor

from scalefit.proxy.optimizers.optimizer import Optimizer, State


class SGD(Optimizer, slots="b", momentum=0.9):
    """Gradient descent with heavy-ball momentum, in the form without damping, and decoupled weight decay.

        b ← μ b + g            θ ← θ − decay θ − lr b

    Source: Polyak 1964 (doi:10.1016/0041-5553(64)90137-5).
    """

    name, kind, source = "sgd", "sgd", "doi:10.1016/0041-5553(64)90137-5"

    def update(self, theta_KP: Tensor, grad_KP: Tensor, state: State, lr: Tensor, loss_K: Tensor) -> None:
        """The rule above."""
        b = state["b"].mul_(self.of["momentum"]).add_(grad_KP)
        theta_KP.sub_(b * lr)
