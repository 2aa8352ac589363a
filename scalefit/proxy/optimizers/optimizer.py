"""What an optimiser is: an update rule on theta (K, P), with its options and state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from scalefit.errors import InputError
from scalefit.numerics import suggestion
from scalefit.proxy.models.layers import Leaf

State = dict[str, Tensor]


class Optimizer:
    """Base of all optimisers. A new one is one file in this folder with one subclass, whose first line declares it:

        class Lion(Optimizer, slots="m", beta1=0.9, beta2=0.99)

    ``name`` is what configurations call it. ``kind`` says whether the step is proportional to the gradient ("sgd")
    or independent of its size ("adam", or "muon" where matrices are orthogonal), which chooses the column of the
    parametrisation's table. ``slots`` names
    state tensors of theta's shape (K, P), ``member_slots`` those of shape (K, 1). All further keywords are the
    options that a user may set, with their defaults. Options may differ between members: ``self.of["beta1"]`` holds
    them, (K, 1), and ``self.rest["beta1"]`` holds 1 − beta1, computed in double precision.

    ``update`` is the rule itself; the learning rate that it receives includes the factors of the parametrisation,
    (K, P). ``step`` counts the update, applies the decoupled decay θ ← θ − decay θ, and calls ``update``.
    """

    name: ClassVar[str]
    kind: ClassVar[str]
    source: ClassVar[str]
    options: ClassVar[Mapping[str, float]] = {}
    slots: ClassVar[Sequence[str]] = ()
    member_slots: ClassVar[Sequence[str]] = ()

    def __init_subclass__(cls, *, slots: str, member_slots: str = "", **options: float) -> None:
        cls.slots, cls.member_slots, cls.options = slots.split(), member_slots.split(), options

    def __init__(
        self,
        members: Sequence[Mapping[str, float]],
        eps_P: Tensor | float = 1.0,
        leaves: Mapping[str, Leaf] | None = None,
    ) -> None:
        for given in members:
            self._check(given)
        rows = [dict(self.options) | dict(given) for given in members]
        self.exact = {key: torch.tensor([[row[key]] for row in rows], dtype=torch.float64) for key in self.options}
        self.of = self.rest = {key: value.float() for key, value in self.exact.items()}
        self.eps_P, self.eps = eps_P, torch.zeros(())  # (K, 1) or (K, P) from `start` on
        self.leaves = leaves or {}  # what the weights of a row are

    def _check(self, given: Mapping[str, float]) -> None:
        for key, value in given.items():
            if key not in self.options:
                raise InputError(f"{self.name} has no option {key!r}", todo=suggestion(key, self.options))
            share = key.startswith("beta")
            if not isinstance(value, int | float) or not value >= 0 or (share and value >= 1):
                allowed = "a number from 0 to below 1" if share else "a number of at least 0"
                raise InputError(f"{self.name}: {key} = {value!r} is out of range", todo=f"give {allowed}")

    def start(self, theta_KP: Tensor) -> State:
        """State at step 0, on the device and in the dtype of theta; the options move there too."""
        self.exact = {key: value.to(theta_KP.device) for key, value in self.exact.items()}
        self.of = {key: value.to(theta_KP) for key, value in self.exact.items()}
        self.rest = {key: (1 - value).to(theta_KP) for key, value in self.exact.items()}
        if "eps" in self.options:
            self.eps = self.of["eps"] * torch.as_tensor(self.eps_P).to(theta_KP)
        state = {slot: torch.zeros_like(theta_KP) for slot in self.slots}
        state |= {slot: theta_KP.new_zeros(len(theta_KP), 1) for slot in self.member_slots}
        return state | {"count": torch.zeros(len(theta_KP), 1, dtype=torch.float64, device=theta_KP.device)}

    def bias(self, option: str, state: State) -> Tensor:
        """1 − option^t after t updates, (K, 1): the divisor that corrects an average started at zero."""
        return (1 - self.exact[option] ** state["count"]).to(self.of[option])

    def scale(self, state: State) -> Tensor:
        """√v̂ + ε, (K, P): what optimisers with second moments ``v`` divide each weight's step by."""
        return (state["v"] / self.bias("beta2", state)).sqrt_().add_(self.eps)

    def step(
        self, theta_KP: Tensor, grad_KP: Tensor, state: State, lr: Tensor, decay: Tensor | None, loss_K: Tensor
    ) -> None:
        """One update in place, which may overwrite the gradient.

        ``lr``, ``decay``: (K, P) or (K, 1); ``loss_K``: what is minimised, before the update.
        """
        state["count"] += 1
        if decay is not None:
            theta_KP.mul_(1 - decay)
        self.update(theta_KP, grad_KP, state, lr, loss_K)

    def update(self, theta_KP: Tensor, grad_KP: Tensor, state: State, lr: Tensor, loss_K: Tensor) -> None:
        """One step without decay, in place; arguments as in `step`. ``grad_KP`` may be overwritten."""
        raise NotImplementedError

    def evaluation_point(self, theta_KP: Tensor, state: State) -> Tensor:
        """The weights to evaluate: theta itself, unless the method says otherwise."""
        return theta_KP
