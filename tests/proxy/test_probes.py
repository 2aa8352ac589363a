"""Probes against direct computation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from scalefit.proxy import Config, Ensemble, train  # noqa: E402
from scalefit.proxy.models import weights  # noqa: E402
from scalefit.proxy.models.layers import member_cross_entropy  # noqa: E402
from scalefit.proxy.probes import Probe, by_role, noise, noise_scale  # noqa: E402

torch.set_num_threads(1)
CONFIG = Config(
    d_model=16, d_head=8, seq_len=16, batch=64, steps=6, warmup=2, eval_batch=64, data="zipf-markov", zero_readout=False
)
CONFIG.data_options.update(tokens=30000, vocab=8, order=1)


def test_probes_change_nothing_and_are_logged_at_their_steps(tmp_path: Path) -> None:
    def rows(every: int) -> list[dict[str, float]]:
        path = train(Config(**{**CONFIG.as_dict(), "probe_every": every}), tmp_path / str(every))
        return [json.loads(line) for line in (path / "log.jsonl").read_text().splitlines()]

    probed, plain = rows(3), rows(0)
    assert [row["step"] for row in probed if "attention_logit_max" in row] == [3, 6]
    for a, b in zip(probed, plain, strict=True):
        assert {key: a[key] for key in b} == b
    assert {"rms_grad/hidden", "rms_update/embed", "rms_grad/0.mlp_in", "rms_act/1.mlp_out"} <= set(probed[3])


def test_values_are_what_their_names_say() -> None:
    ensemble = Ensemble([CONFIG, CONFIG])
    w = weights.views(ensemble.theta, ensemble.model.leaves)
    batch = ensemble.batch(1)
    seen: dict[str, torch.Tensor] = {}
    ensemble.model.losses(w, batch, lambda name, value: seen.setdefault(name, value))
    probe = Probe()
    ensemble.model.losses(w, batch, probe)
    logits = ensemble.model.logits(w, batch["tokens"][..., :-1])
    assert probe.values["output_logit_mean"][0].item() == pytest.approx(logits[0].mean().item(), abs=1e-6)
    log_z = torch.log(torch.exp(logits[0]).sum(-1)).mean()
    assert probe.values["output_logit_logsumexp"][0].item() == pytest.approx(log_z.item(), rel=1e-5)
    assert probe.values["rms_act/0.mlp_out"][1].item() == pytest.approx(
        seen["0.mlp_out"][1].pow(2).mean().sqrt().item()
    )
    largest = max(probe.values[f"attention_logit_max/{block}"][0].item() for block in (0, 1))
    assert probe.values["attention_logit_max"][0].item() == largest


def test_the_largest_logit_of_a_block_is_over_both_kinds_of_its_attention() -> None:
    shape = {"model": "encoder-decoder", "data": "translation", "d_model": 16, "d_head": 8, "n_layer": 2}
    ensemble = Ensemble([Config.read(shape | {"seq_len": 8, "batch": 64, "eval_batch": 64})])
    w, probe = ensemble.weights(ensemble.theta), Probe()
    seen: dict[str, float] = {}

    def record(name: str, value: torch.Tensor) -> None:
        probe(name, value)
        if name.endswith("_logit") and name != "output_logit":
            seen[name] = value.max().item()

    ensemble.model.losses(w, ensemble.batch(1), record)
    for block in ("0", "1", "encoder0", "encoder1"):
        wanted = max(value for name, value in seen.items() if name.startswith(f"{block}."))
        assert probe.values[f"attention_logit_max/{block}"].item() == wanted
    assert seen["0.attention_logit"] > seen["0.cross_logit"] or seen["1.attention_logit"] > seen["1.cross_logit"]
    assert probe.values["attention_logit_max"].item() == max(seen.values())


def test_attention_logits_reproduce_the_attention_of_the_model() -> None:
    """Softmax of the recorded logits times the values is what the fused attention put out."""
    ensemble = Ensemble([CONFIG])
    w = weights.views(ensemble.theta, ensemble.model.leaves)
    seen: dict[str, torch.Tensor] = {}
    model, batch = ensemble.model, ensemble.batch(1)
    model.losses(w, batch, lambda name, value: seen.setdefault(name, value))
    B, T, D, C = 4, 16, 16, 8
    normed = torch.nn.functional.layer_norm(seen["embed"], (D,), eps=1e-6)
    v = (normed @ w["0.qkv"])[..., 2 * D :].view(1, B, T, D // C, C).transpose(2, 3)
    y = (seen["0.attention_logit"].softmax(-1) @ v).transpose(2, 3).reshape(1, B * T, D) @ w["0.attention_out"]
    assert torch.allclose(y, seen["0.attention_out"], atol=1e-5)


def test_root_mean_square_by_role_counts_every_weight_once() -> None:
    ensemble = Ensemble([CONFIG])
    value = torch.randn(1, ensemble.theta.shape[1], generator=torch.Generator().manual_seed(0))
    found = by_role("x", value, ensemble.model.leaves)
    sizes: dict[str, int] = {}
    for leaf in ensemble.model.leaves.values():
        sizes[leaf.role] = sizes.get(leaf.role, 0) + leaf.size
    total = sum(found[f"x/{role}"].item() ** 2 * size for role, size in sizes.items())
    assert total == pytest.approx(value.square().sum().item(), rel=1e-5)


def test_noise_estimates_are_unbiased() -> None:
    """Gradients G + z with known |G|² and trace, averaged over many steps."""
    generator = torch.Generator().manual_seed(1)
    G, sigma, parts, b = torch.full((1, 50), 0.2), 1.5, 4, 2
    traces, squares = [], []
    for _ in range(4000):
        z = torch.randn(parts, b, 1, 50, generator=generator) * sigma
        grads = list((G + z.mean(1)).unbind(0))
        found = noise(grads, torch.stack(grads).mean(0), parts * b)
        traces.append(found["noise_trace"].item())
        squares.append(found["noise_grad_square"].item())
    assert np.mean(traces) == pytest.approx(50 * sigma**2, rel=0.02)
    assert np.mean(squares) == pytest.approx(50 * 0.04, rel=0.1)
    assert noise_scale(traces, squares, decay=0.999)[-1] == pytest.approx(50 * sigma**2 / 2.0, rel=0.2)


def test_noise_scale_passes_over_what_is_not_finite() -> None:
    scale = noise_scale([np.nan, 2.0, np.nan], [np.nan, 1.0, np.nan])
    assert np.isnan(scale[0])
    assert scale[1:].tolist() == [2.0, 2.0]


def test_the_distance_from_initialisation_is_that_of_the_saved_weights(tmp_path: Path) -> None:
    """Also after a resume, which does not hold the first weights: they are drawn again."""
    ensemble = Ensemble([CONFIG, Config(**{**CONFIG.as_dict(), "seed": 1, "init_scale": 0.5})])
    before = ensemble.theta.clone()
    for _ in range(3):
        row = ensemble.update(Probe())
    moved = (ensemble.theta - before).double().square().sum(1).sqrt()
    assert row["init_distance"].tolist() == pytest.approx(moved.tolist(), rel=1e-5)
    assert "init_distance" not in ensemble.update()


def test_tokens_without_a_gradient_are_those_of_which_the_model_is_sure() -> None:
    """Logits of 0 and 200: the first of two symbols is sure where it is the target, and dead wrong elsewhere."""
    probe, logits = Probe(), torch.tensor([[[200.0, 0.0]] * 4, [[0.0, 0.1]] * 4])
    loss = member_cross_entropy(logits, torch.tensor([[0, 0, 0, 1]] * 2), probe)
    assert probe.values["zero_gradient_tokens"].tolist() == [0.75, 0.0]
    assert loss[0].item() == pytest.approx(50.0)
    gradient = torch.softmax(logits[0], -1) - torch.eye(2)[[0, 0, 0, 1]]
    assert (gradient.abs().sum(-1) == 0).float().mean() == 0.75
