"""Control characters in anything that is read never reach the terminal or a figure: they are shown escaped."""

from __future__ import annotations

import json
import unicodedata

import commands
import pandas as pd
import pytest

from scalefit.escaping import lines_of, one_line

#: clears the screen, names the window, C1, turns the line around, hides, ends the line
HOSTILE = [
    "\x1b[2J",
    "\x1b]0;x\x07",
    "\x9b31m",
    "\u202eabc",
    "\u2066",
    "\u200b",
    "a\x08b",
    "\u2028",
    "\x7f",
    "\U000e0041",
]
SEEN = [
    r"\x1b[2J",
    r"\x07",
    r"\x9b31m",
    r"\u202eabc",
    r"\u2066",
    r"\u200b",
    r"a\x08b",
    r"\u2028",
    r"\x7f",
    r"\U000e0041",
]


def is_clean(text):
    return all(unicodedata.category(sign) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for sign in text.replace("\n", ""))


@pytest.mark.parametrize(("bad", "seen"), list(zip(HOSTILE, SEEN, strict=True)), ids=SEEN)
def test_each_kind_is_escaped(bad, seen):
    assert seen in one_line(f"x{bad}") and is_clean(one_line(bad))
    assert one_line(f"a{bad}\nb").count("\n") == 0 and lines_of(f"a{bad}\nb").count("\n") == 1
    assert one_line(one_line(bad)) == one_line(bad)


def test_letters_of_every_language_stay():
    for text in ("Verlust α β", "損失", "ПОТЕРЯ", "שלום", "👩\u200d🔬", "نمی\u200cخواهم", "naïve", "a\\x1b"):
        assert one_line(text) == text


@pytest.fixture
def there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bad = "".join(HOSTILE) + "\n! fit converged"
    rows = []
    for run in (f"one{bad}", "two", "three"):
        size = 10.0 ** (6 + len(rows))
        rows += [{"run": run, f"note{bad}": f"cell{bad}", "step": step, "lr": 0.01, "N": size, "D": step * 1e6,
                  "loss": 2 + step**-0.5, f"train{bad}": 1.0} for step in range(1, 60)]  # fmt: skip
    frame = pd.DataFrame(rows)
    frame.to_csv("log.csv", index=False)
    frame.to_csv("log\x1b[2J\u202e\nx.csv", index=False)
    frame.to_json("log.jsonl", orient="records", lines=True)
    frame.to_parquet("log.parquet")
    frame.assign(loss="x\x1b[2J").to_csv("words.csv", index=False)
    assert commands.run("scalefit fit log.csv --law 'E + A*step**-p' --draws 0 --save fit.json").exit_code in (0, 1)
    content = json.loads((tmp_path / "fit.json").read_text())
    content["warnings"] += [{"code": "x", "text": f"warning{bad}"}]
    content["notes"] += [f"note{bad}"]
    content["target"] = f"loss{bad}"
    (tmp_path / "hostile.json").write_text(json.dumps(content))
    return tmp_path


@pytest.mark.parametrize(
    "command",
    [
        *(f"inspect {name}" for name in ("log.csv", "log.jsonl", "log.parquet", "log*x.csv", "words.csv")),
        "inspect log.csv --csv",
        "inspect log.csv --json",
        "watch log.csv",
        "watch log.csv --run missing",
        "fit log.csv --law 'E + A*step**-p' --draws 0",
        "fit log.csv --law 'E + A*step**-p' --draws 0 --hold-out 'N > 1e6' --csv",
        "fit log.csv --law 'E + A*nothing**-p' --draws 0",
        "predict hostile.json log.csv",
        "predict hostile.json --at step=100",
        "predict hostile.json --at 'x\x1b[2J=100'",
        "laws --for log.csv",
        "lr-transfer log.csv",
        "fit \x1b[2J.csv --law power",
        "f\x1b[2Jt",
        "fit log.csv --\x1b[2J",
        "fit log.csv --law '\x1b[2J + A*N'",
        "inspect log.csv --map 'loss=\u202ex'",
    ],
)  # fmt: skip
def test_no_control_character_reaches_the_terminal(command, there):
    hostile = next(name for name in there.iterdir() if "\x1b" in name.name).name
    result = commands.run(f"scalefit {command}".replace("log*x.csv", f"'{hostile}'"))
    assert not result.exception or isinstance(result.exception, SystemExit)
    assert result.output and is_clean(result.output)
    assert not [line for line in result.output.splitlines() if line.startswith("! fit converged")]


def test_a_figure_shows_them_escaped(there):
    result = commands.run("scalefit plot hostile.json log.csv -o f.svg")
    assert result.exit_code in (0, 1), result.output
    assert is_clean((there / "f.svg").read_text(encoding="utf-8"))


def test_a_column_with_such_a_name_can_still_be_mapped(there):
    pd.DataFrame({"step": [1, 2], "my\x1b[2Jloss": [3.0, 2.0]}).to_csv("mine.csv", index=False)
    for name in ("my\x1b[2Jloss", r"my\x1b[2Jloss"):
        result = commands.run(f"scalefit inspect mine.csv --map 'loss={name}'")
        assert result.exit_code == 0 and "loss" in result.stdout, result.output
