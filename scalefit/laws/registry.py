"""One door for every law: a name with options, a class, a formula string, or a class in the user's own file."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import scalefit.laws as folder
from scalefit.errors import InputError, all_of
from scalefit.laws.formula import FormulaLaw
from scalefit.laws.law import Law
from scalefit.numerics import nearest_names

OPERATORS = set("+*/-() ")
#: what a user's file may raise when it is imported
FAILURES = (
    *(SyntaxError, ImportError, NameError, AttributeError, TypeError, ValueError, LookupError),
    *(ArithmeticError, AssertionError, OSError, RuntimeError, SystemExit),
)


@cache
def standard_laws() -> dict[str, type[Law]]:
    """Every law of this folder by name, found by importing each file.

    >>> "chinchilla" in standard_laws()
    True
    """
    found: dict[str, type[Law]] = {}
    for module in pkgutil.iter_modules(folder.__path__):
        for law in _laws_in(importlib.import_module(f"{folder.__name__}.{module.name}")):
            found[law.name] = law
    return dict(sorted(found.items()))


def law_names() -> list[str]:
    """The names of the standard laws."""
    return list(standard_laws())


def find_law(law: str | Law | type[Law], **options: Any) -> Law:
    """The law that a name, specification, class, formula or file stands for.

    ``"chinchilla"``, ``"annealing:decay=0.9995"``, ``"E + A*N**-alpha"``, ``"./mine.py:MyLaw"``, a subclass of
    :class:`Law` or an instance. Raises :class:`InputError` with the nearest names for an unknown one.

    >>> find_law("power:over=D").spec
    'power:over=D'
    >>> find_law("E + A*N**-alpha").name
    'E + A*N**-alpha'
    """
    if isinstance(law, Law):
        return law if not options else type(law)(**{**law.options, **options})
    if isinstance(law, type) and issubclass(law, Law):
        return law(**options)
    if not isinstance(law, str):
        raise InputError(f"{law!r} is not a law", todo="give a name, a formula, a file or a Law class")
    text = law.strip()
    if ".py" in text:
        return _from_file(text)(**options)
    name = text.partition(":")[0]
    if name in standard_laws():
        return built_in(text, **options)
    if name == "auto":
        raise InputError(
            '"auto" is no law', todo="let the runs choose: scalefit.fit(runs), or scalefit fit FILE without --law"
        )
    if not text or not OPERATORS & set(text.replace("-", "")):
        near = nearest_names(name, law_names())
        known = (
            f"did you mean {' or '.join(near)}?" if near else f"there are {len(law_names())} laws, such as chinchilla"
        )
        raise InputError(f'no law "{name}"', todo=f"{known} (see: scalefit laws)")
    return FormulaLaw(text, **options)


def built_in(spec: str, **options: Any) -> Law:
    """The standard law of a specification such as ``"annealing:decay=0.9995"``; no file is ever opened for it.

    Raises :class:`InputError` for another name, or for options that the law does not have.
    """
    name, _, rest = spec.partition(":")
    if name not in standard_laws():
        raise InputError(f'the law "{name}" is not built in', todo="give it again: --law ./mine.py:MyLaw")
    return standard_laws()[name](**{**_read_options(name, rest), **options})


def _laws_in(module: ModuleType) -> list[type[Law]]:
    """The concrete laws that a module itself defines."""
    return [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Law) and value.__module__ == module.__name__
        if isinstance(value.name, str) and value.name
    ]


def _read_options(name: str, text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in text.split(",") if part]
    if any(not sign for _, sign, _ in pairs):
        raise InputError(f'"{text}" is not a list of options', where=f"law {name}", todo=f"write {name}:option=value")
    return {key.strip(): value.strip() for key, _, value in pairs}


def _from_file(text: str) -> type[Law]:
    path_text, _, wanted = text.rpartition(":") if not text.endswith(".py") else (text, "", "")
    path = Path(path_text)
    if not path.is_file():
        raise InputError("no such file", where=str(path), todo="give the path of a Python file: ./mine.py:MyLaw")
    module_spec = importlib.util.spec_from_file_location(f"scalefit_user_{path.stem}", path)
    if module_spec is None or module_spec.loader is None:
        raise InputError("not a Python file", where=str(path), todo="its name must end in .py")
    module = importlib.util.module_from_spec(module_spec)
    try:
        module_spec.loader.exec_module(module)
    except FAILURES as error:
        raise InputError(f"{type(error).__name__}: {error}", where=str(path), todo="mend the file") from error
    laws = {law.__name__: law for law in _laws_in(module)}
    if wanted in laws:
        return laws[wanted]
    if not wanted and len(laws) == 1:
        return next(iter(laws.values()))
    raise InputError(
        f'no law "{wanted}"' if wanted else f"holds {len(laws)} laws",
        where=str(path),
        todo=f"name one: {', '.join(f'{path_text}:{name}' for name in laws)}" if laws else "define a subclass of Law",
    )


def refuse_unknown(law: Law, named: Sequence[tuple[str, str]]) -> None:
    """Raise :class:`InputError` that lists every (setting, name) whose name is no parameter of the law."""

    def known(entry: tuple[str, str]) -> None:
        setting, name = entry
        if name not in law.parameters:
            what, todo = f'law {law.name} has no parameter "{name}"', f"it has {', '.join(law.parameters)}"
            raise InputError(what, where=setting, todo=todo)

    all_of(known, named)
