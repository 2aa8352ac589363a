"""Each diagnosis with data that have the fault and data that do not, in all the places where it is said."""

from __future__ import annotations

import dataclasses
import json

import commands
import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit import plots
from scalefit.diagnosis.influence import standing_out, usual_target
from scalefit.fitting.prepare import prepare
from scalefit.runs.conventions import mixed_conventions
from scalefit.runs.endings import unfinished
from scalefit.schedules import areas, parse_schedule


def sizes(noise=0.004, seed=1, sides=7, E=1.7):
    """Runs that a Chinchilla law made."""
    N, D = (values.ravel() for values in np.meshgrid(np.geomspace(1e7, 1e9, sides), np.geomspace(1e9, 1e11, sides)))
    loss = E + 400 * N**-0.34 + 410 * D**-0.28
    rng = np.random.default_rng(seed)
    names = [f"r{i}" for i in range(len(N))]
    return pd.DataFrame({"run": names, "N": N, "D": D, "loss": loss * np.exp(noise * rng.standard_normal(len(N)))})


def codes(fit):
    return {check.code for check in fit.warnings}


@pytest.fixture(scope="module")
def clean():
    return sf.fit(sizes(), "chinchilla")


def test_runs_that_follow_their_law_raise_no_alarm(clean):
    assert clean.ok
    assert not any(codes(sf.fit(sizes(seed=seed), "chinchilla")) for seed in range(2, 12))


def changed(at, by):
    runs = sizes()
    runs.loc[at, "loss"] *= by
    return runs


def bending():
    """A power law that flattens where the largest runs are: the law without a floor cannot follow."""
    N = np.geomspace(1e6, 1e10, 40)
    noise = np.exp(0.002 * np.random.default_rng(0).standard_normal(len(N)))
    return pd.DataFrame({"N": N, "loss": (2 + 100 * N**-0.34) * noise})


def too_short():
    """Three runs with a tenth of a token per parameter, far above the law."""
    runs = sizes()
    N = np.array([2e8, 4e8, 8e8])
    D = 0.1 * N
    more = pd.DataFrame({"run": list("abc"), "N": N, "D": D, "loss": 1.2 * (1.7 + 400 * N**-0.34 + 410 * D**-0.28)})
    return pd.concat([runs, more], ignore_index=True)


@pytest.mark.parametrize(
    ("code", "runs", "law", "named"),
    [
        ("outliers", changed(24, 1.2), "chinchilla", "r24"),
        ("residual-trend", bending(), "power:over=N", "decade of N"),
        ("under-trained", too_short(), "chinchilla", "a, b, c"),
        ("mixed-conventions", changed([3, 11, 30], 1 / np.log(2)), "chinchilla", "bits"),
        ("mixed-conventions", sizes().assign(tokenizer=["x", "y"] * 24 + ["x"]), "chinchilla", "tokenisers"),
    ],
)
def test_a_fault_is_said_in_the_table_the_json_the_figure_and_the_exit_code(
    code, runs, law, named, tmp_path, monkeypatch
):
    fit = sf.fit(runs, law)
    (text,) = [check.text for check in fit.warnings if check.code == code]
    assert named in text
    assert f"! {text}" in fit.summary()
    first = dataclasses.replace(fit, warnings=tuple(check for check in fit.warnings if check.code == code))
    assert text[:40] in plots.plot_fit(first).get_title("left").replace("\n", " ")
    monkeypatch.chdir(tmp_path)
    runs.to_csv("runs.csv", index=False)
    done = commands.run(f"scalefit fit runs.csv --law {law} --draws 0 --json")
    assert done.exit_code == 1
    assert code in {check["code"] for check in json.loads(done.stdout)["warnings"]}
    assert sf.load_fit(fit.save("fit.json")).warnings == fit.warnings


def test_one_run_far_out_alone_decides_the_forecast():
    N = np.r_[np.geomspace(1e7, 3e7, 14), 3e9]
    rng = np.random.default_rng(0)
    loss = (1.7 + 400 * N**-0.34) * np.exp(0.001 * rng.standard_normal(len(N)))
    loss[-1] *= 1.03
    runs = pd.DataFrame({"run": [f"r{i}" for i in range(len(N))], "N": N, "loss": loss})
    fit = sf.fit(runs, "power-floor:over=N")
    (text,) = [check.text for check in fit.warnings if check.code == "influential"]
    assert "depends on one run: without r14 it is " in text
    table = fit.influence(N=1e10)
    assert table.index[0] == "r14"
    assert len(plots.plot_influence(fit, N=1e10).get_yticks()) == 14


def ladder(by, seed, count=20, noise=0.003):
    """Runs along compute, the largest of which is off by a factor."""
    C = np.geomspace(1e16, 1e20, count)
    loss = (1.7 + 2e3 * C**-0.18) * np.exp(noise * np.random.default_rng(seed).standard_normal(count))
    loss[-1] *= by
    return pd.DataFrame({"run": [f"r{i}" for i in range(count)], "C": C, "loss": loss})


def test_a_largest_run_that_the_others_do_not_predict_is_told():
    found = [codes(sf.fit(ladder(by, seed), "power-floor:over=C")) for by in (1.03, 0.97) for seed in range(6)]
    assert sum("largest-run" in each for each in found) >= 11
    assert not any("largest-run" in codes(sf.fit(ladder(1.0, seed), "power-floor:over=C")) for seed in range(6))


def test_what_is_said_of_the_largest_run_is_the_refit_without_it():
    runs = ladder(1.03, 0)
    (told,) = [c for c in sf.fit(runs, "power-floor:over=C").warnings if c.code == "largest-run"]
    without = sf.fit(runs[:-1], "power-floor:over=C")
    off = 100 * (runs["loss"].iloc[-1] / without.predict(C=1e20)["loss"][0] - 1)
    assert f"r19, lies {off:.2g} % above" in told.text
    assert f"{without.predict(C=1e21)['loss'][0]:.4g} without" in told.text


def test_influence_is_the_refit_without_the_run(clean):
    table = clean.influence(N=1e10, D=1e12)
    for run in table.index[[0, 10, -1]]:
        rows = sizes()
        refit = sf.fit(rows[rows["run"] != run], "chinchilla", delta=clean.delta)
        assert table.loc[run, "prediction"] == pytest.approx(refit.predict(N=1e10, D=1e12)["loss"].iloc[0], rel=1e-6)


@pytest.mark.parametrize(
    ("law", "columns", "grows"),
    [
        ("chinchilla", ("N", "D"), {"N": 10**0.5, "D": 10**0.5}),
        ("power:over=N", ("N",), {"x": 10**0.5}),
        ("power:over=D", ("D",), {"x": 10**0.5}),
        ("power:over=C", ("C",), {"x": 10.0}),
    ],
)
def test_influence_is_judged_at_ten_times_the_largest_compute(law, columns, grows):
    """N and D each grow by the root of ten, so that C = 6 N D grows tenfold; a law of N or D alone goes as far."""
    runs = sizes().assign(C=lambda t: 6 * t["N"] * t["D"])
    ready = prepare(sf.read_runs(runs, need=()), law)
    largest = runs.loc[runs["C"].idxmax() if len(columns) > 1 else runs[columns[0]].idxmax()]
    point = usual_target(ready.law, ready.rows)
    for (name, factor), column in zip(grows.items(), columns, strict=True):
        assert point[name].tolist() == pytest.approx([factor * largest[column]])


def test_influence_of_more_runs_than_are_kept_is_that_of_the_runs_named(monkeypatch):
    """Of 50 runs half are kept; each refit is the one without the run whose name it has."""
    runs = changed(48, 1.5)
    monkeypatch.setattr("scalefit.diagnosis.influence.MOST_ROWS", 25)
    fit = sf.fit(runs, "chinchilla")
    assert set(fit.without) == {f"r{i}" for i in range(0, 49, 2)}
    found = fit.influence(N=1e10, D=1e12)
    assert found["change"].abs().max() > 0
    alone = sf.fit(runs.iloc[::2].query("run != 'r48'"), "chinchilla", delta=fit.delta)
    kept = sf.fit(runs.iloc[::2], "chinchilla", delta=fit.delta)
    moved = np.array(fit.without["r48"]) - np.array([*fit.parameters.values()])
    assert moved == pytest.approx(np.array([*alone.parameters.values()]) - [*kept.parameters.values()], rel=0.02)


def test_runs_of_unequal_weight_are_called_influential_once_in_a_hundred_sets():
    rng = np.random.default_rng(0)
    found = []
    for count in (5, 10, 40):
        expected = np.geomspace(0.1, 1, count)  # those far from the rest move a prediction most
        for _ in range(200):
            noise = rng.standard_normal(count)
            sigma = float(np.std(noise, ddof=1))
            found.append(standing_out(noise * expected, expected, sigma, 0.0)[2].any())
    assert np.mean(found) < 0.02


def test_the_largest_runs_of_a_small_noisy_table_are_not_called_influential():
    """They move a prediction at ten times the compute more than the others do, as they should."""
    assert sum("influential" in codes(sf.fit(sizes(0.01, seed, 4), "chinchilla")) for seed in range(12)) <= 1


def test_a_run_whose_place_no_other_shares_is_expected_to_move_the_prediction():
    """The change by chance is that of least squares: (g' H^-1 x_i) e_i / (1 - h_i), which has the sd c_i sigma."""
    rng = np.random.default_rng(3)
    N = np.geomspace(1e7, 1e9, 12)
    loss = 2.0 * N**-0.1 * np.exp(0.003 * rng.standard_normal(12))
    fit = sf.fit(
        pd.DataFrame({"run": [f"r{i}" for i in range(12)], "N": N, "loss": loss}), "power:over=N", loss="squared"
    )
    X = np.column_stack([np.ones(12), np.log(N)])
    hat = X @ np.linalg.inv(X.T @ X) @ X.T
    pull = np.array([1.0, np.log(1e11)]) @ np.linalg.inv(X.T @ X) @ X.T
    expected = fit.sigma * np.abs(pull) / np.sqrt(1 - np.diag(hat))
    found = fit.influence(N=1e11)["by_chance"].reindex([f"r{i}" for i in range(12)]).to_numpy()
    assert found / found.max() == pytest.approx(expected / expected.max(), rel=1e-3)


def test_short_runs_beside_runs_that_are_almost_as_short():
    """Three runs pull the law, so that the next ones lie below it."""
    runs = pd.concat([too_short().iloc[:49], too_short().iloc[49:].assign(D=lambda t: 4 * t["D"])], ignore_index=True)
    runs = runs[(runs["D"] / runs["N"] < 1000)]
    assert "under-trained" in codes(sf.fit(runs, "chinchilla"))


STICKS = pd.DataFrame({"run": list("abcd"), "N": [1e6, 2e6, 4e6, 8e6], "loss": [4.0, 3.6, 3.3, 3.1]})


def shapes(counted):
    """Six models of which some count their embeddings."""
    width, depth = np.array([64, 128, 256, 512, 768, 1024]), np.array([4, 4, 6, 8, 12, 12])
    N = 12 * depth * width**2 + counted * 50257 * width
    return pd.DataFrame({"run": list("abcdef"), "N": N, "d_model": width, "n_layer": depth, "vocab": 50257})


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (STICKS, ""),
        (STICKS.assign(vocab=[32000, 32000, 32000, 32000]), ""),
        (STICKS.assign(vocab=[32000, 32000, 50257, 50257]), "2 vocabulary sizes"),
        (STICKS.assign(val_set=list("xxxy")), "2 validation sets"),
        (STICKS.assign(split=["train", "val", "val", "val"]), "splits"),
        (STICKS.assign(split=["fit", "fit", "predict", "predict"]), ""),
        (STICKS.assign(perplexity=np.exp(STICKS["loss"])), ""),
        (STICKS.assign(perplexity=np.r_[2 ** STICKS["loss"][:2], np.exp(STICKS["loss"][2:])]), "in bits"),
        (STICKS.assign(bpb=STICKS["loss"] / 3), ""),
        (STICKS.assign(bpb=STICKS["loss"] / [3, 3, 3, 4]), "another unit or of another tokeniser"),
        (STICKS.assign(N_total=STICKS["N"] + 1e6), ""),
        (STICKS.assign(N_total=STICKS["N"] + [1e6, 0, 1e6, 0]), "N counts embeddings in some rows only"),
        (shapes(np.zeros(6)), ""),
        (shapes(np.ones(6)), ""),
        (shapes(np.array([0, 1, 0, 1, 0, 1])), "N counts embeddings in some rows only"),
    ],
)
def test_conventions(table, said):
    found = mixed_conventions(table, {"N"})
    assert len(found) == bool(said)
    assert said in "".join(found)


def logs(ends, steps=100, declared=None):
    """Curves with a learning rate that falls in a straight line to a share of its peak."""
    step = np.arange(0, steps + 1, 5)
    parts = [
        pd.DataFrame(
            {"run": f"r{i}", "step": step, "N": 1e6 * 2**i, "lr": 1e-3 * (1 - (1 - end) * step / steps)}
        ).assign(loss=3 + (1 + step) ** -0.5)
        for i, end in enumerate(ends)
    ]
    return sf.read_runs(pd.concat(parts).assign(**({} if declared is None else {"steps": declared})))


@pytest.mark.parametrize(
    ("runs", "every_row", "said"),
    [
        (logs([0.0, 0.1, 0.0]), False, ""),
        (logs([1.0, 1.0, 1.0]), False, ""),
        (logs([1.0, 1.0, 1.0]), True, ""),
        (logs([1.0, 0.1, 0.0]), False, "mid-schedule"),
        (logs([0.1, 0.1, 0.1]), True, "mid-schedule"),
        (logs([0.1, 0.1], declared=100), False, ""),
        (logs([0.1, 0.1], declared=200), False, "stopped before their declared end (r0 at 100 of 200"),
    ],
)
def test_losses_that_are_not_final(runs, every_row, said):
    found = unfinished(runs, every_row)
    assert len(found) == bool(said)
    assert said in "".join(found)


def test_a_fit_of_mid_schedule_losses_says_so():
    runs = logs([1.0, 0.1, 0.0, 0.0, 0.0])
    assert "mid-schedule" in codes(sf.fit(runs, "power:over=N", force=True))


def test_curves_that_still_fall_steeply():
    step = np.arange(10, 1001, 10)
    parts = [
        pd.DataFrame({"run": f"r{i}", "step": step[:n], "N": 1e6 * 2**i, "loss": 2 + 2.0**-i + 40 * step[:n] ** -0.9})
        for i, n in enumerate([100, 100, 100, 100, 100, 9])
    ]
    fit = sf.fit(sf.read_runs(pd.concat(parts)), "power:over=N")
    assert [check.text for check in fit.warnings if "r5" in check.text and check.code == "under-trained"]
    whole = sf.fit(sf.read_runs(pd.concat(parts[:-1])), "power:over=N")
    assert "under-trained" not in codes(whole)


def curves(plans):
    parts = []
    rng = np.random.default_rng(0)
    for name, text in plans.items():
        lr = parse_schedule(text).per_step()
        S1, S2 = areas(lr, decay=0.99)
        step = np.arange(20, len(lr), 20)
        loss = (2.5 + 0.5 * S1[step] ** -0.5 - 0.3 * S2[step]) * np.exp(0.001 * rng.standard_normal(len(step)))
        parts.append(pd.DataFrame({"run": name, "step": step, "loss": loss}))
    return sf.read_runs(pd.concat(parts), schedule=plans)


PLANS = {
    "constant": "constant:peak_lr=1e-3,steps=2000",
    "cosine": "cosine:peak_lr=1e-3,steps=2000,final=1e-4",
    "linear": "linear:peak_lr=1e-3,steps=1500",
}


def test_predictions_far_beyond_or_for_another_recipe_are_cautioned(clean, tmp_path, monkeypatch):
    assert not clean.cautions(N=3e9, D=3e11)
    (far,) = [check for check in clean.cautions(N=1e12, D=1e12) if check.code == "far-beyond"]
    assert far.text.startswith("N lies 3 decades beyond")
    fit = sf.fit(curves(PLANS), "annealing:decay=0.99")
    assert [each.code for each in fit.cautions(schedule="cosine:peak_lr=1e-3,steps=3000")] == ["another-schedule"]
    assert not fit.cautions(schedule="cosine:peak_lr=1e-3,steps=2000")  # nearly as far as the fitted rows fall
    (other,) = fit.cautions(schedule="cosine:peak_lr=2e-3,steps=2000")
    assert other.code == "another-recipe"
    assert "peak_lr 0.002 (fitted: 0.001)" in other.text
    monkeypatch.chdir(tmp_path)
    fit.save("fit.json")
    done = commands.run("scalefit predict fit.json --schedule cosine:peak_lr=2e-3,steps=2000 --json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["warnings"][0]["code"] == "another-recipe"


def test_a_law_that_carries_over_between_peaks_is_trusted_within_its_reach():
    fit = sf.fit(curves(PLANS), "annealing-transfer")
    assert not fit.cautions(schedule="cosine:peak_lr=1.8e-3,steps=2000")
    assert fit.cautions(schedule="cosine:peak_lr=5e-3,steps=2000")[0].code == "another-recipe"


def test_one_run_alone_has_no_intervals():
    one = curves(PLANS).where("run == 'cosine'")
    fit = sf.fit(one, "annealing:decay=0.99", force=True, draws=20)
    assert fit.intervals is None
    assert "no intervals: one run" in fit.summary()


def test_a_fit_that_did_not_converge_has_no_intervals(clean):
    assert "did not converge" in dataclasses.replace(clean, converged=False).summary().split("no intervals: ")[1]


def test_intervals_of_parameters_stay_in_their_domain():
    fit = sf.fit(sizes(noise=0.05, E=0.05, sides=4), "chinchilla", draws=40)
    assert (fit.table["low"] >= 0).all()
    assert (fit.table["low"] <= fit.table["value"]).all()
    assert (fit.table["high"] >= fit.table["value"]).all()
