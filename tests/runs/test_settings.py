"""Which columns of a sweep are settings: what may not be mixed, what is a record, what follows from the rate."""

from __future__ import annotations

import commands
import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.errors import InputError
from scalefit.runs import read_runs
from scalefit.stability import forecast
from scalefit.transfer.lr_transfer import lr_transfer
from scalefit.transfer.sweeps import read_sweeps

RATES = 2.0 ** np.arange(-11.0, -4.0)


def sweep(widths=(64, 128)):
    """One row a width and learning rate, in no noise."""
    rows = [(w, lr, 2 + 0.02 * np.log2(lr * w / 0.5) ** 2) for w in widths for lr in RATES]
    return pd.DataFrame(rows, columns=["width", "lr", "loss"])


def halves(name, first, second):
    """Two sweeps, otherwise alike, with one column apart."""
    rows = sweep()
    return pd.concat([rows.assign(**{name: first}), rows.assign(**{name: second})], ignore_index=True)


@pytest.mark.parametrize(
    "name",
    ["tokens_per_param", "lr_min", "loss_weight", "loss_fn", "loss_scale", "rms_norm_eps", "step_size",
     "steps_per_epoch", "run_group", "time_weight", "sharpness_penalty", "dropout", "beta2", "wd", "warmup_tokens",
     "optimizer_name", "data_path", "tokenizer_id", "lr_end", "init_checkpoint",
     "optimizer.beta1", "model.norm", "data mix"],
)  # fmt: skip
def test_a_setting_is_known_whatever_it_is_called(name):
    with pytest.raises(InputError, match="differ in more than the learning rate and the seed") as caught:
        read_sweeps(halves(name, 1, 2))
    shown = f"`{name}`" if " " in name or "." in name else name
    assert f'--where "{shown} == 1"' in str(caught.value) or name in ("wd", "optimizer.beta1", "model.norm")
    read_sweeps(halves(name, 1, 2), ignore=[name])


@pytest.mark.parametrize(
    "name",
    ["git_hash", "host", "device", "User", "torch_version", "GPU Count", "commit", "Created", "start_time", "job_id",
     "run_id", "log_dir", "ID",
     "val_loss_c4", "final_train_loss", "tokens_per_sec", "wall_time", "_runtime", "mfu", "max_memory_gb"],
)  # fmt: skip
def test_records_and_measurements_are_no_settings(name):
    assert read_sweeps(halves(name, 1, 2)).sizes("all") == [64, 128]


def test_what_is_unlike_in_every_run_is_a_record_if_text_and_a_measurement_if_a_number():
    rows = sweep()
    names = [f"pious-sun-{i}" for i in range(len(rows))]
    read_sweeps(rows.assign(nickname=names, drift=np.linspace(0, 1, len(rows))))
    notes = read_sweeps(rows.assign(nickname=names)).notes
    assert "columns that differ between runs but are not settings: nickname" in notes


def test_what_follows_from_the_learning_rate_is_told_and_kept():
    rows = sweep()
    notes = read_sweeps(rows.assign(weight_decay=1e-4 / rows["lr"])).notes
    assert any(note.startswith("weight_decay changes with the learning rate") for note in notes)
    two = pd.concat([rows.assign(weight_decay=1e-4 / rows["lr"]), rows.assign(weight_decay=2e-4 / rows["lr"])])
    with pytest.raises(InputError, match="weight_decay"):
        read_sweeps(two)


def test_rounding_is_no_difference():
    read_sweeps(halves("D", 1e9, 1e9 * (1 + 1e-9)))
    with pytest.raises(InputError, match="D: "):
        read_sweeps(halves("D", 1e9, 1.1e9))


def test_what_moves_with_the_size_is_told():
    rows = sweep()
    notes = read_sweeps(rows.assign(grad_accum=rows["width"] // 64, steps=rows["width"] * 10)).notes
    assert any("grad_accum changes with d_model" in note for note in notes)
    assert "steps changes with d_model: the law holds only if it keeps doing so" in notes


def test_runs_whose_loss_is_not_final_are_left_out():
    rows = sweep().assign(status="finished")
    rows.loc[3, ["loss", "status"]] = [7.0, "crashed"]
    sweeps = read_sweeps(rows)
    assert len(sweeps.points) == len(rows) - 1
    assert any("1 of 14 runs is crashed: left out" in note for note in sweeps.notes)
    for status in ("crashed", "running", "planned", "Killed", "pruned"):  # no loss yet is no divergence
        rows.loc[3, ["loss", "status"]] = [np.nan, status]
        sweeps = read_sweeps(rows)
        assert len(sweeps.points) == len(rows) - 1
        assert not sweeps.points["loss"].isna().any()
        assert any(f"1 of 14 runs is {status}: left out" in note for note in sweeps.notes)
    rows.loc[3, ["loss", "status"]] = [np.inf, "crashed"]  # lost, and then stopped
    assert len(read_sweeps(rows).points) == len(rows)
    rows.loc[3, ["loss", "status"]] = [np.nan, "finished"]
    assert len(read_sweeps(rows).points) == len(rows)


def curve(width, lr, steps, loss, nan_from=None):
    step = np.arange(10, steps + 1, 10)
    values = loss + 3 * np.exp(-step / 100)
    if nan_from:
        values = np.where(step >= nan_from, np.nan, values)
    return pd.DataFrame({"run": f"{width}-{lr:g}", "width": width, "step": step, "lr": lr, "loss": values})


def test_in_curves_a_lost_run_stays_and_one_that_stops_early_does_not():
    rows = sweep((64,))
    runs = [curve(64, lr, 1000, loss) for lr, loss in zip(rows["lr"], rows["loss"], strict=True)]
    runs[-1] = curve(64, RATES[-1], 1000, 3.0, nan_from=300)
    runs[0] = curve(64, RATES[0], 400, 3.0)
    sweeps = read_sweeps(pd.concat(runs))
    assert sweeps.points["loss"].isna().sum() == 1
    assert len(sweeps.points) == len(rows) - 1
    assert any("stops before the others, such as 64-0.000488281 at step 400 of 1000" in note for note in sweeps.notes)
    half = [curve(64, lr, steps, 2.5) for lr in RATES for steps in (500, 1000)]
    for i, each in enumerate(half):
        each["run"] = f"r{i}"
    with pytest.raises(InputError, match="steps: 500, 1000"):  # two lengths are two sweeps
        read_sweeps(pd.concat(half))


def test_the_held_out_loss_is_preferred_where_every_run_has_one():
    rows = sweep().assign(val_loss=lambda t: t["loss"] + 1)
    sweeps = read_sweeps(rows)
    assert sweeps.points["loss"].min() == pytest.approx(rows["loss"].min() + 1)
    assert "loss: the held-out one, column val_loss" in sweeps.notes
    rows.loc[0, "val_loss"] = np.nan
    assert read_sweeps(rows).points["loss"].min() == pytest.approx(rows["loss"].min())


def test_the_noise_of_single_batches_is_averaged_out():
    rows, rng, runs = sweep((64,)), np.random.default_rng(0), []
    for lr, loss in zip(rows["lr"], rows["loss"], strict=True):
        log = curve(64, lr, 8000, loss)
        runs.append(log.assign(loss=log["loss"] + 0.1 * rng.standard_normal(len(log))))
    sweeps = read_sweeps(pd.concat(runs))
    assert "loss: the mean over the last twentieth of each run" in sweeps.notes
    assert np.abs(sweeps.cell("all", 64.0)["loss"].to_numpy() - rows["loss"].to_numpy()).max() < 0.05
    few = [each[each["step"] % 200 == 0] for each in runs]
    assert not any("twentieth" in note for note in read_sweeps(pd.concat(few)).notes)


def test_an_initial_loss_below_every_loss_is_refused():
    with pytest.raises(InputError, match="an initial loss of 1 lies below every loss"):
        read_sweeps(sweep(), initial_loss=1.0)


def test_columns_are_ignored_on_the_command_line_and_in_forecasts(tmp_path):
    halves("seedling", 1, 2).assign(seed=np.repeat([0, 1], 14)).to_csv(tmp_path / "two.csv", index=False)
    base = f"scalefit lr-transfer {tmp_path}/two.csv --draws 20"
    refused = commands.run(base)
    assert refused.exit_code == 2
    assert "or --ignore seedling if it does not matter" in refused.stderr
    assert commands.run(f"{base} --ignore seedling").exit_code == 0
    wrong = commands.run(f"{base} --ignore sapling")
    assert wrong.exit_code == 2
    assert 'no column "sapling"' in wrong.stderr
    rows = halves("seedling", 1, 2).rename(columns={"width": "N"}).assign(rms_grad=0.1)
    with pytest.raises(InputError, match="seedling"):
        forecast(rows, 256, 0.001)
    assert forecast(rows, 256, 0.001, ignore=["seedling"]).found


def test_few_draws_are_refused_and_one_size_is_not_predicted():
    with pytest.raises(InputError, match="0 draws"):
        lr_transfer(sweep(), draws=0)
    answer = commands.run("scalefit lr-transfer data/lr_width/runs.csv --draws 0")
    assert answer.exit_code == 2


def test_runs_without_a_loss_yet_are_never_called_diverged(tmp_path):
    rows = ["a,64,.001,finished,3.1", "b,64,.002,crashed,nan", "c,64,.004,Running,", "d,64,.008,diverged,nan"]
    text = "\n".join(["run,d_model,lr,status,loss", *rows, ""])
    (tmp_path / "sweep.csv").write_text(text)
    notes = {(note.kind, note.text) for note in read_runs(tmp_path / "sweep.csv").notes}
    assert any(kind == "diverged" and "1 row has no finite loss: d" in text for kind, text in notes)
    assert any(kind == "dropped" and "2 runs did not finish" in text for kind, text in notes)


def test_the_colours_of_a_figure_are_no_recipe():
    """Points that were read off a published figure come with their colours."""
    table = pd.DataFrame({"N": [1e8, 1e8, 1e9, 1e9], "D": [1e9, 1e10, 1e9, 1e10], "color": ["#aa0000", "#00aa00"] * 2})
    table["loss"] = 1.7 + 400 * table["N"] ** -0.34 + 410 * table["D"] ** -0.28
    fit = sf.fit(table, "power-floor:over=N", force=True)
    assert not [check for check in fit.warnings if "color" in check.text]
    named = sf.fit(table.rename(columns={"color": "recipe"}), "power-floor:over=N", force=True)
    assert [check for check in named.warnings if "recipe" in check.text]


PASSES = pd.DataFrame(
    [(1e6, 1e8, 1, 3.5), (1e6, 1e8, 2, 3.4), (4e6, 2e8, 2, 3.2), (4e6, 2e8, 4, 3.1)],
    columns=["N", "dataset_tokens", "epochs", "loss"],
)
SEEN = [1e8, 2e8, 4e8, 8e8]


@pytest.mark.parametrize("tokens", ["dataset_tokens", "dataset size (B tokens)", "unique_tokens"])
@pytest.mark.parametrize("epochs", ["epochs", "num_train_epochs"])
def test_tokens_of_the_data_set_times_epochs_are_the_tokens_seen(tmp_path, tokens, epochs):
    frame = PASSES.rename(columns={"dataset_tokens": tokens, "epochs": epochs})
    frame[tokens] /= 1e9 if "(B" in tokens else 1
    frame.to_csv(tmp_path / "runs.csv", index=False)
    runs = read_runs(tmp_path / "runs.csv")
    np.testing.assert_allclose(runs.table["D"], SEEN)
    assert any("times" in note.text and epochs in note.text for note in runs.notes)


@pytest.mark.parametrize(
    "frame, options",
    [
        (PASSES, {"rename": {"dataset_tokens": "D"}}),
        (PASSES.assign(epochs=1), {}),
        (PASSES.assign(flops=6 * PASSES["N"] * PASSES["dataset_tokens"]), {}),
        (PASSES.rename(columns={"dataset_tokens": "train_tokens"}), {}),
    ],
)
def test_tokens_seen_are_not_multiplied_by_epochs(tmp_path, frame, options):
    frame.to_csv(tmp_path / "runs.csv", index=False)
    np.testing.assert_allclose(read_runs(tmp_path / "runs.csv", **options).table["D"], PASSES["dataset_tokens"])


@pytest.mark.parametrize("tokens", ["tokens", "tokens_seen", "D"])
@pytest.mark.parametrize("of_data", ["dataset_tokens", "corpus_tokens"])
def test_tokens_seen_beside_those_of_the_data_set_are_the_data(tmp_path, tokens, of_data):
    frame = PASSES.assign(dataset_tokens=5e9, epochs=SEEN).rename(columns={"dataset_tokens": of_data, "epochs": tokens})
    frame.to_csv(tmp_path / "runs.csv", index=False)
    runs = read_runs(tmp_path / "runs.csv")
    np.testing.assert_allclose(runs.table["D"], SEEN)
    assert "suspect" not in [note.kind for note in runs.notes]


def test_two_counts_of_tokens_that_differ_are_doubted(tmp_path):
    for total, doubted in ((5e9, True), (SEEN, False), (np.array(SEEN) * 1.04, False), ([0.0, *SEEN[1:]], False)):
        PASSES.assign(total_tokens=total, dataset_tokens=SEEN).rename(columns={"dataset_tokens": "tokens"}).drop(
            columns="epochs"
        ).to_csv(tmp_path / "runs.csv", index=False)
        notes = [note.text for note in read_runs(tmp_path / "runs.csv").notes if note.kind == "suspect"]
        assert any("'tokens', which counts tokens as well" in text for text in notes) == doubted


def test_repeats_and_how_a_run_ended_are_no_settings_whatever_they_are_called():
    rows = pd.concat([sweep().assign(rep=rep) for rep in (1, 2)], ignore_index=True)
    lost = rows["lr"].eq(RATES[-1]) & rows["width"].eq(128)
    told = rows.assign(outcome=np.where(lost, "Exploded ", "ok"))
    marked = lr_transfer(told, target=512, draws=20)
    assert any(note.startswith("2 of 28 runs without a finite loss or marked as diverged") for note in marked.notes)
    assert marked.table["lr"].to_numpy() == pytest.approx([0.5 / 64, 0.5 / 128], rel=0.05)


def test_the_setting_that_a_message_proposes_is_that_of_most_runs():
    rows = pd.concat([sweep().assign(mix="b"), sweep().assign(mix="a").iloc[::2]], ignore_index=True)
    with pytest.raises(InputError, match="--where \"mix == 'b'\""):
        read_sweeps(rows)
