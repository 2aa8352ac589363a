"""Curvature against dense Hessians and against the edge of stability."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from scalefit.proxy import Config, Ensemble, train  # noqa: E402
from scalefit.proxy.curvature import (  # noqa: E402
    critical_sharpness,
    gauss_newton_product,
    hessian_product,
    lanczos,
    preconditioned,
    sharpness,
)
from scalefit.proxy.models import weights  # noqa: E402
from scalefit.proxy.tasks.data import Examples  # noqa: E402

torch.set_num_threads(1)
TINY = Config(
    d_model=8,
    d_head=4,
    n_layer=1,
    d_ff=8,
    seq_len=6,
    batch=24,
    steps=30,
    warmup=0,
    schedule="constant",
    eval_batch=24,
    zero_readout=False,
    base_width=8,
    data="zipf-markov",
    data_options={"tokens": 20000, "vocab": 5, "order": 1},
)


def tiny(members: int = 1, **changes: object) -> tuple[Ensemble, Examples]:
    ensemble = Ensemble([replace(TINY, seed=seed, **changes) for seed in range(members)])  # type: ignore[arg-type]
    ensemble.theta = ensemble.theta.double()
    ensemble.state = ensemble.optimizer.start(ensemble.theta)
    ensemble.lr_P = ensemble.lr_P.double()
    return ensemble, ensemble.batch(1)


def dense(ensemble: Ensemble, batch: Examples, k: int = 0) -> torch.Tensor:
    """The Hessian of one member, entry by entry from central differences of the gradient: the moved copies of its
    weights are members of one batch."""
    theta, P = ensemble.theta[k], ensemble.theta.shape[1]

    def gradient(at: torch.Tensor) -> torch.Tensor:
        at = at.clone().requires_grad_()
        losses = ensemble.model.losses(weights.views(at, ensemble.model.leaves), batch)[0]
        return weights.gradient(at, losses)

    step = 1e-5 * torch.eye(P, dtype=theta.dtype)
    hessian = (gradient(theta + step) - gradient(theta - step)) / 2e-5
    return (hessian + hessian.T) / 2


def test_both_ends_agree_with_the_dense_hessian_at_initialisation() -> None:
    ensemble, batch = tiny(2)
    found = sharpness(ensemble, batch, iterations=60)
    for k in range(2):
        values = torch.linalg.eigvalsh(dense(ensemble, batch, k))
        assert found.largest[k].item() == pytest.approx(values[-1].item(), rel=1e-4)
        assert found.smallest[k].item() == pytest.approx(values[0].item(), rel=1e-4)
    product = hessian_product(ensemble, batch)
    v = found.vector
    assert torch.allclose(product(v), found.largest[:, None] * v, atol=1e-4 * found.largest.max().item())


def test_preconditioned_values_are_those_of_the_scaled_dense_hessian() -> None:
    ensemble, batch = tiny()
    for _ in range(5):
        ensemble.update()
    hessian, rule, state = dense(ensemble, batch), ensemble.optimizer, ensemble.state
    scale = (state["v"][0] / (1 - 0.95**5)).sqrt() + 1e-8
    values = torch.linalg.eigvals(hessian / scale[:, None]).real
    found = sharpness(ensemble, batch, precondition=True, iterations=80)
    assert rule.name == "adamw"
    assert found.largest.item() == pytest.approx(values.max().item(), rel=1e-4)


def test_gauss_newton_is_the_hessian_without_the_networks_own_curvature() -> None:
    """For the readout's weights alone the logits are linear, so the two agree there; everywhere it is >= 0."""
    ensemble, batch = tiny()
    v = torch.zeros_like(ensemble.theta)
    size = ensemble.model.leaves["readout"].size
    v[:, -size:] = torch.randn(size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ours, whole = gauss_newton_product(ensemble, batch)(v), hessian_product(ensemble, batch)(v)
    assert torch.allclose(ours[:, -size:], whole[:, -size:], atol=1e-10)
    ends = lanczos(gauss_newton_product(ensemble, batch), torch.randn_like(v), 40)
    assert ends.smallest.item() > -1e-9


def test_power_iteration_would_be_fooled_where_lanczos_is_not() -> None:
    diagonal = torch.linspace(-10.0, 9.0, 50, dtype=torch.float64)[None]
    start = torch.randn(1, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = lanczos(lambda v: diagonal * v, start, 50)
    assert found.largest.item() == pytest.approx(9.0)
    assert found.smallest.item() == pytest.approx(-10.0)
    assert found.residual.item() < 1e-6


def test_critical_sharpness_of_a_parabola_is_its_curvature() -> None:
    """Along the gradient of c x²/2 the loss rises for steps above 2/c."""
    ensemble, batch = tiny()

    class Bowl:
        leaves = ensemble.model.leaves

        def losses(self, w: dict[str, torch.Tensor], _: Examples) -> tuple[torch.Tensor, torch.Tensor]:
            value = 3.5 * sum(x.flatten(1).square().sum(1) for x in w.values())
            return value, value

    ensemble.model = Bowl()  # type: ignore[assignment]
    direction = -7.0 * ensemble.theta
    for lr in (1e-3, 0.2, 5.0):
        found = critical_sharpness(ensemble, batch, direction, torch.tensor([lr], dtype=torch.float64), halvings=12)
        assert found.item() == pytest.approx(7.0, rel=1e-3)


def full_batch(optimizer: str, rates: tuple[float, float], late: range, **shape: int) -> np.ndarray:
    """λ_max · lr, (rates, late steps), of full-batch training of a small language model on 8 sequences."""
    options = {"momentum": 0.0} if optimizer == "sgd" else {"beta2": 0.999}
    base = Config(n_layer=1, seq_len=16, batch=128, steps=late[-1], warmup=0, schedule="constant", **shape)  # type: ignore[arg-type]
    base = replace(base, optimizer=optimizer, optimizer_options=options, eval_batch=64, qk_norm=False, clip=0.0)
    base = replace(base, data="zipf-markov", data_options={"tokens": 40000, "vocab": 64, "order": 1})
    ensemble = Ensemble([replace(base, lr=lr) for lr in rates])
    fixed = ensemble.batch(1)
    ensemble.batch = lambda step: fixed  # type: ignore[method-assign]
    found = []
    for step in range(1, late[-1] + 1):
        ensemble.update()
        if step in late:
            ends = sharpness(ensemble, fixed, precondition=optimizer == "adamw", iterations=8)
            found.append(ends.largest.numpy() * rates)
    return np.transpose(found)


def test_gradient_descent_hovers_at_two_over_lr() -> None:
    late = full_batch("sgd", (0.2, 0.3), range(150, 251, 25), d_model=32)
    assert (np.abs(late - 2) < 0.35).all(), late


def test_adam_hovers_near_38_over_lr() -> None:
    late = full_batch("adamw", (5e-4, 1e-3), range(200, 351, 25), d_model=16, d_head=8)
    assert (np.abs(np.median(late, axis=1) - 38) < 8).all(), late


def test_preconditioning_scales_both_sides() -> None:
    ensemble, batch = tiny()
    ensemble.update()
    product = preconditioned(hessian_product(ensemble, batch), ensemble)
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(ensemble.theta.shape, dtype=torch.float64, generator=generator) for _ in range(2))
    assert (a * product(b)).sum().item() == pytest.approx((b * product(a)).sum().item(), rel=1e-9)


def test_sharpness_is_logged_at_its_steps(tmp_path: Path) -> None:
    path = train(replace(TINY, curvature_every=10, steps=20), tmp_path)
    rows = [json.loads(line) for line in (path / "log.jsonl").read_text().splitlines()]
    measured = [row for row in rows if "sharpness" in row]
    assert [row["step"] for row in measured] == [10, 20]
    assert all(row["sharpness"] > row["hessian_min"] for row in measured)
    assert all(row["sharpness_preconditioned"] > 0 for row in measured)
