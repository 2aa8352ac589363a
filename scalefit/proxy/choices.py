"""What to say when a name is not among those known."""

from __future__ import annotations

from collections.abc import Iterable

from scalefit.numerics import nearest_names


def suggestion(name: str, known: Iterable[str]) -> str:
    """The nearest known name, or all of them.

    >>> suggestion("adam_w", ["adamw", "sgd"]), suggestion("x", ["adamw", "sgd"])
    ("did you mean 'adamw'?", 'choose one of adamw, sgd')
    """
    names = list(known)
    near = nearest_names(name, names, 1)
    return f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(names) or 'none'}"
