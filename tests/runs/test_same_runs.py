"""Changes of a table that hold no information never change the runs that are read: more columns, order, other names."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scalefit as sf
from scalefit.runs.columns import COLUMNS
from scalefit.runs.matching import match

#: canonical names and known other names of each, which no other column of these tables has
OTHERS = {
    name: [alias for alias in COLUMNS[name].aliases if "*" not in alias and [b.name for b in match([alias])] == [name]]
    for name in ("step", "loss", "lr", "N", "D", "d_model", "weight_decay")
}
MADE = settings(max_examples=12)
SEEDS = st.integers(0, 10**6)
NEW = st.sampled_from(["note", "twice", "gpu_hours", "foo bar", "id", "commit", "zeta", "status", "dropout"])


def finals(seed):
    rng = np.random.default_rng(seed)
    sizes, data = np.meshgrid(10.0 ** rng.uniform(6, 9, 4), 10.0 ** rng.uniform(9, 11, 3))
    frame = pd.DataFrame({"N": sizes.ravel().round(), "D": data.ravel().round()})
    return frame.assign(loss=1.7 + 400 * frame["N"] ** -0.34 + 410 * frame["D"] ** -0.28)


def curves(seed):
    rng = np.random.default_rng(seed)
    steps = np.arange(0, 10 * int(rng.integers(5, 12)), 10)
    parts = [
        pd.DataFrame(
            {"run": f"r{k}", "step": steps, "loss": 3 + k - 0.01 * steps, "lr": 1e-3 / (1 + steps), "d_model": 64 * k}
        )
        for k in range(1, int(rng.integers(2, 5)))
    ]
    return pd.concat(parts, ignore_index=True)


def read(frame):
    """What was read of a table: a row a run or logged point, without the names of runs that are lines of the file."""
    runs = sf.read_runs(frame.reset_index(drop=True))
    if runs.curves is None:
        names = ["N", "D", "loss"]
        return runs.kind, runs.table[names].sort_values(names).to_numpy().tolist()
    names = ["run", "step", "loss", "lr", "d_model"]
    found = runs.curves.assign(run=runs.curves["run"].astype(str))[names].sort_values(["run", "step"])
    return runs.kind, found.to_numpy().tolist()


@MADE
@given(SEEDS, st.sampled_from([finals, curves]), NEW, st.sampled_from([0, 1.5, "adamw", True, ""]), st.integers(0, 3))
def test_a_constant_column_changes_nothing(seed, table, name, value, place):
    frame = table(seed)
    more = frame.copy()
    more.insert(min(place, len(frame.columns)), name, value)
    assert read(more) == read(frame)


@MADE
@given(SEEDS, st.sampled_from([finals, curves]), NEW, st.sampled_from([2.0, -1.0, 0.001]), st.integers(0, 2))
def test_a_column_that_follows_from_others_changes_nothing(seed, table, name, factor, which):
    frame = table(seed)
    source = frame.columns[frame.columns != "run"][which]
    assert read(frame.assign(**{name: factor * frame[source]})) == read(frame)


@MADE
@given(SEEDS, st.sampled_from([finals, curves]), SEEDS)
def test_the_order_of_rows_changes_nothing(seed, table, order):
    frame = table(seed)
    assert read(frame.sample(frac=1, random_state=order)) == read(frame)


@MADE
@given(SEEDS, st.sampled_from([finals, curves]), SEEDS)
def test_the_order_of_columns_changes_nothing(seed, table, order):
    frame = table(seed)
    assert read(frame.sample(frac=1, axis=1, random_state=order)) == read(frame)


@MADE
@given(SEEDS, st.sampled_from([finals, curves]), st.data())
def test_other_names_of_the_glossary_change_nothing(seed, table, data):
    frame = table(seed)
    new = {name: data.draw(st.sampled_from([name, *OTHERS[name]])) for name in frame.columns if name in OTHERS}
    assert read(frame.rename(columns=new)) == read(frame)


def curves_of_one_name(name, values):
    """Two trainings called cosine, which differ in one setting, and one called wsd."""
    trainings = [("cosine", 0), ("cosine", 1), ("wsd", 0)]
    return pd.DataFrame(
        [
            {"run": run, "step": step, "loss": 3 + at - step / 100, name: values[at]}
            for run, at in trainings
            for step in range(10, 110, 10)
        ]
    )


@pytest.mark.parametrize(
    ("name", "values"), [("d_model", (64, 128)), ("seed", (0, 1)), ("optimizer", ("adamw", "muon")), ("N", (1e6, 4e6))]
)
@pytest.mark.parametrize("by", ["run", "step"])
def test_one_name_at_two_settings_is_two_runs(name, values, by):
    frame = curves_of_one_name(name, values)
    runs = sf.read_runs(frame.sort_values(by, kind="stable").reset_index(drop=True))
    assert len(runs.curves) == len(frame)
    ends = {(each.run.partition(",")[0], each[name]): each.loss for _, each in runs.table.iterrows()}
    assert ends == pytest.approx({("cosine", values[0]): 2.0, ("cosine", values[1]): 3.0, ("wsd", values[0]): 2.0})
    assert "wsd" in runs.names
    assert any(f"begin anew with another {name}" in note.text for note in runs.notes)


def test_the_schedule_of_a_name_holds_for_each_of_its_runs(tmp_path):
    frame, file = curves_of_one_name("seed", (0, 1)), tmp_path / "lr.csv"
    rates = {"cosine": 1e-3, "wsd": 2e-3}
    file.write_text("run,step,lr\n" + "".join(f"{run},{s},{lr}\n" for run, lr in rates.items() for s in range(101)))
    constant = {run: f"constant:peak_lr={lr},steps=100" for run, lr in rates.items()}
    for schedule in (file, constant):
        runs = sf.read_runs(frame, schedule=schedule)
        assert len(runs.names) == 3
        for run in runs.names:
            assert runs.trajectory(run).lr[50] == rates[run.partition(",")[0]]


def test_a_restart_with_another_seed_is_one_run():
    frame = curves_of_one_name("seed", (0, 1))
    runs = sf.read_runs(frame[(frame.seed == 0) & (frame.step <= 60) | (frame.seed == 1) & (frame.step > 40)])
    assert runs.names == ["cosine", "wsd"]
    assert runs.curves.step[runs.curves.run == "cosine"].tolist() == list(range(10, 110, 10))


@pytest.mark.parametrize(
    ("settings", "D"),
    [
        ({"batch_size": 524288}, 524288e3),
        ({"batch_size": 256, "seq_len": 1024}, 262144e3),
        ({"global_batch_size": 256, "seq_length": 1024}, 262144e3),
        ({"batch_size": 256}, None),  # of sequences of a length that is not known
        ({"batch": 256, "seq_len": 1024}, None),  # called tokens, and too small to be
        ({"batch_size": 64, "seq_len": 1024, "gradient_accumulation_steps": 1}, 65536e3),
        ({"global_batch_size": 64, "seq_len": 1024, "grad_accum": 4}, 65536e3),
    ],
)
def test_steps_times_a_batch_in_tokens_are_the_data(settings, D):
    table = pd.DataFrame({"N": [1e7, 2e7], "steps": [1000, 2000], "loss": [3.0, 2.5], **settings})
    read = sf.read_runs(table).table
    assert ("D" in read.columns) == (D is not None)
    assert D is None or read.D.tolist() == [D, 2 * D]
    told = sf.read_runs(table.assign(D=7e9))
    assert told.table.D.tolist() == [7e9, 7e9]


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("batch_size", {"gradient_accumulation_steps": 4}),
        ("config.batch_size", {"config.accumulate_grad_batches": 8}),
        ("train_batch_size", {"num_gpus": 8}),
        ("bs", {"world_size": [1, 16], "grad_accum": 1}),
    ],
)
def test_the_batch_of_one_device_or_part_of_a_step_is_not_that_of_the_step(name, parts):
    """Nothing in such a table says whether the batch counts the parts: D was too small by their number."""
    table = pd.DataFrame({"N": [1e7, 2e7], "steps": [1000, 2000], "loss": [3.0, 2.5], "seq_len": 1024, name: 64})
    runs = sf.read_runs(table.assign(**parts))
    assert not {"D", "batch"} & set(runs.table.columns)
    assert [note.kind for note in runs.notes if "batch of one device" in note.text] == ["unknown"]
    with pytest.raises(sf.InputError, match=f"no column \"D\".*'{name}' may be the batch of one device"):
        sf.fit(runs, "power:over=D", force=True)


def test_tokens_over_steps_say_what_a_batch_counts_before_the_length_of_a_sequence_does():
    table = pd.DataFrame({"N": [1e7, 2e7], "steps": [1000, 2000], "loss": [3.0, 2.5], "seq_len": 1024})
    runs = sf.read_runs(table.assign(batch_size=64, accum_steps=4, D=table.steps * 262144))
    assert runs.table.batch.tolist() == [262144, 262144]
