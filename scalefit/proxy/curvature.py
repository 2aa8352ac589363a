"""Sharpness: the largest eigenvalue of the Hessian of each member's loss in the metric of its optimiser.

An optimiser that moves each weight by lr p_i times its gradient is descent at rate lr on √P H √P, P = diag(p), so that
is the matrix whose eigenvalues 2/lr bounds. p is the parametrisation's factor on the learning rate, under Adam over
√v̂ + ε as well; the eigenvalues of H alone say nothing about stability unless p is one everywhere.

All products act on (K, P) at once: rows are independent, so the Hessian of the summed loss consists of K blocks. No
matrix is formed. Attention runs unfused here, because the fused kernels have no second derivative.

Sources: Lanczos with full reorthogonalisation; thresholds 2/lr of gradient descent arXiv:2103.00065 and
38/lr of preconditioned Adam arXiv:2207.14484; the trace arXiv:2305.17490; critical sharpness arXiv:2601.16979.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from scalefit.errors import InputError
from scalefit.proxy.ensemble import Ensemble
from scalefit.proxy.models.model import Decoder
from scalefit.proxy.tasks.data import Examples

MOST, EACH = 80, 4  #: products of one measurement at most, and between two looks at its residual
TOLERANCE = (
    1e-3  #: residual over eigenvalue at which it is known: its error is far smaller, as the square of the residual
)
DRAWS = 4  #: vectors of an estimate of a trace

Product = Callable[[Tensor], Tensor]  # (K, P) -> (K, P), symmetric and the same at each call


@dataclass(frozen=True)
class Spectrum:
    """Ends of a symmetric operator's spectrum, (K,) each: ``largest`` and ``smallest`` (signed) eigenvalue, the
    ``residual`` |A v − largest v| that bounds the error of the largest, and its unit eigenvector ``vector`` (K, P)."""

    largest: Tensor
    smallest: Tensor
    residual: Tensor
    vector: Tensor


def lanczos(product: Product, start_KP: Tensor, iterations: int = MOST, tolerance: float = 0.0) -> Spectrum:
    """Extreme eigenvalues of ``product`` from at most ``iterations`` products. The start must not be zero.

    A member is done once its residual is below ``tolerance`` times its largest eigenvalue; what it gets does not depend
    on the members beside it. Unlike power iteration it finds both ends of the spectrum, even where the most negative
    eigenvalue has the larger magnitude, as at initialisation.

    >>> diagonal = torch.tensor([[-5.0, 1.0, 3.0]])
    >>> ends = lanczos(lambda v: diagonal * v, torch.ones(1, 3), 3)
    >>> round(ends.largest.item(), 4), round(ends.smallest.item(), 4)
    (3.0, -5.0)
    """
    basis = [start_KP / start_KP.norm(dim=1, keepdim=True)]
    alphas: list[Tensor] = []
    betas: list[Tensor] = []
    most, found = min(iterations, start_KP.shape[1]), None
    for i in range(1, most + 1):
        w = product(basis[-1])
        alphas.append((w * basis[-1]).sum(1))
        for _ in range(2):  # two passes keep the basis orthogonal up to rounding
            for v in basis:
                w = w - (w * v).sum(1, keepdim=True) * v
        betas.append(w.norm(dim=1))
        basis.append(w / betas[-1].clamp(min=torch.finfo(w.dtype).tiny).unsqueeze(1))
        if i % EACH == 0 or i == most:
            found = _kept(found, _ends(alphas, betas, basis), tolerance)
            if _done(found, tolerance).all():
                break
    assert found is not None
    return found


def _ends(alphas: list[Tensor], betas: list[Tensor], basis: list[Tensor]) -> Spectrum:
    """The ends of the spectrum as the products so far show them; NaN for a member whose products are not finite."""
    matrix = _tridiagonal(alphas, betas)
    bad_K = ~torch.isfinite(matrix).flatten(1).all(1)
    values, vectors = torch.linalg.eigh(torch.where(bad_K[:, None, None], 0.0, matrix))
    values[bad_K] = torch.nan
    top = vectors[:, :, -1].to(basis[0])
    vector = sum((top[:, i, None] * v for i, v in enumerate(basis[:-1])), torch.zeros_like(basis[0]))
    residual = (betas[-1] * top[:, -1]).abs()
    return Spectrum(values[:, -1].to(top), values[:, 0].to(top), residual, vector)


def _done(found: Spectrum, tolerance: float) -> Tensor:
    """Members whose largest eigenvalue is known, or is no number."""
    return (found.residual <= tolerance * found.largest.abs()) | found.largest.isnan()


def _kept(before: Spectrum | None, now: Spectrum, tolerance: float) -> Spectrum:
    """``now``, with the members that were done before left as they were."""
    if before is None:
        return now
    done_K = _done(before, tolerance)
    pairs = ((getattr(before, f.name), getattr(now, f.name)) for f in fields(Spectrum))
    return Spectrum(*(torch.where(done_K if old.dim() == 1 else done_K[:, None], old, new) for old, new in pairs))


def _tridiagonal(alphas: list[Tensor], betas: list[Tensor]) -> Tensor:
    """(K, k, k) in double precision; after a breakdown (beta 0) the rest is zero and changes neither extreme."""
    diagonal, beside = torch.stack(alphas, 1).double(), torch.stack(betas, 1).double()[:, :-1]
    return torch.diag_embed(diagonal) + torch.diag_embed(beside, 1) + torch.diag_embed(beside, -1)


def hessian_product(ensemble: Ensemble, batch: Examples) -> Product:
    """v -> H v for each member's loss on ``batch``; the graph of the gradient is built once and kept."""
    theta_KP = ensemble.theta.detach().clone().requires_grad_()
    with sdpa_kernel(SDPBackend.MATH):
        losses_K = ensemble.model.losses(ensemble.weights(theta_KP), batch)[0]
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
        logits = model.logits(ensemble.weights(theta_KP), batch["tokens"][..., :-1])
    p, number = logits.detach().softmax(-1), logits[0, ..., 0].numel()
    dummy = torch.zeros_like(logits, requires_grad=True)
    (pulled_KP,) = torch.autograd.grad(logits, theta_KP, dummy, create_graph=True)

    def product(v_KP: Tensor) -> Tensor:
        (jv,) = torch.autograd.grad(pulled_KP, dummy, v_KP, retain_graph=True)
        curved = p * (jv - (p * jv).sum(-1, keepdim=True)) / number
        (result_KP,) = torch.autograd.grad(logits, theta_KP, curved, retain_graph=True)
        return torch.as_tensor(result_KP)

    return product


def rates(ensemble: Ensemble) -> Tensor:
    """How far each weight moves per unit of learning rate and gradient, (K, P), (1, P) or (1, 1): the factors of the
    parametrisation, over √v̂ + ε where the optimiser keeps second moments. Raises InputError before their first update.
    """
    if ensemble.optimizer.kind == "muon":
        todo = "ask for the Hessian alone (raw=True)"
        raise InputError("orthogonal steps have no metric in which they follow the gradient", todo=todo)
    if not _has_second_moments(ensemble):
        return ensemble.lr_P[None]
    if not (ensemble.state["count"] > 0).all():
        raise InputError(
            f"{ensemble.config.optimizer} has no second moments before its first update",
            todo="make a step first, or ask for the Hessian alone (raw=True)",
        )
    return ensemble.lr_P / ensemble.optimizer.scale(ensemble.state)


def _has_second_moments(ensemble: Ensemble) -> bool:
    return "v" in ensemble.state and "beta2" in ensemble.optimizer.options


def scaled(product: Product, rates_KP: Tensor) -> Product:
    """√P A √P: the symmetric form of P A, whose eigenvalues decide whether steps of lr P A are stable."""
    root_KP = rates_KP.sqrt()
    return lambda v_KP: root_KP * product(root_KP * v_KP)


def sharpness(
    ensemble: Ensemble,
    batch: Examples,
    *,
    raw: bool = False,
    iterations: int = MOST,
    tolerance: float = TOLERANCE,
    seed: int = 0,
) -> Spectrum:
    """Ends of the spectrum of √P H √P of each member on ``batch``, P from `rates`: the largest is the sharpness, which
    is stable below 2/lr under gradient descent and below 38/lr under Adam at β1 = .9.

    Use the same batch each time, since the value depends on its size. ``raw`` gives the ends of the Hessian itself.
    The random start is fixed by ``seed``.
    """
    product = hessian_product(ensemble, batch)
    product = product if raw else scaled(product, rates(ensemble))
    return lanczos(product, _start(ensemble, seed), iterations, tolerance)


def _start(ensemble: Ensemble, seed: int = 0) -> Tensor:
    """The same random vector for all members, (K, P)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, ensemble.theta.shape[1], generator=generator).to(ensemble.theta).expand_as(ensemble.theta)


def trace(product: Product, like_KP: Tensor, draws: int = DRAWS, seed: int = 0) -> Tensor:
    """Hutchinson's estimate of the trace, (K,): the mean of zᵀ A z over random signs z, the same for all members.

    >>> diagonal = torch.tensor([[-5.0, 1.0, 3.0]])
    >>> trace(lambda v: diagonal * v, torch.ones(1, 3), draws=1).tolist()
    [-1.0]
    """
    generator, total_K = torch.Generator().manual_seed(seed), torch.zeros_like(like_KP[:, 0])
    for _ in range(draws):
        z_P = torch.randint(0, 2, like_KP.shape[1:], generator=generator).to(like_KP) * 2 - 1
        z_KP = z_P.expand_as(like_KP)
        total_K = total_K + (z_KP * product(z_KP)).sum(1)
    return total_K / draws


def measure(ensemble: Ensemble) -> dict[str, Tensor]:
    """What the trainer logs, (K,) each, always on the batch of step 0, which no update uses:

    ``sharpness``, the largest eigenvalue in the metric of the optimiser, and ``sharpness_trace``, the trace of the same
    matrix; ``hessian_max`` and ``hessian_min``, the ends of the spectrum of the Hessian itself. Where the optimiser
    keeps second moments, ``sharpness`` stands as ``sharpness_preconditioned`` too, the only name under which a
    forecast for Adam reads it: in the logs of others ``sharpness`` may be that of the Hessian. The steps of Muon are
    no multiples of the gradient in any metric: of it the last two alone are measured.
    """
    hessian, start = hessian_product(ensemble, ensemble.batch(0)), _start(ensemble)
    raw = lanczos(hessian, start, MOST, TOLERANCE)
    ends = {"hessian_max": raw.largest, "hessian_min": raw.smallest}
    if ensemble.optimizer.kind == "muon":
        return ends
    rates_KP = rates(ensemble)
    product = scaled(hessian, rates_KP)
    own = raw if bool((rates_KP == 1).all()) else lanczos(product, start, MOST, TOLERANCE)
    row = {"sharpness": own.largest, "sharpness_trace": trace(product, start)}
    row |= {"sharpness_preconditioned": own.largest} if _has_second_moments(ensemble) else {}
    return row | ends


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
        return ensemble.model.losses(ensemble.weights(theta), batch)[1]

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
