"""Tables of parametrisations, defaults of a run and what is refused, value by value; spectra of small matrices."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from scalefit.errors import InputError  # noqa: E402
from scalefit.proxy.config import Config  # noqa: E402
from scalefit.proxy.curvature import lanczos  # noqa: E402
from scalefit.proxy.ensemble import Ensemble  # noqa: E402
from scalefit.proxy.models.parametrization import Power, Update, at, parametrization  # noqa: E402
from scalefit.proxy.tasks.synthetic import SparseParity, ZipfMarkov, entropy  # noqa: E402

ROLES = ("embed", "gain", "final", "hidden", "readout")
#: at width ratio 4 and depth ratio 9, by role: initial std, forward; then learning rate, decay, epsilon of Adam and SGD
HALF, FOURTH, ONES = 1 / 2, 1 / 4, (1,) * 5
PLAIN = {"adam": (ONES, (1, 0, 0, 1, 1), ONES), "sgd": (ONES, (1, 0, 0, 1, 1), ONES)}
MUP_SGD = ((4, 4, 4, 1, 4), (FOURTH, 0, 0, 1, FOURTH), ONES)
LAYERWISE = {
    "adam": ((1, 1, 1, FOURTH, FOURTH), (1, 0, 0, 4, 4), ONES),
    "sgd": ((4, 1, 1, 1, FOURTH), (FOURTH, 0, 0, 1, 4), ONES),
}
MUP = {"adam": ((1, 1, 1, FOURTH, 1), (1, 0, 0, 4, 1), (FOURTH,) * 5), "sgd": MUP_SGD}
DEPTH_MUP = {
    "adam": ((1, 1 / 3, 1, FOURTH / 3, 1), (1, 0, 0, 4, 1), (FOURTH, FOURTH / 3, FOURTH, FOURTH / 3, FOURTH)),
    "sgd": MUP_SGD,
}
COMPLETEP = {
    "adam": ((1, 1, 1, FOURTH, 1), (1, 0, 0, 4, 1), (FOURTH, FOURTH / 9, FOURTH, FOURTH / 9, FOURTH)),
    "sgd": ((4, 36, 4, 9, 4), *MUP_SGD[1:]),
}
EXPECTED = {
    "sp": ((1, 1, 1, HALF, HALF), ONES, PLAIN),
    "sp-layerwise": ((1, 1, 1, HALF, HALF), ONES, LAYERWISE),
    "ntk": (ONES, (1, 1, 1, HALF, HALF), PLAIN),
    "mup": ((1, 1, 1, HALF, 1), (1, 1, 1, 1, FOURTH), MUP),
    "depth-mup": ((1, 1, 1, HALF, 1), (1, 1, 1, 1, FOURTH), DEPTH_MUP),
    "completep": ((1, 1, 1, HALF, 1), (1, 1, 1, 1, FOURTH), COMPLETEP),
}


@pytest.mark.parametrize("kind", ["adam", "sgd"])
@pytest.mark.parametrize("name", EXPECTED)
def test_factors_of_every_role_at_four_times_the_width_and_nine_times_the_depth(name, kind):
    """arXiv:2203.03466 (mup), 2310.02244 (depth-mup), 2505.01618 (completep), 2407.05872 (per-layer rates)."""
    found = at(parametrization(name), kind=kind, m=4.0, m_L=9.0, m_head=16.0)
    std, forward, updates = EXPECTED[name]
    assert [found.std[role] for role in ROLES] == pytest.approx(std)
    assert [found.forward[role] for role in ROLES] == pytest.approx(forward)
    for told, wanted in zip((found.lr, found.decay, found.eps), updates[kind], strict=True):
        assert [told[role] for role in ROLES] == pytest.approx(wanted)
    assert found.residual == pytest.approx({"depth-mup": 1 / 3, "completep": 1 / 9}.get(name, 1))
    assert found.attention == (FOURTH if "mup" in name or name == "completep" else 1)
    assert found.width == 4


def test_powers_multiply():
    product = Power(1, 2, 3) * Power(0.5, -1, 2)
    assert product == Power(1.5, 1, 6)
    assert product(4.0, 3.0) == 6 * 8 * 3
    one, two = Update(Power(1), Power(2), Power(3)), Update(Power(0, 1), Power(0, 2), Power(0, 3))
    assert one * two == Update(Power(1, 1), Power(2, 2), Power(3, 3))
    same = at(parametrization("completep"), kind="adam")
    assert set(same.lr.values()) | set(same.std.values()) | set(same.forward.values()) == {1.0}


#: a run keeps its name as long as these stay: the name is a hash of what differs from them
DEFAULTS = {
    "model": "decoder",
    "parametrization": "sp",
    "d_model": 64,
    "n_layer": 2,
    "n_encoder_layer": 2,
    "encoder_width": 0,
    "encoder_ff": 0,
    "d_head": 16,
    "d_ff": 0,
    "seq_len": 64,
    "norm": "pre",
    "activation": "gelu",
    "qk_norm": True,
    "tied": False,
    "zero_readout": True,
    "embed_std": 0.1,
    "init_scale": 1.0,
    "base_width": 32,
    "base_depth": 2,
    "base_d_head": 0,
    "optimizer": "adamw",
    "optimizer_options": {},
    "lr": 1e-2,
    "weight_decay": 0.0,
    "independent_decay": True,
    "clip": 1.0,
    "spike_every": 0,
    "spike_size": 1000.0,
    "spike_share": 0.01,
    "z_loss": 0.0,
    "schedule": "cosine",
    "steps": 1000,
    "warmup": 50,
    "final_ratio": 0.0,
    "data": "stdlib",
    "data_options": {},
    "val": {},
    "batch": 1024,
    "accumulate": 1,
    "seed": 0,
    "data_seed": 0,
    "eval_every": 100,
    "eval_batch": 16384,
    "probe_every": 0,
    "curvature_every": 0,
    "precision": "fp32",
    "device": "cpu",
    "compile": False,
    "checkpoint_every": 500,
    "flush_every": 50,
    "name": "",
    "norm_type": "layer",
    "kv_group": 1,
    "biases": False,
    "dropout": 0.0,
    "experts": 1,
    "experts_per_token": 1,
    "balance": 0.01,
    "zero_query": False,
    "embed_lr": 1.0,
    "output_mult": 1.0,
    "weight_bits": 0,
    "teacher": "",
    "start": "",
    "weight_group": 0,
    "distill": 1.0,
    "temperature": 1.0,
    "mixture": {},
    "sources": {},
    "tokenizer": "",
    "spike_examples": 0,
}


def test_what_names_a_run():
    assert Config().as_dict() == DEFAULTS
    assert Config(device="cuda", name="a", flush_every=7).identity() == Config().identity()
    assert Config(lr=0.02).identity() != Config().identity()
    assert len(Config().identity()) == 12
    assert Config(lr=0.02, seed=3, schedule="linear").pack_key() == Config().pack_key()
    assert Config(steps=2000).pack_key() != Config().pack_key()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"d_model": 0}, "d_model is 0; give a value of at least 1"),
        ({"warmup": -1}, "warmup is -1"),
        ({"base_width": 0}, "base_width is 0"),
        ({"eval_every": 0}, "eval_every is 0"),
        ({"d_ff": -1}, "d_ff is -1"),
        ({"spike_size": -1.0}, "spike_size is -1"),
        ({"clip": math.nan}, "clip is nan"),
        ({"batch": 100}, "choose batch=64"),
        ({"batch": 10}, "choose batch=64"),
        ({"accumulate": 3}, "is not a multiple of 3 × 64 tokens; choose batch=960"),
        ({"spike_share": 1.01}, "spike_share is 1.01"),
        ({"precision": "fp16"}, "choose fp32 or bf16"),
        ({"lr": math.inf}, "lr is inf"),
        ({"steps": 2**53}, "steps has 14 hexadecimal digits"),
        ({"name": "a/b"}, "name is"),
        ({"name": ".."}, "name is"),
        ({"name": "a\\b"}, "name is"),
        ({"optimizer_options": {"beta1": math.nan}}, "optimizer_options.beta1"),
    ],
)
def test_runs_that_cannot_be(given, said):
    with pytest.raises(InputError) as caught:
        Config(**given)
    assert said in str(caught.value)


def test_runs_that_just_can():
    assert Config(spike_share=1.0, steps=2**53 - 1, d_model=1, warmup=0, clip=0.0).spike_share == 1.0
    assert Config().examples == 16
    assert Config(model="mlp", batch=100).examples == 100
    assert Config(batch=1024, accumulate=16).examples == 16
    for values, said in (
        ({"d_model": 3.5}, "d_model = 3.5 is not of type int"),
        ({"qk_norm": 1}, "qk_norm = 1 is not of type bool"),
        ({"d_model": True}, "is not of type int"),
        ({"lr": "x"}, "is not of type float"),
        ({"lr": 2**53}, "is not of type float"),
        ({"val": {"a": 1}}, "is not of type dict"),
        ({"optimizer_options": {"a": "b"}}, "is not of type dict"),
    ):
        with pytest.raises(InputError, match=said):
            Config.read(values)
    assert Config.read({"lr": 1}).lr == 1.0
    assert isinstance(Config.read({"lr": 1}).lr, float)
    assert Config.read({"val": {"a": "b"}, "optimizer_options": {"beta1": 1}}).val == {"a": "b"}


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, "cosine:peak_lr=0.01,steps=1000,warmup=50,final=0"),
        ({"final_ratio": 0.1}, "cosine:peak_lr=0.01,steps=1000,warmup=50,final=0.001"),
        (
            {"schedule": "cosine:peak_lr=0.02", "final_ratio": 0.1},
            "cosine:peak_lr=0.02,steps=1000,warmup=50,final=0.002",
        ),
        ({"schedule": "wsd:decay_steps=200"}, "wsd:peak_lr=0.01,steps=1000,warmup=50,decay_steps=200,final=0"),
        ({"schedule": "linear:steps=70,warmup=3"}, "linear:peak_lr=0.01,steps=70,warmup=3,final=0"),
        ({"schedule": "constant"}, "constant:steps=1000,peak_lr=0.01,warmup=50"),
    ],
)
def test_the_schedule_of_a_run(given, text):
    kind, _, rest = text.partition(":")
    told = Config(**given).lr_schedule().text
    assert told.partition(":")[0] == kind
    assert set(told.partition(":")[2].split(",")) == set(rest.split(","))


@pytest.mark.parametrize("schedule", ["constant", "linear:steps=50,warmup=40,final=0"])
def test_a_run_that_ends_within_its_warmup_decays_by_its_share_of_the_peak(schedule):
    """Independently of the learning rate: 10 of 40 steps of warmup are a quarter of the decay, whatever the peak."""
    member = Config(schedule=schedule, steps=10, warmup=40, weight_decay=0.2, data="pydoc", eval_batch=64)
    ensemble = Ensemble(
        [replace(member, lr=lr, independent_decay=each) for lr in (0.04, 0.4) for each in (True, False)]
    )
    decays = ensemble.decay_KS[:, 10].tolist()
    assert decays == pytest.approx([0.2 / 4, 0.2 * 0.04 / 4, 0.2 / 4, 0.2 * 0.4 / 4])


def test_sizes_relative_to_the_base():
    found = Config(parametrization="completep", d_model=128, n_layer=6, base_d_head=4).factors()
    wanted = at(parametrization("completep"), kind="adam", m=4.0, m_L=3.0, m_head=4.0)
    assert found == wanted
    assert Config(parametrization="mup", d_model=128).factors().attention == 1


@pytest.mark.parametrize("iterations", [4, 9])
def test_ends_of_the_spectrum_of_a_matrix(iterations):
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((2, 4, 4))
    matrix = torch.tensor(matrix + matrix.swapaxes(1, 2))
    start = torch.tensor(rng.standard_normal((2, 4)))
    found = lanczos(lambda v: torch.einsum("kij,kj->ki", matrix, v), start, iterations)
    for member in range(2):
        values, vectors = np.linalg.eigh(matrix[member].numpy())
        assert float(found.largest[member]) == pytest.approx(values[-1])
        assert float(found.smallest[member]) == pytest.approx(values[0])
        assert abs(float(found.vector[member] @ torch.tensor(vectors[:, -1]))) == pytest.approx(1)
        assert float(found.residual[member]) < 1e-9


def test_the_entropy_of_a_distribution():
    assert entropy(np.array([[0.5, 0.5], [1.0, 0.0]])).tolist() == pytest.approx([np.log(2), 0])
    language = ZipfMarkov(vocab=5, order=1, exponent=1.0, concentration=4.0, seed=0)
    assert language.rows.sum(axis=1) == pytest.approx(np.ones(5))
    assert language.stationary @ language.rows == pytest.approx(language.stationary)
    assert language.entropy_rate == pytest.approx(float(language.stationary @ entropy(language.rows)))
    drawn = language.sample(20, 2000, seed=3)
    counts = np.zeros((5, 5))
    np.add.at(counts, (drawn[:, :-1].ravel(), drawn[:, 1:].ravel()), 1)
    np.testing.assert_allclose(counts / counts.sum(axis=1, keepdims=True), language.rows, atol=0.03)


def test_sparse_parity_by_its_definition():
    source = SparseParity(tasks=4, bits=6, k=2, alpha=0.5, seed=1)
    batch = source.draw(np.random.default_rng(0), 20_000)
    x, y = batch["x"].numpy(), batch["y"].numpy()
    task, bits = x[:, :4].argmax(axis=1), x[:, 4:]
    assert (x[:, :4].sum(axis=1) == 1).all()
    for row in range(50):
        assert y[row] == bits[row, source.subset[task[row]]].sum() % 2
    weight = np.arange(1, 5.0) ** -1.5
    np.testing.assert_allclose(np.bincount(task) / 20_000, weight / weight.sum(), atol=0.015)
    assert (source.inputs, source.subset.shape) == (10, (4, 2))
    noisy = SparseParity(tasks=1, bits=3, k=3, noise=0.25, seed=1).draw(np.random.default_rng(0), 8000)
    parity = noisy["x"].numpy()[:, 1:].sum(axis=1) % 2
    assert np.mean(parity != noisy["y"].numpy()) == pytest.approx(0.25, abs=0.02)
    for given in ({"k": 0}, {"k": 7, "bits": 6}, {"tasks": 0}):
        with pytest.raises(InputError, match="choose 1 <= k <= bits"):
            SparseParity(**given)
    assert SparseParity(k=6, bits=6).k == 6


@pytest.mark.parametrize("given", [{"vocab": 1}, {"order": 0}, {"vocab": 2, "order": 26}, {"concentration": 0.0}])
def test_languages_that_cannot_be(given):
    with pytest.raises(InputError, match="choose vocab >= 2"):
        ZipfMarkov(**({"vocab": 3, "order": 1, "exponent": 1.0, "concentration": 4.0, "seed": 0} | given))
