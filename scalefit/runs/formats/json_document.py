"""A JSON document that is a table: a list of objects, or an object of columns; otherwise it is read as JSON lines."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from scalefit.errors import InputError, listed
from scalefit.runs.formats import huggingface, jsonl
from scalefit.runs.formats.beside import settings_file, settings_of
from scalefit.runs.formats.flat_yaml import flat_yaml
from scalefit.runs.formats.json_series import of_pairs, of_points, of_series
from scalefit.runs.formats.json_shapes import losses_along, rows_of, unwrapped
from scalefit.runs.formats.jsonl import framed
from scalefit.runs.formats.lm_eval import of_harness
from scalefit.runs.formats.raw import RawTable, Remark, ends_empty, nans_of
from scalefit.runs.formats.tensorboard_csv import run_and_tag
from scalefit.runs.formats.text import ENDINGS, flattened, lines, parsed
from scalefit.runs.formats.wandb_offline import CLOCKS
from scalefit.runs.matching import match

NAMES = tuple(f"*.json{packed}" for packed in ENDINGS)
#: a size as a key: 125m, 1.3B
SIZE = re.compile(r"\d+(?:\.\d+)?\s*[mb](?:illion)?", re.IGNORECASE)
FOLDER_RANK = 7
WANDB, VALUE = "wandb-summary.json", re.compile(r"/value(?=/|$)")
SUMMARIES = (WANDB, "summary.json", "results.json", "result.json", "final.json", "metrics.json")


def sources(folder: Path) -> list[Path]:
    """One file of results in each folder of a run."""
    found = [next((part / name for name in SUMMARIES if (part / name).is_file()), None) for part in _parts(folder)]
    return [path for path in found if path is not None]


def _parts(folder: Path) -> list[Path]:
    """The folder itself, its folders, and folders `files` in them."""
    inner = [part for part in sorted(folder.iterdir()) if part.is_dir()]
    return [folder, *inner, *(part / "files" for part in inner if (part / "files").is_dir())]


def read(path: Path) -> RawTable:
    """Read `[{"step": 0, "loss": 5}, ...]` or `{"step": [0, 1], "loss": [5, 4]}`; the index counts rows from 1.

    Raises InputError if the file is neither, nor the state of a Trainer, nor JSON lines.
    """
    try:
        content = parsed("".join(lines(path)))
    except (ValueError, RecursionError):
        return jsonl.read(path)
    if isinstance(content, dict) and "log_history" in content:
        return huggingface.read(path)
    return table(path, content)


def table(path: Path, content: Any) -> RawTable:
    """The table that a document holds; the index counts rows from 1.

    Raises InputError where it holds none.
    """
    if isinstance(content, dict) and {"schema_version", "scalefit_version"} <= content.keys():
        todo = "give the run logs that it was fitted to; a saved fit is for predict, plan, next, plot and report"
        raise InputError("this is a saved fit, no run log", where=str(path), todo=todo)
    if (judged := of_harness(content)) is not None:
        return _summary(path, judged)
    if (drawn := _drawn(path, content)) is not None:
        return drawn
    try:
        content, scalars = unwrapped(content)
    except RecursionError as error:
        raise InputError("the objects are nested too deep", where=str(path), todo=jsonl.OBJECTS) from error
    except InputError as error:
        raise InputError(error.what, where=str(path), todo=error.todo) from error
    counted = list[Remark]()
    _refuse_sizes_alone(path, content)
    if isinstance(content, dict) and content and all(isinstance(values, list) for values in content.values()):
        if len({len(values) for values in content.values()}) > 1:
            todo = "give every column the same number of values"
            raise InputError("the columns have different lengths", where=str(path), todo=todo)
        along = losses_along(content, scalars)
        if along is not None:
            content = {"step": along[0], **content}
            counted = [Remark("derived", f"the list holds a loss every {along[0][0]} steps, as '{along[1]}' says")]
        content, told_of_lists = rows_of(content, path.stem)
        counted += told_of_lists
    if isinstance(content, dict) and content and not any(isinstance(values, list) for values in content.values()):
        return _summary(path, flattened(content))
    if not isinstance(content, list) or not all(isinstance(record, dict) for record in content):
        todo, what = 'write [{"step": 0, "loss": 5.0}, ...] or one object per line', "the JSON is not a table"
        if isinstance(content, list) and content and all(isinstance(each, int | float) for each in content):
            todo, what = 'write {"step": [10, 20, ...], "loss": [...]}', "the JSON is a list of numbers without steps"
        raise InputError(what, where=str(path), todo=todo)
    records, numbers = [flattened(record) for record in content], list(range(1, len(content) + 1))
    frame, told = framed(records, numbers)
    nans = nans_of(records, numbers)
    return RawTable(path, frame, scalars, remarks=(*counted, *told), nans=nans, unsure=ends_empty(records))


def _refuse_sizes_alone(path: Path, content: Any) -> None:
    """Raise InputError for an object whose keys are sizes and whose values are numbers or lists of these: nothing says
    what they measure, or at which steps."""
    keys = list(content) if isinstance(content, dict) else []
    if len(keys) < 2 or not all(SIZE.fullmatch(key) for key in keys):
        return
    lists = all(isinstance(each, list) for each in content.values())
    if not lists and not all(isinstance(each, int | float) for each in content.values()):
        return
    first = keys[0]
    what = f"the keys are sizes ({listed(keys, 3)}), and nothing says " + (
        "at which steps their values stand" if lists else "what their values are"
    )
    todo = f'{{"step": [10, 20, ...], "{first}": [...]}}' if lists else f'{{"{first}": {{"loss": 3.2}}, ...}}'
    raise InputError(what, where=str(path), todo=f"write {todo}")


def _drawn(path: Path, content: Any) -> RawTable | None:
    """The table of a document of curves, or of the points of one tag; None for anything else."""
    points, found = of_points(content), of_series(content) or of_pairs(content)
    if points is not None:
        run, tag = run_and_tag(path)
        text = f"the values are those of the tag '{tag}', by the name of the file"
        told = Remark("named", text) if tag else Remark("unknown", "the file does not say what its values measure")
        records = [{**({"run": run} if run else {}), "step": step, tag or "value": value} for step, value in points]
        found = records, [told], "step"
    if found is None:
        return None
    records, remarks, place = found
    numbers = list(range(1, len(records) + 1))
    frame, lists = framed(records, numbers)
    clock = place if place != "step" else ""
    return RawTable(path, frame, remarks=(*remarks, *lists), nans=nans_of(records, numbers), clock=clock)


def documents(folder: Path) -> list[Path]:
    """The JSON files of a folder that hold a loss: one row per run (r0.json, r1.json)."""
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            content = parsed(path.read_bytes())
            rows = content if of_harness(content) is None else [{"loss": 0.0}]
            rows, _ = unwrapped(rows)
        except InputError:  # which reading the file will say
            found.append(path)
            continue
        except (ValueError, RecursionError, OSError):
            continue
        rows = rows if isinstance(rows, list) else [rows]
        keys = {key.lower() for row in rows[:50] if isinstance(row, dict) for key in flattened(row)}
        if any("loss" in key or "nll" in key for key in keys):
            found.append(path)
    return found


def _summary(path: Path, record: dict[str, Any]) -> RawTable:
    """One object, the result of a run: named after its folder, with the configuration that is kept beside it."""
    told = list[Remark]()
    if path.name == WANDB:
        record = {key: value for key, value in record.items() if key not in CLOCKS and not key.startswith("_wandb/")}
        record |= {f"config/{key}": value for key, value in _config(path.with_name("config.yaml")).items()}
    elif path.name in SUMMARIES and (beside := settings_file(path)) is not None:
        settings = {f"config/{key}": value for key, value in settings_of(beside).items() if key not in record}
        told.append(Remark("derived", f"{len(settings)} settings are those of {beside.name}"))
        record |= settings
    if not any(each.name == "run" for each in match(record, ties={})):
        folder = path.parent.parent if path.parent.name == "files" else path.parent
        record["run"] = folder.name if path.name in SUMMARIES and folder.name else path.stem
    frame, lists = framed([record], [1])
    return RawTable(path, frame, remarks=(*told, *lists), nans=nans_of([record], [1]))


def _config(path: Path) -> dict[str, object]:
    """The entries of W&B's configuration, each below a key `value`."""
    found = {VALUE.sub("", key, count=1): value for key, value in flat_yaml(path).items() if VALUE.search(key)}
    return {key: value for key, value in found.items() if not key.startswith("_wandb")}
