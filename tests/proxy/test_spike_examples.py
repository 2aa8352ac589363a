"""Examples behind a spike of the loss: planted, ranked, saved with the run, named by watch."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import commands
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from scalefit.proxy import Config, Ensemble, train  # noqa: E402
from scalefit.proxy.spikes import begun, ranked, watched  # noqa: E402

torch.set_num_threads(1)
BASE = Config(
    d_model=16,
    d_head=8,
    n_layer=1,
    seq_len=16,
    batch=128,
    steps=70,
    warmup=5,
    lr=0.01,
    eval_every=70,
    eval_batch=64,
    checkpoint_every=20,
    spike_examples=5,
    name="run",
)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Lines of one letter each, a or b."""
    place = tmp_path_factory.mktemp("text") / "text.txt"
    lines = np.random.default_rng(0).choice(["a" * 40, "b" * 40], size=300)
    place.write_text("\n".join(lines))
    return str(place)


def spoil(monkeypatch: pytest.MonkeyPatch, at: int, letter: int = ord("b")) -> None:
    """Before step ``at`` the logit of one letter turns round: the loss of examples with that letter jumps."""
    update = Ensemble.update

    def spoilt(self: Ensemble, *record: object) -> dict[str, torch.Tensor]:
        if self.step + 1 == at:
            size = self.model.leaves["readout"].size
            self.theta[:, -size:].view(len(self.theta), -1, 256)[..., letter] *= -2
        return update(self, *record)  # type: ignore[arg-type]

    monkeypatch.setattr(Ensemble, "update", spoilt)


@pytest.fixture(scope="module")
def spoilt(text: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        spoil(patch, 50)
        return train(replace(BASE, data=text), tmp_path_factory.mktemp("spoilt"))


def test_the_examples_that_caused_it_are_first_and_the_weights_are_of_before(text: str, spoilt: Path) -> None:
    (spike,) = json.loads((spoilt / "spikes.json").read_text())["spikes"]
    assert spike["step"] == 50
    assert spike["since"] in (44, 39)  # weights are kept every five steps, and the last but one are compared
    rose = [each for each in spike["examples"] if each["change"] > 0]
    assert len(rose) == 5
    assert {each["step"] for each in spike["examples"]} <= {47, 48, 49, 50}  # the last four batches
    source = Ensemble([replace(BASE, data=text)]).source
    for each in spike["examples"]:
        tokens = source.batch(0, each["step"], 8)["tokens"][each["example"]]
        assert bytes(tokens.tolist()).decode() == each["text"]
    assert all("bbbbbbbb" in each["text"] for each in rose)
    assert sorted((each["change"] for each in rose), reverse=True) == [each["change"] for each in rose]
    fell = [each for each in spike["examples"] if each["change"] < 0]
    assert len(fell) == 5
    assert all("aaaaaa" in each["text"] and -each["change"] < each["before"] for each in fell)


def test_watch_names_them(spoilt: Path) -> None:
    for place in (spoilt, spoilt.parent):
        told = commands.run(f"scalefit watch {place}")
        assert "step 50: examples by the change of their loss since step" in told.stdout, told.output
        assert "nats, example" in told.stdout
        assert "bbbbbbbb" in told.stdout


def test_a_run_that_was_killed_finds_the_same(
    text: str, spoilt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, 50)
    update = Ensemble.update

    def killed(self: Ensemble, *record: object) -> dict[str, torch.Tensor]:
        if self.step == 55:
            raise InterruptedError
        return update(self, *record)  # type: ignore[arg-type]

    monkeypatch.setattr(Ensemble, "update", killed)
    with pytest.raises(InterruptedError):
        train(replace(BASE, data=text), tmp_path / "killed")
    monkeypatch.setattr(Ensemble, "update", update)
    again = train(replace(BASE, data=text), tmp_path / "killed")
    for name in ("spikes.json", "log.jsonl"):
        assert (again / name).read_bytes() == (spoilt / name).read_bytes()


def test_looking_for_them_changes_no_number_of_the_run(text: str, tmp_path: Path) -> None:
    with_, without = (train(replace(BASE, data=text, spike_examples=n, steps=12), tmp_path / str(n)) for n in (5, 0))
    assert (with_ / "log.jsonl").read_bytes() == (without / "log.jsonl").read_bytes()
    assert not (with_ / "spikes.json").exists()


def test_noise_begins_no_spike_and_one_spike_begins_once() -> None:
    rng = np.random.default_rng(0)
    state, found = watched(torch.zeros(2, 3)), []
    for step in range(1, 300):
        loss = torch.tensor(3 + 20 / step + 0.05 * rng.standard_normal(2))
        loss[1] += 2.0 if 200 <= step < 210 else 0.0
        found += [(k, step) for k in begun(state, torch.full((2, 3), float(step)), loss, step, 10)]
    assert found == [(1, 200)]
    assert state["spike_kept"][:, 0].tolist() == [290, 290]
    assert state["spike_before"][:, 0].tolist() == [280, 280]


def test_ranks_are_by_change_both_ways() -> None:
    change = torch.tensor([0.1, -3.0, 5.0, 0.0, 2.0, -1.0])
    rows = ranked(change, torch.ones(6), first=9, size=3)
    assert [(each["step"], each["example"]) for each in rows] == [(9, 2), (10, 1), (9, 0), (9, 1), (10, 2)]
