"""Commands: what they refuse, how they write values, and lines of answers that are written by hand."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import click
import commands
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from scalefit.cli import batch, lr_transfer, main, options, output, predict, sweep, train, watch
from scalefit.cli.headline import bracketed
from scalefit.errors import InputError
from scalefit.notices import NOTE, Notice
from scalefit.planning.critical_batch import Tradeoff
from scalefit.runs import read_runs
from scalefit.transfer.verdict import Interval

NAN = float("nan")


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (("a=1",), {"a": "1"}),
        (("a=1,b=2", "c = 3"), {"a": "1", "b": "2", "c": "3"}),
        (("a=1,2",), {"a": "1,2"}),
        ((), {}),
    ],
)
def test_pairs(texts, found):
    assert options.pairs(texts, "--at") == found


@pytest.mark.parametrize("text", ["a", "=1", "a=", " =1", "a= ", "a=1,b=2,=3"])
def test_pairs_that_are_none(text):
    with pytest.raises(InputError, match="is not NAME=VALUE; write --at NAME=VALUE"):
        options.pairs((text,), "--at")
    with pytest.raises(InputError, match="a is given twice"):
        options.pairs(("a=1", "a=2"), "--at")


def test_boxes():
    assert options.box("1:2k", "--bounds") == (1.0, 2000.0)
    assert options.box(":2", "--bounds") == (None, 2.0)
    assert options.box("0.5:", "--bounds") == (0.5, None)
    with pytest.raises(InputError, match='"12" is not LOW:HIGH; write --bounds NAME=LOW:HIGH'):
        options.box("12", "--bounds")
    with pytest.raises(InputError, match="--bounds"):
        options.box("a:2", "--bounds")


def test_values_as_json():
    found = output._plain({1: np.array([1.0, NAN]), "b": (np.inf, "x"), "c": np.float64(2.5), "d": None})
    assert found == {"1": [1.0, None], "b": [None, "x"], "c": 2.5, "d": None}
    named = pd.DataFrame({"a": [1.0, NAN]}, index=pd.Index(["x", "y"], name="run"))
    assert output.records(named) == [{"run": "x", "a": 1.0}, {"run": "y", "a": None}]
    assert output.records(named.rename_axis(None)) == [{"a": 1.0}, {"a": None}]


def test_notes_that_are_alike_are_one_line():
    notes = ["run a: 3 rows", "b.csv: 1 row of 'x'", "run b: 4 rows", "c.csv: 1 row of 'y'", "run c: 1 row"]
    assert output.grouped(notes) == [
        "run a: 3 rows (and 2 more like this)",
        "b.csv: 1 row of 'x' (and 1 more like this)",
    ]
    assert output.grouped([]) == []


def answer(*words, ok=True, doubt=(), more=(), content=()):
    """How a command with this answer ends."""
    notes = [*(Notice(text, NOTE) for text in ("run a: 1 row", "run b: 2 rows")), *map(Notice, doubt)]
    made = output.Answer(["text", *more], {"a": 1.5, **dict(content)}, pd.DataFrame({"b": [1]}), ok, notes)

    def command(**given):
        return made

    command.__module__, command.__doc__ = __name__, "What it does."
    return CliRunner().invoke(click.command()(output.answering(command)), list(words))


@pytest.mark.parametrize(("words", "ok", "code"), [([], True, 0), ([], False, 1), (["--exit-zero"], False, 0)])
def test_exit_codes(words, ok, code):
    done = answer(*words, ok=ok)
    assert done.exit_code == code
    assert done.output.splitlines() == ["text", "read: run a: 1 row (and 1 more like this)"]


def test_a_line_with_an_exclamation_mark_is_a_doubt_and_gives_exit_code_1_and_a_note_neither(tmp_path):
    note, doubt = Notice("3 of 9 runs left out", NOTE), Notice("the sizes span one decade")
    calm, doubted = answer(more=[note]), answer(more=[note, doubt])
    assert (calm.exit_code, doubted.exit_code) == (0, 1)
    assert doubted.output.splitlines()[:3] == ["text", note.text, f"! {doubt.text}"]
    assert "doubts" not in json.loads(answer("--json", more=[note]).stdout)
    assert json.loads(answer("--json", more=[note, doubt]).stdout)["doubts"] == [doubt.text]
    assert "doubts" not in json.loads(answer("--json", more=[doubt], content={"warnings": []}).stdout)
    for lines, tone in (([note], "open"), ([note, doubt], "doubt")):
        page = tmp_path / f"{tone}.html"
        answer("--report", str(page), more=lines)
        assert f'class="verdict {tone}"' in page.read_text()


def test_a_doubt_about_what_was_read_stands_first_in_every_form_and_is_no_success(tmp_path):
    doubt, page = "D is 9 times N", tmp_path / "page.html"
    shown = answer("--report", str(page), doubt=[doubt])
    assert (shown.exit_code, shown.output.splitlines()[3]) == (1, f"! read: {doubt}")
    assert answer("--exit-zero", doubt=[doubt]).exit_code == 0
    assert json.loads(answer("--json", doubt=[doubt]).stdout)["doubts"] == [doubt]
    assert f"! read: {doubt}" in answer("--csv", doubt=[doubt]).stderr
    assert f"<li>read: {doubt}</li>" in page.read_text() and 'class="verdict doubt"' in page.read_text()


def test_the_state_of_several_runs_is_told_together_the_gravest_first():
    states = {"a": "calm", "b": "diverged", "c": "spikes", "d": "calm"}
    found = {name: SimpleNamespace(status=status) for name, status in states.items()}
    assert watch._together(found) == ["4 runs: 1 diverged (b), 1 spikes (c), 2 calm (a, d)"]
    assert watch._together({"a": found["a"]}) == []


def test_answers_as_json_and_csv():
    told = json.loads(answer("--json").stdout)
    assert told == {"schema_version": 1, "a": 1.5, "notes": ["run a: 1 row", "run b: 2 rows"]}
    assert answer("--csv").stdout == "b\n1\n"


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a small sweep, a curve and a table of final losses."""
    step = np.arange(0, 60)
    curve = pd.DataFrame({"run": "a", "step": step, "loss": 3 + 5 / (1 + step), "lr": 0.1})
    curve.to_csv(tmp_path / "curve.csv", index=False)
    pd.DataFrame({"N": [1e6, 2e6, 4e6], "D": [1e9] * 3, "loss": [3.0, 2.9, 2.85]}).to_csv(
        tmp_path / "final.csv", index=False
    )
    (tmp_path / "bad.toml").write_text("a = = 1")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("watch final.csv", "the log holds no steps"),
        ("watch curve.csv --run b", 'there is no run "b"; runs: a'),
        ("watch curve.csv --steps 58", "58 steps, but the log is at step 59"),
        ("watch curve.csv --initial-loss 0", "a loss of 0"),
        ("watch curve.csv --initial-loss inf", "a loss of inf"),
        ("lr-transfer curve.csv --at a=1,b=2", "a target is one size; write --at d_model=512"),
        ("lr-transfer curve.csv --at N=0", "the target N is 0; give a size above 0"),
        ("lr-transfer curve.csv --at N=inf", "the target N is inf"),
        ("schedule curve.csv --out x.csv", "no column"),
        ("predict", "no saved fit"),
        ("predict --every 0", "0 steps"),
        ("predict --from-partial curve.csv --at N=1", "--at beside --from-partial"),
        ("predict --from-partial curve.csv --every 3", "--every beside --from-partial"),
        ("sweep plan", "no grid is given; write scalefit sweep plan GRID.toml"),
        ("sweep status grid.toml", "status takes no grid"),
        ("train", "nothing to train; give a TOML file, --quick, or --set KEY=VALUE"),
        ("train bad.toml", "not TOML"),
        ("train none.toml", "cannot be read"),
        ("coordcheck --sizes 32,x", '"32,x" is not a list of sizes; write 32,64,128'),
        ("batch curve.csv --loss inf", "a loss of inf is not finite"),
        ("batch curve.csv --at N=3", "a target is one batch size"),
        ("batch curve.csv --at batch=0", "the target batch is 0"),
        ("fit final.csv --law chinchilla --fix E", "is not NAME=VALUE"),
        ("fit final.csv --law chinchilla --bounds alpha=3", "is not LOW:HIGH"),
        ("inspect final.csv --where N>1e9", "no row is left"),
        ("frobnicate", "frobnicate"),
    ],
)
def test_what_commands_refuse(folder, words, said):
    done = CliRunner().invoke(main, words.split(), prog_name="scalefit")
    assert done.exit_code == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not list(folder.glob("x.csv"))


def test_a_log_that_is_just_long_enough_and_the_status_of_a_run(folder):
    done = commands.run("scalefit watch curve.csv --steps 59 --initial-loss 9 --json")
    assert done.exit_code == 0
    told = json.loads(done.stdout)
    assert told["runs"]["a"]["status"] == "calm"
    assert set(told["not_in_the_log"]) >= {"grad_norm", "attention_logit_max", "residual against a fitted law"}
    pd.read_csv("curve.csv").assign(loss=lambda rows: rows["loss"].where(rows["step"] < 40)).to_csv(
        "lost.csv", index=False
    )
    assert commands.run("scalefit watch lost.csv").exit_code == 1
    assert commands.run("scalefit watch lost.csv --exit-zero").exit_code == 0


def test_signals_that_are_not_watched():
    assert watch._unseen(["grad_norm", "residual against a fitted law"]) == [
        "not in the log: grad_norm (under another name: --map grad_norm=COLUMN)",
        "not watched: residual against a fitted law (give --fit FIT.json)",
    ]
    assert watch._unseen([]) == []


# --- lines of answers -------------------------------------------------------------------------------------------------


def rates(drift=0.5, refused=""):
    best = SimpleNamespace(lr=0.01, low=0.008, high=0.02, refused=refused)
    arm = SimpleNamespace(
        optima={64.0: best}, drift=Interval(drift, 0.4, 0.6), at=lambda size: Interval(0.04, 0.03, 0.05)
    )
    return SimpleNamespace(arms=[arm], table=pd.DataFrame({"batch": [64]}))


def test_learning_rates_of_batch_sizes():
    lines = batch._learning_rate(rates(), "")
    assert lines[:3] == ["", "best learning rate by final loss:", "  batch 64: 0.01 [0.008, 0.02]"]
    assert lines[3].startswith("  lr ∝ batch^0.50 [0.40, 0.60] (theory: ")
    assert batch._learning_rate(rates(refused="too few"), "")[2] == "  no learning rate at batch 64: too few"
    assert len(batch._learning_rate(rates(drift=NAN), "")) == 3
    assert batch._learning_rate(None, "no lr") == ["", "no learning rate: no lr"]


def test_a_target_batch_size():
    found = SimpleNamespace(
        tradeoff=Tradeoff(100.0, 400.0),
        counts="tokens",
        loss=3.0,
        reached=pd.DataFrame(),
        noise=pd.DataFrame(),
        unit="",
        critical=Interval(400.0, 300.0, 500.0),
        fastest=Interval(0.5, 0.4, 0.6),
        notes=(),
    )
    assert batch._at(found, rates(), 800.0) == [
        "",
        "at batch 800: 150 steps, 1.50 times the least",
        "at batch 800: 1.2e+05 tokens, 3.00 times the least",
        "at batch 800: learning rate 0.04 [0.03, 0.05]",
    ]
    assert len(batch._at(found, rates(drift=NAN), 800.0)) == 3
    assert batch._at(found, rates(), None) == []
    content = batch._content(found, rates(), 800.0)
    assert content["target"] == {
        "batch": 800.0,
        "steps": 150.0,
        "tokens": 120000.0,
        "lr": Interval(0.04, 0.03, 0.05)._asdict(),
    }
    assert (content["S_min"], content["E_min"]) == (100.0, 40000.0)
    assert content["lr_exponent"]["value"] == 0.5
    assert content["critical_batch"]["value"] == 400.0
    bare = batch._content(SimpleNamespace(**{**vars(found), "tradeoff": None}), None, None)
    assert (bare["S_min"], bare["critical_batch"], bare["lr_exponent"], bare["lr"]) == (None, None, None, [])
    assert "target" not in bare


def test_rates_of_a_log_without_any():
    rows = pd.DataFrame({"run": ["a", "b"], "batch": [64, 128], "loss": [3.0, 2.9]})
    found, why = batch._rates(read_runs(rows, need=()))
    assert found is None
    assert "no learning rate" in why


def test_targets_of_sizes():
    assert lr_transfer._target(("d_model=2k",)) == ("d_model", 2000.0)
    assert lr_transfer._target(()) == (None, None)
    assert batch._target(("batch=64k",)) == 64000.0
    assert batch._target(()) is None


def test_what_a_long_prediction_shows():
    curve = pd.DataFrame({"step": np.arange(1, 101)})
    shown = predict._shown(curve)
    assert shown["step"].iloc[-1] == 100
    assert (np.diff(shown["step"]) == np.diff(shown["step"])[0]).all()
    assert len(shown) <= predict.MOST_SHOWN
    runs = pd.DataFrame({"run": ["a", "a", "b"], "step": [1, 2, 1]})
    assert predict._shown(runs)["step"].tolist() == [2, 1]


def test_a_table_of_jobs_with_their_counts():
    rows = [{"run": f"r{i}", "status": "done" if i < 45 else "planned"} for i in range(50)]
    made = sweep._table(rows)
    assert [text.count("\n") for text in made.lines] == [40, 0] and made.lines[-1].startswith(
        "45 done, 5 planned, of which 40 "
    )
    assert len(made.table) == 50


def test_progress_is_told_on_a_terminal_only(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    assert train.progress() is None
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    train.progress()("half")
    assert capsys.readouterr().err == "\r" + "half".ljust(78)
    assert train.plain("mup") == "mup"
    assert train.plain("[1, 2]") == [1, 2]


def test_a_law_is_told_with_the_domain_of_each_parameter():
    told = json.loads(commands.run("scalefit laws lr-batch-surface --json").stdout)["parameters"]
    assert {name: (each["low"], each["high"], each["linear"]) for name, each in told.items() if name in "Apq"} == {
        "A": (0.0, None, True),
        "p": (-3.0, 3.0, False),
        "q": (-3.0, 3.0, False),
    }


def test_stopping_a_command_has_its_own_exit_code(monkeypatch):
    def stop(*args, **given):
        raise click.Abort

    monkeypatch.setattr(click.Group, "main", stop)
    with pytest.raises(SystemExit) as ended:
        main(["laws"])
    assert ended.value.code == 130


def test_brackets_are_explained_where_one_row_has_them():
    for low, said in (([1.0, 2.0], 1), ([NAN, 2.0], 1), ([NAN, NAN], 0)):
        assert len(bracketed(pd.DataFrame({"low": low}))) == said


def test_the_slopes_of_a_check_are_told_in_their_order(monkeypatch):
    """The middle, the lower and the upper end of each module's slope."""
    pytest.importorskip("torch")
    ends = {"mlp": np.array([0.1, -0.2, 0.4])}
    told = SimpleNamespace(last=ends, verdict={"mlp": "flat"}, lines=["pass"], ok=True, table=pd.DataFrame({"a": [1]}))
    monkeypatch.setattr("scalefit.proxy.coordinate_check", lambda *_, **__: told)
    line = "coordcheck --parametrization mup --axis width --sizes 32,64 --seeds 1 --steps 1 --json"
    found = json.loads(CliRunner().invoke(main, line.split()).stdout)
    assert found["modules"]["mlp"] == {"slope": 0.1, "low": -0.2, "high": 0.4, "verdict": "flat"}
