"""Runs without a column run are named by a column of words that has one word for each of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalefit as sf

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
