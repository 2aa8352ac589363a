"""What is known of the runs of a sweep: how far each is, and all of them as one table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalefit.errors import InputError
from scalefit.proxy.config import UNIDENTIFYING
from scalefit.proxy.run_folder import RunFolder
from scalefit.proxy.sweep.jobs import Job, known, varied

if TYPE_CHECKING:
    import pandas as pd

NOT_OF_RUN = (
    "run",
    "flops_formula",
    "step",
    "members",
    "processes",
)  #: entries of run.json that do not say how it was trained


def sweep_status(out: str | Path) -> list[dict[str, Any]]:
    """One dictionary per job: id, status, step, steps, val_loss, and the keys that vary.

    The status is planned, running, stopped (also after a kill), finished or diverged.
    """
    jobs = known(out)
    keys = varied([job.config for job in jobs])
    return [status_of(Path(out), job) | {key: getattr(job.config, key) for key in keys} for job in jobs]


def collect_sweep(out: str | Path, *, curves: bool = False) -> pd.DataFrame:
    """All runs that have begun in one table: a row per run with its final losses, or with ``curves`` a row per step.

    The column ``run`` is the job's id; the keys that vary over the sweep come next, then what ``run.json`` says (N, D,
    C, status), then every other setting, whether it varies or not: the table says of the runs what their folders say.
    Raises InputError where no run has begun.
    """
    import pandas as pd

    jobs = known(out)
    keys = varied([job.config for job in jobs])
    begun = [job for job in jobs if (Path(out) / job.id / "run.json").exists()]
    if not begun:
        raise InputError(f"none of {len(jobs)} runs has begun", where=str(out), todo=f"scalefit sweep run --out {out}")
    rows: list[dict[str, Any]] = []
    for job in begun:
        labels = _labels(Path(out), job, keys)
        rows += [labels | row for row in RunFolder(Path(out) / job.id).rows()] if curves else [labels]
    return pd.DataFrame(rows)


def _labels(out: Path, job: Job, keys: Sequence[str]) -> dict[str, Any]:
    """Everything that is known of a run but its rows; what ``run.json`` says goes before the configuration."""
    facts = RunFolder(out / job.id).facts()
    known = {key: value for key, value in facts.items() if key not in NOT_OF_RUN and not isinstance(value, dict)}
    known["status"] = status_of(out, job)["status"]
    settings = {key: value for key, value in job.config.as_dict().items() if key not in UNIDENTIFYING}
    first = {key: getattr(job.config, key) for key in keys}
    first |= {"lr": facts["lr"]} if "lr" in facts else {}
    return {key: _cell(value) for key, value in ({"run": job.id} | first | settings | known | first).items()}


def _cell(value: Any) -> Any:
    return json.dumps(value, sort_keys=True) if isinstance(value, dict) else value


def status_of(out: Path, job: Job) -> dict[str, Any]:
    """How far one run is: id, status, step, steps, val_loss, and a note where it has one."""
    folder = RunFolder(out / job.id)
    facts = folder.facts()
    row = {"id": job.id, "status": folder.status(), "step": folder.last_row().get("step", 0), "steps": job.config.steps}
    note = {"note": facts["note"]} if "note" in facts else {}
    return row | {"val_loss": facts.get("val_loss")} | note
