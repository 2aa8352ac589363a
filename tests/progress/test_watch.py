"""Spikes against divergence, and the signal that warned first."""

from __future__ import annotations

import json

import commands
import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.errors import InputError
from scalefit.progress.rises import find_spikes
from scalefit.progress.watch import watch

STEPS = np.arange(0, 4000, 10)


def calm(noise=0.01, rng_seed=0):
    rng = np.random.default_rng(rng_seed)
    loss = 2.5 + 3.0 * (1 + STEPS / 20) ** -0.7
    return pd.DataFrame({"step": STEPS, "loss": loss * np.exp(noise * rng.standard_normal(len(STEPS)))})


def test_a_calm_run_has_no_spike():
    for rng_seed in range(20):
        seen = watch(calm(rng_seed=rng_seed))
        assert seen.status == "calm", seen
        assert seen.first is None


def test_planted_spikes_are_found_with_their_step_height_and_recovery():
    rows = calm()
    for start, height in ((1000, 1.5), (2500, 2.0)):
        rows.loc[(rows["step"] >= start) & (rows["step"] < start + 30), "loss"] *= height
    seen = watch(rows)
    assert seen.status == "spikes"
    assert [(spike.start, spike.stop) for spike in seen.spikes] == [(1000, 1020), (2500, 2520)]
    assert seen.spikes[1].height == pytest.approx(1.0, abs=0.1)
    assert seen.spikes[0].recovered == 3
    assert seen.first.step == 1000


@pytest.mark.parametrize("end", ["nan", "initial", "high"])
def test_divergence_is_no_spike(end):
    rows = calm()
    late = rows["step"] >= 3000
    rows.loc[late, "loss"] = {"nan": np.nan, "initial": 5.5, "high": 4.2}[end]
    seen = watch(rows)
    assert seen.status == "diverged"
    assert seen.first.step == 3000
    words = {
        "nan": "not finite",
        "initial": "untrained model",
        "high": "the loss stays 1.61 nats above its least (2.59)",
    }
    assert words[end] in seen.why


RISES = [([50, 500, 1e6], "diverging"), ([50, 500, 20], "undecided"), ([4, 5], "spikes")]


@pytest.mark.parametrize("begin", [0, 10], ids=["the untrained loss is known", "it is not"])
@pytest.mark.parametrize(("end", "status"), RISES)
def test_a_loss_that_rises_on_beyond_that_of_an_untrained_model_is_diverging(begin, end, status):
    rows = calm().iloc[begin:].reset_index(drop=True)
    rows.loc[len(rows) - len(end) :, "loss"] = end
    assert watch(rows).status == status


def test_a_run_that_never_learned_has_not_come_back():
    flat = pd.DataFrame({"step": STEPS, "loss": 5.5 + 0.001 * np.sin(STEPS)})
    seen = watch(flat)
    assert (seen.status, seen.spikes) == ("stuck", ())
    assert "still at the initial loss (5.5)" in seen.why


def test_the_first_signal_comes_first():
    rows = calm()
    rng = np.random.default_rng(1)
    rows["grad_norm"] = np.exp(0.1 * rng.standard_normal(len(rows)))
    rows.loc[rows["step"] == 1900, "grad_norm"] = 40.0
    rows.loc[rows["step"] >= 2000, "loss"] = 8.0
    seen = watch(rows)
    assert seen.first.signal == "grad_norm"
    assert seen.first.step == 1900
    assert [each.step for each in seen.warnings] == sorted(each.step for each in seen.warnings)
    assert "attention_logit_max" in seen.unseen


def test_growth_of_the_attention_logit_is_extrapolated_to_the_limit():
    rows = calm()
    rows["attention_logit_max"] = np.exp(2 + STEPS / 600)
    reached = 600 * (np.log(1e4) - 2)
    seen = watch(rows, steps=6000)
    assert seen.first.signal == "attention_logit_max"
    assert float(seen.first.text.rsplit(" ", 1)[1]) == pytest.approx(reached, abs=2)
    assert watch(rows, steps=4100).first is None
    rows["attention_logit_max"] = 20 + np.sin(STEPS)
    assert watch(rows).first is None
    rows.loc[rows["step"] >= 3500, "attention_logit_max"] = 2e4
    assert watch(rows).first.step == 3500


def test_probes_that_are_logged_now_and_then_are_no_spikes():
    rows = calm()
    rows["grad_norm"] = np.where(STEPS % 100 == 0, 1.0, np.nan)
    assert watch(rows).first is None


def test_log_z_that_drifts_away_is_told():
    rows = calm().assign(output_logit_logsumexp=5.5 - np.maximum(0, STEPS - 2000) / 50)
    seen = watch(rows)
    assert seen.first.signal == "output_logit_logsumexp"
    assert 2500 < seen.first.step <= 2520


def test_the_residual_against_a_law():
    rows = calm(noise=0.003)
    law = 2.5 + 3.0 * (1 + STEPS / 20) ** -0.7
    drift = np.where(STEPS > 2000, np.exp((STEPS - 2000) / 10000), 1.0)  # slower than any running median sees
    seen = watch(rows.assign(loss=rows["loss"] * drift), predicted=law)
    assert seen.first.signal == "residual"
    assert 2000 < seen.first.step < 2300


def test_spikes_do_not_depend_on_the_unit():
    rows = calm()
    rows.loc[rows["step"] == 1000, "loss"] *= 2
    a = find_spikes(rows["step"].to_numpy(), rows["loss"].to_numpy())
    b = find_spikes(rows["step"].to_numpy(), 1000 * rows["loss"].to_numpy())
    assert [(s.start, s.stop) for s in a] == [(s.start, s.stop) for s in b] == [(1000, 1000)]


def test_a_loss_that_is_not_finite_is_a_spike_of_its_own():
    rng = np.random.default_rng(0)
    step, loss = np.arange(1000), 2 + 3 * np.arange(1, 1001) ** -0.5 + 0.02 * rng.standard_normal(1000)
    assert find_spikes(step, loss) == []
    loss[300:305] *= 2.0
    loss[700] = np.nan
    first, second = find_spikes(step, loss)
    assert (first.start, first.stop, second.start, second.stop) == (300, 304, 700, 700)
    assert first.height == pytest.approx(1.0, abs=0.1)
    assert second.height == np.inf


def test_what_cannot_be_watched():
    with pytest.raises(InputError, match="no column loss"):
        watch(pd.DataFrame({"step": [1, 2, 3]}))
    with pytest.raises(InputError, match="too few"):
        watch(pd.DataFrame({"step": [1], "loss": [2.0]}))


def test_the_shipped_curves_are_calm():
    runs = sf.read_runs(commands.ROOT / "data" / "schedules" / "curves.csv")
    for _, rows in runs.curves.groupby("run", observed=True):
        assert watch(rows).status == "calm"


def test_the_command(tmp_path):
    rows = calm().assign(run="a")
    bad = calm().assign(run="b")
    bad.loc[bad["step"] >= 3000, "loss"] = np.nan
    pd.concat([rows, bad]).to_csv(tmp_path / "log.csv", index=False)
    result = commands.run(f"scalefit watch {tmp_path}/log.csv")
    assert result.exit_code == 1, result.output
    assert "a: calm at step 3990" in result.stdout
    assert "b: diverged" in result.stdout
    assert "not in the log: attention_logit_max, grad_norm" in result.stdout
    answer = json.loads(commands.run(f"scalefit watch {tmp_path}/log.csv --run b --json").stdout)
    assert answer["runs"]["b"]["warnings"][0]["step"] == 3000
    assert commands.run(f"scalefit watch {tmp_path}/log.csv --run c").exit_code == 2


def test_an_answer_shows_the_verdict_and_what_warned():
    rows = calm()
    rows.loc[rows["step"] == 1000, "loss"] *= 2
    seen = watch(rows)
    verdict, warning = repr(seen).splitlines()
    assert verdict == "spikes at step 3990: 1 spike of the loss, 1 recovered"
    assert warning.startswith("  step 1000: loss rises by 9") or warning.startswith("  step 1000: loss rises by 10")
    assert seen._repr_html_() == f"<div><p><strong>{verdict}</strong></p><pre>{warning}</pre></div>"
    rows.loc[rows["step"] == 1000, "loss"] *= np.exp(3)
    text = rows.assign(data=np.where(STEPS < 1000, "<b>", "web"))
    assert "<b>" not in watch(text.assign(loss=rows["loss"] + 0.5 * (STEPS > 1200)))._repr_html_()


def test_one_spike_is_one_and_no_height_is_infinite():
    rows = calm()
    rows.loc[rows["step"] == 1000, "loss"] *= 2
    assert watch(rows).why == "1 spike of the loss, 1 recovered"
    rows.loc[rows["step"] > 3900, "loss"] = np.inf
    rows.loc[rows["step"] == 3900, "loss"] = 9.0
    seen = watch(rows)
    assert "inf" not in " ".join(each.text for each in seen.warnings).replace("infin", "")
    assert [each.step for each in seen.warnings] == [1000, 3900, 3910]


def test_rows_that_the_law_does_not_predict_are_not_held_against_it():
    rows = calm(noise=0.003)
    law = 2.5 + 3.0 * (1 + STEPS / 20) ** -0.7
    law[:30] = np.nan  # during warm-up
    assert watch(rows, predicted=law).status == "calm"
    assert watch(rows, predicted=law).first is None
    rows.loc[rows["step"] > 3500, "loss"] *= 1.1
    assert {each.signal for each in watch(rows, predicted=law).warnings} == {"loss", "residual"}


def test_a_fit_is_held_against_a_log_that_begins_during_warmup(tmp_path):
    step = np.arange(10, 1001, 10)
    plans = {"a": "constant:peak_lr=1e-3,steps=1000,warmup=50", "b": "linear:peak_lr=1e-3,steps=1000,warmup=50"}
    logs = []
    for run, text in plans.items():
        lr = sf.parse_schedule(text).per_step()
        loss = 2.5 + 0.5 * np.cumsum(lr)[step] ** -0.5 - 20 * (1e-3 - lr[step]) * (step > 50)
        logs.append(pd.DataFrame({"run": run, "step": step, "lr": lr[step], "loss": loss}))
    pd.concat(logs).to_csv(tmp_path / "log.csv", index=False)
    sf.fit(sf.read_runs(tmp_path / "log.csv", warmup=50), "annealing:decay=0.99").save(tmp_path / "fit.json")
    done = commands.run(f"scalefit watch {tmp_path}/log.csv --fit {tmp_path}/fit.json --warmup 50")
    assert done.exit_code == 0, done.output
    assert "residual against a fitted law" not in done.stdout


def test_a_run_without_losses_above_zero_is_not_called_calm():
    rows = pd.DataFrame({"step": np.arange(100), "loss": np.where(np.arange(100) < 19, 3.0, -1.0)})
    seen = watch(rows)
    assert seen.status == "too short"
    assert "19 of 100 rows have a loss above zero, 20 are needed to judge" in seen.why


def test_one_run_is_watched_as_its_rows_are_and_several_are_refused(tmp_path):
    rows = calm().assign(run="a")
    rows.loc[200:202, "loss"] *= 2
    path = tmp_path / "log.csv"
    rows.to_csv(path, index=False)
    seen = watch(sf.read_runs(path, need=()))
    assert str(seen) == str(watch(rows)) and seen.status == "spikes"
    assert watch(sf.read_runs(rows.assign(diverged=True), need=())).why == "the log marks it as diverged"
    both = pd.concat([rows, calm().assign(run="b")])
    for given in (both, sf.read_runs(both, need=())):
        with pytest.raises(InputError, match="the log holds 2 runs: a, b"):
            watch(given)
    with pytest.raises(InputError, match="no steps"):
        watch(sf.read_runs(pd.DataFrame({"N": [1e6, 2e6], "D": [1e8, 2e8], "loss": [3.0, 2.9]}), need=()))


@pytest.mark.parametrize(("high", "nats", "status"), [(2, 1.5, "spikes"), (8, 0.5, "spikes"), (3, 1.5, "undecided"),
                                                      (15, 1.5, "undecided"), (45, 1.5, "diverged")])  # fmt: skip
def test_last_rows_that_are_lost_are_undecided_until_they_are_a_tenth_of_the_log(high, nats, status, tmp_path):
    """A spike from which the run comes back, or a lost run: nobody knows yet; the same rows come back are a spike."""
    rows = calm()
    rows.loc[rows.index[-high:], "loss"] += nats
    assert watch(rows).status == status
    rows.to_csv(tmp_path / "run.csv", index=False)
    assert commands.run(f"scalefit watch {tmp_path}/run.csv").exit_code == (status != "spikes")
    back = calm()
    back.loc[back.index[-100 : high - 100], "loss"] += nats
    assert watch(back).status == "spikes"
