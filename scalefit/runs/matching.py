"""The matching of a file's column names to the canonical names.

A column gets its canonical name in one of three ways, in this order: the user mapped it, it already has the canonical
name, or it is one of the glossary's aliases (a guess, which is reported). Two columns that could both be one canonical
column stop the reading.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import translate
from functools import cache, lru_cache

from scalefit.errors import InputError
from scalefit.runs.columns import COLUMNS, CONFIGURED, Column
from scalefit.runs.quantities import compute_unit
from scalefit.runs.wording import (
    BRACKET,
    EMBEDDINGS,
    SPLITS,
    Told,
    averages_beside,
    contradicted,
    header_scale,
    kind_counted,
    spaced,
    told,
    worded,
    words_of,
)


@dataclass(frozen=True)
class Binding:
    """How a column got its canonical name: `how` is "mapped", "named" or "guessed"; `scale` multiplies its values
    (NaN: they were changed in another way)."""

    name: str
    source: str
    how: str
    scale: float = 1.0


#: what names are compared with, the surest first
TIERS = ("aliases", "fallback", "nested", "configured", "worded", "last")
IDENTIFIER = re.compile(r"(?:^|[^a-z])(?:id|uuid|hash)$")
OF_CONFIGURATION = re.compile(r"(?:\w+_)?(?:config|cfg|args|params|hparams|settings)/")
OF_BASE = re.compile(r"_+(?:log_*)?base_*(?:2|10)$")  #: the end of the name of a loss whose logarithm has that base
LOG_ALONE = re.compile(r"[\(\[]\s*(?:in\s+)?(?:log|ln)[\s_]*(?:2|10)?\s*[\)\]]")  #: of a loss, or behind its logarithm
LONGEST = 200  #: letters of a name that may be known
#: "nested": a known name after one of these
ROOMS = ("config/", "summary/", "hparams/", "result/", "results/", "output/", "outputs/", "scores/")
#: "configured": a known name after any number of these parts of a configuration or of a group of measurements
PREFIX = re.compile(
    r"(?:(?:\w+_)?(?:config|cfg|args|params|settings|hparams)|conf|configuration|hyper|hyperparameters|arguments|options|"
    r"flags|summary|model|arch|architecture|network|net|optimizer|optimiser|optim|opt|optimization|train|training|trainer|"
    r"defaults?|common|shared|data|dataset|dataloader|scheduler|lr_scheduler|run|experiment|exp|stats|probes?|monitor|debug|learning)/"
)
SETTING_OF = re.compile(r"^(?:params|config|cfg|hparams|args|user_attrs)_(?=[a-z])")  #: as tables of Optuna name them
COUNTED = frozenset({"N", "N_total", "D", "tokens"})  #: columns whose name may end in a unit: params_M, tokens_B
LARGE = frozenset({"parameters", "tokens", "FLOP", "optimiser steps", "examples"})  #: units of large counts
#: such as (B) or (1e9 tokens), which elsewhere says what was measured on
LETTER = re.compile(r"[\(\[]\s*(?!in\s+1|e[+-]?\d+\s*[\)\]])(?:\d\S*\s+)?[A-Za-z][^\)\]]*[\)\]]")


@lru_cache(maxsize=1 << 14)
def normalised(name: str) -> str:
    """The form in which names are compared with aliases: lower case, `_` for spaces and hyphens, no unit.

    >>> normalised("Training FLOP (1E21)"), normalised("#Params (B)"), normalised("learning-rate")
    ('training_flop', 'params', 'learning_rate')
    """
    text = re.sub(r"[\(\[].*?[\)\]]", "", str(name)).strip().lower().replace("#", "").replace(".", "/")
    text = re.sub(r"^lr-", "lr~", text)  # Lightning writes lr-<optimiser>: there the hyphen is part of the alias
    text = re.sub(r"[\s\-_]+", "_", text).strip("_") if text != "_step" else text
    return text.removeprefix("metrics/").replace("lr~", "lr-")


def without_prefix(plain: str) -> str:
    """A normalised name without the parts of a configuration before it.

    >>> without_prefix("config/model/d_model"), without_prefix("teacher/lr")
    ('d_model', 'teacher/lr')
    """
    while found := PREFIX.match(plain):
        plain = plain[found.end() :]
    return plain


def match(
    names: Iterable[str],
    rename: Mapping[str, str] | None = None,
    where: str = "",
    words: Container[str] = (),
    ties: dict[str, str] | None = None,
) -> list[Binding]:
    """Bind columns to canonical names; a column that stays unbound keeps its own name.

    `rename`: the user's mapping, of columns that exist; `words`: columns of text, which are not guessed to be a
    numeric column. Raises InputError when two columns are mapped to one name, or could both be one canonical column;
    with `ties`, the latter stays unbound and the message is put there, by canonical name.

    >>> [(b.name, b.source, b.how) for b in match(["params", "loss", "val_loss", "Tokens"])]
    [('loss', 'loss', 'named'), ('tokens', 'Tokens', 'guessed'), ('N', 'params', 'guessed')]
    """
    free = [str(name) for name in names]
    bound = _mapped(dict(rename or {}), where)
    sources, taken = {b.source for b in bound}, {b.name for b in bound}
    free = [name for name in free if name not in sources]
    bound += [Binding(name, name, "named") for name in free if name in COLUMNS and name not in taken]
    for tier in TIERS:
        sources = {b.source for b in bound}
        rest = [name for name in free if name not in sources]
        bound += _guessed(rest, tier, bound, where, words, ties)
    return bound


@lru_cache(maxsize=1 << 14)
def canonical(name: str) -> str:
    """The canonical name of a column, or the name itself if the glossary does not know it.

    >>> canonical("width"), canonical("my_column")
    ('d_model', 'my_column')
    """
    return next((binding.name for binding in match([name])), name) if len(name) <= LONGEST else name


def _mapped(rename: dict[str, str], where: str) -> list[Binding]:
    bound = []
    for source, target in rename.items():
        several = [name for name, other in rename.items() if other == target]
        if len(several) > 1:
            raise InputError(f"{' and '.join(several)} are both mapped to {target}", where=where, todo="map only one")
        if target == "error" and words_of(source) & {"acc", "accuracy"} and not words_of(source) & {"err", "error"}:
            todo = "add a column error, 1 - accuracy, or map it to accuracy"
            raise InputError(f"'{source}' is an accuracy by its name, and no error", where=where, todo=todo)
        said, column = told(source), COLUMNS.get(target)
        scale = said.factor if said and column and _fits(said, target, column) else _unit(source, column)
        if target == "C" and scale == 1.0:  # TFLOPs alone may be those of a second, and no longer where they are mapped
            scale = compute_unit(f"total_{normalised(source)}") or 1.0
        bound.append(Binding(target, source, "mapped", scale))
    return bound


def _fits(said: Told, canonical: str, column: Column) -> bool:
    """Whether a unit that a name tells can be that of a column: letters only of tokens and parameters.

    Thousands of steps are steps already (see :mod:`scalefit.runs.formats.scaled_headers`).
    """
    if column.unit not in LARGE or column.unit == "optimiser steps" or not said.letter:
        return column.unit in LARGE and column.unit != "optimiser steps"
    known = said.counts or (canonical in COUNTED and said.letter not in "kg")
    return known and column.unit in ({"tokens"} if said.letter == "t" else {"tokens", "parameters"})


def _guessed(
    free: list[str], tier: str, bound: list[Binding], where: str, words: Container[str], ties: dict[str, str] | None
) -> list[Binding]:
    """Bind by the aliases of one tier; each column is bound once, and a canonical name that is taken is skipped."""
    taken, used, found = {b.name for b in bound}, set[str](), list[Binding]()
    fitting = dict[str, dict[str, float]]()
    for name in free:
        for canonical, scale in _scales(name, tier).items():
            fitting.setdefault(canonical, {})[name] = scale
    for canonical, column in COLUMNS.items() if fitting else ():
        if canonical not in fitting or canonical in taken or (ties and canonical in ties):
            continue
        names = {name: scale for name, scale in fitting[canonical].items() if name not in used}
        candidates = {name: scale for name, scale in names.items() if not (column.numeric and name in words)}
        if tier == "last":
            candidates = dict(sorted(candidates.items(), key=lambda each: column.last.index(normalised(each[0])))[:1])
        if len(candidates) > 1 and tier in ("configured", "worded"):
            continue  # such as encoder.d_model and decoder.d_model: neither is the model's
        if canonical == "run" and len(named := [name for name in candidates if IDENTIFIER.search(name.lower())]) == 1:
            candidates = {named[0]: 1.0}  # names may come again, identifiers do not
        if canonical == "loss" and len(candidates) == 1 and tier in ("fallback", "worded", "last"):
            candidates |= dict.fromkeys(averages_beside(next(iter(candidates)), free), 1.0)
        if len(candidates) > 1:
            what = f"the columns {' and '.join(map(repr, candidates))} could both be {canonical}"
            todo = "choose one: " + " or ".join(f"--map {canonical}={in_shell(name)}" for name in candidates)
            if ties is None:
                raise InputError(what, where=where, todo=todo)
            ties[canonical] = f"{what}; {todo}"
            continue
        for name, scale in candidates.items():
            used.add(name)
            found.append(Binding(canonical, name, "guessed", _unit(name, column) if scale == 1.0 else scale))
    return found


def _unit(name: str, column: Column | None) -> float:
    """The factor of the unit in a name, where it can be one of this column: no loss counts millions of tokens."""
    large = column is None or column.unit in LARGE
    return header_scale(name) if large or not LETTER.search(name) else 1.0


@lru_cache(maxsize=1 << 14)
def _scales(name: str, tier: str) -> dict[str, float]:
    """The canonical names that a name could be by the aliases of one tier, each with the factor to its unit."""
    if len(name) > LONGEST:
        return {}
    known = {
        canonical: column
        for canonical, column in COLUMNS.items()
        if not (column.numeric and contradicted(name, canonical, column.unit in LARGE))
    }
    scales = {
        canonical: _scale(name, canonical, column, tier) or _told_scale(name, canonical, column, tier)
        for canonical, column in known.items()
    }
    return {canonical: scale for canonical, scale in scales.items() if scale}


def _told_scale(name: str, canonical: str, column: Column, tier: str) -> float:
    """The factor where the name is that of the column without the unit that it tells, or with what it counts; else 0.

    >>> _told_scale("billion_tokens", "tokens", COLUMNS["tokens"], "worded")
    1000000000.0
    """
    said, what = told(name), kind_counted(name)
    if said and _fits(said, canonical, column):
        own = tier == "aliases" and said.bare == canonical
        return said.factor * (1.0 if own else _scale(said.bare, canonical, column, tier))
    if what and column.unit in LARGE:  # data (B tokens)
        plain = re.sub(r"[\W_]*\bsize$", "", BRACKET.sub("", name).strip(), flags=re.IGNORECASE)
        return _scale(f"{plain}_{what}", canonical, column, tier) or _scale(what, canonical, column, tier) * (not plain)
    return 0.0


def _scale(name: str, canonical: str, column: Column, tier: str) -> float:
    """The factor to the canonical unit if the name is an alias of the column, else 0."""
    inner = BRACKET.search(name) if canonical in ("N", "N_total") else None
    if inner and words_of(inner[1]) & EMBEDDINGS:  # params (w/o embeddings)
        name = name.replace(inner[0], f"_{inner[1]}").replace("w/o", "wo")
    plain = normalised(name)
    if LOG_ALONE.search(name.lower()):
        return 0.0  # a logarithm; loss (log2) may be in bits too
    if canonical.startswith("precision") and canonical != name:
        return 0.0  # of a detector, and no number of bits
    if tier == "aliases" and re.sub(r"\s*[\(\[].*[\)\]]$", "", name).strip().rstrip("_ ") == canonical:
        return 1.0  # "N (B)": the canonical name with a unit
    if tier == "aliases" and canonical == "N" and (words_of(name) & EMBEDDINGS) and worded(name, canonical):
        return 1.0  # of two counts the one that says that it leaves out embeddings
    if tier == "nested":
        bare = next((plain.removeprefix(room) for room in ROOMS if plain.startswith(room)), "")
        size = canonical in ("N", "N_total") and worded(bare, canonical)
        return (_known(bare, canonical, (*column.aliases, *column.fallback), True) or float(size)) if bare else 0.0
    if tier == "worded":
        return float(plain not in column.last and worded(name, canonical))
    if tier == "configured":
        return _configured(name, plain, canonical, column)
    found = _known(plain, canonical, getattr(column, tier), tier == "aliases")
    return found or _known(normalised(spaced(name)), canonical, getattr(column, tier), tier == "aliases")


def _configured(name: str, plain: str, canonical: str, column: Column) -> float:
    """1 if the name is a setting or a probe after parts such as model., optimizer. or args., else 0."""
    bare = without_prefix(plain)
    bare = SETTING_OF.sub("", plain) if bare == plain else bare
    if canonical == "D" and OF_CONFIGURATION.match(plain) and bare != plain:  # planned
        own = float(re.split(r"[./]", name)[-1] == "D")
        return own or _known(bare, canonical, (*column.aliases, *COLUMNS["tokens"].aliases, "tokens"), False)
    if canonical not in CONFIGURED or bare == plain or not bare:
        return 0.0
    own = re.split(r"[./]", name)[-1] == canonical or (bare == canonical.lower() and len(canonical) > 1)
    if own and canonical != "batch":  # batch does not say what it counts
        return 1.0
    return _known(bare, canonical, (*column.aliases, *column.fallback), False)


def _known(plain: str, canonical: str, aliases: tuple[str, ...], first: bool) -> float:
    plain = OF_BASE.sub("", plain) if canonical == "loss" else plain
    if first and canonical == "C" and (unit := compute_unit(plain)):
        return unit
    own = first and plain == canonical.lower() and len(canonical) > 1
    if first and canonical == "loss" and not own:
        words = set(re.split(r"[^a-z]+", plain))
        own = "loss" in words and bool(words & SPLITS) and words <= SPLITS | {"loss"}
    return 1.0 if own or _any_of(aliases).match(plain) else 0.0


@cache
def _any_of(aliases: tuple[str, ...]) -> re.Pattern[str]:
    """What fits any of some aliases, which may hold the wildcards of file names."""
    return re.compile("|".join(map(translate, aliases)) or r"(?!)")


def in_shell(name: str) -> str:
    """A name as it is written in a command.

    >>> [in_shell(name) for name in ("train/loss", "val CE", "ce(test)")]
    ['train/loss', '"val CE"', '"ce(test)"']
    """
    return f'"{name}"' if re.search(r"[^\w@%+=:,./-]", name) else name
