"""One table in the ways in which JSON holds it: as pandas writes it, by runs, as lists; every number in its place."""

import json

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.errors import InputError

STEPS = list(range(0, 120, 10))
CURVE = pd.DataFrame({"step": STEPS, "loss": [4 - step / 64 for step in STEPS], "lr": [1e-3] * len(STEPS)})
ORIENTS = ["columns", "index", "split", "records"]


@pytest.fixture
def read(tmp_path):
    def of(content, name="log.json", **options):
        (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
        return sf.read_runs(tmp_path / name, **{"need": (), **options})

    return of


@pytest.mark.parametrize("orient", ORIENTS)
def test_a_curve_as_pandas_writes_it(read, orient):
    runs = read(CURVE.to_json(orient=orient))
    assert len(runs) == 1
    np.testing.assert_allclose(runs.curves[["step", "loss", "lr"]], CURVE)


@pytest.mark.parametrize("orient", ORIENTS)
def test_final_results_as_pandas_writes_them(read, orient):
    table = pd.DataFrame({"N": [1e6, 3e6, 9e6], "D": [1e8, 2e8, 4e8], "loss": [3.5, 3.25, 3.0]})
    np.testing.assert_allclose(read(table.to_json(orient=orient)).table[["N", "D", "loss"]], table)


def test_runs_in_an_object_keep_their_names_also_where_these_are_numbers(read):
    runs = read({"7": {"N": 1e6, "loss": 3.5}, "9": {"N": 2e6, "loss": 3.25}})
    assert runs.table["run"].tolist() == ["7", "9"] and runs.table["N"].tolist() == [1e6, 2e6]


def test_a_loss_by_its_step_for_each_run(read):
    runs = read({name: {str(step): 4 - step / 64 - at for step in STEPS[1:]} for at, name in enumerate(["a", "b"])})
    assert runs.names == ["a", "b"] and runs.curves["step"].tolist() == STEPS[1:] * 2
    assert runs.curves["loss"].tolist() == [4 - step / 64 - at for at in (0, 1) for step in STEPS[1:]]


@pytest.mark.parametrize(
    "names", [("steps", "losses", "lrs"), ("step", "loss", "learning_rates"), ("iters", "losses", "lr")]
)
@pytest.mark.parametrize("runs_of", [1, 2])
def test_lists_with_plural_names(read, names, runs_of):
    lists = dict(zip(names, CURVE.to_dict("list").values(), strict=True))
    runs = read(lists if runs_of == 1 else {"a": lists, "b": lists})
    assert len(runs) == runs_of
    np.testing.assert_allclose(runs.curves[["step", "loss", "lr"]], pd.concat([CURVE] * runs_of))


@pytest.mark.parametrize("inner", ["records", "lists"])
def test_a_list_of_runs_each_with_its_settings_and_its_history(read, inner):
    history = CURVE.to_dict("records" if inner == "records" else "list")
    runs = read(
        [{"name": name, "config": {"n_params": size}, "history": history} for name, size in (("a", 1e6), ("b", 4e6))]
    )
    assert runs.names == ["a", "b"] and runs.table["N"].tolist() == [1e6, 4e6]
    np.testing.assert_allclose(runs.curves["loss"], [*CURVE["loss"], *CURVE["loss"]])


def test_the_history_of_keras_counts_epochs(read):
    history = {"loss": [3.0, 2.5, 2.25], "val_loss": [3.1, 2.7, 2.6], "lr": [1e-3, 1e-3, 5e-4]}
    runs = read(history)
    assert runs.curves["epoch"].tolist() == [0, 1, 2] and runs.curves["loss"].tolist() == history["loss"]


def test_lists_of_a_sweep_are_final_results(read):
    runs = read(
        {"lr": [1e-4, 1e-3, 1e-2], "loss": [3.0, 2.5, 2.75], "val_loss": [3.1, 2.6, 2.9]}, rename={"val_loss": "loss"}
    )
    assert runs.curves is None and runs.table["peak_lr"].tolist() == [1e-4, 1e-3, 1e-2]


@pytest.mark.parametrize("groups", [1, 3])
def test_a_rate_that_a_scheduler_gives_as_a_list(read, groups):
    rows = [{**row, "lr": [row["lr"]] * groups} for row in CURVE.to_dict("records")]
    runs = read("".join(json.dumps(row) + "\n" for row in rows), "log.jsonl")
    assert runs.curves["lr"].tolist() == CURVE["lr"].tolist()


def test_rates_of_groups_that_differ_are_named_and_not_read(read):
    rows = [{**row, "lr": [row["lr"], row["lr"] / 2]} for row in CURVE.to_dict("records")]
    runs = read("".join(json.dumps(row) + "\n" for row in rows), "log.jsonl")
    assert "lr" not in runs.curves.columns and any("columns that hold lists: lr" in note.text for note in runs.notes)


@pytest.mark.parametrize("deep", [300, 900, 5000])
def test_objects_nested_deep_are_refused(read, deep):
    with pytest.raises(sf.InputError):
        read('{"a": [' * deep + '{"loss": 1}' + "]}" * deep)


@pytest.mark.parametrize(
    "first",
    [
        [{"config": {"lr": 1e-3, "d_model": 64, "layers": [1, 2]}}],
        [{"event": "start", "config": {"d_model": 64}}, {"event": "model", "n_params": 1000000}],
        [{"d_model": 64, "lr": 1e-3}],
    ],
)
def test_settings_in_records_before_the_first_step_are_those_of_the_run(tmp_path, first):
    """The record was dropped as one without a step, and the size of the model with it."""
    event = {"event": "train"} if "event" in first[0] else {}
    rows = [*first, *({**event, "step": step, "loss": 4 - step / 64, "lr": 1e-3} for step in range(10, 90, 10))]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    runs = sf.read_runs(tmp_path / "a.jsonl")
    assert len(runs) == 1 and runs.curves["step"].tolist() == list(range(10, 90, 10))
    assert runs.table["d_model"].tolist() == [64]
    assert "n_params" not in first[-1] or runs.table["N"].tolist() == [1e6]
    assert [note.text for note in runs.notes if "before the first step" in note.text]
    assert not [note for note in runs.notes if "without a step" in note.text]


@pytest.mark.parametrize("name", ["step_{}", "iter {}", "checkpoint-{}", "global_step{}"])
def test_records_named_by_steps_are_one_curve(read, name):
    runs = read({name.format(2**at): {"loss": 4 - at / 8} for at in range(6)})
    assert runs.curves["step"].tolist() == [1, 2, 4, 8, 16, 32] and runs.curves["loss"].iloc[-1] == 4 - 5 / 8
    assert len(runs) == 1


def test_records_named_by_epochs_are_a_curve_over_epochs(read):
    runs = read({f"epoch_{at}": {"loss": 4 - at / 8} for at in range(1, 6)})
    assert runs.curves["epoch"].tolist() == [1, 2, 3, 4, 5]


def test_losses_and_learning_rates_by_step_are_one_curve(read):
    frame = CURVE.assign(step=CURVE["step"] + 10)
    runs = read({name: dict(zip(map(str, frame["step"]), frame[name], strict=True)) for name in ("loss", "lr")})
    np.testing.assert_allclose(runs.curves[["step", "loss", "lr"]], frame)


def test_settings_of_runs_named_by_numbers_are_no_curve(read):
    runs = read(
        {"loss": {str(at): 4 - at / 100 for at in range(10, 110, 10)}, "N": {str(at): at for at in range(10, 110, 10)}}
    )
    assert len(runs) == 10 and runs.curves is None


def test_runs_in_a_list_below_a_key_keep_their_histories(read):
    history = CURVE[["step", "loss"]].to_dict("records")
    runs = read({"runs": [{"name": name, "config": {"n_params": 1e6}, "history": history} for name in "ab"]})
    assert runs.table["run"].tolist() == ["a", "b"] and len(runs.curves) == 2 * len(CURVE)
    assert runs.table["N"].tolist() == [1e6, 1e6]


@pytest.mark.parametrize("key", ["step_{}", "{}"])
def test_losses_of_splits_by_step_are_told_apart(read, key):
    """Each of the two was the final result of a run of its own."""
    content = {key.format(at): {"train": {"loss": 4 - at / 200}, "val": {"loss": 5 - at / 200}} for at in STEPS[1:]}
    with pytest.raises(sf.InputError, match="could both be loss"):
        read(content)
    runs = read(content, rename={"val/loss": "loss"})
    assert runs.curves["step"].tolist() == STEPS[1:] and runs.table["loss"].tolist() == [5 - STEPS[-1] / 200]


def test_a_saved_fit_is_no_run_log(read, tmp_path):
    """Its five parameters were taken for the final results of five runs."""
    N = np.array([1e6, 1e7, 1e8, 1e9])
    sf.fit(pd.DataFrame({"N": N, "loss": 300 * N**-0.3}), "power:over=N", draws=0).save(tmp_path / "fit.json")
    with pytest.raises(InputError, match="this is a saved fit, no run log; give the run logs"):
        read((tmp_path / "fit.json").read_text(), "copy.json")
