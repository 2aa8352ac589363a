"""Exceptions and warnings. Every message says what is wrong, where, and what to do next, in one line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from typing import TypeVar

from scalefit.escaping import one_line

#: whether messages are for the command line; else those of reading are written as arguments in Python
ON_COMMAND_LINE: ContextVar[bool] = ContextVar("on_command_line", default=False)
MAPPED = re.compile(r"""--map ([\w{}/.-]+)=("[^"]*"|'[^']*'|[^\s,;)]+)""")
MAPS = re.compile(rf"{MAPPED.pattern}(?: {MAPPED.pattern})*")
QUOTES = "'\""
MOST_FAULTS = 8  #: that one message lists
Item = TypeVar("Item")
Made = TypeVar("Made")
PATTERN = re.compile(r"--pattern (?='|\")")


class ScalefitError(Exception):
    """Base of everything that scalefit raises on purpose; the command line prints it and exits with code 2.

    >>> raise InputError("loss is negative", where="runs.csv, row 3", todo="remove the row")
    Traceback (most recent call last):
    ...
    scalefit.errors.InputError: runs.csv, row 3: loss is negative; remove the row
    """

    def __init__(self, what: str, *, where: str = "", todo: str = "") -> None:
        what, todo = spoken(what), spoken(todo)
        self.what, self.where, self.todo = what, where, todo
        text = f"{where}: {what}" if where else what
        super().__init__(one_line(" ".join((f"{text}; {todo}" if todo else text).split())))


class InputError(ScalefitError, ValueError):
    """A file, table, option or formula cannot be used as it was given; ``faults`` are those that it lists."""

    faults: tuple[InputError, ...] = ()


class IdentificationError(InputError):
    """The data cannot identify the law; the message says which run would."""


class FitWarning(UserWarning):
    """A fit was made, but something about it deserves attention before it is used."""


def together(faults: Sequence[InputError]) -> InputError:
    """Several errors as one that lists each, and says once what they share; a single one as it is.

    >>> together([InputError(f"no column {name}", where="runs.csv", todo="the columns are x") for name in "ab"])
    InputError('runs.csv: 2 faults: (1) no column a; (2) no column b; the columns are x')
    """
    if len(faults) == 1:
        return faults[0]
    faults = tuple(each for fault in faults for each in fault.faults or (fault,))
    where, todo = ({getattr(fault, name) for fault in faults} for name in ("where", "todo"))
    said = []
    for fault in faults:
        what = fault.what if len(where) == 1 or not fault.where else f"{fault.where}: {fault.what}"
        said.append(what if len(todo) == 1 or not fault.todo else f"{what} ({fault.todo})")
    said = list(dict.fromkeys(said))
    text = "; ".join(f"({i}) {each}" for i, each in enumerate(said[:MOST_FAULTS], 1))
    more = len(said) > MOST_FAULTS
    count = f"more than {MOST_FAULTS}" if more else len(said)
    head = f"{count} faults: {text}{'; and others' * more}" if said[1:] else said[0]
    told = InputError(head, where=where.pop() if len(where) == 1 else "", todo=todo.pop() if len(todo) == 1 else "")
    told.faults = faults
    return told


def all_of(make: Callable[[Item], Made], items: Iterable[Item]) -> list[Made]:
    """What is made of each item. Raises one InputError that lists the faults of all, or the first of very many.

    >>> all_of(abs, [-1, 2])
    [1, 2]
    """
    made, faults = [], []
    for item in items:
        try:
            made.append(make(item))
        except InputError as error:
            faults.append(error)
            if len(faults) > MOST_FAULTS:
                break
    if faults:
        raise together(faults) from faults[0]
    return made


def spoken(text: str) -> str:
    """A message on how logs are read, in the words of its reader: options of the command line, or Python's arguments.

    >>> spoken("choose one: --map loss=val_loss or --map loss='a b'; or say how a line is written: --pattern \\"s\\"")
    'choose one: rename={"val_loss": "loss"} or rename={"a b": "loss"}; or say how a line is written: pattern="s"'
    """
    if ON_COMMAND_LINE.get() or "--" not in text:
        return text
    text = MAPS.sub(_as_mapping, text)
    return PATTERN.sub("pattern=", text).replace("--join", "join=True")


def _as_mapping(hit: re.Match[str]) -> str:
    pairs = [f'"{column.strip(QUOTES)}": "{name}"' for name, column in MAPPED.findall(hit[0])]
    return f"rename={{{', '.join(pairs)}}}"


def listed(items: Iterable[object], shown: int = 3, sep: str = ", ", count: int | None = None) -> str:
    """The first items and how many more there are, for messages; ``count``: how many in all, if not all are given.

    >>> listed("abcde"), listed(["a", "b"]), listed(["row 1"], count=7)
    ('a, b, c and 2 more', 'a, b', 'row 1 and 6 more')
    """
    words = [str(item) for item in items]
    more = (len(words) if count is None else count) - len(words[:shown])
    return sep.join(words[:shown]) + (f" and {more} more" if more > 0 else "")


def counted(number: int, thing: str, one: str = "", several: str = "") -> str:
    """A number of things, in the singular where it is one, with the verb that goes with it.

    >>> counted(1, "run"), counted(0, "run"), counted(1, "row", "has", "have"), counted(3, "row", "has", "have")
    ('1 run', '0 runs', '1 row has', '3 rows have')
    """
    verb = one if number == 1 else several
    return f"{number} {thing}{'s' * (number != 1)}{' ' * bool(verb)}{verb}"


def its(number: int) -> str:
    """Whose: of one thing or of several."""
    return "its" if number == 1 else "their"
