"""Batch and schedule from logs: critical batch, noise scale, the warm-up and the decay that a run asks for."""

from __future__ import annotations

import json

import commands
import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.errors import InputError
from scalefit.planning.batch import BatchAnswer, batch_size, steps_to
from scalefit.planning.critical_batch import Tradeoff
from scalefit.planning.noise import fit_lr_exponent, lr_for_batch
from scalefit.planning.run_schedule import schedule_of
from scalefit.plots import plot_batch, plot_run_schedule, save_figure
from scalefit.schedules import parse_schedule
from scalefit.transfer.lr_transfer import lr_transfer
from scalefit.transfer.verdict import Interval

SHIPPED = commands.ROOT / "data" / "lr_batch" / "curves.csv"
BATCHES = (500, 1000, 2000, 4000, 8000)


def planted(critical=3000.0, noise=0.003, seeds=2, batches=BATCHES, steps=600, rng_seed=0):
    """Curves that need 1 + critical/batch times the steps, at a best learning rate that grows with the batch."""
    rng = np.random.default_rng(rng_seed)
    step = np.arange(10, steps + 1, 10)
    parts = []
    for batch in batches:
        best = 0.008 * (1 + critical / batch) ** -0.5
        for lr in 2.0 ** np.arange(-10, -5):
            for seed in range(seeds):
                pace = step / (1 + critical / batch) * np.exp(-0.15 * np.log2(lr / best) ** 2)
                about = {"run": f"{batch}-{lr:g}-{seed}", "batch": batch, "lr": lr, "seed": seed, "step": step}
                jitter = np.exp(noise * rng.standard_normal(len(step)))
                gradient = {
                    "noise_trace": 40 * (1 + 0.2 * rng.standard_normal(len(step))),
                    "noise_grad_square": 1 + 0.5 * rng.standard_normal(len(step)),
                }
                parts.append(pd.DataFrame({**about, "loss": 2 + 8 / pace**0.4 * jitter, **gradient}))
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("critical", [1000.0, 5000.0])
def test_a_planted_critical_batch_is_found(critical):
    found = batch_size(planted(critical))
    assert found.critical.low <= critical <= found.critical.high
    assert found.tradeoff.B_crit == pytest.approx(critical, rel=0.15)
    assert list(found.reached["batch"]) == list(BATCHES)
    assert (np.diff(found.reached["steps"]) < 0).all()
    assert (np.diff(found.reached["tokens"]) > 0).all()


def test_the_interval_of_the_critical_batch_holds_it():
    inside = [batch_size(planted(noise=0.02, rng_seed=k)).critical for k in range(12)]
    assert sum(each.low <= 3000 <= each.high for each in inside) >= 9
    two = batch_size(planted(batches=(1000, 8000)))
    assert np.isnan(two.critical.low)
    assert two.critical.value == pytest.approx(3000, rel=0.15)


def test_steps_to_a_loss():
    step = np.arange(1.0, 101.0)
    assert steps_to(step, 4 - 0.02 * step, 3.0) == pytest.approx(50)
    lucky = np.where(step == 20, 1.0, 4 - 0.02 * step)
    assert steps_to(step, lucky, 3.0) == pytest.approx(50, abs=1.5)  # one row decides nothing
    assert np.isnan(steps_to(step, 4 - 0.02 * step, 1.0))
    assert steps_to(step[:3], np.array([np.nan, 3.0, 2.0]), 2.5) == pytest.approx(2.5)


@pytest.mark.parametrize("every", [25, 50])
def test_a_sparse_log_does_not_bend_the_critical_batch(every):
    """Between rows a falling loss is curved: a straight line would be passed late, most at the largest batches."""
    step = np.arange(every, 3001, every)
    frames = [
        pd.DataFrame({"run": f"b{batch}", "step": step, "batch": batch, "lr": 0.01, "loss": 2 + 5 * pace**-0.5})
        for batch in 1024 * 2 ** np.arange(1, 8)
        for pace in [step / (1 + 20_000 / batch)]
    ]
    found = batch_size(pd.concat(frames), loss=2.4)
    assert found.tradeoff.S_min == pytest.approx((5 / 0.4) ** 2, rel=3e-3)
    assert found.tradeoff.B_crit == pytest.approx(20_000, rel=5e-3)


def test_a_learning_rate_that_loses_a_seed_does_not_count():
    rows = planted(seeds=2)
    fastest = batch_size(rows).reached.set_index("batch").loc[8000, "lr"]
    lost = (rows["batch"] == 8000) & (rows["lr"] == fastest) & (rows["seed"] == 1) & (rows["step"] > 50)
    rows.loc[lost, "loss"] = np.nan
    assert batch_size(rows).reached.set_index("batch").loc[8000, "lr"] != fastest


def test_the_noise_scale_is_a_ratio_of_means_in_tokens_where_the_length_is_known():
    rows = planted()
    examples, tokens = batch_size(rows), batch_size(rows.assign(seq_len=64))
    assert (examples.unit, tokens.unit) == ("examples", "tokens")
    assert np.allclose(examples.noise["noise_scale"], 40, rtol=0.15)
    assert np.allclose(tokens.noise["noise_scale"], 64 * examples.noise["noise_scale"])


def test_runs_far_from_the_best_learning_rate_have_no_part_in_the_noise():
    rows = planted()
    far = np.abs(np.log2(rows["lr"] / rows["batch"].map(batch_size(rows).reached.set_index("batch")["lr"]))) > 1.5
    lost = rows.assign(noise_grad_square=rows["noise_grad_square"].where(~far, 1e6))
    assert far.any()
    pd.testing.assert_frame_equal(batch_size(lost).noise, batch_size(rows).noise)


def test_the_held_out_loss_is_what_is_reached():
    rows = planted(noise=0.0)
    rng = np.random.default_rng(0)
    noisy = rows.assign(val_loss=rows["loss"], loss=rows["loss"] + 0.5 * rng.standard_normal(len(rows)))
    found = batch_size(noisy)
    assert found.critical.value == pytest.approx(batch_size(rows).critical.value, rel=1e-6)


def test_what_is_missing_is_said_and_what_cannot_be_is_refused():
    rows = planted()
    bare = batch_size(rows.drop(columns=["noise_trace"]))
    assert bare.missing == {"noise scale": "no column noise_trace"}
    finals = rows.groupby("run", as_index=False).last().drop(columns="step")
    assert "along the runs" in batch_size(finals).missing["critical batch"]
    assert batch_size(rows[rows["batch"] == 500]).missing == {"critical batch": "all runs have one batch size"}
    with pytest.raises(InputError, match="no batch size reaches a loss of 1"):
        batch_size(rows, loss=1.0)
    with pytest.raises(InputError, match="no batch size in the log"):
        batch_size(rows.drop(columns="batch"))
    with pytest.raises(InputError, match="weight_decay"):
        batch_size(rows.assign(weight_decay=np.where(rows["seed"] > 0, 0.1, 0.0)))


def test_the_shipped_sweep_over_the_batch():
    """Adam: between no growth and the root by the final loss; near the root by the fewest steps to a loss."""
    found = batch_size(sf.read_runs(SHIPPED))
    assert found.critical.high / found.critical.low < 1.4
    steps = found.tradeoff.steps(found.reached["batch"])
    assert np.allclose(steps, found.reached["steps"], rtol=0.1)  # one hyperbola through six batches
    assert not found.reached["edge"].any()
    fastest = fit_lr_exponent(found.reached["batch"], found.reached["lr"])
    assert 0.25 < fastest.value < 0.55
    last = found.noise["noise_scale"]
    assert last.between(found.critical.value, 6 * found.critical.value).all()  # it grows along a run
    drift = lr_transfer(sf.load("lr_batch"), over="batch", draws=60).arms[0].drift
    assert 0 < drift.value < 0.25


def test_under_descent_the_learning_rate_saturates_above_the_critical_batch():
    """The shipped batches lie above it, so lr_max/(1 + B/batch) grows by a quarter of an octave a doubling, not one."""
    runs = sf.read_runs(commands.ROOT / "data" / "lr_batch_sgd" / "curves.csv")
    found = batch_size(runs)
    assert any("25 of 168 runs stop before the others" in note for note in found.notes)  # they diverged
    assert found.critical.high < found.reached["batch"].iloc[1]
    drift = lr_transfer(sf.load("lr_batch_sgd"), over="batch", draws=100).arms[0].drift
    ends = lr_for_batch([128.0, 4096.0], 1.0, found.critical.value)
    predicted = float(np.log2(ends[1] / ends[0]) / 5)
    assert drift.low <= predicted <= drift.high
    assert drift.high < 0.5
    assert (np.diff(found.noise["noise_scale"]) > 0).all()  # a larger batch is further along


def test_a_batch_that_stalls_determines_nothing_and_says_so():
    rows = planted()
    stalls = rows["batch"] == 8000
    rows.loc[stalls, "loss"] = rows.loc[stalls, "loss"].clip(lower=4.5) + 0.001 * np.exp(-rows.loc[stalls, "step"] / 50)
    said = batch_size(rows).doubt
    assert "batch 8000 needs" in said
    assert "not determined" in said
    assert not batch_size(planted()).doubt
    missed = batch_size(planted(), loss=3.2)
    assert any(note.startswith("no learning rate reaches a loss of 3.2 at batch 500") for note in missed.notes)
    with pytest.raises(InputError, match="some runs begin below a loss of 50"):
        batch_size(planted(), loss=50.0)


@pytest.mark.parametrize("factor", [0.3, 3.0])
def test_a_batch_that_needs_too_few_or_too_many_steps_is_in_doubt(factor):
    """Six batch sizes on the hyperbola, but for one that lies off it: below it or above, the answer is in doubt."""
    batch = np.array([500.0, 1000, 2000, 4000, 8000, 16000])
    steps = 100 * (1 + 3000 / batch)
    trade = Tradeoff(100.0, 3000.0)
    fine = Interval(3000.0, 2500.0, 3600.0)

    def answer(steps):
        reached = pd.DataFrame({"batch": batch, "lr": 0.01, "steps": steps, "tokens": steps * batch, "edge": ""})
        return BatchAnswer(2.5, reached, trade, fine, pd.DataFrame(), "", {})

    assert answer(steps).doubt == ""
    said = answer(np.where(batch == 2000, factor * steps, steps)).doubt
    assert f"batch 2000 needs {factor:.2g} times as many" in said
    assert "not determined" in said


def test_answers_show_the_verdict_and_the_numbers_on_one_screen():
    found = batch_size(planted())
    lines = repr(found).splitlines()
    assert lines[0].startswith(f"critical batch {found.critical.value:.3g} [{found.critical.low:.3g}, ")
    assert lines[4].startswith("fewest steps to a loss of ")
    assert len(lines) < 25
    assert found._repr_html_().startswith(f"<div><p><strong>{lines[0]}</strong></p>")
    assert repr(batch_size(planted(batches=(500,)))).endswith("no critical batch: all runs have one batch size")
    schedule = schedule_of(log_of(lambda share: 1 + 0 * share).assign(run="<a>"))
    lines = repr(schedule).splitlines()
    assert lines[:2] == ["<a>: 400 steps, peak learning rate 0.01", "refined schedule: its peak is at 0 % of the run"]
    assert lines[-1] == "no warmup: no column sharpness_preconditioned"
    assert schedule._repr_html_().startswith("<div><p><strong>&lt;a&gt;: 400 steps")


def test_steps_that_determine_no_critical_batch_end_with_a_failed_check(tmp_path):
    """One batch size, steps that rise with the batch, and two sizes an octave apart far below the critical one."""
    flat = planted(batches=(500, 1000)).assign(batch=lambda rows: rows["batch"].map({500: 1000, 1000: 500}))
    near = planted(critical=30000.0, noise=0.0, batches=(500, 1000), steps=3000)
    for rows, said in (
        (planted(batches=(500,)), "no critical batch: all runs have one batch size"),
        (flat, "no critical batch: the steps to this loss do not follow"),
        (near, "beyond the measured 500 to 1000 (a factor of 2)"),
    ):
        rows.to_csv(tmp_path / "runs.csv", index=False)
        done = commands.run(f"scalefit batch {tmp_path / 'runs.csv'}")
        assert said in done.stdout
        assert done.exit_code == 1
    assert batch_size(planted(noise=0.0, batches=(1000, 8000))).doubt == ""


def test_sequences_are_not_called_tokens():
    rows = planted(batches=(16, 64, 256)).rename(columns={"batch": "batch_size"})
    found = batch_size(rows)
    assert found.counts == "sequences"
    assert any("must count sequences, not tokens" in note for note in found.notes)
    assert batch_size(rows.assign(seq_len=64)).counts == "tokens"


def test_the_command_on_batches(monkeypatch):
    commands.once(monkeypatch, "scalefit.planning.batch.batch_size")
    text = commands.run(f"scalefit batch {SHIPPED} --at batch=8192")
    assert text.exit_code == 0, text.output
    for words in ("critical batch", "twice the least steps", "at batch 8192:", "lr ∝ batch^", "in tokens"):
        assert words in text.stdout
    answer = json.loads(commands.run(f"scalefit batch {SHIPPED} --at batch=8192 --json").stdout)
    trade = answer["critical_batch"]["value"]
    assert answer["target"]["steps"] == pytest.approx(answer["S_min"] * (1 + trade / 8192))
    assert answer["missing"] == {}
    assert commands.run(f"scalefit batch {SHIPPED} --csv").stdout.startswith("batch,lr,steps,tokens")
    far = commands.run(f"scalefit batch {SHIPPED} --at batch=1e9")
    assert far.exit_code == 1
    assert "beyond the measured 128 to 4096 (a factor of 32)" in far.stdout
    for wrong, said in (
        ("--at N=3", "batch=65536"),
        ("--loss nan", "a loss of nan"),
        ("--at batch=-1", "above 0"),
        ("--loss 0.1", "higher --loss"),
    ):
        refused = commands.run(f"scalefit batch {SHIPPED} {wrong}")
        assert refused.exit_code == 2
        assert said in refused.stderr


# --- the schedule that a run asks for ---------------------------------------------------------------------------------


def log_of(norm, steps=400, **columns):
    step = np.arange(1, steps + 1)
    return pd.DataFrame({"run": "a", "step": step, "lr": 0.01, "loss": 3.0, "grad_norm": norm(step / steps), **columns})


def test_equal_norms_ask_for_a_linear_decay():
    for rule in ("adam", "gd"):
        found = schedule_of(log_of(lambda share: 1.0 + 0 * share), rule=rule)
        wanted = 0.01 * (1 - np.arange(1, 401) / 400)
        assert np.allclose(found.lr[1:], wanted, atol=0.01 * 0.004)
    assert found.missing == {"warmup": "no column sharpness"}


def test_norms_that_start_large_ask_for_a_warmup_and_rising_ones_for_a_faster_decay():
    large = schedule_of(log_of(lambda share: 1 + 9 * np.exp(-share / 0.05)), rule="gd")
    assert large.lr[1] < 0.2 * large.peak_lr
    assert 0.05 < np.argmax(large.lr) / large.steps < 0.4
    even, rising = (schedule_of(log_of(norm), rule="gd").lr for norm in (lambda s: 1 + 0 * s, lambda s: 1 + s))
    assert rising[200] < even[200]


def test_the_weights_of_adam_are_of_first_order_and_want_absolute_sums():
    rows = log_of(lambda share: 1 + share)
    first, second = (
        schedule_of(rows, rule="adam"),
        schedule_of(rows.assign(grad_norm=(rows["grad_norm"]) ** 0.5), rule="gd"),
    )
    assert np.allclose(first.lr, second.lr)
    assert "is used instead" in first.notes[0]
    assert not schedule_of(rows.assign(grad_norm_l1=1.0)).notes


def test_a_schedule_is_stretched_and_written_for_the_other_commands(tmp_path):
    rows = log_of(lambda share: 1 + 9 * np.exp(-share / 0.05))
    rows.to_csv(tmp_path / "run.csv", index=False)
    out = tmp_path / "refined.csv"
    done = commands.run(
        f"scalefit schedule {tmp_path}/run.csv --lr 0.02 --steps 1000 --out {out} --plot {tmp_path}/s.png"
    )
    assert done.exit_code == 0, done.output
    assert (tmp_path / "s.png").stat().st_size > 10_000
    read = parse_schedule(str(out))
    assert read.steps == 1000
    assert read.per_step().max() == pytest.approx(0.02, rel=1e-4)
    assert read.per_step()[-1] == 0
    short, long = schedule_of(rows, peak_lr=0.02).lr, read.per_step()
    assert np.allclose(np.interp(np.linspace(0, 1, 50), np.linspace(0, 1, 400), short[1:]),
                       np.interp(np.linspace(0, 1, 50), np.linspace(0, 1, 1000), long[1:]), atol=2e-4)  # fmt: skip


def test_the_warmup_is_that_of_the_threshold():
    top = 2.0 / 0.01 * np.where(np.arange(1, 401) < 120, 3.0, 0.5)
    found = schedule_of(log_of(lambda share: 1 + share, sharpness=top), rule="gd")
    assert found.warmup == 120
    assert schedule_of(log_of(lambda share: 1 + share, sharpness=top), rule="gd", peak_lr=0.001).warmup == 1
    never = schedule_of(log_of(lambda share: 1 + share, sharpness=top), rule="gd", peak_lr=0.05)
    assert np.isnan(never.warmup)
    assert plot_run_schedule(never).measured_axes.get_ylabel() == "lr × sharpness"


def test_the_command_on_the_shipped_curvature(tmp_path):
    log = commands.ROOT / "data" / "warmup" / "sharpness.csv"
    calm = commands.run(f"scalefit schedule {log} --lr 0.00390625 --plot {tmp_path}/a.svg")
    assert calm.exit_code == 0
    assert "warmup: 30 steps until lr times sharpness stays below 38" in calm.stdout
    assert commands.run(f"scalefit schedule {log} --lr 0.0156").exit_code == 1
    answer = json.loads(commands.run(f"scalefit schedule {log} --lr 0.00390625 --json").stdout)
    assert (answer["warmup"], answer["schedule"]) == (30, [])


def test_logs_that_ask_for_no_schedule():
    rows = log_of(lambda share: 1 + share)
    for change, said in (
        (rows.drop(columns="grad_norm"), "no column sharpness_preconditioned; no column grad_norm_l1 or grad_norm"),
        (rows.drop(columns="lr"), "no learning rate in the log"),
        (rows.iloc[:10], "10 gradient norms"),
        (pd.concat([rows, rows.assign(run="b")]), "the log holds 2 runs; choose one: a, b"),
    ):
        with pytest.raises(InputError, match=said):
            schedule_of(change)
    with pytest.raises(InputError, match="a schedule of 1 steps"):
        schedule_of(rows, steps=1)
    with pytest.raises(InputError, match="the peak learning rate is 0"):
        schedule_of(rows, peak_lr=0.0)


def test_the_figure_of_a_schedule(tmp_path):
    norms = plot_run_schedule(schedule_of(log_of(lambda share: 1 + share)))
    assert norms.measured_axes.get_ylabel() == "gradient norm"
    assert [text.get_text() for text in norms.get_legend().get_texts()] == ["refined", "linear"]
    save_figure(norms, tmp_path / "schedule.pdf")


def test_the_figure_holds_the_steps_the_hyperbola_and_the_critical_batch(tmp_path, monkeypatch):
    found = batch_size(planted(20000.0))
    curves = [line for line in found.plot().lines if len(line.get_xdata()) > len(BATCHES)]
    for line in curves:
        x, y = (np.asarray(each, dtype=float) for each in line.get_data())
        np.testing.assert_allclose(y, found.tradeoff.S_min * (1 + found.tradeoff.B_crit / x))
    assert [line.get_linestyle() for line in curves] == ["-", "--"]  # dashed from the largest batch on
    assert curves[1].get_xdata()[-1] == pytest.approx(found.critical.value)
    with pytest.raises(InputError, match="no steps to one loss"):
        plot_batch(batch_size(planted(batches=(1000,))))
    monkeypatch.chdir(tmp_path)
    planted(seeds=1).to_csv("runs.csv", index=False)
    assert commands.run("scalefit batch runs.csv --plot batch.png").exit_code in (0, 1)
    assert (tmp_path / "batch.png").is_file()
