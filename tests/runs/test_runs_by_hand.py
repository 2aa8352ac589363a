"""What a run is, with few rows each: diverged, stopped, unfinished; its learning rate, its settings, its final loss."""

from __future__ import annotations

import re

import commands
import numpy as np
import pandas as pd
import pytest

from scalefit.errors import InputError
from scalefit.runs import read_runs, settings
from scalefit.runs.conventions import mixed_conventions
from scalefit.runs.divergence import divergence
from scalefit.runs.endings import spacing, unfinished
from scalefit.runs.final import diverged, final_losses, finished, marked
from scalefit.runs.matching import match
from scalefit.runs.reading.read import _with_run_table
from scalefit.runs.siblings import lost_runs, stopped, unfinished_by_status
from scalefit.runs.table import Runs, last_rows
from scalefit.runs.trajectory import LearningRates, rows_of, schedules_of, spans
from scalefit.runs.wording import header_scale
from scalefit.schedules import parse_schedule

NAN, INF = np.nan, np.inf
FLAT = [3.0] * 20


def runs_of(ends, by=1, loss=3.0, **columns):
    """Curves with a row every ``by`` steps up to the end of each run, as they are after reading."""
    parts = [pd.DataFrame({"run": run, "step": np.arange(0, end + 1, by)}) for run, end in ends.items()]
    curves = pd.concat(parts, ignore_index=True).assign(loss=loss, **columns)
    curves["run"] = pd.Categorical(curves["run"], categories=list(ends))
    table = pd.DataFrame({"run": list(ends), "loss": 3.0})
    return Runs(curves, table)


# --- divergence -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "first", "initial", "step", "why"),
    [
        ([*FLAT, NAN], 10, None, 30, "the loss is not finite at step 30"),
        ([*FLAT, NAN, INF], 10, None, 30, "the loss is not finite at step 31"),
        ([NAN] * 3, 10, None, 10, "the loss is not finite at step 12"),
        ([10, *FLAT, 9.95, 9.95, 9.95], 0, None, 21, "the loss is back at that of an untrained model (9.95)"),
        ([10, *FLAT, 9.95, 9.95, 9.95], 1, None, 22, "the loss is back at that of an untrained model (9.95)"),
        ([10, *FLAT, 9.95, 9.95, 9.95], 2, None, 23, "the loss stays 6.95 nats above its least (3)"),
        ([*FLAT, 9.95, 9.95, 9.95], 9, 10.0, 29, "back at that of an untrained model"),
        ([3.0, 2.5, 2.5, 2.5, 2.5, 2.95, 2.95, 2.95], 0, None, 5, "back at that of an untrained model"),
        ([3.0, 2.98, 2.98, 2.98, 2.98, 2.98, 2.98], 0, None, None, ""),
        ([3.0, 2.5, 2.5, 2.5, 2.5, 2.80, 2.80, 2.80], 0, None, None, ""),
        ([3.0, 2.5, 2.5, 2.5, 2.5, 2.85, 2.85, 2.85], 0, None, 5, "the loss stays 0.35 nats above its least (2.5)"),
        ([*FLAT, 4.01, 4.01, 4.01], 10, None, 30, "the loss stays 1.01 nats above its least (3) over the last tenth"),
        ([*FLAT, 3.99, 3.99, 3.99], 10, None, None, ""),
        ([*FLAT, 4.01, 4.01], 10, None, None, ""),
        ([*FLAT, 3.5, 4.01, 4.01, 4.01], 10, None, 31, "the loss stays 1.01 nats above"),
        ([*FLAT, *FLAT, 4.01, 4.01, 4.01, 4.01], 10, None, 50, "the loss stays 1.01 nats above"),
        ([], 0, None, None, ""),
        ([3.0], 0, None, None, ""),
    ],
)
def test_whether_a_run_has_diverged(loss, first, initial, step, why):
    found = divergence(np.arange(len(loss)) + first, np.array(loss, dtype=float), initial)
    assert (found and found.step) == step
    assert why in found.why if found else not why


def test_noise_raises_what_counts_as_lost():
    """Rows of +-0.3 differ by 0.6: their noise is 1.4826 x 0.6/sqrt(2) = 0.629, eight of them 5.03 nats."""
    noisy = 5 + 0.3 * (-1.0) ** np.arange(40)
    step = np.arange(10, 55)
    assert divergence(step, np.r_[noisy, [9.6] * 5]) is None
    assert divergence(step, np.r_[noisy, [9.8] * 5]).step == 50
    assert "over its last rows" in divergence(step, np.r_[noisy, [9.8] * 5], share=0.0).why


@pytest.mark.parametrize(
    ("loss", "lost"),
    [
        ([4, 3, NAN], (2, 2)),
        ([4, 3, NAN, NAN], (2, 3)),
        ([NAN, NAN], (0, 1)),
        ([4, NAN, 3], None),
        ([4, NAN, 3, NAN, 2, NAN, NAN, NAN], (5, 7)),  # every other row: dense
        ([4, NAN, NAN, 3, NAN, NAN, 2, *[NAN] * 6], None),  # evaluations every three rows; not yet twice as long
        ([4, NAN, NAN, 3, NAN, NAN, 2, *[NAN] * 7], (7, 13)),
        ([4, NAN, NAN, NAN, 3, *[NAN] * 20], None),  # two evaluations have no rhythm
    ],
)
def test_runs_that_are_lost(loss, lost):
    runs = runs_of({"a": len(loss) - 1}, loss=np.array(loss, dtype=float))
    assert lost_runs(runs.curves) == ({} if lost is None else {"a": lost})
    assert lost_runs(runs.curves.drop(columns="loss")) == {}


# --- runs that stop ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ends", "told"),
    [
        ({"a": 100, "b": 100, "c": 50}, ["c at step 50 of 100"]),
        ({"a": 100, "b": 100, "c": 50, "d": 30}, ["c at step 50 of 100", "d at step 30 of 100"]),
        ({"a": 100, "b": 100, "c": 50, "d": 30, "e": 20}, []),  # less than half of all end alike
        ({"a": 100, "b": 50}, []),
        ({"a": 100, "b": 100, "c": 95}, []),
        ({"a": 100, "b": 100, "c": 94}, ["c at step 94 of 100"]),
        ({"a": 100, "b": 100, "c": 50, "d": 50}, []),
        ({"a": 100, "b": 100, "c": 120}, []),
    ],
)
def test_runs_that_stop_before_the_others(ends, told):
    notes = list(stopped(runs_of(ends)))
    assert bool(notes) == bool(told)
    if told:
        count = "1 runs? stops?" if len(told) == 1 else f"{len(told)} runs stop"
        assert re.match(f"{count} before the others: {'; '.join(told)}; ", notes[0].text)
        assert notes[0].count == len(told)
        assert ('(--where "' + " and ".join(f"run != '{t[0]}'" for t in told) + '"') in notes[0].text


@pytest.mark.parametrize(("by", "told"), [(2, 1), (3, 0)])
def test_rows_far_apart_hide_where_a_run_stops(by, told):
    """Runs of 18 and 12 steps: six steps are more than twice two, not more than twice three."""
    assert len(list(stopped(runs_of({"a": 18, "b": 18, "c": 12}, by=by)))) == told


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"steps": 53}, 1),
        ({"steps": 52}, 0),  # 50 are more than 95 % of 52
        ({"lr": np.r_[np.ones(101), np.ones(101), np.linspace(1, 0.19, 51)]}, 0),
        ({"lr": np.r_[np.ones(101), np.ones(101), np.linspace(1, 0.21, 51)]}, 1),
        ({"loss": np.r_[3 * np.ones(250), NAN, NAN, NAN]}, 0),
    ],
)
def test_runs_that_stop_for_a_reason(columns, told):
    assert len(list(stopped(runs_of({"a": 100, "b": 100, "c": 50}, **columns)))) == told


@pytest.mark.parametrize(("declared", "told"), [(50, 0), (52, 0), (53, 1)])
def test_runs_that_reach_what_they_declare(declared, told):
    assert len(list(stopped(runs_of({"a": 100, "b": 100, "c": 50}), {"c": declared}))) == told


@pytest.mark.parametrize(("status", "told"), [("Finished", 0), ("running", 1)])
def test_runs_whose_status_is_done(status, told):
    runs = runs_of({"a": 100, "b": 100, "c": 50})
    runs.table["status"] = ["done", "done", status]
    assert len(list(stopped(runs))) == told
    assert len(list(unfinished_by_status(runs))) == told
    assert list(stopped(Runs(None, runs.table))) == []


def test_runs_by_status_in_words():
    table = pd.DataFrame({"run": list("abcd"), "loss": 3.0, "status": ["crashed", "running ", "crashed", "finished"]})
    (note,) = unfinished_by_status(Runs(None, table))
    assert note.text.startswith("3 runs did not finish (crashed: a, c; running : b)")
    assert """(--where "status != 'crashed' and status != 'running '\"""" in note.text
    assert note.count == 3


# --- losses that are not final ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("steps", "told"), [(105, False), (106, True)])
def test_declared_steps(steps, told):
    runs = runs_of({"a": 100})
    runs.table["steps"] = steps
    said = unfinished(runs, every_row=False)
    pattern = rf"1 runs? stopped before .* declared end \(a at 100 of {steps}\): .* not final"
    assert [bool(re.match(pattern, text)) for text in said] == [True] * told


@pytest.mark.parametrize(("final", "told"), [(0.39, True), (0.41, False)])
def test_a_schedule_that_still_falls(final, told):
    """At step 50 of 100 the rate is (1 + final)/2; the end lies below 0.8 of that for final < 2/3."""
    plan = parse_schedule(f"piecewise:at=0/50/100,lr=1/0.5/{final}")
    runs = Runs(
        *[getattr(runs_of({"a": 50}), name) for name in ("curves", "table")],
        learning_rates=LearningRates(given={"a": plan}),
    )
    assert bool(unfinished(runs, every_row=False)) == told


def ended(*ends):
    """Runs of final losses with their last learning rate over the peak."""
    table = pd.DataFrame(
        {"run": [f"r{i}" for i in range(len(ends))], "loss": 3.0, "peak_lr": 2.0, "lr": 2.0 * np.array(ends)}
    )
    return unfinished(Runs(None, table), every_row=False)


def test_ends_at_a_high_and_at_a_low_rate():
    said = ended(0.51, 0.19, 0.3)
    assert re.match(r"1 runs? ends? at a high learning rate \(r0\), 1 at a low one", said[0])
    assert ended(0.5, 0.19) == ended(0.51, 0.2) == ended(0.51, 0.6) == ended(0.1, 0.19) == []
    table = pd.DataFrame({"run": ["a", "b"], "loss": 3.0, "lr": [1.0, 0.1]})
    assert unfinished(Runs(None, table), every_row=False) == []


@pytest.mark.parametrize(("lowest", "told"), [(0.49, 1), (0.51, 0)])
def test_every_row_under_a_rate_that_falls(lowest, told):
    lr = np.r_[np.linspace(0, 1, 11), np.linspace(1, lowest, 11)[1:]]
    log = pd.DataFrame({"run": "a", "step": np.arange(21), "loss": np.linspace(4, 3, 21), "lr": lr})
    said = [text for text in unfinished(read_runs(log), every_row=True) if text.startswith("every row of 1 run")]
    assert len(said) == told
    assert spacing(np.array([0, 10, 20, 90])) == 10
    assert spacing(np.array([5])) == 0


# --- conventions ------------------------------------------------------------------------------------------------------


def shaped(inputs, count=10):
    """Models of 12 blocks of d^2 and so many embedding matrices each."""
    width = 64 * np.arange(1, count + 1)
    counted = 12 * 4 * width**2 + np.array(inputs) * 50_000 * width
    return pd.DataFrame({"N": counted, "d_model": width, "n_layer": 4, "vocab": 50_000, "loss": 3.0})


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ([0] * 10, ""),
        ([1] * 10, ""),
        ([2] * 10, ""),
        ([0] * 8 + [1] * 2, "by d_model, n_layer and vocab 2 of 10 rows (8, 9) count them"),
        ([0] * 8 + [2] * 2, "2 of 10 rows (8, 9) count them"),
        ([1] * 7 + [2] * 3, "3 of 10 rows (7, 8, 9) count more of them"),
        ([0] * 9 + [1], ""),  # one row is no convention
        ([0] * 4 + [1] * 3 + [2] * 3, ""),
    ],
)
def test_embeddings_counted_in_some_rows_by_the_shapes(inputs, told):
    said = mixed_conventions(shaped(inputs), {"N"})
    assert bool(said) == bool(told)
    assert not told or told in said[0]
    assert mixed_conventions(shaped(inputs), {"D"}) == []


@pytest.mark.parametrize(("alike", "told"), [(0, 0), (1, 1), (5, 1), (9, 1), (10, 0)])
def test_embeddings_counted_in_some_rows_by_both_columns(alike, told):
    total = np.arange(1, 11) * 1e6
    table = pd.DataFrame({"N": np.where(np.arange(10) < alike, total, 0.8 * total), "N_total": total, "loss": 3.0})
    said = mixed_conventions(table, {"N"})
    assert len(said) == told
    if told:
        assert f"N equals N_total in {alike} of 10 rows" in said[0]
    wide = pd.concat([table.assign(N=0.8 * total)] * 2 + [table], ignore_index=True)
    assert len(mixed_conventions(wide, {"N"})) == (alike >= 3)


def test_losses_in_bits_and_in_nats():
    loss = np.array([3.0, 2.5, 2.0, 3.5])
    table = pd.DataFrame({"loss": np.where([1, 0, 1, 0], loss / np.log(2), loss), "ppl": np.exp(loss)})
    (said,) = mixed_conventions(table, set())
    assert said == "2 of 4 rows have the loss in bits (0, 2), 2 in nats, by column ppl"
    assert mixed_conventions(table.assign(loss=loss), set()) == []
    assert mixed_conventions(table.assign(loss=loss / np.log(2)), set()) == []
    near = table.assign(loss=table["loss"] * [1.0009, 1, 1.0011, 1.0011])
    assert "1 of 4 rows have the loss in bits (0), 1 in nats" in mixed_conventions(near, set())[0]
    assert mixed_conventions(table, set(), target="other") == []


@pytest.mark.parametrize(
    ("factors", "told"),
    [
        ([1] * 10, 0), ([1] * 9 + [1.07], 1), ([1] * 9 + [1.05], 0), ([1] * 9 + [0.9], 1), ([1] * 19 + [2], 0),
        ([1] * 18 + [2, 2], 1), ([1] * 9 + [-1], 0), ([1] * 9 + [NAN], 0),
    ],
)  # fmt: skip
def test_losses_per_byte(factors, told):
    """More than 6 % off the median ratio, in a tenth of the rows or more."""
    bpb = np.linspace(1.0, 0.8, len(factors))
    said = mixed_conventions(pd.DataFrame({"loss": 3 * bpb * np.array(factors), "bpb": bpb}), set())
    assert len(said) == told
    if told:
        assert f"some rows ({len(factors) - 1 if len(factors) == 10 else '18, 19'})" in said[0]


# --- learning rates ---------------------------------------------------------------------------------------------------


def logged(steps, lr, last):
    runs = runs_of({"a": last})
    rows = pd.DataFrame({"run": pd.Categorical(["a"] * len(steps)), "step": steps, "lr": lr})
    return Runs(runs.curves, runs.table, learning_rates=LearningRates(rows=rows))


def test_a_rate_is_held_for_at_most_one_interval():
    path = logged([0, 5, 15], [1.0, 2.0, 3.0], 25).trajectory("a")
    assert path.lr[15:].tolist() == [3.0] * 11
    assert path.lr.size == 26
    assert path.how.endswith("; held after its last logged value at step 15")
    with pytest.raises(InputError, match="logged up to step 15 only, the loss up to step 26"):
        logged([0, 5, 15], [1.0, 2.0, 3.0], 26).trajectory("a")
    assert logged([0, 5, 15], [1.0, 2.0, 3.0], 9).trajectory("a").lr.size == 10
    with pytest.raises(InputError, match="the learning rate is -1"):
        logged([0, 5], [1.0, -1.0], 5).trajectory("a")
    with pytest.raises(InputError, match="the learning rate is inf"):
        logged([0, 5], [1.0, INF], 5).trajectory("a")
    assert logged([0, 5, 6], [1.0, NAN, 3.0], 6).trajectory("a").lr.tolist() == pytest.approx(np.linspace(1, 3, 7))


def test_rates_that_nothing_tells():
    runs = runs_of({"a": 5})
    with pytest.raises(InputError, match="there is no learning rate in the log"):
        runs.trajectory("a")
    with pytest.raises(InputError, match="there is no run 'b'; the runs are a"):
        runs.trajectory("b")
    with pytest.raises(InputError, match="there are no steps in the log"):
        Runs(None, runs.table).trajectory("a")
    frame = pd.DataFrame({"run": pd.Categorical(["a", "b", "b"], categories=["a", "b", "c"]), "step": [1, 2, 3]})
    assert rows_of(frame, "b")["step"].tolist() == [2, 3]
    assert len(rows_of(frame, "z")) == len(rows_of(frame, "c")) == 0


def test_schedules_of_runs():
    table = pd.DataFrame({"run": ["a", "b"], "loss": 3.0})
    plan = parse_schedule("linear:peak_lr=1,steps=10")
    assert schedules_of(plan, table, None).given == {"a": plan, "b": plan}
    one = schedules_of({"a": "linear:peak_lr=1,steps=10"}, table, None)
    assert list(one.given) == ["a"]
    with pytest.raises(InputError, match="there is no run 'c' to give a schedule to; the runs are a, b"):
        schedules_of({"c": plan}, table, None)
    with pytest.raises(InputError, match="run b: no schedule was given for it"):
        one.trajectory("b", np.arange(3))
    with pytest.raises(InputError, match="ends at step 10, the run's log at step 11"):
        one.trajectory("a", np.arange(12))
    assert one.trajectory("a", np.arange(11)).lr.size == 11


def test_schedules_in_a_file_that_names_them(tmp_path):
    path = tmp_path / "s.csv"
    path.write_text("schedule,step,lr\nfast,0,1\nfast,9,0\nslow,0,2\nslow,9,1\n")
    table = pd.DataFrame({"run": ["a", "b", "c"], "schedule": ["slow", "fast", "none"], "loss": 3.0})
    found = schedules_of(str(path), table, None)
    assert {run: float(plan(0)) for run, plan in found.given.items()} == {"a": 2.0, "b": 1.0}
    assert found.missing == {"c": f"{path} has no schedule 'none'"}
    with pytest.raises(InputError, match="named by a column schedule, which the runs do not have"):
        schedules_of(str(path), table.drop(columns="schedule"), None)


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "numeric", "found"),
    [
        ([1, 2] * 4, True, True),
        ([1, 2, 3] * 2 + [1, 2], True, False),  # more than two, and more than a quarter of eight
        ([1, 2, 3] * 4, True, True),
        ([1, 2, 3, 4] * 3, True, False),
        ([1, None] * 4, True, True),
        ([1, 2, None] * 2 + [1, 2], True, False),
        (list("abcdefgh"), False, False),  # all texts differ: a record
        (list("abcdefga"), False, True),
        (list("abc"), False, True),
        (list("abcd"), False, False),
    ],
)
def test_settings_by_their_values(values, numeric, found):
    assert settings.is_setting("dropout", pd.Series(values)) == found
    assert settings.is_setting("batch", pd.Series(values))


@pytest.mark.parametrize(
    ("name", "record"),
    [
        ("run_id", True),
        ("log_dir", True),
        ("git_sha", True),
        ("tokenizer_id", False),
        ("data_dir", False),
        ("gpu_type", True),
    ],
)
def test_records_by_their_names(name, record):
    assert settings.is_record(name, pd.Series([1, 2, 1, 2])) == record


def sweep(**columns):
    given = {"run": list("abcd"), "N": [1e6] * 4, "lr": [1e-3, 2e-3, 4e-3, 8e-3], "loss": [3.0, 2.9, 2.8, 2.9]}
    table = pd.DataFrame(given | columns)
    return table, table["N"].astype(str), {"N", "lr"}, table["lr"]


def test_settings_that_differ_within_a_size():
    with pytest.raises(InputError) as caught:
        settings.refuse_mixed(*sweep(dropout=[0.0, 0.1, 0.0, 0.1]))
    assert "(dropout: 0, 0.1)" in str(caught.value)
    assert '--where "dropout == 0.0", compare with --over or --arms dropout, or --ignore dropout' in str(caught.value)
    with pytest.raises(InputError) as caught:
        settings.refuse_mixed(*sweep(dropout=[0.0, 0.1, 0.0, 0.1]), arms=False)
    assert "--arms" not in str(caught.value)
    settings.refuse_mixed(*sweep(dropout=[0.1, 0.1 + 1e-9, 0.1, 0.1]))
    settings.refuse_mixed(*sweep(schedule=[f"linear:peak_lr={lr},steps=9" for lr in (1, 2, 4, 8)]))


@pytest.mark.parametrize(
    ("values", "follows"), [([1.0, 2.0, 4.0, 8.0], True), ([1.0, 1.0, 2.0, 2.0], False), ([1.0, 1.0, 2.0, 3.0], True)]
)
def test_settings_that_follow_the_learning_rate(values, follows):
    table, cell, meant, lr = sweep(weight_decay=values)
    said = settings.following(table, cell, meant, lr)
    assert bool(said) == follows
    if follows:
        assert said[0].startswith("weight_decay changes with the learning rate (1, 2, ")
        settings.refuse_mixed(table, cell, meant, lr)
    else:
        with pytest.raises(InputError, match="weight_decay: 1, 2"):
            settings.refuse_mixed(table, cell, meant, lr)


def test_settings_that_move_with_the_size():
    table = pd.DataFrame({"N": [1e6, 2e6, 4e6], "D": [1e7, 2e7, 4e7], "steps": [9, 9, 18], "batch": [64, 64, 128],
                          "seed": [1, 2, 3], "warmup": 5})  # fmt: skip
    assert settings.moving(table, "N", "") == ("batch changes with N (64, 128): their effects cannot be separated",)
    assert settings.growing(table, "N") == ("D and steps change with N: the law holds only if it keeps doing so",)
    assert settings.growing(table[["N", "D"]], "N") == ("D changes with N: the law holds only if it keeps doing so",)
    assert settings.growing(table, "D") == ("steps changes with D: the law holds only if it keeps doing so",)
    assert settings.moving(table[["N", "warmup"]], "N", "") == ()
    found = settings.shared(table, "N")
    assert found["batch"] == "64, 128"
    assert found["optimizer"] == found["schedule"] == "not in the log"
    assert "seq_len" not in found
    assert "batch" not in settings.shared(table, "batch")
    assert settings.in_order(pd.Series(["b", 10, 2.5, "a", None])) == [2.5, 10, "a", "b"]
    assert settings.shared(pd.DataFrame({"batch": [1, 2, 3, 4, 5]}), "N")["batch"].startswith("1, 2, 3, 4")
    noted = pd.DataFrame({"host": ["x", "y"], "git": ["z", "z"], "seed": [1, 2]})
    assert settings.passed_over(noted, set()) == ("columns that differ between runs but are not settings: host",)
    assert settings.passed_over(noted, {"host"}) == ()


# --- final losses -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rows", "loss"), [(100, 9.0), (99, 3.0)])
def test_the_final_loss_of_many_rows_is_their_last_twentieth(rows, loss):
    values = np.full(rows, 3.0)
    values[-5:] = [5.0, 10.0, 10.0, 10.0, 10.0]
    values[-6] = 99.0
    runs = runs_of({"a": rows - 1}, loss=values)
    table, notes = final_losses(runs)
    assert table["loss"].tolist() == [loss]
    assert bool(notes) == (rows == 100)


def test_held_out_losses_come_first():
    table = pd.DataFrame({"run": ["a", "b"], "loss": [3.0, NAN], "val_loss": [3.5, 4.0]})
    found, notes = final_losses(Runs(None, table))
    assert found["loss"].iloc[0] == 3.5
    assert np.isnan(found["loss"].iloc[1])
    assert notes == ("loss: the held-out one, column val_loss",)
    lacking = table.assign(val_loss=[NAN, 4.0])
    assert final_losses(Runs(None, lacking))[0]["loss"].iloc[0] == 3.0


@pytest.mark.parametrize(
    ("steps", "left"),
    [([100, 100, 100, 100, 90], 5), ([100, 100, 100, 100, 89], 4), ([100, 100, 100, 89], 4), ([100, 50], 2)],
)
def test_runs_that_stop_before_nine_tenths(steps, left):
    """Unless a quarter of the runs of their size stop as early."""
    table = pd.DataFrame(
        {"run": [f"r{i}" for i in range(len(steps))], "d_model": 64, "loss": 3.0, "steps": steps, "D": steps}
    )
    kept, notes = finished(table, "d_model", "", curves=True)
    assert len(kept) == left
    if left < len(steps):
        assert re.match("1 of 5 runs stops? before the others, such as r4 at step 89 of 100", notes[0])
    assert len(finished(table, "d_model", "", curves=False)[0]) == len(steps)


def test_diverged_runs_get_the_steps_of_the_others():
    table = pd.DataFrame({"run": list("ab"), "d_model": 64, "loss": [3.0, NAN], "steps": [100, 20], "D": [1e6, 2e5]})
    kept, notes = finished(table, "d_model", "", curves=True)
    assert kept["steps"].tolist() == [100, 100]
    assert kept["D"].tolist() == [1e6, 1e6]
    assert notes == ()


@pytest.mark.parametrize(
    ("status", "loss", "kept"),
    [
        ("crashed", 3.0, 1),
        ("crashed", NAN, 1),
        ("crashed", INF, 2),
        ("diverged", 3.0, 2),
        ("finished", 3.0, 2),
        (" Killed", 3, 1),
    ],
)
def test_runs_whose_loss_is_not_final(status, loss, kept):
    table = pd.DataFrame({"run": list("ab"), "d_model": 64, "loss": [3.0, loss], "status": ["finished", status]})
    found, notes = finished(table, "d_model", "", curves=False)
    assert len(found) == kept
    if kept == 1:
        (note,) = notes
        assert re.match(f"1 of 2 runs (is|are) {status}: left out, ", note)


def test_marks_of_divergence():
    table = pd.DataFrame({"loss": [3.0, NAN, INF, 3.0, 3.0], "diverged": ["no", "0", "false", "Yes", "True"]})
    assert marked(table).tolist() == [False, False, False, True, True]
    assert diverged(table).tolist() == [False, True, True, True, True]
    assert marked(pd.DataFrame({"status": ["Diverged", "done"]})).tolist() == [True, False]


# --- the tables -------------------------------------------------------------------------------------------------------


def test_last_rows_are_the_last_finite_ones():
    runs = runs_of({"a": 2, "b": 2, "c": 1}, loss=[3, 2, 1, 3, 2, NAN, NAN, NAN])
    assert spans(runs.curves) == [("a", 0, 3), ("b", 3, 6), ("c", 6, 8)]
    assert last_rows(runs.curves) == [2, 4, 7]
    assert last_rows(runs.curves.drop(columns="loss")) == [2, 5, 7]


def test_rows_that_are_selected_carry_their_last_losses():
    log = pd.DataFrame({"run": list("aaabbb"), "step": [0, 1, 2] * 2, "tokens": [0, 10, 20] * 2,
                        "loss": [5.0, 4.0, 3.0, 6.0, 5.0, 4.0], "N": [1e6] * 3 + [2e6] * 3})  # fmt: skip
    runs = read_runs(log)
    early = runs.where("step < 2")
    assert early.table["loss"].tolist() == [4.0, 5.0]
    assert early.table["D"].tolist() == [10, 10]
    assert early.notes[-1].text == "4 of 6 rows where step < 2"
    kept, held = runs.hold_out("N > 1.5e6")
    assert (kept.names, held.names) == (["a"], ["b"])
    assert held.notes[-1].text == "3 of 6 rows where N > 1.5e6"
    assert kept.notes[-1].text == "3 of 6 rows where not (N > 1.5e6)"
    assert repr(runs).startswith("Runs(2 runs, 6 rows; run, N, ")
    assert repr(Runs(None, runs.table)).startswith("Runs(2 runs; run, ")
    assert "<li>" in runs._repr_html_()
    gap = read_runs(log.assign(N=log["N"].where(log["run"] == "a")))
    some = gap.where("N > 0")
    assert some.names == ["a"]
    assert re.search(r"1 rows? lacks? a value for it", some.notes[-1].text)
    with pytest.raises(InputError, match="not true or false"):
        runs.where("N + 1")


@pytest.mark.parametrize(
    ("name", "given", "wanted"),
    [
        ("C", {"N": [2.0], "D": [3.0]}, 36.0),
        ("D", {"N": [2.0], "C": [36.0]}, 3.0),
        ("N", {"D": [3.0], "C": [36.0]}, 2.0),
    ],
)
def test_compute_size_and_data_from_one_another(name, given, wanted):
    runs = Runs(None, pd.DataFrame({"run": ["a"], "loss": [3.0]} | given))
    found = runs.with_derived(name)
    assert found.table[name].tolist() == [wanted]
    assert (found.notes[-1].kind, found.notes[-1].count) == ("derived", 1)
    assert found.with_derived(name) is found
    with pytest.raises(InputError, match="needs the column"):
        Runs(None, pd.DataFrame({"run": ["a"], "loss": [3.0]})).with_derived(name)


@commands.cases("unit, factor",
    [("K", 1e3), ("M", 1e6), ("millions", 1e6), ("B", 1e9), ("billion", 1e9), ("bn", 1e9), ("T", 1e12),
     ("trillions", 1e12), ("trillion", 1e12), ("million", 1e6), ("mn", 1e6), ("billions", 1e9), ("thousands", 1e3),
     ("10^9", 1e9), ("in 1e6", 1e6), ("M tokens", 1e6), ("Btok", 1e9), ("thousands of tokens", 1e3), ("mio", 1e6),
     ("1e9 tokens", 1e9), ("B, training", 1e9), ("G", 1e9), ("mil", 1e6)],
)  # fmt: skip
def test_units_in_headers(unit, factor):
    assert header_scale(f"Tokens ({unit})") == factor
    (found,) = match([f"tokens ({unit})"])
    assert (found.name, found.scale) == ("tokens", factor)


def test_mapped_compute_is_read_in_its_unit():
    wanted = {
        "TFLOPs": 1e12,
        "PF-days": 8.64e19,
        "EFLOPs": 1e18,
        "total_gflops": 1e9,
        "my_compute": 1.0,
        "TFLOP/s": 1.0,
    }
    assert {name: match([name], {name: "C"})[0].scale for name in wanted} == wanted


@pytest.mark.parametrize(
    ("name", "factor"),
    [("loss (1e9 tokens)", 1.0), ("loss (B tokens)", 1.0), ("lr (1e-3)", 1e-3), ("lr (in 1e-3)", 1e-3)],
)
def test_only_counts_are_in_millions_of_tokens(name, factor):
    (guessed,), (mapped,) = match([name]), match([name], {name: name.split()[0]})
    assert guessed.scale == mapped.scale == factor


@pytest.mark.parametrize(
    ("name", "scale"), [("params_M", 1e6), ("params_T", None), ("tokens_T", 1e12), ("tokens-bn", 1e9)]
)
def test_units_at_the_end_of_names(name, scale):
    found = match([name])
    assert [binding.scale for binding in found] == ([] if scale is None else [scale])


def test_the_first_run_that_a_table_of_runs_has_twice_is_named():
    given = pd.DataFrame({"run": ["a", "b", "c", "b", "c"], "N": 1e6})
    with pytest.raises(InputError, match="run b: the table of runs has several rows for one run"):
        _with_run_table(pd.DataFrame({"run": ["a", "b", "c"]}), given, [])
