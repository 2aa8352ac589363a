"""Tables of papers and pages: `tabular` of LaTeX, `<table>` of HTML, and those of wikis."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path

from scalefit.errors import InputError
from scalefit.runs.formats.markdown import frame_of
from scalefit.runs.formats.raw import RawTable, Remark, refuse_long_names
from scalefit.runs.formats.text import lines
from scalefit.runs.quantities import is_quantity

NAMES = ("*.tex", "*.html", "*.htm", "*.txt", "*.md", "*.markdown", "*.wiki", "*.mediawiki")
LOOKED_AT = 2000  #: lines by which a file is known
LONGEST, MOST_CELLS = 20_000, 500  #: letters of a line, and cells of a row
ENDED = re.compile(r"(?<!\\)\\\\(?:\[[^\]]*\])?")  #: the end of a row of LaTeX
CELLS = re.compile(r"(?<!\\)&")
RULES = re.compile(
    r"\\(?:toprule|midrule|bottomrule|hline|cline\{[^}]*\}|cmidrule(?:\([^)]*\))?\{[^}]*\}|addlinespace(?:\[[^\]]*\])?)"
)
SPANS = re.compile(r"\\multicolumn\{(\d+)\}\{[^}]*\}\{(.*)\}\s*$")
ROWS = re.compile(r"\\multirow(?:\[[^\]]*\])?\{[^}]*\}\{[^}]*\}\{(.*)\}\s*$")
FONTS = re.compile(
    r"\\(?:textbf|textit|emph|underline|mathbf|mathrm|mathcal|mathit|text|texttt|num|cellcolor\{[^}]*\}|makecell)\{([^{}]*)\}"
)
SIGNS = {
    r"\pm": "±",
    r"\times": "×",
    r"\cdot": "×",
    r"\%": "%",
    r"\#": "#",
    r"\&": "&",
    r"\_": "_",
    r"\,": "",
    r"\;": "",
    "~": " ",
    r"\ell": "L",
}
MATHEMATICS = re.compile(r"\$[^$]+\$|\\(?!x[0-9a-f]{2})[A-Za-z]+")  #: in a name
WIKI = re.compile(r"\{\||\|\|[^|]+\|\|")  #: how the first line of a table of a wiki begins
ATTRIBUTES = re.compile(r"""^\s*(?:[a-z-]+\s*=\s*(?:"[^"]*"|'[^']*'|\w+)\s*)+\|(?!\|)""", re.IGNORECASE)
Rows = list[tuple[int, list[str]]]  #: the line of each row, from 1, and its cells


def claims(path: Path) -> bool:
    """Whether the file holds a table of LaTeX or HTML: by its text, whatever its name is."""
    head = lines(path, limit=LOOKED_AT)
    marked = any("\\begin{tabular" in line or "<table" in line.lower() or WIKI.match(line) for line in head)
    return marked or _bare(head)


def _bare(head: list[str]) -> bool:
    """Whether most filled lines are rows of LaTeX, without the `tabular` around them."""
    filled = [line for line in head if line.strip()]
    rows = [line for line in filled if CELLS.search(line) and ENDED.search(line)]
    return len(rows) > 1 and 2 * len(rows) > len(filled)


def read(path: Path) -> RawTable:
    """Read the longest table; the index is the line of each row. Cells that span rows hold in all of them.

    Emphasis, mathematics and lines between the rows are left out. Raises InputError where there is no table with a
    header and a row below it.
    """
    texts = [line if len(line) <= LONGEST else "\n" for line in lines(path)]
    whole = "".join(texts)
    html, wiki = "<table" in whole.lower(), any(map(WIKI.match, texts))
    tables = _of_html(whole) if html else _of_wiki(texts) if wiki else _of_latex(texts)
    found = [rows for table in tables if len(rows := _headed(table)) > 1]
    if not found:
        what, todo = "there is no table with a header and rows", "write it as CSV, with a row of column names"
        raise InputError(what, where=str(path), todo=todo)
    table = max(found, key=len)
    names = [name or f"column {at}" for at, name in enumerate(table[0][1], start=1)]
    refuse_long_names(names, str(path))
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        where = f"{path}, row {table[0][0]}"
        raise InputError(f"two columns are named '{twice}'", where=where, todo="give one another name")
    body = [(line, (cells + [""] * len(names))[: len(names)]) for line, cells in table[1:]]
    places = [line for line, _ in body]
    places = places if len(set(places)) == len(places) else [*range(1, len(body) + 1)]  # a page may be one line
    frame, nans = frame_of(names, [cells for _, cells in body], places)
    others = len(found) - 1
    told = (Remark("dropped", f"{others} other tables of the file", others),) if others else ()
    return RawTable(path, frame, remarks=told, nans=nans)


def _headed(rows: Rows) -> Rows:
    """The rows of a table below its header, which may have two lines: groups of columns, and their names."""
    rows = [(line, cells) for line, cells in rows if sum(bool(cell) for cell in cells) > 1 or len(cells) == 1]
    width = max((len(cells) for _, cells in rows), default=0)
    rows = [(line, cells + [""] * (width - len(cells))) for line, cells in rows if len(cells) > 1]
    if (
        len(rows) > 2
        and not any(map(is_quantity, filter(None, rows[1][1])))
        and ("" in rows[0][1] + rows[1][1] or len(set(rows[0][1])) < width)
    ):
        (line, above), (_, below) = rows[:2]
        joined = [
            f"{one}/{two}" if one and two and one != two else one or two for one, two in zip(above, below, strict=True)
        ]
        rows = [(line, joined), *rows[2:]]
    return rows


def _of_latex(texts: list[str]) -> list[Rows]:
    """The rows of each `tabular`; of a text without one, its rows."""
    inside, tables, rows, rest, first = (
        not any("\\begin{tabular" in text for text in texts),
        list[Rows](),
        Rows(),
        "",
        0,
    )
    for number, text in enumerate(texts, start=1):
        plain = re.sub(r"(?<!\\)%.*", "", text).strip()
        if "\\begin{tabular" in plain:
            inside, rest, first, plain = (
                True,
                "",
                0,
                re.sub(r".*\\begin\{tabular\*?x?\}(?:\{[^}]*\}|\[[^\]]*\])*(?:\{.*\})?", "", plain),
            )
        plain, ended, _ = plain.partition("\\end{tabular")
        if not inside:
            continue
        first = first or number
        *whole, rest = ENDED.split(f"{rest} {RULES.sub('', plain)}".strip())
        rows += [(first, _cells(row)) for row in whole if row.strip()]
        first = number if rest.strip() and whole else 0 if not rest.strip() else first
        if ended:
            rows += [(first, _cells(rest))] if CELLS.search(rest) else []
            tables, rows, rest, first, inside = [*tables, rows], Rows(), "", 0, False
    return [*tables, rows]


def _cells(row: str) -> list[str]:
    found = list[str]()
    for cell in CELLS.split(row)[:MOST_CELLS]:
        spans = SPANS.fullmatch(cell.strip())
        found += [plain_text(spans[2])] * min(int(spans[1]), MOST_CELLS) if spans else [plain_text(cell)]
    return found


def without_mathematics(raw: RawTable) -> RawTable | None:
    """The table with plain names for those of LaTeX, such as `$L(N, D)$`; None where there are none."""
    new = {name: plain_text(name) for name in map(str, raw.frame.columns) if MATHEMATICS.search(name)}
    if not all(new.values()) or not new or len({*raw.frame.columns} - {*new} | {*new.values()}) < raw.frame.shape[1]:
        return None
    nans = raw.nans and {new.get(name, name): rows for name, rows in raw.nans.items()}
    return replace(raw, frame=raw.frame.rename(columns=new), nans=nans)


def plain_text(cell: str) -> str:
    """A cell of LaTeX as plain text.

    >>> plain_text(r"$\\mathbf{3.05} \\pm 0.01$"), plain_text(r"\\multirow{2}{*}{128}"), plain_text(r"$\\ell$")
    ('3.05 ± 0.01', '128', 'L')
    """
    text = cell.strip()
    rows = ROWS.fullmatch(text)
    text = rows[1] if rows else text
    while (plain := FONTS.sub(r"\1", text)) != text:
        text = plain
    for sign, plain in SIGNS.items():
        text = text.replace(sign, plain)
    text = re.sub(r"\^\{([^{}]*)\}", r"^\1", text.replace("$", ""))
    text = re.sub(r"\\[A-Za-z]+\*?", "", text).replace("\\", "")
    return " ".join(re.sub(r"[{}]", "", text).split())


@dataclass
class _Cell:
    text: str = ""
    rows: int = 1
    columns: int = 1


@dataclass
class _Tables(HTMLParser):
    """The tables of a page: the line and the cells of each row."""

    tables: list[list[tuple[int, list[_Cell]]]] = field(default_factory=list)
    cell: _Cell | None = None

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a table, a row or a cell."""
        if tag == "table":
            self.tables.append([])
        elif tag == "tr" and self.tables:
            self.tables[-1].append((self.getpos()[0], []))
        elif tag in ("td", "th") and self.tables and self.tables[-1]:
            spans = {name: int(value) for name, value in attrs if value and value.isdecimal() and len(value) < 4}
            self.cell = _Cell("", max(1, spans.get("rowspan", 1)), max(1, spans.get("colspan", 1)))
            self.tables[-1][-1][1].append(self.cell)
        elif tag in ("sup", "del", "s"):
            self.cell = None  # a footnote, or what was struck out

    def handle_endtag(self, tag: str) -> None:
        """End a cell."""
        if tag in ("td", "th", "tr", "table"):
            self.cell = None

    def handle_data(self, data: str) -> None:
        """Text inside a cell."""
        if self.cell is not None:
            self.cell.text += data


def _of_html(whole: str) -> list[Rows]:
    """The rows of each table; a cell that spans several rows or columns stands in each of them."""
    page = _Tables()
    page.feed(whole)
    page.close()
    return [_spread(table) for table in page.tables]


def _spread(table: list[tuple[int, list[_Cell]]]) -> Rows:
    rows, held = Rows(), dict[int, tuple[str, int]]()  #: by column: a text from above, and the rows that it still holds
    for line, cells in table:
        made, left = list[str](), [*cells]
        while (left or len(made) in held) and len(made) < MOST_CELLS:
            at = len(made)
            if at in held:
                text, more = held.pop(at)
                held |= {at: (text, more - 1)} if more > 1 else {}
                made.append(text)
                continue
            cell = left.pop(0)
            text = " ".join(cell.text.split())
            for column in range(at, min(at + cell.columns, MOST_CELLS)):
                held |= {column: (text, cell.rows - 1)} if cell.rows > 1 else {}
                made.append(text)
        rows.append((line, made))
    return rows


def _of_wiki(texts: list[str]) -> list[Rows]:
    """The rows of each table between `{|` and `|}` (MediaWiki), or of lines that begin with bars (Jira, Confluence)."""
    tables, rows, inside = list[Rows](), Rows(), False
    for number, text in enumerate([*texts, ""], start=1):
        line = text.strip()
        if line.startswith("{|") or line.startswith("|}") or (not inside and not line.startswith("|")):
            tables, rows, inside = [*tables, rows], Rows(), line.startswith("{|")
        elif not inside:
            bar = "||" if line.startswith("||") else "|"
            rows.append((number, [cell.strip() for cell in line.strip("|").split(bar)]))
        elif line.startswith("|-"):
            rows.append((number, []))
        elif line[:1] in ("|", "!") and not line.startswith("|+"):
            rows = rows or [(number, [])]
            cells = re.split(r"\|\||!!" if line[0] == "!" else r"\|\|", line[1:])
            rows[-1][1].extend(ATTRIBUTES.sub("", cell).strip().strip("'").strip() for cell in cells)
    return tables
