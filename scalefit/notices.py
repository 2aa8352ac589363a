"""A line of an answer with its severity, which text, JSON, pages, notebooks and exit codes go by."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

NOTE, DOUBT = "note", "doubt"


@dataclass(frozen=True)
class Notice:
    """A remark on an answer: a ``note`` tells how it came about, a ``doubt`` is a reason not to trust it.

    >>> print(Notice("the sizes span one decade"))
    ! the sizes span one decade
    """

    text: str
    severity: str = DOUBT

    def __str__(self) -> str:
        return f"! {self.text}" if self.severity == DOUBT else self.text


#: a line of an answer: what it says, or a remark on it
Line = str | Notice


def noted(texts: Iterable[str], doubts: Collection[str] = ()) -> list[Notice]:
    """Remarks, each as a line of its own: notes, but for those among ``doubts``.

    >>> print(*noted(["3 runs left out", "the sizes span one decade"], ["the sizes span one decade"]), sep="\\n")
    3 runs left out
    ! the sizes span one decade
    """
    return [Notice(text, DOUBT if text in doubts else NOTE) for text in texts]


def doubted(texts: Iterable[str]) -> list[Line]:
    """Doubts, each as a line of its own."""
    return [Notice(text) for text in texts]


def doubts_of(lines: Iterable[Line]) -> list[str]:
    """What is doubtful among lines.

    >>> doubts_of(["calm", Notice("few rows"), Notice("14 rows", "note")])
    ['few rows']
    """
    return [line.text for line in lines if isinstance(line, Notice) and line.severity == DOUBT]


def without_doubts(lines: Iterable[Line]) -> list[str]:
    """The lines that are no doubts, as single lines of text.

    >>> without_doubts(["calm\\n  2 rows", Notice("few rows")])
    ['calm', '  2 rows']
    """
    kept = [str(line) for line in lines if not (isinstance(line, Notice) and line.severity == DOUBT)]
    return "\n".join(kept).split("\n") if kept else []
