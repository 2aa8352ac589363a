"""Muon against singular values, and against torch.optim.Muon where the installed torch has it."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from scalefit.proxy import Config, Ensemble  # noqa: E402
from scalefit.proxy.models.layers import Leaf  # noqa: E402
from scalefit.proxy.models.parametrization import at, parametrization  # noqa: E402
from scalefit.proxy.optimizers import optimizer  # noqa: E402
from scalefit.proxy.optimizers.muon import COEFFICIENTS, ROUNDS, orthogonal  # noqa: E402

torch.set_num_threads(1)
SHAPES = [(4, 4), (4, 9), (9, 4), (3, 4, 6)]
LEAVES = {str(i): Leaf(shape, "hidden", 1.0) for i, shape in enumerate(SHAPES)} | {"gain": Leaf((5,), "gain", None)}
P = sum(leaf.size for leaf in LEAVES.values())


@pytest.mark.parametrize("shape", SHAPES)
def test_newton_schulz_is_the_quintic_of_the_singular_values(shape: tuple[int, ...]) -> None:
    x = torch.randn(2, *shape, dtype=torch.float64)
    u, s, v = torch.linalg.svd(x, full_matrices=False)
    s = s / s.norm(dim=-1, keepdim=True)
    a, b, c = COEFFICIENTS
    for _ in range(ROUNDS):
        s = a * s + b * s**3 + c * s**5
    torch.testing.assert_close(orthogonal(x), u @ torch.diag_embed(s) @ v)
    assert (s[..., :2] > 0.6).all()
    assert (s < 1.25).all()


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this torch has no Muon")
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_it_is_torchs(decay: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch rounds its Newton–Schulz rounds to bfloat16, which costs about a hundredth; here both are exact."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda self: self)
    generator = torch.Generator().manual_seed(0)
    theta, lr = torch.randn(2, P, generator=generator), torch.tensor([[0.1], [0.03]])
    grads = torch.randn(6, 2, P, generator=generator)
    rule = optimizer("muon")([{"momentum": 0.9}] * 2, 1.0, LEAVES)
    ours, state = theta.clone(), rule.start(theta)
    for g in grads:
        rule.step(ours, g.clone(), state, lr, lr * decay if decay else None, torch.zeros(2))
    for k in range(2):
        at_ = 0
        for shape in SHAPES:
            size = int(torch.Size(shape).numel())
            for inside, stack in enumerate(theta[k, at_ : at_ + size].reshape(-1, *shape[-2:])):
                p = torch.nn.Parameter(stack.T.contiguous().clone())  # torch stores (out, in)
                method = torch.optim.Muon(
                    [p], lr=lr[k].item(), momentum=0.9, weight_decay=decay, adjust_lr_fn="original"
                )
                for g in grads:
                    p.grad = g[k, at_ : at_ + size].reshape(-1, *shape[-2:])[inside].T.contiguous()
                    method.step()
                got = ours[k, at_ : at_ + size].reshape(-1, *shape[-2:])[inside]
                assert torch.allclose(got, p.detach().T, rtol=1e-4, atol=1e-5)
            at_ += size


def test_all_else_is_adamw_at_its_own_rate() -> None:
    theta, grads = torch.ones(1, P), torch.randn(5, 1, P, generator=torch.Generator().manual_seed(1))
    moved = []
    for name, options in (("muon", {"adam_lr": 0.5}), ("adamw", {})):
        rule, now = optimizer(name)([options], 1.0, LEAVES), theta.clone()
        state = rule.start(now)
        for g in grads:
            rule.step(now, g.clone(), state, torch.full((1, 1), 0.1), None, torch.zeros(1))
        moved.append((now - theta)[0, -5:])
    torch.testing.assert_close(moved[0], moved[1] * 0.5)


def test_orthogonal_updates_need_no_factor_of_the_width_and_no_rule_of_the_others_changes() -> None:
    """A matrix that keeps activations of size one at size one has the largest singular value √(out/in), at any width:
    arXiv:2310.17813. Depth acts as on Adam, since neither step depends on the size of the gradient."""
    for name in ("mup", "depth-mup", "completep"):
        adam, muon = (at(parametrization(name), kind=kind, m=4.0, m_L=9.0) for kind in ("adam", "muon"))
        assert muon.lr["hidden"] == pytest.approx(4 * adam.lr["hidden"])
        assert muon.lr["hidden"] * muon.decay["hidden"] == pytest.approx(adam.lr["hidden"] * adam.decay["hidden"])
        others = ("embed", "gain", "final", "readout", "router")
        assert [muon.lr[role] for role in others] == [adam.lr[role] for role in others]
        assert (muon.std, muon.forward, muon.residual) == (adam.std, adam.forward, adam.residual)
    assert at(parametrization("sp"), kind="muon", m=4.0) == at(parametrization("sp"), kind="adam", m=4.0)


def test_it_trains_and_has_no_sharpness_in_a_metric_that_it_does_not_have() -> None:
    from scalefit.proxy.curvature import measure

    shape = {"d_model": 16, "d_head": 8, "n_layer": 1, "seq_len": 8, "batch": 64, "eval_batch": 256}
    data = {"data": "zipf-markov", "data_options": {"tokens": 20000, "vocab": 8, "order": 1}}
    ensemble = Ensemble([Config.read(shape | data | {"optimizer": "muon", "steps": 40, "warmup": 2, "lr": 0.02})])
    before = ensemble.evaluate()["val_loss"].item()
    for _ in range(40):
        ensemble.update()
    assert ensemble.evaluate()["val_loss"].item() < before - 0.2
    assert measure(ensemble).keys() == {"hessian_max", "hessian_min"}
