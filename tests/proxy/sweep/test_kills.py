"""Packs whose process ends between two of their members: while it saves them, or says that they are finished."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from clusters import assert_same, planned  # noqa: E402

from scalefit.proxy import run_sweep  # noqa: E402
from scalefit.proxy.run_folder import RunFolder  # noqa: E402


class Killed(BaseException):
    """Stands for the end of a process: nothing catches it."""


@pytest.mark.parametrize("saved", [1, 3, 5])
def test_members_that_saved_and_members_that_did_not_end_as_if_nothing_had_happened(tmp_path, monkeypatch, saved):
    torch.set_num_threads(1)
    out, whole = tmp_path / "out", tmp_path / "whole"
    for place in (out, whole):
        jobs = planned(place, 4, steps=24, checkpoint_every=10)
    run_sweep(whole)
    save, count = RunFolder.save, []

    def until_killed(folder, *given, **named):
        if len(count) == saved:
            raise Killed
        count.append(folder)
        save(folder, *given, **named)

    monkeypatch.setattr(RunFolder, "save", until_killed)
    with pytest.raises(Killed):
        run_sweep(out)
    monkeypatch.undo()
    steps = {job.id: RunFolder(out / job.id).last_row()["step"] for job in jobs}
    assert set(steps.values()) == {10 * (1 + saved // 5)}, "the log is written before the checkpoints"
    run_sweep(out)
    assert_same(out, whole)


def test_a_pack_of_which_some_were_called_finished_leaves_the_next_packs_as_they_are(tmp_path, monkeypatch):
    torch.set_num_threads(1)
    out, whole = tmp_path / "out", tmp_path / "whole"
    for place in (out, whole):
        planned(place, 6, steps=12)
    run_sweep(whole, members=3)
    describe, count = RunFolder.describe, []

    def until_killed(folder, facts):
        count.extend([folder] * (facts["status"] == "finished"))
        if len(count) == 2:
            raise Killed
        describe(folder, facts)

    monkeypatch.setattr(RunFolder, "describe", until_killed)
    with pytest.raises(Killed):
        run_sweep(out, members=3)
    monkeypatch.undo()
    run_sweep(out, members=3)
    assert_same(out, whole)
