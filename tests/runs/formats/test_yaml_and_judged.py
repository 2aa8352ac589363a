"""Results as YAML, results of lm-evaluation-harness, and JSON objects with single values beside lists or rows."""

import json

import pytest

import scalefit as sf
from scalefit.errors import InputError

LOSSES = [3.9, 3.5, 3.2]


def test_a_yaml_list_of_runs(tmp_path):
    path = tmp_path / "results.yaml"
    sizes = enumerate(zip((1e6, 4e6, 16e6), LOSSES, strict=True))
    rows = [f"- name: m{i}\n  model: {{n_params: {n}}}\n  val_loss: {v}\n" for i, (n, v) in sizes]
    path.write_text("".join(rows))
    table = sf.read_runs(path).table
    assert table["loss"].tolist() == LOSSES and table["N"].tolist() == [1e6, 4e6, 16e6]
    path.write_text("seed: 3\nruns:\n  a: {loss: 3.9, lr: 1e-3}\n  b: {loss: 3.5, lr: 3e-4}\n")
    table = sf.read_runs(path).table
    assert table["run"].tolist() == ["a", "b"] and table["peak_lr"].tolist() == [1e-3, 3e-4]


@pytest.mark.parametrize(
    "text, words",
    [
        ("lr: 0.001\nmodel: {width: 64}\n", "settings and no run log"),
        ("just words\n", "settings and no run log"),
        ("a: &x {loss: 3.0}\nb: *x\n", "an alias"),
        ("a: [1, 2\n", "not a YAML file"),
    ],
)
def test_other_yaml_is_refused(tmp_path, text, words):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(InputError, match=words):
        sf.read_runs(tmp_path / "config.yaml")


def test_a_configuration_in_a_folder_is_no_log(tmp_path):
    (tmp_path / "config.yaml").write_text("loss: mse\nlr: 0.1\n")
    (tmp_path / "log.csv").write_text("step,loss\n0,4.0\n10,3.5\n")
    assert sf.read_runs(tmp_path).curves["loss"].tolist() == [4.0, 3.5]


def judged(steps, accuracy, args):
    arc = {"alias": "arc_easy", "acc,none": accuracy, "acc_stderr,none": 0.01, "acc_norm,none": accuracy + 0.01}
    tasks = {"arc_easy": arc}
    tasks["wikitext"] = {"word_perplexity,none": 30.0, "bits_per_byte,none": 0.9, "bits_per_byte_stderr,none": "N/A"}
    tasks["gsm8k"] = {"exact_match,strict-match": 0.125}
    config = {"model": "hf", "model_args": args(f"step{steps}"), "model_num_parameters": 160000000, "batch_size": "8"}
    return {"results": tasks, "group_subtasks": {"arc_easy": []}, "versions": {"arc_easy": 1.0}, "config": config}


@pytest.mark.parametrize(
    "args", [lambda s: f"pretrained=org/m,revision={s}", lambda s: {"pretrained": "org/m", "revision": s}]
)
def test_results_of_lm_evaluation_harness(tmp_path, args):
    for steps, accuracy in ((1000, 0.3), (2000, 0.4)):
        folder = tmp_path / f"step{steps}"
        folder.mkdir()
        (folder / "results_2024-05-01T10-00-00.json").write_text(json.dumps(judged(steps, accuracy, args)))
    runs = sf.read_runs(tmp_path, rename={"wikitext/bits_per_byte": "loss"})
    assert runs.table["run"].tolist() == ["org/m, step1000", "org/m, step2000"]
    assert runs.table["arc_easy/acc"].tolist() == [0.3, 0.4] and runs.table["N"].tolist() == [1.6e8] * 2
    assert runs.table["gsm8k/exact_match (strict-match)"].tolist() == [0.125] * 2
    assert not [name for name in runs.table if "stderr" in name]
    with pytest.raises(InputError, match=r"no column loss.*wikitext/word_perplexity"):
        sf.read_runs(tmp_path)


def write(tmp_path, document):
    (tmp_path / "runs.json").write_text(json.dumps(document))
    return sf.read_runs(tmp_path / "runs.json")


@pytest.mark.parametrize(
    "beside", [{"N": 1e7}, {"config": {"n_params": 1e7}, "betas": [0.9, 0.95]}, {"model": "small", "N": "10M"}]
)
def test_values_beside_lists_are_of_all_rows(tmp_path, beside):
    results = write(tmp_path, {"lr": [1e-3, 2e-3, 4e-3], "loss": LOSSES, **beside})
    assert results.curves is None and results.table["loss"].tolist() == LOSSES
    assert results.table["N"].tolist() == [1e7] * 3
    curve = write(tmp_path, {**beside, "step": [0, 10, 20], "train_loss": LOSSES})
    assert curve.curves["loss"].tolist() == LOSSES and curve.table["N"].tolist() == [1e7]


@pytest.mark.parametrize("place", ["defaults", "config", "common", ""])
def test_settings_of_a_file_hold_in_rows_that_lack_them(tmp_path, place):
    rows = [{"N": n, "loss": loss} for n, loss in zip((1e6, 4e6, 16e6), LOSSES, strict=True)]
    rows[1] |= {"lr": 5e-4, "dropout": 0.1}
    given = {"lr": 1e-3, "dropout": 0.0, "seed": 7}
    runs = write(tmp_path, {**({place: given} if place else given), "runs": rows})
    assert runs.table["peak_lr"].tolist() == [1e-3, 5e-4, 1e-3]
    assert runs.table["dropout"].tolist() == [0.0, 0.1, 0.0]
    assert "without one is that which the file gives" in " ".join(note.text for note in runs.notes)


def test_settings_of_the_best_run_fill_nothing(tmp_path):
    rows = [{"N": 1e6, "loss": 3.9, "lr": 1e-3}, {"N": 4e6, "loss": 3.5}]
    table = write(tmp_path, {"best": {"lr": 2e-3, "loss": 3.0}, "runs": rows}).table
    assert table["peak_lr"].isna().tolist() == [False, True]
