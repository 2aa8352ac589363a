"""Streams of training examples: text as bytes, token files, and the synthetic tasks of the neighbouring files.

A batch is a pure function of (seed, step): nothing has to be saved to resume, and members with the same data seed
see the same examples in the same order, so that comparisons between them are paired.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from scalefit.errors import InputError
from scalefit.numerics import suggestion
from scalefit.proxy.tasks.shelves import Shelf, Tokens

Examples = dict[str, Tensor]
BYTES = 256


def draws(seed: int, step: int) -> np.random.Generator:
    """Random numbers of one step, from a counter-based generator: step 1000 costs no more than step 1."""
    return np.random.Generator(np.random.Philox(key=[seed % 2**63, step]))


class Source:
    """Where examples come from; a subclass says how to ``draw`` them.

    ``task`` is language, translation or classification, and ``facts`` is what run.json records: sizes, hashes, exact
    entropies. With ``examples`` > 0 every batch is taken from that many fixed examples; a batch of exactly that size
    holds each of them once (full-batch descent). ``parts`` are the sources that are evaluated by themselves as well.
    """

    task: str
    vocab: int
    inputs = read = 0  #: numbers of an example of a classification; tokens that the encoder reads of one
    examples = passes = 0
    facts: dict[str, Any]
    parts: Mapping[str, Source] = {}

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

    ``limit`` keeps only the first tokens of the training rows (to study repeated data). With ``passes`` = 1 windows are
    not drawn, but all of them taken in a new order in each pass, so that every token is seen as often as any other.
    ``examples`` is as in `Source`. ``unchecked`` tokens are held against ``vocab`` as they are read. Raises InputError
    where no row is as long as a window.
    """

    task = "language"

    def __init__(
        self,
        train: Sequence[Tokens] | Tokens,
        held: Sequence[Tokens] | Tokens,
        seq_len: int,
        vocab: int,
        facts: Mapping[str, Any],
        limit: int = 0,
        examples: int = 0,
        passes: int = 0,
        unchecked: bool = False,
    ) -> None:
        if passes not in (0, 1):
            todo = "write 1, and as many steps as those passes take; run.json says epochs"
            raise InputError(f"passes is {passes}", where="data_options", todo=todo)
        if limit and isinstance(train, np.ndarray):
            length = max(limit // len(train), seq_len + 1)  # of fewer rows where they would be too short
            train = train[: max(limit // length, 1), :length]
        elif limit:
            train = _first(list(train), limit)
        window, self.examples, self.passes = seq_len + 1, examples, passes
        self.train, self.held, self.vocab = Shelf(train, window), Shelf(held, window), vocab
        self.unchecked = unchecked
        self.facts = {"tokens": self.train.size, "held_out_tokens": self.held.size, **facts}
        if passes or examples:
            seen = (examples * window, examples * seq_len) if examples else self.train.of_a_pass
            self.facts |= dict(zip(("read_in_a_pass", "predicted_in_a_pass"), seen, strict=True))
        for part, shelf in (("training", self.train), ("held-out", self.held)):
            if shelf.longest < window:
                raise InputError(
                    f"the {part} text of {shelf.longest} tokens is shorter than one sequence of {window}",
                    where=str(facts.get("source", "data")),
                    todo="give more text or a smaller seq_len",
                )

    def batch(self, seed: int, step: int, size: int) -> Examples:
        """``size`` training examples of this step; step 0, which no update uses, is drawn at random."""
        if not self.passes or self.examples or step < 1:
            return super().batch(seed, step, size)
        return self._examples(self.train.in_passes((step - 1) * size, size, seed))

    def draw(self, generator: np.random.Generator, size: int) -> Examples:
        """Windows at random places, (size, seq_len + 1)."""
        return self._examples(self.train.random(generator, size))

    def held_out(self, size: int) -> Examples:
        """``size`` windows evenly spaced over the held-out rows."""
        return self._examples(self.held.spaced(size))

    def _examples(self, ids: Tokens) -> Examples:
        if self.unchecked and ids.size and not 0 <= ids.min() <= ids.max() < self.vocab:
            raise InputError(
                f"tokens run from {ids.min()} to {ids.max()}, but the vocabulary has {self.vocab}",
                where=str(self.facts["source"]),
                todo=f"use tokens from 0 to {self.vocab - 1}, or correct data_options.vocab",
            )
        return {"tokens": torch.from_numpy(ids.astype(np.int64))}


def _first(rows: Sequence[Tokens], limit: int) -> list[Tokens]:
    """The rows up to ``limit`` tokens together."""
    kept, left = [], limit
    for row in rows:
        kept.append(row[:left])
        left -= len(kept[-1])
        if not left:
            break
    return kept


def from_texts(
    texts: Mapping[str, bytes],
    seq_len: int,
    source: str,
    tokenizer: str = "",
    apart: Mapping[str, bytes] | None = None,
    about: Mapping[str, Any] | None = None,
    *,
    limit: int = 0,
    examples: int = 0,
    passes: int = 0,
) -> TokenSource:
    """Bytes of named texts. Held out are those ``apart``, where there are any, else whole texts among them: about one
    in twenty, chosen by the hash of its name.

    That split depends on names alone, so it stays the same when a text changes or another is added. With a
    ``tokenizer`` file the tokens are its own. ``about`` goes into the facts.
    """
    held = sorted(apart or [name for name in texts if hashlib.sha256(name.encode()).digest()[0] < 13])
    held = held or sorted(texts)[-1:]
    train = sorted(texts if apart else set(texts).difference(held)) or sorted(texts)
    parts = [b"\n".join(each[name] for name in group) for each, group in ((texts, train), (apart or texts, held))]
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
        **(about or {}),
    }
    rows, vocab = [np.frombuffer(part, dtype=np.uint8)[None, :] for part in parts], BYTES
    if tokenizer:
        rows, vocab, about = tokenized(parts, tokenizer)
        facts |= about
    return TokenSource(rows[0], rows[1], seq_len, vocab, facts, limit, examples, passes)


def tokenized(parts: Sequence[bytes], path: str) -> tuple[list[Tokens], int, dict[str, Any]]:
    """The tokens of texts, (1, n) each, by a tokenizer.json; the size of its vocabulary; and what is recorded of it."""
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise InputError("tokenizers is not installed", where=path, todo="pip install tokenizers") from error
    if not Path(path).is_file():
        raise InputError("no such file", where=path, todo="give the tokenizer.json of a tokenizer")
    maker = Tokenizer.from_file(path)
    rows = [np.array(maker.encode(part.decode(errors="replace")).ids, dtype=np.uint32)[None, :] for part in parts]
    digest, longer = hashlib.sha256(Path(path).read_bytes()).hexdigest(), len(parts[0]) / max(rows[0].size, 1)
    facts = {"unit": "tokens", "tokenizer_sha256": digest, "bytes_per_token": round(longer, 4)}
    return rows, maker.get_vocab_size(), facts


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


def stdlib(seq_len: int, tokenizer: str, *, limit: int = 0, examples: int = 0, passes: int = 0) -> TokenSource:
    """The source code of Python's standard library."""
    options = {"limit": limit, "examples": examples, "passes": passes}
    return from_texts(standard_library(), seq_len, "stdlib", tokenizer, {}, {}, **options)


def pydoc(seq_len: int, tokenizer: str, *, limit: int = 0, examples: int = 0, passes: int = 0) -> TokenSource:
    """The English prose of Python's language reference."""
    options = {"limit": limit, "examples": examples, "passes": passes}
    return from_texts(language_reference(), seq_len, "pydoc", tokenizer, {}, {}, **options)


#: built-in sources: module and callable, whose keywords are the data_options
EMBEDDED = {
    "stdlib": ("data", "stdlib"),
    "pydoc": ("data", "pydoc"),
    "zipf-markov": ("synthetic", "zipf_markov"),
    "sparse-parity": ("synthetic", "SparseParity"),
    "translation": ("translation", "Translation"),
    "postfix": ("postfix", "Postfix"),
}


def open_source(name: str, seq_len: int, options: Mapping[str, float] | None = None, tokenizer: str = "") -> Source:
    """A source with its options where it has them ("zipf-markov:seed=1,order=1"): a built-in one, or the user's own,
    a text file, a folder of texts, .jsonl (field "text"), tokens in .npy or .bin (unsigned 16 or 32 bits), a folder of
    such shards, or a data set of Hugging Face on disk. Tokens stay on disk.

    Raises InputError for an unknown name or option and for a file that cannot be read.
    """
    base, rest = _parted(name)
    own = _said(rest, name)
    module, attribute = EMBEDDED.get(base, ("files", "from_path"))
    make: Callable[..., Source] = getattr(importlib.import_module(f"scalefit.proxy.tasks.{module}"), attribute)
    takes = inspect.signature(make).parameters
    known = {key: parameter.default for key, parameter in takes.items() if parameter.kind is parameter.KEYWORD_ONLY}
    place = {"seq_len": seq_len, "path": Path(base), "tokenizer": tokenizer}
    given: dict[str, Any] = {key: value for key, value in place.items() if key in takes}
    for key, value in {**(options or {}), **own}.items():
        if key not in known:
            raise InputError(f"data {name!r} has no option {key!r}", todo=suggestion(key, known))
        if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
            raise InputError(f"data {name!r}: {key} = {value!r} is not a finite number", todo="correct data_options")
        given[key] = type(known[key])(value)
    return make(**given)


def _parted(name: str) -> tuple[str, str]:
    """The source and its options; the colon may also be part of a path."""
    base, _, rest = name.partition(":")
    if base not in EMBEDDED:
        base, _, rest = name.rpartition(":")
    known = base in EMBEDDED or (not Path(name).exists() and bool(base) and Path(base).exists())
    return (base, rest) if known else (name, "")


def _said(text: str, where: str) -> dict[str, float]:
    """The options in "seed=1,order=1"."""
    found = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, _, value = part.partition("=")
        try:
            found[key.strip()] = float(value)
        except ValueError as error:
            raise InputError(f"{part!r} is no option", where=where, todo="write KEY=NUMBER") from error
    return found
