"""The CSV that TensorBoard's web page offers for one tag of one run: Wall time, Step, Value."""

from __future__ import annotations

import re
from pathlib import Path

from scalefit.runs.formats import delimited
from scalefit.runs.formats.raw import RawTable, Remark
from scalefit.runs.formats.text import ENDINGS, lines

NAMES = tuple(f"*.csv{packed}" for packed in ENDINGS)
HEADER = ["Wall time", "Step", "Value"]
NAMED = re.compile(r"(?:run-)?(?P<run>.*?)(?:^|[-_.])tag-(?P<tag>.+?)(?: ?\(\d+\))?\.(?:csv|json)", re.IGNORECASE)


def claims(path: Path) -> bool:
    """Whether the header is Wall time, Step, Value."""
    head = lines(path, limit=1)
    return bool(head) and [name.strip().strip('"') for name in head[0].split(",")] == HEADER


def read(path: Path) -> RawTable:
    """Read the values of the tag that the file's name says (run-NAME-tag-train_loss.csv), else as `Value`."""
    raw = delimited.read(path)
    found = NAMED.match(path.name)
    frame = raw.frame
    if found is None:
        text = "the file does not say which tag it holds: --map loss=Value if it is a loss"
        return RawTable(path, frame, remarks=(*raw.remarks, Remark("unknown", text)))
    frame = frame.rename(columns={"Value": found["tag"]})
    told = [Remark("named", f"the values are those of the tag '{found['tag']}', by the name of the file")]
    if found["run"]:
        frame.insert(0, "run", found["run"])
    nans = {found["tag"]: delimited.nan_cells(path)["Value"]}
    return RawTable(path, frame, remarks=(*raw.remarks, *told), nans=nans)
