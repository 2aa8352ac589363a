"""The numbers of docs/learning_rate.md are those that its script measures on the bundled data."""

from __future__ import annotations

import commands
import pandas as pd
import pytest

DOCS = commands.ROOT / "docs"
MADE = commands.script(DOCS / "make_learning_rate.py")
SIMULATED = commands.script(DOCS / "simulate_learning_rates.py")
TEXT = MADE.PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("part", MADE.PARTS, ids=lambda part: part.__name__)
def test_the_page_says_what_the_data_say(part):
    found = list(part())
    assert found
    assert not [why for text in found if (why := MADE.missing(TEXT, text))]


@pytest.mark.parametrize("kind", SIMULATED.KINDS)
def test_the_outcomes_of_simulated_logs_are_those_kept(kind):
    """The first samples of the first and the last case, again."""
    kept = pd.read_csv(SIMULATED.KEPT, dtype={"outcomes": str}).set_index(["kind", "case"])["outcomes"]
    cases = {"; ".join(map(str, case)): case for case in SIMULATED.KINDS[kind].cases}
    assert set(kept[kind].index) == set(cases)
    assert set(kept[kind].map(len)) == {SIMULATED.KINDS[kind].samples}
    for name in (min(cases), max(cases)):
        assert SIMULATED.KINDS[kind].judge(cases[name], 0)[0] == kept[kind, name][0]


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("drifts by +0.12 [-1.20, 3,400] here", ""),
        ("drifts by\n+0.12  [-1.20, 3,400] here", ""),
        ("drifts by +0.13 [-1.20, 3,400] here", ""),  # a unit in the last digit
        ("drifts by +0.14 [-1.20, 3,400] here", "the page says ['0.14', '1.20', '3,400']"),
        ("drifts by +0.12 [-1.20, 3,402] here", "the page says ['0.12', '1.20', '3,402']"),
        ("drifts by -0.12 [-1.20, 3,400] here", "not on the page"),
        ("moves by +0.12 [-1.20, 3,400] here", "not on the page"),
        ("drifts by +0.14 [-1.20, 3,400] or drifts by +0.12 [-1.20, 3,400]", ""),
    ],
)
def test_a_text_is_missed_where_a_word_or_a_number_differs(page, said):
    why = MADE.missing(page, "drifts by +0.12 [-1.20, 3,400]")
    assert why.startswith(said)
    assert bool(why) == bool(said)


def test_the_script_says_what_is_wrong(monkeypatch, capsys, tmp_path):
    (tmp_path / "page.md").write_text("2 texts\n", encoding="utf-8")
    monkeypatch.setattr(MADE, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(MADE, "PARTS", [lambda: iter(["2 texts", "3 texts", "a text"])])
    assert MADE.main() == 1
    assert "not on the page: a text" in capsys.readouterr().out
