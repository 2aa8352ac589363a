"""The examples run, and each notebook is its script: executed, with small outputs that name no machine."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
import tomllib
import warnings

import commands
import pandas as pd
import pytest

EXAMPLES = commands.ROOT / "examples"
SCRIPTS = sorted(set(EXAMPLES.glob("*.py")) - {EXAMPLES / "make_notebooks.py"})
MOST_BYTES = 400_000
NAMES = ["from_wandb_to_a_figure", "my_own_table", "one_loss_from_another", "plan_and_next_run"]
NAMES += ["predict_a_larger_model", "predict_a_schedule", "schedule_for_a_budget", "two_recipes"]
NAMES += ["which_learning_rate_survives"]
#: all run cell by cell in this process, which is quick; this one, which does little, also as a user runs it
AS_NOTEBOOK = "schedule_for_a_budget"

jupytext = pytest.importorskip("jupytext")
nbformat = pytest.importorskip("nbformat")


def notebook(script):
    return nbformat.read(script.with_suffix(".ipynb"), as_version=4)


def test_every_notebook_has_its_script():
    assert [script.stem for script in SCRIPTS] == NAMES
    assert {path.stem for path in EXAMPLES.glob("*.ipynb")} == {script.stem for script in SCRIPTS}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_the_notebook_is_the_script(script):
    wanted, kept = jupytext.read(script), notebook(script)
    assert [(cell.cell_type, cell.source) for cell in kept.cells] == [
        (cell.cell_type, cell.source) for cell in wanted.cells
    ], "run make notebooks"
    nbformat.validate(kept)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_the_notebook_was_executed_from_top_to_bottom(script):
    code = [cell for cell in notebook(script).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    assert [output for output in outputs if "image/png" in output.get("data", {})]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_its_outputs_are_small_and_name_no_machine(script):
    text = script.with_suffix(".ipynb").read_text(encoding="utf-8")
    assert len(text) < MOST_BYTES
    assert not re.search(r"(?<![\w.:/])/(?:home|root|tmp|work|Users|opt)/", re.sub(r'"image/png": "[^"]*"', "", text))


@pytest.mark.slow
def test_one_runs_as_a_notebook_and_gives_what_its_notebook_shows(tmp_path, monkeypatch):
    pytest.importorskip("nbclient")
    monkeypatch.setenv("PYTHONPATH", str(commands.ROOT))
    monkeypatch.delenv("MPLBACKEND", raising=False)  # the kernel draws inside the notebook
    module = commands.script(EXAMPLES / "make_notebooks.py")
    script = EXAMPLES / f"{AS_NOTEBOOK}.py"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the notebook client, not ours
        fresh = module.executed(script, tmp_path)
    assert (tmp_path / f"{AS_NOTEBOOK}.png").is_file()
    for ours, theirs in zip(shapes(fresh), shapes(notebook(script)), strict=True):
        assert ours == theirs


def run_cells(code, capsys):
    """Run cells as a kernel does: what each prints, and the last expression where it has a value."""
    names = {"__name__": "__main__"}
    for cell in code:
        tree = ast.parse(cell.source)
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, "cell", "exec"), names)
        value = None if last is None else eval(compile(ast.Expression(last.value), "cell", "eval"), names)
        printed = capsys.readouterr()
        assert printed.err == ""
        yield [*([printed.out] if printed.out else []), *([] if value is None else [repr(value)])]


@pytest.mark.parametrize("name", NAMES)
def test_every_example_runs_leaves_its_figure_and_gives_what_its_notebook_shows(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code = [cell for cell in notebook(EXAMPLES / f"{name}.py").cells if cell.cell_type == "code"]
    with pd.option_context("display.max_columns", 20, "display.width", 80):  # of a kernel, whatever the terminal
        for cell, found in zip(code, run_cells(code, capsys), strict=True):
            assert [words(text) for text in found] == [words(text) for text in texts(cell)], cell.source
    assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_each_says_at_its_end_which_line_to_change(script):
    last = notebook(script).cells[-1]
    assert last.cell_type == "markdown"
    assert "**Change one line, rerun:**" in last.source
    code = "\n".join(cell.source for cell in notebook(script).cells if cell.cell_type == "code")
    named = re.search(r"\*\*Change one line, rerun:\*\* [^`]*`([^`]+)`", last.source)[1]
    assert named in code, "the line is there"


def texts(cell):
    """The text outputs of a cell; what it prints is one text, in however many pieces it arrived; figures are none."""
    outputs = [output for output in cell.get("outputs", []) if "image/png" not in output.get("data", {})]
    printed = [output.text for output in outputs if output.output_type == "stream"]
    others = [output.data.get("text/plain", "") for output in outputs if output.output_type != "stream"]
    return [*(["".join(printed)] if printed else []), *others]


def words(text):
    """The words of a text: numbers may differ in their last digits, words may not."""
    return re.sub(r"[-\d.e+]+", "#", text).split()


def shapes(node):
    """The words of every text output."""
    return [words(text) for cell in node.cells for text in texts(cell)]


def test_what_a_notebook_prints_is_one_text_in_however_many_pieces_it_arrives():
    def printing(*pieces):
        outputs = [nbformat.v4.new_output("stream", name="stdout", text=piece) for piece in pieces]
        return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("", outputs=outputs)])

    assert shapes(printing("loss 1.5\n", "lo", "ss 2\n")) == shapes(printing("loss 2.5\nloss 7\n"))
    assert shapes(printing("loss 1.5\n")) != shapes(printing("lost 1.5\n"))


# --- the experiments --------------------------------------------------------------------------------------------------


EXPERIMENTS = EXAMPLES / "experiments"


@pytest.fixture
def experiments(monkeypatch):
    pytest.importorskip("torch")
    spec = importlib.util.spec_from_file_location("run_experiments", EXPERIMENTS / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_experiment_is_listed_and_can_be_planned(experiments, tmp_path, monkeypatch, capsys):
    from scalefit.proxy import plan_sweep

    monkeypatch.setattr(sys, "argv", ["run.py"])
    with pytest.raises(SystemExit):
        experiments.main()
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    readme = (EXPERIMENTS / "README.md").read_text(encoding="utf-8")
    assert len(listed) == 11
    for name in listed:
        grid = tomllib.loads((EXPERIMENTS / f"{name}.toml").read_text(encoding="utf-8"))
        assert set(grid.pop("show")) <= {"rows", "columns", "values", "command"}
        assert 4 <= len(plan_sweep(grid, tmp_path / name)) <= 40
        assert f"| `{name}` |" in readme


def test_an_experiment_trains_and_shows_its_tables(experiments, tmp_path, monkeypatch, capsys):
    text = (EXPERIMENTS / "norm_placement.toml").read_text(encoding="utf-8")
    quick = text.replace("steps = 150", "steps = 20").replace("[2, 8]", "[1, 2]").replace("= 25", "= 5")
    (tmp_path / "norm_placement.toml").write_text(quick.replace("warmup = 20", "warmup = 2"), encoding="utf-8")
    monkeypatch.setattr(experiments, "HERE", tmp_path)
    monkeypatch.setattr(sys, "argv", ["run.py", "norm_placement", str(tmp_path / "runs")])
    experiments.main()
    shown = capsys.readouterr().out
    assert "rms_act" in shown
    assert "val_loss" in shown
    assert "peri" in shown
    assert "nan" not in shown
