"""The matching of a file's column names to the canonical names.

A column gets its canonical name in one of three ways, in this order: the user mapped it, it already has the canonical
name, or it is one of the glossary's aliases (a guess, which is reported). Two columns that could both be one canonical
column stop the reading.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache

from scalefit.errors import InputError
from scalefit.runs.columns import COLUMNS, CONFIGURED, Column
from scalefit.runs.quantities import HEADER_UNITS, compute_unit, counts_other_things, header_scale


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
LONGEST = 200  #: letters of a name that may be known
ROOMS = ("config/", "summary/", "hparams/")  #: "nested": a known name after one of these
#: "configured": a known name after any number of these parts of a configuration or of a group of measurements
PREFIX = re.compile(
    r"(?:(?:\w+_)?(?:config|cfg|args|params|settings|hparams)|conf|configuration|hyper|hyperparameters|arguments|options|"
    r"flags|summary|model|arch|architecture|network|net|optimizer|optimiser|optim|opt|optimization|train|training|trainer|"
    r"data|dataset|dataloader|scheduler|lr_scheduler|run|experiment|exp|stats|probes?|monitor|debug)/"
)
COUNTED = frozenset({"N", "N_total", "D", "tokens"})  #: columns whose name may end in a unit: params_M, tokens_B
LARGE = frozenset({"parameters", "tokens", "FLOP", "optimiser steps", "examples"})  #: units of large counts
#: such as (B) or (1e9 tokens), which elsewhere says what was measured on
LETTER = re.compile(r"[\(\[]\s*(?!in\s+1)(?:\d\S*\s+)?[A-Za-z][^\)\]]*[\)\]]")
ENDING = re.compile(r"[_\s-](?:in[_\s-])?(m|b|t|bn|mn|millions?|billions?|trillions?)$", re.IGNORECASE)


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: "worded": names that consist of words of a quantity and of these beside it, in any order
COUNTS = _set("n num number of count total model")
WITHOUT = _set("no non without wo excl excluding nonemb noemb nonembed nonembedding nonembeddings")
WITH = _set("with incl including all total")
EMBEDDINGS = _set("emb embd embed embeds embedding embeddings nonemb noemb nonembed nonembedding nonembeddings")
PARAMETERS = _set("param params parameter parameters")
TRAINED = _set("n num number of count total train training trained seen so far data dataset consumed processed")
SPLITS = _set("train training tr val valid validation eval evaluation test dev heldout held out")
STEP_WORDS = _set("step iter iteration update steps iters iterations updates")
STEP_BESIDE = _set(
    "n num number no count idx index global train training trainer opt optim optimizer optimiser cur current"
)
BESIDE = SPLITS | _set("loss nll lm mean avg average final last token tokens per nats")
#: words of losses that are no cross-entropy of the model, and of what is no loss
OTHER_LOSSES = _set(
    "aux auxiliary kl z router balance balancing load reg regularization regularizer contrastive box cls dfl commit vq "
    "gan disc gen reward policy value entropy weight weights scale scaler scaling mask fn func function type name std "
    "var sem min max best smooth smoothed ema ratio delta diff change total grad decay distill mse mae rmse teacher n "
    "num count steps step epoch floor source target margin ppo dpo"
)


def worded(name: str, canonical: str) -> bool:
    """Whether the words of a name, and no other word in it, say that it is this column: N, tokens, D, step or loss.

    >>> [worded("n_params_nonemb", "N"), worded("paramsNoEmb", "N"), worded("total_params_with_emb", "N_total")]
    [True, True, True]
    >>> [worded("tokens_per_param", "D"), worded("eval/c4_en_loss", "loss"), worded("train/aux_loss", "loss")]
    [False, True, False]
    """
    words = _words_of(name)
    if canonical in ("N", "N_total"):
        known = words <= PARAMETERS | COUNTS | WITHOUT | WITH | EMBEDDINGS and bool(words & PARAMETERS)
        whole = bool(words & WITH) and not words & WITHOUT
        return known and (
            whole if canonical == "N_total" else not whole and bool(words & EMBEDDINGS) <= bool(words & WITHOUT)
        )
    if canonical == "step":
        one, several = bool(words & STEP_WORDS), bool(words & {"steps", "iters", "iterations", "updates"})
        return one and words <= STEP_WORDS | STEP_BESIDE and not (several and words & {"num", "n", "number", "count"})
    if canonical in ("tokens", "D"):
        return bool(words & {"token", "tokens"}) and words <= TRAINED | {"token", "tokens"}
    if canonical != "loss" or not words & {"loss", "nll"} or words & OTHER_LOSSES:
        return False
    return bool(words & SPLITS) or words <= BESIDE


def _words_of(name: str) -> set[str]:
    """The words of a name, without a unit in brackets; valLoss has two."""
    return set(re.split(r"[^a-z0-9]+", _spaced(re.sub(r"[\(\[].*?[\)\]]", "", name)).lower())) - {""}


def _spaced(name: str) -> str:
    """A name with `_` where a capital begins a word.

    >>> _spaced("LearningRate"), _spaced("train/CrossEntropyLoss")
    ('Learning_Rate', 'train/Cross_Entropy_Loss')
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", "_", name)


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
        ending = _counted(source, target)
        scale = HEADER_UNITS[ending[1].lower()] if ending else _unit(source, COLUMNS.get(target))
        if target == "C" and scale == 1.0:  # TFLOPs alone may be those of a second, and no longer where they are mapped
            scale = compute_unit(f"total_{normalised(source)}") or 1.0
        bound.append(Binding(target, source, "mapped", scale))
    return bound


def _counted(name: str, canonical: str) -> re.Match[str] | None:
    """The end of a name that states its unit: _M, _B, _millions; for tokens also trillions."""
    ending = ENDING.search(name) if canonical in COUNTED else None
    return ending if ending and (ending[1][0] not in "tT" or canonical in ("D", "tokens")) else None


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
        if canonical == "step" and set(candidates) == {"_step"}:  # it counts the calls of wandb.log()
            candidates |= {name: 1.0 for name in free if worded(name, "step") and name not in words}
        if tier == "last":
            candidates = dict(sorted(candidates.items(), key=lambda each: column.last.index(normalised(each[0])))[:1])
        if len(candidates) > 1 and tier in ("configured", "worded"):
            continue  # such as encoder.d_model and decoder.d_model: neither is the model's
        if len(candidates) > 1:
            what = f"the columns {' and '.join(map(repr, candidates))} could both be {canonical}"
            todo = "choose one: " + " or ".join(f"--map {canonical}={_quoted(name)}" for name in candidates)
            if ties is None:
                raise InputError(what, where=where, todo=todo)
            ties[canonical] = f"{what}; {todo}"
            continue
        for name, scale in candidates.items():
            used.add(name)
            found.append(Binding(canonical, name, "guessed", scale * _unit(name, column)))
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
    other = counts_other_things(name)  # tokens (words), D (samples), compute (GPU hours)
    known = {canonical: column for canonical, column in COLUMNS.items() if not (other and column.unit in LARGE)}
    return {canonical: by for canonical, column in known.items() if (by := _scale(name, canonical, column, tier))}


def _scale(name: str, canonical: str, column: Column, tier: str) -> float:
    """The factor to the canonical unit if the name is an alias of the column, else 0."""
    plain = normalised(name)
    if canonical.startswith("precision") and canonical != name:
        return 0.0  # of a detector, and no number of bits
    if tier == "aliases" and re.sub(r"\s*[\(\[].*[\)\]]$", "", name).strip() == canonical:
        return 1.0  # "N (B)": the canonical name with a unit
    if tier == "aliases" and canonical == "N" and (_words_of(name) & EMBEDDINGS) and worded(name, canonical):
        return _worded(name, canonical)  # of two counts the one that says that it leaves out embeddings
    ending = _counted(name, canonical)
    if ending and tier in ("aliases", "fallback"):
        counted = name[: ending.start()]
        found = 1.0 if counted == canonical else _known(normalised(counted), canonical, getattr(column, tier), False)
        return found * HEADER_UNITS[ending[1].lower()]
    if tier == "nested":
        bare = next((plain.removeprefix(room) for room in ROOMS if plain.startswith(room)), "")
        return _known(bare, canonical, (*column.aliases, *column.fallback), True) if bare else 0.0
    if tier == "worded":
        return _worded(name, canonical)
    if tier == "configured":
        return _configured(name, plain, canonical, column)
    found = _known(plain, canonical, getattr(column, tier), tier == "aliases")
    return found or _known(normalised(_spaced(name)), canonical, getattr(column, tier), tier == "aliases")


def _worded(name: str, canonical: str) -> float:
    """The factor to the unit where the words of a name say that it is the column, else 0."""
    ending = _counted(name, canonical)
    plain = name[: ending.start()] if ending else name
    return (HEADER_UNITS[ending[1].lower()] if ending else 1.0) if worded(plain, canonical) else 0.0


def _configured(name: str, plain: str, canonical: str, column: Column) -> float:
    """1 if the name is a setting or a probe after parts such as model., optimizer. or args., else 0."""
    bare = without_prefix(plain)
    if canonical not in CONFIGURED or bare == plain or not bare:
        return 0.0
    own = re.split(r"[./]", name)[-1] == canonical or (bare == canonical.lower() and len(canonical) > 1)
    if own and canonical != "batch":  # batch does not say what it counts
        return 1.0
    return _known(bare, canonical, (*column.aliases, *column.fallback), False)


def _known(plain: str, canonical: str, aliases: tuple[str, ...], first: bool) -> float:
    if first and canonical == "C" and (unit := compute_unit(plain)):
        return unit
    own = first and plain == canonical.lower() and len(canonical) > 1
    words = set(re.split(r"[^a-z]+", plain))
    own = own or (
        first and canonical == "loss" and "loss" in words and bool(words & SPLITS) and words <= SPLITS | {"loss"}
    )
    return 1.0 if own or any(fnmatchcase(plain, alias) for alias in aliases) else 0.0


def _quoted(name: str) -> str:
    return f'"{name}"' if re.search(r"\s", name) else name
