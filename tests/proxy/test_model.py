"""Properties of the proxy's models, parametrisations and packed members."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from scalefit.errors import InputError  # noqa: E402
from scalefit.proxy.config import Config  # noqa: E402
from scalefit.proxy.models import weights  # noqa: E402
from scalefit.proxy.models.mlp import MLP  # noqa: E402
from scalefit.proxy.models.model import Decoder  # noqa: E402
from scalefit.proxy.models.parametrization import TABLE, Factors, at, parametrization  # noqa: E402
from scalefit.proxy.tasks.data import from_texts  # noqa: E402

torch.set_num_threads(1)
TEXT = {str(i): bytes(np.random.default_rng(i).integers(97, 123, size=700, dtype=np.uint8)) for i in range(60)}


def factors(name: str, kind: str, **ratios: float) -> Factors:
    return at(parametrization(name), kind=kind, **ratios)


def small(**changes: object) -> Config:
    return Config.read({"d_model": 16, "d_head": 8, "seq_len": 12, "batch": 48, "base_width": 16} | changes)


def model_and_weights(config: Config, seeds: tuple[int, ...] = (0,), scale: float = 1.0):
    source = from_texts(TEXT, config.seq_len, "test")
    model = config.build(source)
    theta = weights.initial(model.leaves, config.factors(), seeds, [scale] * len(seeds))
    return model, theta, {"tokens": source.batch(0, 1, config.examples)["tokens"][None]}


VARIANTS = [
    {"norm": "pre"},
    {"norm": "post"},
    {"norm": "peri"},
    {"activation": "swiglu", "qk_norm": False},
    {"tied": True, "parametrization": "mup", "d_model": 32},
    {"parametrization": "completep", "n_layer": 3},
    {"norm_type": "rms", "kv_group": 2, "biases": True, "norm": "peri"},
    {"experts": 4, "experts_per_token": 2, "activation": "swiglu"},
]


@pytest.mark.parametrize("changes", VARIANTS)
def test_a_logit_depends_on_no_later_token(changes: dict[str, object]) -> None:
    config = small(zero_readout=False, **changes)
    model, theta, batch = model_and_weights(config)
    w = weights.views(theta, model.leaves)
    ids = batch["tokens"][:, :1, :-1]
    one_hot = torch.nn.functional.one_hot(ids, model.vocab).float().requires_grad_()
    soft = dict(w)
    plain = model.logits(w, ids)
    embedded = one_hot @ w["embed"].unsqueeze(1)
    object.__setattr__(model, "_embed", lambda _w, _ids: _embedded_like(model, soft, embedded))
    logits = model.logits(soft, ids)
    assert torch.allclose(logits, plain, atol=1e-5)
    t = 5
    (grad,) = torch.autograd.grad(logits[0, 0, t].square().sum(), one_hot)
    size = grad[0, 0].norm(dim=-1)
    assert torch.all(size[: t + 1] > 0)
    assert torch.all(size[t + 1 :] == 0)


def _embedded_like(model: Decoder, w: dict[str, torch.Tensor], embedded: torch.Tensor) -> torch.Tensor:
    from scalefit.proxy.models.layers import scaled

    x = scaled(embedded.flatten(1, 2), model.factors.forward["embed"])
    return model._normed(x, w["embed_norm"]) if model.norm == "peri" else x


@pytest.mark.parametrize("name", TABLE)
def test_loss_at_initialisation_is_log_vocabulary(name: str) -> None:
    model, theta, batch = model_and_weights(small(parametrization=name, d_model=32))
    loss = model.losses(weights.views(theta, model.leaves), batch)[1]
    assert loss.item() == pytest.approx(math.log(256), abs=1e-5)


def test_a_member_equals_the_same_model_alone() -> None:
    config = small(zero_readout=False)
    model, theta, batch = model_and_weights(config, seeds=(3, 1, 4))
    theta.requires_grad_()
    losses = model.losses(weights.views(theta, model.leaves), batch)[0]
    grad = weights.gradient(theta, losses)
    for k, seed in enumerate((3, 1, 4)):
        alone = weights.initial(model.leaves, config.factors(), (seed,)).requires_grad_()
        assert torch.equal(alone[0], theta[k])
        loss = model.losses(weights.views(alone, model.leaves), batch)[0]
        assert loss.item() == pytest.approx(losses[k].item(), rel=1e-6)
        assert torch.allclose(weights.gradient(alone, loss)[0], grad[k], rtol=1e-4, atol=1e-7)


def test_members_may_see_different_data() -> None:
    config = small(zero_readout=False)
    model, theta, batch = model_and_weights(config, seeds=(0, 0))
    other = from_texts(TEXT, config.seq_len, "test").batch(9, 1, config.examples)["tokens"]
    both = {"tokens": torch.stack([batch["tokens"][0], other])}
    losses = model.losses(weights.views(theta, model.leaves), both)[0]
    one = model.losses(weights.views(theta[:1], model.leaves), {"tokens": other[None]})[0]
    assert losses[1].item() == pytest.approx(one.item(), rel=1e-6)
    assert losses[0].item() != losses[1].item()


def test_z_loss_is_minimised_but_not_reported() -> None:
    plain, theta, batch = model_and_weights(small())
    with_z = small(z_loss=0.1).build(from_texts(TEXT, 12, "test"))
    objective, loss = with_z.losses(weights.views(theta, with_z.leaves), batch)
    assert loss.item() == pytest.approx(plain.losses(weights.views(theta, plain.leaves), batch)[1].item())
    assert objective.item() == pytest.approx(loss.item() + 0.1 * math.log(256) ** 2, rel=1e-5)


def test_a_non_finite_row_leaves_the_other_rows_bitwise_unchanged() -> None:
    model, theta, batch = model_and_weights(small(zero_readout=False), seeds=(0, 1, 2))

    def rows(bad: bool) -> torch.Tensor:
        start = theta.clone()
        start[1] = float("nan") if bad else start[1]
        start.requires_grad_()
        grad = weights.gradient(start, model.losses(weights.views(start, model.leaves), batch)[0])
        weights.clip_(grad, 0.01)
        return grad[[0, 2]]

    assert torch.equal(rows(True), rows(False))


def test_clipping_is_per_member() -> None:
    grad = torch.tensor([[3.0, 4.0], [0.03, 0.04]])
    assert torch.allclose(weights.clip_(grad, 1.0), torch.tensor([5.0, 0.05]))
    assert torch.allclose(grad, torch.tensor([[0.6, 0.8], [0.03, 0.04]]), atol=1e-5)


def test_parameter_counts_follow_the_closed_form() -> None:
    model, theta, _ = model_and_weights(small())
    D, L, V, C = 16, 2, 256, 8
    n = weights.counts(model.leaves)
    assert n["N_matrices"] == 12 * L * D * D
    assert n["N"] == 12 * L * D * D + (2 * L + 1) * D + 2 * L * C
    assert n["N_total"] == n["N"] + 2 * V * D == theta.shape[1]


def test_the_table_at_base_size_is_the_standard_one() -> None:
    standard = factors("sp", kind="adam")
    for name in TABLE:
        for kind in ("adam", "sgd"):
            assert factors(name, kind=kind) == standard


def test_the_table_under_adam() -> None:
    """arXiv:2505.01618, table 1, at m = 4 and m_L = 9; standard deviations relative to the base model."""
    m, m_L = 4.0, 9.0
    mup = factors("mup", kind="adam", m=m, m_L=m_L, m_head=4.0)
    assert (mup.std["hidden"], mup.std["embed"], mup.std["readout"]) == (m**-0.5, 1, 1)
    assert (mup.lr["hidden"], mup.lr["embed"], mup.lr["readout"], mup.lr["gain"]) == (1 / m, 1, 1, 1)
    assert (mup.forward["readout"], mup.forward["hidden"], mup.residual, mup.attention) == (1 / m, 1, 1, 0.5)
    assert (mup.decay["hidden"], mup.eps["hidden"]) == (m, 1 / m)
    for name, alpha in (("depth-mup", 0.5), ("completep", 1.0)):
        deep = factors(name, kind="adam", m=m, m_L=m_L)
        assert deep.residual == pytest.approx(m_L**-alpha)
        assert deep.lr["hidden"] == pytest.approx(m_L ** (alpha - 1) / m)
        assert deep.lr["gain"] == pytest.approx(m_L ** (alpha - 1))
        assert (deep.lr["embed"], deep.lr["final"], deep.lr["readout"]) == (1, 1, 1)
        assert deep.eps["hidden"] == pytest.approx(m_L**-alpha / m)
        assert deep.decay["hidden"] == m
    ntk = factors("ntk", kind="sgd", m=m)
    assert (ntk.std["hidden"], ntk.forward["hidden"], ntk.lr["hidden"]) == (1, m**-0.5, 1)
    layerwise = factors("sp-layerwise", kind="adam", m=m)
    assert (layerwise.lr["embed"], layerwise.lr["hidden"], layerwise.lr["readout"]) == (1, 1 / m, 1 / m)


def test_mup_under_sgd_follows_the_original_rules() -> None:
    """arXiv:2203.03466, table 3: vector-like weights learn m times faster, matrices as at the base width."""
    mup = factors("mup", kind="sgd", m=4.0)
    assert (mup.lr["embed"], mup.lr["hidden"], mup.lr["readout"]) == (4, 1, 4)
    assert (mup.decay["embed"], mup.decay["hidden"]) == (0.25, 1)


@pytest.mark.parametrize("kind", ["adam", "sgd"])
def test_mup_and_per_layer_rates_are_one_parametrisation_written_twice(kind: str) -> None:
    """A weight times c, its initial value by 1/c, its rate by 1/c (adam) or 1/c² (sgd): the same function."""
    m = 8.0
    mup, other = (factors(name, kind=kind, m=m) for name in ("mup", "sp-layerwise"))
    c = mup.forward["readout"]
    power = 1 if kind == "adam" else 2
    assert other.lr["readout"] == pytest.approx(mup.lr["readout"] * c**power)


@pytest.mark.parametrize("bad", [{"d_model": 20}, {"norm": "none"}, {"d_head": 3}, {"model": "cnn"}])
def test_impossible_shapes_are_refused_in_one_line(bad: dict[str, object]) -> None:
    with pytest.raises(InputError) as caught:
        model_and_weights(small(**bad))
    assert "\n" not in str(caught.value)


def test_mlp_starts_at_log_classes_and_gives_every_weight_a_gradient() -> None:
    table = factors("mup", kind="adam", m=2.0)
    mlp = MLP(inputs=10, vocab=2, d_model=32, n_layer=3, factors=table, zero_readout=False)
    theta = weights.initial(mlp.leaves, table, (0, 1)).requires_grad_()
    batch = {"x": torch.randn(1, 64, 10), "y": torch.randint(2, (1, 64))}
    losses = mlp.losses(weights.views(theta, mlp.leaves), batch)[0]
    grad = weights.views(weights.gradient(theta, losses), mlp.leaves)
    assert all(value.abs().sum() > 0 for value in grad.values())
    theta = weights.initial(MLP(10, 2, 32, 3, table).leaves, table, (0,))
    assert MLP(10, 2, 32, 3, table).losses(weights.views(theta, mlp.leaves), batch)[1].item() == pytest.approx(
        math.log(2)
    )
