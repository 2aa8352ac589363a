"""The coordinate check of one's own models: passes in mup, fails in the standard parametrisation, refuses by name."""

from __future__ import annotations

import json
from pathlib import Path

import commands
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from scalefit.proxy.own.activations import activations, read_model_file  # noqa: E402

torch.set_num_threads(1)
MODELS = Path(__file__).with_name("own_models.py")


@pytest.mark.parametrize(("name", "sizes"), [("gpt", "32,64,128"), ("vit", "32,64,128"), ("mlp", "64,128,256")])
def test_mup_passes_and_the_standard_parametrisation_fails(name, sizes):
    base = f"scalefit coordcheck {MODELS}:build_{name} --sizes {sizes} --steps 3"
    passed = commands.run(f"{base} --parametrization mup")
    assert passed.exit_code == 0, passed.output
    assert passed.stdout.startswith("pass: every module keeps its size as d_model grows from ")
    failed = commands.run(f"{base} --parametrization sp --seeds 3 --json")
    assert failed.exit_code == 1, failed.output
    verdicts = {row["module"]: row["verdict"] for row in json.loads(failed.stdout)["modules"]}
    readout = {"gpt": "lm_head", "vit": "head", "mlp": "4"}[name]
    assert verdicts[readout] == "grows", verdicts
    assert {"gpt": "wte", "vit": "patch_embed", "mlp": "0"}[name] in verdicts


def test_a_wrong_role_fails(tmp_path):
    """A readout that is taken for an embedding grows with the width."""
    text = MODELS.read_text(encoding="utf-8") + '\nroles = {"lm_head.*": "embed"}\n'
    (tmp_path / "wrong.py").write_text(text, encoding="utf-8")
    answer = commands.run(f"scalefit coordcheck {tmp_path}/wrong.py:build_gpt --sizes 32,64,128 --steps 3 --seeds 3")
    assert answer.exit_code == 1
    assert "lm_head" in answer.stdout.splitlines()[0]
    assert "the outputs themselves grow" in answer.stdout


def test_depth_needs_the_branches_and_leaves_them_out(tmp_path):
    text = MODELS.read_text(encoding="utf-8")
    (tmp_path / "deep.py").write_text(text + '\nbranches = ["blocks.*.attn", "blocks.*.mlp"]\n', encoding="utf-8")
    base = "--axis depth --parametrization completep --sizes 2,4,8 --steps 3 --seeds 3 --exit-zero --json"
    found = json.loads(commands.run(f"scalefit coordcheck {tmp_path}/deep.py:build_deep {base}").stdout)
    verdicts = {row["module"]: row["verdict"] for row in found["modules"]}
    assert found["over"] == "n_layer"
    assert {"blocks.*", "lm_head", "blocks.*.norm1"} <= verdicts.keys()
    assert not [name for name in verdicts if ".attn" in name or ".mlp" in name]
    assert not {"grows", "shrinks", "not finite"} & {verdicts["blocks.*"], verdicts["lm_head"]}
    refused = commands.run(f"scalefit coordcheck {MODELS}:build_deep {base}")
    assert refused.exit_code == 2
    assert "no residual branch is named in it" in refused.output


def test_what_is_recorded_is_what_the_modules_put_out(tmp_path):
    """A linear map of ones: its output by hand, and the change by hand after one step of SGD."""
    (tmp_path / "mine.py").write_text(
        "import torch\nfrom torch import nn\n"
        "def build(width):\n"
        "    model = nn.Sequential(nn.Linear(2, width, bias=False), nn.Linear(width, 1, bias=False))\n"
        "    for each in model:\n        nn.init.ones_(each.weight)\n"
        "    return model\n"
        "def loss(model, generator):\n    return model(torch.ones(1, 2)).sum()\n"
    )
    own = read_model_file(f"{tmp_path}/mine.py")
    table = activations(own, [2, 8], seeds=1, steps=2, lr=0.5, optimizer="sgd").set_index(["module", "d_model", "step"])
    assert table.loc[("0", 8, 1), "rms"].item() == 2.0  # the readout begins at zero: nothing moves before it
    assert table.loc[("0", 8, 1), "change"].item() == 0.0
    assert table.loc[("1", 2, 1), "rms"].item() == pytest.approx(2 * 2 * 0.5 * 2)  # rate 0.5, gradient 2 each, input 2
    assert table.loc[("1", 8, 1), "rms"].item() == pytest.approx(8 * 2 * 0.5 / 4 * 2)  # a rate of 1/4
    moved = 0.5 * 1.0 * 1.0  # rate, gradient of W_1 = readout (-1) times input 1
    assert table.loc[("0", 2, 2), "change"].item() == pytest.approx(2 * moved)
    assert table.loc[("0", 8, 2), "change"].item() == pytest.approx(2 * moved)  # rate 4, readout -1/4
    assert set(table.index.get_level_values(0)) == {"0", "1"}  # the list hands on what its last layer made


def test_the_same_call_gives_the_same_rows():
    own = read_model_file(f"{MODELS}:build_gpt")
    first, second = (activations(own, [8, 16], seeds=1, steps=2) for _ in range(2))
    assert first.equals(second)
    assert list(first["module"].unique())[:2] == ["wte", "wpe"]
    state = torch.random.get_rng_state()
    activations(own, [8, 16], seeds=1, steps=1)
    assert torch.equal(state, torch.random.get_rng_state())


def test_dropout_is_off_while_outputs_are_compared(tmp_path):
    (tmp_path / "dropped.py").write_text(
        "import torch\nfrom torch import nn\n"
        "def build(width):\n    return nn.Sequential(nn.Linear(4, width), nn.Dropout(0.5), nn.Linear(width, 1))\n"
        "def loss(model, generator):\n    return model(torch.randn(4, 4, generator=generator)).square().mean()\n"
    )
    own = read_model_file(f"{tmp_path}/dropped.py:build")
    table = activations(own, [4, 8], seeds=1, steps=1, lr=0.0)
    assert np.abs(table["change"]).max() == 0.0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["it has no function build", "define build(size)"]),
        ("def build(width): ...", ["it has no function loss", "loss(model, generator)"]),
        ("def build(width):\n    raise KeyError(width)\ndef loss(m, g): ...", ["build(8): KeyError: 8", "mend"]),
        ("import torch\ndef build(w):\n    return torch.nn.Linear(2, w)\ndef loss(m, g):\n    return 3", ["no scalar"]),
        ("import torch\ndef build(w):\n    return torch.nn.Linear(2, w)\ndef loss(m, g):\n    return m(0)", ["loss("]),
        ("def build(w): ...\ndef loss(m, g): ...\nroles = 3", ["roles is no dictionary"]),
        ("def build(w): ...\ndef loss(m, g): ...\nbranches = 'a'", ["branches is no list"]),
        ("import nothing_of_that_name", ["ModuleNotFoundError", "mend the file"]),
        ("def build(w): return 3\ndef loss(m, g): ...", ["build(8) returns int", "torch.nn.Module"]),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_one_line(tmp_path, text, words):
    (tmp_path / "mine.py").write_text(text)
    answer = commands.run(f"scalefit coordcheck {tmp_path}/mine.py:build --sizes 8,16")
    assert answer.exit_code == 2, answer.output
    assert answer.stderr.count("\n") == 1
    assert "mine.py" in answer.stderr
    assert not [word for word in words if word not in answer.stderr], answer.stderr


def test_other_calls_that_make_no_sense_are_refused(tmp_path):
    for call, word in [
        (f"{tmp_path}/none.py:build", "no such file"),
        (f"{MODELS}:build_gpt --set lr=1", "--set"),
        (f"{MODELS}:build_gpt --sizes 32", "at least two sizes"),
        (f"{MODELS}:build_gpt --sizes 32,64 --lr fast", "fast"),
        (f"{MODELS}:build_none", "no function build_none"),
    ]:
        answer = commands.run(f"scalefit coordcheck {call}")
        assert answer.exit_code == 2, call
        assert word in answer.stderr


def test_the_figure_is_drawn(tmp_path):
    base = f"scalefit coordcheck {MODELS}:build_mlp --sizes 8,16 --steps 2 --seeds 2 --exit-zero"
    assert commands.run(f"{base} --plot {tmp_path}/check.png --csv").stdout.startswith("module,d_model,step,seed,rms")
    assert (tmp_path / "check.png").read_bytes().startswith(b"\x89PNG")
