"""From run logs to the rows of a law: which rows, which values, where each came from; also block by block."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scalefit.errors import InputError
from scalefit.laws import find_law
from scalefit.rows import gather as gathering
from scalefit.rows.gather import gather
from scalefit.rows.points import Points
from scalefit.rows.rows import place_in
from scalefit.rows.streams import run_blocks
from scalefit.runs import read_runs
from scalefit.schedules import areas

LR = {"a": [0, 0.5, 1, 1, 1, 1, 0.5, 0.25], "b": [0, 1, 1, 1, 0.5, 0.5]}


def finals(**more):
    frame = {"N": [1e6, 2e6, 4e6], "D": [1e9, 2e9, 3e9], "loss": [4.0, 3.5, 3.0], **more}
    return read_runs(pd.DataFrame(frame, index=[2, 3, 4]))


def curves(**more):
    """Two runs, one with a warmup of two steps and one with a warmup of one, N twice as large in the second."""
    rows = [
        {"run": run, "step": step, "lr": value, "loss": 5 - 0.1 * step - 0.01 * size, "N": size * 1e6, **more}
        for size, (run, lr) in enumerate(LR.items(), start=1)
        for step, value in enumerate(lr)
    ]
    return read_runs(pd.DataFrame(rows))


def test_final_losses_give_one_row_per_run_with_the_columns_of_the_law():
    rows = gather(find_law("chinchilla"), finals())
    assert {name: values.tolist() for name, values in rows.variables.items()} == {
        "N": [1e6, 2e6, 4e6],
        "D": [1e9, 2e9, 3e9],
    }
    assert rows.values.tolist() == [4.0, 3.5, 3.0] and not rows.in_curves and not rows.notes
    assert rows.place(finals(), 1) == "DataFrame, row 3"


def test_a_missing_size_or_compute_follows_from_the_other_two_and_a_note_says_so():
    runs = read_runs(pd.DataFrame({"N": [1e6, 2e6], "C": [6e15, 6e15], "loss": [4.0, 3.0]}))
    rows = gather(find_law("chinchilla"), runs)
    assert rows.variables["D"].tolist() == [1e9, 5e8] and rows.notes == ("D = C / (6 N)",)
    alone = read_runs(pd.DataFrame({"N": [1e6, 2e6], "loss": [4.0, 3.0]}))
    with pytest.raises(
        InputError, match=r'no column "D" \(training tokens of the run\); write rename=\{"COLUMN": "D"\}'
    ):
        gather(find_law("chinchilla"), alone)


def test_every_row_is_offered_only_where_losses_before_the_last_are_final_too():
    """The answer advised ``--points all`` and a check then warned of losses in mid-schedule."""
    note = "the last logged loss of each of 2 runs"
    logs = {run: pd.DataFrame({"step": range(8), "loss": 3.0, "N": N, "D": 1e9}) for run, N in (("a", 1e6), ("b", 2e6))}
    steady, decayed = (
        gather(
            find_law("chinchilla"), read_runs(pd.concat(log.assign(run=run, lr=lr) for run, log in logs.items()))
        ).notes
        for lr in (0.1, np.linspace(0.1, 0.0, 8))
    )
    assert (steady, decayed) == ((f"{note}; --points all uses every logged row",), (note,))


def test_a_law_in_columns_of_the_run_reads_the_last_loss_or_every_row_when_asked():
    runs, law = curves(D=1e9), find_law("chinchilla")
    last = gather(law, runs)
    assert last.values.tolist() == pytest.approx([4.29, 4.48]) and last.notes == (
        "the last logged loss of each of 2 runs",
    )
    every = gather(law, runs, points="all")
    assert len(every) == 14 and every.in_curves and every.notes == ("all 14 logged rows of 2 runs",)
    assert every.variables["N"].tolist() == [1e6] * 8 + [2e6] * 6
    assert every.frame["step"].tolist() == [*range(8), *range(6)]
    with pytest.raises(InputError, match="only one row per run; use points final"):
        gather(law, finals(), points="all")
    with pytest.raises(InputError, match="choose one of auto, final, all"):
        gather(law, finals(), points="some")


def test_along_a_run_the_data_are_the_tokens_so_far_and_not_those_of_the_run():
    frame = pd.DataFrame({"run": "a", "step": [1, 2, 3], "tokens": [10, 20, 30], "N": 5e6, "loss": [4.0, 3.0, 2.0]})
    runs = read_runs(frame)
    assert runs.table["D"].tolist() == [30]
    assert gather(find_law("chinchilla"), runs, points="all").variables["D"].tolist() == [10, 20, 30]
    assert gather(find_law("chinchilla"), runs).variables["D"].tolist() == [30]


def test_a_law_along_the_schedule_reads_the_rows_after_the_warmup_with_areas_over_every_step():
    runs = curves()
    sparse = runs.where("step in (0, 2, 4, 6)")
    law = find_law("annealing:decay=0.9")
    for logs, steps in ((runs, {"a": [3, 4, 5, 6, 7], "b": [2, 3, 4, 5]}), (sparse, {"a": [4, 6], "b": [2, 4]})):
        rows = gather(law, logs)
        assert rows.frame.groupby("run", observed=True)["step"].agg(list).to_dict() == steps
        for run, warmup in (("a", 2), ("b", 1)):
            S1, S2 = areas(LR[run], 0.9, warmup=warmup)
            mine = (rows.frame["run"] == run).to_numpy()
            np.testing.assert_allclose(rows.variables["S1"][mine], S1[steps[run]], rtol=1e-13)
            np.testing.assert_allclose(rows.variables["S2"][mine], S2[steps[run]], rtol=1e-13)
        assert rows.values.tolist() == logs.curves["loss"].to_numpy()[rows.positions].tolist()
    assert "5 rows during warmup left out" in gather(law, runs).notes[0]


def test_a_law_along_the_schedule_takes_the_size_of_each_run():
    rows = gather(find_law("annealing-size"), curves())
    assert dict(zip(rows.frame["run"], rows.variables["N"].tolist(), strict=True)) == {"a": 1e6, "b": 2e6}
    with pytest.raises(InputError, match="needs loss curves"):
        gather(find_law("annealing"), finals())


def test_runs_with_few_gaps_are_filled_up_to_those_with_many():
    law = find_law("multi-power")
    rows = gather(law, curves())
    gaps = {name: values for name, values in rows.variables.items() if values.ndim == 2}
    assert gaps and {values.shape for values in gaps.values()} == {(9, 2)}
    last = {run: int(np.flatnonzero((rows.frame["run"] == run).to_numpy())[-1]) for run in "ab"}
    gap = next(values for name, values in gaps.items() if law.columns[name] == "gap")
    assert gap[last["a"]].tolist() == [0.5, 0.25] and gap[last["b"]].tolist() == [0.5, law.variables["gap"].absent]


def test_rows_that_are_kept_stay_together_and_a_note_is_added_only_if_some_are_left_out():
    rows = gather(find_law("annealing"), curves())
    assert rows.keep(np.ones(len(rows), dtype=bool), "none") is rows
    some = rows.keep(np.asarray(rows.frame["step"] > 4), "early rows")
    assert some.frame["step"].tolist() == [5, 6, 7, 5] and some.notes[-1] == "early rows"
    assert some.variables["S1"].tolist() == [rows.variables["S1"][i] for i in (2, 3, 4, 8)]
    assert some.values.tolist() == [rows.values[i] for i in (2, 3, 4, 8)]
    assert some.place(curves(), 3) == rows.place(curves(), 8) and set(some.paths) == {"a", "b"}
    assert some.run_codes.tolist() == [0, 0, 0, 1]


def test_the_place_of_a_row_is_its_file_and_line(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.csv").write_text("step,loss\n0,5\n\n1,4\n")
    runs = read_runs([tmp_path / "a.csv", tmp_path / "b.csv"])
    assert place_in(runs, True, 3) == f"{tmp_path}/b.csv, row 4"
    assert place_in(finals(), False, 2) == "DataFrame, row 4"


def test_words_in_a_column_of_the_law_are_named_with_their_row():
    runs = read_runs(pd.DataFrame({"x": ["1", "2", "much"], "loss": [3.0, 2.0, 1.0]}, index=[2, 3, 4]))
    with pytest.raises(InputError, match="DataFrame, row 4, column x: 'much' is not a number"):
        gather(find_law("power:over=x"), runs)
    numbers = read_runs(pd.DataFrame({"x": ["1", "2", "4"], "loss": [3.0, 2.0, 1.0]}))
    assert gather(find_law("power:over=x"), numbers).variables["x"].tolist() == [1, 2, 4]


@pytest.mark.parametrize("every", [1, 7])
def test_blocks_of_a_long_run_are_its_rows_in_order(every):
    step = np.arange(0, 80_000, every)  # more steps than one block of the law has
    lr = np.where(step < 100, step / 100, 1.0)
    runs = read_runs(pd.DataFrame({"run": "a", "step": step, "lr": lr, "loss": 3.0, "N": 1e6}), warmup=100)
    law, path = find_law("annealing-size"), runs.trajectory("a")
    whole = gather(law, runs)
    blocks = list(run_blocks(find_law("annealing"), path, {"N": 1e6}))
    assert len(blocks) > 2 and np.concatenate([np.arange(len(step))[at] for at, _ in blocks]).tolist() == [
        *np.flatnonzero(step > path.warmup)
    ]
    for name in ("S1", "S2", "N"):
        joined = np.concatenate([variables[name] for _, variables in blocks])
        np.testing.assert_allclose(joined, whole.variables[name], rtol=1e-12)


def test_a_large_log_is_sampled_evenly_and_streamed_whole(monkeypatch):
    step = np.arange(300)
    frames = [
        pd.DataFrame({"run": run, "step": step, "lr": np.linspace(1, low, 300), "loss": 3 - step / 1e3})
        for run, low in (("a", 1.0), ("b", 0.1))
    ]
    runs, law = read_runs(pd.concat(frames)), find_law("annealing")
    whole = gather(law, runs)
    monkeypatch.setattr(gathering, "STREAM_ROWS", 500)
    monkeypatch.setattr(gathering, "SAMPLE_ROWS", 60)
    rows = gather(law, runs)
    assert rows.stream.rows == len(whole) == 598 and len(rows) == pytest.approx(598 / 9, abs=2)
    assert np.unique(np.diff(rows.positions[rows.positions < 300])).tolist() == [9]
    assert rows.values.tolist() == runs.curves["loss"].to_numpy()[rows.positions].tolist()
    streamed = list(rows.stream.blocks())
    np.testing.assert_allclose(np.concatenate([values for _, values in streamed]), whole.values, rtol=1e-13)
    np.testing.assert_allclose(np.concatenate([v["S1"] for v, _ in streamed]), whole.variables["S1"], rtol=1e-13)
    assert "2 rows during warmup" in rows.notes[0] and "598 rows are streamed" in rows.notes[1]
    lost = read_runs(pd.concat(frames).assign(loss=lambda rows: rows["loss"].where(rows["step"] != 290)))
    with pytest.raises(InputError, match=r"column loss: loss is nan \(2 rows in all\)"):
        gather(law, lost)


def test_the_sample_of_a_long_run_is_even_across_its_blocks(monkeypatch):
    step = np.arange(70_000)
    runs = read_runs(pd.DataFrame({"step": step, "lr": 1.0, "loss": 3 - step / 1e6}))
    monkeypatch.setattr(gathering, "STREAM_ROWS", 60_000)
    monkeypatch.setattr(gathering, "SAMPLE_ROWS", 1000)
    rows = gather(find_law("annealing"), runs)
    assert set(np.diff(rows.positions)) == {69} and len(rows) == 1014
    np.testing.assert_allclose(rows.variables["S1"], rows.positions + 1, rtol=1e-12)


def test_points_are_a_table_of_runs_steps_variables_and_the_target():
    points = Points(("a", "b"), (1, 2), {"N": (1e6, 2e6)}, (4.0, 3.0))
    assert points.frame("bleu").to_dict("list") == {
        "run": ["a", "b"],
        "step": [1, 2],
        "N": [1e6, 2e6],
        "bleu": [4.0, 3.0],
    }
    assert list(Points(("a",), None, {"N": (1.0,)}, (2.0,)).frame("loss").columns) == ["run", "N", "loss"]


def test_all_missing_columns_are_named_at_once():
    table = pd.DataFrame({"foo": [1.0, 2.0, 3.0], "bar": [3.0, 2.0, 1.0]})
    with pytest.raises(InputError) as said:
        gather(find_law("chinchilla"), read_runs(table, need=()))
    assert all(f'"{name}" (' in str(said.value) for name in ("N", "D", "loss"))
    assert 'rename={"COLUMN": "N", "COLUMN": "D", "COLUMN": "loss"} with one of: foo, bar' in str(said.value)
