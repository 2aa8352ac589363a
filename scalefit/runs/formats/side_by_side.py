"""Tables with several measures of several runs side by side: `a/loss`, `a/lr`, `b/loss`, `b/lr` beside one step."""

from __future__ import annotations

import re
from dataclasses import replace

import pandas as pd

from scalefit.errors import listed
from scalefit.runs.formats.raw import RawTable, Remark
from scalefit.runs.formats.splits import kind, measured
from scalefit.runs.matching import canonical

SPLITS = {*("train", "training", "tr", "val", "valid", "validation", "eval", "test", "dev", "held", "out", "ema")}
MEASURES = {
    *(
        "loss",
        "nll",
        "ce",
        "xent",
        "ppl",
        "perplexity",
        "bpb",
        "bpc",
        "error",
        "err",
        "acc",
        "accuracy",
        "top1",
        "top5",
    ),
    *("mse", "rmse", "mae", "grad", "norm", "gnorm", "time", "sec", "seconds", "ms", "mem", "memory", "mfu", "tps"),
    *("lm", "aux", "avg", "mean", "max", "min", "total", "final", "best", "score", "bleu", "f1", "z", "kl", "reward"),
    *("smooth", "smoothed", "running", "moving", "cur", "current", "batch", "window", "step", "epoch", "instant"),
    *("interval", "cross", "entropy"),
}
RATES = {"lr", "learning", "rate", "tokens"}
PART = re.compile(r"[A-Za-z0-9.+=-]+")


def is_measure(name: str) -> bool:
    """Whether a name says what was measured, and of which split at most: no name of a run (train_loss, grad norm)."""
    words = {word for word in re.split(r"[^a-z0-9]+", name.lower()) if word}
    return not words - SPLITS - MEASURES


def side_by_side(raw: RawTable) -> RawTable | None:
    """The table with a row for each run and step and a column for each measure; None where the names are others.

    Every column but one of steps is named by a run and a measure, in one order, and there are several of each.
    """
    names = [str(name) for name in raw.frame.columns]
    axes = [name for name in names if canonical(name) in ("step", "steps", "tokens", "epoch")]
    rest = [name for name in names if name not in axes]
    if len(axes) != 1 or len(rest) < 4:
        return None
    for last in (True, False):
        parts = {name: run_and_measure(name, last) for name in rest}
        runs = dict.fromkeys(run for run, _ in parts.values())
        measures = dict.fromkeys(measure for _, measure in parts.values())
        whole = "" not in runs and "" not in measures and len(set(parts.values())) == len(rest)
        if (
            whole
            and len(runs) > 1
            and len(measures) > 1
            and all(kind(each) and not measured(each) for each in measures)
        ):  # a (train), a (val)
            parts = {name: (run, f"{measure}_loss") for name, (run, measure) in parts.items()}
            measures = dict.fromkeys(measure for _, measure in parts.values())
        if whole and len(runs) > 1 and len(measures) > 1 and any(map(measured, measures)):
            return _made(raw, axes[0], parts)
    return None


def run_and_measure(name: str, last: bool) -> tuple[str, str]:
    """The run and the measure of a name: the words of measures at its end (or at its beginning), and the rest.

    >>> run_and_measure("small_train_loss", True), run_and_measure("loss_small", False), run_and_measure("loss", True)
    (('small', 'train_loss'), ('small', 'loss'), ('', ''))
    """
    found = [*re.finditer(r"[A-Za-z0-9.+=-]+?(?=[_/ .:|-]|$)|[A-Za-z0-9]+", name)]
    ordered = found[::-1] if last else found
    count = 0
    for hit in ordered:
        if hit[0].strip(".-").lower() not in SPLITS | MEASURES | RATES:
            break
        count += 1
    if not 0 < count < len(ordered):
        return "", ""
    edge = ordered[count - 1].start() if last else ordered[count - 1].end()
    pair = (name[:edge], name[edge:]) if last else (name[edge:], name[:edge])
    return pair[0].strip(" _/.:|-()[]"), pair[1].strip(" _/.:|-()[]")


def _made(raw: RawTable, axis: str, parts: dict[str, tuple[str, str]]) -> RawTable:
    tables, nans = list[pd.DataFrame](), dict[str, list[int]]()
    at = 1
    for run in dict.fromkeys(run for run, _ in parts.values()):
        own = {name: measure for name, (of, measure) in parts.items() if of == run}
        part = raw.frame[[axis, *own]].dropna(how="all", subset=list(own)).rename(columns=own)
        places = pd.Series(range(at, at + len(part)), index=part.index)
        for name, measure in own.items():
            lines = [line for line in (raw.nans or {}).get(name, []) if line in places.index]
            nans.setdefault(measure, []).extend(places[lines].tolist())
        part.insert(0, "run", run)
        tables.append(part.set_axis(places.to_numpy()))
        at += len(part)
    frame = pd.concat(tables)
    runs = listed(dict.fromkeys(run for run, _ in parts.values()))
    text = f"columns named by a run and a measure: a run for each of {runs}, a column for each of "
    told = Remark("derived", text + listed(dict.fromkeys(measure for _, measure in parts.values())))
    return replace(raw, frame=frame, remarks=(*raw.remarks, told), nans=None if raw.nans is None else nans)
