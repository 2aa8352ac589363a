"""Muon: momentum whose matrices are made orthogonal, beside Adam for all other weights."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from scalefit.proxy.models.layers import Leaf
from scalefit.proxy.optimizers.optimizer import Optimizer, State

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  #: of the quintic, which takes singular values from (0, 1] to about 1
ROUNDS = 5


class Muon(Optimizer, slots="m v", momentum=0.95, adam_lr=1.0, beta1=0.9, beta2=0.95, eps=1e-8):
    """Each hidden matrix moves by an orthogonal one, all else as in AdamW at ``adam_lr`` times the learning rate.

        m ← μ m + (1 − μ) g        u = O((1 − μ) g + μ m) √max(1, out/in)        θ ← θ − decay θ − lr u

    O(g) keeps the singular vectors of g and brings the singular values near 1 by five Newton–Schulz rounds. Matrices of
    experts are orthogonal one by one. As the largest singular value of u depends on the shape alone, the rate of hidden
    matrices needs no factor of the width in mup. Source: kellerjordan.github.io/posts/muon, arXiv:2502.16982.
    """

    name, kind, source = "muon", "muon", "arXiv:2502.16982"

    def update(self, theta_KP: Tensor, grad_KP: Tensor, state: State, lr: Tensor, loss_K: Tensor) -> None:
        """The rule above."""
        lr, eps, m, v = lr.expand_as(theta_KP), self.eps.expand_as(theta_KP), state["m"], state["v"]
        roots = self.bias("beta1", state), self.bias("beta2", state)
        for at, leaf in self._parts(theta_KP.shape[1]):
            g = grad_KP[:, at]
            if leaf is not None:
                m[:, at].lerp_(g, self.rest["momentum"])
                u_KP = self._orthogonal(torch.lerp(g, m[:, at], self.of["momentum"]), leaf)
            else:
                m[:, at].lerp_(g, self.rest["beta1"])
                v[:, at].lerp_(g.square(), self.rest["beta2"])
                u_KP = m[:, at] / roots[0] / ((v[:, at] / roots[1]).sqrt() + eps[:, at]) * self.of["adam_lr"]
            theta_KP[:, at].sub_(u_KP * lr[:, at])

    def _parts(self, P: int) -> Iterator[tuple[slice, Leaf | None]]:
        """The places in a row of each hidden matrix, and of what lies between them (None)."""
        at = done = 0
        for leaf in self.leaves.values():
            if leaf.role == "hidden":
                yield from [(slice(done, at), None)] * (at > done)
                yield slice(at, at + leaf.size), leaf
                done = at + leaf.size
            at += leaf.size
        yield from [(slice(done, P), None)] * (done < P)

    def _orthogonal(self, update_KP: Tensor, leaf: Leaf) -> Tensor:
        inside, out = leaf.shape[-2:]
        u = orthogonal(update_KP.reshape(len(update_KP), *leaf.shape))
        return u.flatten(1) * max(1.0, out / inside) ** 0.5


def orthogonal(x: Tensor) -> Tensor:
    """The matrices of the last two axes with all singular values near 1, between 0.68 and 1.2 where they were above a
    hundredth of the norm."""
    a, b, c = COEFFICIENTS
    wide = x.shape[-2] <= x.shape[-1]
    x = x if wide else x.transpose(-2, -1)
    x = x / torch.linalg.vector_norm(x, dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    for _ in range(ROUNDS):
        square = x @ x.transpose(-2, -1)
        x = a * x + (b * square + c * square @ square) @ x
    return x if wide else x.transpose(-2, -1)
