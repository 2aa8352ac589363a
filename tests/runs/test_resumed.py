"""Runs that were resumed under a new name are proposed as one, and joined where that is asked for."""

import numpy as np
import pandas as pd
import pytest

import scalefit as sf


def part(first, last, every=10, shift=1.0, **settings):
    steps = np.arange(first, last + 1, every)
    return pd.DataFrame({"step": steps, "loss": shift * (2 + 3 * (steps + 50.0) ** -0.3), "lr": 1e-3} | settings)


def logs(folder, **parts):
    for name, frame in parts.items():
        place = folder / name.replace("__", "/") / "metrics.csv"
        place.parent.mkdir(parents=True, exist_ok=True)
        frame.to_csv(place, index=False)
    return folder


def proposed(runs):
    return [note for note in runs.notes if "goes on where" in note.text and note.kind == "suspect"]


@pytest.mark.parametrize(
    "names", [("version_0", "version_1"), ("Jan03_10-00-00_host", "Jan02_23-59-59_host"), ("b", "a")]
)
@pytest.mark.parametrize("begin", [410, 400, 250])
def test_a_second_part_is_proposed_and_joined_with_the_first(tmp_path, names, begin):
    folder = logs(tmp_path, **{names[0]: part(0, 400), names[1]: part(begin, 900, shift=1.001)})
    runs = sf.read_runs(folder)
    assert len(runs) == 2
    assert len(proposed(runs)) == 1
    assert "join=True" in proposed(runs)[0].text
    one = sf.read_runs(folder, join=True)
    assert one.names == [names[0]]
    assert one.curves["step"].tolist() == list(range(0, 901, 10))
    later = one.curves[one.curves["step"] >= begin]
    np.testing.assert_allclose(
        later["loss"], part(begin, 900, shift=1.001)["loss"]
    )  # the later part replaces the other


def test_three_parts_are_one_run(tmp_path):
    folder = logs(tmp_path, version_0=part(0, 300), version_10=part(310, 600), version_2=part(610, 900))
    one = sf.read_runs(folder, join=True)
    assert one.names == ["version_0"]
    assert one.curves["step"].tolist() == list(range(0, 901, 10))


@pytest.mark.parametrize(
    "parts",
    [
        {"a": part(0, 400), "b": part(0, 900)},  # begins at its own start
        {"a": part(0, 400), "b": part(600, 900)},  # a gap between them
        {"a": part(0, 400), "b": part(410, 900, shift=1.3)},  # the loss does not follow on
        {"a": part(0, 400, width=64), "b": part(410, 900, width=128)},  # another size
        {"a": part(0, 400, seed=1), "b": part(410, 900, seed=2)},  # another seed
        {"a": part(0, 400), "b": part(0, 400), "c": part(410, 900)},  # it fits two
        {"a": part(0, 900), "b": part(600, 800)},  # it ends before the other
    ],
)
def test_runs_that_do_not_go_on_are_left_alone(tmp_path, parts):
    runs = sf.read_runs(logs(tmp_path, **parts), join=True)
    assert len(runs) == len(parts)
    assert not [note for note in runs.notes if "goes on where" in note.text]


def test_runs_of_one_table_are_joined_too():
    table = pd.concat(
        [part(0, 400).assign(run="x"), part(410, 900).assign(run="y"), part(0, 900, width=9).assign(run="z")]
    )
    table["width"] = table["width"].fillna(5)
    runs = sf.read_runs(table, join=True)
    assert runs.names == ["x", "z"]
    assert runs.table["steps"].tolist() == [900, 900]
