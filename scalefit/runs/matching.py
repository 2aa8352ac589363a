"""The matching of a file's column names to the canonical names.

A column gets its canonical name in one of three ways, in this order: it was mapped by the user, it already
has the canonical name, or it is one of the glossary's aliases (a guess, which is reported). Two columns that
tie for one canonical name stop the reading.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from scalefit.errors import InputError
from scalefit.runs.columns import COLUMNS, CONFIGURED, OTHER_UNITS, Column


@dataclass(frozen=True)
class Binding:
    """How one column got its canonical name: `how` is "mapped", "named" or "guessed"; values are times
    `scale`."""

    name: str
    source: str
    how: str
    scale: float = 1.0


TIERS = ("aliases", "fallback", "nested", "configured", "last")  #: what a name is compared with, the surest first
ROOMS = ("config/", "summary/", "hparams/")  #: parts of nested records; the names inside are the third tier
#: parts of a configuration or of a group of measurements, any number of them before a name: the fourth tier
PREFIX = re.compile(
    r"(?:(?:\w+_)?(?:config|cfg|args|params|settings|hparams)|conf|configuration|hyper|hyperparameters|arguments|options|"
    r"flags|summary|model|arch|architecture|network|net|optimizer|optimiser|optim|opt|optimization|train|training|trainer|"
    r"data|dataset|dataloader|scheduler|lr_scheduler|run|experiment|exp|stats|probes?|monitor|debug)/"
)
COUNTED = frozenset({"N", "N_total", "D", "tokens"})  #: what a name may count in millions: params_M, tokens_B
ENDING = re.compile(r"[_\s-](m|b|t|bn|mn|millions?|billions?|trillions?)$", re.IGNORECASE)
HEADER_UNITS = {"k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12, "thousands": 1e3, "millions": 1e6, "billions": 1e9}
HEADER_UNITS |= {"million": 1e6, "mn": 1e6, "billion": 1e9, "bn": 1e9, "trillion": 1e12, "trillions": 1e12}


def normalised(name: str) -> str:
    """The name in the form in which aliases are compared: lower case, `_` for spaces and hyphens, no unit.

    >>> normalised("Training FLOP (1E21)"), normalised("#Params (B)"), normalised("learning-rate")
    ('training_flop', 'params', 'learning_rate')
    """
    text = re.sub(r"[\(\[].*?[\)\]]", "", str(name)).strip().lower().replace("#", "").replace(".", "/")
    text = re.sub(r"^lr-", "lr~", text)  # Lightning writes lr-<optimiser>: there the hyphen is part of the alias
    text = re.sub(r"[\s\-_]+", "_", text).strip("_") if text not in ("_step",) else text
    return text.removeprefix("metrics/").replace("lr~", "lr-")


def header_scale(name: str) -> float:
    """Factor that a unit in the header asks for: `Params (M)` counts millions, `FLOPs (1E21)` counts 1e21.

    >>> header_scale("#Params (B)"), header_scale("FLOPs (1E21)"), header_scale("loss (nats)")
    (1000000000.0, 1e+21, 1.0)
    """
    found = re.search(r"[\(\[]\s*(?:in\s+)?([A-Za-z]+|\d*\.?\d*e\+?\d+|10\^\d+)\s*[\)\]]", str(name), re.IGNORECASE)
    if not found:
        return 1.0
    unit = found[1].lower().replace("10^", "1e")
    return float(unit) if unit[0].isdigit() else HEADER_UNITS.get(unit, 1.0)


def match(
    names: Iterable[str],
    rename: Mapping[str, str] | None = None,
    where: str = "",
    words: Container[str] = (),
    ties: dict[str, str] | None = None,
) -> list[Binding]:
    """Bind columns to canonical names; what stays unbound keeps its own name.

    `words` are columns that hold text: they are not guessed to be a numeric column.
    Raises InputError when `rename` names a column that is not there, or two columns tie for one canonical
    name; with `ties`, it is left open and told there, by canonical name.

    >>> [(b.name, b.source, b.how) for b in match(["params", "loss", "val_loss", "Tokens"])]
    [('loss', 'loss', 'named'), ('tokens', 'Tokens', 'guessed'), ('N', 'params', 'guessed')]
    """
    free = [str(name) for name in names]
    bound = _mapped(free, dict(rename or {}), where)
    free = [name for name in free if name not in {b.source for b in bound}]
    taken = {b.name for b in bound}
    bound += [Binding(name, name, "named") for name in free if name in COLUMNS and name not in taken]
    for tier in TIERS:
        rest = [name for name in free if name not in {b.source for b in bound}]
        bound += _guessed(rest, tier, bound, where, words, ties)
    return bound


def canonical(name: str) -> str:
    """The canonical name of a column, or the name itself where the glossary does not know it.

    >>> canonical("width"), canonical("my_column")
    ('d_model', 'my_column')
    """
    return next((binding.name for binding in match([name])), name)


def _mapped(names: list[str], rename: dict[str, str], where: str) -> list[Binding]:
    for source, target in rename.items():
        if source not in names:
            near = difflib.get_close_matches(source, names, n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else f"the columns are {', '.join(names)}"
            raise InputError(f"there is no column '{source}' to map to {target}", where=where, todo=hint)
    sources = {target: [s for s, t in rename.items() if t == target] for target in rename.values()}
    for target, several in sources.items():
        if len(several) > 1:
            raise InputError(f"{' and '.join(several)} are both mapped to {target}", where=where, todo="keep one")
    return [Binding(target, source, "mapped", _header_scale(source, target)) for source, target in rename.items()]


def _counted(name: str, canonical: str) -> re.Match[str] | None:
    """The end of a name that says in what it counts: _M, _B, _millions; tokens in trillions as well."""
    ending = ENDING.search(name) if canonical in COUNTED else None
    return ending if ending and (ending[1][0] not in "tT" or canonical in ("D", "tokens")) else None


def _header_scale(source: str, target: str) -> float:
    ending = _counted(source, target)
    return HEADER_UNITS[ending[1].lower()] if ending else header_scale(source)


def _guessed(
    free: list[str],
    tier: str,
    bound: list[Binding],
    where: str,
    words: Container[str],
    ties: dict[str, str] | None,
) -> list[Binding]:
    """Aliases of one tier; a column is bound once, a canonical name that is taken is passed over."""
    taken, used, found = {b.name for b in bound}, set[str](), list[Binding]()
    for canonical, column in COLUMNS.items():
        if canonical in taken or (ties and canonical in ties):
            continue
        possible = [name for name in free if name not in used and not (column.numeric and name in words)]
        scales = {name: _scale(name, canonical, column, tier) for name in possible}
        candidates = {name: scale for name, scale in scales.items() if scale}
        if tier == "last":
            candidates = dict(sorted(candidates.items(), key=lambda each: column.last.index(normalised(each[0])))[:1])
        if len(candidates) > 1 and tier == "configured":
            continue  # encoder and decoder, say: none is the one
        if len(candidates) > 1:
            what = f"the columns {' and '.join(map(repr, candidates))} could both be {canonical}"
            todo = "choose one: " + " or ".join(f"--map {canonical}={_quoted(name)}" for name in candidates)
            if ties is None:
                raise InputError(what, where=where, todo=todo)
            ties[canonical] = f"{what}; {todo}"
            continue
        for name, scale in candidates.items():
            used.add(name)
            found.append(Binding(canonical, name, "guessed", scale * header_scale(name)))
    return found


def _scale(name: str, canonical: str, column: Column, tier: str) -> float:
    """Factor to the canonical unit when the name is an alias of the column, else 0."""
    plain = normalised(name)
    if tier == "aliases" and re.sub(r"\s*[\(\[].*[\)\]]$", "", name).strip() == canonical:
        return 1.0  # "N (B)": the canonical name with a unit
    ending = _counted(name, canonical)
    if ending and tier in ("aliases", "fallback"):
        counted = name[: ending.start()]
        found = 1.0 if counted == canonical else _known(normalised(counted), canonical, getattr(column, tier), False)
        return found * HEADER_UNITS[ending[1].lower()]
    if tier == "nested":
        bare = next((plain.removeprefix(room) for room in ROOMS if plain.startswith(room)), "")
        return _known(bare, canonical, (*column.aliases, *column.fallback), True) if bare else 0.0
    if tier == "configured":
        return _configured(name, plain, canonical, column)
    return _known(plain, canonical, getattr(column, tier), tier == "aliases")


def _configured(name: str, plain: str, canonical: str, column: Column) -> float:
    """Whether a setting or a probe stands below parts such as model., optimizer. or args. (batch only by an alias)."""
    bare = plain
    while found := PREFIX.match(bare):
        bare = bare[found.end() :]
    if canonical not in CONFIGURED or bare == plain or not bare:
        return 0.0
    own = re.split(r"[./]", name)[-1] == canonical or (bare == canonical.lower() and len(canonical) > 1)
    own = own and canonical != "batch"
    return 1.0 if own else _known(bare, canonical, (*column.aliases, *column.fallback), False)


def _known(plain: str, canonical: str, aliases: tuple[str, ...], first: bool) -> float:
    if first and OTHER_UNITS.get(plain, ("", 0.0))[0] == canonical:
        return OTHER_UNITS[plain][1]
    own = first and plain == canonical.lower() and len(canonical) > 1
    return 1.0 if own or any(fnmatchcase(plain, alias) for alias in aliases) else 0.0


def _quoted(name: str) -> str:
    return f'"{name}"' if re.search(r"\s", name) else name
