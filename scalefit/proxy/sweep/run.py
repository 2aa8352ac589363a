"""The training of a sweep in this process: what no process has trained or is training, in packs of equal shape."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from scalefit.errors import InputError
from scalefit.proxy.config import Config
from scalefit.proxy.run_folder import DONE
from scalefit.proxy.sweep.designs import seconds
from scalefit.proxy.sweep.jobs import Job, known
from scalefit.proxy.sweep.tables import status_of, sweep_status
from scalefit.proxy.trainer import Progress, train_members


def run_sweep(
    out: str | Path,
    *,
    device: str | None = None,
    members: int = 64,
    index: int | None = None,
    chunk: int = 1,
    job: str | None = None,
    most: int | None = None,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """Train every job that is not done, in packs of at most ``members``; returns the status of all.

    For arrays of a scheduler: ``index`` trains only the job of that number in jobs.jsonl, from 0, or with ``chunk`` so
    many jobs from index * chunk on; ``job`` only that of this id; ``most`` at most so many of what is left. What is
    done already is left as it is, so each can be repeated.

    A diverged run counts as done. Raises Stopped after SIGTERM or SIGINT; the same call continues from there. Several
    processes may run one sweep at the same time: each skips what another is training.
    """
    chosen = _chosen(known(out), index, chunk, job, str(out))
    left = len(chosen) if most is None else most
    while packs := packs_of(Path(out), chosen, device, members, left):
        left -= sum(map(len, packs)) if most is not None else 0
        clock = Clock([sum(map(seconds, pack)) for pack in packs])
        for number, pack in enumerate(packs, 1):
            if progress:
                progress(f"pack {number} of {len(packs)}: {len(pack)} runs of d_model {pack[0].d_model}; {clock}")
            train_members(pack, out, clock.beside(progress), leave_claimed=True)
            clock.ended()
    return sweep_status(out)


class Clock:
    """How long a sweep will still take, from what its packs should cost and what those that are done did."""

    def __init__(self, costs: Sequence[float]) -> None:
        self.costs, self.done = costs, 0
        self.began = self.last = time.monotonic()

    def ended(self) -> None:
        """Note that one more pack is done."""
        self.done, self.last = self.done + 1, time.monotonic()

    def left(self) -> float:
        """Seconds: costs as estimated until the first pack is done, then as it turned out."""
        done = sum(self.costs[: self.done])
        pace = (self.last - self.began) / done if done else 1.0
        return max(pace * sum(self.costs[self.done :]) - (time.monotonic() - self.last), 0.0)

    def __str__(self) -> str:
        left = self.left()
        return f"sweep {left / 3600:.1f} h left" if left > 5400 else f"sweep {left / 60:.0f} min left"

    def beside(self, progress: Progress | None) -> Progress | None:
        """What receives progress, with this clock at the end of each line."""
        return None if progress is None else lambda line: progress(f"{line}  {self}")


def _chosen(jobs: list[Job], index: int | None, chunk: int, job: str | None, where: str) -> list[Job]:
    """The jobs of one task of an array, or that of one id; all where neither is given."""
    if index is not None and job is not None:
        raise InputError("an index and a job", where=where, todo="say one of them")
    if index is None and chunk > 1:
        raise InputError(f"chunks of {chunk} jobs, and no index", where=where, todo="say which chunk, by its index")
    if index is not None:
        found = jobs[index * chunk : (index + 1) * chunk] if index >= 0 else []
        what, todo = f"there is no job {index}", f"give 0 to {-(-len(jobs) // chunk) - 1} for {len(jobs)} jobs"
    elif job is not None:
        found = [each for each in jobs if each.id == job]
        what, todo = f'there is no job "{job}"', f"scalefit sweep status --out {where} lists them"
    else:
        return jobs
    if not found:
        raise InputError(what, where=where, todo=todo)
    return found


def packs_of(out: Path, jobs: Sequence[Job], device: str | None, members: int, most: int) -> list[list[Config]]:
    """The first jobs that no process has trained or is training, in packs of equal shape.

    Which jobs share a pack does not depend on which of them are done, so that a sweep that was stopped goes on with the
    same packs, and comes to the same numbers.
    """
    of_shape: dict[str, list[Config]] = {}
    for job in jobs:
        config = replace(job.config, device=device or job.config.device)
        of_shape.setdefault(config.pack_key(), []).append(config)
    packs = [group[at : at + members] for group in of_shape.values() for at in range(0, len(group), members)]
    left = [job.id for job in jobs if status_of(out, job)["status"] not in (*DONE, "running")][:most]
    open_packs = ([config for config in pack if config.name in left] for pack in packs)
    return [pack for pack in open_packs if pack]
