"""What a long computation is doing, for whoever listens: the command line shows it on a terminal, nobody else asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[str], object]
_listener: ContextVar[Listener | None] = ContextVar("status_line", default=None)


def tell(text: str) -> None:
    """Say what is being done now; nothing happens where nobody listens."""
    listener = _listener.get()
    if listener is not None:
        listener(text)


@contextmanager
def heard(listener: Listener | None) -> Iterator[None]:
    """Inside, ``listener`` is called with what is being done.

    >>> said = []
    >>> with heard(said.append):
    ...     tell("trying power")
    >>> tell("nobody hears this"); said
    ['trying power']
    """
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
