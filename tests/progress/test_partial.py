"""The end of a run in progress: what is known ahead, intervals that narrow and hold, and what is refused."""

from __future__ import annotations

import json
import re

import commands
import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit import plots
from scalefit.errors import InputError
from scalefit.progress.drift import ahead, scale_from
from scalefit.progress.own_curve import new_fall
from scalefit.runs.trajectory import Clock
from scalefit.schedules import Schedule, areas, parse_schedule

PLAN = "cosine:peak_lr=1e-3,steps=2000,warmup=50,final=1e-4"
OTHERS = {
    "constant": "constant:peak_lr=1e-3,steps=2000,warmup=50",
    "wsd": "wsd:peak_lr=1e-3,steps=1600,warmup=50,decay_steps=400",
    "linear": "linear:peak_lr=1e-3,steps=2400,warmup=50",
    "short": "cosine:peak_lr=1e-3,steps=1000,warmup=50",
}


def curve(text, seed=0, noise=0.002, level=1.0, until=None):
    """A run that the annealing law made, with noise, up to a step."""
    plan = parse_schedule(text)
    lr = plan.per_step()
    S1, S2 = areas(lr, decay=0.99, warmup=plan.warmup)
    step = np.arange(60, (until or plan.steps) + 1, 10)
    loss = level * (2.5 + 0.5 * S1[step] ** -0.5 - 20.0 * S2[step])
    return pd.DataFrame(
        {"step": step, "loss": loss * np.exp(noise * np.random.default_rng(seed).standard_normal(len(step)))}
    )


def truth(text, level=1.0):
    return float(curve(text, noise=0.0, level=level)["loss"].iloc[-1])


@pytest.fixture(scope="module")
def family():
    logs = [curve(text, seed=i + 1).assign(run=name) for i, (name, text) in enumerate(OTHERS.items())]
    return sf.fit(sf.read_runs(pd.concat(logs), schedule=OTHERS), "annealing:decay=0.99")


def test_the_clocks_of_a_schedule_of_four_steps_by_hand():
    """Up to 2 in two steps of warmup, down to 0 in two more: no part of the rise counts as fall."""
    clock = Clock.of(np.array([0.5, 1.0, 2.0, 1.0, 0.0]), 2, np.array([2, 3, 4]))
    assert np.exp(clock.area) == pytest.approx([3.5, 4.5, 4.5])
    assert clock.fall == pytest.approx([0.0, 0.5, 1.0])


def test_an_answer_shows_the_verdict_first(family):
    made = sf.predict_partial(curve(PLAN, until=1200).assign(run="<a>"), schedule=PLAN, fit=family)
    verdict, now, basis = repr(made).splitlines()
    assert verdict.startswith(f"<a>: final loss {made.final:.5g}, 90 % interval [{made.low:.5g}, {made.high:.5g}] (±")
    assert now.startswith("  now at step 1200 of 2000 (60 %), loss ")
    assert basis.endswith(f"scaled by {made.scale:.2g} from the errors of {made.forecasts} back-tested forecasts")
    assert made._repr_html_().startswith("<div><p><strong>&lt;a&gt;: final loss")


def test_the_end_is_inside_and_the_interval_narrows(family):
    made = [
        sf.predict_partial(curve(PLAN, until=until), schedule=PLAN, fit=family)
        for until in (400, 800, 1200, 1600, 1900)
    ]
    assert all(one.low < truth(PLAN) < one.high for one in made)
    widths = [one.high - one.low for one in made]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 0.8 * widths[0]
    assert all(one.ok for one in made)
    assert abs(made[-1].final / truth(PLAN) - 1) < 0.003


def test_the_history_is_what_was_said_then(family):
    made = sf.predict_partial(curve(PLAN, until=1500), schedule=PLAN, fit=family)
    then = made.history.iloc[4]
    again = sf.predict_partial(curve(PLAN, until=int(then["step"])), schedule=PLAN, fit=family)
    assert then["final"] == pytest.approx(again.final, rel=1e-12)
    assert then["low"] == pytest.approx(again.low, rel=1e-12)
    assert made.history["step"].iloc[-1] == made.step == 1500


def test_a_run_at_another_level_is_followed_and_named(family):
    made = sf.predict_partial(curve(PLAN, until=1500, level=1.1), schedule=PLAN, fit=family)
    assert made.low < truth(PLAN, 1.1) < made.high
    (check,) = made.warnings
    assert check.code == "off-family"
    assert "10 % above" in check.text


def test_another_peak_learning_rate_is_named(family):
    plan = PLAN.replace("1e-3", "1.5e-3")
    made = sf.predict_partial(curve(plan, until=1500), schedule=plan, fit=family)
    assert "another-recipe" in {check.code for check in made.warnings}


def test_a_decay_that_neither_the_run_nor_the_fitted_ones_have_shown_is_a_failed_check_and_widens():
    plan, codes, widths = "wsd:peak_lr=1e-3,steps=2000,warmup=50,decay_steps=300", [], []
    for names in (("constant", "short"), ("constant", "wsd")):
        logs = pd.concat([curve(OTHERS[name], seed=1).assign(run=name) for name in names])
        fit = sf.fit(
            sf.read_runs(logs, schedule={name: OTHERS[name] for name in names}), "annealing:decay=0.99", draws=20
        )
        for until in (1500, 1980):  # before the decay, and where the run itself has shown nearly all of it
            made = sf.predict_partial(curve(plan, until=until), schedule=plan, fit=fit)
            codes.append({check.code for check in made.warnings} & {"another-schedule"})
            widths.append(made.high - made.low)
    assert codes == [{"another-schedule"}, set(), set(), set()]
    assert widths[0] > 1.5 * widths[2]


def test_a_cooldown_of_many_times_the_steps_is_one_that_no_run_has_shown(tmp_path):
    """Also of a fit that has no intervals, saved and read again."""
    plans = {"a": "wsd:peak_lr=1e-3,steps=2000,decay_steps=200", "b": "wsd:peak_lr=1e-3,steps=1400,decay_steps=140"}
    logs = sf.read_runs(pd.concat([curve(text).assign(run=name) for name, text in plans.items()]), schedule=plans)
    fit = sf.fit(logs, "annealing:decay=0.99", draws=0)
    fit = sf.load_fit(fit.save(tmp_path / "fit.json"))
    codes = []
    longer = [f"wsd:peak_lr=1e-3,steps={steps},decay_steps={decay}" for steps, decay in ((2000, 400), (9000, 900))]
    for plan in (plans["a"], *longer):
        made = sf.predict_partial(curve(plan, until=1200), schedule=plan, fit=fit)
        codes.append("another-schedule" in {check.code for check in made.warnings})
    assert codes == [False, True, True]


@pytest.mark.parametrize(
    ("plan", "until", "new"),
    [
        ("wsd:peak_lr=1e-3,steps=1000,decay_steps=400", 850, False),
        ("multi_step:peak_lr=1e-3,steps=1000,at=400/800,factor=0.316", 600, False),
        ("csv", 700, True),
    ],
)
def test_a_run_alone_is_warned_of_a_fall_unlike_its_own(plan, until, new):
    """The last: a drop to .4 of the peak at once, then a line to zero."""
    lr = np.r_[np.full(500, 1e-3), np.full(301, 4e-4), np.linspace(4e-4, 0, 201)[1:]]
    schedule = Schedule("drawn", 1000, 0, lambda step: lr[np.asarray(step)]) if plan == "csv" else parse_schedule(plan)
    assert bool(new_fall(schedule, until)) is new


def test_coverage_of_simulated_runs(family):
    inside = [
        one.low < curve(PLAN, seed=seed)["loss"].iloc[-1] < one.high
        for seed in range(20, 60)
        for one in [sf.predict_partial(curve(PLAN, seed=seed, until=1200), schedule=PLAN, fit=family)]
    ]
    assert np.mean(inside) >= 0.85


def test_alone_once_half_of_the_fall_is_seen():
    made = sf.predict_partial(curve(PLAN, until=1500), schedule=PLAN)
    assert made.low < truth(PLAN) < made.high
    later = sf.predict_partial(curve(PLAN, until=1800), schedule=PLAN)
    assert later.high - later.low < made.high - made.low
    flat = sf.predict_partial(curve(OTHERS["constant"], until=1000), schedule=OTHERS["constant"])
    assert flat.low < truth(OTHERS["constant"]) < flat.high


def test_saved_and_loaded_it_forecasts_the_same(family, tmp_path):
    again = sf.load_fit(family.save(tmp_path / "fit.json"))
    one, two = (sf.predict_partial(curve(PLAN, until=900), schedule=PLAN, fit=fit) for fit in (family, again))
    assert (one.final, one.low, one.high) == (two.final, two.low, two.high)


def test_the_regression_is_the_formula_of_two_rows():
    """One row known, one asked: e1 times the correlation, and the variance that is left."""
    seen, at = Clock(np.array([0.0]), np.array([0.0])), Clock(np.array([2.0]), np.array([0.5]))
    noise = 0.01
    mean, variance = ahead(seen, np.array([0.02]), at, noise)
    level = 0.1**2
    share = level / (level + noise**2)
    assert mean[0] == pytest.approx(0.02 * share)
    assert variance[0] == pytest.approx(0.005**2 * 2.5 + level - level * share)


def test_the_scale_is_a_mean_with_a_prior():
    assert scale_from([[4.0], [4.0]]).square == pytest.approx((2 + 8) / 4)
    assert scale_from([]).half(np.array([1.0]), 0.0, 0.9)[0] > 1.645


def bad(**changes):
    runs = curve(PLAN, until=1500)
    return runs.assign(**changes)


@pytest.mark.parametrize(
    ("run", "schedule", "said"),
    [
        (bad(), None, "the schedule of the learning rate after step 1500 is not known"),
        (curve(PLAN), PLAN, "the run is finished: step 2000 of 2000"),
        (curve(PLAN), PLAN.replace("2000", "1800"), "its schedule ends at step 1800"),
        (bad(loss=np.where(np.arange(145) == 7, np.nan, 3.0)), PLAN, "row 7, column loss: loss is nan"),
        (bad(run=np.where(np.arange(145) < 70, "a", "b")), PLAN, "2 runs (a, b, ...); choose one"),
        (bad(lr=1e-3), PLAN, "of the log, 0.000"),
        (curve(PLAN, until=100), PLAN, "only 5 rows after warmup"),
        (curve(PLAN, until=600), PLAN, "cannot tell what the decay gains"),
        (pd.DataFrame({"N": [1e6], "loss": [3.0]}), PLAN, "no curve with one row per logged step"),
    ],
)
def test_what_cannot_be_forecast_is_one_line(run, schedule, said, tmp_path, monkeypatch):
    with pytest.raises(InputError) as caught:
        sf.predict_partial(run, schedule=schedule)
    assert said in str(caught.value)
    monkeypatch.chdir(tmp_path)
    run.to_csv("run.csv", index=False)
    words = ["scalefit predict --from-partial run.csv", *([f"--schedule {schedule}"] if schedule else [])]
    done = commands.run(" ".join(words))
    assert done.exit_code == 2
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_law_without_a_schedule_is_refused():
    N = np.geomspace(1e6, 1e9, 9)
    fit = sf.fit(pd.DataFrame({"N": N, "loss": 2 + 100 * N**-0.34}), "power-floor:over=N")
    with pytest.raises(InputError, match="does not follow a learning-rate schedule"):
        sf.predict_partial(bad(), schedule=PLAN, fit=fit)


def test_the_command_says_what_the_library_says(family, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    family.save("fit.json")
    bad().to_csv("run.csv", index=False)
    made = sf.predict_partial(sf.read_runs("run.csv", schedule=PLAN), fit=family)
    done = commands.run(f"scalefit predict fit.json --from-partial run.csv --schedule {PLAN} --plot run.png --json")
    content = json.loads(done.stdout)
    assert done.exit_code == 0
    assert content["final"] == pytest.approx(made.final, rel=1e-12)
    assert (tmp_path / "run.png").exists()
    assert commands.run("scalefit predict").exit_code == 2
    assert commands.run("scalefit predict --from-partial run.csv --at N=1e9").exit_code == 2


def test_the_figure_has_the_fan_and_its_narrowing(family):
    made = sf.predict_partial(bad(), schedule=PLAN, fit=family)
    ax = plots.plot_partial(made, measured=truth(PLAN))
    assert [text.get_text() for text in ax.get_legend().get_texts()][-1] == "measured since"
    assert np.asarray(ax.history_axes.lines[0].get_xdata()).tolist() == made.history["step"].tolist()
    assert made.plot().get_ylabel() == "loss (nats/token)"


def test_a_lone_spike_does_not_move_the_forecast(family):
    plain = curve(PLAN, until=1500)
    calm = sf.predict_partial(plain, schedule=PLAN, fit=family)
    within = plain.copy()
    within.loc[60, "loss"] *= 2
    made = sf.predict_partial(within, schedule=PLAN, fit=family)
    assert made.ok
    assert "1 row of spikes left out" in made.basis
    assert made.final == pytest.approx(calm.final, rel=1e-3)
    last = plain.copy()
    last.loc[len(last) - 1, "loss"] *= 3
    made = sf.predict_partial(last, schedule=PLAN, fit=family)
    assert [check.code for check in made.warnings] == ["spike"]
    assert re.search(r"is (19|20)\d % above", made.warnings[0].text)
    assert made.final == pytest.approx(calm.final, rel=3e-3)


def test_a_rise_that_lasts_is_followed(family):
    risen = curve(PLAN, until=1500)
    risen.loc[len(risen) - 20 :, "loss"] *= 1.3
    made = sf.predict_partial(risen, schedule=PLAN, fit=family)
    assert made.final > 1.2 * truth(PLAN)
    assert "off-family" in [check.code for check in made.warnings]


def test_a_diverged_run_is_named_with_a_fit_and_without(family, tmp_path, monkeypatch):
    lost = curve(PLAN, until=1500)
    lost.loc[len(lost) - 20 :, "loss"] = 9.5
    first = int(lost["step"].iloc[-20])
    for fit in (family, None):
        made = sf.predict_partial(lost, schedule=PLAN, fit=fit)
        assert [check.code for check in made.warnings][:1] == ["diverged"]
        said = rf"diverged at step {first}: the loss stays (\S+) nats above its least \((\S+)\)"
        far, least = re.search(said, str(made)).groups()
        assert float(far) == pytest.approx(9.5 - float(least), abs=0.02)
        assert "no forecast of a run that has diverged" in str(made)
    with pytest.raises(InputError, match="has diverged at step 372"):  # before half of the fall is seen
        sf.predict_partial(lost.assign(step=(lost["step"] - 60) // 4 + 60), schedule=PLAN.replace("2000", "4000"))
    monkeypatch.chdir(tmp_path)
    lost.to_csv("run.csv", index=False)
    assert commands.run(f"scalefit predict --from-partial run.csv --schedule {PLAN}").exit_code == 1
    calm = curve(PLAN, until=1500, noise=0.1)
    calm.loc[len(calm) - 1, "loss"] = 9.5
    assert "diverged" not in str(sf.predict_partial(calm, schedule=PLAN, fit=family))


@pytest.mark.parametrize("end", [np.nan, np.inf])
def test_a_run_that_ends_without_a_finite_loss_has_diverged(end, family):
    lost = curve(PLAN, until=1500)
    lost.loc[len(lost) - 5 :, "loss"] = end
    with pytest.raises(InputError, match="has diverged at step 1460: its loss is not finite") as caught:
        sf.predict_partial(lost, schedule=PLAN, fit=family)
    assert "loss > 0" not in str(caught.value)


def test_a_run_that_was_fitted_is_named(family):
    def said(run, name, plan):
        logs = sf.read_runs(run.assign(run=name), schedule=plan)
        made = sf.predict_partial(logs, fit=family)
        assert made.among in str(made)
        return made.among

    plan = OTHERS["linear"]
    own = curve(plan, seed=3, until=1200)  # as the family has it
    assert "among the fitted ones, up to step 2400: the forecast has seen its end" in said(own, "linear", plan)
    assert "as linear" in said(own, "another", plan)
    assert said(curve(plan, seed=99, until=1200), "another", plan) == ""
    renamed = curve(plan, seed=99, until=1200)
    assert "a run named linear is among the fitted ones" in said(renamed, "linear", plan)
    assert said(renamed.assign(loss=1.5 * renamed["loss"]), "linear", plan) == ""
    trunk = curve(OTHERS["constant"], seed=1, until=1200)
    branch = "wsd:peak_lr=1e-3,steps=2000,warmup=50,decay_steps=600"
    assert said(trunk, "branch", branch) == ""  # begins as a fitted run does, and ends otherwise


@pytest.mark.parametrize(("rows", "plan"), [(4, PLAN), (12, PLAN), (3, OTHERS["linear"])])
def test_a_spike_of_several_rows_that_came_back_does_not_move_the_forecast(rows, plan):
    """By the run's own curve, of which an annealing law would take three rows two nats up for its beginning."""
    calm = curve(plan, until=1700)
    spike = calm.copy()
    spike.loc[80 : 79 + rows, "loss"] += 2.0
    plain, made = (sf.predict_partial(each, schedule=plan) for each in (calm, spike))
    assert made.final == pytest.approx(plain.final, rel=0.01)
    assert f"{rows} rows of spikes left out" in made.basis


def test_a_rise_with_the_learning_rate_is_no_spike():
    """Warm restarts: the loss rises where the rate does, and falls again with it."""
    step = np.arange(2001)
    rate = 1e-3 * (0.55 + 0.45 * np.cos(np.pi * (step % 1000) / 1000))
    S1 = np.cumsum(rate)
    rows = np.arange(60, 1801, 10)
    loss = 2.5 + 0.5 * S1[rows] ** -0.5 + 900.0 * rate[rows]
    noise = 0.002 * np.random.default_rng(0).standard_normal(len(rows))
    log = pd.DataFrame({"step": rows, "loss": loss * np.exp(noise)})
    plan = sf.Schedule("restarts", 2000, 0, lambda at: np.interp(np.asarray(at, float), step, rate))
    assert "of spikes left out" not in sf.predict_partial(log, schedule=plan).basis
