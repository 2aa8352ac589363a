"""Runs of two recipes at the same sizes, told apart by a column of text, are named with what compares them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalefit as sf


def grid(column, values):
    N, D = (each.ravel() for each in np.meshgrid(np.geomspace(1e7, 1e9, 4), np.geomspace(1e9, 1e11, 4)))
    parts = [
        pd.DataFrame({"N": N, "D": D, "loss": 1.7 + 0.05 * at + 400 * N**-0.34 + 410 * D**-0.28, column: value})
        for at, value in enumerate(values)
    ]
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize(("column", "values"), [("recipe", ["A", "B"]), ("data", ["web", "code", "web+code"])])
def test_they_are_told_with_the_command_that_compares_them(column, values):
    told = " ".join(check.text for check in sf.fit(grid(column, values), "chinchilla", draws=0).warnings)
    assert f"runs with the same N and D differ in {column} (up to {len(values)} values of {column})" in told
    assert f"scalefit compare-recipes --by {column}" in told


def test_one_recipe_is_not():
    told = " ".join(check.text for check in sf.fit(grid("recipe", ["A"]), "chinchilla", draws=0).warnings)
    assert "recipe" not in told


def test_a_setting_that_is_a_number_is_no_recipe():
    told = " ".join(check.text for check in sf.fit(grid("dropout", [0.0, 0.1]), "chinchilla", draws=0).warnings)
    assert "differ in dropout" in told
    assert "compare-recipes" not in told


def told_of(column, words):
    frame = grid("seed", [0])
    frame[column] = words(frame)
    return " ".join(check.text for check in sf.fit(frame, "chinchilla", draws=0).warnings)


def test_another_recipe_at_the_larger_sizes_is_told():
    told = told_of("optimizer", lambda frame: np.where(frame.N > 1e8, "muon", "adamw"))
    assert "the runs differ in optimizer (adamw and muon), which the law does not read" in told
    assert "--where \"optimizer == 'adamw'\"" in told


def test_a_word_for_each_amount_of_data_is_not():
    assert "schedule" not in told_of("schedule", lambda frame: "cosine over " + frame.D.map("{:.3g}".format))
    assert "comment" not in told_of("comment", lambda frame: np.where(frame.N > 1e8, "large", "small"))
