"""Every kind of bad input gives one line that says what is wrong, where, and what to do; never a fit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.errors import IdentificationError, InputError, ScalefitError

N = np.repeat(np.geomspace(1e7, 1e9, 4), 3)
D = np.tile(np.geomspace(1e9, 1e11, 3), 4)
LOSS = 1.7 + 400 * N**-0.34 + 410 * D**-0.28


def table(**changes):
    frame = pd.DataFrame({"N": N, "D": D, "loss": LOSS})
    for name, (row, value) in changes.items():
        frame[name] = frame[name].astype(object if isinstance(value, str) else float)
        frame.loc[row, name] = value
    return frame


def said(call, *, kind=InputError):
    """The message of the error that ``call`` must raise: one line, not a page."""
    with pytest.raises(kind) as caught:
        call()
    error = caught.value
    assert isinstance(error, ScalefitError)
    text = str(error)
    assert "\n" not in text
    assert 10 < len(text) < 600
    assert error.what
    assert error.todo, f"no word of what to do: {text}"
    return text


def in_file(tmp_path, text, name="runs.csv"):
    path = tmp_path / name
    path.write_text(text)
    return path


def fit_file(path, law="chinchilla", **options):
    return sf.fit(sf.read_runs(path, **options), law)


# --- files ------------------------------------------------------------------------------------------------------------


def test_missing_file(tmp_path):
    path = tmp_path / "gone.csv"
    assert str(path) in said(lambda: fit_file(path))


def test_empty_file(tmp_path):
    path = in_file(tmp_path, "")
    assert str(path) in said(lambda: fit_file(path))
    path = in_file(tmp_path, "N,D,loss\n")
    assert str(path) in said(lambda: fit_file(path))


def test_not_a_table(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_bytes(bytes(range(256)) * 40)
    assert str(path) in said(lambda: fit_file(path))
    path = in_file(tmp_path, "<html><body>Sign in</body></html>\n" * 3, "page.csv")
    assert str(path) in said(lambda: fit_file(path))


def test_a_folder_without_logs(tmp_path):
    assert str(tmp_path) in said(lambda: fit_file(tmp_path))


def test_missing_column(tmp_path):
    path = in_file(tmp_path, table().drop(columns="D").to_csv(index=False))
    text = said(lambda: fit_file(path))
    assert '"D"' in text or "'D'" in text
    assert 'rename={"COLUMN": "D"}' in text
    text = said(lambda: fit_file(in_file(tmp_path, table().drop(columns="loss").to_csv(index=False))))
    assert "loss" in text


def test_ambiguous_column(tmp_path):
    two = table().rename(columns={"N": "params"}).assign(n_params=N * 1.1)
    path = in_file(tmp_path, two.to_csv(index=False))
    text = said(lambda: fit_file(path))
    assert "params" in text
    assert "n_params" in text
    assert fit_file(path, rename={"params": "N"}).status == "converged"


# --- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_loss_that_is_not_finite_names_file_and_row(tmp_path, value):
    path = in_file(tmp_path, table(loss=(4, value)).to_csv(index=False, na_rep="nan"))
    text = said(lambda: fit_file(path))
    assert f"{path}, row 6" in text  # the header is row 1
    assert "loss" in text
    assert "--drop-diverged" in text


def test_diverged_rows_may_be_left_out_and_are_counted():
    found = sf.fit(table(loss=(4, np.nan)), "chinchilla", drop_diverged=True)
    assert found.rows == 11
    assert any("1 row without a finite loss" in note for note in found.notes)


@pytest.mark.parametrize("value", [0.0, -3.0])
def test_loss_without_a_logarithm(value):
    text = said(lambda: sf.fit(table(loss=(2, value)), "chinchilla"))
    assert "row 2, column loss" in text
    assert "linear" in text


@pytest.mark.parametrize("value", [0.0, -1e8, np.nan, np.inf])
def test_sizes_must_be_positive(tmp_path, value):
    path = in_file(tmp_path, table(N=(7, value)).to_csv(index=False))
    assert f"{path}, row 9, column N" in said(lambda: fit_file(path))


def test_words_where_numbers_should_be(tmp_path):
    path = in_file(tmp_path, table(loss=(3, "diverged")).to_csv(index=False))
    text = said(lambda: fit_file(path))
    assert "row 5" in text
    assert "diverged" in text


def test_several_bad_rows_are_counted():
    bad = table(loss=(4, np.nan))
    bad.loc[[7, 9], "loss"] = np.nan
    assert "in 2 other rows" in said(lambda: sf.fit(bad, "chinchilla"))


# --- what the data cannot identify ------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 3, 5])
def test_fewer_points_than_parameters(rows):
    text = said(lambda: sf.fit(table().iloc[:rows], "chinchilla"))
    assert f"{rows} row{'s' * (rows > 1)} for 5 free parameters" in text
    assert "--fix" in text


def test_one_value_of_a_variable():
    text = said(lambda: sf.fit(table().assign(N=1e8), "chinchilla"), kind=IdentificationError)
    assert "N = 1e+08" in text
    assert "add runs at another N" in text


def test_variables_that_move_together():
    rows = table().assign(D=20 * N)
    text = said(lambda: sf.fit(rows, "chinchilla"), kind=IdentificationError)
    assert "N and D move together" in text
    assert "ratio" in text
    assert sf.fit(rows, "chinchilla", force=True).status == "not identified"


def curve(run, lr):
    step = np.arange(1, len(lr) + 1)
    return pd.DataFrame({"run": run, "step": step, "lr": lr, "loss": 2 + step**-0.5})


def test_one_single_schedule():
    falling = np.linspace(1e-3, 1e-4, 60)
    logs = pd.concat([curve("a", falling), curve("b", falling)])
    text = said(lambda: sf.fit(sf.read_runs(logs, warmup=0), "annealing"), kind=IdentificationError)
    assert "one single schedule" in text
    assert "add a run" in text
    steady = np.full(60, 1e-3)
    longer = pd.concat([curve("a", steady[:30]), curve("b", steady)])
    said(lambda: sf.fit(sf.read_runs(longer, warmup=0), "annealing"), kind=IdentificationError)


def test_learning_rate_unknown():
    logs = pd.concat([curve("a", np.full(60, 1e-3)), curve("b", np.linspace(1e-3, 1e-4, 60))])
    text = said(lambda: sf.fit(sf.read_runs(logs.drop(columns="lr")), "annealing"))
    assert "--schedule" in text
    late = logs[logs["step"] > 20]
    text = said(lambda: sf.fit(sf.read_runs(late), "annealing"))
    assert "before step 21" in text
    assert "--warmup" in text


def test_a_curve_law_on_final_losses():
    assert "loss curves" in said(lambda: sf.fit(table(), "annealing"))


# --- laws and formulas ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "near"),
    [("chinchila", "chinchilla"), ("anealing", "annealing"), ("Power", "power"), ("powerfloor", "power-floor")],
)
def test_unknown_law_names_the_nearest(name, near):
    text = said(lambda: sf.fit(table(), name))
    assert name in text
    assert near in text


def test_unknown_law_that_is_like_nothing():
    assert "scalefit laws" in said(lambda: sf.fit(table(), "zzzz"))


@pytest.mark.parametrize("law", [None, 3, "", object()])
def test_things_that_are_no_law(law):
    said(lambda: sf.fit(table(), law))


@pytest.mark.parametrize(
    "option", ["annealing:dekay=0.99", "annealing:decay=fast", "annealing:warmup=sometimes", "annealing:decay"]
)
def test_unknown_options_of_a_law(option):
    assert "annealing" in said(lambda: sf.find_law(option))


@pytest.mark.parametrize(
    "formula",
    [
        "E + A*N**",
        "E + (A*N",
        "E + A*N**-alpha)",
        "E +* A",
        "E + A N",
        "E + A*N^-alpha",
        "1 + N",
        "E + A",
        "A*N**-alpha = loss",
    ],
)
def test_malformed_formula(formula):
    said(lambda: sf.fit(table(), formula))


@pytest.mark.parametrize(
    "formula",
    [
        "__import__('os').system('true') + A*N",
        "A*N + open('/etc/passwd')",
        "A*exec('import os')*N",
        "A*N.__class__",
        "A*[c for c in N]",
        "A*(lambda: N)()",
        "import os; A*N",
    ],
)
def test_formula_that_calls_or_imports(formula):
    text = said(lambda: sf.fit(table(), formula))
    assert "column" in text or "expression" in text


def test_ties_and_selections_are_no_way_in_either():
    said(lambda: sf.fit(table(), "chinchilla", tie={"beta": "__import__('os').getpid()"}))
    said(lambda: sf.read_runs(table()).where("__import__('os').getpid() > 0"))


def test_law_files(tmp_path):
    said(lambda: sf.find_law(str(tmp_path / "gone.py")))
    for name, text in [("none", "x = 1"), ("broken", "def f(:"), ("raises", "import no_such_module_at_all")]:
        file = in_file(tmp_path, text, f"{name}.py")
        assert str(file) in said(lambda file=file: sf.find_law(str(file)))
    two = "from scalefit import Law\nclass A(Law):\n    name = 'a'\nclass B(Law):\n    name = 'b'\n"
    file = in_file(tmp_path, two, "two.py")
    assert f"{file}:A" in said(lambda: sf.find_law(str(file)))
    said(lambda: sf.find_law(f"{file}:C"))


def test_law_files_may_also_fail_in_other_ways(tmp_path):
    for name, text in [("zero", "1 / 0"), ("key", "{}['x']"), ("value", "int('x')"), ("leaves", "raise SystemExit(3)")]:
        file = in_file(tmp_path, text, f"{name}.py")
        assert str(file) in said(lambda file=file: sf.find_law(str(file)))


def test_which_column_is_x():
    text = said(lambda: sf.fit(table(), "power"))
    assert "N and D" in text
    assert "over=" in text


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"fix": {"gamma": 1.0}},
        {"fix": {"E": float("nan")}},
        {"fix": {"E": "much"}},
        {"fix": {"E": 1.0, "A": 1.0, "B": 1.0, "alpha": 0.3, "beta": 0.3}},
        {"tie": {"beta": "gamma"}},
        {"tie": {"beta": "beta + 1"}},
        {"tie": {"beta": "alpha", "alpha": "beta"}},
        {"tie": {"beta": "alpha +"}},
        {"tie": {"beta": "alpha"}, "fix": {"beta": 0.3}},
        {"bounds": {"gamma": (0, 1)}},
        {"bounds": {"alpha": (2, 1)}},
        {"bounds": {"alpha": (float("nan"), 1)}},
        {"bounds": {"alpha": 0.3}},
        {"start": {"gamma": 1.0}},
        {"start": {"alpha": float("nan")}},
        {"start": {"alpha": "steep"}},
        {"start": pd.DataFrame({"alpha": []})},
        {"starts": 0},
        {"loss": "cauchy"},
        {"residuals": "sqrt"},
        {"delta": 0.0},
        {"delta": -1.0},
        {"delta": float("nan")},
        {"delta": "small"},
        {"weights": "w"},
        {"target": "accuracy"},
        {"points": "some"},
        {"points": "all"},
    ],
    ids=str,
)
def test_settings_that_make_no_sense(options):
    said(lambda: sf.fit(table(), "chinchilla", **options))


@pytest.mark.parametrize("weight", [-1.0, np.nan, np.inf, "heavy"])
def test_weights_that_make_no_sense(weight):
    text = said(
        lambda: sf.fit(table().assign(w=[weight if row == 3 else 1.0 for row in range(12)]), "chinchilla", weights="w")
    )
    assert "row 3, column w" in text


def test_weights_that_are_all_zero():
    said(lambda: sf.fit(table().assign(w=0.0), "chinchilla", weights="w"))


def test_too_few_rows_have_a_weight():
    rows = table().assign(w=np.where(np.arange(12) < 4, 1.0, 0.0))
    assert "4 rows" in said(lambda: sf.fit(rows, "chinchilla", weights="w"))


def test_an_empty_selection():
    said(lambda: sf.fit(sf.read_runs(table()).where("N > 1e30"), "chinchilla"))


@pytest.mark.parametrize("draws", [-5, 1, 19])
def test_too_few_draws_for_an_interval(draws):
    assert f"{draws} draws are too few for a 90 % interval" in said(lambda: sf.fit(table(), "chinchilla", draws=draws))
