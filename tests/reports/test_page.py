"""A page as HTML and Markdown: self-contained, well formed, harmless whatever the names in it are."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pandas as pd
import pytest

from scalefit.errors import InputError
from scalefit.notices import NOTE, Notice
from scalefit.reports.blocks import Figure, Section, Table, Text
from scalefit.reports.of_answer import page_of
from scalefit.reports.page import Report

HOSTILE = "<script>alert(1)</script>\x1b[2J[x](javascript:1)`|`" + "x" * 1_000_000
VOID = {"meta", "img", "source", "br"}


class Reader(HTMLParser):
    """The tags of a page with their attributes; every tag must be closed in its order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags = [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.open += [tag] * (tag not in VOID)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def named(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def page(name="run a"):
    blocks = [
        Text([f"about {name[:200]}"]),
        Text([name[:200]], "notes"),
        Text([f"a ``` b {name[:200]}"], "code"),
        Table.of("Runs", pd.DataFrame({name: [name, "b"], "loss": [2.0, float("nan")]})),
        Figure("The loss.", "loss against compute", "<svg/>", "<svg id='dark'/>"),
    ]
    return Report("A title", "The loss will be 2.1.", [name[:200]], [Section("Part one", blocks)])


@pytest.mark.parametrize("name", ["run a", HOSTILE])
def test_a_page_is_well_formed_and_asks_for_nothing(name):
    text = page(name).html()
    read = Reader(text)
    assert not read.named("script")
    assert not read.named("link")
    places = [each[key] for each in (a for _, a in read.tags) for key in ("src", "href", "srcset") if key in each]
    assert places
    assert all(place.startswith(("data:image/svg+xml;base64,", "#")) for place in places)
    assert "@import" not in text
    assert "url(" not in text
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text)
    assert len(text) < 20_000, "a name of a million letters is cut"


def test_a_page_can_be_read_without_its_styles_and_its_figures():
    read = Reader(page().html())
    (figure,) = read.named("img")
    assert figure["alt"] == "loss against compute"
    assert read.named("html") == [{"lang": "en"}]
    assert len(read.named("title")) == len(read.named("h1")) == len(read.named("caption")) == 1
    assert {cell.get("scope") for cell in read.named("th")} == {"col"}
    targets = {a["href"].removeprefix("#") for a in read.named("a")}
    assert targets == {a["id"] for _, a in read.tags if "id" in a} == {"part-one"}


def test_the_verdict_says_whether_anything_speaks_against_it():
    assert "verdict doubt" in page().html()
    sound = Report("A title", "The loss will be 2.1.", [], [])
    assert "verdict good" in sound.html()
    assert "verdict open" in Report("A title", "The loss will be 2.1.", [], [], bounded=False).html()
    assert "verdict doubt" in page_of("scalefit watch", ["a: diverged"], None, [], [], sound=False).html()
    assert sound.ok
    assert not page().ok


def test_markdown_shows_words_as_they_are_and_links_its_figures(tmp_path):
    page("a|b <i>").save(tmp_path / "report.md")
    text = (tmp_path / "report.md").read_text()
    assert r"a\|b \<i\>" in text
    assert "````\na ``` b" in text, "a fence is longer than those inside it"
    assert "![loss against compute](report-1.svg)" in text
    assert (tmp_path / "report-1.svg").read_text() == "<svg/>"


def test_figures_of_an_earlier_markdown_page_do_not_stay(tmp_path):
    figure = Figure("The loss.", "loss", "<svg/>", "<svg/>")
    mine = tmp_path / "report-7.svg"
    mine.write_text("<svg id='mine'/>")
    for count in (3, 1):
        Report("A title", "A verdict.", [], [Section("Part", [figure] * count)]).save(tmp_path / "report.md")
        assert len(list(tmp_path.glob("report-?.svg"))) == count + 1
    assert (tmp_path / "report-1.svg").exists()
    assert mine.read_text() == "<svg id='mine'/>", "a file that the page does not link to is not touched"


def test_a_page_is_written_over_a_page_and_over_nothing_else(tmp_path):
    place = page().save(tmp_path / "report.html")
    page().save(place)
    (tmp_path / "runs.html").write_text("<p>mine</p>")
    with pytest.raises(InputError, match="not a report"):
        page().save(tmp_path / "runs.html")
    assert (tmp_path / "runs.html").read_text() == "<p>mine</p>"
    with pytest.raises(InputError, match=r"end it in \.html or \.md"):
        page().save(tmp_path / "report.txt")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "runs.html"]


def test_the_page_of_an_answer_begins_with_its_verdict_and_keeps_its_warnings():
    made = page_of(
        "scalefit watch",
        ["calm at step 9", "  more", Notice("beware")],
        pd.DataFrame({"a": [1]}),
        [Notice("so", NOTE)],
        [],
    )
    assert (made.verdict, list(made.warnings)) == ("calm at step 9", ["beware"])
    assert [section.title for section in made.sections] == ["Answer", "Table", "How the logs were read", "Provenance"]
    assert "beware" not in str(made.sections[0].blocks)
    long = page_of("scalefit watch", ["x" * 401], None, [], [])
    assert long.verdict == "x" * 400 + " … (401 letters)"


@pytest.mark.parametrize(("lines", "told"), [(400, False), (401, True)])
def test_a_long_answer_is_cut_after_four_hundred_lines_and_says_so(lines, told):
    answer = [f"row {number}" for number in range(lines)]
    shown = page_of("scalefit predict", answer, None, [], []).sections[0].blocks[0].lines
    assert shown[:400] == [f"row {number}" for number in range(400)]
    assert shown[400:] == ["... and 1 more lines"] * told


def test_numbers_that_are_none_are_dashes_in_a_table():
    frame = pd.DataFrame({"error": [0.5, float("nan")], "N": [1.0, float("nan")], "run": ["a", None]})
    assert [row[:2] for row in Table.of("caption", frame).rows][1] == ["–", "–"]


def test_markdown_lists_notes_and_warnings_and_sets_paragraphs_apart():
    blocks = [Text(["one", "two"]), Text(["seen", "read"], "notes"), Text(["beware"], "warnings"), Text(["x"], "code")]
    text = Report("A title", "A verdict.", ["so"], [Section("Part", blocks)]).markdown([])
    shown = ["one", "", "two", "", "- seen", "- read", "", "- ⚠ beware", "", "```", "x", "```"]
    assert text.split("## Part")[1].strip().splitlines() == shown
    assert text.splitlines()[1:6] == ["# A title", "", "**A verdict.**", "", "- ⚠ so"]
