"""Computations that need no repetition: within one command or one choice of a law, the same input is computed once.

A law that is chosen is fitted again with intervals, a report refits what its answer has fitted, and refits of several
checks begin alike. What is kept is exact (the input is compared by its content), small, and gone at the end.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

Found = TypeVar("Found")

MOST = 1000  #: results that are kept; the oldest go first
MOST_BYTES = 1 << 20  #: of one array: a computation on a larger one is not kept
_KEPT: ContextVar[dict[Hashable, Any] | None] = ContextVar("kept", default=None)


@contextmanager
def remembering() -> Iterator[None]:
    """What :func:`once` computes inside is kept to the end of the outermost of these; outside nothing is kept."""
    if _KEPT.get() is not None:
        yield
        return
    token = _KEPT.set({})
    try:
        yield
    finally:
        _KEPT.reset(token)


def once(compute: Callable[[], Found], *told: Any) -> Found:
    """A copy of what ``compute`` gives, computed once for the same content of ``told``, all that it depends on.

    >>> with remembering():
    ...     [once(lambda: [number], "of the same") for number in (1, 2)]
    [[1], [1]]
    """
    kept = _KEPT.get()
    if kept is None:
        return compute()
    try:
        key = tuple(map(_content, told))
    except OverflowError:
        return compute()
    if key not in kept:
        if len(kept) >= MOST:
            kept.pop(next(iter(kept)))
        kept[key] = compute()
    found: Found = kept[key]
    return copy.deepcopy(found)  # callers may write into it


def _content(part: Any) -> Hashable:
    """What tells this part of an input from another: of arrays a digest of their content."""
    if isinstance(part, Mapping):
        return tuple((name, _content(value)) for name, value in part.items())
    if is_dataclass(part):
        return type(part), tuple(_content(getattr(part, field.name)) for field in fields(part))
    if hasattr(part, "tobytes"):
        if part.nbytes > MOST_BYTES:
            raise OverflowError
        return part.shape, part.dtype.str, hashlib.blake2b(part.tobytes(), digest_size=16).digest()
    return part  # type: ignore[no-any-return]
