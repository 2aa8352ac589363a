"""The encoder-decoder and its synthetic translation task."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from scalefit.errors import InputError  # noqa: E402
from scalefit.proxy import Config, Ensemble, train  # noqa: E402
from scalefit.proxy.models import weights  # noqa: E402
from scalefit.proxy.tasks.translation import Translation  # noqa: E402

torch.set_num_threads(1)
CONFIG = Config(
    model="encoder-decoder",
    data="translation",
    data_options={"source_words": 6, "draft_words": 9, "meanings": 3},
    d_model=16,
    d_head=8,
    n_layer=1,
    n_encoder_layer=2,
    seq_len=5,
    batch=40,
    steps=4,
    warmup=1,
    eval_batch=40,
    zero_readout=False,
)


def logits(ensemble: Ensemble, source: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    w = weights.views(ensemble.theta, ensemble.model.leaves)
    return ensemble.model.translate(w, source, tokens)  # type: ignore[attr-defined,no-any-return]


def test_no_target_token_is_seen_before_its_turn_and_every_source_token_always() -> None:
    ensemble = Ensemble([CONFIG])
    batch = ensemble.batch(1)
    source, tokens = batch["source"], batch["tokens"]
    before = logits(ensemble, source, tokens)
    later = tokens.clone()
    later[..., 3] = (later[..., 3] + 1) % 6
    after = logits(ensemble, source, later)
    assert torch.allclose(before[..., :3, :], after[..., :3, :], atol=1e-6)
    assert not torch.allclose(before[..., 3, :], after[..., 3, :], atol=1e-4)
    last = source.clone()
    last[..., -1] = (last[..., -1] + 1) % 6
    assert not torch.allclose(before[..., 0, :], logits(ensemble, last, tokens)[..., 0, :], atol=1e-4)


def test_members_are_the_models_alone() -> None:
    pair = Ensemble([CONFIG, replace(CONFIG, seed=1)])
    alone = Ensemble([replace(CONFIG, seed=1)])
    batch = pair.batch(1)
    w = weights.views(pair.theta, pair.model.leaves)
    losses = pair.model.losses(w, batch)[0]
    one = alone.model.losses(weights.views(alone.theta, alone.model.leaves), batch)[0]
    assert losses[1].item() == pytest.approx(one.item(), rel=1e-6)


def test_depths_and_widths_are_independent_and_the_start_is_log_vocabulary() -> None:
    sizes = {}
    for encoder, decoder, width in ((1, 1, 16), (3, 1, 16), (1, 3, 16), (1, 1, 32)):
        shape = {"n_encoder_layer": encoder, "n_layer": decoder, "encoder_width": width, "zero_readout": True}
        ensemble = Ensemble([replace(CONFIG, **shape)])  # type: ignore[arg-type]
        sizes[encoder, decoder, width] = weights.counts(ensemble.model.leaves)
        loss = ensemble.model.losses(weights.views(ensemble.theta, ensemble.model.leaves), ensemble.batch(1))[1]
        assert loss.item() == pytest.approx(math.log(9), abs=1e-5)
    matrices = {shape: size["N_matrices"] for shape, size in sizes.items()}
    assert matrices[3, 1, 16] - matrices[1, 1, 16] == 2 * 12 * 16**2
    assert matrices[1, 3, 16] - matrices[1, 1, 16] == 2 * 16 * 16**2
    assert matrices[1, 1, 32] - matrices[1, 1, 16] == 12 * (32**2 - 16**2) + 2 * 16 * 16
    for (encoder, decoder, width), size in sizes.items():
        assert size["N_enc"] + size["N_dec"] + decoder * 2 * 16 * width == size["N"]
        assert size["N_dec"] == sizes[1, decoder, 16]["N_dec"]
        assert size["N_enc"] == sizes[encoder, 1, width]["N_enc"]


def test_either_text_tells_the_meaning_by_a_word_and_the_word_before_it() -> None:
    task = Translation(4, source_words=12, draft_words=18, meanings=3)
    examples = {name: value.numpy() for name, value in task.draw(np.random.default_rng(0), 20000).items()}
    target = examples["target"]
    for text, words in ((examples["source"], 12), (examples["tokens"], 18)):
        before = np.concatenate([np.full((len(text), 1), words), text[:, :-1]], axis=1)
        pair = before * words + text
        told = np.full((words + 1) * words, -1)
        told[pair.ravel()] = target.ravel()
        assert (told[pair] == target).all()
        assert all((told.reshape(words + 1, words)[row] >= 0).all() for row in (0, words))
        meanings = np.bincount(told[: words * words], minlength=3)
        assert meanings.max() - meanings.min() < 0.2 * meanings.mean()
        assert len({tuple(row) for row in told.reshape(words + 1, words)}) == words + 1


def test_the_texts_tell_nothing_of_each_other_but_the_meaning() -> None:
    task = Translation(1, source_words=6, draft_words=6, meanings=2)
    examples = {name: value.numpy()[:, 0] for name, value in task.draw(np.random.default_rng(0), 60000).items()}
    for meaning in (0, 1):
        chosen = examples["target"] == meaning
        joint = np.zeros((6, 6))
        np.add.at(joint, (examples["source"][chosen], examples["tokens"][chosen]), 1 / chosen.sum())
        apart = joint.sum(1, keepdims=True) * joint.sum(0)
        assert np.abs(joint - apart).max() < 4 * 0.5 / np.sqrt(chosen.sum())


def test_training_it_learns(tmp_path: Path) -> None:
    import json

    config = replace(CONFIG, steps=60, batch=320, lr=0.02, warmup=10, eval_every=60, eval_batch=2000)
    path = train(config, tmp_path)
    run = json.loads((path / "run.json").read_text())
    assert run["data"]["val_loss"]["loss_floor"] == 0.0
    assert 0 < run["val_loss"] < math.log(3)
    assert run["N_enc"] + run["N_dec"] + 2 * 16 * 16 == run["N"]


def test_a_model_is_refused_data_of_another_kind() -> None:
    for model, data in (("decoder", "translation"), ("encoder-decoder", "stdlib"), ("mlp", "stdlib")):
        with pytest.raises(InputError, match="change model or data"):
            Ensemble([replace(CONFIG, model=model, data=data, data_options={})])
    with pytest.raises(InputError, match="no translation"):
        Translation(4, source_words=13)


@pytest.mark.parametrize("norm", ["post", "peri"])
def test_a_norm_that_it_does_not_know_is_refused(norm: str) -> None:
    with pytest.raises(InputError, match="choose norm pre"):
        Ensemble([replace(CONFIG, norm=norm)])


def test_z_loss_counts_in_what_is_minimised_and_not_in_the_loss() -> None:
    plain, with_z = (Ensemble([replace(CONFIG, zero_readout=True, z_loss=z)]) for z in (0.0, 0.1))
    w = weights.views(plain.theta, plain.model.leaves)
    (loss,), (objective, same) = plain.model.losses(w, plain.batch(1))[1], with_z.model.losses(w, plain.batch(1))
    assert same.item() == loss.item()
    assert objective.item() == pytest.approx(loss.item() + 0.1 * math.log(9) ** 2, rel=1e-5)
