"""The benchmark of GPUs, tried on a CPU at toy size: every part is measured once, and a second call goes on."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import math
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")

from scalefit.proxy import Config, Ensemble  # noqa: E402
from scalefit.proxy.optimizers import optimizers  # noqa: E402
from scalefit.proxy.probes import Probe  # noqa: E402

SMALL = Config(d_model=16, d_head=8, n_layer=1, seq_len=8, batch=32, eval_batch=32, data="pydoc", steps=9, warmup=2)
TODAYS = {"norm_type": "rms", "kv_group": 2, "biases": True, "tied": True, "activation": "swiglu", "dropout": 0.1}


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


def elsewhere(config: Config) -> Ensemble:
    """Two members whose tensors lie on a device that has shapes and no numbers, so that it answers no question."""
    ensemble = Ensemble([replace(config, seed=seed) for seed in (0, 1)])
    ensemble.device, rule = torch.device("meta"), ensemble.optimizer
    ensemble.theta, rule.eps_P = ensemble.theta.to("meta"), torch.as_tensor(rule.eps_P).to("meta")
    ensemble.state = rule.start(ensemble.theta)
    for name in ("lr_KS", "decay_KS", "lr_P", "decay_KP"):
        setattr(ensemble, name, getattr(ensemble, name).to("meta"))
    return ensemble


def test_a_step_asks_the_device_for_no_number_and_makes_nothing_beside_it():
    """Only such a step can be captured as a graph. Of what the models have, experts alone ask: how many tokens each
    has got."""
    rules = [{"optimizer": name} for name in optimizers()]
    for changes in (*rules, TODAYS | {"weight_bits": 4}, {"accumulate": 2, "spike_every": 1}):
        ensemble = elsewhere(replace(SMALL, weight_decay=0.1, **changes))
        rows = ensemble.update(None if "optimizer" in changes else Probe())
        tensors = (ensemble.theta, *ensemble.state.values(), *rows.values())
        assert {value.device.type for value in tensors} == {"meta"}, changes
    with pytest.raises(NotImplementedError, match="no data"):
        elsewhere(replace(SMALL, weight_decay=0.1, experts=2)).update()


def test_each_replay_of_a_graph_has_the_batch_of_its_step(gpu, monkeypatch):
    """With a graph that repeats what was done while it was made."""
    seen, update = [], Ensemble.update

    def watched(self, *given):
        seen.append((self, self.batch(0)["tokens"].clone()))
        return update(self, *given)

    stream = SimpleNamespace(wait_stream=lambda _: None)
    graph = SimpleNamespace(replay=lambda: seen[0][0].update())
    fakes = {"Stream": lambda: stream, "current_stream": lambda: stream, "stream": contextlib.nullcontext}
    for name, fake in (fakes | {"CUDAGraph": lambda: graph, "graph": contextlib.nullcontext}).items():
        monkeypatch.setattr(torch.cuda, name, fake)
    monkeypatch.setattr(Ensemble, "update", watched)
    run = gpu.captured([replace(SMALL, seed=seed) for seed in (0, 1)])
    count = len(seen)
    run()
    run()
    source = Ensemble([SMALL]).source
    for (_, tokens), step in zip(seen[count:], (gpu.WARM + 1, gpu.WARM + 2), strict=True):
        assert torch.equal(tokens[0], source.batch(0, step, 4)["tokens"])


def test_a_part_that_cannot_be_compiled_is_left_and_each_begins_anew(gpu, tmp_path, monkeypatch, capsys):
    """A compiler that has seen some shapes makes code for any, and after eight gives up without a word."""
    told = []
    monkeypatch.setattr(torch.compiler, "reset", lambda: told.append("reset"))

    def refused(function):
        told.append("compile")
        raise RuntimeError("no compiler here")

    monkeypatch.setattr(torch, "compile", refused)
    ways = {f"packing/compiled/{width}": partial(gpu.packed, gpu.TOY, width, 1, gpu.compiled) for width in (8, 16)}
    monkeypatch.setattr(gpu, "packing", lambda _: ways.items())
    for name in ("large", "lr_width", "attention"):
        monkeypatch.setattr(gpu, name, lambda *_: [])
    results = gpu.measure(gpu.TOY, tmp_path, minutes=1)
    assert results["parts"] == {}
    assert {failure["error"] for failure in results["failed"].values()} == {"RuntimeError: no compiler here"}
    assert "in refused" in results["failed"]["packing/compiled/8"]["where"]
    assert told == ["reset", "compile"] * 2
    assert capsys.readouterr().err.count("no compiler here") == 2


def test_a_part_that_takes_its_process_along_or_no_end_is_told_and_left(gpu, tmp_path):
    """With a command that measures "good", dies in "a/bad", hangs in "b/long", and leaves what has failed before."""
    script = tmp_path / "command.py"
    script.write_text(
        "import json, os, pathlib, sys, time\n"
        "out = pathlib.Path(__file__).parent\n"
        "kept = out / 'results.json'\n"
        "results = json.loads(kept.read_text()) if kept.exists() else {}\n"
        "for part in ('good', 'a/bad', 'b/long'):\n"
        "    if part in results.get('parts', ()) or part in results.get('failed', ()): continue\n"
        "    (out / 'now.json').write_text(json.dumps({'part': part}))\n"
        "    if part == 'a/bad': os._exit(9)\n"
        "    if part == 'b/long': time.sleep(60)\n"
        "    results.setdefault('parts', {})[part] = 1\n"
        "    kept.write_text(json.dumps(results))\n"
        "(out / 'now.json').unlink(missing_ok=True)\n"
    )
    for _ in range(2):  # a later call tries what has failed again
        gpu.supervise([sys.executable, "-S", str(script)], tmp_path, minutes=1, longest={"b": 0.3})
        results = gpu.kept(tmp_path)
        assert results["parts"] == {"good": 1}
        assert [*results["failed"]] == ["a/bad", "b/long"]
        assert results["failed"]["a/bad"]["error"] == "its process ended with status 9"
        assert results["failed"]["b/long"]["error"] == "took more than 0.3 s"


def test_all_parts_stop_when_the_time_is_over(gpu, tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "GRACE", 0.1)
    (tmp_path / "results.json").write_text(json.dumps({"parts": {}, "failed": {}}))
    gpu.supervise([sys.executable, "-S", "-c", "import time; time.sleep(60)"], tmp_path, minutes=0.005)
    assert gpu.kept(tmp_path) == {"parts": {}, "failed": {}}, "what was not done is no failure"
