"""What a shell offers after Tab: names of laws and of their options, columns, runs and variables of the files given.

The files must stand before what is completed. A file that cannot be read offers nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from scalefit.errors import ScalefitError

if TYPE_CHECKING:
    from scalefit.runs import Runs

LARGEST = 50_000_000  #: bytes of files that are read while somebody waits for names
Completion = Callable[[click.Context, click.Parameter, str], list[str]]


def laws(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """The names of laws that begin so; after the colon, the options of the law."""
    from scalefit.laws import law_names
    from scalefit.laws.registry import standard_laws

    law, colon, rest = begun.partition(":")
    if colon and law in standard_laws():
        done, comma, last = rest.rpartition(",")
        names = standard_laws()[law].declaration.options
        return [f"{law}:{done}{comma}{name}=" for name in names if name.startswith(last)]
    return [name for name in ("auto", *law_names()) if name.startswith(begun)]


def columns(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """The columns of the files whose names go on the last word of what is written, such as ``N > 1e6 and d_mo``."""
    runs = _read(context)
    if runs is None:
        return []
    word = re.search(r"[\w./]*$", begun)
    head, last = (begun[: word.start()], word[0]) if word else (begun, "")
    known = [*runs.table.columns, *(runs.curves.columns if runs.curves is not None else ())]
    return [head + name for name in _beginning(known, last)]


def maps(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """Canonical names, and behind the ``=`` the columns of the files as they are named there."""
    from scalefit.runs.columns import COLUMNS

    name, sign, last = begun.partition("=")
    if not sign:
        return [f"{each}=" for each in _beginning(COLUMNS, name)]
    runs = _read(context)
    own = [binding.source for binding in runs.columns] if runs is not None else []
    others = [*runs.table.columns, *(runs.curves.columns if runs.curves is not None else ())] if runs else []
    return [f"{name}={each}" for each in _beginning([*own, *others], last)]


def runs(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """The names of the runs in the files."""
    found = _read(context)
    return [] if found is None else _beginning(found.names, begun)


def points(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """The variables of the saved fit or of the law that are not given yet: ``N=``, or ``N=7B,D=``."""
    from scalefit.fitting.saved import load_fit
    from scalefit.laws import find_law

    try:
        saved = context.params.get("fit_file") or next(iter(_words(context)), "")
        law = load_fit(saved).law if str(saved).endswith(".json") else find_law(context.params.get("law") or "auto")
    except ScalefitError:
        return []
    done, comma, last = begun.rpartition(",")
    given = {part.partition("=")[0] for part in done.split(",")}
    return [f"{done}{comma}{name}=" for name in _beginning(law.columns.values(), last) if name not in given]


def _beginning(names: Iterable[str], begun: str) -> list[str]:
    """Each name once that begins so."""
    return [name for name in dict.fromkeys(map(str, names)) if name.startswith(begun)]


def _words(context: click.Context) -> list[str]:
    """The files that stand before what is completed; click leaves them among the words that it did not take."""
    return [str(each) for each in context.params.get("files") or context.args if not str(each).startswith("--")]


def _read(context: click.Context) -> Runs | None:
    """The files that stand before what is completed, read; None where they cannot be, or would take too long."""
    from scalefit.runs import read_runs

    files = _words(context)
    paths = [Path(each) for each in files]
    if not files or "-" in files or sum(each.stat().st_size for each in paths if each.is_file()) > LARGEST:
        return None
    try:
        return read_runs(files, need=(), tell_ties=True)
    except ScalefitError:
        return None
