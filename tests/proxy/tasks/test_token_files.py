"""Files and folders of tokens: what is read, what is held out, and what is not read."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from scalefit.errors import InputError  # noqa: E402
from scalefit.proxy.tasks import files  # noqa: E402
from scalefit.proxy.tasks.data import TokenSource, open_source  # noqa: E402
from scalefit.proxy.tasks.shelves import Shelf, shuffled  # noqa: E402

TOKENS = np.random.default_rng(0).integers(0, 90000, size=4000)


def write(path: Path, tokens: np.ndarray, magic: int = 0, bits: int = 16) -> Path:
    """A .bin with the header of llm.c where a magic number is given: that, a version, the number of tokens."""
    head = np.zeros(256, np.int32)
    head[:3] = magic, 1, len(tokens)
    body = tokens.astype(np.uint32 if bits == 32 else np.uint16).tobytes()
    path.write_bytes((head.tobytes() if magic else b"") + body)
    return path


def opened(path: Path, **options: float) -> TokenSource:
    source = open_source(str(path), 16, options)
    assert isinstance(source, TokenSource)
    return source


@pytest.mark.parametrize(
    ("magic", "bits", "options"),
    [(20240520, 16, {}), (20240801, 32, {}), (0, 16, {}), (0, 32, {"bits": 32})],
)
def test_a_bin_is_read_with_or_without_a_header(tmp_path: Path, magic: int, bits: int, options: dict[str, int]) -> None:
    tokens = TOKENS if bits == 32 else TOKENS % 50000
    source = opened(write(tmp_path / "a.bin", tokens, magic, bits), **options)
    assert source.facts["tokens"] == 3800 and source.facts["held_out_tokens"] == 200
    assert source.vocab == tokens.max() + 1
    window = source.batch(0, 1, 4)["tokens"].numpy()
    text = tokens[:3800].astype("<i8").tobytes()
    assert all(row.astype("<i8").tobytes() in text for row in window)
    held = source.held_out(5)["tokens"].numpy()
    assert held[0].tolist() == tokens[3800:3817].tolist()
    assert held[-1].tolist() == tokens[-17:].tolist()


def test_shards_are_one_text_without_windows_across_them_and_the_one_named_val_is_held_out(tmp_path: Path) -> None:
    parts = {"train_0.bin": np.full(300, 1), "train_1.bin": np.full(50, 2), "train_2.bin": np.full(10, 3)}
    for name, tokens in (parts | {"val.bin": np.full(40, 4)}).items():
        write(tmp_path / name, tokens)
    source = opened(tmp_path)
    assert source.facts["shards"] == 3 and source.facts["tokens"] == 360
    drawn = source.batch(0, 1, 2000)["tokens"]
    assert (drawn == drawn[:, :1]).all()
    share = (drawn[:, 0] == 2).float().mean().item()
    assert share == pytest.approx(34 / (284 + 34), abs=0.03)  # windows of 17 in 300 and 50 tokens; none in 10
    assert set(source.held_out(9)["tokens"].flatten().tolist()) == {4}
    assert set(opened(tmp_path, limit=320).batch(0, 1, 500)["tokens"].flatten().tolist()) == {1, 2}


@pytest.mark.parametrize(
    ("train", "held", "neither"),
    [
        (["train/0", "train/1"], ["val/0", "val/1"], []),  # folders say it
        (["web_train_0", "web_train_1"], ["web_test_0"], []),
        (["a0"], ["validation-0", "eval_1"], ["test-0"]),
        (["interval0", "medieval1"], ["news2"], []),  # parts of other words say nothing, so the last one is held out
        (["latest0"], ["val"], []),
        (["train/0", "train/1.npy", "train/1.bin"], ["train/val_2"], []),  # one name twice
    ],
)
def test_shards_that_are_held_out_are_not_trained_on(
    train: list[str], held: list[str], neither: list[str], tmp_path: Path
) -> None:
    names = [*train, *held, *neither]
    for token, name in enumerate(names):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        if name.endswith(".npy"):
            np.save(tmp_path / name, np.full(60, token))
        else:
            write((tmp_path / name).with_suffix(".bin"), np.full(60, token))
    source = opened(tmp_path)
    seen = {int(token) for token in source.batch(0, 1, 300)["tokens"].unique()}
    assert seen == {names.index(name) for name in train}
    assert {int(token) for token in source.held_out(60)["tokens"].unique()} == {names.index(name) for name in held}


@pytest.mark.parametrize("name", ["only", "val"])
def test_of_a_single_shard_the_end_is_held_out(name: str, tmp_path: Path) -> None:
    write(tmp_path / f"{name}.bin", np.arange(400))
    source = opened(tmp_path)
    assert (source.facts["tokens"], int(source.held_out(1)["tokens"][0, 0])) == (380, 380)


def test_nothing_is_scanned_where_the_vocabulary_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "SCANNED", 100)
    path = write(tmp_path / "a.bin", TOKENS % 50000)
    with pytest.raises(InputError, match=r"too many to read for their vocabulary .*--set data_options.vocab="):
        opened(path)
    read: list[int] = []
    monkeypatch.setattr(files, "_vocabulary", lambda *_: read.append(1))
    assert opened(path, vocab=50000).vocab == 50000
    assert not read


def test_a_token_outside_of_what_was_said_is_refused_when_it_is_read(tmp_path: Path) -> None:
    source = opened(write(tmp_path / "a.bin", np.full(400, 7)), vocab=7)
    with pytest.raises(InputError, match="tokens run from 7 to 7, but the vocabulary has 7"):
        source.batch(0, 1, 2)


@pytest.mark.parametrize("bad", [{"bits": 8}, {"bts": 16}])
def test_what_is_no_option_is_refused(tmp_path: Path, bad: dict[str, int]) -> None:
    with pytest.raises(InputError):
        opened(write(tmp_path / "a.bin", TOKENS % 50000), **bad)


@pytest.mark.parametrize("size", [1, 2, 5, 64, 65, 1000])
def test_an_order_is_a_permutation_and_each_turn_has_its_own(size: int) -> None:
    orders = [shuffled(np.arange(size), size, seed, turn) for seed, turn in ((0, 0), (0, 1), (1, 0))]
    assert all(sorted(order) == list(range(size)) for order in orders)
    if size >= 64:
        assert all((a != b).mean() > 0.8 for a, b in ((orders[0], orders[1]), (orders[0], orders[2])))
        assert (orders[0] != np.arange(size)).mean() > 0.8
        assert (np.diff(orders[0]) != 1).mean() > 0.8


def test_each_number_goes_everywhere_alike() -> None:
    """Over 1000 turns of 5 places: each place 200 times, with a standard deviation of 13."""
    places = np.array([shuffled(np.array([3]), 5, 0, turn)[0] for turn in range(1000)])
    assert np.abs(np.bincount(places, minlength=5) - 200).max() < 52


def test_a_pass_predicts_every_token_once() -> None:
    rows = [np.arange(100), np.arange(100, 135), np.arange(135, 140)]
    shelf = Shelf(rows, 9)
    windows = 99 // 8 + 34 // 8
    for turn in range(3):
        found = np.concatenate([shelf.in_passes(turn * windows + at, 4, seed=2) for at in range(0, windows, 4)])
        predicted = sorted(found[:, 1:].ravel().tolist())
        assert predicted == [*range(1, 97), *range(101, 133)]
    assert (shelf.in_passes(0, windows, 2) != shelf.in_passes(windows, windows, 2)).any()


def test_a_pass_counts_what_it_reads_and_what_it_predicts() -> None:
    """Many short rows: much of them lies after the last whole window, and the first token of each is not predicted."""
    lengths, window = [9, 30, 5, 17, 12, 8], 9
    ends = np.cumsum(lengths)
    shelf = Shelf([np.arange(end - length, end) for end, length in zip(ends, lengths, strict=True)], window)
    pass_ = shelf.in_passes(0, 1 + 3 + 0 + 2 + 1 + 0, seed=3)
    assert len(np.unique(pass_[:, 1:])) == pass_[:, 1:].size  # a whole pass: every window once
    assert shelf.of_a_pass == (len(np.unique(pass_)), pass_[:, 1:].size)


def test_run_json_says_how_often_the_data_were_seen(tmp_path: Path) -> None:
    from scalefit.proxy import Config, train

    tokens = write(tmp_path / "a.bin", np.arange(1001) % 9)
    small = {"d_model": 8, "d_head": 4, "n_layer": 1, "seq_len": 10, "batch": 100, "steps": 20, "eval_batch": 20}
    config = Config.read({**small, "warmup": 1, "data": str(tokens), "data_options": {"passes": 1, "limit": 801}})
    said = json.loads((train(config, tmp_path / "runs") / "run.json").read_text())
    assert (said["U"], said["epochs"]) == (801, 2000 / 800)
    fixed = replace(config, data_options={"examples": 10})  # a batch is all of them: 20 steps are 20 passes
    said = json.loads((train(fixed, tmp_path / "runs") / "run.json").read_text())
    assert (said["U"], said["epochs"]) == (10 * 11, 20)
    mixed = {"mixture": {"a": 1, "b": 3}, "sources": {"a": str(tokens), "b": str(tokens)}}
    said = json.loads((train(Config.read({**small, "warmup": 1, **mixed}), tmp_path / "runs") / "run.json").read_text())
    assert (said["share_a"], said["share_b"]) == (0.25, 0.75)
    assert said["epochs_b"] == pytest.approx(0.75 * 2000 / 950)
    assert {"val_loss", "val_loss_a", "val_loss_b"} <= said.keys()


def test_sources_are_mixed_in_their_proportion_and_held_out_each_by_itself(tmp_path: Path) -> None:
    from scalefit.proxy.tasks.mixture import Mixture

    parts = {name: opened(write(tmp_path / f"{name}.bin", np.full(400, i))) for i, name in enumerate("abc")}
    source = Mixture(parts, {"a": 1.0, "b": 3.0, "c": 0.0})
    drawn = source.batch(3, 1, 4000)["tokens"]
    counts = np.bincount(drawn[:, 0].numpy(), minlength=3)
    assert counts[1] == pytest.approx(3000, abs=110) and counts[2] == 0  # four standard deviations
    assert (np.diff(drawn[:, 0].numpy()) != 0).mean() == pytest.approx(2 * 0.25 * 0.75, abs=0.04)
    assert np.bincount(source.held_out(8)["tokens"][:, 0].numpy(), minlength=3).tolist() == [2, 6, 0]
    assert source.vocab == 3 and set(source.parts) == {"a", "b", "c"}
    with pytest.raises(InputError, match="give weights of at least 0"):
        Mixture(parts, {"a": 0.0, "b": 0.0, "c": 0.0})


def test_a_source_may_have_its_options_in_its_name() -> None:
    options = {"vocab": 8, "order": 1, "tokens": 20000}
    named = open_source("zipf-markov:vocab=8, order=1,tokens=2e4", 8)
    given = open_source("zipf-markov", 8, options)
    assert named.facts == given.facts
    for bad in ("zipf-markov:vocab", "zipf-markov:vocabulary=8", "zipf-markov:vocab=x"):
        with pytest.raises(InputError):
            open_source(bad, 8)


def test_text_is_read_by_a_tokenizer(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    maker = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0, "b": 1, "?": 2}, unk_token="?"))
    maker.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    maker.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "text.txt").write_text("a b b c " * 200)
    source: Any = open_source(str(tmp_path / "text.txt"), 4, {}, str(tmp_path / "tokenizer.json"))
    assert (source.vocab, source.facts["unit"], source.facts["bytes_per_token"]) == (3, "tokens", 2.0)
    assert source.train.rows[0, :4].tolist() == [0, 1, 1, 2]


HUGGING_FACE = """
import sys, datasets
from scalefit.proxy.tasks.data import open_source
where, rows = sys.argv[1], {"input_ids": [[i] * 30 for i in range(20)], "text": ["abcdefghij" * 5] * 200}
for column, vocab in (("input_ids", 20), ("text", 256)):
    datasets.Dataset.from_dict({column: rows[column]}).save_to_disk(f"{where}/{column}")
    source = open_source(f"{where}/{column}", 8)
    assert source.vocab == vocab
    assert source.batch(0, 1, 4)["tokens"].shape == (4, 9)
"""


def test_a_data_set_of_hugging_face_is_read_from_disk(tmp_path: Path) -> None:
    """In a process of its own, because a folder of these tests has the name of the package."""
    try:
        importlib.metadata.version("datasets")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("datasets is not installed")
    ran = subprocess.run(
        [sys.executable, "-c", HUGGING_FACE, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize(
    ("splits", "train", "held"),
    [
        ("test validation train", "train", "validation"),  # validation goes before a test, in whatever order
        ("test_sft train_sft", "train_sft", "test_sft"),
        ("unsupervised test", "unsupervised", "test"),
        ("a b", "a", "b"),
        ("test", "test", ""),  # the only one: its last twentieth is held out
    ],
)
def test_a_split_is_held_out_by_its_name_and_run_json_says_which(
    splits: str, train: str, held: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by the package, which reads a folder as a table, or as a dictionary of tables."""

    class Table(dict[str, list[str]]):
        column_names = ("text",)

    names = splits.split()
    tables = {name: Table(text=[chr(97 + i) * 40] * 30) for i, name in enumerate(names)}
    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_from_disk=lambda _: tables))
    (tmp_path / "state.json").touch()
    source = open_source(str(tmp_path), 8)
    assert isinstance(source, TokenSource)
    assert (source.facts["splits"], source.facts["held_out_splits"]) == ([train], [held] if held else [])
    for one, seen in ((train, source.batch(0, 1, 40)), (held or train, source.held_out(40))):
        assert set(seen["tokens"].unique().tolist()) <= {97 + names.index(one), 10}


def test_the_bits_that_a_header_says_cannot_be_overruled(tmp_path: Path) -> None:
    path = write(tmp_path / "a.bin", TOKENS, 20240801, 32)
    with pytest.raises(InputError, match="bits is 16, but the header of the file says 32"):
        opened(path, bits=16)
    assert opened(path, bits=32).facts["tokens"] == 3800


def test_held_out_windows_are_of_as_many_rows_as_there_are_windows() -> None:
    """4,096 windows of 33 tokens of 1,024 rows of 128: of how many rows they are, and how many tokens they see."""
    rows = np.arange(1024 * 128).reshape(1024, 128)
    seen = Shelf(rows, 33).spaced(4096)
    assert np.unique(seen // 128, axis=0).shape[0] == 1024
    assert len(np.unique(seen)) > 0.8 * rows.size


def test_a_bin_of_halves_of_tokens_is_refused_until_its_bits_are_said(tmp_path: Path) -> None:
    """Read as 16 bits, every second token of it would be the empty upper half of a token of 32."""
    tokens = np.random.default_rng(1).integers(0, 900, size=4000)
    path = write(tmp_path / "a.bin", tokens, bits=32)
    with pytest.raises(InputError, match="look like tokens of 32 bits"):
        opened(path)
    assert opened(path, bits=16).facts["tokens"] == 7600
    named = open_source(f"{path}:bits=32,vocab=1000", 16)
    assert (named.facts["tokens"], named.vocab) == (3800, 1000)
    assert opened(write(tmp_path / "b.bin", tokens % 4)).facts["tokens"] == 3800  # a small vocabulary is no sign of it


def test_a_text_of_a_jsonl_may_hold_any_separator(tmp_path: Path) -> None:
    path, text = tmp_path / "a.jsonl", "one\u2028two\x85three " * 9
    line = json.dumps({"text": text}, ensure_ascii=False)
    path.write_bytes(b"\xef\xbb\xbf" + "\n".join([*[line] * 40, "", ""]).encode())
    assert open_source(str(path), 16).facts["texts"] + open_source(str(path), 16).facts["held_out_texts"] == 40


@pytest.mark.parametrize("bad", [b'{"text": null}', b'{"text": "caf\xe9"}', b'{"txt": ""}', b"[1]"])
def test_a_line_without_a_text_is_named(tmp_path: Path, bad: bytes) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "some words of a text"}\n' * 3 + bad)
    with pytest.raises(InputError, match=r"a\.jsonl, line 4"):
        open_source(str(path), 4)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"data_options": {"limit": 1000}}, "data_options beside a mixture"),
        ({"val": {"a": "pydoc"}}, "val.a has the name of a source"),
        ({"sources": {"a": "pydoc:passes=1", "b": "pydoc"}}, "a has passes"),
        ({"sources": {"a": "pydoc", "b": "pydoc:examples=4"}}, "b has passes or a fixed number"),
        ({"model": "mlp", "sources": {"a": "sparse-parity", "b": "sparse-parity:bits=8"}}, "a reads 96, b reads 72"),
    ],
)
def test_what_a_mixture_would_not_heed_is_refused(values: dict[str, Any], said: str) -> None:
    from scalefit.proxy.config import Config
    from scalefit.proxy.ensemble import Ensemble

    small = {"d_model": 8, "d_head": 4, "n_layer": 1, "seq_len": 10, "batch": 100, "eval_batch": 20}
    mixed = {"mixture": {"a": 1, "b": 3}, "sources": {"a": "pydoc", "b": "pydoc:limit=2000"}}
    assert Ensemble([Config.read({**small, **mixed})]).source.facts["sources"]["b"]["tokens"] == 2000
    with pytest.raises(InputError, match=said):
        Ensemble([Config.read({**small, **mixed, **values})])
