"""A sweep as a Slurm array: each task trains its part of jobs.jsonl, and can be repeated."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from scalefit.errors import InputError
from scalefit.proxy.run_folder import DONE
from scalefit.proxy.sweep.jobs import known
from scalefit.proxy.sweep.tables import status_of
from scalefit.writing import write_text

SCRIPT = """#!/bin/bash
#SBATCH --job-name={name}
#SBATCH --array={tasks}
#SBATCH --output={log}
#SBATCH --requeue
{options}# {left} of {all} runs are not done. When the array has ended, {again}
# writes it again for what is left, to be submitted once more.
exec {command}
"""
OPTION = re.compile(r"--?[A-Za-z][^\r\n\x00]*")


def slurm_script(out: str | Path, options: Sequence[str], *, chunk: int, run: Sequence[str]) -> str:
    """The text of a batch script for the runs that are not done, ``chunk`` to a task.

    ``options`` are lines for sbatch, such as "--gpus=1"; ``run`` are further words for ``scalefit sweep run``. Slurm
    sends SIGTERM before it kills: the run then saves, and continues from there. Raises InputError where nothing is
    left, or for an option that sbatch could not read from a script.
    """
    for option in options:
        if not OPTION.fullmatch(option):
            raise InputError(f"{option!r} is not an option of sbatch", where="--sbatch", todo='write "--gpus=1"')
        if re.match(r"--array\b|-a", option):
            todo = "leave it out, and give --chunk for fewer tasks"
            raise InputError("the array is that of the runs which are not done", where="--sbatch", todo=todo)
    folder, jobs = Path(out).resolve(), known(out)
    if re.search(r"[\s%\\\"']", str(folder)):
        todo = "choose a folder whose path has no space, quote or %"
        raise InputError("Slurm cannot name its logs in this folder", where=str(folder), todo=todo)
    left = [number for number, job in enumerate(jobs) if status_of(folder, job)["status"] not in DONE]
    if not left:
        raise InputError(f"all {len(jobs)} runs are done", where=str(out), todo=f"scalefit sweep collect --out {out}")
    scalefit = [sys.executable, "-m", "scalefit", "sweep"]
    words = [*scalefit, "run", "--out", str(folder), "--chunk", str(chunk), *run, "--index"]
    return SCRIPT.format(
        name=re.sub(r"[^\w.-]", "_", folder.name) or "sweep",
        tasks=_ranges(sorted({number // chunk for number in left})),
        log=folder / "slurm" / "%A_%a.out",
        options="".join(f"#SBATCH {option}\n" for option in options),
        left=len(left),
        all=len(jobs),
        again=shlex.join(["scalefit", "sweep", "slurm", "--out", str(folder)]),
        command=f'{shlex.join(words)} "$SLURM_ARRAY_TASK_ID"',
    )


def write_slurm(out: str | Path, options: Sequence[str] = (), *, chunk: int = 1, run: Sequence[str] = ()) -> Path:
    """Write the script of :func:`slurm_script` as ``out``/slurm/array.sbatch; returns its place."""
    text = slurm_script(out, options, chunk=chunk, run=run)
    folder = Path(out) / "slurm"
    folder.mkdir(exist_ok=True)  # Slurm does not make the folder of its logs
    return write_text(folder / "array.sbatch", text)


def _ranges(numbers: Iterable[int]) -> str:
    """Numbers in rising order as sbatch reads them.

    >>> _ranges([0, 1, 2, 5, 7, 8])
    '0-2,5,7-8'
    """
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)
