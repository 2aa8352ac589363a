"""The benchmark of GPUs, tried on a CPU at toy size: every part is measured once, and a second call goes on."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def gpu():
    place = Path(__file__).parents[1] / "benchmarks" / "gpu.py"
    spec = importlib.util.spec_from_file_location("gpu_benchmark", place)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    torch.set_num_threads(1)
    yield module
    del sys.modules[spec.name]


def test_every_part_is_measured_once_and_the_second_call_goes_on(gpu, tmp_path, monkeypatch):
    sizes = replace(gpu.TOY, widths=(8,), rates=gpu.TOY.rates[:2], sweep=gpu.TOY.sweep | {"steps": 4})
    assert gpu.measure(sizes, tmp_path, minutes=0)["parts"] == {}, "no time, no part"
    monkeypatch.setattr(gpu, "of_attention", lambda *_: pytest.fail("stopped"))
    with pytest.raises(pytest.fail.Exception):
        gpu.measure(sizes, tmp_path, minutes=10)
    before = json.loads((tmp_path / "results.json").read_text())["parts"]
    assert before.keys() == {"large/eager", "lr_width"}
    monkeypatch.undo()
    results = gpu.measure(sizes, tmp_path, minutes=10)
    assert results == json.loads((tmp_path / "results.json").read_text())
    parts = results["parts"]
    assert parts.keys() == {*before, "attention", "packing/eager/8/1", "packing/eager/8/4"}
    assert {name: parts[name] for name in before} == before, "what is there is not measured again"
    assert results["about"]["device"].endswith("CPU")
    for name in ("large/eager", "packing/eager/8/4"):
        assert parts[name]["tokens_per_second"] > 0
        assert 0 < parts[name]["share_of_peak"] < 10
    assert len(parts["lr_width"]["runs"]) == 2 * 3 * 2
    measured = parts["attention"]["at_lr"].values()
    assert all(math.isfinite(each["measured"]) for each in measured)
    assert parts["attention"]["from_widths"] == [8, 16]


def test_results_of_another_device_are_left_alone(gpu, tmp_path):
    (tmp_path / "results.json").write_text(json.dumps({"about": {"device": "another"}, "parts": {"lr_width": {}}}))
    with pytest.raises(SystemExit, match="give another --out"):
        gpu.measure(gpu.TOY, tmp_path, minutes=10)


def test_without_a_gpu_nothing_is_measured(gpu, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    with pytest.raises(SystemExit, match="no GPU here"):
        gpu.main()
