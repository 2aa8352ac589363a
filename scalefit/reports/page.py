"""A page as HTML or Markdown: one file without scripts, fonts or requests; figures inside it."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from scalefit.errors import InputError
from scalefit.escaping import lines_of
from scalefit.notices import doubted
from scalefit.reports.blocks import Block, Figure, Section, Table
from scalefit.writing import refuse, write_text

if TYPE_CHECKING:
    import jinja2

HTML, MARKDOWN = (".html", ".htm"), (".md", ".markdown")


@dataclass(frozen=True, repr=False)
class Report:
    """A page: its title, the verdict in one sentence, the warnings, and the sections."""

    title: str
    verdict: str
    warnings: Sequence[str]  #: every failed check
    sections: Sequence[Section]
    bounded: bool = True  #: whether the answer has an interval; without one nothing says how far off it may be

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
        return not self.warnings

    @property
    def tone(self) -> str:
        """How the verdict is shown: as ``good``, with a ``doubt``, or as ``open`` where there is no interval."""
        return "doubt" if self.warnings else "good" if self.bounded else "open"

    def html(self) -> str:
        """The page as HTML."""
        return lines_of(_template("page.html").render(page=self, kind=_kind, slug=_slug, data=_data))

    def markdown(self, figures: Sequence[str]) -> str:
        """The page as Markdown (GitHub's), with links to the files of the ``figures``, in their order."""
        lines = ["<!-- scalefit report -->", f"# {_plain(self.title)}", "", f"**{_plain(self.verdict)}**", ""]
        lines += [f"- ⚠ {_plain(text)}" for text in self.warnings] + [""] * bool(self.warnings)
        files = iter(figures)
        for section in self.sections:
            lines += [f"## {_plain(section.title)}", ""]
            for block in section.blocks:
                lines += [*_markdown(block, next(files, "") if isinstance(block, Figure) else ""), ""]
        return lines_of("\n".join(lines))

    @property
    def figures(self) -> list[Figure]:
        """All figures, in their order."""
        return [block for section in self.sections for block in section.blocks if isinstance(block, Figure)]

    def save(self, path: str | Path) -> Path:
        """Write the page as HTML or as Markdown, by its suffix; the figures of Markdown lie beside it as SVG.

        Raises :class:`InputError` for another suffix, or where the place cannot be written.
        """
        place = Path(path)
        if place.suffix.lower() in HTML:
            return write_text(place, self.html(), "report")
        if place.suffix.lower() not in MARKDOWN:
            what = f'a report cannot be written as "{place.suffix}"'
            raise InputError(what, where=str(path), todo="end it in .html or .md")
        beside = [place.with_name(f"{place.stem}-{i}.svg") for i in range(1, len(self.figures) + 1)]
        for each in (place, *beside):
            refuse(each, "report" if each is place else "figure")
        before = _figures_of(place)
        for figure, each in zip(self.figures, beside, strict=True):
            write_text(each, figure.light, "figure")
        made = write_text(place, self.markdown([each.name for each in beside]), "report")
        for stale in before - set(beside):
            stale.unlink(missing_ok=True)
        return made

    def _repr_html_(self) -> str:
        return self.html()

    def __repr__(self) -> str:
        return "\n".join([self.title, self.verdict, *map(str, doubted(self.warnings))])


def _figures_of(page: Path) -> set[Path]:
    """The figures beside a Markdown report that is there already: those of the report that it links to."""
    if not page.is_file():
        return set()
    links = re.findall(rf"\]\(({re.escape(page.stem)}-\d+\.svg)\)", page.read_text(encoding="utf-8", errors="replace"))
    return {page.with_name(name) for name in links}


@cache
def _template(name: str) -> jinja2.Template:
    import jinja2

    there = jinja2.Environment(
        loader=jinja2.PackageLoader("scalefit.reports", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return there.get_template(name)


def _kind(block: Block) -> str:
    """Which of the template's blocks a block is."""
    return type(block).__name__.lower()


def _slug(title: str) -> str:
    return re.sub(r"[^a-z]+", "-", title.lower()).strip("-")


def _data(svg: str) -> str:
    """A figure as an address that needs no request."""
    return f"data:image/svg+xml;base64,{b64encode(svg.encode()).decode()}"


def _plain(text: str) -> str:
    """A text that Markdown shows as it is."""
    return re.sub(r"([\\`*_\[\]<>|#~&])", r"\\\1", " ".join(text.split()))


def _markdown(block: Block, file: str) -> list[str]:
    if isinstance(block, Figure):
        return [f"![{_plain(block.alt)}]({file})", "", f"*{_plain(block.caption)}*"]
    if isinstance(block, Table):
        more = ["", f"and {block.more} more rows"] if block.more else []
        return [f"{_plain(block.caption)}:", "", *rows_of_markdown(block), *more]
    if block.kind == "code":
        fence = "`" * (3 + max((len(run) for line in block.lines for run in re.findall("`+", line)), default=0))
        return [fence, *block.lines, fence]
    if block.kind in ("notes", "warnings"):
        return [f"- {'⚠ ' * (block.kind == 'warnings')}{_plain(line)}" for line in block.lines]
    return [part for line in block.lines for part in (_plain(line), "")][:-1]


def rows_of_markdown(table: Table) -> list[str]:
    """The lines of a table in Markdown (GitHub's)."""
    rows = [list(map(_plain, table.head)), ["---"] * len(table.head), *(list(map(_plain, row)) for row in table.rows)]
    return [f"| {' | '.join(row)} |" for row in rows]
