"""A name in a formula that is a column of the file is that column, by its own name or by the one it is read under."""

import numpy as np
import pandas as pd
import pytest

import scalefit as sf

X = np.geomspace(64, 4096, 9)


@pytest.mark.parametrize("name", ["my_size", "batch_ramp"])
def test_a_column_of_the_file_is_a_variable(name):
    table = pd.DataFrame({name: X, "score": 8.5 * X**0.4})
    fit = sf.fit(table, f"A*{name}**b", target="score")
    assert fit["b"] == pytest.approx(0.4)
    assert fit["A"] == pytest.approx(8.5)
    assert list(fit.law.variables) == [name]


@pytest.mark.parametrize("name", ["width", "hidden_size", "d_model", "ffn_dim"])
def test_a_column_that_was_renamed_is_found_under_both_names(name):
    table = pd.DataFrame({name: X, "loss": 2 + 30 * X**-0.5})
    fit = sf.fit(table, f"E + A*{name}**-alpha")
    read = "d_ff" if name == "ffn_dim" else "d_model"
    assert list(fit.law.variables) == [read]
    assert list(fit.parameters) == ["E", "A", "alpha"]
    assert fit["alpha"] == pytest.approx(0.5, rel=1e-4)
    under_both = sf.fit(table, f"loss = E + A*{read}**-alpha")
    assert under_both["E"] == pytest.approx(fit["E"], rel=1e-9)


def test_a_word_for_a_column_is_never_a_free_parameter():
    table = pd.DataFrame({"d_model": X, "hidden": X, "loss": 2 + 30 * X**-0.5})
    fit = sf.fit(table, "E + A*hidden_size**-alpha")  # another word of the glossary for d_model
    assert list(fit.law.variables) == ["d_model"]
    assert fit["alpha"] == pytest.approx(0.5, rel=1e-4)
    with pytest.raises(sf.InputError, match=r"width is a column of run logs \(d_model\), .* columns, hidden, or give"):
        sf.fit(table.drop(columns="d_model"), "E + A*width**-alpha")


def test_a_name_with_spaces_and_a_fit_that_is_saved(tmp_path):
    table = pd.DataFrame({"my own size": X, "loss": 2 + 30 * X**-0.5})
    fit = sf.fit(table, "E + A*`my own size`**-0.5")
    again = sf.load_fit(fit.save(tmp_path / "fit.json"))
    assert again["A"] == pytest.approx(30, rel=1e-6)


def test_a_formula_without_a_column_names_the_columns():
    with pytest.raises(sf.InputError, match="has no variable; use the name of a column: my_size"):
        sf.fit(pd.DataFrame({"my_size": X, "loss": X}), "a + b")
    with pytest.raises(sf.InputError, match="no parameter to fit"):
        sf.fit(pd.DataFrame({"N": X, "loss": X}), "2 + 3")


@pytest.mark.parametrize("text", ["L < E + A*N**-b", "not (E + A*N)", "(N > A) & (N < B)", "A*N > 2 or B < 3"])
def test_a_condition_is_no_formula(text):
    with pytest.raises(sf.InputError, match="is true or false and no number"):
        sf.fit(pd.DataFrame({"N": X, "loss": X}), text)
