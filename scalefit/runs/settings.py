"""Which columns of a sweep are settings, and therefore must not differ between its runs.

A sweep may vary the learning rate, the size, the seed, the arm, and what follows from the learning rate alone. Any
other setting that differs between runs of one size is refused by name. Notes name the settings that differ between
sizes, and the columns that were not compared because they are measurements or records (of when and where a run ran).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pandas as pd

from scalefit.errors import InputError, listed
from scalefit.escaping import quoted

#: settings that every answer names, or reports as missing from the log
NAMED = ("batch", "schedule", "warmup", "weight_decay", "optimizer")
SETTINGS = (*NAMED, "steps", "D", "n_layer", "seq_len", "vocab")
#: columns that may change with the size
FOLLOW = {"N", "N_total", "N_readout", "N_matrices", "C", "D", "steps", "n_head", "d_head", "d_ff", "loss_floor",
          "flops_per_token"}  # fmt: skip
PEAK = r"peak_lr=[^,]*,?"  #: the peak in the text form of a schedule
UNKNOWN = "not in the log"
MIXED = "their effects cannot be separated"
NEVER = {"run", "run_in_file", "seed", "data_seed", "lr", "peak_lr", "step", "tokens", "source", "diverged", "status"}
#: names of measurements, however few different values they have
MEASURED = re.compile(
    r"(final|best|last|min|mean|ema|val|valid|eval|test|train|held_out)*"
    r"(loss|nll|ppl|perplexity|bpb|acc|accuracy|score)"
    r"(final|best|last|min|mean|ema|std|val|valid|eval|test|train|\d+|c4|floor)*"
    r"|(attentionlogit|outputlogit|rmsact|rmsgrad|rmsupdate|rmsweight|gradnorm|noisetrace|noisegradsquare).*"
    r"|sharpness(preconditioned|min|max|trace)?|hessian(min|max)|wall.*|runtime|timestamp|elapsed.*|.*seconds|walltime"
    r"|duration.*|(train|run|step|total|wall|gpu)?time(s|ms|h|hours|minutes)?|.*persec(ond)?|throughput.*|mfu|hfu"
    r"|(peak|max|gpu)?mem(ory)?(gb|mb|allocated|used)?|memory.*|gpuhours|cost.*|energy.*|.*util(ization)?"
)
#: words in the names of records, which say nothing about how a run was trained
RECORDS = {
    "uuid", "created", "updated", "date", "datetime", "started", "ended", "commit", "git", "sha", "hash", "host",
    "hostname", "cluster", "partition", "user", "author", "owner", "notes", "tags", "comment", "description", "job",
    "jobid", "slurm", "gpu", "gpus", "device", "devices", "torch", "cuda", "python", "resumed", "wandb", "heartbeat",
    "pid", "identity", "color", "colour", "colors", "colours", "marker", "linestyle",  # of someone's figure
}  # fmt: skip
#: words of which the names of other records consist: run_id and log_dir, but not tokenizer_id or data_dir
WITH_RECORDS = RECORDS | {
    "id", "name", "title", "start", "end", "time", "branch", "node", "nodes", "note", "tag", "project", "entity",
    "checkpoint", "ckpt", "path", "dir", "folder", "file", "url", "link", "log", "logs", "machine", "os", "platform",
    "state", "sweep", "exp", "experiment", "run", "out", "output", "save", "display", "",
}  # fmt: skip

#: words of the names of columns that name runs
NAMING = frozenset({"experiment", "exp", "model", "config", "configuration", "variant", "trial", "name", "id"})
#: names of the learning rate on another scale (log2_lr, lr_scaled), and words of rates that are settings of their own
RATE = re.compile(r"(^|[^a-z])(log|ln)?\d*(lr|eta|learning_?rate)s?([^a-z]|$)|octaves?$|exponent$")
OTHER_RATE = re.compile(r"final|min|end|last|warm|decay|step|sched|cool|ratio")


def is_setting(name: str, column: pd.Series) -> bool:
    """Whether a column is a setting, by its name and by how many different values it has.

    >>> runs = pd.Series(range(12))
    >>> [is_setting(name, runs % 2) for name in ("dropout", "loss_weight", "val_loss", "git_hash")]
    [True, True, False, False]
    >>> is_setting("tokens_seen_in_all", runs), is_setting("comment", runs)
    (False, False)
    """
    if name in SETTINGS or name in ("parametrization", "d_model"):
        return True
    if name in NEVER or is_record(name, column) or MEASURED.fullmatch(re.sub(r"[^a-z0-9]", "", name.lower())):
        return False
    few = column.nunique(dropna=False) <= max(2, len(column) // 4)
    return few or not pd.api.types.is_numeric_dtype(column.dtype)


def is_record(name: str, column: pd.Series) -> bool:
    """Whether a column only says which run this is, where or when: by its name, or because all its texts differ."""
    words = set(re.split(r"[^a-z0-9]+", name.lower()))
    if RECORDS & words or words <= WITH_RECORDS:
        return True
    text = not pd.api.types.is_numeric_dtype(column.dtype)
    return text and len(column) > 3 and column.nunique() == len(column)


def passed_over(table: pd.DataFrame, meant: set[str]) -> tuple[str, ...]:
    """A note on the records that differ between runs and were not compared."""
    names = [str(name) for name in table.columns if name not in meant | NEVER and is_record(str(name), table[name])]
    names = [name for name in names if _as_text(table[name]).nunique() > 1]
    return (f"columns that differ between runs but are not settings: {', '.join(names)}",) if names else ()


def refuse_mixed(table: pd.DataFrame, cell: pd.Series, meant: set[str], lr: pd.Series, arms: bool = True) -> None:
    """Raise InputError if runs of one arm and size differ in a setting that does not follow from the learning rate.

    ``cell``: the arm and size of each run; ``meant``: columns that may differ; ``arms``: whether the message proposes
    to compare arms instead.
    """
    mixed = {name: in_order(table[name]) for name, alone in varying(table, cell, meant, lr) if not alone}
    if not mixed:
        return
    said = "; ".join(f"{name}: {_values(values)}" for name, values in mixed.items())
    first, values = next(iter(mixed.items()))
    counts = table[first].value_counts().to_dict()
    chosen = repr(max(values, key=lambda value: counts[value])) if values else "VALUE"
    raise InputError(
        f"runs of one size differ in more than the learning rate and the seed ({said})",
        todo=f'select one setting, such as --where "{quoted(first)} == {chosen}"'
        + (f", compare with --over or --arms {first}" if arms else "")
        + f", or --ignore {first} if it does not matter",
    )


def varying(table: pd.DataFrame, cell: pd.Series, meant: set[str], lr: pd.Series) -> Iterator[tuple[str, bool]]:
    """Settings that differ between runs of one arm and size, and whether they follow from the learning rate: they
    have one value for each learning rate, and more than two values in some cell."""
    key = cell + " " + lr.map("{:.6g}".format)
    for name in map(str, table.columns):
        if name in meant or not is_setting(name, table[name]) or is_rate(table[name], cell, lr):
            continue
        text = _as_text(table[name])
        most = text.groupby(cell).nunique(dropna=False).max()
        if most > 1:
            yield name, bool(most > 2 and text.groupby(key).nunique(dropna=False).max() == 1)


def is_rate(column: pd.Series, cell: pd.Series, lr: pd.Series) -> bool:
    """Whether a column gives the learning rate on another scale: by its name, and because it rises (or falls) with the
    learning rate in each cell.

    >>> lr = pd.Series([0.01, 0.02, 0.04])
    >>> [is_rate(pd.Series([-6.6, -5.6, last], name="log2_lr"), pd.Series("a", lr.index), lr) for last in (-4.6, -6.6)]
    [True, False]
    """
    name, values = str(column.name).lower(), pd.to_numeric(column, errors="coerce")
    if not RATE.search(name) or OTHER_RATE.search(name) or values.isna().any():
        return False
    ends = values.groupby([cell, lr]).agg(["min", "max"]).sort_index()
    before = ends.groupby(level=0).shift()
    later = before["min"].notna()
    rises, falls = (ends["min"] > before["max"])[later], (ends["max"] < before["min"])[later]
    return bool(len(rises) and (rises.all() or falls.all()))


def following(table: pd.DataFrame, cell: pd.Series, meant: set[str], lr: pd.Series) -> tuple[str, ...]:
    """Notes on settings that change with the learning rate, so that their effects cannot be separated."""
    names = [name for name, alone in varying(table, cell, meant, lr) if alone]
    return tuple(f"{name} changes with the learning rate ({_values(in_order(table[name]))}): {MIXED}" for name in names)


def moving(table: pd.DataFrame, over: str, arms: str) -> tuple[str, ...]:
    """Notes on settings that differ between sizes, so that their effect cannot be separated from that of the size."""
    names = [name for name in map(str, table.columns) if name not in (over, arms, "parametrization", *FOLLOW)]
    names = [name for name in names if is_setting(name, table[name]) and _as_text(table[name]).nunique() > 1]
    return tuple(f"{name} changes with {over} ({_values(in_order(table[name]))}): {MIXED}" for name in names)


def growing(table: pd.DataFrame, over: str) -> tuple[str, ...]:
    """A note on the amount of training where it differs between sizes."""
    names = [name for name in map(str, table.columns) if name in ("D", "steps") and name != over]
    along = [name for name in names if _as_text(table[name]).nunique() > 1]
    verb = "change" if len(along) > 1 else "changes"
    return (f"{' and '.join(along)} {verb} with {over}: the law holds only if it keeps doing so",) * bool(along)


def shared(table: pd.DataFrame, over: str) -> dict[str, str]:
    """The settings that the runs share, as text; "not in the log" for a missing one that every answer names."""
    found = {}
    for name in SETTINGS:
        if name != over and name in table.columns:
            column = _as_text(table[name]) if name == "schedule" else table[name]
            found[name] = _values(in_order(column))
        elif name != over and name in NAMED:
            found[name] = UNKNOWN
    return found


def said(settings: dict[str, str]) -> list[str]:
    """The result of :func:`shared` as lines: what the runs share, and what the log does not say.

    >>> said({"batch": "512", "schedule": UNKNOWN})
    ['with batch 512', 'not in the log: schedule; keep them at the target']
    """
    known = [f"{name} {value}" for name, value in settings.items() if value != UNKNOWN]
    unknown = [name for name, value in settings.items() if value == UNKNOWN]
    lines = [f"with {', '.join(known)}"] if known else []
    return lines + ([f"not in the log: {', '.join(unknown)}; keep them at the target"] if unknown else [])


def in_order(column: pd.Series) -> list[object]:
    """The distinct values, numbers by size before words by spelling."""
    values = column.dropna().unique().tolist()
    return sorted(values, key=lambda value: (isinstance(value, str), value))


def _values(values: list[object]) -> str:
    return listed([f"{value:.6g}" if isinstance(value, float) else value for value in values], 4)


def _as_text(column: pd.Series) -> pd.Series:
    """Values as text, schedules without their peak, numbers with six digits: a smaller difference does not count."""
    if column.name == "schedule":
        return column.astype(str).str.replace(PEAK, "", regex=True)
    if pd.api.types.is_float_dtype(column.dtype):
        return column.map("{:.6g}".format)
    return column.astype(str)
