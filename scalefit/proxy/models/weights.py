"""The weights of K models of one shape in one matrix theta (K, P), a row per member.

In this flat form an optimiser is an update rule on (K, P), clipping one norm per row, a checkpoint a few rows, and
a Hessian product acts on vectors. The model receives views with the weights' names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from scalefit.errors import InputError
from scalefit.proxy.models.layers import Leaf
from scalefit.proxy.models.parametrization import Factors

Leaves = Mapping[str, Leaf]


def views(theta_KP: Tensor, leaves: Leaves) -> dict[str, Tensor]:
    """The weights by name, (K, *shape) each, without a copy.

    >>> leaves = {"a": Leaf((2,), "gain", None), "b": Leaf((2, 2), "hidden", 1.0)}
    >>> w = views(torch.arange(6.0).view(1, 6), leaves)
    >>> w["b"].tolist()
    [[[2.0, 3.0], [4.0, 5.0]]]
    """
    K = theta_KP.shape[0]
    parts = torch.split(theta_KP, [leaf.size for leaf in leaves.values()], dim=1)
    pairs = zip(parts, leaves.items(), strict=True)
    return {name: part if len(leaf.shape) == 1 else part.view(K, *leaf.shape) for part, (name, leaf) in pairs}


def initial(leaves: Leaves, factors: Factors, seeds: Sequence[int], scales: Sequence[float] | None = None) -> Tensor:
    """theta (K, P) at step 0: normal with the leaf's std times the parametrisation's factor for its role.

    A row depends on its own seed alone, not on the members beside it. ``scales`` multiplies the random weights of each
    member.
    """
    rows = []
    for seed, scale in zip(seeds, scales or [1.0] * len(seeds), strict=True):
        generator, parts = torch.Generator().manual_seed(seed), []
        for leaf in leaves.values():
            part = torch.ones(leaf.shape)
            if leaf.std is not None:
                part = torch.randn(leaf.shape, generator=generator) * (leaf.std * (factors.std[leaf.role] * scale))
                part[..., : leaf.zeros] = 0.0
            parts.append(part.flatten())
        rows.append(torch.cat(parts))
    return torch.stack(rows)


def spread(by_role: Mapping[str, float], leaves: Leaves) -> Tensor:
    """One number per role as a vector over all weights, (P,), or (1,) where all are equal."""
    if len({by_role[leaf.role] for leaf in leaves.values()}) == 1:
        return torch.tensor([by_role[leaf.role] for leaf in leaves.values()][:1])
    return torch.cat([torch.full((leaf.size,), by_role[leaf.role]) for leaf in leaves.values()])


def gradient(theta_KP: Tensor, losses_K: Tensor) -> Tensor:
    """Gradient of each member's loss with respect to its own row, (K, P); the rows of the sum are independent."""
    (grad_KP,) = torch.autograd.grad(losses_K.sum(), theta_KP)
    return grad_KP


def clip_(grad_KP: Tensor, max_norm: float) -> Tensor:
    """Scale each row to at most ``max_norm`` (0: leave it) in place; returns the norms before, (K,).

    With a norm per member, a large or non-finite gradient affects no other member.
    """
    norm_K: Tensor = torch.linalg.vector_norm(grad_KP, dim=1)
    if max_norm > 0:
        grad_KP.mul_((max_norm / (norm_K + 1e-6)).clamp(max=1.0).unsqueeze(1))
    return norm_K


def rounded(w: Mapping[str, Tensor], leaves: Leaves, bits: int, group: int = 0) -> dict[str, Tensor]:
    """The weights with each hidden matrix rounded to ``bits`` bits, which the gradient does not see (straight-through).

    Each column (the weights into one output), or each ``group`` of its weights, has its own scale: the largest of them
    becomes 2^(bits − 1) − 1. Raises InputError where groups do not divide the columns.

    >>> leaves = {"w": Leaf((2, 1), "hidden", 1.0)}
    >>> rounded({"w": torch.tensor([[[0.9], [-0.2]]])}, leaves, 2)["w"].flatten().tolist()
    [0.8999999761581421, 0.0]
    """
    most, found = 2 ** (bits - 1) - 1, dict(w)
    for name, leaf in leaves.items():
        if leaf.role == "hidden":
            size = group or leaf.shape[-2]
            if leaf.shape[-2] % size:
                what = f"columns of {leaf.shape[-2]} weights ({name}) cannot be cut into groups of weight_group={size}"
                raise InputError(what, todo=f"choose a divisor of {leaf.shape[-2]}")
            value = w[name].detach().unflatten(-2, (-1, size))
            step = value.abs().amax(-2, keepdim=True).clamp(min=torch.finfo(value.dtype).tiny) / most
            found[name] = w[name] + ((value / step).round() * step - value).flatten(-3, -2)
    return found


def counts(leaves: Leaves) -> dict[str, int]:
    """Parameter counts by several conventions: N without embedding and readout, N_readout with the readout (that is the
    embedding in a tied model), N_total with both, N_matrices only the matrices inside blocks; of an encoder-decoder
    also N_enc and N_dec. These two leave out the matrices that turn the encoder's output into keys and values of the
    decoder: those grow with both widths, and the size of one side must not change with the other. Of experts, N_total
    counts all, the others those that one token passes. An MLP has no embedding: its first layer is like others.

    >>> counts({"embed": Leaf((9, 4), "embed", 1.0), "w": Leaf((4, 4), "hidden", 1.0)})
    {'N': 16, 'N_readout': 52, 'N_total': 52, 'N_matrices': 16}
    """
    used = sum(leaf.used for leaf in leaves.values())
    embed = sum(leaf.used for name, leaf in leaves.items() if name.rpartition(".")[2] == "embed")
    readout, matrices = (
        sum(leaf.used for leaf in leaves.values() if leaf.role == role) for role in ("readout", "hidden")
    )
    N, total = used - embed - readout, sum(leaf.size for leaf in leaves.values())
    head = readout if any(leaf.role == "readout" for leaf in leaves.values()) else leaves["embed"].used
    found = {"N": N, "N_readout": N + head, "N_total": total, "N_matrices": matrices}
    if not any(name.startswith("encoder.") for name in leaves):
        return found
    encoder = sum(leaf.used for name, leaf in leaves.items() if name.startswith("encoder.") and leaf.role != "embed")
    joint = sum(leaf.used for name, leaf in leaves.items() if name.endswith("cross_kv"))
    return found | {"N_enc": encoder, "N_dec": N - encoder - joint}
