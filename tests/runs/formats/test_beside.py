"""Settings in a file beside a log: read for the log of one run, never for several, and a damaged file is named."""

import json

import pytest

import scalefit as sf

LOG = "step,loss\n" + "".join(f"{step},{4 - step / 64}\n" for step in range(10, 100, 10))
JSON = json.dumps({"n_params": 3000000, "optimizer": {"lr": 1e-3}, "layers": [1, 2]})
YAML = "n_params: 3000000\noptimizer:\n  lr: 1e-3\n"


def settings(path, name, text, logs=("metrics.csv",)):
    path.mkdir(exist_ok=True)
    for log in logs:
        (path / log).write_text(LOG)
    (path / name).write_text(text)
    return sf.read_runs(path)


@pytest.mark.parametrize("name", ["config.json", "args.json", "hparams.yaml", "params.yml", "run.json", "config.yaml"])
def test_the_settings_beside_a_log_are_those_of_its_run(tmp_path, name):
    runs = settings(tmp_path / "small", name, JSON if name.endswith("json") else YAML)
    assert runs.table["N"].tolist() == [3e6] and runs.table["peak_lr"].tolist() == [1e-3]
    assert any(f"settings are those of {name}" in note.text for note in runs.notes)


def test_each_run_of_a_folder_has_its_own(tmp_path):
    for name, size in (("a", 1e6), ("b", 5e6)):
        settings(tmp_path / name, "config.json", json.dumps({"n_params": size}))
    assert sf.read_runs(tmp_path).table["N"].tolist() == [1e6, 5e6]


def test_a_file_beside_several_logs_is_named_and_not_read(tmp_path):
    runs = settings(tmp_path / "all", "config.json", JSON, ("a.csv", "b.csv"))
    assert len(runs) == 2 and "N" not in runs.table.columns
    assert any("config.json was not read: 2 logs lie beside it" in note.text for note in runs.notes)


@pytest.mark.parametrize("text", ["{", "// a comment\n{}", "\x00"])
def test_a_damaged_file_is_named_and_not_read(tmp_path, text):
    runs = settings(tmp_path / "a", "config.json", text)
    assert any("config.json was not read: not a JSON file" in note.text for note in runs.notes)


@pytest.mark.parametrize("other", ["README.md", "._metrics.csv", ".hidden.csv", "notes.txt"])
def test_files_that_are_no_logs_do_not_stop_the_reading_of_a_folder(tmp_path, other):
    (tmp_path / other).write_bytes(b"\x00\x05\x16\x07" if other[0] == "." else b"# How it was made\n\nwith care\n")
    (tmp_path / "metrics.csv").write_text(LOG)
    assert len(sf.read_runs(tmp_path).curves) == 9
