"""The same computation many times over, on as many processes as the caller of the package chose, through joblib.

What is computed, and in which order it comes back, does not depend on how many there are or where they run. Inside
``with joblib.parallel_config("dask", n_jobs=8):`` back-tests, comparisons, resamples and the reading of folders run
there, and likewise on every other backend of joblib; without it in one process.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from scalefit.errors import ON_COMMAND_LINE

Given = TypeVar("Given")
Found = TypeVar("Found")


def each(
    function: Callable[[Given], Found], jobs: Iterable[Given], workers: int | None = None, *, threads: bool = False
) -> list[Found]:
    """``[function(job) for job in jobs]``. ``workers``: how many at a time; None leaves it to joblib's configuration.

    ``threads``: threads serve it as well as processes, as where NumPy does the work. Exceptions are those of the first
    job that fails.

    >>> each(abs, [-1, 2, -3])
    [1, 2, 3]
    """
    todo = list(jobs)
    if len(todo) < 2 or workers == 1 or (workers is None and "joblib" not in sys.modules):  # nothing was configured
        return [function(job) for job in todo]
    from joblib import Parallel, delayed

    called = delayed(_Elsewhere(function, ON_COMMAND_LINE.get()))
    found: list[Found] = Parallel(n_jobs=workers, prefer="threads" if threads else None)(map(called, todo))
    return found


@dataclass(frozen=True)
class _Elsewhere(Generic[Given, Found]):
    """A function that speaks to the same reader in another process or thread."""

    function: Callable[[Given], Found]
    on_command_line: bool

    def __call__(self, job: Given) -> Found:
        token = ON_COMMAND_LINE.set(self.on_command_line)
        try:
            return self.function(job)
        finally:
            ON_COMMAND_LINE.reset(token)
