"""Data sources: held-out files, reproducible batches, languages with exactly known laws."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from scalefit.errors import InputError  # noqa: E402
from scalefit.proxy.tasks.data import from_texts, open_source, standard_library  # noqa: E402
from scalefit.proxy.tasks.synthetic import SparseParity, ZipfMarkov, zipf_markov  # noqa: E402

torch.set_num_threads(1)


def test_batches_depend_on_seed_and_step_alone() -> None:
    source = open_source("stdlib", 32)
    a = source.batch(3, 7, 4)["tokens"]
    assert torch.equal(a, source.batch(3, 7, 4)["tokens"])
    assert not torch.equal(a, source.batch(3, 8, 4)["tokens"])
    assert not torch.equal(a, source.batch(4, 7, 4)["tokens"])
    assert a.shape == (4, 33)


def test_whole_files_of_the_standard_library_are_held_out_and_hashes_recorded() -> None:
    source = open_source("stdlib", 32)
    facts = source.facts
    assert facts["texts"] + facts["held_out_texts"] == len(standard_library())
    assert 0.02 < facts["held_out_texts"] / len(standard_library()) < 0.1
    assert len(facts["sha256"]) == len(facts["held_out_sha256"]) == 64
    assert facts["sha256"] != facts["held_out_sha256"]
    for whole in (source, open_source("pydoc", 32)):  # by default all of a text is drawn from
        assert whole.facts["tokens"] > 100_000
        assert (whole.examples, whole.passes) == (0, 0)


def test_no_training_window_overlaps_the_held_out_text() -> None:
    texts = {f"file {i}": bytes([i]) * 200 for i in range(200)}
    source = from_texts(texts, 16, "test")
    held = set(source.held_out(500)["tokens"].flatten().tolist())
    seen = set(source.batch(0, 1, 5000)["tokens"].flatten().tolist())
    assert held & seen <= {10}  # the newline between texts


def test_a_batch_of_all_fixed_windows_is_the_same_at_every_step() -> None:
    source = from_texts({"a": bytes(range(256)) * 8, "b": b"x" * 400}, 16, "test", examples=12)
    whole = source.batch(0, 1, 12)["tokens"]
    assert torch.equal(whole, source.batch(3, 9, 12)["tokens"])
    part = source.batch(0, 5, 4)["tokens"]
    assert all((whole == row).all(dim=1).any() for row in part)
    assert not torch.equal(part, source.batch(0, 6, 4)["tokens"])


def test_a_share_of_the_labels_is_wrong_as_often_as_is_said() -> None:
    clean, noisy = (SparseParity(bits=10, k=2, tasks=4, noise=noise) for noise in (0.0, 0.2))
    a, b = clean.batch(0, 1, 4000), noisy.batch(0, 1, 4000)
    assert torch.equal(a["x"], b["x"])
    assert (a["y"] != b["y"]).float().mean().item() == pytest.approx(0.2, abs=0.03)


def test_limit_keeps_the_first_tokens() -> None:
    texts = {f"{i}": bytes([i]) * 200 for i in range(200)}
    source = from_texts(texts, 16, "test", limit=300)
    assert source.facts["tokens"] == 300
    assert len(source.batch(0, 1, 2000)["tokens"].unique()) <= 3


def test_user_files(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("all work and no play " * 50)
    assert open_source(str(tmp_path / "a.txt"), 8).batch(0, 1, 2)["tokens"].shape == (2, 9)
    (tmp_path / "b.jsonl").write_text("\n".join(json.dumps({"text": f"line {i}"}) for i in range(200)))
    assert open_source(str(tmp_path / "b.jsonl"), 8).facts["texts"] > 150
    np.save(tmp_path / "c.npy", np.arange(1000, dtype=np.uint16))
    tokens = open_source(str(tmp_path / "c.npy"), 8)
    assert tokens.vocab == 1000
    assert tokens.held_out(5)["tokens"].min() >= 950
    np.arange(500, dtype=np.uint16).tofile(tmp_path / "d.bin")
    assert open_source(str(tmp_path / "d.bin"), 8, {"vocab": 512}).vocab == 512


@pytest.mark.parametrize(
    ("names", "held", "unused"),
    [
        (("dev.txt", "train.txt"), {"dev.txt"}, set()),
        (("test.txt", "train.txt", "valid.txt"), {"valid.txt"}, {"test.txt"}),
        (("test/a.txt", "training/a.txt", "training/test.txt"), {"test/a.txt"}, set()),
        (("test.jsonl", "train-1.jsonl", "train-2.jsonl"), {"test.jsonl"}, set()),
    ],
)
def test_texts_are_held_out_by_the_names_of_splits(names, held, unused, tmp_path: Path) -> None:
    """Each text has a letter of its own; the hash of the names would hold out others."""
    for letter, name in zip("abc", names, strict=False):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        lines = "\n".join([json.dumps({"text": letter * 60})] * 9)
        (tmp_path / name).write_text(lines if name.endswith(".jsonl") else letter * 500)
    source = open_source(str(tmp_path), 8)
    letters = {ord(letter): name for letter, name in zip("abc", names, strict=False)}
    for batch, wanted in ((source.held_out(50), held), (source.batch(0, 1, 99), set(names) - held - unused)):
        assert {letters[each] for each in set(batch["tokens"].flatten().tolist()) - {10}} == wanted


def test_bad_data_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("too short")
    (tmp_path / "bad.jsonl").write_text('{"text": "x"}\n{"no": 1}\n')
    for name, words in (("nowhere", "no data"), ("short.txt", "shorter"), ("bad.jsonl", "line 2")):
        path = name if name == "nowhere" else str(tmp_path / name)
        with pytest.raises(InputError, match=words):
            open_source(path, 64)
    np.save(tmp_path / "low.npy", np.arange(-1, 500))
    np.save(tmp_path / "real.npy", np.ones(500))
    (tmp_path / "odd.bin").write_bytes(b"odd")
    for name in ("low.npy", "real.npy", "odd.bin"):
        with pytest.raises(InputError, match=name):
            open_source(str(tmp_path / name), 8)
    for name, options, words in (
        ("stdlb", {}, "did you mean 'stdlib'"),
        ("stdlib", {"limits": 3}, "did you mean 'limit'"),
        ("zipf-markov", {"vocb": 3}, "did you mean 'vocab'"),
        ("zipf-markov", {"vocab": "x"}, "not a finite number"),
        ("zipf-markov", {"tokens": math.nan}, "not a finite number"),
        ("zipf-markov", {"concentration": -1.0}, "concentration > 0"),
        ("sparse-parity", {"bit": 3}, "did you mean 'bits'"),
    ):
        with pytest.raises(InputError, match=words):
            open_source(name, 64, options)  # type: ignore[arg-type]


@pytest.mark.parametrize("order", [1, 2])
def test_entropy_rate_is_that_of_a_long_sample(order: int) -> None:
    """By counting (order + 1)-grams: a plug-in estimate that knows nothing of rows or stationarity."""
    language = ZipfMarkov(vocab=6, order=order, concentration=3.0)
    tokens = language.sample(chains=400, length=2000, seed=5).astype(np.int64)
    grams = sum(tokens[:, i : 2000 - order + i] * 6 ** (order - i) for i in range(order + 1))
    joint = np.bincount(grams.ravel(), minlength=6 ** (order + 1)) / grams.size
    context = joint.reshape(-1, 6).sum(1)
    estimate = _entropy(joint) - _entropy(context)
    assert language.entropy_rate == pytest.approx(estimate, rel=2e-3)


def _entropy(p: np.ndarray) -> float:
    return float(-sum(x * math.log(x) for x in p.ravel() if x > 0))


def test_stationary_distribution_is_the_leading_eigenvector() -> None:
    language = ZipfMarkov(vocab=5, order=2)
    chain = np.zeros((25, 25))
    for context in range(25):
        for token in range(5):
            chain[context, (context * 5 + token) % 25] += language.rows[context, token]
    values, vectors = np.linalg.eig(chain.T)
    leading = np.real(vectors[:, np.argmax(values.real)])
    assert np.allclose(language.stationary, leading / leading.sum(), atol=1e-12)


def test_floor_counts_the_first_tokens_of_a_window() -> None:
    first = ZipfMarkov(vocab=6, order=1)
    assert first.floor(10) == pytest.approx(first.entropy_rate)
    second = ZipfMarkov(vocab=6, order=2)
    pairs = second.stationary.reshape(6, 6)
    one_known = _entropy(pairs) - _entropy(pairs.sum(0))
    assert second.floor(4) == pytest.approx((one_known + 3 * second.entropy_rate) / 4)
    assert second.floor(1000) == pytest.approx(second.entropy_rate, rel=1e-2)


def test_zipf_markov_records_its_floor_and_has_a_zipf_like_head() -> None:
    source = zipf_markov(16, tokens=2**16, vocab=16, order=1)
    assert 0 < source.facts["entropy_rate"] <= source.facts["loss_floor"] < math.log(16)
    frequency = torch.bincount(source.batch(0, 1, 500)["tokens"].flatten(), minlength=16)
    assert frequency[0] > 2 * frequency[8:].max()


def test_sparse_parity_labels_are_the_parity_of_the_tasks_bits() -> None:
    task = SparseParity(tasks=5, bits=12, k=3)
    batch = task.batch(0, 1, 400)
    number = batch["x"][:, :5].argmax(1).numpy()
    bits = batch["x"][:, 5:].numpy()
    label = [int(bits[i, task.subset[n]].sum()) % 2 for i, n in enumerate(number)]
    assert batch["y"].tolist() == label
    assert np.bincount(number, minlength=5)[0] > np.bincount(number, minlength=5)[4]


def test_sparse_parity_with_a_fixed_pool_repeats_examples() -> None:
    pool = SparseParity(tasks=3, bits=20, examples=10)
    rows = torch.cat([pool.batch(0, step, 50)["x"] for step in range(5)])
    assert len(rows.unique(dim=0)) == 10


def test_held_out_examples_are_not_those_of_a_fixed_pool_nor_of_any_batch() -> None:
    pool = SparseParity(tasks=3, bits=40, examples=16)
    held = {tuple(row) for row in pool.held_out(16)["x"].tolist()}
    assert len(held) == 16
    assert not held & {tuple(row) for row in pool.batch(0, 1, 16)["x"].tolist()}
    endless = SparseParity(tasks=3, bits=40)
    for seed in (0, 1):
        for step in (0, 1, 2):
            assert not held & {tuple(row) for row in endless.batch(seed, step, 16)["x"].tolist()}


def test_windows_are_neighbouring_tokens_of_one_row(tmp_path: Path) -> None:
    np.save(tmp_path / "c.npy", np.arange(1000, dtype=np.uint16))
    source = open_source(str(tmp_path / "c.npy"), 8)
    for windows in (source.held_out(5)["tokens"], source.batch(0, 1, 20)["tokens"]):
        assert (windows.diff(dim=1) == 1).all()
    assert source.held_out(5)["tokens"][-1, -1] == 999  # the last window ends with the text
