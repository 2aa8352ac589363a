"""Curvature against dense Hessians and against the edge of stability."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from scalefit.errors import InputError  # noqa: E402
from scalefit.proxy import Config, Ensemble, train  # noqa: E402
from scalefit.proxy.curvature import (  # noqa: E402
    critical_sharpness,
    gauss_newton_product,
    hessian_product,
    lanczos,
    measure,
    rates,
    scaled,
    sharpness,
    trace,
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

    step = 1e-6 * torch.eye(P, dtype=theta.dtype)
    hessian = (gradient(theta + step) - gradient(theta - step)) / 2e-6
    return (hessian + hessian.T) / 2


def test_both_ends_agree_with_the_dense_hessian_at_initialisation() -> None:
    ensemble, batch = tiny(2)
    found = sharpness(ensemble, batch, raw=True, iterations=60, tolerance=0)
    for k in range(2):
        values = torch.linalg.eigvalsh(dense(ensemble, batch, k))
        assert found.largest[k].item() == pytest.approx(values[-1].item(), rel=1e-4)
        assert found.smallest[k].item() == pytest.approx(values[0].item(), rel=1e-4)
    product = hessian_product(ensemble, batch)
    v = found.vector
    assert torch.allclose(product(v), found.largest[:, None] * v, atol=1e-4 * found.largest.max().item())


FOUR_TIMES_AS_WIDE = {"d_model": 4, "d_head": 2, "d_ff": 4, "base_width": 1, "n_layer": 2, "base_depth": 1}
FACTORS_OF_SGD = {  # on the learning rate at four times the base width and twice the base depth, by role
    "sp": {},
    "sp-layerwise": {"embed": 4, "readout": 1 / 4},
    "ntk": {},
    "mup": {"embed": 4, "gain": 4, "final": 4, "readout": 4},
    "depth-mup": {"embed": 4, "gain": 4, "final": 4, "readout": 4},
    "completep": {"embed": 4, "gain": 8, "final": 4, "hidden": 2, "readout": 4},
}


@pytest.mark.parametrize("name", FACTORS_OF_SGD)
def test_sharpness_is_that_of_the_dense_hessian_in_the_metric_of_the_rates(name: str) -> None:
    """The eigenvalues of P H, of which √P H √P is the symmetric form: what descent at these rates feels."""
    ensemble, batch = tiny(parametrization=name, optimizer="sgd", init_scale=0.5, **FOUR_TIMES_AS_WIDE)
    for _ in range(3):
        ensemble.update()
    of = FACTORS_OF_SGD[name]
    P = torch.cat([torch.full((leaf.size,), float(of.get(leaf.role, 1))) for leaf in ensemble.model.leaves.values()])
    hessian = dense(ensemble, batch)
    raw, own = torch.linalg.eigvalsh(hessian)[-1], torch.linalg.eigvals(P[:, None] * hessian).real.max()
    assert sharpness(ensemble, batch).largest.item() == pytest.approx(own.item(), rel=1e-4)
    assert sharpness(ensemble, batch, raw=True).largest.item() == pytest.approx(raw.item(), rel=1e-4)
    assert (own > 1.2 * raw) == (name not in ("sp", "ntk"))  # so that one cannot pass for the other


@pytest.mark.parametrize("name", ["sp", "mup", "completep"])
def test_under_adam_sharpness_is_preconditioned_too(name: str) -> None:
    ensemble, batch = tiny(parametrization=name, **FOUR_TIMES_AS_WIDE)
    for _ in range(5):
        ensemble.update()
    hessian, state = dense(ensemble, batch), ensemble.state
    per_m = 1.0 if name == "sp" else 1 / 4
    factor = torch.cat(
        [torch.full((x.size,), {"hidden": per_m}.get(x.role, 1.0)) for x in ensemble.model.leaves.values()]
    )
    eps = torch.full_like(factor, 1e-8)  # far below the gradients here
    metric = factor / ((state["v"][0] / (1 - 0.95**5)).sqrt() + eps)
    values = torch.linalg.eigvals(metric[:, None] * hessian).real
    found = sharpness(ensemble, batch, iterations=200)
    assert found.largest.item() == pytest.approx(values.max().item(), rel=1e-4)


def test_adam_has_no_metric_before_its_first_step() -> None:
    ensemble, batch = tiny()
    with pytest.raises(InputError, match="no second moments before its first update"):
        sharpness(ensemble, batch)


def test_the_trace_is_that_of_the_dense_hessian_in_the_metric_of_the_rates() -> None:
    ensemble, batch = tiny(parametrization="mup", optimizer="sgd", **FOUR_TIMES_AS_WIDE)
    for _ in range(3):
        ensemble.update()
    matrix = rates(ensemble)[0][:, None] * dense(ensemble, batch)
    found = trace(scaled(hessian_product(ensemble, batch), rates(ensemble)), ensemble.theta, draws=100)
    spread = (2 * matrix.square().sum() / 100).sqrt()  # of the mean of zᵀ A z over signs, at most
    assert abs(found.item() - matrix.trace().item()) < 3 * spread.item()
    assert spread < 0.2 * matrix.trace()


def test_what_is_logged_of_a_member_is_what_it_has_alone_to_the_bit() -> None:
    """Members converge after different numbers of products, and none waits for another."""
    base = Config(model="mlp", data="sparse-parity", d_model=16, n_layer=2, batch=64, steps=40, eval_batch=64)
    base = replace(base, parametrization="mup", base_width=4, optimizer="sgd", schedule="constant", warmup=0)
    members = [replace(base, seed=seed, lr=lr) for seed, lr in ((0, 0.01), (1, 0.5), (2, 0.1))]
    together = Ensemble(members)
    apart = [Ensemble([config]) for config in members]
    for ensemble in (together, *apart):
        for _ in range(20):
            ensemble.update()
    rows = measure(together), [measure(ensemble) for ensemble in apart]
    assert set(rows[0]) == {"sharpness", "sharpness_trace", "hessian_max", "hessian_min"}
    for name, value in rows[0].items():
        for k, alone in enumerate(rows[1]):
            assert torch.equal(apart[k].theta[0], together.theta[k])
            assert torch.equal(value[k], alone[name][0]), name


def test_a_member_that_is_lost_does_not_stop_the_others() -> None:
    ensemble, batch = tiny(2, optimizer="sgd")
    ensemble.theta[0] = torch.nan
    found = sharpness(ensemble, batch)
    assert torch.isnan(found.largest[0])
    assert found.residual[1] <= 1e-3 * found.largest[1]


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
            ends = sharpness(ensemble, fixed, iterations=8)
            found.append(ends.largest.numpy() * rates)
    return np.transpose(found)


def test_gradient_descent_hovers_at_two_over_lr() -> None:
    late = full_batch("sgd", (0.2, 0.3), range(150, 251, 25), d_model=32)
    assert (np.abs(late - 2) < 0.35).all(), late


def test_adam_hovers_near_38_over_lr() -> None:
    late = full_batch("adamw", (5e-4, 1e-3), range(200, 351, 25), d_model=16, d_head=8)
    assert (np.abs(np.median(late, axis=1) - 38) < 8).all(), late


def test_the_metric_scales_both_sides() -> None:
    ensemble, batch = tiny()
    ensemble.update()
    product = scaled(hessian_product(ensemble, batch), rates(ensemble))
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(ensemble.theta.shape, dtype=torch.float64, generator=generator) for _ in range(2))
    assert (a * product(b)).sum().item() == pytest.approx((b * product(a)).sum().item(), rel=1e-9)


def test_sharpness_is_logged_at_its_steps(tmp_path: Path) -> None:
    path = train(replace(TINY, curvature_every=10, steps=20), tmp_path)
    rows = [json.loads(line) for line in (path / "log.jsonl").read_text().splitlines()]
    measured = [row for row in rows if "sharpness" in row]
    assert [row["step"] for row in measured] == [10, 20]
    assert all(row["hessian_max"] > row["hessian_min"] for row in measured)
    assert all(row["sharpness"] == row["sharpness_preconditioned"] > 0 for row in measured)
    assert all(row["sharpness"] != row["hessian_max"] for row in measured)
