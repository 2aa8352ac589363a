"""Streams of training examples: text as bytes, token files, and the synthetic languages of `synthetic`.

A batch is a pure function of (seed, step): nothing has to be saved to resume, and members with one data seed
see the same examples in the same order, which makes comparisons between them paired.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
import sysconfig
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scalefit.errors import InputError
from scalefit.numerics import suggestion

Tokens = NDArray[Any]  # any unsigned integer, (rows, length): a window never crosses from one row to the next
Examples = dict[str, Tensor]
BYTES = 256


class Source(Protocol):
    """Where examples come from. ``facts`` is what run.json records: sizes, hashes, exact entropies."""

    vocab: int
    inputs: int
    task: str  # language, translation or classification
    facts: dict[str, Any]

    def batch(self, seed: int, step: int, size: int) -> Examples:
        """``size`` training examples of this step."""
        ...

    def held_out(self, size: int) -> Examples:
        """``size`` examples that no training batch holds, the same ones every time."""
        ...


def draws(seed: int, step: int) -> np.random.Generator:
    """Random numbers of one step: a counter-based generator, so that step 1000 costs what step 1 costs."""
    return np.random.Generator(np.random.Philox(key=[seed % 2**63, step]))


class TokenSource:
    """Windows of ``seq_len + 1`` tokens from training rows and, evenly spaced, from held-out rows.

    ``limit`` keeps only the first tokens of the training rows (to study repeated data). ``examples`` > 0 draws every
    batch from that many fixed windows; a batch of as many is all of them, once each (full-batch descent). Raises
    InputError where a row is shorter than a window.
    """

    inputs = 0
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
                    f"{part} text of {row.shape[1]} tokens is shorter than one sequence of {self.window}",
                    where=str(facts.get("source", "data")),
                    todo="give more text or a smaller seq_len",
                )

    def batch(self, seed: int, step: int, size: int) -> Examples:
        """``size`` windows drawn uniformly, (size, seq_len + 1)."""
        generator = draws(seed, step)
        if not self.examples:
            return self._windows(self.train, *self._places(generator, size))
        row, start = self._places(draws(2**62, 1), self.examples)
        chosen = np.arange(size) if size == self.examples else generator.integers(self.examples, size=size)
        return self._windows(self.train, row[chosen], start[chosen])

    def _places(self, generator: np.random.Generator, size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Row and first token of windows drawn uniformly."""
        row = generator.integers(len(self.train), size=size)
        return row, generator.integers(self.train.shape[1] - self.window + 1, size=size)

    def held_out(self, size: int) -> Examples:
        """``size`` windows at even distances over the held-out rows."""
        places = len(self.held) * (self.held.shape[1] - self.window + 1)
        place = np.linspace(0, places - 1, size).astype(np.int64)
        return self._windows(self.held, place % len(self.held), place // len(self.held))

    def _windows(self, rows: Tokens, row: NDArray[np.int64], start: NDArray[np.int64]) -> Examples:
        ids = rows[row[:, None], start[:, None] + np.arange(self.window)]
        return {"tokens": torch.from_numpy(ids.astype(np.int64))}


def from_texts(
    texts: Mapping[str, bytes], seq_len: int, source: str, limit: float = 0, examples: float = 0
) -> TokenSource:
    """Bytes of named texts; a text is held out whole when the hash of its name says so (about one in twenty).

    The split hangs on names alone, so it stays the same when a text changes or another is added.
    """
    names = sorted(texts)
    held = [name for name in names if _is_held_out(name)] or names[-1:]
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
    return TokenSource(rows[0], rows[1], seq_len, BYTES, facts, int(limit), int(examples))


def _is_held_out(name: str) -> bool:
    return hashlib.sha256(name.encode()).digest()[0] < 13


@lru_cache(maxsize=1)
def standard_library() -> dict[str, bytes]:
    """Source of Python's standard library by file, without tests and vendored packages (PSF licence)."""
    root = Path(sysconfig.get_paths()["stdlib"])
    skip = {
        "test",
        "tests",
        "idlelib",
        "idle_test",
        "site-packages",
        "dist-packages",
        "ensurepip",
        "pydoc_data",
    }
    paths = [path.relative_to(root) for path in root.rglob("*.py")]
    return {str(path): (root / path).read_bytes() for path in paths if not skip & set(path.parts)}


@lru_cache(maxsize=1)
def language_reference() -> dict[str, bytes]:
    """English prose: the topics of Python's language reference in its help system (PSF licence)."""
    topics: dict[str, str] = importlib.import_module("pydoc_data.topics").topics
    return {name: text.encode() for name, text in topics.items()}


def stdlib(seq_len: int, *, limit: float = 0, examples: float = 0) -> TokenSource:
    """Python source."""
    return from_texts(standard_library(), seq_len, "stdlib", limit, examples)


def pydoc(seq_len: int, *, limit: float = 0, examples: float = 0) -> TokenSource:
    """English prose."""
    return from_texts(language_reference(), seq_len, "pydoc", limit, examples)


# Module and callable of each source; its keywords are the data_options.
EMBEDDED = {
    "stdlib": ("data", "stdlib"),
    "pydoc": ("data", "pydoc"),
    "zipf-markov": ("synthetic", "zipf_markov"),
    "sparse-parity": ("synthetic", "SparseParity"),
    "translation": ("translation", "Translation"),
}


def open_source(name: str, seq_len: int, options: Mapping[str, float] | None = None) -> Source:
    """An embedded source by name, or the user's: a text file, a folder of texts, .jsonl (field "text"),
    or tokens in .npy or .bin (unsigned 16-bit), which stay on disk.

    Raises InputError for an unknown name or option and for a file that cannot be read.
    """
    make: Callable[..., Source] = from_path
    if name in EMBEDDED:
        module, attribute = EMBEDDED[name]
        make = getattr(importlib.import_module(f"scalefit.proxy.tasks.{module}"), attribute)
    takes = inspect.signature(make).parameters
    known = [key for key, parameter in takes.items() if parameter.kind is parameter.KEYWORD_ONLY]
    for key, value in (options or {}).items():
        if key not in known:
            raise InputError(f"data {name!r} has no option {key!r}", todo=suggestion(key, known))
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(f"data {name!r}: {key} = {value!r} is no number", todo="correct data_options")
    place = {"seq_len": seq_len, "path": Path(name)}
    return make(**{key: value for key, value in place.items() if key in takes}, **options or {})


def from_path(seq_len: int, path: Path, *, limit: float = 0, examples: float = 0, vocab: float = 0) -> TokenSource:
    """A file or folder of the user's."""
    if not path.exists():
        near = suggestion(str(path), EMBEDDED)
        raise InputError(
            f"no data {str(path)!r}", todo=f"give a file or folder that exists; of what is built in, {near}"
        )
    if path.suffix in (".npy", ".bin"):
        return _from_tokens(path, seq_len, int(limit), int(examples), int(vocab))
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        texts = {str(file.relative_to(path)): file.read_bytes() for file in files}
        return from_texts(texts, seq_len, str(path), limit, examples)
    if path.suffix == ".jsonl":
        lines = path.read_text(encoding="utf-8").splitlines()
        return from_texts(_jsonl_texts(lines, path), seq_len, str(path), limit, examples)
    return from_texts({path.name: path.read_bytes()}, seq_len, str(path), limit, examples)


def _jsonl_texts(lines: Iterable[str], path: Path) -> dict[str, bytes]:
    texts = {}
    for number, line in enumerate(lines, 1):
        try:
            texts[f"{number:09d}"] = str(json.loads(line)["text"]).encode()
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise InputError(
                "not a JSON object with a field text", where=f"{path}, line {number}", todo="correct the line"
            ) from error
    return texts


def _from_tokens(path: Path, seq_len: int, limit: int, examples: int, vocab: int) -> TokenSource:
    """The last twentieth of the file is held out."""
    try:
        tokens: Tokens = np.load(path, mmap_mode="r") if path.suffix == ".npy" else np.memmap(path, np.uint16, "r")
    except (ValueError, EOFError) as error:
        raise InputError(f"not a token file ({error})", where=str(path), todo="save a flat integer array") from error
    if tokens.ndim != 1 or not np.issubdtype(tokens.dtype, np.integer):
        raise InputError("tokens must be one row of integers", where=str(path), todo="save a flat integer array")
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
