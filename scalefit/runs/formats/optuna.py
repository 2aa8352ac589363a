"""Optuna's data base: one row a trial, with its parameters, its state and its value, read without Optuna."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from scalefit.errors import InputError
from scalefit.runs.formats.data_base import rows, tables
from scalefit.runs.formats.raw import RawTable, Remark, nans_of
from scalefit.runs.formats.text import parsed

NAMES = ("*.db", "*.sqlite", "*.sqlite3")
FOLDER_RANK = 6
TRIALS = (
    "SELECT trial_id, study_name, number, state FROM trials JOIN studies USING (study_id) ORDER BY study_id, number"
)
PARAMS = "SELECT trial_id, param_name, param_value, distribution_json FROM trial_params ORDER BY param_id"
VALUES = "SELECT trial_id, objective, value, value_type FROM trial_values ORDER BY objective"
FACTS = "SELECT trial_id, key, value_json FROM trial_user_attributes"
REPORTED = "SELECT * FROM trial_intermediate_values ORDER BY trial_id, step"
REPORT = "intermediate_value"
INFINITE = {"INF_POS": float("inf"), "INF_NEG": float("-inf"), "NAN": float("nan")}
STATES = {"COMPLETE": "finished", "FAIL": "failed", "WAITING": "planned"}  #: others keep their name, in lower case


def claims(path: Path) -> bool:
    """Whether the data base has Optuna's tables."""
    return {"studies", "trials", "trial_params"} <= tables(path)


def sources(folder: Path) -> list[Path]:
    """The data bases of studies in a folder."""
    return [path for name in NAMES for path in sorted(folder.glob(name)) if claims(path)]


def read(path: Path) -> RawTable:
    """The trials of every study: run (study and number), status, parameters, user attributes, value.

    `value` is what the study minimises: say what it is with `--map loss=value`; several objectives are value_0,
    value_1. A trial without a value (failed, running) keeps its row and its status. Values that trials reported on the
    way are the table `along`: `--map loss=intermediate_value`. Raises InputError for a data base of another kind, or
    without a trial.
    """
    trials = rows(path, TRIALS, "Optuna")
    if not trials:
        raise InputError("no study has a trial", where=str(path), todo="give the data base of a study that has run")
    found: dict[int, dict[str, Any]] = {
        trial: {"run": f"{study}/{number}", "status": STATES.get(state, state.lower())}
        for trial, study, number, state in trials
    }
    values = rows(path, VALUES, "Optuna")
    several = any(objective for _, objective, _, _ in values)
    try:
        for trial, name, value, distribution in rows(path, PARAMS, "Optuna"):
            found[trial][name] = _parameter(value, parsed(distribution))
        for trial, key, text in rows(path, FACTS, "Optuna"):
            fact = parsed(text)
            if isinstance(fact, str | int | float | bool):
                found[trial][key] = fact
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise InputError(
            f"a damaged data base of Optuna ({error})", where=str(path), todo="run the study again"
        ) from error
    for trial, objective, value, kind in values:
        found[trial][f"value_{objective}" if several else "value"] = INFINITE.get(kind, value)
    frame = pd.DataFrame(list(found.values()), index=pd.RangeIndex(1, len(found) + 1))
    along, nans = _along(path, found)
    text = f"{len(along)} values that trials reported on the way: for these --map loss={REPORT}"
    told = [Remark("unknown", text, len(along))] if len(along) else []
    return RawTable(path, frame, remarks=tuple(told), nans=nans, along=along if len(along) else None)


def _along(path: Path, trials: dict[int, dict[str, Any]]) -> tuple[pd.DataFrame, dict[str, list[int]]]:
    """The values that trials reported on the way, a row a step, with the settings of each trial."""
    params = {name for _, name, _, _ in rows(path, PARAMS, "Optuna")}
    names = [str(row[1]) for row in rows(path, "PRAGMA table_info(trial_intermediate_values)", "Optuna")]
    records = []
    for row in rows(path, REPORTED, "Optuna"):
        each = dict(zip(names, row, strict=True))
        settings = {f"params/{key}" if key in params else key: value for key, value in trials[each["trial_id"]].items()}
        value = INFINITE.get(each.get("intermediate_value_type", ""), each[REPORT])
        records.append({**settings, "step": each["step"], REPORT: float("nan") if value is None else value})
    numbers = list(range(1, len(records) + 1))
    return pd.DataFrame(records, index=pd.RangeIndex(1, len(records) + 1)), nans_of(records, numbers)


def _parameter(value: float, distribution: dict[str, Any]) -> object:
    """The value of a parameter: a categorical one is stored as the number of its choice."""
    attributes = distribution.get("attributes", {})
    if "choices" in attributes:
        return attributes["choices"][int(value)]
    return int(value) if "Int" in distribution["name"] else value
