"""Today's architectures against modules of torch, and what they owe a packed trainer: members alone, to the bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402

from scalefit.errors import InputError  # noqa: E402
from scalefit.proxy import Config, Ensemble, coordinate_check, train  # noqa: E402
from scalefit.proxy.models import weights  # noqa: E402
from scalefit.proxy.models.experts import dispatch, route  # noqa: E402
from scalefit.proxy.models.layers import Pass, drop, layer_norm, rms_norm  # noqa: E402
from scalefit.proxy.models.parametrization import TABLE, Power, Update  # noqa: E402

torch.set_num_threads(1)
BASE = Config(
    d_model=32,
    d_head=8,
    n_layer=1,
    seq_len=16,
    batch=64,
    steps=6,
    warmup=1,
    eval_batch=64,
    checkpoint_every=2,
    data="zipf-markov",
    data_options={"tokens": 20000, "vocab": 8, "order": 1},
    zero_readout=False,
)
TRANSLATION = {"model": "encoder-decoder", "data": "translation", "data_options": {}, "seq_len": 4}
MIXED = {"mixture": {"a": 1.0, "b": 3.0}, "sources": {"a": "zipf-markov:tokens=20000,vocab=8,order=1"}}
MIXED["sources"]["b"] = MIXED["sources"]["a"] + ",seed=1"  # type: ignore[index]
PARTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "rms, groups, biases": {"norm_type": "rms", "kv_group": 2, "biases": True, "norm": "peri"},
    "dropout": {"dropout": 0.2, "accumulate": 2},
    "one of four experts": {"experts": 4, "activation": "swiglu"},
    "two of four experts": {"experts": 4, "experts_per_token": 2, "norm_type": "rms"},
    "few bits": {"weight_bits": 3},
    "muon": {"optimizer": "muon", "experts": 2, "tied": True},
    "zero queries": {"zero_query": True, "embed_lr": 3.0, "output_mult": 0.5, "parametrization": "mup", "d_model": 64},
    "mixture": {**MIXED, "data": "stdlib", "data_options": {}},
    "passes": {"data_options": {**BASE.data_options, "limit": 500, "passes": 1}},
    "translation": {**TRANSLATION, "biases": True, "dropout": 0.1, "kv_group": 2, "norm_type": "rms", "experts": 2},
}


@pytest.mark.parametrize("part", PARTS)
def test_a_packed_member_equals_the_member_alone_to_the_bit(part: str) -> None:
    config = replace(BASE, **PARTS[part])
    members = [replace(config, seed=k, data_seed=k % 2, lr=0.01 * (k + 1)) for k in range(3)]
    packed, alone = Ensemble(members), [Ensemble([each]) for each in members]
    for _ in range(3):
        rows = packed.update(), [each.update() for each in alone]
        for k, one in enumerate(alone):
            assert torch.equal(packed.theta[k], one.theta[0]), f"member {k} at step {packed.step}"
            assert all(torch.equal(value[k], rows[1][k][name][0]) for name, value in rows[0].items())
    held = packed.evaluate()
    assert all(torch.equal(held[name][1], value[0]) for name, value in alone[1].evaluate().items())


@pytest.mark.parametrize("part", ["dropout", "two of four experts", "muon", "mixture", "passes", "translation"])
def test_a_killed_run_goes_on_to_the_bit(part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, update = replace(BASE, **PARTS[part]), Ensemble.update
    whole = train(config, tmp_path / "whole")

    def killed(self: Ensemble, *record: Any) -> dict[str, torch.Tensor]:
        if self.step == 5:
            raise InterruptedError
        return update(self, *record)

    monkeypatch.setattr(Ensemble, "update", killed)
    with pytest.raises(InterruptedError):
        train(config, tmp_path / "killed")
    monkeypatch.undo()
    resumed = train(config, tmp_path / "killed")
    assert (resumed / "log.jsonl").read_bytes() == (whole / "log.jsonl").read_bytes()
    a, b = (torch.load(path / "checkpoint.pt", weights_only=True)["theta"] for path in (resumed, whole))
    assert torch.equal(a, b)


def test_norms_are_those_of_torch_with_their_gradients() -> None:
    x = torch.randn(2, 5, 3, 8, dtype=torch.float64, requires_grad=True)
    gain = torch.randn(2, 8, dtype=torch.float64, requires_grad=True)
    for ours, theirs in ((layer_norm, F.layer_norm), (rms_norm, F.rms_norm)):
        wanted = torch.stack([theirs(x[k], (8,), gain[k], eps=1e-6) for k in range(2)])
        torch.testing.assert_close(ours(x, gain), wanted)
        grads = [torch.autograd.grad(y.sin().sum(), (x, gain)) for y in (ours(x, gain), wanted)]
        torch.testing.assert_close(grads[0], grads[1])
        assert torch.autograd.gradgradcheck(ours, (x[:, :1, 0, :4].contiguous(), gain[:, :4].contiguous()))


def test_grouped_queries_and_biases_are_torchs_attention() -> None:
    """Against scaled_dot_product_attention with enable_gqa, from the same weights, without rotation at position 0."""
    ensemble = Ensemble([replace(BASE, kv_group=2, biases=True, qk_norm=False, d_head=8)])
    model, w = ensemble.model, weights.views(ensemble.theta + 0.1, ensemble.model.leaves)
    block = {name: w[f"0.{name}"] for name in ("qkv", "qkv_bias", "attention_out", "attention_out_bias")}
    x = torch.randn(1, 12, 32)
    ours = model._attention(block, x, Pass((12, 1)), "0")  # type: ignore[attr-defined]
    q, k, v = (x[0] @ block["qkv"][0] + block["qkv_bias"][0]).split([32, 16, 16], -1)
    q, k, v = (each.view(12, 1, -1, 8).transpose(1, 2) for each in (q, k, v))
    y = F.scaled_dot_product_attention(q, k, v, enable_gqa=True).transpose(1, 2).reshape(12, 32)
    torch.testing.assert_close(ours[0], y @ block["attention_out"][0] + block["attention_out_bias"][0])


@pytest.mark.parametrize("slots", [1, 2])
def test_experts_are_the_weighted_sum_of_the_dense_ones(slots: int) -> None:
    """Every expert applied to every token, and all but the best ones weighted zero."""
    x, logits = torch.randn(2, 9, 6), torch.randn(2, 9, 4)
    matrices, run = torch.randn(2 * 4, 6, 6), Pass((3, 3))
    gate, chosen = route(logits, slots, run, "router")
    ours = dispatch(x, gate, chosen, 4, lambda part, number: part @ matrices[number])
    every = torch.einsum("knd,kedf->knef", x, matrices.view(2, 4, 6, 6))
    probs = logits.softmax(-1)
    kept = torch.where(probs >= probs.topk(slots).values[..., -1:], probs, 0.0)
    kept = kept / kept.sum(-1, keepdim=True) if slots > 1 else kept
    torch.testing.assert_close(ours, torch.einsum("kne,knef->knf", kept, every))
    share = (kept > 0).float().mean(1) / slots
    torch.testing.assert_close(run.balance[0], 4 * (share * probs.mean(1)).sum(1))


def test_a_router_whose_experts_are_alike_has_balance_loss_one_and_one_expert_for_all_the_most() -> None:
    for bias, wanted in ((0.0, 1.0), (50.0, 4.0)):
        run = Pass((1, 400))
        logits = 1e-3 * torch.randn(1, 400, 4, generator=torch.Generator().manual_seed(0))
        logits[..., 0] += bias
        route(logits, 1, run, "router")
        assert run.balance[0].item() == pytest.approx(wanted, abs=2e-3)


def test_sizes_of_experts_count_all_and_those_that_a_token_passes() -> None:
    sizes = {e: weights.counts(Ensemble([replace(BASE, experts=e)]).model.leaves) for e in (1, 4)}
    sizes[2] = weights.counts(Ensemble([replace(BASE, experts=4, experts_per_token=2)]).model.leaves)
    layer, router = 2 * 32 * 128, 32 * 4
    assert sizes[4]["N_total"] - sizes[1]["N_total"] == 3 * layer + router
    assert sizes[4]["N"] - sizes[1]["N"] == router
    assert sizes[2]["N"] - sizes[4]["N"] == layer == sizes[2]["N_matrices"] - sizes[1]["N_matrices"]


def test_a_tied_embedding_counts_as_a_readout_though_once() -> None:
    """It multiplies the stream as a readout does: compute is that of the model whose readout is its own."""
    own, tied = (weights.counts(Ensemble([replace(BASE, tied=each)]).model.leaves) for each in (False, True))
    assert tied["N_readout"] == own["N_readout"] and tied["N"] == own["N"]
    assert own["N_total"] - tied["N_total"] == own["N_readout"] - own["N"] > 0


@pytest.mark.parametrize("share", [0.1, 0.8])
def test_a_share_that_is_not_a_half_is_dropped_as_well(share: float) -> None:
    """20,000 numbers: the share of zeros is within five standard errors of the one asked for."""
    run = Pass((1, 1000), keys_KB=torch.tensor([[7]]))
    kept = drop(torch.ones(1, 1000, 20), share, run, 0)
    assert (kept == 0).float().mean().item() == pytest.approx(share, abs=5 * (share * (1 - share) / 20_000) ** 0.5)
    assert kept.max().item() == pytest.approx(1 / (1 - share))


def test_dropout_drops_its_share_in_training_alone() -> None:
    config = replace(BASE, dropout=0.5, batch=1600, eval_batch=1600)
    ensemble, calm = Ensemble([config]), Ensemble([replace(config, dropout=0.0)])
    assert torch.equal(ensemble.evaluate()["val_loss"], calm.evaluate()["val_loss"])
    seen: dict[str, torch.Tensor] = {}
    ensemble.update(lambda name, value: seen.__setitem__(name, value.detach()))
    for name in ("embed", "0.attention_out", "0.mlp_out"):
        assert (seen[name] == 0).float().mean().item() == pytest.approx(0.5, abs=0.01)
    zeros = [(seen[name] == 0).flatten() for name in ("0.attention_out", "0.mlp_out")]
    assert (zeros[0] & zeros[1]).float().mean().item() == pytest.approx(0.25, abs=0.01)


def test_zero_queries_start_attention_as_a_mean_of_what_came_before() -> None:
    ensemble = Ensemble([replace(BASE, zero_query=True, qk_norm=False)])
    start = weights.views(ensemble.theta, ensemble.model.leaves)["0.qkv"][0]
    assert not start[:, :32].any()
    assert (start[:, 32:] != 0).all()
    seen: dict[str, torch.Tensor] = {}
    ensemble.update(lambda name, value: seen.__setitem__(name, value.detach()))
    logits = seen["0.attention_logit"]
    assert not logits[torch.isfinite(logits)].any()


def test_multipliers_are_factors_on_the_rate_of_embeddings_and_on_the_logits() -> None:
    plain, changed = (Ensemble([replace(BASE, **kw)]) for kw in ({}, {"embed_lr": 3.0, "output_mult": 0.5}))
    assert changed.factors.lr["embed"] == 3 * plain.factors.lr["embed"]
    ids = plain.batch(1)["tokens"]
    a, b = (e.model.logits(weights.views(e.theta, e.model.leaves), ids) for e in (plain, changed))  # type: ignore[attr-defined]
    torch.testing.assert_close(b, a * 0.5)


@pytest.mark.parametrize(
    "part",
    [{"norm_type": "rms", "kv_group": 2}, {"biases": True}, {"experts": 4}, {"tied": True}, {"optimizer": "muon"}],
)
def test_no_part_fails_the_coordinate_check_in_mup(part: dict[str, Any]) -> None:
    config = replace(BASE, lr=0.01, parametrization="mup", n_layer=2, batch=128, seq_len=32, **part)
    found = coordinate_check(config, (32, 64, 128), seeds=2, steps=4)
    assert not found.failed, found.lines


@pytest.mark.parametrize(
    ("part", "role", "rule"),
    [
        ({"optimizer": "muon", "lr": 0.05}, "hidden", {"muon": Update(lr=Power(width=1))}),
        ({"experts": 4}, "hidden", {"adam": Update()}),
    ],
)
def test_a_rate_that_grows_with_the_width_fails_it(part: dict[str, Any], role: str, rule: dict[str, Update]) -> None:
    table = replace(TABLE["mup"], **{role: replace(getattr(TABLE["mup"], role), **rule)})
    config = replace(BASE, **{"lr": 0.01, "parametrization": "mup", "n_layer": 2, "batch": 128, "seq_len": 32, **part})
    assert coordinate_check(config, (32, 64, 128), seeds=2, steps=4, table=table).failed


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"kv_group": 3}, "kv_group=3"),
        ({"experts": 2, "experts_per_token": 3}, "experts_per_token=3"),
        ({"norm_type": "batch"}, "norm_type from layer, rms"),
        ({"dropout": 1.0}, "dropout is 1"),
        ({"weight_bits": 1}, "weight_bits is 1"),
        ({"temperature": 0.0}, "temperature is 0"),
        ({"weight_bits": 2, "weight_group": 3}, "columns of 32 weights cannot be cut into groups of weight_group=3"),
        ({"weight_bits": 2, "weight_group": 16, "d_ff": 24}, "columns of 24 weights"),
        ({"weight_group": 4}, "weight_group without weight_bits"),
        ({"model": "mlp", "data": "sparse-parity", "experts": 2}, "model 'mlp' has no experts"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(bad: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said.replace("(", r"\(")) as caught:
        Ensemble([replace(BASE, **bad)])
    assert "\n" not in str(caught.value)
