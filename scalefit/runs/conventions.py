"""Conventions that differ among the runs of one table: what N counts, tokenisers, data sets, units of the loss.

Each finding is one sentence. Nothing is converted: a fit to rows that follow two conventions describes neither.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

import numpy as np
import pandas as pd

from scalefit.errors import listed
from scalefit.runs.matching import normalised

#: names of perplexities, and words of names that count bits
PERPLEXITY_NAME = re.compile(r"(^|[^a-z])(ppl|perplexity)([^a-z]|$)")
BIT_WORDS = frozenset({"bits", "bpb", "bpc", "bpt"})
BASE = re.compile(r"(?:^|[^a-z])base[\W_]*(2|10)(?!\d)")  #: of the logarithm in a loss

SAME_SIZE = 0.03  #: log ratio within which two parameter counts agree
LEAST_PART = 0.1  #: share of the rows that must follow a convention for it to count
NATS_PER_BIT = float(np.log(2.0))
ROUNDED_LOG = 0.01  #: by which the logarithm of a printed perplexity differs from the loss
AGREES = 1e-3  #: relative error within which a loss is the logarithm of a perplexity
#: columns whose values, where they differ, make losses incomparable; and what they hold
STICKS = {
    **dict.fromkeys(["tokenizer", "tokeniser"], "tokenisers"),
    "vocab": "vocabulary sizes",
    **dict.fromkeys(["loss_unit", "loss_units"], "units of the loss"),
    **dict.fromkeys(["val_set", "val_data", "val_dataset", "validation_set", "validation_dataset"], "validation sets"),
    **dict.fromkeys(["eval_data", "eval_dataset"], "validation sets"),
    **dict.fromkeys(["dataset", "corpus"], "data sets"),
    **dict.fromkeys(["train_dataset", "training_dataset"], "training data sets"),
}
SPLITS = {"train", "training", "val", "valid", "validation", "eval", "test", "dev"}
PERPLEXITY = ("perplexity", "ppl", "val_ppl", "val_perplexity", "eval_perplexity")
PER_BYTE = ("bpb", "bits_per_byte", "val_bpb")


def mixed_conventions(table: pd.DataFrame, reads: Collection[str], target: str = "loss") -> list[str]:
    """One sentence for each convention that differs among the rows of a table.

    ``reads``: the columns that the law reads; it explains differences in these itself.

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
            told = f"the rows have {len(values)} {what} (column {column}: {listed(values, 4)})"
            yield f"{told}: losses per token are not comparable between them"


def _splits(table: pd.DataFrame) -> Iterator[str]:
    if "split" not in table.columns:
        return
    kinds = sorted({str(value).lower() for value in table["split"].dropna()} & SPLITS)
    if len({kind[:3] for kind in kinds}) > 1:
        yield f"the loss column mixes the splits {' and '.join(kinds)}: select one with --where"


def _sizes(table: pd.DataFrame, reads: Collection[str]) -> Iterator[str]:
    """Tables in which N counts embeddings in some rows but not in others."""
    name = next((column for column in ("N", "N_total") if column in reads and column in table.columns), None)
    if name is None:
        return
    size = _numbers(table, name)
    if {"N", "N_total"} <= set(table.columns):
        same = np.abs(np.log(_numbers(table, "N") / _numbers(table, "N_total"))) < 1e-6
        count = int(same.sum())
        if 0 < count < len(same) and min(count, len(same) - count) >= max(1, LEAST_PART * len(same)):
            yield (
                f"N counts embeddings in some rows only: N equals N_total in {count} of {len(same)} rows "
                f"({_named(table, same)}), N is smaller in the others"
            )
        return
    if not {"d_model", "n_layer", "vocab"} <= set(table.columns):
        return
    width, depth, vocab = (_numbers(table, column) for column in ("d_model", "n_layer", "vocab"))
    blocks = depth * width**2
    embedding = np.where(np.isfinite(vocab), vocab, np.nan) * width
    per_block = np.array([(size - k * embedding) / blocks for k in (0, 1, 2)])  # none, tied, input and output
    yield from _told_by_shape(per_block, name, table)


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
    """Tables with losses in bits and in nats, as shown by a column of perplexities or of bits per byte."""
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
    """Loss over bits per byte is ln 2 times the bytes per token: the same number for one tokeniser and one unit."""
    level = float(np.median(ratio)) if np.isfinite(ratio).all() and (ratio > 0).all() else 0.0
    off = np.abs(np.log(ratio / level)) > 2 * SAME_SIZE if level else np.zeros(len(ratio), dtype=bool)
    if LEAST_PART * len(off) <= off.sum() < len(off):
        yield (
            f"the ratio of loss to {column} varies from {ratio.min():.3g} to {ratio.max():.3g}: some rows "
            f"({_named(table, off)}) are in another unit or of another tokeniser"
        )


def _numbers(table: pd.DataFrame, column: str) -> np.ndarray:
    return pd.to_numeric(table[column], errors="coerce").to_numpy(dtype=np.float64)


def _named(table: pd.DataFrame, marked: np.ndarray) -> str:
    return listed(table["run"].to_numpy()[marked] if "run" in table.columns else np.flatnonzero(marked))


def in_nats(loss: np.ndarray, source: str, beside: pd.DataFrame | None = None) -> tuple[np.ndarray, float, str] | None:
    """A loss (n,) in nats, the factor (NaN: no factor) and how, where its column is a perplexity or counts bits, by its
    name or by the perplexities beside it.

    >>> in_nats(np.array([1.0]), "val_ppl")[0].tolist(), in_nats(np.array([1.0]), "loss")
    ([0.0], None)
    >>> in_nats(np.array([1.0]), "loss (base 2)")[0].round(4).tolist()
    [0.6931]
    """
    if PERPLEXITY_NAME.search(source.lower()):
        with np.errstate(all="ignore"):
            return np.log(loss), float("nan"), f"loss is the logarithm of the column '{source}', a perplexity"
    if found := BASE.search(source.lower()):
        factor = float(np.log(float(found[1])))
        return loss * factor, factor, f"loss is the column '{source}' times ln {found[1]}: to nats from base {found[1]}"
    if set(re.split(r"[^a-z0-9]+", source.lower())) & BIT_WORDS:
        how = f"loss is the column '{source}' times ln 2: from bits to nats (per byte, if it counts bytes)"
        return loss * NATS_PER_BIT, NATS_PER_BIT, how
    if beside is not None and (why := bits_by_perplexity(loss, source, beside)):
        return loss * NATS_PER_BIT, NATS_PER_BIT, f"loss is the column '{source}' times ln 2, from bits to nats: {why}"
    return None


def bits_by_perplexity(loss: np.ndarray, source: str, frame: pd.DataFrame) -> str:
    """Why a loss (n,) is in bits: the column of perplexities beside it is 2 to the power of it, or of the likelihood
    (`nll_loss`) that was logged with it, as fairseq does; "" where it is not known to be.

    >>> bits_by_perplexity(np.array([3.0, 2.0]), "valid_loss", pd.DataFrame({"valid_ppl": [8.0, 4.0]}))
    "the perplexities in 'valid_ppl' are 2 to the power of 'valid_loss'"
    >>> bits_by_perplexity(np.array([3.0]), "loss", pd.DataFrame({"ppl": [20.09]}))
    ''
    """
    before = re.sub(r"(?:nll[_/ ]?)?loss$", "", source.lower())
    named = {normalised(str(column)): str(column) for column in frame.columns}
    column = next((named[before + name] for name in ("ppl", "perplexity") if before + name in named), None)
    if column is None:
        return ""
    likelihood = named.get(f"{before}nll_loss")
    told = [(source, loss)] + ([(likelihood, _numbers(frame, likelihood))] if likelihood else [])
    logs = np.log(np.where(_numbers(frame, column) > 1, _numbers(frame, column), np.nan))
    for name, values in told:
        known = np.isfinite(logs) & np.isfinite(values)
        if known.any() and float(np.median(np.abs(logs - values * NATS_PER_BIT)[known])) < ROUNDED_LOG:
            return f"the perplexities in '{column}' are 2 to the power of '{name}'"
    return ""


def in_other_units(name: str) -> bool:
    """Whether a name says that the column is a perplexity, or counts bits."""
    words = set(re.split(r"[^a-z0-9]+", name.lower()))
    return bool(PERPLEXITY_NAME.search(name.lower()) or BASE.search(name.lower()) or words & BIT_WORDS)
