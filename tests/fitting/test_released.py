"""Saved fits of the released schema load, and predict what the version that wrote them predicted."""

import json
from pathlib import Path

import numpy as np
import pytest

import scalefit as sf

FILES = sorted(Path(__file__).with_name("released").glob("*.json"))
LAST_DIGIT = 4e-15  #: two processors may round the last of sixteen digits otherwise
SUMS = 2e-6  #: the versions that wrote fits of these laws had their sums over learning-rate drops to a millionth


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_a_saved_fit_predicts_the_same_numbers_to_the_last_digit(file, tmp_path):
    kept = json.loads(file.read_text())
    (tmp_path / "fit.json").write_text(json.dumps(kept["fit"]))
    fit = sf.load_fit(tmp_path / "fit.json")
    predicted = fit.predict(**kept["at"])
    assert kept["predictions"].keys() <= set(predicted.columns)
    for column, values in kept["predictions"].items():
        np.testing.assert_allclose(
            predicted[column], values, rtol=SUMS if kept["fit"]["law"].startswith("multi-power") else LAST_DIGIT
        )


def without_newer(again, kept):
    """The entries that the version which wrote the file knew."""
    if not isinstance(kept, dict):
        return again
    return {key: without_newer(again[key], value) for key, value in kept.items()}


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_nothing_of_a_saved_fit_is_lost_when_it_is_saved_again(file, tmp_path):
    kept = json.loads(file.read_text())["fit"]
    (tmp_path / "fit.json").write_text(json.dumps(kept))
    again = json.loads(sf.load_fit(tmp_path / "fit.json").save(tmp_path / "again.json").read_text())
    today = {"law", "equation", "source"} if kept["law"].startswith("multi-power") else set()  # has a name of its own
    for key in kept.keys() - {"scalefit_version", "numpy_version"} - today:
        assert without_newer(again[key], kept[key]) == kept[key], key


@pytest.mark.parametrize(
    ("file", "spec"),
    [("multi-power", "multi-power-fading"), ("multi-power-paper", "multi-power-fading:shape=unfaded,warmup=include")],
)
def test_a_law_that_bears_another_name_today_is_found(file, spec, tmp_path):
    kept = json.loads((FILES[0].parent / f"{file}.json").read_text())["fit"]
    (tmp_path / "fit.json").write_text(json.dumps(kept))
    assert sf.load_fit(tmp_path / "fit.json").law.spec == spec


def test_there_are_fits_of_every_kind_of_law():
    assert len(FILES) >= 6
