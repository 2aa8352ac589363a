"""Tables with a loss for each pair of a row and a column: two settings, or steps and runs."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd

from scalefit.errors import listed
from scalefit.runs.columns import COLUMNS
from scalefit.runs.formats import delimited
from scalefit.runs.formats.markers import markers
from scalefit.runs.formats.raw import RawTable, reshaped
from scalefit.runs.formats.side_by_side import is_measure
from scalefit.runs.formats.splits import JUDGED, TRAINED, kind, measured
from scalefit.runs.matching import canonical, match
from scalefit.runs.quantities import MISSING, counts_said, is_quantity, numbers, quantity, states_unit

NUMBER = r"([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?)"
VALUED_NAME = re.compile(
    rf"(?P<name>[A-Za-z_][A-Za-z_ ]*?)\s*[=:@ _]?\s*(?P<value>{NUMBER[1:-1]}[kmbt]?)", re.IGNORECASE
)
NAMED_VALUE = re.compile(rf"(?P<value>{NUMBER[1:-1]}[kmbt]?)\s*(?P<name>[A-Za-z_][A-Za-z_ ]*)", re.IGNORECASE)
BETWEEN = re.compile(r"\s*(?:\\|\||/|,|→|\bvs\.?(?=\s)|\bby\b|\bx\b|×)\s*", re.IGNORECASE)
AGAIN = re.compile(r" \(\d+\)$")  #: the number of a column among those of its name
AXES = ("step", "tokens", "epoch")
ALIKE = 10.0  #: medians of the columns of a wide table lie within this factor
LONGEST = 60  #: letters of a name that states a setting
WITH_VALUE = re.compile(
    rf"(?P<measure>[A-Za-z][A-Za-z_./ -]*?)(?P<at>\s*(?:@|\bat\b|[(\[_:/ -])\s*)+"
    rf"(?:(?P<name>[A-Za-z_]+?)\s*[=:_ ]?\s*)?(?P<value>{NUMBER[1:-1]}\s?[kmbt]?)(?P<times>[x×]\s?(?:C\w*)?)?"
    r"\s*(?P<unit>tokens?|toks?|steps?|params?)?\s*[)\]]?",
    re.IGNORECASE,
)
VALUE_FIRST = re.compile(
    rf"(?P<value>{NUMBER[1:-1]}\s?(?:[kmbt]|(?P<times>[x×](?:C\w*)?)))"
    r"(?:[\s_./:-]+(?P<measure>[A-Za-z][A-Za-z_./ -]*))?",
    re.IGNORECASE,
)
MULTIPLE, CHINCHILLA = "multiple", "chinchilla"  #: of tokens, and of 20 tokens a parameter
MEANT = {"d": "width", "w": "width", "n": "N", "tok": "tokens", "token": "tokens", "param": "N", "s": "seed"}


def matrix(raw: RawTable) -> RawTable | None:
    """A loss for each pair of two settings: `lr \\ weight_decay` above the first column, numbers above the others."""
    frame = raw.frame
    first, others = str(frame.columns[0]), [str(name) for name in frame.columns[1:]]
    parts = [part for part in BETWEEN.split(first) if part]
    if len(parts) == 2 and (values := _of_setting(others, parts[1])):
        frame = frame.set_axis([first, *values], axis=1)
        raw, others = replace(raw, frame=frame, nans=_renamed(raw.nans, dict(zip(others, values, strict=True)))), values
    if (
        (canonical(first) in COLUMNS and not all(canonical(part) in COLUMNS for part in parts))
        or len(others) < 2
        or len(frame) < 2
        or len({*parts, "loss"}) != 3
        or len(parts) != 2
        or not all(map(is_quantity, others))
        or any(map(counts_said, others))
    ):
        return None
    cells = {name: _results(frame[name]) for name in others}
    if any(column is None for column in cells.values()):
        return None
    down, across = parts
    body = (
        frame.assign(**cells)
        .rename(columns={first: down})
        .melt(id_vars=[down], var_name=across, value_name="loss", ignore_index=False)
    )
    if canonical(down) not in AXES and "run" not in map(canonical, (down, across)):
        body["run"] = [f"row {at}, column {name}" for at, name in zip(body.index, body[across], strict=True)]
    body, empty, nans = _logged(raw, body, across)
    body[across] = numbers(body[across], str(raw.path))
    left = f"; empty cells, which are no runs: {empty}" if empty else ""
    text = f"a table of {down} (down) by {across} (across): each of {len(body)} cells is taken for the loss of a run"
    return reshaped(raw, body, "derived", text + left, nans)


def _of_setting(names: list[str], setting: str) -> list[str]:
    """The values in names that state those of a setting, as `D=1B` and `1B tokens` do of D; none for other names."""
    if max(map(len, names), default=0) > LONGEST:
        return []
    found = [VALUED_NAME.fullmatch(name) or NAMED_VALUE.fullmatch(name) for name in names]
    own = {canonical(setting), "D" if canonical(setting) == "tokens" else "tokens" if canonical(setting) == "D" else ""}
    said = [hit is not None and canonical(_setting(hit["name"])) in own for hit in found]
    return [hit["value"].replace(" ", "") for hit in found if hit] if said and all(said) else []


def _setting(name: str) -> str:
    """The setting that a name before a value means: d=128 is a width, D=1B is none."""
    plain = name.strip()
    word = plain.lower()
    return plain if plain in COLUMNS else MEANT.get(word, MEANT.get(word.rstrip("s"), plain))


def _renamed(nans: dict[str, list[int]] | None, names: dict[str, str]) -> dict[str, list[int]] | None:
    return None if nans is None else {names.get(name, name): rows for name, rows in nans.items()}


def _results(column: pd.Series) -> pd.Series | None:
    """A column of final losses, with words such as diverged, and nothing for a dash; None where other words stand."""
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column
    column = column.where(~column.astype(str).str.strip().str.lower().isin(MISSING))
    others = column[~markers(column)].dropna()
    return column if all(map(is_quantity, others)) else None


def named_matrix(raw: RawTable) -> RawTable | None:
    """A loss for each pair of two settings, where the columns name theirs: `lr,d=128,d=256`, `params,1B tokens`."""
    first, others = str(raw.frame.columns[0]), [str(name) for name in raw.frame.columns[1:]]
    if max(map(len, others), default=0) > LONGEST:
        return None
    plain = [AGAIN.sub("", name) for name in others]
    found = [VALUED_NAME.fullmatch(name) or NAMED_VALUE.fullmatch(name) for name in plain]
    names = {hit["name"].strip() for hit in found if hit}
    known = canonical(first) in {*COLUMNS} - {*AXES} or _of_sizes(raw.frame[first])
    if len(others) < 2 or not all(found) or len(names) != 1 or not known:
        return None
    across = _setting(names.pop())
    if canonical(across) not in COLUMNS or measured(across) or canonical(across) == canonical(first):
        return None
    values = [hit["value"] + name[len(bare) :] for hit, bare, name in zip(found, plain, others, strict=True) if hit]
    frame = raw.frame.set_axis([f"{first} \\ {across}", *values], axis=1)
    return matrix(replace(raw, frame=frame, nans=_renamed(raw.nans, dict(zip(others, values, strict=True)))))


def wide_runs(raw: RawTable) -> RawTable | None:
    """The losses of several runs side by side, one column a run, beside one column of steps."""
    frame, names = raw.frame, list(map(str, raw.frame.columns))
    bound = {each.source: each.name for each in match(names, ties={})}
    axes = [source for source, name in bound.items() if name in (*AXES, "steps")]
    runs = [name for name in names if name not in bound]
    if len(axes) != 1 or set(bound.values()) - {*AXES, "steps"} or len(runs) < 2 or len(names) != len(runs) + 1:
        return None
    if not all(pd.api.types.is_numeric_dtype(frame[name].dtype) and _like_a_loss(frame[name]) for name in runs):
        return None
    middles = frame[runs].median()
    if (
        middles.max() > ALIKE * middles.min()
        or any(map(is_measure, runs))
        or all(map(_of_evaluation, runs))
        or raw.single
        or {kind(word) for name in runs for word in re.split(r"[^a-z]+", name.lower()) if word} >= {"train", "val"}
        or not frame[axes[0]].is_monotonic_increasing
    ):
        return None
    if bound[axes[0]] == "steps":  # of each row, no length of all
        frame, axes = frame.rename(columns={axes[0]: "step"}), ["step"]
    body = frame.melt(id_vars=axes, value_vars=runs, var_name="run", value_name="loss", ignore_index=False)
    body, empty, nans = _logged(raw, body, "run")
    shown = ", ".join(runs[:6]) + (f" and {len(runs) - 6} more" if len(runs) > 6 else "")
    left = f"; empty cells, which are steps that were not logged: {empty}" if empty else ""
    text = f"each of the columns {shown} is taken for the loss of a run{left}"
    return reshaped(raw, body, "derived", text, nans)


def _of_evaluation(name: str) -> bool:
    """Whether a name is that of a measure on a split, such as eval/c4/loss."""
    words = re.split(r"[^a-z0-9]+", name.lower())
    return measured(name) and bool(set(words) & {*TRAINED, *JUDGED})


def _logged(raw: RawTable, body: pd.DataFrame, column: str) -> tuple[pd.DataFrame, int, dict[str, list[int]]]:
    """The cells that hold a loss or the word NaN (a diverged run), how many are empty, and the rows of those NaN."""
    nans = (nans_of_table(raw) or {}) if body["loss"].hasnans else {}
    at = {(row, name) for name, lines in nans.items() for row in lines}
    named = np.array([key in at for key in zip(body.index, body[column].astype(str), strict=True)], dtype=bool)
    kept = body["loss"].notna().to_numpy() | named
    made = body[kept].set_index(pd.RangeIndex(1, int(kept.sum()) + 1))
    return made, int((~kept).sum()), {"loss": made.index[made["loss"].isna()].tolist()}


def nans_of_table(raw: RawTable) -> dict[str, list[int]] | None:
    """The rows, by column, that hold the word NaN; None where the table does not hold it apart from an empty cell."""
    if raw.nans is None and any(raw.path.match(name) for name in delimited.NAMES):
        return delimited.nan_cells(raw.path)
    return raw.nans


def _like_a_loss(column: pd.Series) -> bool:
    """Whether a column is positive and ends below its beginning."""
    values = column.dropna().to_numpy(dtype=float)
    return len(values) > 1 and bool((values > 0).all()) and bool(np.isfinite(values).all() and values[-1] < values[0])


def columns_by_value(raw: RawTable) -> RawTable | None:
    """A loss in several columns that state a size, a horizon or a setting: `loss@1B`, `loss_seed0`, `14M` by tokens.

    A value without a word is the length of a run beside sizes (`N,loss@1B`), and a size beside lengths or steps.
    """
    frame = raw.frame
    names = [str(name) for name in frame.columns]
    found = {name: hit for name in names if len(name) <= LONGEST and (hit := _valued(name)) is not None}
    others = [name for name in names if name not in found]
    kinds = {(hit["measure"], hit["name"]) for hit in found.values()}
    if len(found) < 2 or not others or len(kinds) != 1 or any(map(measured, others)):
        return None
    measure, name = kinds.pop()
    across = name or _meaning(frame[others], [hit["value"] for hit in found.values()], measure)
    cells = {each: _results(frame[each]) for each in found}
    if across is None or any(column is None for column in cells.values()):
        return None
    frame = frame.assign(**cells)
    values = [quantity(hit["value"].replace(" ", "")) for hit in found.values()]
    if len(set(values)) < len(values) or canonical(across) in map(canonical, others):
        return None
    in_order = [each for _, each in sorted(zip(values, found, strict=True))]
    if not measure and not (_alike(frame[in_order]) if across == "seed" else _falls(frame, in_order)):
        return None
    body = frame.melt(others, [*found], "__column", "loss", ignore_index=False)
    body, empty, nans = _logged(raw, body, "__column")
    if body.empty:
        return None
    body.insert(len(others), across, body.pop("__column").map(dict(zip(found, values, strict=True))))
    body, derived = _multiplied(body.rename(columns={"loss": measure or "loss"}), across)
    text = (
        f"the columns {listed(found, 4)} hold the {measure or 'loss'} at several {_values_of(across)}: a row for each"
    )
    text += derived + (f"; empty cells, which were not measured: {empty}" if empty else "")
    return reshaped(raw, body, "derived", text, {measure or "loss": nans["loss"]})


def _multiplied(body: pd.DataFrame, across: str) -> tuple[pd.DataFrame, str]:
    """The rows with the tokens of multiples of a budget (`loss@10x`), where the table says of which one; and how."""
    if across not in (MULTIPLE, CHINCHILLA):
        return body, ""
    body = body.rename(columns={across: MULTIPLE})
    tokens = [name for name in map(str, body.columns) if canonical(name) in ("D", "tokens")]
    if len(tokens) == 1:
        amounts = numbers(body[tokens[0]], "") * body[MULTIPLE]
        return body.assign(**{tokens[0]: amounts}), f"; '{tokens[0]}' are those of the multiple 1, times it"
    if across == CHINCHILLA:
        body = body.assign(tokens_per_param=20.0 * body[MULTIPLE])
        return body, "; xC counts 20 tokens a parameter, as Chinchilla has them"
    return body, "; the table does not say of what: a column tokens beside them would"


def _valued(name: str) -> dict[str, str] | None:
    """What a name measures ("" where it does not say), which setting it names, and the value of that."""
    if (seed := VALUED_NAME.fullmatch(name.strip())) and canonical(seed["name"].strip(" _")) == "seed":
        return {"measure": "", "name": "seed", "value": seed["value"]}  # the loss, with this seed
    first, last = VALUE_FIRST.fullmatch(name.strip()), WITH_VALUE.fullmatch(name.strip())
    hit = first or last
    if hit is None or (hit["measure"] and not measured(hit["measure"])):
        return None
    said = {} if first else {key: hit[key] or "" for key in ("name", "unit")}
    word = _setting((said.get("name", "") or said.get("unit", "")).strip("_ "))
    word = word if word in COLUMNS else word.lower()
    if hit["times"]:
        word = MULTIPLE if hit["times"].strip().lower() in ("x", "×") else CHINCHILLA
        value = hit["value"].removesuffix(hit["times"]).strip()
        return None if said.get("name") else {"measure": _measure(hit), "name": word, "value": value}
    if word and canonical(word) not in COLUMNS:
        return None
    if not word and hit["value"].strip()[-1].isdigit() and "@" not in name:
        return None
    return {"measure": _measure(hit), "name": word, "value": hit["value"].strip()}


def _values_of(across: str) -> str:
    return "multiples of a budget" if across in (MULTIPLE, CHINCHILLA) else f"values of {across}"


def _measure(hit: re.Match[str]) -> str:
    return (hit["measure"] or "").strip(" _./-")


def _meaning(others: pd.DataFrame, values: list[str], measure: str) -> str | None:
    """The column that values without a word belong to, by the columns beside them; None where it is not clear."""
    known = {canonical(name) for name in map(str, others.columns)}
    rest = [name for name in map(str, others.columns) if canonical(name) not in {"D", "tokens", "step", "run"}]
    sized = bool(known & {"N", "N_total"}) or any(_of_sizes(others[name]) for name in rest)
    if all(value[-1].isdigit() for value in values):
        return "step" if "step" not in known else None
    if not all(value[-1].isalpha() for value in values):
        return None
    if known & {"D", "tokens", "step"} and not sized:
        return "N"
    return "tokens" if not known & {"D", "tokens", "step"} and (sized or measure) else None


def _of_sizes(column: pd.Series) -> bool:
    """Whether all cells are counts with a unit, such as 14M, 1.3B."""
    return not pd.api.types.is_numeric_dtype(column.dtype) and all(map(states_unit, column.dropna()))


def _alike(losses: pd.DataFrame) -> bool:
    """Whether all values are positive, and those of a row within a tenth of one another."""
    amounts = losses.apply(pd.to_numeric, errors="coerce")
    return bool((amounts.min(axis=1) > 0).all() and (amounts.max(axis=1) < 1.1 * amounts.min(axis=1)).all())


def _falls(frame: pd.DataFrame, columns: list[str]) -> bool:
    """Whether the values are positive and those of the last column lie below those of the first."""
    first, last = (pd.to_numeric(frame[name], errors="coerce") for name in (columns[0], columns[-1]))
    return bool((first > 0).any() and (last > 0).any() and last.median() < first.median())
