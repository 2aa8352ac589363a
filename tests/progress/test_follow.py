"""A growing log is looked at whenever it has changed, and no longer than its runs go on."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.errors import InputError
from scalefit.progress.follow import end_of, has_begun, looks, mark_of


class Log:
    """A log whose rows appear while somebody waits; a row of None cannot be read."""

    def __init__(self, *rows):
        self.rows, self.coming, self.waited, self.looked = [rows[0]], list(rows[1:]), 0, 0

    def look(self):
        self.looked += 1
        if self.rows[-1] is None:
            raise InputError("torn")
        return len(self.rows)

    def mark(self):
        return len(self.rows)

    def wait(self):
        self.waited += 1
        if self.coming:
            added = self.coming.pop(0)
            self.rows += [] if added == "nothing" else [added]
        return 10.0

    def seen(self, **how):
        return list(looks(self.look, self.mark, self.wait, **{"idle": 30.0, **how}))


def test_a_look_at_once_and_one_for_each_change():
    log = Log(1, "nothing", 1, 1, "nothing", "nothing", 1)
    assert log.seen() == [1, 2, 3, 4]
    assert log.looked == 4, "what has not changed is not read again"


def test_it_ends_when_the_log_stays_as_it_is_for_long_enough():
    log = Log(1, "nothing", "nothing", "nothing", 1)
    assert log.seen(idle=30.0) == [1]
    assert log.waited == 3
    assert Log(1, "nothing", "nothing", "nothing", 1).seen(idle=40.0) == [1, 2]


def test_a_torn_row_is_read_again_once():
    assert Log(1, None, 1).seen() == [1, 3]
    log = Log(1, None, None, 1)
    with pytest.raises(InputError, match="torn"):
        log.seen()
    assert log.looked == 3


def test_a_log_that_cannot_be_read_is_refused_at_once():
    log = Log(None, 1)
    with pytest.raises(InputError, match="torn"):
        log.seen()
    assert log.waited == 0


def test_a_log_that_has_not_begun_is_waited_for():
    log = Log(None, None, None, 1, 1)
    assert log.seen(begun=lambda: len(log.rows) > 3) == [4, 5]
    late = Log(None, None)
    with pytest.raises(InputError, match="torn"):
        late.seen(begun=lambda: False)


def test_the_mark_is_that_of_the_files(tmp_path):
    log = tmp_path / "a.csv"
    log.write_text("step,loss\n1,2\n")
    first, folder = mark_of([str(log)]), mark_of([str(tmp_path)])
    assert first == mark_of([str(log)]) == mark_of([str(tmp_path / "*.csv")])
    assert not has_begun([str(log)])
    with log.open("a") as file:
        file.write("2,2\n3,2\n")
    assert first != mark_of([str(log)])
    assert folder != mark_of([str(tmp_path)])
    assert has_begun([str(log)])
    assert has_begun([str(tmp_path / "none.csv")]), "nobody waits for what is not there"
    assert mark_of(["wandb:a/b/c"]) != mark_of(["wandb:a/b/c"]), "what is no file is always looked at"


def seen(**columns):
    rows = pd.DataFrame({"step": np.arange(0, 100), "loss": 3 + 1 / np.arange(1, 101), **columns})
    runs = sf.read_runs(rows)
    return runs, {"DataFrame": sf.watch(runs.curves)}


@pytest.mark.parametrize(
    ("columns", "steps", "said"),
    [
        ({}, None, ""),
        ({}, 200, ""),
        ({}, 100, "is at its last step"),
        ({"total_steps": 100}, None, "is at its last step"),
        ({"total_steps": 200}, None, ""),
        ({"status": "running"}, None, ""),
        ({"status": "finished"}, None, "has ended, as its log says"),
    ],
)
def test_why_a_run_has_ended(columns, steps, said):
    reason = end_of(*seen(**columns), steps)
    assert said in reason
    assert bool(said) == bool(reason)


def test_the_schedule_says_how_long_a_run_is():
    rows = pd.DataFrame({"step": np.arange(0, 100), "loss": 3 + 1 / np.arange(1, 101)})
    for steps, ended in ((100, True), (300, False)):
        runs = sf.read_runs(rows, schedule=f"cosine:peak_lr=1e-3,steps={steps},warmup=10")
        assert bool(end_of(runs, {"DataFrame": sf.watch(runs.curves)}, None)) is ended


def test_all_runs_must_have_ended():
    step = np.arange(100)
    rows = pd.DataFrame(
        {"run": ["a"] * 100 + ["b"] * 100, "step": [*step, *step], "loss": 2 + 1 / (1 + np.tile(step, 2))}
    )
    runs = sf.read_runs(rows.assign(total_steps=[100] * 100 + [400] * 100))
    found = {name: sf.watch(runs.curves[runs.curves["run"] == name]) for name in "ab"}
    assert end_of(runs, found, None) == ""
    assert end_of(runs, {"a": found["a"]}, None) == "a is at its last step"
