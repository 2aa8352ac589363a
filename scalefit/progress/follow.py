"""A log that grows: looked at again whenever it has changed, until its runs have ended or it stays as it is.

Time is handed in: ``wait`` lets some pass and says how many seconds, so that nothing here depends on a clock.
"""

from __future__ import annotations

import glob
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from scalefit.errors import InputError, listed
from scalefit.progress.watch import Watch
from scalefit.runs import Runs
from scalefit.runs.siblings import DONE

T = TypeVar("T")
FEW_LINES = 4  #: a text with fewer lines has only begun: that it cannot be judged yet is no error
BEGINNING = 1 << 16  #: bytes of each file in which these lines are counted
FEW_BYTES = 1 << 12  #: the same of a file that is no text


def looks(
    look: Callable[[], T],
    mark: Callable[[], Hashable],
    wait: Callable[[], float],
    *,
    begun: Callable[[], bool] = lambda: True,
    idle: float,
) -> Iterator[T]:
    """What ``look`` sees: at once, and again whenever the ``mark`` of the log has changed.

    Ends when the mark has stayed the same for ``idle`` seconds. A look that fails is repeated at the next change, once:
    a program may be writing the last row. A log that has not ``begun`` may fail as often as it likes.

    Raises the InputError of a look where two in a row fail, or the first one does, or none succeeds.

    >>> log, more = ["a"], iter("bc")
    >>> def wait():
    ...     log.extend(next(more, ""))
    ...     return 1.0
    >>> list(looks(lambda: "".join(log), lambda: len(log), wait, idle=2.0))
    ['a', 'ab', 'abc']
    """
    failed, never = True, True
    while True:
        seen = mark()  # before the look: what is written meanwhile is a change
        try:
            found = look()
        except InputError as error:
            if failed and begun():
                raise
            failed, last = begun(), error
        else:
            failed = never = False
            yield found
        if not _changes(seen, mark, wait, idle):
            if never:
                raise last
            return


def _changes(seen: Hashable, mark: Callable[[], Hashable], wait: Callable[[], float], idle: float) -> bool:
    """Whether the mark changes before the time is over."""
    quiet = 0.0
    while quiet < idle:
        quiet += wait()
        if mark() != seen:
            return True
    return False


def mark_of(sources: Sequence[str]) -> Hashable:
    """Names, sizes and times of the files behind some sources; never the same where a source is no file."""
    return tuple((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in _files(sources)) or object()


def has_begun(sources: Sequence[str]) -> bool:
    """Whether the files behind some sources hold more than a first few rows; what is no file is not waited for."""
    files = _files(sources)
    return not files or sum(map(_lines, files)) >= FEW_LINES


def _files(sources: Sequence[str]) -> list[Path]:
    places = [Path(each) for source in sources for each in sorted(glob.glob(source)) or [source]]  # noqa: PTH207  # relative
    found = [file for place in places for file in (sorted(place.rglob("*")) if place.is_dir() else [place])]
    return [file for file in found if file.is_file()]


def _lines(file: Path) -> int:
    with file.open("rb") as stream:
        head = stream.read(BEGINNING)
    return head.count(b"\n") if b"\0" not in head else FEW_LINES * (len(head) >= FEW_BYTES)


def end_of(runs: Runs, seen: Mapping[str, Watch], steps: int | None) -> str:
    """Why no more rows will come, where every run has ended: at its last step, as its log says, or diverged."""
    assert runs.curves is not None
    facts: dict[Any, dict[Any, Any]] = runs.table.drop_duplicates("run").set_index("run").to_dict("index")
    declared = any(column.name == "steps" for column in runs.columns)
    given = runs.learning_rates.given or {}
    reasons = list[str]()
    for name, each in seen.items():
        row = facts[name]
        lengths = [steps, row.get("steps") if declared else None, given[name].steps if name in given else None]
        length = next((float(one) for one in lengths if one is not None and not pd.isna(one)), float("inf"))
        if each.status == "diverged":
            reasons.append(f"{name} has diverged")
        elif str(row.get("status", "")).strip().lower() in DONE:
            reasons.append(f"{name} has ended, as its log says")
        elif each.step >= length - 1:  # steps may count from 0
            reasons.append(f"{name} is at its last step")
        else:
            return ""
    return listed(reasons)
