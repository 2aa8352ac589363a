"""Streams of training examples: text as bytes, token files, and the synthetic tasks of the neighbouring files.

A batch is a pure function of (seed, step): nothing has to be saved to resume, and members with the same data seed
see the same examples in the same order, so that comparisons between them are paired.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
import sysconfig
from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scalefit.errors import InputError
from scalefit.numerics import suggestion

Tokens = NDArray[Any]  # integers, (rows, length); a window lies within one row
Examples = dict[str, Tensor]
BYTES = 256


def draws(seed: int, step: int) -> np.random.Generator:
    """Random numbers of one step, from a counter-based generator: step 1000 costs no more than step 1."""
    return np.random.Generator(np.random.Philox(key=[seed % 2**63, step]))


class Source:
    """Where examples come from; a subclass says how to ``draw`` them.

    ``task`` is language, translation or classification, and ``facts`` is what run.json records: sizes, hashes, exact
    entropies. With ``examples`` > 0 every batch is taken from that many fixed examples; a batch of exactly that size
    holds each of them once (full-batch descent).
    """

    task: str
    vocab: int
    inputs = 0
    examples = 0
    facts: dict[str, Any]

    def draw(self, generator: np.random.Generator, size: int) -> Examples:
        """``size`` random training examples."""
        raise NotImplementedError

    @cached_property
    def _fixed(self) -> Examples:
        return self.draw(draws(2**62, 1), self.examples)

    def batch(self, seed: int, step: int, size: int) -> Examples:
        """``size`` training examples of this step."""
        generator = draws(seed, step)
        if not self.examples:
            return self.draw(generator, size)
        if size == self.examples:
            return self._fixed
        chosen = torch.from_numpy(generator.integers(self.examples, size=size))
        return {name: value[chosen] for name, value in self._fixed.items()}

    def held_out(self, size: int) -> Examples:
        """``size`` held-out examples, the same ones at every call: here from a random stream of their own."""
        return self.draw(draws(2**62, 0), size)


class TokenSource(Source):
    """Windows of ``seq_len + 1`` tokens, drawn uniformly from training rows and evenly spaced from held-out rows.

    ``limit`` keeps only the first tokens of the training rows (to study repeated data), ``examples`` is as in
    `Source`. Raises InputError where a row is shorter than a window.
    """

    task = "language"

    def __init__(
        self,
        train: Tokens,
        held: Tokens,
        seq_len: int,
        vocab: int,
        facts: Mapping[str, Any],
        limit: int = 0,
        examples: int = 0,
    ) -> None:
        rows, self.examples = len(train), examples
        self.train = train[:, : max(limit // rows, 1)] if limit else train
        self.held, self.window, self.vocab = held, seq_len + 1, vocab
        self.facts = {"tokens": int(self.train.size), "held_out_tokens": int(held.size), **facts}
        for part, row in (("training", self.train), ("held-out", held)):
            if row.shape[1] < self.window:
                raise InputError(
                    f"the {part} text of {row.shape[1]} tokens is shorter than one sequence of {self.window}",
                    where=str(facts.get("source", "data")),
                    todo="give more text or a smaller seq_len",
                )

    def draw(self, generator: np.random.Generator, size: int) -> Examples:
        """Windows at random places, (size, seq_len + 1)."""
        row = generator.integers(len(self.train), size=size)
        return self._windows(self.train, row, generator.integers(self.train.shape[1] - self.window + 1, size=size))

    def held_out(self, size: int) -> Examples:
        """``size`` windows evenly spaced over the held-out rows."""
        places = len(self.held) * (self.held.shape[1] - self.window + 1)
        place = np.linspace(0, places - 1, size).astype(np.int64)
        return self._windows(self.held, place % len(self.held), place // len(self.held))

    def _windows(self, rows: Tokens, row: NDArray[np.int64], start: NDArray[np.int64]) -> Examples:
        ids = rows[row[:, None], start[:, None] + np.arange(self.window)]
        return {"tokens": torch.from_numpy(ids.astype(np.int64))}


def from_texts(texts: Mapping[str, bytes], seq_len: int, source: str, limit: int = 0, examples: int = 0) -> TokenSource:
    """Bytes of named texts, of which whole texts are held out: about one in twenty, chosen by the hash of its name.

    The split depends on names alone, so it stays the same when a text changes or another is added.
    """
    names = sorted(texts)
    held = [name for name in names if hashlib.sha256(name.encode()).digest()[0] < 13] or names[-1:]
    train = [name for name in names if name not in set(held)] or names
    parts = [b"\n".join(texts[name] for name in group) for group in (train, held)]
    if train == held:
        cut = len(parts[0]) * 19 // 20
        parts = [parts[0][:cut], parts[0][cut:]]
    digests = [hashlib.sha256(part).hexdigest() for part in parts]
    facts = {
        "source": source,
        "unit": "bytes",
        "texts": len(train),
        "held_out_texts": 0 if train == held else len(held),
        "sha256": digests[0],
        "held_out_sha256": digests[1],
    }
    rows = [np.frombuffer(part, dtype=np.uint8)[None, :] for part in parts]
    return TokenSource(rows[0], rows[1], seq_len, BYTES, facts, limit, examples)


@lru_cache(maxsize=1)
def standard_library() -> dict[str, bytes]:
    """Source of Python's standard library by file, without tests and vendored packages (PSF licence)."""
    root = Path(sysconfig.get_paths()["stdlib"])
    skip = {"test", "tests", "idlelib", "idle_test", "site-packages", "dist-packages", "ensurepip", "pydoc_data"}
    paths = [path.relative_to(root) for path in root.rglob("*.py")]
    return {str(path): (root / path).read_bytes() for path in paths if not skip & set(path.parts)}


@lru_cache(maxsize=1)
def language_reference() -> dict[str, bytes]:
    """English prose: the topics of Python's language reference in its help system (PSF licence)."""
    topics: dict[str, str] = importlib.import_module("pydoc_data.topics").topics
    return {name: text.encode() for name, text in topics.items()}


def stdlib(seq_len: int, *, limit: int = 0, examples: int = 0) -> TokenSource:
    """The source code of Python's standard library."""
    return from_texts(standard_library(), seq_len, "stdlib", limit, examples)


def pydoc(seq_len: int, *, limit: int = 0, examples: int = 0) -> TokenSource:
    """The English prose of Python's language reference."""
    return from_texts(language_reference(), seq_len, "pydoc", limit, examples)


#: built-in sources: module and callable, whose keywords are the data_options
EMBEDDED = {
    "stdlib": ("data", "stdlib"),
    "pydoc": ("data", "pydoc"),
    "zipf-markov": ("synthetic", "zipf_markov"),
    "sparse-parity": ("synthetic", "SparseParity"),
    "translation": ("translation", "Translation"),
}


def open_source(name: str, seq_len: int, options: Mapping[str, float] | None = None) -> Source:
    """A built-in source by name, or the user's own: a text file, a folder of texts, .jsonl (field "text"),
    or tokens in .npy or .bin (unsigned 16-bit), which stay on disk.

    Raises InputError for an unknown name or option and for a file that cannot be read.
    """
    make: Callable[..., Source] = from_path
    if name in EMBEDDED:
        module, attribute = EMBEDDED[name]
        make = getattr(importlib.import_module(f"scalefit.proxy.tasks.{module}"), attribute)
    takes = inspect.signature(make).parameters
    known = {key: parameter.default for key, parameter in takes.items() if parameter.kind is parameter.KEYWORD_ONLY}
    given: dict[str, Any] = {key: value for key, value in (("seq_len", seq_len), ("path", Path(name))) if key in takes}
    for key, value in (options or {}).items():
        if key not in known:
            raise InputError(f"data {name!r} has no option {key!r}", todo=suggestion(key, known))
        if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
            raise InputError(f"data {name!r}: {key} = {value!r} is not a finite number", todo="correct data_options")
        given[key] = type(known[key])(value)
    return make(**given)


def from_path(seq_len: int, path: Path, *, limit: int = 0, examples: int = 0, vocab: int = 0) -> TokenSource:
    """A file or folder of the user's."""
    if not path.exists():
        raise InputError(
            f"no data {str(path)!r}: neither a file or folder nor a built-in source",
            todo=f"give a path that exists, or a built-in source: {suggestion(str(path), EMBEDDED)}",
        )
    if path.suffix in (".npy", ".bin"):
        return _from_tokens(path, seq_len, limit, examples, vocab)
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        texts = {str(file.relative_to(path)): file.read_bytes() for file in files}
    elif path.suffix == ".jsonl":
        texts = _jsonl_texts(path)
    else:
        texts = {path.name: path.read_bytes()}
    return from_texts(texts, seq_len, str(path), limit, examples)


def _jsonl_texts(path: Path) -> dict[str, bytes]:
    texts = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            texts[f"{number:09d}"] = str(json.loads(line)["text"]).encode()
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise InputError(
                "not a JSON object with a field text", where=f"{path}, line {number}", todo="correct the line"
            ) from error
    return texts


def _from_tokens(path: Path, seq_len: int, limit: int, examples: int, vocab: int) -> TokenSource:
    """A file of tokens, of which the last twentieth is held out."""
    try:
        tokens: Tokens = np.load(path, mmap_mode="r") if path.suffix == ".npy" else np.memmap(path, np.uint16, "r")
    except (ValueError, EOFError) as error:
        raise InputError(
            f"not a token file ({error})", where=str(path), todo="save a flat array of integers"
        ) from error
    if tokens.ndim != 1 or not np.issubdtype(tokens.dtype, np.integer):
        raise InputError("not a flat array of integers", where=str(path), todo="save one")
    low, high = (int(tokens.min()), int(tokens.max())) if tokens.size else (0, 0)
    if low < 0 or (vocab and high >= vocab):
        raise InputError(
            f"tokens run from {low} to {high}",
            where=str(path),
            todo=f"use tokens from 0 to {vocab - 1 if vocab else high}",
        )
    rows, cut = tokens.reshape(1, -1), tokens.size * 19 // 20
    facts = {"source": str(path), "unit": "tokens", "bytes": path.stat().st_size}
    return TokenSource(rows[:, :cut], rows[:, cut:], seq_len, vocab or high + 1, facts, limit, examples)
