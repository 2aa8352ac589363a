"""Second variants of kinds of faults that one test holds elsewhere: axes, unknown losses, blocks of YAML."""

from __future__ import annotations

import pytest
from commands import run

import scalefit as sf
from scalefit.runs.formats.flat_yaml import flat_yaml


@pytest.mark.parametrize("short, told", [(9, True), (190, False)])
@pytest.mark.parametrize("names", [("T/loss", "V/loss"), ("train/ce", "valid/ce")])
def test_metrics_that_end_at_other_steps_are_told(tmp_path, names, short, told):
    ends = dict(zip(names, (990, short if told else 990), strict=True))
    every = {name: max(end // 9, 1) for name, end in ends.items()}
    rows = [f"{name},{s},{3 - s / 2000}" for name, end in ends.items() for s in range(0, end + 1, every[name])]
    (tmp_path / "long.csv").write_text("\n".join(["metric,step,value", *rows]))
    runs = sf.read_runs(tmp_path / "long.csv", rename={names[1]: "loss"})
    assert any("very different steps" in note.text and names[1] in note.text for note in runs.notes) == told


@pytest.mark.parametrize("name", ["train/lm_ce", "objective/value", "validation score"])
def test_inspect_of_a_log_without_a_known_loss_says_what_to_map(tmp_path, name):
    rows = "".join(f"{s},{3 - s / 1000},0.001\n" for s in range(0, 500, 50))
    (tmp_path / "runs.csv").write_text(f"step,{name},lr\n{rows}")
    said = run(f"scalefit inspect {tmp_path / 'runs.csv'}")
    assert said.exit_code == 1
    assert "! no loss was found" in said.stdout and name in said.stdout


@pytest.mark.parametrize("sign", ["|", ">", "|-"])
def test_keys_inside_a_block_of_yaml_are_text(tmp_path, sign):
    text = f"d_model: 64\nnotes: {sign}\n  tried before:\n  d_model: 128 diverged\n  lr: 0.5\nlr: 3e-4\n"
    (tmp_path / "config.yaml").write_text(text)
    found = flat_yaml(tmp_path / "config.yaml")
    assert float(found["d_model"]) == 64
    assert float(found["lr"]) == 3e-4
