"""What run.json says of sizes and compute, against the operations that torch counts."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from scalefit.proxy import Config, Ensemble  # noqa: E402
from scalefit.proxy.facts import _of_model, facts, gpu_name  # noqa: E402
from scalefit.proxy.models import weights  # noqa: E402

torch.set_num_threads(1)
WIDTH, STEPS, T = 32, 5, 4
BASE: dict[str, Any] = {"d_model": WIDTH, "d_head": 8, "n_layer": 1, "seq_len": T, "batch": 64, "eval_batch": 64}
BASE |= {"steps": STEPS, "warmup": 1}
TEXT = {"data": "zipf-markov", "data_options": {"tokens": 5000, "vocab": 8, "order": 1}}
TWO_GRAMMARS = {"mixture": {"a": 1, "b": 1}, "sources": {"a": "postfix", "b": "postfix:variables=4"}}
PARITY = {"model": "mlp", "data": "sparse-parity"}


def told(shape: dict[str, Any]) -> tuple[Ensemble, dict[str, Any]]:
    config = Config.read(BASE | shape)
    ensemble = Ensemble([config])
    sizes = weights.counts(ensemble.model.leaves)
    return ensemble, facts(config, sizes, ensemble.validation, STEPS, ensemble.device)


@pytest.mark.parametrize(
    "shape",
    [
        TEXT,
        TEXT | {"tied": True},
        TEXT | {"experts": 4, "experts_per_token": 2},
        TEXT | {"kv_group": 2, "d_ff": 24, "activation": "swiglu"},
        {"model": "encoder-decoder", "data": "translation"},
        {"model": "encoder-decoder", "data": "postfix", "seq_len": 7, "batch": 56, "encoder_width": 16},
        {"model": "encoder-decoder", "seq_len": 7, "batch": 56} | TWO_GRAMMARS,
        PARITY,
        PARITY | {"n_layer": 3},
    ],
)
def test_compute_is_what_torch_counts(shape: dict[str, Any]) -> None:
    """But for gains and biases, that cost less than a matrix of their size, and attention, which torch leaves out: 12
    FLOP for each number of a query and each place that it looks at, of an encoder for each token that is read."""
    ensemble, run = told(shape)
    theta = ensemble.theta.clone().requires_grad_()
    with FlopCounterMode(display=False) as counted:
        ensemble.model.losses(ensemble.weights(theta), ensemble.batch(1))[0].sum().backward()
    c, batch = ensemble.config, ensemble.config.batch
    looked = 0 if c.model == "mlp" else c.seq_len * WIDTH
    if c.model == "encoder-decoder":
        read = ensemble.batch(1)["source"].shape[-1]
        looked += read * WIDTH + read / c.seq_len * read * (c.encoder_width or WIDTH) * c.n_encoder_layer
    assert run["flops_per_token"] - 12 * looked == pytest.approx(counted.get_total_flops() / batch, rel=0.02)
    assert run["C"] == run["flops_per_token"] * run["D"]
    assert run["D"] == STEPS * batch


@pytest.mark.parametrize("layers", [1, 3])
def test_the_first_layer_of_an_mlp_is_no_embedding(layers: int) -> None:
    ensemble, run = told(PARITY | {"n_layer": layers})
    own = sum(p.numel() for p in _mlp(ensemble.source.inputs, layers).parameters())
    assert (run["N"], run["N_matrices"]) == (own, (layers - 1) * WIDTH**2)
    assert run["N_total"] == run["N_readout"] == own + WIDTH * ensemble.source.vocab


def _mlp(inputs: int, layers: int) -> torch.nn.Module:
    return torch.nn.Sequential(
        torch.nn.Linear(inputs, WIDTH), *(torch.nn.Linear(WIDTH, WIDTH) for _ in range(layers - 1))
    )


@pytest.mark.parametrize(
    ("precision", "asked", "bits"), [("fp32", 0, 32), ("fp32", 4, 4), ("bf16", 0, 16), ("bf16", 4, 4), ("bf16", 20, 16)]
)
def test_the_bits_of_weights_are_those_of_the_arithmetic_at_most(precision: str, asked: int, bits: int) -> None:
    config = Config.read(BASE | TEXT | {"precision": precision, "weight_bits": asked})
    assert _of_model(config)["precision_w"] == bits


def test_a_gpu_is_named_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {device}")
    for there, name in ((True, "GPU 0"), (False, "")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert gpu_name() == name
