"""The weights of K models of one shape, in one matrix theta (K, P): a member is a row.

The flat form keeps all else short: an optimiser is its update rule on (K, P), clipping is one norm a row,
a checkpoint is a few rows, a Hessian product a vector. The model sees views with the weights' names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from scalefit.proxy.models.model import Leaf
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

    A row depends on its own seed alone, whichever members it is packed with. ``scales`` multiplies the
    random weights of each member.
    """
    scales = [1.0] * len(seeds) if scales is None else scales
    return torch.stack([_row(leaves, factors, seed, scale) for seed, scale in zip(seeds, scales, strict=True)])


def _row(leaves: Leaves, factors: Factors, seed: int, scale: float) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    parts = [_draw(leaf, factors.std[leaf.role] * scale, generator) for leaf in leaves.values()]
    return torch.cat([part.reshape(-1) for part in parts])


def _draw(leaf: Leaf, factor: float, generator: torch.Generator) -> Tensor:
    if leaf.std is None:
        return torch.ones(leaf.shape)
    return torch.randn(leaf.shape, generator=generator) * (leaf.std * factor)


def spread(by_role: Mapping[str, float], leaves: Leaves) -> Tensor:
    """A number per role as a vector over all weights, (P,), or (1,) where it is the same everywhere."""
    if len({by_role[leaf.role] for leaf in leaves.values()}) == 1:
        return torch.tensor([by_role[leaf.role] for leaf in leaves.values()][:1])
    return torch.cat([torch.full((leaf.size,), by_role[leaf.role]) for leaf in leaves.values()])


def gradient(theta_KP: Tensor, losses_K: Tensor) -> Tensor:
    """Gradient of each member's loss by its own row, (K, P). The sum mixes nothing: rows are independent."""
    (grad_KP,) = torch.autograd.grad(losses_K.sum(), theta_KP)
    return grad_KP


def clip_(grad_KP: Tensor, max_norm: float) -> Tensor:
    """Scale each row to at most ``max_norm`` (0: leave it) in place; returns the norms before, (K,).

    Unlike one norm over everything, a member with a large or non-finite gradient touches no other.
    """
    norm_K: Tensor = torch.linalg.vector_norm(grad_KP, dim=1)
    if max_norm > 0:
        grad_KP.mul_((max_norm / (norm_K + 1e-6)).clamp(max=1.0).unsqueeze(1))
    return norm_K


def counts(leaves: Leaves) -> dict[str, int]:
    """Parameters by every convention: N without embedding and readout, N_readout with the readout,
    N_total with both, N_matrices only the matrices inside blocks; of an encoder-decoder also N_enc and N_dec.
    These leave out the matrices that turn the encoder's output into keys and values of the decoder: they grow with
    both widths, and the size of one side must not change with the other.

    >>> counts({"embed": Leaf((9, 4), "embed", 1.0), "w": Leaf((4, 4), "hidden", 1.0)})
    {'N': 16, 'N_readout': 16, 'N_total': 52, 'N_matrices': 16}
    """
    total = sum(leaf.size for leaf in leaves.values())
    embed = sum(leaf.size for leaf in leaves.values() if leaf.role == "embed")
    readout = sum(leaf.size for leaf in leaves.values() if leaf.role == "readout")
    matrices = sum(leaf.size for leaf in leaves.values() if leaf.role == "hidden")
    found = {
        "N": total - embed - readout,
        "N_readout": total - embed,
        "N_total": total,
        "N_matrices": matrices,
    }
    encoder = [leaf.size for name, leaf in leaves.items() if name.startswith("encoder.") and leaf.role != "embed"]
    joint = [leaf.size for name, leaf in leaves.items() if name.endswith("cross_kv")]
    return found | ({"N_enc": sum(encoder), "N_dec": found["N"] - sum(encoder) - sum(joint)} if encoder else {})
