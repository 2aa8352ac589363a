"""Conventions that differ among the runs of one table: what N counts, tokenisers, data sets, units of the loss.

Each finding is one sentence. Nothing is converted: a fit of rows that follow two conventions is a fit of neither.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
import pandas as pd

from scalefit.runs.matching import normalised

SAME_SIZE = 0.03  #: log ratio within which two parameter counts agree
LEAST_PART = 0.1  #: share of the rows that a convention must have to count as one
NATS_PER_BIT = float(np.log(2.0))
AGREES = 1e-3  #: relative error within which a loss is the logarithm of a perplexity
SHOWN = 4
#: free columns of which each value is another measuring stick
STICKS = {
    "tokenizer": "tokenisers",
    "tokeniser": "tokenisers",
    "vocab": "vocabulary sizes",
    "loss_unit": "units of the loss",
    "loss_units": "units of the loss",
    "val_set": "validation sets",
    "val_data": "validation sets",
    "val_dataset": "validation sets",
    "validation_set": "validation sets",
    "validation_dataset": "validation sets",
    "eval_data": "validation sets",
    "eval_dataset": "validation sets",
    "dataset": "data sets",
    "corpus": "data sets",
    "train_dataset": "training data sets",
    "training_dataset": "training data sets",
}
SPLITS = {"train", "training", "val", "valid", "validation", "eval", "test", "dev"}
PERPLEXITY = ("perplexity", "ppl", "val_ppl", "val_perplexity", "eval_perplexity")
PER_BYTE = ("bpb", "bits_per_byte", "val_bpb")


def mixed_conventions(table: pd.DataFrame, reads: Collection[str], target: str = "loss") -> list[str]:
    """One sentence for each convention that differs among the rows of a table.

    ``reads`` are the columns that the law reads, for which a difference is what it explains.

    >>> mixed_conventions(pd.DataFrame({"N": [1e6, 2e6], "loss": [3.2, 3.0], "vocab": [32000, 50257]}), {"N"})
    ['the rows have 2 vocabulary sizes (column vocab: 32000, 50257): losses per token are not comparable between them']
    """
    found = [*_sticks(table, reads), *_splits(table), *_sizes(table, reads), *_units(table, target)]
    return list(dict.fromkeys(found))


def _sticks(table: pd.DataFrame, reads: Collection[str]) -> Iterator[str]:
    if {"vocab", "N_vocab"} & set(reads):
        return
    for column in table.columns:
        what = STICKS.get(normalised(str(column)))
        if what is None or column in reads:
            continue
        values = table[column].dropna().unique()
        if len(values) > 1:
            shown = ", ".join(map(str, values[:SHOWN])) + (" ..." if len(values) > SHOWN else "")
            yield (
                f"the rows have {len(values)} {what} (column {column}: {shown}): losses per token are not comparable "
                "between them"
            )


def _splits(table: pd.DataFrame) -> Iterator[str]:
    if "split" not in table.columns:
        return
    kinds = sorted({str(value).lower() for value in table["split"].dropna()} & SPLITS)
    if len({kind[:3] for kind in kinds}) > 1:
        yield f"losses of the splits {' and '.join(kinds)} stand in one column: select one with --where"


def _sizes(table: pd.DataFrame, reads: Collection[str]) -> Iterator[str]:
    """Rows whose N counts embeddings beside rows whose N does not."""
    name = next((column for column in ("N", "N_total") if column in reads and column in table.columns), None)
    if name is None:
        return
    size = _numbers(table, name)
    if {"N", "N_total"} <= set(table.columns):
        same = np.abs(np.log(_numbers(table, "N") / _numbers(table, "N_total"))) < 1e-6
        yield from _told(same, "N equals N_total", "N is smaller", table)
        return
    if not {"d_model", "n_layer", "vocab"} <= set(table.columns):
        return
    width, depth, vocab = (_numbers(table, column) for column in ("d_model", "n_layer", "vocab"))
    blocks = depth * width**2
    embedding = np.where(np.isfinite(vocab), vocab, np.nan) * width
    per_block = np.array([(size - k * embedding) / blocks for k in (0, 1, 2)])  # none, tied, input and output
    yield from _told_by_shape(per_block, name, table)


def _told(marked: np.ndarray, what: str, other: str, table: pd.DataFrame) -> Iterator[str]:
    count = int(marked.sum())
    if 0 < count < len(marked) and min(count, len(marked) - count) >= max(1, LEAST_PART * len(marked)):
        yield (
            f"N counts embeddings in some rows only: {what} in {count} of {len(marked)} rows "
            f"({_named(table, marked)}), {other} in the others"
        )


def _told_by_shape(per_block: np.ndarray, name: str, table: pd.DataFrame) -> Iterator[str]:
    """``per_block`` (3, n) is (N - k embeddings) / (n_layer d_model^2), equal for all rows under one convention k."""
    with np.errstate(all="ignore"):
        logs = np.log(np.where(per_block > 0, per_block, np.nan))
    if not np.isfinite(logs[0]).all():
        return
    spread = [np.ptp(row) if np.isfinite(row).all() else np.inf for row in logs]
    if min(spread) < 2 * SAME_SIZE:
        return  # one convention explains every row
    fewest = max(2, int(np.ceil(LEAST_PART * logs.shape[1])))
    for base, other in ((0, 1), (0, 2), (1, 2)):
        plain = float(np.nanmedian(logs[base]))
        for constant in (plain, *logs[base]):
            one, two = np.abs(logs[base] - constant) < SAME_SIZE, np.abs(logs[other] - constant) < SAME_SIZE
            if (one | two).all() and one.sum() >= fewest and (two & ~one).sum() >= fewest:
                more = two & ~one
                yield (
                    f"{name} counts embeddings in some rows only: by d_model, n_layer and vocab {int(more.sum())} of "
                    f"{len(more)} rows ({_named(table, more)}) count {'more of ' if base else ''}them"
                )
                return


def _units(table: pd.DataFrame, target: str) -> Iterator[str]:
    """Rows in bits beside rows in nats, where a perplexity or the bits per byte tell."""
    if target not in table.columns:
        return
    loss = _numbers(table, target)
    for column in table.columns:
        if normalised(str(column)) in PERPLEXITY:
            with np.errstate(all="ignore"):
                ratio = loss / np.log(_numbers(table, str(column)))
            bits = np.abs(ratio * NATS_PER_BIT - 1) < AGREES
            nats = np.abs(ratio - 1) < AGREES
            if bits.any() and nats.any():
                yield (
                    f"{int(bits.sum())} of {len(bits)} rows have the loss in bits ({_named(table, bits)}), "
                    f"{int(nats.sum())} in nats, by column {column}"
                )
        if normalised(str(column)) in PER_BYTE:
            yield from _per_byte(loss / _numbers(table, str(column)), str(column), table)


def _per_byte(ratio: np.ndarray, column: str, table: pd.DataFrame) -> Iterator[str]:
    """The loss over bits per byte is ln 2 times the bytes per token: one number for one tokeniser and one unit."""
    level = float(np.median(ratio)) if np.isfinite(ratio).all() and (ratio > 0).all() else 0.0
    off = np.abs(np.log(ratio / level)) > 2 * SAME_SIZE if level else np.zeros(len(ratio), dtype=bool)
    if LEAST_PART * len(off) <= off.sum() < len(off):
        yield (
            f"the loss over {column} is {ratio.min():.3g} to {ratio.max():.3g}, not one number: some rows "
            f"({_named(table, off)}) are in another unit or of another tokeniser"
        )


def _numbers(table: pd.DataFrame, column: str) -> np.ndarray:
    return pd.to_numeric(table[column], errors="coerce").to_numpy(dtype=np.float64)


def _named(table: pd.DataFrame, marked: np.ndarray) -> str:
    names = table["run"].astype(str).to_numpy()[marked] if "run" in table.columns else np.flatnonzero(marked)
    return ", ".join(map(str, names[:3])) + (" ..." if len(names) > 3 else "")
