"""Results of the lm-evaluation-harness: measures by task, with the configuration of the model that was judged."""

from __future__ import annotations

import re
from typing import Any

BESIDE = ("versions", "n-shot", "configs", "git_hash")  #: keys beside the results, of which each version writes some
ERROR = re.compile(r"_stderr$")
MODEL = re.compile(r"(?:^|,)\s*(?:pretrained|model|path)=([^,]+)")
REVISION = re.compile(r"(?:^|,)\s*(?:revision|step)=([^,]+)")


def of_harness(content: Any) -> dict[str, Any] | None:
    """One record: the run, its measures as `task/measure`, and its configuration; None for anything else.

    A filter is named where it is one; standard errors are left out.

    >>> config = {"model_args": "pretrained=org/m,revision=step10", "model_num_parameters": 1000}
    >>> tasks = {"arc": {"acc,none": 0.4, "acc_stderr,none": 0.1, "em,strict": 0.2}}
    >>> of_harness({"results": tasks, "versions": {"arc": 1}, "config": config})["arc/em (strict)"]
    0.2
    """
    tasks = content.get("results") if isinstance(content, dict) else None
    if not isinstance(tasks, dict) or not tasks or not any(isinstance(content.get(key), dict | str) for key in BESIDE):
        return None
    if not all(isinstance(measures, dict) for measures in tasks.values()):
        return None
    config = content["config"] if isinstance(content.get("config"), dict) else {}
    given = config.get("model_args")
    args = given if isinstance(given, str) else ",".join(f"{k}={v}" for k, v in given.items()) if given else ""
    named, at = MODEL.search(args), REVISION.search(args)
    name = str(content.get("model_name") or (named[1] if named else ""))
    record: dict[str, Any] = {"run": f"{name}, {at[1]}" if at else name} if name else {}
    for task, measures in tasks.items():
        for key, value in measures.items():
            measure, _, chosen = key.partition(",")
            if isinstance(value, int | float) and not ERROR.search(measure):
                record[f"{task}/{measure}" + (f" ({chosen})" if chosen not in ("", "none") else "")] = value
    settings = {key: value for key, value in config.items() if isinstance(value, int | float | str)}
    return record | {f"config/{key}": value for key, value in settings.items() if key != "model_args"}
