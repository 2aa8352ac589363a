"""What to cite: entries that a bibliography can read, made of declared sources alone."""

from __future__ import annotations

import re

import commands
import pytest
import yaml

import scalefit as sf
from scalefit.laws import standard_laws
from scalefit.laws.law import Law, Parameter, Variable
from scalefit.reports.citations import entries_of

LAWS = [law() for law in standard_laws().values()]


def read(text):
    """Entries of a bibliography as dictionaries, by the grammar of BibTeX: braces match, a field is name = {value}."""
    found = {}
    for kind, key, body in re.findall(r"(?ms)^@(\w+)\{([^,\s{}%#~\\]+),\n(.*?)^\}$", text):
        fields = re.findall(r"(?m)^\s+(\w+)\s+= \{((?:[^{}]|\{[^{}]*\})*)\},$", body)
        assert len(fields) == len(body.splitlines()), body
        assert key not in found
        found[key] = {"kind": kind, **dict(fields)}
    return found


def test_a_law_cites_its_source_then_what_stands_beside_it_then_the_program():
    text = commands.run("scalefit laws chinchilla --bibtex").output
    entries = read(text)
    assert list(entries) == ["arxiv-2203.15556", "arxiv-2404.10102", "scalefit"]
    first = entries["arxiv-2203.15556"]
    assert first["eprint"] == "2203.15556"
    assert first["year"] == "2022", "the number of a preprint begins with year and month"
    assert first["doi"] == "10.48550/arXiv.2203.15556"
    assert first["archiveprefix"] == "arXiv"
    assert "title" not in first
    assert "author" not in first
    assert all(line.startswith("%") or not line for line in text.partition("@")[0].splitlines())


def test_every_law_of_the_registry_cites_its_source_once():
    entries = read("\n\n".join(map(str, entries_of(LAWS))))
    for law in LAWS:
        key = f"arxiv-{law.source.removeprefix('arXiv:')}"
        assert f"Source of the law {law.name}" in entries[key]["note"] or f", {law.name}" in entries[key]["note"]
    assert all(2010 <= int(one["year"]) <= 2026 for key, one in entries.items() if key != "scalefit")
    assert read(commands.run("scalefit laws --bibtex").output) == entries


def test_the_entry_of_the_program_says_what_the_citation_file_says():
    stated = yaml.safe_load((commands.ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    (own,) = read("\n\n".join(map(str, entries_of([])))).values()
    assert own["title"].replace("{", "").replace("}", "") == stated["title"]
    assert own["author"].strip("{}") == " and ".join(author["name"] for author in stated["authors"])
    assert own["version"] == str(stated["version"]) == sf.__version__


class Odd(Law):
    """A law with a source that is no preprint."""

    name = "odd_{law}"
    source = "A. B., 50 % of {everything} & more\\input{x}"
    D = Variable("tokens", "training tokens")
    A = Parameter("nats/token", "a number", linear=True)

    @staticmethod
    def formula(D, A):
        return A * D


@pytest.mark.parametrize(("source", "year"), [("arXiv:hep-th/9901001", "1999"), ("arXiv:math.GT/0309136", "2003")])
def test_old_numbers_have_their_year(source, year, monkeypatch):
    monkeypatch.setattr(Odd, "source", source)
    first = next(iter(read("\n\n".join(map(str, entries_of([Odd()])))).values()))
    assert (first["eprint"], first["year"]) == (source.removeprefix("arXiv:"), year)


def test_a_source_of_any_letters_breaks_no_bibliography():
    first = next(iter(read("\n\n".join(map(str, entries_of([Odd()])))).values()))
    assert first["howpublished"] == r"A. B., 50 \% of everything \& moreinputx"
    assert first["note"] == r"Source of the law odd\_law"


def test_a_formula_of_the_user_has_no_source():
    entries = read(commands.run('scalefit laws "E + A*N**-alpha" --bibtex').output)
    assert list(entries) == ["scalefit"]


def test_two_questions_are_refused():
    result = commands.run("scalefit laws --bibtex --for data/size_data/runs.csv")
    assert result.exit_code == 2
    assert result.stderr.splitlines() == ["error: laws: two questions, --bibtex and --for; ask one of them"]
