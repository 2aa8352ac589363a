"""Runs without a column run are named by a column of words that has one word for each of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.runs.reading.counters import settings_of_epochs

STEPS = np.arange(0, 200, 10)


def curves(column, words, **settings):
    """One curve a word, one after another; each has its own loss."""
    parts = [
        pd.DataFrame({column: word, "step": STEPS, "loss": 3 + at / 8 - STEPS / 512})
        .assign(**{name: values[at] for name, values in settings.items()})
        for at, word in enumerate(words)
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("column", ["model", "Model", "method", "my own word"])
@pytest.mark.parametrize("settings", [{}, {"N": [1e6, 4e6, 1.6e7]}, {"N": [1e6, 1e6, 4e6], "seed": [0, 1, 0]}])
def test_curves_by_a_word(column, settings):
    runs = sf.read_runs(curves(column, ["small", "base", "large"], **settings))
    assert runs.names == ["small", "base", "large"]
    assert runs.curves["loss"].tolist() == [3 + at / 8 - step / 512 for at in range(3) for step in STEPS]
    assert any(column in note.text for note in runs.notes if note.kind == "named")


def test_one_curve_without_a_name_is_one_run_and_one_note():
    runs = sf.read_runs(pd.DataFrame({"step": STEPS, "loss": 3 - STEPS / 512}))
    assert [note.count for note in runs.notes if "all rows are one run" in note.text] == [1]


def test_a_word_that_several_curves_have_is_no_name():
    runs = sf.read_runs(curves("model", ["small", "small", "base", "base"], seed=[0, 1, 0, 1]))
    assert len(runs) == 4 and len(set(runs.names)) == 4 and "small" not in runs.names


def test_a_word_of_the_split_or_the_status_is_no_name():
    for column in ("split", "status"):
        runs = sf.read_runs(curves(column, ["fit", "held"], N=[1e6, 4e6]))
        assert runs.names == ["1e+06", "4e+06"]


@pytest.mark.parametrize("words", [["small", "base", "large"], ["gpt-2", "gpt-2 xl", "opt"]])
def test_results_by_a_word_that_each_row_has_for_itself(words):
    table = pd.DataFrame(
        {"note": ["a", "a", "b"], "model": words, "params": [1e6, 4e6, 1.6e7], "loss": [3.0, 2.5, 2.25]}
    )
    runs = sf.read_runs(table)
    assert runs.names == words and runs.table["loss"].tolist() == [3.0, 2.5, 2.25]
    told = table[["params", "loss"]].assign(note=[f"{word}: {'a' * 61}" for word in words])
    assert sf.read_runs(told).names == ["row 0", "row 1", "row 2"]  # no sentence is a name
    twice = sf.read_runs(table.assign(model=[words[0], words[0], words[1]]))
    assert twice.names == ["row 0", "row 1", "row 2"]


def test_one_name_above_curves_of_several_models():
    runs = sf.read_runs(curves("model", ["small", "base"]).assign(run="sweep"))
    assert len(runs) == 2 and len(runs.curves) == 2 * len(STEPS)
    phases = pd.DataFrame(
        {"run": "r", "phase": ["warmup"] * 5 + ["decay"] * 15, "step": STEPS, "loss": 3 - STEPS / 512}
    )
    assert len(sf.read_runs(phases)) == 1
    resumed = pd.concat(
        [phases, phases.assign(phase="again")[10:]], ignore_index=True
    )  # a restart, in a phase of its own
    assert len(sf.read_runs(resumed)) == 1


def in_turns(names, offset=0, every=10, length=30):
    """Rows of several curves in turns; the steps of each begin ``offset`` later than those of the one before."""
    parts = [
        pd.DataFrame(
            {"kind": name, "step": 1 + at * offset + every * np.arange(length), "loss": 4 - np.arange(length) / 40}
        )
        for at, name in enumerate(names)
    ]
    return pd.concat(parts).sort_index(kind="stable").reset_index(drop=True)


@pytest.mark.parametrize(
    "column, offset", [("arm", 0), ("experiment", 0), ("experiment", 3), ("recipe", 0), ("model", 4)]
)
def test_words_of_rows_in_turns_are_runs(column, offset):
    rows = in_turns(["a", "b", "c"], offset).rename(columns={"kind": column})
    runs = sf.read_runs(rows)
    assert runs.names == ["a", "b", "c"] and len(runs.curves) == 90
    again = pd.concat([rows, rows[rows["step"] > 200]], ignore_index=True)  # each was resumed
    assert sf.read_runs(again).names == ["a", "b", "c"]


def test_words_of_a_strictly_rising_log_are_doubted_and_those_of_a_resumed_one_are_not():
    rows = in_turns(["a", "b"], 3).rename(columns={"kind": "arm"})
    runs = sf.read_runs(rows)
    assert len(runs) == 1 and any(
        "changes from row to row" in note.text for note in runs.notes if note.kind == "suspect"
    )
    steps = [*range(0, 300, 10), *range(250, 500, 10)]
    resumed = pd.DataFrame({"cluster": ["x"] * 30 + ["y"] * 25, "step": steps, "loss": 5 - np.arange(55) / 50})
    runs = sf.read_runs(resumed)
    assert len(runs) == 1 and not [note for note in runs.notes if note.kind == "suspect"]


@pytest.mark.parametrize("column", ["N", "optimizer", "width"])
def test_rows_of_several_sizes_in_turns_beside_tokens_are_logs(column):
    values = ["adam", "muon"] if column == "optimizer" else [1000000, 4000000]
    rows = in_turns(values).rename(columns={"kind": column}).assign(tokens=lambda table: table["step"] * 65536)
    assert len(sf.read_runs(rows)) == 2
    assert len(sf.read_runs(rows).curves) == 60


def test_curves_of_two_optimizers_of_which_one_was_resumed():
    steps = [*range(0, 300, 10), *range(200, 400, 10), *range(0, 300, 10)]
    rows = {"optimizer": ["adam"] * 50 + ["muon"] * 30, "step": steps, "loss": 5 - np.arange(80) / 50}
    runs = sf.read_runs(pd.DataFrame(rows))
    assert runs.names == ["adam", "muon"] and len(runs.curves) == 70


def test_columns_that_the_reader_added_are_no_settings_of_epochs():
    rows = pd.DataFrame({"epoch": [0, 0, 1, 1, 2, 2], "width": [1, 2] * 3, "loss": [3.0, 3.1, 2.5, 2.6, 2.2, 2.3]})
    assert settings_of_epochs(rows) == ["width"]
    assert settings_of_epochs(rows.rename(columns={"width": "__width"})) == []
