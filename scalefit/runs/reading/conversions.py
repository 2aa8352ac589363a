"""Columns that need more than a new name: batch sizes in sequences, logarithms, a learning rate that is a setting."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from scalefit.errors import InputError
from scalefit.numerics import FloatArray
from scalefit.runs.matching import Binding, canonical, in_shell, normalised, without_prefix
from scalefit.runs.quantities import numbers
from scalefit.runs.reading.tidy import ONE_RATE, Tidy
from scalefit.runs.wording import is_ratio, per_parameter, words_of

#: names of a batch size that do not say what it counts, the surest first
BATCHES = (
    "global_batch_size",
    "effective_batch_size",
    "global_bs",
    "batch_size",
    "train_batch_size",
    "batchsize",
    "bs",
)
WHOLE = frozenset({"global_batch_size", "effective_batch_size", "global_bs"})  #: of all devices and parts of a step
#: names of how many devices or parts of a step there are, each with a batch of its own
PARTS = re.compile(
    r"(?:.*_)?(?:accum(?:ulat\w+)?|gas)(?:_.*)?|world_size|(?:n_?|num_)?(?:gpus?|devices|nodes)(?:_count)?|"
    r"dp(?:_size|_degree)?|data_parallel(?:_size|_degree)?"
)
FEWEST = 3  #: steps along which tokens must rise
MANY = 32768  #: a batch size of at least this is taken to count tokens, a smaller one sequences
SAME = 0.02  #: log ratio within which two batch sizes agree
ROUNDED = 0.1  #: log ratio within which two counts of tokens differ by their rounding
BASES = {"log2": (2.0, "2"), "log10": (10.0, "10"), "ln": (float(np.e), "e")}
#: names that may be tokens per parameter or another ratio
MAYBE = frozenset({"ratio", "data_ratio", "token_ratio", "tokens_ratio", "chinchilla_ratio"})  #: or a multiple of 20
#: names of the passes over the data of a run, and words of a name that counts the tokens of a data set
EPOCHS = frozenset({"epoch", "epochs", "num_epochs", "n_epochs", "num_train_epochs", "train_epochs", "max_epochs"})
OF_DATA_SET = frozenset({"dataset", "corpus"})
RATES = ("lr", "learning_rate", "peak_lr", "max_lr")


def read_settings(tidy: Tidy) -> None:
    """Add `batch`, in tokens if the table shows what it counts, and `lr` from its logarithm, each with a note."""
    _tokens_so_far(tidy)
    _tokens_seen(tidy)
    _read_logarithm(tidy)
    _read_ratio(tidy)
    _read_epochs(tidy)
    _read_batch(tidy)
    _read_data(tidy)


def _tokens_so_far(tidy: Tidy) -> None:
    """Tokens that do not rise where the steps do, as those of each step, are not those seen so far: no D follows."""
    bound = next((each for each in tidy.bindings if each.name == "tokens" and each.how != "mapped"), None)
    if tidy.axis != "step" or bound is None or tidy.frame["tokens"].dtype.kind not in "iuf":
        return
    rows = tidy.frame[tidy.frame["tokens"].notna()]
    rises = np.diff(rows["step"].to_numpy(dtype=float)) > 0
    if rises.sum() < FEWEST or 2 * (np.diff(rows["tokens"].to_numpy(dtype=float))[rises] > 0).sum() > rises.sum():
        return
    tidy.frame = tidy.frame.rename(columns={"tokens": "tokens_in_file"})
    tidy.bindings = [each for each in tidy.bindings if each is not bound]
    text = (
        f"'{bound.source}' does not rise with the steps: it may count the tokens of a step, or those that are planned"
    )
    tidy.note("suspect", f"{text}; it is kept as tokens_in_file, and no D is read from it", len(rows))


def _tokens_seen(tidy: Tidy) -> None:
    """D of final results that hold two counts of tokens: of a data set and of what was seen, D is the second.

    A doubt where the names do not say which of the two was seen.
    """
    bound = {each.name: each for each in tidy.bindings}
    if tidy.axis or not {"D", "tokens"} <= bound.keys() or bound["D"].how != "guessed":
        return
    data, seen = (pd.to_numeric(tidy.frame[name], errors="coerce") for name in ("D", "tokens"))
    known = (data > 0) & (seen > 0)
    if not (np.abs(np.log(data[known] / seen[known])) > ROUNDED).any():
        return
    whole, other = bound["D"], bound["tokens"]
    if not words_of(whole.source) & OF_DATA_SET:
        text = f"D is the column '{whole.source}', and '{other.source}', which counts tokens as well, differs from it"
        tidy.note("suspect", f"{text}: map D to the one that holds the tokens seen", len(tidy.frame))
        return
    name = whole.source if whole.source not in tidy.frame.columns else f"{whole.source} (data set)"
    tidy.frame = tidy.frame.rename(columns={"D": name, "tokens": "D"})
    rest = [each for each in tidy.bindings if each not in (whole, other)]
    tidy.bindings = [*rest, Binding("D", other.source, "guessed", other.scale)]
    text = f"D is the column '{other.source}': '{whole.source}' counts the tokens of the data set"
    tidy.note("guessed", text, len(tidy.frame))


def peak_of_settings(tidy: Tidy) -> None:
    """A learning rate from a configuration, constant along runs of several rows, is the peak, not that at each step."""
    binding = next((each for each in tidy.bindings if each.name == "lr"), None)
    if not tidy.axis or binding is None or "peak_lr" in tidy.frame.columns or "lr" not in tidy.frame.columns:
        return
    rates = tidy.frame.groupby("run", observed=True)["lr"]
    if not _is_setting(binding.source) or (rates.nunique() > 1).any() or rates.size().max() < 2:
        return
    tidy.frame = tidy.frame.rename(columns={"lr": "peak_lr"})
    tidy.bindings = [Binding("peak_lr", b.source, b.how, b.scale) if b is binding else b for b in tidy.bindings]
    text = f"'{binding.source}' is a setting, constant along every run: it is peak_lr, not the rate at each step"
    tidy.note("derived", text)


def _bare(name: str) -> str:
    return without_prefix(normalised(name))


def _is_setting(source: str) -> bool:
    """Whether a column's name places it in a configuration, or is that of a logarithm."""
    plain, bare = normalised(source), _bare(source)
    parts = plain[: len(plain) - len(bare)].split("/")
    return _logarithm(source) is not None or bool({*parts} - {"", "train", "training", "trainer", "optim", "opt"})


def _logarithm(name: str) -> tuple[float, str, str] | None:
    """Base, base as text and canonical name of a column such as log2_lr or log2(lr)."""
    kind, _, rest = _bare(re.sub(r"^(log2|log10|ln) ?\((.*)\)$", r"\1_\2", name.strip().lower())).partition("_")
    if kind not in BASES or rest not in RATES:
        return None
    return (*BASES[kind], "peak_lr" if rest in RATES[2:] else "lr")


def _read_logarithm(tidy: Tidy) -> None:
    found = {name: _logarithm(name) for name in tidy.frame.columns}
    logs = {name: each for name, each in found.items() if each is not None}
    if len(logs) != 1 or {"lr", "peak_lr"} & set(tidy.frame.columns):
        return
    name, (base, word, target) = next(iter(logs.items()))
    values = _numbers(tidy, name)
    if values is None:
        return
    tidy.frame = tidy.frame.assign(**{name: base**values}).rename(columns={name: target})
    tidy.bindings = [*tidy.bindings, Binding(target, name, "guessed", float("nan"))]
    tidy.note("converted", f"{target} is {word} to the power of the column '{name}'")
    if target == "lr" and not tidy.axis:
        tidy.frame = tidy.frame.assign(peak_lr=tidy.frame["lr"])
        tidy.note("derived", ONE_RATE)


def _read_ratio(tidy: Tidy) -> None:
    """D from tokens per parameter times N, where there are no tokens; a note where the ratio stays unused."""
    columns = set(tidy.frame.columns)
    name = next((each for each in map(str, tidy.frame.columns) if _is_per_parameter(each)), None)
    size = next((each for each in ("N", "N_total") if each in columns), None)
    maybe = next((each for each in map(str, tidy.frame.columns) if _may_be_per_parameter(each)), None)
    if name is None:
        if maybe is not None and size and not {"D", "tokens"} & columns:
            text = f"'{maybe}' may be tokens per parameter: --map tokens_per_param={in_shell(maybe)} derives D from it"
            tidy.note("unknown", text)
        return
    ratio = _numbers(tidy, name)
    if ratio is None or size is None or {"D", "tokens"} & columns:
        why = "there is no N" if size is None else "D is known" if ratio is not None else "it holds text"
        tidy.note("unknown", f"the column '{name}', tokens per parameter, is not used: {why}")
        return
    tidy.frame = tidy.frame.assign(D=ratio * tidy.frame[size].to_numpy(dtype=float))
    tidy.note("derived", f"D is the column '{name}' (tokens per parameter) times {size}", len(tidy.frame))


def _is_per_parameter(name: str) -> bool:
    return per_parameter(name, normalised(name), _names_tokens(name))


def _may_be_per_parameter(name: str) -> bool:
    return normalised(name) in MAYBE or (is_ratio(name) and _names_tokens(name))


def _names_tokens(name: str) -> bool:
    """Whether a name without its brackets is that of tokens."""
    plain = normalised(name)
    return plain in ("d", "data") or canonical(plain) in ("D", "tokens")


def _read_epochs(tidy: Tidy) -> None:
    """D, the tokens seen, where a table of final results holds those of its data set and how often they were seen."""
    frame, bound = tidy.frame, next((each for each in tidy.bindings if each.name == "D"), None)
    name = next((each for each in map(str, frame.columns) if _bare(each) in EPOCHS), None)
    passes = _known(frame, name) if name is not None and not tidy.axis else None
    of_data = bound is not None and bound.how == "guessed" and bool(words_of(bound.source) & OF_DATA_SET)
    unique = bound is None and not {"D", "tokens"} & set(frame.columns)
    source = "D" if of_data else "U" if unique else ""
    data = _known(frame, source)
    if passes is None or data is None or (of_data and (passes == 1).all()):
        return
    size, compute = (_known(frame, each) for each in ("N", "C"))
    if size is not None and compute is not None and np.median(np.abs(np.log(compute / (6 * size * data)))) < SAME:
        return  # the compute says that these are the tokens seen
    tidy.frame = frame.assign(D=data * passes)
    told = f"'{bound.source}'" if bound is not None else "U"
    keep = f": map D to {told} if these are the tokens seen" if bound is not None else ""
    tidy.note("derived", f"D is the column {told}, tokens of the data set, times '{name}'{keep}", len(frame))


def _read_batch(tidy: Tidy) -> None:
    if "batch" in tidy.frame.columns:
        return
    names = {_bare(name): name for name in reversed(tidy.frame.columns)}
    name = next((names[each] for each in BATCHES if each in names), None)
    size = _numbers(tidy, name) if name is not None else None
    if name is None or size is None or not (size[np.isfinite(size)] > 0).all() or not np.isfinite(size).any():
        return
    told = _told_by_tokens(tidy.frame, size)
    parts = [] if _bare(name) in WHOLE or told is not None else _parts(tidy)
    if parts:
        text = f"'{name}' may be the batch of one device or of one part of a step, as {' and '.join(parts)}"
        todo = "call the whole batch global_batch_size, or map tokens"
        tidy.note("unknown", f"{text}: batch and D are not derived from it; {todo}")
        return
    factor, text, kind = _tokens_of(tidy.frame, size, name, told)
    tidy.frame = tidy.frame.assign(**{name: size * factor}).rename(columns={name: "batch"})
    scale = float(factor) if np.ndim(factor) == 0 else float("nan")
    tidy.bindings = [*tidy.bindings, Binding("batch", name, "guessed", scale)]
    tidy.note(kind, text)


def _read_data(tidy: Tidy) -> None:
    """D of final results from their steps times the tokens of a batch, where nothing else says it."""
    if tidy.axis or {"D", "tokens", "C"} & set(tidy.frame.columns):
        return
    steps, batch, length = (_known(tidy.frame, name) for name in ("steps", "batch", "seq_len"))
    if steps is None or batch is None:
        return
    whole = length is not None and bool((batch >= length).all() and (np.mod(batch, length) == 0).all())
    if whole or np.median(batch) >= MANY:  # a smaller batch may count sequences
        tidy.frame = tidy.frame.assign(D=steps * batch)
        tidy.note("derived", "D = steps times batch, which counts tokens", len(tidy.frame))


def _told_by_tokens(frame: pd.DataFrame, size: FloatArray) -> int | None:
    """Tokens for one unit of a batch size by tokens over steps, where these are known and agree."""
    told = _tokens_per_step(frame) / size
    told = told[np.isfinite(told) & (told > 0)]
    each = round(float(np.median(told))) if len(told) and np.ptp(np.log(told)) < SAME else 0
    return each or None


def _parts(tidy: Tidy) -> list[str]:
    """The columns that say into how many parts or devices a step is divided, where these are more than one."""
    names = [str(name) for name in tidy.frame.columns if PARTS.fullmatch(_bare(str(name)))]
    counts = {name: _numbers(tidy, name) for name in names}
    most = {name: np.nanmax(values, initial=1.0) for name, values in counts.items() if values is not None}
    return [f"{name} is up to {value:g}" for name, value in most.items() if value > 1]


def _tokens_of(
    frame: pd.DataFrame, size: FloatArray, name: str, each: int | None
) -> tuple[FloatArray | float, str, str]:
    """Tokens for one unit of a batch size, with the text and the kind of a note; ``each``: by tokens over steps."""
    length = _known(frame, "seq_len")
    if each:
        if each == 1:
            return 1.0, f"batch is the column '{name}': it equals tokens over steps, so it counts tokens", "guessed"
        one = length is not None and np.ptp(length) == 0 and abs(np.log(each / float(length[0]))) < SAME
        if not one:
            text = f"batch is {each} times the column '{name}', which counts sequences (by tokens over steps)"
            return float(each), text, "converted"
    if length is not None and np.nanmedian(size) < MANY:
        factor = float(length[0]) if np.ptp(length) == 0 else length
        return factor, f"batch is the column '{name}' times seq_len: it is taken to count sequences", "converted"
    if np.nanmedian(size) >= MANY:
        return 1.0, f"batch is the column '{name}': it is so large that it must count tokens", "guessed"
    text = f"batch is the column '{name}' unchanged: it is so small that it must count sequences, not tokens"
    return 1.0, f"{text}; add a column seq_len", "unknown"


def _known(frame: pd.DataFrame, name: str) -> FloatArray | None:
    """A column in which every row has a number above 0; None if there is no such column."""
    if name not in frame.columns or frame[name].dtype.kind not in "iuf":
        return None
    values = frame[name].to_numpy(float)
    return values if np.isfinite(values).all() and (values > 0).all() else None


def _tokens_per_step(frame: pd.DataFrame) -> FloatArray:
    """Tokens over steps of each row, NaN if one of them is not known."""
    pair = [next((name for name in names if name in frame), "") for names in (("D", "tokens"), ("steps", "step"))]
    if "" in pair or any(frame[name].dtype.kind not in "iuf" for name in pair):
        return np.full(len(frame), np.nan)
    with np.errstate(all="ignore"):
        return np.asarray(frame[pair[0]].to_numpy(float) / frame[pair[1]].to_numpy(float))


def _numbers(tidy: Tidy, name: str) -> FloatArray | None:
    try:
        return numbers(tidy.frame[name], tidy.where)
    except InputError:
        return None
