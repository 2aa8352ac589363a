"""What to cite, as BibTeX: the sources that a law declares, and this program.

An entry holds what follows from a source's identifier and nothing else: of an arXiv number the address, the DOI under
which arXiv registers it, and the year of its first version.
A law states no titles and no authors, so none is written.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scalefit.escaping import one_line
from scalefit.laws import Law
from scalefit.laws.formula import FormulaLaw
from scalefit.version import __version__

ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5}|[a-z-]+(?:\.[A-Z]{2})?/\d{7})")
CENTURY = 91  #: two digits of a year from which on it is one of the twentieth century: arXiv began in 1991
LONGEST_KEY = 40  #: letters of a key that is made of a text
INCOMPLETE = (
    "these entries hold what follows from the identifiers; arXiv's pages add titles and authors "
    '("Export BibTeX citation")'
)


@dataclass(frozen=True)
class Entry:
    """An entry of a bibliography: its kind, its key and its fields."""

    kind: str
    key: str
    fields: Mapping[str, str]

    def __str__(self) -> str:
        lines = [f"  {name:<13} = {{{value}}}," for name, value in self.fields.items()]
        return "\n".join([f"@{self.kind}{{{self.key},", *lines, "}"])


def entries_of(laws: Sequence[Law]) -> list[Entry]:
    """The sources of some laws, each once, those of their formulas before those named beside them; then the program."""
    first: dict[str, list[str]] = {}
    beside: dict[str, list[str]] = {}
    for law in laws:
        for source in _sources(law):
            first.setdefault(source, []).append(law.name)
    for law in laws:
        for source in _beside(law):
            beside.setdefault(source, []).append(law.name)
    found = [_entry(source, f"Source of the law {_plain(', '.join(names))}") for source, names in first.items()]
    beside = {source: names for source, names in beside.items() if source not in first}
    found += [_entry(source, f"On the law {_plain(', '.join(names))}") for source, names in beside.items()]
    return [*found, program()]


def program() -> Entry:
    """The entry of this program, as CITATION.cff states it."""
    fields = {
        "title": "{scalefit}: scaling laws fitted to the logs of small training runs",
        "author": "{The scalefit founders}",
        "version": __version__,
        "note": "Computer software, Apache-2.0",
    }
    return Entry("misc", "scalefit", fields)


def _sources(law: Law) -> list[str]:
    """The identifiers of a declared source; the whole text where it names no arXiv number. A formula has none."""
    if isinstance(law, FormulaLaw):
        return []
    return ARXIV.findall(law.source) or [text for text in [law.source.strip()] if text]


def _beside(law: Law) -> list[str]:
    """The arXiv numbers that a law's description and its published constants name."""
    texts = [inspect.getdoc(type(law)) or "", *(one.source for one in law.published)]
    return list(dict.fromkeys(number for text in texts for number in ARXIV.findall(text)))


def _plain(text: str) -> str:
    """A text of a user's law that LaTeX prints as it is; what it has no letter for is left out."""
    return re.sub(r"([#$%&_])", r"\\\1", re.sub(r"[{}\\^~]", "", one_line(text)))


def _entry(source: str, note: str) -> Entry:
    if not ARXIV.fullmatch(f"arXiv:{source}"):
        key = re.sub(r"[^A-Za-z0-9]+", "-", source)[:LONGEST_KEY].strip("-") or "source"
        return Entry("misc", key, {"howpublished": _plain(source), "note": note})
    written = source.rpartition("/")[2][:2]
    fields = {
        "key": f"arXiv:{source}",  # what styles sort by where there is no author
        "year": f"{19 if int(written) >= CENTURY else 20}{written}",
        "eprint": source,
        "archiveprefix": "arXiv",
        "doi": f"10.48550/arXiv.{source}",
        "url": f"https://arxiv.org/abs/{source}",
        "note": note,
    }
    return Entry("misc", f"arxiv-{source.replace('/', '-')}", fields)
