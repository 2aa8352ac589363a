"""What of its runs' recipe a fit remembers, and which other recipes a prediction is cautioned for."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.schedules import areas, parse_schedule

PLANS = {
    "constant": "constant:peak_lr=1e-3,steps=600,warmup=50",
    "decaying": "wsd:peak_lr=1e-3,steps=600,warmup=50,decay_steps=300",
}


def curves(plans, **columns):
    logs = []
    for run, text in plans.items():
        plan = parse_schedule(text)
        S1, S2 = areas(plan.per_step(), decay=0.99, warmup=plan.warmup)
        step = np.arange(60, 601, 20)
        logs.append(
            pd.DataFrame({"run": run, "step": step, "loss": 2.5 + 0.5 * S1[step] ** -0.5 - 20.0 * S2[step], **columns})
        )
    return sf.read_runs(pd.concat(logs), schedule=plans)


@pytest.fixture(scope="module")
def fit():
    return sf.fit(curves(PLANS, d_model=96, vocab=256), "annealing:decay=0.99")


def codes(fit, *args, **options):
    return [check.code for check in fit.cautions(*args, **options)]


def test_a_law_of_schedules_remembers_size_peak_and_vocabulary(fit):
    assert fit.recipe["peak_lr"] == (pytest.approx(1e-3), pytest.approx(1e-3))
    assert fit.recipe["d_model"] == (96, 96)
    assert fit.recipe["vocab"] == (256, 256)


def sizes(**columns):
    N = 10.0 ** np.arange(6, 11)
    return sf.read_runs(pd.DataFrame({"N": N, "loss": 2 + 300 * N**-0.3, **columns}))


def test_a_law_of_sizes_remembers_the_settings_that_it_does_not_read():
    found = sf.fit(sizes(vocab=256, d_model=96, batch=64, optimizer="adamw"), "power-floor:over=N").recipe
    assert found == {"vocab": (256, 256), "batch": (64, 64), "optimizer": ("adamw",)}


@pytest.mark.parametrize(
    ("fitted", "asked", "told"),
    [
        ({"batch": 64}, {"batch": 64}, ""),
        ({"batch": 64}, {"batch": 512}, "batch 512 (fitted: 64)"),
        ({"optimizer": "adamw"}, {"optimizer": "muon"}, "optimizer muon (fitted: adamw)"),
        ({"dataset": "c4"}, {"dataset": "pile"}, "dataset pile (fitted: c4)"),
        ({"peak_lr": 1e-3}, {"peak_lr": 2e-3}, "peak_lr 0.002 (fitted: 0.001)"),
        ({"batch": [16, 32, 64, 128, 256]}, {"batch": 512}, ""),  # a rule of scaling, which goes on
        ({"batch": 64}, {}, ""),
        ({"d_model": 512, "n_layer": 8}, {"d_model": 1024, "n_layer": 16}, ""),
        ({"d_model": 512, "n_layer": 8}, {"d_model": 1024, "n_layer": 12}, ""),
        ({"d_model": 512, "n_layer": 8}, {"d_model": 1024, "n_layer": 8}, "d_model/n_layer 128 (fitted: 64)"),
        ({"d_model": 512, "n_layer": 8}, {"d_model": 512, "n_layer": 32}, "d_model/n_layer 16 (fitted: 64)"),
        ({"D": 2e10, "U": 2e10}, {"D": 6e10, "U": 2e10}, ""),
        ({"D": 2e10, "U": 2e10}, {"D": 2e11, "U": 2e10}, "epochs 10 (fitted: 1)"),
    ],
)
def test_laws_of_sizes_are_cautioned_for_another_recipe(fitted, asked, told):
    fit = sf.fit(sizes(**fitted), "power-floor:over=N")
    found = [check.text for check in fit.cautions(sizes(**asked)) if check.code == "another-recipe"]
    assert len(found) == bool(told)
    assert all(told in text for text in found)


@pytest.mark.parametrize(("changed", "told"), [({}, False), ({"d_model": 192}, True), ({"vocab": 512}, True)])
def test_runs_of_another_recipe_are_cautioned(fit, changed, told):
    asked = curves(PLANS, **{"d_model": 96, "vocab": 256, **changed})
    assert ("another-recipe" in codes(fit, asked)) == told


def test_another_peak_is_cautioned_up_to_two_percent(fit):
    for peak, told in (("1.015e-3", False), ("1.03e-3", True), ("0.97e-3", True)):
        plan = f"cosine:peak_lr={peak},steps=600,warmup=50"
        assert ("another-recipe" in codes(fit, schedule=plan)) == told


SIZES = np.geomspace(1e7, 2e9, 12)


def tied(**columns):
    """Twelve runs of 20 tokens a parameter, of one amount of data, or of one compute."""
    noise = np.exp(0.003 * np.random.default_rng(0).standard_normal(12))
    return pd.DataFrame({"N": SIZES, "D": 20 * SIZES, **columns}).assign(loss=(1.8 + 300 * SIZES**-0.32) * noise)


@pytest.mark.parametrize(
    ("columns", "law", "asked", "told"),
    [
        ({}, "power-floor:over=N", {"N": 7e9, "D": 1.5e11}, ""),
        ({}, "power-floor:over=N", {"N": 7e9, "D": 2e12}, "D = 20 N,"),
        ({}, "power-floor:over=D", {"N": 1e9, "D": 2e11}, "N = 0.05 D,"),
        ({}, "power-floor:over=C", {"N": 1e10, "D": 2e11}, ""),
        ({}, "power-floor:over=C", {"N": 1e9, "D": 2e12}, "leaves that by a factor of"),
        ({"D": 1e10}, "power-floor:over=N", {"N": 7e9, "D": 1e11}, "D = 1e+10, and N = 7e+09, D = 1e+11"),
        ({"D": 1e10}, "power-floor:over=N", {"N": 7e9, "D": 1e10}, ""),
        ({}, "E + A*N**-alpha + B*D**-beta", {"N": 7e9, "D": 1.5e11}, ""),
        ({}, "E + A*N**-alpha + B*D**-beta", {"N": 7e9, "D": 1.4e10}, "D = 20 N,"),
        ({"D": 1e18 / SIZES}, "E + A*N**-alpha + B*D**-beta", {"N": 7e9, "D": 1e11}, ""),
    ],
)
def test_a_point_off_the_line_of_size_and_data_is_told(columns, law, asked, told):
    fit = sf.fit(tied(**columns), law)
    found = [check.text for check in fit.cautions(pd.DataFrame({k: [v] for k, v in asked.items()}))]
    found = [text for text in found if "in all fitted runs" in text]
    assert len(found) == bool(told)
    assert all(told in text for text in found)


def test_a_mixture_of_laws_in_one_scale_each_is_asked_for_all_of_them():
    fit = sf.automatic(tied(), ["power-floor:over=D", "power-floor:over=N", "power:over=C"])
    assert not codes(fit, N=3e9, D=6e10)
    assert codes(fit, N=3e9, D=6e11) == ["tied-scales"]
    low, high = (
        sf.fit(tied(), f"power-floor:over={x}").predict(**{x: value})["loss"][0]
        for x, value in (("D", 6e11), ("N", 3e9))
    )
    assert low < fit.predict(N=3e9, D=6e11)["loss"][0] < high
    assert fit.predict(N=3e9)["loss"][0] == pytest.approx(high, rel=1e-3)  # in part with constants near published ones
    with pytest.raises(sf.InputError, match=r'has a variable "experts".*--law a law that reads it'):
        fit.predict(N=3e9, experts=8)


def test_a_schedule_that_contradicts_the_logged_rates_is_told():
    logs = curves(PLANS)
    for run, text in PLANS.items():
        own = logs.curves["run"] == run
        logs.curves.loc[own, "lr"] = parse_schedule(text)(logs.curves.loc[own, "step"].to_numpy())
    table = logs.curves[["run", "step", "loss", "lr"]]
    assert not sf.fit(sf.read_runs(table, schedule=PLANS), "annealing:decay=0.99").warnings
    wrong = {**PLANS, "decaying": PLANS["decaying"].replace("decay_steps=300", "decay_steps=500")}
    (told,) = (
        c for c in sf.fit(sf.read_runs(table, schedule=wrong), "annealing:decay=0.99").warnings if "given" in c.text
    )
    assert told.code == "schedule-overrides"
    assert "leave out --schedule" in told.text
