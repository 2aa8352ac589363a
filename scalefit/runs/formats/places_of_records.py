"""The places in a training of records that say their epoch alone, as the Hugging Face Trainer prints them."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np

from scalefit.errors import InputError
from scalefit.runs.formats.raw import Remark

Bar = tuple[int, int]  #: the step of a progress bar, and its length
PLACES = {"step", "epoch", "iter", "iteration", "global_step", "current_steps", "global_step/max_steps", "num_updates"}
BAR = re.compile(r"\|\s*(?P<step>\d+)/(?P<steps>\d+)\s*\[\d+:\d+")  #: a progress bar: 10/873 [00:31<44:02, ...
EPOCH_DIGITS = 0.006  #: an epoch is printed with two decimals at least
TOTAL = re.compile(r"\bTotal optimization steps = ([\d,]+)")
EPOCHS = re.compile(r"\bNum Epochs = ([\d,]+)")
FEWEST = 4  #: records that show how far apart they are
EVALUATED = "eval_loss"


def placed(
    path: Path, texts: list[str], records: list[dict[str, Any]], numbers: list[int], part: list[int], ends: list[float]
) -> list[Remark]:
    """Give records that say their epoch alone a step: of the progress bars beside them, or by the number of steps that
    the log states. Where it has neither, records that share an epoch, as it is rounded, are spread evenly over it.

    ``numbers``, ``part``: line and number of the training of each record; ``ends``: the epochs in which they end.
    Raises InputError where several records of an epoch cannot be put in order.
    """
    if not records or any(record.keys() & PLACES != {"epoch"} for record in records):
        return []
    if told := _bars(texts, records, numbers, part):
        return told
    logs = [[at for at, of in enumerate(part) if of == one and _trains(records[at])] for one in dict.fromkeys(part)]
    if any(len(rows) < FEWEST for rows in logs):
        return []
    if told := _by_total(texts, records, logs, ends):
        return told
    told, same = _spread(records, logs)
    if same >= 0:
        what = "several records have the same epoch, and nothing says which steps they belong to"
        todo = "give the Trainer's own file: trainer_state.json of its last checkpoint"
        raise InputError(what, where=f"{path}, row {numbers[same]}", todo=todo)
    return told


def spread_over_epochs(records: list[dict[str, Any]]) -> list[Remark]:
    """Records of one log, each with a part of an epoch and no other place, at even distances where they share some.

    >>> rows = [{"epoch": 0.01, "loss": 4.0}, {"epoch": 0.01, "loss": 3.9}, {"epoch": 0.02, "loss": 3.8}]
    >>> bool(spread_over_epochs([*rows, {"epoch": 0.02, "loss": 3.7}])), rows[0]["epoch"]
    (True, 0.005)
    """
    if len(records) < FEWEST or any(record.keys() & PLACES != {"epoch"} for record in records):
        return []
    if not all(type(record["epoch"]) in (int, float) and record["epoch"] >= 0 for record in records):
        return []
    if all(record["epoch"] == int(record["epoch"]) for record in records):
        return []
    return _spread(records, [[at for at, record in enumerate(records) if _trains(record)]])[0]


def _trains(record: dict[str, Any]) -> bool:
    """Whether a record is one of training: another, of an evaluation alone, comes at steps of its own."""
    return not (EVALUATED in record and "loss" not in record)


def _by_total(
    texts: list[str], records: list[dict[str, Any]], logs: list[list[int]], ends: list[float]
) -> list[Remark]:
    """Steps of records that are equally far apart, where the log says its number of steps and of epochs."""
    totals, epochs = (
        [int(hit[1].replace(",", "")) for text in texts if (hit := sign.search(text))] for sign in (TOTAL, EPOCHS)
    )
    if len(logs) != 1 or len(set(totals)) != 1:
        return []
    rows, total = logs[0], totals[0]
    length = next((end for end in ends if end > 0), float(epochs[0]) if len(set(epochs)) == 1 else 0.0)
    at = np.array([float(records[row]["epoch"]) for row in rows])
    if length <= 0 or at[-1] <= 0:
        return []
    each = total / length
    apart = round(each * at[-1] / len(rows))
    steps = apart * np.arange(1, len(rows) + 1)
    if apart < 1 or steps[-1] > total or (np.abs(steps - each * at) > EPOCH_DIGITS * each + 1).any():
        return []
    for row, step in zip(rows, steps.tolist(), strict=True):
        records[row] |= {"step": step, "steps": total}
    for record in records:  # evaluations, between records of training
        if "step" not in record:
            nearest = int(np.argmin(np.abs(at - float(record["epoch"]))))
            record |= {"step": int(steps[nearest]), "steps": total}
    text = f"the log has {total} steps, and its records are {apart} steps apart, as their epochs say"
    return [Remark("derived", text, len(rows))]


def _spread(records: list[dict[str, Any]], logs: list[list[int]]) -> tuple[list[Remark], int]:
    """Put records that share an epoch, as it is rounded, at even distances; else the first that cannot be placed."""
    made = dict[int, float]()
    for rows in logs:
        at = np.array([float(records[row]["epoch"]) for row in rows])
        same = np.flatnonzero(np.diff(at) == 0)
        if not len(same) or (np.diff(at) < 0).any():
            continue
        even = at[-1] * np.arange(1, len(rows) + 1) / len(rows)
        if (np.abs(even - at) > 2 * EPOCH_DIGITS).any():
            return [], rows[int(same[0]) + 1]
        made |= dict(zip(rows, even.tolist(), strict=True))
    for row, epoch in made.items():
        records[row]["epoch"] = epoch
    text = "records that share an epoch, as it is rounded, are spread evenly over it"
    return ([Remark("derived", text, len(made))] if made else []), -1


def _bars(texts: list[str], records: list[dict[str, Any]], numbers: list[int], part: list[int]) -> list[Remark]:
    """Give the records the step of the progress bar that is drawn anew below each, or stands above it.

    It is done, with a remark, only where all records have such a bar, and the steps are those of the epochs, as these
    are rounded. A bar below may be that of the next step, and one above that of an earlier one, as bars are not drawn
    at every step: above, the steps must be regular, and where both fit those with the larger common divisor count.
    """
    drawn = [[(int(hit["step"]), int(hit["steps"])) for hit in BAR.finditer(text)] for text in texts]
    fitting = dict[str, list[Bar]]()
    for where in ("below", "above"):
        bars = _beside_each(numbers, drawn, where)
        parts = [[at for at, of in enumerate(part) if of == one] for one in set(part)]
        fits = all(_fit([(float(records[at]["epoch"]), *bars[at]) for at in rows]) for rows in parts)
        if fits and (where == "below" or all(_regular([bars[at][0] for at in rows]) for rows in parts)):
            fitting[where] = bars
    if not fitting:
        return []
    where = max(fitting, key=lambda each: gcd(*(step for step, _ in fitting[each][1:])))
    for record, (step, total) in zip(records, fitting[where], strict=True):
        record["step"], record["steps"] = step, total
    return [Remark("derived", f"step is that of the progress bar {where} each record", len(records))]


def _regular(steps: list[int]) -> bool:
    """Whether steps are those of a log at every k-th one: multiples of k, but for the last one, or each from 1 on."""
    return steps == [*range(1, len(steps) + 1)] or (len(steps) > 3 and gcd(*steps[1:-1]) > 1)


def _beside_each(numbers: list[int], drawn: list[list[Bar]], where: str) -> list[Bar]:
    """The bar below (or above) each record, before the next one; (0, 0) where there is none.

    Above, a bar of another length than most is that of an evaluation and does not count.
    """
    if where == "below":
        parts = [
            drawn[low:high] for low, high in zip(numbers, [*(n - 1 for n in numbers[1:]), len(drawn)], strict=True)
        ]
        return [next((bar for line in lines for bar in line), (0, 0)) for lines in parts]
    lengths = Counter(total for bars in drawn for _, total in bars)
    most = max(lengths, key=lambda total: (lengths[total], total), default=0)
    parts = [drawn[low:high] for low, high in zip([0, *numbers], [n - 1 for n in numbers], strict=False)]
    return [next((bar for line in lines[::-1] for bar in line[::-1] if bar[1] == most), (0, 0)) for lines in parts]


def _fit(rows: list[tuple[float, int, int]]) -> bool:
    """Whether the steps of progress bars, all of one length, rise and belong to the epochs beside them."""
    (epoch, last, total), steps = rows[-1], [step for _, step, _ in rows]
    if not epoch > 0 or {of for *_, of in rows} != {total} or any(b <= a for a, b in pairwise(steps)):
        return False
    each = last / epoch
    return all(abs(step - each * at) <= EPOCH_DIGITS * each + 1 for at, step, _ in rows)
