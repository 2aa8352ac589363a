"""Learning from a teacher's logits, beginning with the weights of a finished run, and weights of few bits."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402

from scalefit.errors import InputError  # noqa: E402
from scalefit.proxy import Config, Ensemble, train  # noqa: E402
from scalefit.proxy.models import weights  # noqa: E402
from scalefit.proxy.models.layers import Leaf, member_divergence  # noqa: E402

torch.set_num_threads(1)
BASE = Config(
    d_model=16,
    d_head=8,
    n_layer=1,
    seq_len=8,
    batch=64,
    steps=30,
    warmup=2,
    lr=0.02,
    eval_batch=512,
    eval_every=30,
    data="zipf-markov",
    data_options={"tokens": 20000, "vocab": 8, "order": 1},
)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(replace(BASE, d_model=32, name="teacher"), tmp_path_factory.mktemp("runs"))


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_the_divergence_is_torchs(temperature: float) -> None:
    ours, theirs = torch.randn(2, 6, 5), torch.randn(1, 6, 5)
    for k in range(2):
        pair = ((each / temperature).log_softmax(-1) for each in (ours[k], theirs[0]))
        wanted = F.kl_div(*pair, log_target=True, reduction="batchmean") * temperature**2
        assert member_divergence(ours, theirs, temperature)[k].item() == pytest.approx(wanted.item(), rel=1e-5)


def test_what_is_minimised_is_the_blend_and_what_is_logged_is_the_cross_entropy(teacher: Path) -> None:
    found = {}
    for share in (0.0, 0.25, 1.0):
        ensemble = Ensemble([replace(BASE, teacher=str(teacher), distill=share)])
        batch = ensemble.batch(1)
        found[share] = ensemble.model.losses(ensemble.weights(ensemble.theta), batch)
    plain = Ensemble([BASE])
    alone = plain.model.losses(plain.weights(plain.theta), plain.batch(1))
    assert {loss.item() for _, loss in found.values()} == {alone[1].item()}
    assert found[0.0][0].item() == alone[0].item()
    blend = 0.75 * found[0.0][0].item() + 0.25 * found[1.0][0].item()
    assert found[0.25][0].item() == pytest.approx(blend, rel=1e-6)


def test_a_student_of_the_teachers_shape_learns_what_it_says(teacher: Path, tmp_path: Path) -> None:
    """Under teachers of one loss the student follows the teacher, not the data: to logits that it can reach exactly."""
    config = replace(BASE, d_model=32, seed=5, steps=150, eval_every=150, teacher=str(teacher))
    ensemble = Ensemble([config])
    assert ensemble.teacher is not None
    batch = ensemble.batch(0)

    def apart() -> float:
        logits = ensemble.model.logits(ensemble.weights(ensemble.theta), batch["tokens"][..., :-1])  # type: ignore[attr-defined]
        return member_divergence(logits.flatten(1, 2), batch["teacher"].flatten(1, 2), 1.0).item()

    before = apart()
    for _ in range(150):
        ensemble.update()
    assert apart() < 0.1 * before


def test_a_run_begins_with_the_weights_of_another_as_they_are_evaluated(tmp_path: Path) -> None:
    """Those of a schedule-free run are its averages, not the place of its gradients."""
    free = replace(BASE, optimizer="schedule-free-adamw", schedule="constant", steps=4, name="free")
    before = json.loads((train(free, tmp_path) / "run.json").read_text())
    ensemble = Ensemble([replace(BASE, start=str(tmp_path / "free"), seed=9)] * 2)
    assert ensemble.evaluate()["val_loss"].tolist() == [before["val_loss"]] * 2
    for shape, said in (({"d_model": 24}, "embed is (8, 16), here (8, 24)"), ({"biases": True}, "qkv_bias is None")):
        with pytest.raises(InputError) as refused:
            Ensemble([replace(BASE, start=str(tmp_path / "free"), **shape)])  # type: ignore[arg-type]
        assert said in str(refused.value)


def test_packed_students_equal_students_alone_and_resume_to_the_bit(
    teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Students that begin with their teacher's weights, which run.json says."""
    earlier = {"teacher": str(teacher), "start": str(teacher)}
    config = replace(BASE, d_model=32, steps=4, checkpoint_every=2, distill=0.5, **earlier)  # type: ignore[arg-type]
    members = [replace(config, seed=k, data_seed=k % 2) for k in range(3)]
    packed, alone = Ensemble(members), [Ensemble([each]) for each in members]
    for _ in range(3):
        packed.update()
        for each in alone:
            each.update()
    assert all(torch.equal(packed.theta[k], each.theta[0]) for k, each in enumerate(alone))
    whole, update = train(config, tmp_path / "whole"), Ensemble.update

    def killed(self: Ensemble, *record: object) -> dict[str, torch.Tensor]:
        if self.step == 3:
            raise InterruptedError
        return update(self, *record)  # type: ignore[arg-type]

    monkeypatch.setattr(Ensemble, "update", killed)
    with pytest.raises(InterruptedError):
        train(config, tmp_path / "killed")
    monkeypatch.undo()
    about = tmp_path / "killed" / whole.name / "run.json"
    facts = json.loads(about.read_text())
    own = json.loads((teacher / "run.json").read_text())
    for role in earlier:
        assert facts[f"loss_{role}"] == own["val_loss"]
        assert facts[role] == {name: own[name] for name in ("identity", "N", "D", "val_loss")}
        about.write_text(json.dumps({**facts, role: {**facts[role], "val_loss": 9.0}}))
        with pytest.raises(InputError, match=f"another {role}"):
            train(config, tmp_path / "killed")
    about.write_text(json.dumps(facts))
    assert (train(config, tmp_path / "killed") / "log.jsonl").read_bytes() == (whole / "log.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"teacher": "nowhere"}, "there is no teacher"),
        ({"data_options": {"tokens": 20000, "vocab": 6, "order": 1}}, "8 symbols"),
    ],
)
def test_who_cannot_teach_is_refused(teacher: Path, changes: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Ensemble([replace(BASE, **({"teacher": str(teacher)} | changes))])  # type: ignore[arg-type]


def test_an_encoder_decoder_cannot_teach(teacher: Path, tmp_path: Path) -> None:
    pair = replace(
        BASE, model="encoder-decoder", data="postfix", data_options={}, seq_len=3, batch=6, steps=1, warmup=0
    )
    found = train(replace(pair, name="pair"), tmp_path)
    with pytest.raises(InputError, match="the teacher is of model encoder-decoder"):
        Ensemble([replace(pair, teacher=str(found))])


@pytest.mark.parametrize(("bits", "group"), [(2, 0), (3, 2), (8, 3)])
def test_rounded_weights_are_the_nearest_of_the_levels_of_their_column_or_group(bits: int, group: int) -> None:
    leaves = {
        "w": Leaf((6, 5), "hidden", 1.0),
        "e": Leaf((3, 6, 5), "hidden", 1.0),
        "out": Leaf((7, 5), "readout", 1.0),
    }
    w = {name: torch.randn(2, *leaf.shape) for name, leaf in leaves.items()}
    found = weights.rounded(w, leaves, bits, group)
    assert torch.equal(found["out"], w["out"])
    parts = [(name, slice(at, at + (group or 6))) for name in ("w", "e") for at in range(0, 6, group or 6)]
    for name, part in parts:
        columns, values = w[name].numpy()[..., part, :], found[name].numpy()[..., part, :]
        most = np.abs(columns).max(-2, keepdims=True)
        levels = np.arange(-(2 ** (bits - 1)) + 1, 2 ** (bits - 1)) / (2 ** (bits - 1) - 1)
        nearest = levels[np.abs(columns[..., None] / most[..., None] - levels).argmin(-1)] * most
        np.testing.assert_allclose(values, nearest, atol=1e-6)


def test_the_gradient_passes_straight_through_and_the_loss_is_that_of_the_rounded_weights() -> None:
    """The gradient at the weights is that at the rounded ones, and of so many bits nothing is left to see."""
    ensemble = Ensemble([replace(BASE, weight_bits=2, zero_readout=False)])
    model, batch = ensemble.model, ensemble.batch(1)
    theta = ensemble.theta.clone().requires_grad_()
    loss = model.losses(ensemble.weights(theta), batch)[0]
    (grad,) = torch.autograd.grad(loss.sum(), theta)
    flat = torch.cat([each.flatten(1) for each in ensemble.weights(ensemble.theta).values()], 1).requires_grad_()
    rounded = model.losses(weights.views(flat, model.leaves), batch)[0]
    assert rounded.item() == loss.item()
    torch.testing.assert_close(grad, torch.autograd.grad(rounded.sum(), flat)[0])
    fine, plain = (Ensemble([replace(BASE, weight_bits=bits, zero_readout=False)]) for bits in (20, 0))
    assert fine.evaluate()["val_loss"].item() == pytest.approx(plain.evaluate()["val_loss"].item(), abs=1e-4)
