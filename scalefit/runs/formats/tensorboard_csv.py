"""The CSV that TensorBoard's web page offers for one tag of one run: Wall time, Step, Value."""

from __future__ import annotations

import re
from pathlib import Path

from scalefit.runs.formats import delimited
from scalefit.runs.formats.raw import RawTable, Remark
from scalefit.runs.formats.side_by_side import is_measure, run_and_measure
from scalefit.runs.formats.splits import is_loss
from scalefit.runs.formats.text import ENDINGS, lines
from scalefit.runs.matching import canonical

NAMES = tuple(f"*.csv{packed}" for packed in ENDINGS)
HEADER = ["Wall time", "Step", "Value"]
NAMED = re.compile(r"(?:run[-_])?(?P<run>.*?)(?:^|[-_.])tag[-_](?P<tag>.+?)(?: ?\(\d+\))?\.(?:csv|json)", re.IGNORECASE)


def claims(path: Path) -> bool:
    """Whether the header is Wall time, Step, Value."""
    head = lines(path, limit=1)
    return bool(head) and [name.strip().strip('"') for name in head[0].split(",")] == HEADER


def read(path: Path) -> RawTable:
    """Read the values of the tag that the file's name says (run-NAME-tag-train_loss.csv), else as `Value`."""
    raw = delimited.read(path)
    run, tag = run_and_tag(path)
    frame = raw.frame
    if not tag:
        text = "the file does not say which tag it holds: --map loss=Value if it is a loss"
        return RawTable(path, frame, remarks=(*raw.remarks, Remark("unknown", text)))
    frame = frame.rename(columns={"Value": tag})
    told = [Remark("named", f"the values are those of the tag '{tag}', by the name of the file")]
    if run:
        frame.insert(0, "run", run)
    nans = {tag: delimited.nan_cells(path)["Value"]}
    return RawTable(path, frame, remarks=(*raw.remarks, *told), nans=nans, name=path.parent.name)


def run_and_tag(path: Path) -> tuple[str, str]:
    """The run and the tag by the name of a file; "" for what it does not say.

    >>> [run_and_tag(Path(name)) for name in ("run-a-tag-loss.csv", "a_train_loss.csv", "lr.csv", "a.csv")]
    [('a', 'loss'), ('a', 'train_loss'), ('', 'lr'), ('', '')]
    """
    if found := NAMED.match(path.name):
        return found["run"], found["tag"]
    stem = path.name.split(".csv")[0].split(".json")[0]
    whole = stem if is_measure(stem) or canonical(stem) == "lr" else ""
    for run, tag in (("", whole), run_and_measure(stem, True), run_and_measure(stem, False)):
        if is_loss(tag) or canonical(tag) == "lr":
            return run, tag
    return "", ""
