"""Sharpness: extreme eigenvalues of the Hessian of each member's loss, computed without forming the matrix.

All products act on (K, P) at once: rows are independent, so the Hessian of the summed loss consists of K blocks.
Attention runs unfused here, because the fused kernels have no second derivative.

Sources: Lanczos with full reorthogonalisation; thresholds 2/lr of gradient descent arXiv:2103.00065 and
38/lr of preconditioned Adam arXiv:2207.14484; critical sharpness arXiv:2601.16979.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from scalefit.proxy.ensemble import Ensemble
from scalefit.proxy.models import weights
from scalefit.proxy.models.model import Decoder
from scalefit.proxy.tasks.data import Examples

Product = Callable[[Tensor], Tensor]  # (K, P) -> (K, P), symmetric and the same at each call


@dataclass(frozen=True)
class Spectrum:
    """Ends of a symmetric operator's spectrum, (K,) each: ``largest`` and ``smallest`` (signed) eigenvalue, the
    ``residual`` |A v − largest v| that bounds the error of the largest, and its unit eigenvector ``vector`` (K, P)."""

    largest: Tensor
    smallest: Tensor
    residual: Tensor
    vector: Tensor


def lanczos(product: Product, start_KP: Tensor, iterations: int = 12) -> Spectrum:
    """Extreme eigenvalues of ``product`` from ``iterations`` products. The start must not be zero.

    Unlike power iteration it finds both ends of the spectrum, even where the most negative eigenvalue has the larger
    magnitude, as at initialisation.

    >>> diagonal = torch.tensor([[-5.0, 1.0, 3.0]])
    >>> ends = lanczos(lambda v: diagonal * v, torch.ones(1, 3), 3)
    >>> round(ends.largest.item(), 4), round(ends.smallest.item(), 4)
    (3.0, -5.0)
    """
    K, P = start_KP.shape
    basis = [start_KP / start_KP.norm(dim=1, keepdim=True)]
    alphas, betas = [], []
    for i in range(min(iterations, P)):
        w = product(basis[i])
        alphas.append((w * basis[i]).sum(1))
        for _ in range(2):  # two passes keep the basis orthogonal up to rounding
            for v in basis:
                w = w - (w * v).sum(1, keepdim=True) * v
        betas.append(w.norm(dim=1))
        basis.append(w / betas[-1].clamp(min=torch.finfo(w.dtype).tiny).unsqueeze(1))
    values, vectors = torch.linalg.eigh(_tridiagonal(alphas, betas))
    top = vectors[:, :, -1]
    vector = sum((top[:, i, None] * v for i, v in enumerate(basis[:-1])), torch.zeros(K, P).to(start_KP))
    residual = (betas[-1] * top[:, -1].to(start_KP)).abs()
    return Spectrum(values[:, -1].to(start_KP), values[:, 0].to(start_KP), residual, vector.to(start_KP))


def _tridiagonal(alphas: list[Tensor], betas: list[Tensor]) -> Tensor:
    """(K, k, k) in double precision; after a breakdown (beta 0) the rest is zero and changes neither extreme."""
    diagonal, beside = torch.stack(alphas, 1).double(), torch.stack(betas, 1).double()[:, :-1]
    return torch.diag_embed(diagonal) + torch.diag_embed(beside, 1) + torch.diag_embed(beside, -1)


def hessian_product(ensemble: Ensemble, batch: Examples) -> Product:
    """v -> H v for each member's loss on ``batch``; the graph of the gradient is built once and kept."""
    theta_KP = ensemble.theta.detach().clone().requires_grad_()
    with sdpa_kernel(SDPBackend.MATH):
        losses_K = ensemble.model.losses(weights.views(theta_KP, ensemble.model.leaves), batch)[0]
        (grad_KP,) = torch.autograd.grad(losses_K.sum(), theta_KP, create_graph=True)

    def product(v_KP: Tensor) -> Tensor:
        (hv_KP,) = torch.autograd.grad(grad_KP, theta_KP, v_KP, retain_graph=True)
        return torch.as_tensor(hv_KP)

    return product


def gauss_newton_product(ensemble: Ensemble, batch: Examples) -> Product:
    """v -> Jᵀ (diag p − p pᵀ) J v / N, the part of the Hessian without the curvature of the network itself.

    J: Jacobian of the logits, p: predicted probabilities, N: predictions. Positive semi-definite. Decoder only.
    """
    model = ensemble.model
    assert isinstance(model, Decoder)
    theta_KP = ensemble.theta.detach().clone().requires_grad_()
    with sdpa_kernel(SDPBackend.MATH):
        logits = model.logits(weights.views(theta_KP, model.leaves), batch["tokens"][..., :-1])
    p, number = logits.detach().softmax(-1), logits[0, ..., 0].numel()
    dummy = torch.zeros_like(logits, requires_grad=True)
    (pulled_KP,) = torch.autograd.grad(logits, theta_KP, dummy, create_graph=True)

    def product(v_KP: Tensor) -> Tensor:
        (jv,) = torch.autograd.grad(pulled_KP, dummy, v_KP, retain_graph=True)
        curved = p * (jv - (p * jv).sum(-1, keepdim=True)) / number
        (result_KP,) = torch.autograd.grad(logits, theta_KP, curved, retain_graph=True)
        return torch.as_tensor(result_KP)

    return product


def preconditioned(product: Product, ensemble: Ensemble) -> Product:
    """D^-1/2 A D^-1/2 with D = (√v̂ + ε)/(lr factor) from Adam's state; its eigenvalues decide Adam's stability."""
    root_KP = (ensemble.lr_P / ensemble.optimizer.scale(ensemble.state)).sqrt()
    return lambda v_KP: root_KP * product(root_KP * v_KP)


def sharpness(
    ensemble: Ensemble, batch: Examples, *, precondition: bool = False, iterations: int = 16, seed: int = 0
) -> Spectrum:
    """Extreme Hessian eigenvalues of each member on ``batch``, from a random start that ``seed`` fixes.

    Use the same batch each time, since the value depends on its size. ``precondition`` gives the eigenvalues of
    Adam's preconditioned Hessian (stable below 38/lr at β1 = .9); plain ones are to be compared with 2/lr.
    """
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(1, ensemble.theta.shape[1], generator=generator).to(ensemble.theta)
    product = hessian_product(ensemble, batch)
    product = preconditioned(product, ensemble) if precondition else product
    return lanczos(product, start.expand_as(ensemble.theta), iterations)


def measure(ensemble: Ensemble) -> dict[str, Tensor]:
    """What the trainer logs, (K,) each: ``sharpness`` and ``hessian_min``, the ends of the Hessian's spectrum,
    and ``sharpness_preconditioned`` where the optimiser keeps second moments; always on the batch of step 0,
    which no update uses."""
    batch = ensemble.batch(0)
    ends = sharpness(ensemble, batch)
    row = {"sharpness": ends.largest, "hessian_min": ends.smallest}
    if "v" in ensemble.state and "beta2" in ensemble.optimizer.options:
        row["sharpness_preconditioned"] = sharpness(ensemble, batch, precondition=True).largest
    return row


def critical_sharpness(
    ensemble: Ensemble, batch: Examples, direction_KP: Tensor, lr_K: Tensor, *, doublings: int = 12, halvings: int = 4
) -> Tensor:
    """2/η_c, (K,): η_c is the smallest step along ``direction`` (an optimiser's update at lr 1, with its sign)
    that raises the loss on ``batch``. Needs forward passes only.

    The search starts at ``lr_K``, doubles (or halves) until the loss rises (or falls), then bisects.
    The result is within a factor 2^(2^-halvings) of the true value; NaN where ``doublings`` do not suffice.
    """

    def loss_at(log2_step_K: Tensor) -> Tensor:
        theta = ensemble.theta + direction_KP * torch.exp2(log2_step_K).unsqueeze(1)
        return ensemble.model.losses(weights.views(theta, ensemble.model.leaves), batch)[1]

    with torch.no_grad():
        here = loss_at(torch.full_like(lr_K, -torch.inf))
        log2 = lr_K.log2()
        first_up = ~(loss_at(log2) <= here)
        low, high = log2.clone(), log2.clone()
        found = torch.zeros_like(first_up)
        for i in range(1, doublings + 1):
            trial = torch.where(first_up, log2 - i, log2 + i)
            turned = (~(loss_at(trial) <= here) != first_up) & ~found
            low = torch.where(turned, torch.minimum(trial, trial + torch.where(first_up, 1.0, -1.0)), low)
            high, found = torch.where(turned, low + 1, high), found | turned
        for _ in range(halvings):
            middle = (low + high) / 2
            up = ~(loss_at(middle) <= here)
            low, high = torch.where(up, low, middle), torch.where(up, middle, high)
        return torch.where(found, 2 * torch.exp2(-(low + high) / 2), torch.nan)
