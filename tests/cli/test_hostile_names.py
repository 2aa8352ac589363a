"""A run name with HTML, with control characters or of a million letters is shown harmlessly by every command."""

from __future__ import annotations

import itertools

import commands
import pandas as pd
import pytest

NAMES = ["<b>x</b><script>alert(1)</script>", "\x1b[2Jred", "y" * 1_000_000]
COMMANDS = [
    "inspect a.csv",
    "fit a.csv --law chinchilla --draws 0 --plot f.svg --format markdown",
    "predict f.json a.csv",
    "report f.json --at N=1e10,D=1e12 -o r.html",
    "plot f.json a.csv -o g.svg",
]


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    rows = [
        (NAMES[k] if k < len(NAMES) else f"r{k}", N, D, 1.7 + 400 * N**-0.34 + 410 * D**-0.28)
        for k, (N, D) in enumerate(itertools.product([1e7, 1e8, 1e9], [1e9, 1e10, 1e11]))
    ]
    pd.DataFrame(rows, columns=["run", "N", "D", "loss"]).to_csv(folder / "a.csv", index=False)
    result = commands.run(f"scalefit fit {folder}/a.csv --law chinchilla --draws 0 --save {folder}/f.json")
    assert result.exit_code == 0, result.output
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_printed_and_written_holds_none_of_it(there, monkeypatch, command):
    monkeypatch.chdir(there)
    result = commands.run(f"scalefit {command}")
    assert result.exit_code in (0, 1), result.output
    assert "\x1b" not in result.output
    assert len(result.output) < 50_000
    for page in there.glob("*.[hs]*"):
        text = page.read_text(encoding="utf-8")
        assert "<script" not in text
        assert "\x1b" not in text
        assert len(text) < 2_000_000
