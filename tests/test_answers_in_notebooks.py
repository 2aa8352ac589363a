"""Answers in a notebook: the verdict, tables as tables, warnings as a list, and nothing that a name smuggles in."""

from __future__ import annotations

from html.parser import HTMLParser

import pandas as pd
import pytest

import scalefit as sf
from scalefit.answers import as_html, as_lines
from scalefit.notices import Notice


class Read(HTMLParser):
    """The tags and the texts of HTML; raises where tags do not match."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.cells = [], [], []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, _):
        self.open.append(tag)
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        if self.open[-1] in ("td", "th", "li", "strong"):
            self.cells.append((self.open[-1], text))


def test_a_table_is_a_table_with_its_cells():
    table = pd.DataFrame({"run": ["a", "b<i>"], "loss": [2.5, 2.25], "relative_error": [0.01, -0.02]})
    found = Read(as_html(["the verdict", as_lines(table), Notice("a warning"), "more"]))
    assert found.cells == [
        ("strong", "the verdict"),
        ("li", "a warning"),
        *(("th", name) for name in ("run", "loss", "relative_error")),
        *(("td", text) for text in ("a", "2.5", "1.00 %", "b<i>", "2.25", "-2.00 %")),
    ]
    assert found.tags.count("tr") == 3
    assert found.tags.count("pre") == 1


@pytest.mark.parametrize("text", ["", "one line", "a\n\n\nb", "  indented  twice  here", "<script>x\n"])
def test_any_text_is_sound_html(text):
    for line in (text, Notice(text)):
        assert "script" not in Read(as_html([line])).tags


def test_control_characters_are_shown_not_sent():
    assert "\x1b" not in as_html(["a\x1b[2J\n  b\x1b  c  d\n  e  f  g", Notice("\x1b[2J")])


def test_what_was_read_is_shown_as_an_answer():
    runs = sf.read_runs(pd.DataFrame({"N": [1e6, 2e6], "D": [1e9, 2e9], "loss": [3.0, 2.5]}))
    report = sf.inspect(runs)
    assert repr(report) == "\n".join(map(str, report.lines))
    assert Read(report._repr_html_()).cells[0] == ("strong", report.lines[0])


def test_a_table_has_a_head_and_a_row_at_least_and_three_cells():
    for lines, tag in ((["  a  b  c", "  1  2  3"], "table"), (["  a  b  c"], "pre"), (["  a", "  1"], "pre")):
        tags = Read(as_html(["verdict", "", *lines])).tags
        assert tag in tags and ({"table", "pre"} - {tag}).isdisjoint(tags)
