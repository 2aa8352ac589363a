"""A sweep on a Ray cluster: one task for each pack, fractions of GPUs, packs of lost machines begun again elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scalefit.errors import InputError, ScalefitError
from scalefit.proxy.claims import BEAT
from scalefit.proxy.config import Config
from scalefit.proxy.run_folder import DONE
from scalefit.proxy.sweep.jobs import known
from scalefit.proxy.sweep.run import packs_of
from scalefit.proxy.sweep.tables import status_of, sweep_status
from scalefit.proxy.trainer import Progress, Stopped, train_members

RETRIES = 4  #: how often a pack is begun again after its machine or process was lost
PAUSE = BEAT / 10  #: seconds until runs that another process seems to train are looked at again


def run_on_ray(
    out: str | Path,
    *,
    device: str | None = None,
    members: int = 64,
    gpus: float = 0.0,
    cpus: float = 1.0,
    address: str | None = None,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """Train every job that is not done on a Ray cluster; returns the status of all when nothing is left to train.

    Each pack is a task that takes ``gpus`` and ``cpus``, which may be fractions: gpus=0.25 puts four packs on one GPU.
    A pack whose machine or process is lost is begun again, RETRIES times, and its runs continue from their last
    checkpoints. All machines share the folder ``out``. ``address`` is that of the cluster; without one, and where
    RAY_ADDRESS names none, Ray starts on this machine. Raises ScalefitError for packs that failed, after all others
    have ended.
    """
    try:
        import ray
    except ImportError as error:
        raise InputError("Ray is not installed", todo='pip install -e ".[proxy,ray]"') from error
    folder, began, jobs = Path(out).resolve(), not ray.is_initialized(), known(out)
    device = device or ("cuda" if gpus else None)
    failed: dict[str, str] = {}
    if began:
        ray.init(address=address, log_to_driver=False, logging_level="error")
    try:
        task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=RETRIES, retry_exceptions=[Stopped])(_train)
        while any(job.id not in failed and status_of(folder, job)["status"] not in DONE for job in jobs):
            packs = [
                pack
                for pack in packs_of(folder, jobs, device, members, len(jobs))
                if not failed.keys() & {config.name for config in pack}
            ]
            failed |= _ended({task.remote(pack, str(folder)): pack for pack in packs}, progress)
            if not packs:  # others train them, or the lease of a lost machine has not run out
                time.sleep(PAUSE)
    finally:
        if began:
            ray.shutdown()
    if failed:
        first = next(iter(failed))
        todo = "mend the cause and run it again: what is done stays"
        raise ScalefitError(f"{len(failed)} runs failed, the first with: {failed[first]}", where=first, todo=todo)
    return sweep_status(folder)


def _train(pack: Sequence[Config], out: str) -> None:
    """Train a pack in a worker of Ray."""
    train_members(pack, out, leave_claimed=True)


def _ended(tasks: Mapping[Any, Sequence[Config]], progress: Progress | None) -> dict[str, str]:
    """Wait for all tasks; returns why runs failed, by their names."""
    import ray

    failed: dict[str, str] = {}
    waiting = list(tasks)
    while waiting:
        (task,), waiting = ray.wait(waiting)
        try:
            ray.get(task)
        except ray.exceptions.RayError as error:
            reason = str(getattr(error, "cause", None) or error).strip().splitlines()[-1]
            failed |= {config.name: reason for config in tasks[task]}
        if progress:
            progress(f"{len(tasks) - len(waiting)} of {len(tasks)} packs have ended")
    return failed
