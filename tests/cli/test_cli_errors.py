"""Bad input at the command line: one clear line, exit code 2, nothing half-written, nothing lost."""

from __future__ import annotations

import json
import os

import commands
import pytest

FIT = "scalefit fit runs.csv --law chinchilla"

BAD = {
    "missing.csv": None,
    "empty.csv": "",
    "header.csv": "N,D,loss\n",
    "prose.csv": "not a table\nbecause, of, commas\n",
    "no_d.csv": "N,loss\n1e6,3\n1e7,2.5\n",
    "tie.csv": "N,D,train/loss,val/loss\n1e6,1e8,3,3.1\n",
    "nan.csv": "N,D,loss\n1e6,1e8,nan\n",
    "inf.csv": "N,D,loss\n1e6,1e8,inf\n",
    "zero.csv": "N,D,loss\n0,1e8,3\n",
    "negative.csv": "N,D,loss\n-5,1e8,3\n",
    "cells.csv": "N,D,loss\nx7,1e8,3\n1e7,y9,3\n1e7,1e8,low\n",
    "signs.csv": "N,D,loss\n1e6,1e8,-3\n0,1e8,3\n1e6,1e8,3\n-4,1e8,3\n",
    "few.csv": "N,D,loss\n1e6,1e8,3\n1e7,1e9,2.5\n1e8,1e10,2.2\n",
    "one.csv": "step,lr,loss\n" + "".join(f"{s},1e-3,{2 + (1 + s) ** -0.5}\n" for s in range(20)),
    "no_lr.csv": "run,step,loss\n" + "".join(f"{r},{s},{2 + (1 + s) ** -0.5}\n" for r in "ab" for s in range(20)),
    "late.csv": "run,step,lr,loss\n"
    + "".join(f"{r},{s},{lr},{2 + s**-0.5}\n" for r, lr in (("a", 1e-3), ("b", 1e-4)) for s in range(500, 520)),
}
REFUSED = [
    ("fit missing.csv --law chinchilla", ["missing.csv", "no such file"]),
    ("fit empty.csv --law chinchilla", ["empty.csv", "empty"]),
    ("fit header.csv --law chinchilla", ["header.csv", "no rows"]),
    ("fit prose.csv --law chinchilla", ["prose.csv", "the table has no rows"]),
    ("fit no_d.csv --law chinchilla", ["no_d.csv", 'no column "D"', "--map D="]),
    ("fit tie.csv --law chinchilla", ["tie.csv", "train/loss", "val/loss", "--map loss="]),
    ("fit nan.csv --law chinchilla", ["nan.csv, row 2, column loss", "nan"]),
    ("fit inf.csv --law chinchilla", ["inf.csv, row 2, column loss", "inf"]),
    ("fit zero.csv --law chinchilla", ["zero.csv, row 2, column N", "0"]),
    ("fit negative.csv --law chinchilla", ["negative.csv, row 2, column N", "-5"]),
    ("fit few.csv --law chinchilla", ["3 rows for 5 free parameters", "add runs"]),
    ("fit one.csv --law annealing", ["one single schedule", "add a run"]),
    ("fit no_lr.csv --law annealing", ["run a", "no learning rate", "--schedule"]),
    ("fit late.csv --law annealing", ["run a", "before step 500", "--warmup"]),
    ("fit runs.csv --law chincilla", ["chincilla", "did you mean chinchilla"]),
    (
        'fit missing.csv --law chincilla --fix E=x --bounds A=2 --where "N >> 3"',
        ["5 faults", "missing.csv", "did you mean chinchilla", "--fix: 'x'", '--bounds: "2"', "N >> 3"],
    ),
    ("compare missing.csv --law chincilla --law kaplan", ["2 faults", "missing.csv", "chincilla"]),
    ("backtest missing.csv --law chincilla", ["2 faults", "missing.csv", "chincilla"]),
    ("report missing.csv --law chincilla -o page.html --at N", ["3 faults", "missing.csv", "chincilla", '"N" is not']),
    ("predict missing.json --at N=", ["2 faults", "missing.json", '"N=" is not']),
    ("lr-transfer missing.csv --at N=x --initial-loss q", ["3 faults", "missing.csv", "'x'", "'q'"]),
    ("batch missing.csv --at batch=x --loss q", ["3 faults", "missing.csv", "'x'", "'q'"]),
    ("stability missing.csv --at N=x --lr q", ["3 faults", "missing.csv", "'x'", "'q'"]),
    ('fit runs.csv --law "E + A*N**"', ["E + A*N**", "not an expression"]),
    ("""fit runs.csv --law "E + __import__('os').remove('runs.csv')*N" """, ["column 5", "cannot call"]),
    ('fit runs.csv --law "E + open(N)"', ["cannot call", "open"]),
    ('fit runs.csv --law "import os + N"', ["not an expression"]),
    ("fit runs.csv --law chinchilla --save no/such/fit.json", ["no/such/fit.json", "cannot be written"]),
    ("fit runs.csv --law chinchilla --save folder", ["folder", "cannot be written"]),
    ("fit runs.csv --law chinchilla --plot no/such/fit.png", ["no/such/fit.png", "cannot be written"]),
    ("fit runs.csv --law chinchilla --plot figure.xyz", ["figure.xyz", ".png"]),
    ("predict newer.json --at N=1e9,D=1e10", ["newer.json", "schema 99", "newer scalefit"]),
    ("predict runs.csv --at N=1e9,D=1e10", ["runs.csv", "not JSON"]),
    ("predict fit.json --at N=1e9", ["D is not given"]),
    ("predict fit.json --at N=1e9,D=1e10,N=2e9", ["N is given twice"]),
    ("plot fit.json -o no/such/fit.png", ["no/such/fit.png", "cannot be written"]),
    ('fit runs.csv --law chinchilla --where "N > 1e99"', ["--where", "no row"]),
    ('fit runs.csv --law chinchilla --hold-out "N > 1e99"', ["--hold-out", "no row", "N goes from"]),
    ('fit runs.csv --law chinchilla --hold-out "N > 0"', ["no row to fit", "N goes from"]),
    ('fit runs.csv --law chinchilla --where "width > 3"', ["width", "use"]),
    ("fit runs.csv --law chinchilla --fix gamma=1", ["gamma", "alpha"]),
    ("fit runs.csv --law chinchilla --fix alpha=big", ["--fix", "big"]),
    ("fit runs.csv --law chinchilla --bounds alpha=3:2", ["alpha", "3"]),
    ("fit runs.csv --law chinchilla --loss hubber", ["--loss", "huber", "scalefit fit --help"]),
    ("fit runs.csv --fix E=1", ["fix without a law", "name the law"]),
    (
        "fit runs.csv --law chinchilla --foo=1 --draws many --starts 0",
        ["3 faults", "--foo", "'many'", "--starts", "see scalefit fit --help"],
    ),
    ("compare-recipes runs.csv", ["2 faults", "'--by' (", "'--at' ("]),
    ("fit one.csv missing.csv gone.csv --law chinchilla", ["2 faults", "missing.csv", "gone.csv", "no such file"]),
    (
        "fit runs.csv --law chinchilla --map loss=nope --map D=none",
        ["2 faults", "'nope' to map to loss", "'none' to map to D", "the columns are"],
    ),
    (
        "fit runs.csv --law chinchilla --fix alpha=big --bounds E=a:2 --start beta=small",
        ["3 faults", "'big'", "'a'", "'small'"],
    ),
    ("fit runs.csv --law chinchilla --fix a=1 --tie b=alpha --bounds c=1:2", ["3 faults", '"a"', '"b"', '"c"']),
    ("fit runs.csv --law chinchilla --fix E --tie b", ["2 faults", "--fix", "--tie"]),
    ("predict fit.json --at M=1,Q=2", ['variable "M" or "Q"']),
    ("predict fit.json --at N=some,D=more", ["2 faults", "'some'", "'more'"]),
    ("predict fit.json --at x=1", ['"x"']),
    ("fit no_lr.csv --law annealing --schedule cosine:peak=1,steps=many", ["2 faults", "'peak'", "'many'"]),
    ('fit runs.csv --law chinchilla --where "width > 3 and depth < 2"', ["'depth' or 'width'"]),
    ("plan fit.json --compute much --loss low", ["2 faults", "'much'", "'low'"]),
    ("lr-transfer runs.csv --over a --arms b --ignore c", ["3 faults", '"a"', '"b"', '"c"']),
    ("fit cells.csv --law chinchilla", ["cells.csv", "row 2, column N", "row 3, column D", "row 4, column loss"]),
    ("fit signs.csv --law chinchilla", ["row 2, column loss", "row 3, column N", "(and in 1 other row)"]),
    ("fitt runs.csv", ["fitt", "did you mean fit"]),
    ("laws nothing", ["nothing", "scalefit laws"]),
    ("data nothing", ["nothing", "scalefit data lists all"]),
]


@pytest.fixture
def bad(tmp_path, monkeypatch):
    """A folder with every bad file of the list beside planted runs and a saved fit."""
    there = commands.plant(tmp_path)
    monkeypatch.chdir(there)
    for name, text in BAD.items():
        if text is not None:
            (there / name).write_text(text)
    (there / "folder").mkdir()
    content = json.loads((there / "fit.json").read_text())
    (there / "newer.json").write_text(json.dumps(content | {"schema_version": 99}))
    return there


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize(("command", "words"), REFUSED, ids=[command for command, _ in REFUSED])
def test_bad_input_is_one_clear_line_and_exit_code_2(command, words, bad):
    before = files(bad)
    result = commands.run(f"scalefit {command}")
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("error: ")
    assert not [word for word in words if word not in result.stderr], result.stderr
    assert files(bad) == before


@pytest.mark.parametrize(("command", "words"), REFUSED, ids=[command for command, _ in REFUSED])
def test_with_json_an_error_is_an_object_too(command, words, bad):
    result = commands.run(f"scalefit {command} --json")
    content = json.loads(result.stdout)
    assert result.exit_code == 2
    assert result.stderr == ""
    assert content["schema_version"] == 1
    assert not [word for word in words if word not in content["error"]["text"]]


@pytest.mark.parametrize("name", ["nan.csv", "few.csv", "tie.csv"])
def test_what_existed_survives_a_run_that_fails(name, bad):
    (bad / "old.json").write_bytes((bad / "fit.json").read_bytes())
    (bad / "old.png").write_bytes(b"\x89PNG\r\n of last week")
    before = files(bad)
    result = commands.run(f"scalefit fit {name} --law chinchilla --save old.json --plot old.png")
    assert result.exit_code == 2
    assert files(bad) == before


def test_a_figure_that_cannot_be_written_leaves_no_fit_behind(bad):
    before = files(bad)
    assert commands.run(f"{FIT} --save new.json --plot figure.xyz").exit_code == 2
    assert files(bad) == before


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs a user who may not write everywhere")
def test_a_folder_without_permission_is_refused(bad):
    (bad / "closed").mkdir(mode=0o500)
    result = commands.run(f"{FIT} --save closed/fit.json")
    assert result.exit_code == 2
    assert "Permission denied" in result.stderr


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("watch one.csv --steps 5", ["--steps", "5 steps, but the log is at step 19"]),
        ("watch one.csv --initial-loss 0", ["--initial-loss", "a loss of 0"]),
        ("watch one.csv --initial-loss -2", ["--initial-loss", "a loss of -2"]),
        ("predict --every 0", ["--every", "0 steps"]),
        ("fit no_lr.csv --law annealing", ["a CSV with columns (run, step, lr)"]),
    ],
)
def test_numbers_that_cannot_be_are_one_line(words, parts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("one.csv", "no_lr.csv"):
        (tmp_path / name).write_text(BAD[name])
    done = commands.run(f"scalefit {words}")
    assert done.exit_code == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert all(part in done.stderr for part in parts), done.stderr


def test_an_unknown_option_that_is_a_part_of_another_is_explained():
    """As the help of the other writes it; a word that no help writes so is compared with the names of options."""
    result = commands.run("scalefit predict runs.csv --steps 100 --N 1e9 --drawz 5")
    text = " ".join((result.stderr or result.stdout).split())
    assert "'--steps' (write steps=... in --schedule)" in text
    assert "'--N' (write N=... in --at)" in text
    assert "(write drawz" not in text
