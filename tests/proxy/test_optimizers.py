"""Every optimiser against an independent implementation."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from scalefit.errors import InputError  # noqa: E402
from scalefit.proxy import Config, Ensemble  # noqa: E402
from scalefit.proxy.optimizers import Optimizer, optimizer, optimizers  # noqa: E402
from scalefit.proxy.spikes import add_spikes_  # noqa: E402

torch.set_num_threads(1)
STEPS, K, P = 12, 2, 7
Scalar = Callable[[int, list[float], float, int], list[float]]
LR = torch.tensor([[0.1], [0.01]])


def loss_of(theta: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """A bowl that is not round, one a member, (K,)."""
    return ((theta - target) ** 2 * torch.arange(1.0, P + 1)).sum(1) + (theta**4).sum(1)


def run(rule: Optimizer, lr: torch.Tensor = LR, decay: torch.Tensor | None = None, steps: int = STEPS) -> torch.Tensor:
    theta, target = start()
    state = rule.start(theta)
    for _ in range(steps):
        theta.requires_grad_()
        loss = loss_of(theta, target)
        (grad,) = torch.autograd.grad(loss.sum(), theta)
        theta = theta.detach()
        rule.step(theta, grad, state, lr, decay, loss.detach())
    return rule.evaluation_point(theta, state)


def start() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(K, P, generator=generator), torch.randn(K, P, generator=generator)


def reference(make, lr: torch.Tensor = LR) -> torch.Tensor:
    rows = []
    for k in range(K):
        first, target = start()
        theta = first[k : k + 1].clone().requires_grad_()
        method = make([theta], lr[k].item())
        for _ in range(STEPS):
            method.zero_grad()
            loss_of(theta, target[k : k + 1]).sum().backward()
            method.step()
        rows.append(theta.detach())
    return torch.cat(rows)


@pytest.mark.parametrize("betas", [(0.9, 0.95), (0.9, 0.999), (0.5, 0.9)])
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_adamw_is_torchs(betas: tuple[float, float], decay: float) -> None:
    options = [{"beta1": betas[0], "beta2": betas[1], "eps": 1e-6}] * K
    ours = run(optimizer("adamw")(options), decay=LR * decay if decay else None)
    theirs = reference(lambda p, lr: torch.optim.AdamW(p, lr=lr, betas=betas, eps=1e-6, weight_decay=decay))
    assert torch.allclose(ours, theirs, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_is_torchs(momentum: float) -> None:
    lr = LR / 20
    ours = run(optimizer("sgd")([{"momentum": momentum}] * K), lr=lr)
    theirs = reference(lambda p, rate: torch.optim.SGD(p, lr=rate, momentum=momentum), lr)
    assert torch.allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def gradients(k: int, theta: list[float]) -> tuple[float, list[float]]:
    """Loss and gradient of member k in plain Python."""
    target = start()[1][k].tolist()
    loss = sum((i + 1) * (x - a) ** 2 + x**4 for i, (x, a) in enumerate(zip(theta, target, strict=True)))
    return loss, [2 * (i + 1) * (x - a) + 4 * x**3 for i, (x, a) in enumerate(zip(theta, target, strict=True))]


def compare(name: str, rule: Scalar, options: dict[str, float], lr: torch.Tensor, steps: int = STEPS) -> None:
    """Our optimiser against a rule on lists of floats."""
    ours = run(optimizer(name)([options] * K), lr=lr, steps=steps)
    for k in range(K):
        theirs = rule(k, start()[0][k].tolist(), lr[k].item(), steps)
        assert ours[k].tolist() == pytest.approx(theirs, rel=2e-4, abs=2e-5)


def lion(k: int, x: list[float], lr: float, steps: int) -> list[float]:
    m = [0.0] * P
    for _ in range(steps):
        _, g = gradients(k, x)
        x = [a - lr * math.copysign(1.0, 0.9 * b + 0.1 * c) for a, b, c in zip(x, m, g, strict=True)]
        m = [0.99 * b + 0.01 * c for b, c in zip(m, g, strict=True)]
    return x


def momo(k: int, x: list[float], lr: float, steps: int) -> list[float]:
    d, f_bar, gamma = [0.0] * P, 0.0, 0.0
    for t in range(1, steps + 1):
        f, g = gradients(k, x)
        d = [0.9 * a + 0.1 * b for a, b in zip(d, g, strict=True)]
        f_bar = 0.9 * f_bar + 0.1 * f
        gamma = 0.9 * gamma + 0.1 * sum(a * b for a, b in zip(g, x, strict=True))
        rho = 1 - 0.9**t
        gap = f_bar - rho * 0.5 + sum(a * b for a, b in zip(d, x, strict=True)) - gamma
        tau = min(lr / rho, max(gap, 0.0) / sum(a * a for a in d))
        x = [a - tau * b for a, b in zip(x, d, strict=True)]
    return x


def momo_adam(k: int, x: list[float], lr: float, steps: int) -> list[float]:
    d, v, f_bar, gamma = [0.0] * P, [0.0] * P, 0.0, 0.0
    for t in range(1, steps + 1):
        f, g = gradients(k, x)
        d = [0.9 * a + 0.1 * b for a, b in zip(d, g, strict=True)]
        v = [0.999 * a + 0.001 * b * b for a, b in zip(v, g, strict=True)]
        f_bar = 0.9 * f_bar + 0.1 * f
        gamma = 0.9 * gamma + 0.1 * sum(a * b for a, b in zip(g, x, strict=True))
        metric = [math.sqrt(a / (1 - 0.999**t)) + 1e-8 for a in v]
        gap = f_bar + sum(a * b for a, b in zip(d, x, strict=True)) - gamma
        size = sum(a * a / b for a, b in zip(d, metric, strict=True))
        tau = min(lr / (1 - 0.9**t), max(gap, 0.0) / size)
        x = [a - tau * b / c for a, b, c in zip(x, d, metric, strict=True)]
    return x


def spam(k: int, x: list[float], lr: float, steps: int) -> list[float]:
    m, v, wait = [0.0] * P, [0.0] * P, 0
    for t in range(1, steps + 1):
        _, g = gradients(k, x)
        wait = 0 if t % 6 == 0 else wait + 1
        if t % 6 == 0:
            m, v = [0.0] * P, [0.0] * P
        clipping = (t - 1 if t < 6 else wait) >= 2
        for i in range(P):
            if clipping and g[i] ** 2 > 0.5 * v[i]:
                g[i] = math.copysign(math.sqrt(0.5 * v[i]), g[i])
            m[i] = 0.9 * m[i] + 0.1 * g[i]
            v[i] = 0.99 * v[i] + 0.01 * g[i] ** 2
            scale = 1.0 if t < 6 else 1 - 0.99 * (1 + math.cos(math.pi * min(wait / 3, 1.0))) / 2
            x[i] -= lr * scale * (m[i] / (1 - 0.9**t)) / (math.sqrt(v[i] / (1 - 0.99**t)) + 1e-6)
    return x


def schedule_free(k: int, x: list[float], lr: float, steps: int) -> list[float]:
    z, v, weights = list(x), [0.0] * P, 0.0
    for t in range(1, steps + 1):
        y = [0.1 * a + 0.9 * b for a, b in zip(z, x, strict=True)]
        _, g = gradients(k, y)
        v = [0.999 * a + 0.001 * b * b for a, b in zip(v, g, strict=True)]
        z = [a - lr * b / (math.sqrt(c / (1 - 0.999**t)) + 1e-8) for a, b, c in zip(z, g, v, strict=True)]
        weights += lr**2
        c = lr**2 / weights
        x = [(1 - c) * a + c * b for a, b in zip(x, z, strict=True)]
    return x


@pytest.mark.parametrize(
    ("name", "rule", "options"),
    [
        ("lion", lion, {}),
        ("momo", momo, {"floor": 0.5}),
        ("momo-adam", momo_adam, {}),
        ("schedule-free-adamw", schedule_free, {}),
        ("spam", spam, {"beta2": 0.99, "threshold": 0.5, "interval": 6.0, "warmup": 3.0, "grace": 2.0}),
    ],
)
def test_published_rules_against_plain_python(name: str, rule: Scalar, options: dict[str, float]) -> None:
    compare(name, rule, options, LR, steps=20)


def test_momo_takes_shorter_steps_than_its_rate_near_the_floor() -> None:
    """A rate far too large for gradient descent: the model of the loss keeps it in check."""
    _, target = start()
    after = run(optimizer("momo")([{}] * K), lr=torch.full((K, 1), 100.0), steps=100)
    assert torch.isfinite(loss_of(after, target)).all()


def test_schedule_free_keeps_y_between_z_and_x_and_evaluates_x() -> None:
    rule = optimizer("schedule-free-adamw")([{}] * K)
    theta, target = start()
    state = rule.start(theta)
    for _ in range(5):
        y = theta.clone().requires_grad_()
        (grad,) = torch.autograd.grad(loss_of(y, target).sum(), y)
        rule.step(theta, grad, state, LR, LR * 0.1, torch.zeros(K))
    assert torch.allclose(theta, 0.1 * state["z"] + 0.9 * state["x"], atol=1e-6)
    assert rule.evaluation_point(theta, state) is state["x"]


def test_options_may_differ_between_members() -> None:
    pack = run(optimizer("adamw")([{"beta2": 0.9}, {"beta2": 0.999}]))
    alike = run(optimizer("adamw")([{"beta2": 0.9}, {"beta2": 0.9}]))
    assert torch.equal(pack[0], alike[0])
    assert not torch.equal(pack[1], alike[1])


@pytest.mark.parametrize("name", sorted(optimizers()))
def test_every_optimiser_lowers_the_loss_says_its_source_and_keeps_members_apart(name: str) -> None:
    kind = optimizer(name)
    assert kind.kind in ("adam", "sgd", "muon")
    assert kind.source.startswith(("arXiv:", "doi:"))
    lr = torch.full((K, 1), 0.005 if kind.kind == "sgd" else 0.05)
    before, target = start()
    after = run(kind([{}] * K), lr=lr, steps=60)
    assert torch.all(loss_of(after, target) < loss_of(before, target))
    lr[1] = float("nan")
    assert torch.equal(run(kind([{}] * K), lr=lr, steps=60)[0], after[0])


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'adamw'"):
        optimizer("adam_w")
    with pytest.raises(InputError, match=r"did you mean 'beta[12]'"):
        optimizer("adamw")([{"beta": 0.9}])


def test_spikes_hit_their_share_of_weights_with_their_size_and_are_those_of_the_seed_and_step() -> None:
    clean = torch.randn(3, 1000, generator=torch.Generator().manual_seed(0))
    hit, again, later = clean.clone(), clean.clone(), clean.clone()
    add_spikes_(hit, [0, 0, 1], step=7, size=500.0, share=0.02)
    add_spikes_(again, [0, 0, 1], step=7, size=500.0, share=0.02)
    add_spikes_(later, [0, 0, 1], step=8, size=500.0, share=0.02)
    added = hit - clean
    assert torch.equal(hit, again)
    assert ((added != 0).sum(1) == 20).all()
    rms = clean.square().mean(1).sqrt()
    for k in range(3):
        assert added[k][added[k] != 0].abs() == pytest.approx(500 * rms[k].item(), rel=1e-5)
    places = added != 0
    assert torch.equal(places[0], places[1])
    assert not torch.equal(places[0], places[2])
    assert not torch.equal(places, later != clean)


def test_a_trained_run_meets_its_spikes_at_their_steps_and_spam_clips_them() -> None:
    base = Config(d_model=16, d_head=8, n_layer=1, seq_len=16, batch=64, steps=60, warmup=3, lr=0.01, clip=0.0)
    base = replace(base, data="zipf-markov", data_options={"tokens": 40000, "vocab": 8, "order": 1}, eval_batch=64)
    spiked = replace(base, spike_every=25)
    moved = {}
    for name in ("adamw", "spam"):
        options = {"grace": 5.0} if name == "spam" else {"beta2": 0.999}
        e = Ensemble([replace(spiked, optimizer=name, optimizer_options=options)])
        norms, second = [], []
        for _ in range(30):
            norms.append(e.update()["grad_norm"].item())
            second.append(e.state["v"].max().item())
        assert norms[24] > 20 * max(norms[:24] + norms[25:])
        moved[name] = second[24] / second[23]
    assert moved["adamw"] > 100 * moved["spam"]


def test_momo_models_what_is_minimised_and_not_the_loss_that_is_logged() -> None:
    """Whose gradient it gets: with a z-loss as large as the entropy the two differ, also where a batch has parts."""
    base = Config(d_model=16, d_head=8, n_layer=1, seq_len=16, batch=64, steps=2, warmup=1, eval_batch=64, z_loss=1.0)
    base = replace(base, data="zipf-markov", data_options={"tokens": 40000, "vocab": 8, "order": 1}, accumulate=2)
    e = Ensemble([replace(base, optimizer="momo")])
    wanted = e.model.losses(e.weights(e.theta), e.batch(1))[0]
    logged = e.update()["loss"]
    torch.testing.assert_close(e.state["f"][:, 0] / e.optimizer.rest["beta"][:, 0], wanted)
    assert (wanted > logged + 0.5).all()


def test_momo_moves_each_coordinate_in_proportion_to_its_own_rate() -> None:
    """The parametrisation gives some a quarter of the rate: with the same gradient they move a quarter as far."""
    rule, theta = optimizer("momo")([{}] * K), torch.ones(K, P)
    shares = torch.tensor([1.0, 0.25, 1.0, 0.5, 0.0, 1.0, 0.25])
    rule.step(theta, torch.ones(K, P), rule.start(theta), LR * shares, None, torch.full((K,), 1e3))
    moved = 1 - theta
    torch.testing.assert_close(moved, moved[:, :1] * shares)
    assert (moved[:, 0] > 0).all()
