"""Tables of Markdown pages: the rows between bars below a line of dashes."""

from __future__ import annotations

import re
from bisect import bisect
from dataclasses import replace
from pathlib import Path

import pandas as pd

from scalefit.errors import InputError
from scalefit.runs.formats import fairseq, object_lines, text_log
from scalefit.runs.formats.raw import RawTable, Remark
from scalefit.runs.formats.text import lines
from scalefit.runs.matching import canonical

PAGES = (".md", ".markdown", ".org", ".rst")
NAMES = (*(f"*{page}" for page in PAGES), "*.txt", "*.csv", "*.log", "*.out")
Table = tuple[int, list[int]]  #: the line of the header and those of the rows, from 0
LONGEST = 400  #: letters of a heading, and of a cell in which marks are looked for
LOOKED_AT = 400  #: lines by which a file of another name is known
DASHES = re.compile(r":?-+:?")
#: what is drawn between the rows of tables of databases, terminals, org-mode and reStructuredText, and their bars
DRAWN = frozenset("-=+:|─━═│┃║┌┐└┘├┤┬┴┼╔╗╚╝╠╣╦╩╬╞╡╪╤╧┏┓┗┛┣┫┳┻╋┡┩╇╈┯┷╭╮╰╯╟╢╫┠┨")
BARS = str.maketrans("│┃║", "|||")
ASIDE = re.compile(r"<sup>.*?</sup>|~~.*?~~|</?\w+/?>", re.IGNORECASE)  #: marks of footnotes, what is struck out, HTML
LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
HEADING = re.compile(r"^\s*(?:#+\s+\S|\*\*[^|]+\*\*:?\s*$|[A-Za-z_]\w*(?: ?[=:] ?| )\d[\w.+-]*:?\s*$)")
SETTING = re.compile(
    r"(?P<name>[A-Za-z_][\w ./-]*?)\s*(?:=|:|\s)\s*(?P<value>[\d.]+(?:e[+-]?\d+)?[kmbt]?)", re.IGNORECASE
)
FENCE = re.compile(r"^\s*(?:```|~~~)")  #: around lines of code, or of a log
BAR = re.compile(r"(?<!\\)\|")
MARKS = re.compile(r"^(\*\*|__|`|\*|_)(.*)\1$")


def claims(path: Path) -> bool:
    """Whether it is a page by its name, or holds a line of dashes and bars below a line with as many cells."""
    page = path.suffix.lower() in PAGES
    head = lines(path, limit=LOOKED_AT)
    marked_up = any("<table" in line.lower() or "\\begin{tabular" in line for line in head)
    return bool(_tables(head, plain=page)) or (path.suffix.lower() in PAGES[:2] and not marked_up)


def _within_fences(path: Path) -> RawTable:
    """The log that a page without a table shows between fences.

    Raises InputError where there is none.
    """
    if fairseq.claims(path):
        return fairseq.read(path)
    return _a_run_a_fence(object_lines.read(path)) if object_lines.claims(path) else text_log.read(path)


def _a_run_a_fence(table: RawTable) -> RawTable:
    """The records with a run for each pair of fences, where their steps begin anew between some."""
    step = next((name for name in map(str, table.frame.columns) if canonical(name) == "step"), None)
    if step is None or canonical("run") in map(canonical, map(str, table.frame.columns)):
        return table
    fences = [at for at, text in enumerate(lines(table.path), start=1) if FENCE.match(text)]
    part = pd.Series([bisect(fences, at) for at in table.frame.index], index=table.frame.index)
    order = list(dict.fromkeys(part))
    steps = pd.to_numeric(table.frame[step], errors="coerce").groupby(part)
    again = (steps.min().loc[order].to_numpy()[1:] <= steps.max().loc[order].to_numpy()[:-1]).any()
    if not again:
        return table
    frame = table.frame.copy()
    frame.insert(0, "run", [f"{table.path.stem}, log {order.index(each) + 1}" for each in part])
    told = Remark("named", f"the steps begin anew in another of the {len(order)} logs between fences: each is a run")
    return replace(table, frame=frame, remarks=(*table.remarks, told))


def read(path: Path) -> RawTable:
    """Read the longest table of the page and those with the same header; the index is the line of each row.

    The heading above each of several tables tells them apart: as a setting where it is a name and a number
    (`## width 128`), else as a word. Tables with other headers are named in a remark.

    Marks of emphasis around a cell are left out; an empty cell, a dash and n/a are missing values.
    """
    texts = lines(path)
    found = _tables(texts, plain=path.suffix.lower() in PAGES)
    if not found and any(FENCE.match(text) for text in texts):
        return _within_fences(path)
    if not found:
        raise InputError(
            "there is no table on the page", where=str(path), todo="write | step | loss |, then a line of dashes"
        )
    start, _ = max(found, key=lambda table: len(table[1]))
    names = _cells(texts[start])
    same = [table for table in found if _cells(texts[table[0]]) == names]
    places = [at for _, rows in same for at in rows]
    rows = [(_cells(texts[at]) + [""] * len(names))[: len(names)] for at in places]
    if not rows:
        raise InputError("the table has no rows", where=f"{path}, row {start + 1}", todo="add a row")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(
            f"two columns are named '{twice}'", where=f"{path}, row {start + 1}", todo="give one another name"
        )
    frame = pd.DataFrame(rows, columns=names, index=[at + 1 for at in places])
    told = _sections(texts, same, frame)
    frame, nans = plain_cells(frame)
    others = [table for table in found if table not in same]
    if others:
        shown = "; ".join(f"row {low + 1}: {' | '.join(_cells(texts[low]))}"[:80] for low, _ in others[:3])
        told.append(Remark("dropped", f"{len(others)} other tables of the page ({shown})", len(others)))
    return RawTable(path, frame, remarks=tuple(told), nans=nans)


def frame_of(names: list[str], rows: list[list[str]], places: list[int]) -> tuple[pd.DataFrame, dict[str, list[int]]]:
    """The frame of rows of text, with the line of each as its index, and the rows that hold NaN by column."""
    return plain_cells(pd.DataFrame(rows, columns=names, index=places))


def plain_cells(frame: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, list[int]]]:
    """A frame of texts with missing values and with numbers where a column has no other cells; and its NaNs."""
    frame = frame.mask(frame.isin(["", "-", "–", "—", "n/a", "N/A"]))
    nans = dict[str, list[int]]()
    for name in map(str, frame.columns):
        lost = frame[name].notna() & (frame[name].astype(str).str.lower() == "nan")
        nans[name] = [int(at) for at in frame.index[lost]]
        plain = pd.to_numeric(frame[name], errors="coerce")
        if ((plain.notna() | lost) == frame[name].notna()).all():
            frame[name] = plain
    return frame, nans


def _sections(texts: list[str], same: list[Table], frame: pd.DataFrame) -> list[Remark]:
    """Put the headings of several tables into a column of the frame, and say that they were joined."""
    if len(same) < 2:
        return []
    heads = [
        next((texts[at] for at in range(low - 1, -1, -1) if len(texts[at]) <= LONGEST and HEADING.match(texts[at])), "")
        for low, _ in same
    ]
    plain = [head.strip().strip("#* :_").strip() for head in heads]
    sizes = [len(rows) for _, rows in same]
    told = f"{len(same)} tables of the page have the same header and are read as one"
    if len(set(plain)) > 1:
        found = [SETTING.fullmatch(head) for head in plain]
        named = {hit["name"].strip() for hit in found if hit}
        setting = len(named) == 1 and all(found) and not named & set(frame.columns)
        name = named.pop() if setting else "section"
        values = [hit["value"] if setting and hit else head for hit, head in zip(found, plain, strict=True)]
        frame.insert(0, name, [value for value, size in zip(values, sizes, strict=True) for _ in range(size)])
        told += f"; the heading above each is its {name}"
    return [Remark("joined", told, len(same))]


def _tables(texts: list[str], plain: bool) -> list[Table]:
    """Header and rows, as line numbers from 0, of each table; with ``plain`` also those without a line of dashes."""
    found = list[Table]()
    for number in range(1, len(texts)):
        if not _is_rule(texts[number]) or "|" not in texts[number - 1]:
            continue
        if not 2 <= len(_cells(texts[number].replace("+", "|"))) == len(_cells(texts[number - 1])):
            continue
        stop = number + 1
        while stop < len(texts) and "|" in texts[stop] and texts[stop].strip():
            stop += 1
        found.append((number - 1, [at for at in range(number + 1, stop) if not _is_line(texts[at])]))
    return found or _drawn(texts, plain)


def _is_rule(text: str) -> bool:
    """Whether a line is that of dashes below a header.

    >>> [_is_rule(text) for text in ("|---|:-:|", "-|-", "---+----", "+--+--+", "| - | 3 |", "||")]
    [True, True, True, False, False, False]
    """
    bare = text.strip()
    bare = bare.replace("+", "|") if bare.startswith("-") else bare  # with borders the lines between rows look alike
    cells = bare.removeprefix("|").removesuffix("|").split("|")
    return set(bare) <= set("|:- \t") and all(DASHES.fullmatch(cell.strip()) for cell in cells)


def _is_line(text: str) -> bool:
    """Whether a line is drawn between the rows of a table.

    >>> [_is_line(text) for text in ("+----+---+", "|----+---|", "┡━━━╇━━━┩", "| -- | 3 |", "a--b")]
    [True, True, True, False, False]
    """
    bare = text.strip()
    return len(bare) > 2 and set(bare) <= DRAWN and any(two in bare for two in ("--", "==", "──", "━━", "══"))


def _drawn(texts: list[str], plain: bool) -> list[Table]:
    """Tables whose every line begins and ends with a bar, or is a line drawn between the rows.

    On a page such a table need not have a line that is drawn, in another file these lines must be most of all.
    """
    found, rows, lines = list[Table](), list[int](), 0
    for at, text in enumerate([*texts, ""]):
        bare = text.translate(BARS).strip()
        lines += _is_line(text)
        if _is_line(text) and (rows or bare):
            continue
        same = not rows or len(_cells(text)) == len(_cells(texts[rows[0]]))
        if len(bare) > 2 and bare[0] == bare[-1] == "|" and same:
            rows.append(at)
            continue
        if len(rows) > 1 and len(_cells(texts[rows[0]])) > 1:
            found.append((rows[0], rows[1:]))
        rows = []
    filled = sum(bool(text.strip()) for text in texts)
    most = 2 * (lines + sum(len(rows) + 1 for _, rows in found)) > filled
    return found if plain or (lines and most) else []


def _cells(text: str) -> list[str]:
    """The cells of a line, without bars, blanks and marks of emphasis."""
    parts = BAR.split(text.translate(BARS).strip())
    parts = parts[1:] if parts and not parts[0].strip() else parts
    parts = parts[:-1] if parts and not parts[-1].strip() and len(parts) > 1 else parts
    cells = []
    for part in parts:
        cell = part.strip().replace("\\|", "|")
        if len(cell) > LONGEST:
            cells.append(cell)
            continue
        cell = ASIDE.sub("", LINK.sub(r"\1", cell)).strip()
        while found := MARKS.match(cell):
            cell = found[2].strip()
        cells.append(cell)
    return cells
