"""The user's own data: texts, and files of tokens that stay on disk."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from scalefit.errors import InputError
from scalefit.numerics import suggestion
from scalefit.proxy.tasks.data import EMBEDDED, TokenSource, from_texts
from scalefit.proxy.tasks.shelves import Tokens

#: magic numbers of the headers of 256 whole numbers of 32 bits that llm.c writes, and the bits of their tokens
HEADERS = {20240520: 16, 20240801: 32}
HEADER = 256 * 4  #: bytes of it
SCANNED = 2**24  #: tokens that are read to find the vocabulary where nothing says it
LOOKED, UPPER = 2**16, 4  #: tokens that tell 16 bits from 32; no vocabulary reaches UPPER times 65,536
TOKEN_FILES = (".npy", ".bin")
#: words in the names of parts that are held out, of those that are no part of training either, and of the others
SPLITS = {"validation": r"e?val|evaluation|valid|validation|dev|held.?out", "test": "test", "train": "train(ing)?"}
WORDS = {split: re.compile(rf"(?<![a-z])({words})(set)?(?![a-z])") for split, words in SPLITS.items()}
IDS, TEXT = ("input_ids", "tokens", "ids"), "text"  #: columns of Hugging Face data sets
Part = TypeVar("Part")


def from_path(
    seq_len: int,
    path: Path,
    tokenizer: str,
    *,
    limit: int = 0,
    examples: int = 0,
    passes: int = 0,
    vocab: int = 0,
    bits: int = 0,
) -> TokenSource:
    """A file or folder of the user's."""
    options = {"limit": limit, "examples": examples, "passes": passes}
    if not path.exists():
        raise InputError(
            f"no data {str(path)!r}: neither a file or folder nor a built-in source",
            todo=f"give a path that exists, or a built-in source: {suggestion(str(path), EMBEDDED)}",
        )
    if path.suffix in TOKEN_FILES:
        rows = [_tokens(path, bits)]
        return _from_tokens(rows, [], path, seq_len, vocab, {}, **options)
    if path.is_dir():
        if (path / "state.json").exists() or (path / "dataset_dict.json").exists():
            return _from_hugging_face(path, seq_len, tokenizer, vocab, **options)
        files = sorted(file for file in path.rglob("*") if file.is_file())
        shards = [file for file in files if file.suffix in TOKEN_FILES]
        if shards:
            named = {"\n".join(shard.relative_to(path).parts): shard for shard in shards}  # a word anywhere counts
            rows, held = ([_tokens(each, bits) for each in part] for part in _parted(named))
            return _from_tokens(rows, held, path, seq_len, vocab, {}, **options)
        texts = {str(file.relative_to(path) / n): text for file in files for n, text in _texts(file).items()}
        splits, apart = {_split(name) for name in texts}, dict[str, bytes]()
        if "train" in splits and splits & {"validation", "test"}:
            texts, apart = ({name: texts[name] for name in part} for part in _parted({name: name for name in texts}))
        return from_texts(texts, seq_len, str(path), tokenizer, apart, {}, **options)
    texts = {n or path.name: text for n, text in _texts(path).items()}
    return from_texts(texts, seq_len, str(path), tokenizer, {}, {}, **options)


def _parted(parts: Mapping[str, Part]) -> tuple[list[Part], list[Part]]:
    """Parts to train on and those held out: of validation, else of a test, by a word in their names, else the last.
    None of either is trained on, where there are others; without others none is held out."""
    validation, test = ([name for name in parts if _split(name) == split] for split in ("validation", "test"))
    train = [name for name in parts if name not in validation and name not in test]
    held = (validation or test or train[1:][-1:]) if train else []
    chosen = [name for name in train or parts if name not in held]
    return [parts[name] for name in chosen], [parts[name] for name in held]


def _split(name: str) -> str:
    """What the first folder or name in a path that holds a word of SPLITS makes of what lies there; empty without."""
    words = (split for part in Path(name.lower()).parts for split, word in WORDS.items() if word.search(part))
    return next(words, "")


def _texts(path: Path) -> dict[str, bytes]:
    """The texts of a file: one without a name, or those of the lines of a .jsonl."""
    return _jsonl_texts(path) if path.suffix == ".jsonl" else {"": path.read_bytes()}


def _jsonl_texts(path: Path) -> dict[str, bytes]:
    """The texts of the lines, which end at newlines alone: a text may hold other separators as they are."""
    texts = {}
    for number, line in enumerate(path.read_bytes().removeprefix(codecs.BOM_UTF8).split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            text = json.loads(line)["text"]
        except (ValueError, KeyError, TypeError) as error:  # ValueError: no JSON, or no UTF-8
            raise InputError(
                "not a JSON object with a field text", where=f"{path}, line {number}", todo="correct the line"
            ) from error
        if not isinstance(text, str):
            what = f"the field text is {json.dumps(text)[:40]}, no text"
            raise InputError(what, where=f"{path}, line {number}", todo="leave out the line, or give its text")
        texts[f"{number:09d}"] = text.encode(errors="replace")
    return texts


def _tokens(path: Path, bits: int) -> Tokens:
    """The tokens of a file, which stay on disk: .npy, or .bin of 16 or 32 bits with the header of llm.c or none."""
    if bits not in (0, 16, 32):
        raise InputError(f"bits is {bits}", where=str(path), todo="give 16 or 32, the bits of a token")
    said = None
    try:
        if path.suffix == ".npy":
            tokens: Tokens = np.load(path, mmap_mode="r")
        else:
            head = np.fromfile(path, dtype=np.int32, count=3)
            said = HEADERS.get(int(head[0])) if len(head) == 3 and path.stat().st_size >= HEADER else None
            if said and bits not in (0, said):
                what = f"bits is {bits}, but the header of the file says {said}"
                raise InputError(what, where=str(path), todo="leave bits out: the header knows")
            kind = np.uint32 if (said or bits) == 32 else np.uint16
            count = (int(head[2]),) if said else None
            tokens = np.memmap(path, kind, "r", offset=HEADER if said else 0, shape=count)
    except (ValueError, EOFError) as error:
        raise InputError(
            f"not a token file ({error})", where=str(path), todo="save a flat array of integers"
        ) from error
    if path.suffix == ".bin" and not (said or bits) and _in_halves(tokens):
        what = "of 16 bits, every second token would be a number below 4: these look like tokens of 32 bits"
        todo = f"say their bits: data_options.bits=32 (or 16), or {path}:bits=32"
        raise InputError(what, where=str(path), todo=todo)
    if tokens.ndim != 1 or not np.issubdtype(tokens.dtype, np.integer):
        raise InputError("not a flat array of integers", where=str(path), todo="save one")
    return tokens


def _in_halves(tokens: Tokens) -> bool:
    """Whether numbers of 16 bits are halves of tokens of 32, whose upper halves are small in any vocabulary."""
    first, upper = tokens[: 2 * LOOKED : 2], tokens[1 : 2 * LOOKED : 2]
    return len(tokens) % 2 == 0 and bool(upper.size) and int(upper.max()) < UPPER <= int(first.max())


def _from_tokens(
    train: Sequence[Tokens],
    held: Sequence[Tokens],
    path: Path,
    seq_len: int,
    vocab: int,
    about: Mapping[str, Any],
    **options: int,
) -> TokenSource:
    """Shards of tokens, and those held out; without such the last twentieth of each is held out."""
    if not held:
        held = [row[len(row) * 19 // 20 :] for row in train]
        train = [row[: len(row) * 19 // 20] for row in train]
    facts: dict[str, Any] = {"source": str(path), "unit": "tokens", "shards": len(train), **about}
    vocab = vocab or _vocabulary([*train, *held], path)
    return TokenSource(train, held, seq_len, vocab, facts, unchecked=True, **options)


def _vocabulary(rows: Sequence[Tokens], path: Path) -> int:
    """One above the largest token; of many tokens only the first are read, and the user must say it."""
    low = high = read = 0
    for row in rows:
        part = row[: max(SCANNED - read, 0)]
        read += len(part)
        low, high = (min(low, int(part.min())), max(high, int(part.max()))) if len(part) else (low, high)
    if low < 0:
        raise InputError(f"tokens run from {low} to {high}", where=str(path), todo="use tokens of at least 0")
    if read < sum(map(len, rows)):
        what = f"{sum(map(len, rows)):,} tokens are too many to read for their vocabulary (over {high} at least)"
        raise InputError(what, where=str(path), todo=f"say it: --set data_options.vocab={high + 1} or more")
    return high + 1


def _from_hugging_face(path: Path, seq_len: int, tokenizer: str, vocab: int, **options: int) -> TokenSource:
    """A data set of Hugging Face ``datasets`` on disk: a column of tokens, which stays there, or of texts."""
    try:
        from datasets import load_from_disk
    except ImportError as error:
        raise InputError(
            "a data set of Hugging Face, whose package is not installed", where=str(path), todo="pip install datasets"
        ) from error
    found = load_from_disk(str(path))
    parts = dict(found) if isinstance(found, dict) else {"train": found}
    names = parts[next(iter(parts))].column_names
    ids = next((name for name in IDS if name in names), None)
    if ids is None and TEXT not in names:
        todo = f"name the tokens {', '.join(IDS)}, or the texts {TEXT}"
        raise InputError(f"the columns are {', '.join(names)}", where=str(path), todo=todo)
    train, held = _parted({name: name for name in parts})
    about = {"splits": train, "held_out_splits": held}  # run.json says which they were
    if ids is None:
        texts, other = (
            {f"{name}/{i:09d}": text.encode() for name in part for i, text in enumerate(parts[name][TEXT])}
            for part in (train, held)
        )
        return from_texts(texts, seq_len, str(path), tokenizer, other, about, **options)
    rows, apart = (
        [
            chunk.flatten().to_numpy(zero_copy_only=False)
            for name in part
            for chunk in parts[name].data.column(ids).chunks
        ]
        for part in (train, held)
    )
    return _from_tokens(rows, apart, path, seq_len, vocab, about, **options)
