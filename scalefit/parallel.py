"""The same computation many times over, on as many processes as the caller of the package chose, through joblib.

What is computed, and in which order it comes back, does not depend on how many there are or where they run. Inside
``with joblib.parallel_config("dask", n_jobs=8):`` back-tests, comparisons, resamples and the reading of folders run
there, and likewise on every other backend of joblib; without it in one process.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from scalefit.errors import ON_COMMAND_LINE, ScalefitError

Given = TypeVar("Given")
Found = TypeVar("Found")


START = 3.0  #: seconds of work for which no process is started: each takes nearly half as long to load the package


def each(
    function: Callable[[Given], Found],
    jobs: Iterable[Given],
    workers: int | None = None,
    *,
    threads: bool = False,
    seconds: float = float("inf"),
) -> list[Found]:
    """``[function(job) for job in jobs]``. ``workers``: how many at a time; None leaves it to joblib's configuration.

    ``threads``: threads serve it as well as processes, as where NumPy does the work. ``seconds``: about how long all
    jobs take in one process, where that may be less than others take to start. Of several jobs that fail, the first in
    order is the one whose error is raised.

    >>> each(abs, [-1, 2, -3])
    [1, 2, 3]
    """
    todo = list(jobs)
    few = len(todo) < 2 or seconds < START
    if few or workers == 1 or (workers is None and "joblib" not in sys.modules):  # nothing was configured
        return [function(job) for job in todo]
    from joblib import Parallel, delayed

    if not threads:
        with _deaf():
            Parallel(n_jobs=workers)(delayed(int)() for _ in range(2))  # starts the processes, which are used again
    called = delayed(_Elsewhere(function, ON_COMMAND_LINE.get()))
    found = Parallel(n_jobs=workers, prefer="threads" if threads else None)(map(called, todo))
    for one in found:
        if isinstance(one, _Refused):
            raise one.error
    return list(found)


@contextmanager
def _deaf() -> Iterator[None]:
    """Processes that start meanwhile never hear Ctrl-C, which a terminal sends to all: only this one answers it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # it undoes what follows when it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@dataclass(frozen=True)
class _Refused:
    """Why a job failed: an answer, so that which one fails first does not depend on who is faster."""

    error: ScalefitError


@dataclass(frozen=True)
class _Elsewhere(Generic[Given, Found]):
    """A function that speaks to the same reader in another process or thread."""

    function: Callable[[Given], Found]
    on_command_line: bool

    def __call__(self, job: Given) -> Found | _Refused:
        token = ON_COMMAND_LINE.set(self.on_command_line)
        try:
            return self.function(job)
        except ScalefitError as error:
            return _Refused(error)
        finally:
            ON_COMMAND_LINE.reset(token)
