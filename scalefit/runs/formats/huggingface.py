"""`trainer_state.json` of the Hugging Face Trainer: its `log_history`, one row for each step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from scalefit.errors import InputError
from scalefit.runs.formats.jsonl import framed
from scalefit.runs.formats.raw import RawTable, Remark, nans_of
from scalefit.runs.formats.text import flattened, lines, parsed

NAMES = ("trainer_state.json", "*trainer_state*.json")
FOLDER_RANK = 2
KNOWN = (
    "loss is the mean over the last logging interval, rounded to four decimals before version 5",
    "the file does not say which version wrote it: versions before March 2025 log the learning rate of the next step, "
    "and some around 4.46 log a loss multiplied by the steps of gradient accumulation",
    "losses that were not finite may have been replaced by a running mean (logging_nan_inf_filter); without it "
    "one that is NaN makes all later ones of the process NaN",
)


def sources(folder: Path) -> list[Path]:
    """The state of each run in a folder: its own, else that of its last checkpoint (which has the whole history)."""
    runs = [folder, *sorted(part for part in folder.iterdir() if part.is_dir())]
    named = [run for run in runs if not run.name.startswith("checkpoint-") or run == folder]
    return [state for run in named if (state := _state(run)) is not None]


def _state(run: Path) -> Path | None:
    own = run / "trainer_state.json"
    if own.is_file():
        return own
    saved = [path for path in run.glob("checkpoint-*/trainer_state.json") if path.parent.name[11:].isdecimal()]
    return max(saved, key=lambda path: int(path.parent.name[11:]), default=None)


def read(path: Path) -> RawTable:
    """Read `log_history`; the index counts its records from 1.

    Training and evaluation records of one step become one row. The closing record (`train_loss`, the mean of the whole
    run) is left out. Raises InputError if the file is not such a state.
    """
    state = _loaded(path)
    rows, numbers, remarks = list[dict[str, Any]](), list[int](), list[Remark]()
    joined = 0
    for number, record in enumerate(state["log_history"], start=1):
        if not isinstance(record, dict) or "step" not in record:
            remarks.append(Remark("dropped", f"record {number} has no step"))
        elif "train_loss" in record and "loss" not in record:
            remarks.append(Remark("dropped", "the closing record: its train_loss is the mean of the whole run"))
        elif rows and rows[-1]["step"] == record["step"] and not _repeats(rows[-1], record):
            rows[-1].update(flattened(record))
            joined += 1
        else:
            rows.append(flattened(record))
            numbers.append(number)
    if joined:
        remarks.append(Remark("joined", f"{joined} records with the previous one of the same step", joined))
    frame, told = framed(rows, numbers)
    nans = nans_of(rows, numbers)
    remarks += [*told, *zeros_of_lost_losses(frame, nans)]
    if "loss" in frame.columns:
        remarks += [Remark("unknown", text) for text in KNOWN]
    names = ("max_steps", "num_train_epochs", "train_batch_size", "logging_steps")
    scalars = {name: state[name] for name in names if isinstance(state.get(name), int | float)}
    return RawTable(path, frame, scalars, tuple(remarks), nans, single=True)


def zeros_of_lost_losses(frame: pd.DataFrame, nans: dict[str, list[int]]) -> list[Remark]:
    """Make NaN of a loss of 0 beside a gradient norm of NaN, which the Trainer logs for a loss that was NaN."""
    if not {"loss", "grad_norm"} <= set(frame.columns):
        return []
    zero = frame["loss"].eq(0) & frame.index.isin(nans.get("grad_norm", []))
    if not zero.any():
        return []
    frame["loss"] = frame["loss"].astype(float).where(~zero)
    nans["loss"] = sorted({*nans.get("loss", []), *(int(at) for at in frame.index[zero])})
    text = f"a loss of 0 beside a gradient norm of NaN stands for NaN: {zero.sum()} records are read so"
    return [Remark("diverged", text, int(zero.sum()))]


def _repeats(row: dict[str, Any], record: dict[str, Any]) -> bool:
    """Whether a record logs again what the row has (apart from counters): then it is a restart, not a part of it."""
    return bool((set(row) & set(record)) - {"step", "epoch", "num_input_tokens_seen", "total_flos"})


def _loaded(path: Path) -> dict[str, Any]:
    try:
        state = parsed("".join(lines(path)))
    except (ValueError, RecursionError) as error:
        todo = "copy it again, or take that of a checkpoint folder"
        raise InputError("not a JSON file, or cut off", where=str(path), todo=todo) from error
    if not isinstance(state, dict) or not isinstance(state.get("log_history"), list):
        todo = "give the trainer_state.json of a run"
        raise InputError("there is no log_history in the file", where=str(path), todo=todo)
    return state
