"""A law chosen by the runs: planted truths, mixtures, procedures of one law, and what is said of it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import scalefit as sf
from scalefit.cli import main
from scalefit.cli.fit import _answer
from scalefit.diagnosis.checks import Check
from scalefit.schedules import areas, parse_schedule
from scalefit.selection import automatic
from scalefit.uncertainty.mixture import Choice

STEPS = "peak_lr=1e-3,steps=1000"
PLANS = {
    "constant": f"constant:{STEPS}",
    "cosine": f"cosine:{STEPS},final=1e-4",
    "linear": f"linear:{STEPS},final=1e-5",
}


def ladder(floor=1.7, noise=0.002):
    C = np.geomspace(1e17, 1e21, 30)
    z = np.random.default_rng(0).standard_normal(30)
    return pd.DataFrame({"C": C, "loss": (floor + 2e3 * C**-0.18) * np.exp(noise * z)})


def curves(names=tuple(PLANS), decay=0.99):
    rng, logs, steps = np.random.default_rng(1), [], np.arange(40, 1001, 40)
    for name in names:
        S1, S2 = areas(parse_schedule(PLANS[name]).per_step(), decay=decay)
        loss = (2.5 + 0.5 * S1[steps] ** -0.5 - 3.0 * S2[steps]) * np.exp(0.0005 * rng.standard_normal(len(steps)))
        logs.append(pd.DataFrame({"run": name, "step": steps, "loss": loss}))
    return sf.read_runs(pd.concat(logs), schedule={name: PLANS[name] for name in names})


@pytest.fixture(scope="module")
def shifted():
    """A loss from another without floors, whose free fit puts a floor next to the least source loss."""
    x = np.linspace(2.66, 3.6, 60)
    z = np.random.default_rng(0).standard_normal(60)
    return pd.DataFrame({"loss_source": x, "loss": (0.1 + 0.82 * x**1.1) * np.exp(0.0014 * z)})


@pytest.fixture(scope="module")
def mixture():
    """Runs of a pure power law: a floor that is not there costs a law with one little."""
    return sf.fit(ladder(floor=0.0), draws=40, starts=2)


def test_the_law_that_stands_out_is_taken():
    fit = sf.fit(ladder(), starts=2)
    assert fit.law.spec == "power-floor:over=C"
    assert fit.choice.tested
    assert fit.predict(C=1e22)["loss"].iloc[0] == pytest.approx(1.7 + 2e3 * 1e22**-0.18, rel=0.01)


def test_a_named_law_is_fitted_as_before():
    assert sf.fit(ladder(), "power:over=C").choice is None


def test_the_forecast_is_the_trimmed_mean_of_the_members(mixture):
    assert sum(mixture.choice.weights.values()) == pytest.approx(1)
    first = sf.fit(ladder(floor=0.0), mixture.law, starts=2)
    made, weights = [], []
    for fit, weight in zip((first, *mixture.choice.others), mixture.choice.weights.values(), strict=True):
        forms = mixture.choice.forms.get(fit.law.spec, ())
        made += [float(fit.law.evaluate({"x": 1e22}, one)) for one in (fit.parameters, *(f.parameters for f in forms))]
        weights += [weight * share for share in (1 - sum(f.share for f in forms), *(f.share for f in forms))]
    assert len(made) > 2
    parts = np.repeat(np.sort(made), np.round(1e5 * np.array(weights)[np.argsort(made)]).astype(int))
    found = mixture.predict(C=1e22)["loss"].iloc[0]
    assert found == pytest.approx(np.mean(parts[10_000:90_000]), rel=1e-5)


LADDER = np.geomspace(1e17, 1e19, 8)
ONE_VARIABLE = ("power:over=C", "power-floor:over=C", "broken:over=C")


@pytest.mark.parametrize(
    ("law", "truth"),
    [
        ("power:over=C", lambda C: 60 * C**-0.07),
        ("power-floor:over=C", lambda C: 1.7 + 2e3 * C**-0.18),
        ("broken:over=C", lambda C: 60 * C**-0.07 * (1 + (C / 10**18.2) ** (1 / 0.15)) ** (-0.08 * 0.15)),
    ],
)
def test_of_eight_runs_of_a_planted_law_it_is_chosen_and_the_forecast_is_near_that_of_the_law(law, truth):
    """Noise of .2 %, ten times beyond; six constants of eight runs are no more of a reason than two."""
    loss = truth(LADDER) * np.exp(0.002 * np.random.default_rng(1).standard_normal(8))
    table = pd.DataFrame({"C": LADDER, "loss": loss})
    fit = sf.automatic(table, ONE_VARIABLE)
    made, alone = (each.predict(C=1e20)["loss"].iloc[0] / truth(1e20) - 1 for each in (fit, sf.fit(table, law)))
    assert max(fit.choice.weights, key=fit.choice.weights.get) == law
    assert abs(made) < abs(alone) + 0.015


def test_a_last_run_above_the_one_before_is_no_rise_that_goes_on():
    """A broken power law passes near all eight runs, had most of the weight, and forecast 2,371 at 512e6 tokens."""
    loss = [0.958, 0.757, 0.599, 0.503, 0.439, 0.404, 0.386, 0.408]
    found = sf.fit(pd.DataFrame({"D": 5e5 * 2.0 ** np.arange(8), "loss": loss}), starts=4)
    assert "broken:over=D" in {record["law"] for record in found.choice.errors}
    assert found.predict(D=[128e6, 512e6])["loss"].between(0.33, 0.408).all()


@pytest.mark.parametrize(("share", "lead"), [(0.6, "power:over=C"), (0.7, "power-floor:over=C")])
def test_of_laws_of_about_equal_weight_one_whose_constants_are_known_leads(monkeypatch, share, lead):
    """These losses fall faster than a power, so that the floor of the heavier law ends at its bound."""
    weights = {"power-floor:over=C": share, "power:over=C": 1 - share}
    monkeypatch.setattr("scalefit.selection.automatic.weigh", lambda trials: (weights, True))
    fit = sf.automatic(ladder(floor=-0.2), list(weights))
    assert fit.law.spec == lead == next(iter(fit.choice.weights))
    assert dict(fit.choice.weights) == weights
    assert [other.law.spec for other in fit.choice.others] == list(fit.choice.weights)[1:]
    assert ("at-bound" in {check.code for check in fit.warnings}) == (share == 0.7)


def test_a_saved_mixture_forecasts_the_same(mixture, tmp_path):
    again = sf.load_fit(mixture.save(tmp_path / "fit.json"))
    pd.testing.assert_frame_equal(again.predict(C=1e22), mixture.predict(C=1e22))
    assert dict(again.choice.weights) == dict(mixture.choice.weights)
    assert again.choice.forms == mixture.choice.forms


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("weights", {"power:over=C": 1.7}),
        ("forms", {"power:over=C": [{"of": "largest rows", "share": 0.5, "parameters": {"A": 1.0}}]}),
        ("forms", {"chinchilla": [{"of": "largest rows", "share": 0.5, "parameters": {"A": 1.0, "alpha": 0.1}}]}),
        ("forms", {"power:over=C": 2 * [{"of": "largest rows", "share": 0.6, "parameters": {"A": 1.0, "alpha": 0.1}}]}),
    ],
)
def test_weights_that_cannot_be_are_a_damaged_fit(mixture, tmp_path, name, value):
    path = mixture.save(tmp_path / "fit.json")
    content = json.loads(path.read_text())
    content["choice"][name] = value
    path.write_text(json.dumps(content))
    with pytest.raises(sf.InputError, match="damaged"):
        sf.load_fit(path)


def test_forms_whose_shares_make_up_one_are_those_of_a_sound_fit(mixture, tmp_path):
    path = mixture.save(tmp_path / "fit.json")
    content = json.loads(path.read_text())
    half = {"of": "largest rows", "share": 0.5, "parameters": {"A": 1.0, "alpha": 0.1}}
    content["choice"]["forms"] = {"power:over=C": [half, half]}
    path.write_text(json.dumps(content))
    assert [form.share for form in sf.load_fit(path).choice.forms["power:over=C"]] == [0.5, 0.5]


def test_the_discount_of_the_planted_curves_is_found_and_two_curves_are_untested():
    fit = sf.fit(curves(("constant", "cosine")))
    assert not fit.choice.tested
    assert "untested" in fit.choice.text
    printed = "\n".join(str(line) for line in _answer(fit, None, None, (), None, None).lines)
    assert "nothing could be held out" in printed and "held-out rows first" not in printed
    held = curves(("linear",))
    assert float(fit.score(held)["mean_relative"].iloc[0]) < 0.004


def test_of_three_curves_each_is_held_out():
    fit = sf.fit(curves(), starts=2)
    assert fit.choice.tested
    assert max(record["folds"] for record in fit.choice.errors) >= 3
    tried = {record["law"].partition(":")[0] for record in fit.choice.errors} | fit.choice.refused.keys()
    assert {"annealing", "multi-power", "functional", "annealing-transfer"} <= tried


def test_a_loss_from_another_is_right_below_the_least_source_loss(shifted):
    fit = sf.fit(shifted, "loss-to-loss")
    x = np.array([2.2, 2.4, 2.6])
    np.testing.assert_allclose(fit.predict(loss_source=x)["loss"], 0.1 + 0.82 * x**1.1, rtol=0.006)


def test_free_floors_are_not_identified_and_refused_below_their_image(shifted):
    fit = sf.fit(shifted, "loss-to-loss:floors_of=free")
    assert {"at-bound", "not-identified"} <= {check.code for check in fit.warnings}
    with pytest.raises(sf.InputError, match="must be above E0"):
        fit.predict(loss_source=2.3)
    some = pd.DataFrame({"loss_source": [2.3, 3.0]})
    table = fit.predict(some)
    assert np.isnan(table["loss"].iloc[0]) and np.isfinite(table["loss"].iloc[1])
    assert "no-image" in {check.code for check in fit.cautions(some)}


def test_floors_of_a_law_of_size_and_data_come_from_the_same_runs():
    N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(1e7, 1e9, 6), np.geomspace(1e9, 1e11, 6)))
    source = 1.9 + 400 * N**-0.34 + 410 * D**-0.28
    rows = pd.DataFrame({"N": N, "D": D, "loss_source": source, "loss": 1.3 + 0.7 * (source - 1.9) ** 1.1})
    rows *= np.exp(1e-4 * np.random.default_rng(0).standard_normal(rows.shape) * [0, 0, 1, 1])
    fit = sf.fit(rows, "loss-to-loss:floors_of=chinchilla")
    assert fit["E0"] == pytest.approx(1.9, abs=0.03)
    assert {"E0", "E1"} == set(fit.fixed)
    default = sf.fit(rows, "loss-to-loss", starts=2)
    assert "loss-to-loss:floors_of=chinchilla" in {record["law"] for record in default.choice.errors}


def test_a_column_that_no_law_reads_is_told_and_fails(tmp_path):
    N = np.tile(np.geomspace(1e6, 1e9, 8), 2)
    runs = pd.DataFrame({"N": N, "blend": np.repeat([8, 64], 8), "loss": 2 + 300 * N**-0.3})
    runs["loss"] *= np.repeat([1.0, 0.9], 8)
    runs.to_csv(tmp_path / "runs.csv", index=False)
    result = CliRunner().invoke(main, ["fit", str(tmp_path / "runs.csv"), "--draws", "0", "--starts", "2"])
    assert result.exit_code == 1
    assert "! blend varies (8, 64) and none of the laws compared reads it" in result.stdout


def test_a_named_law_also_fails_where_it_leaves_a_column_unread():
    N = np.geomspace(1e6, 1e9, 8)
    runs = pd.DataFrame({"N": N, "experts": np.tile([1, 8], 4), "loss": 2 + 300 * N**-0.3})
    said = [check.text for check in sf.fit(runs, "power-floor:over=N").warnings if check.code == "unread"]
    assert len(said) == 1 and said[0].startswith("experts varies (1, 8)")
    assert not [c for c in sf.fit(runs.assign(experts=8), "power-floor:over=N").warnings if c.code == "unread"]
    named = runs.rename(columns={"experts": "data"}).assign(data=np.tile(["a", "b"], 4))
    found = sf.fit(named, "power-floor:over=N")
    found = replace(found, warnings=(Check("under-trained", "few data a parameter"),))  # a word, not the column
    assert "unread" in {check.code for check in automatic._with_unread(found, sf.read_runs(named)).warnings}
    apart = {check.code for check in sf.fit(grid().assign(experts=EXPERTS), "chinchilla").warnings}
    assert apart >= {"clustered", "unread"}  # how far the levels lie off does not say which law reads them


EXPERTS = np.tile([1, 4, 16], 12)


def grid():
    """Models of 1, 4 and 16 experts at six sizes and six amounts of data, with .3 % of noise."""
    N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(1e7, 1e9, 6), np.geomspace(1e9, 1e11, 6)))
    loss = (1.7 + 400 * N**-0.34 + 410 * D**-0.28) * EXPERTS**-0.02
    return pd.DataFrame({"N": N, "D": D, "loss": loss * np.exp(0.003 * np.random.default_rng(0).standard_normal(36))})


def test_a_member_without_a_value_at_one_row_still_counts_at_the_others(mixture):
    """x - 1e22 has no power below 1e22: there the other laws forecast alone, elsewhere nothing changes."""
    steep = sf.fit(ladder(), "loss = 2 + A*(1e22 - C)**0.05")
    mixed = replace(mixture, choice=replace(mixture.choice, others=(*mixture.choice.others[:-1], steep)))
    near, both = mixed.predict(C=1e21), mixed.predict(C=[1e21, 1e23])
    assert both.iloc[0][["loss"]].tolist() == near.iloc[0][["loss"]].tolist()
    assert np.isfinite(both["loss"]).all()


def test_a_member_that_reads_other_rows_of_the_same_runs_drops_out():
    """A law of N alone reads the last row of each run, the others every row: the forecast was an unexpected error."""
    N, tokens = (x.ravel() for x in np.meshgrid(np.geomspace(2e7, 2e9, 8), [5, 10, 15, 20, 25], indexing="ij"))
    curves = pd.DataFrame({"run": [f"{size:.3g}" for size in N], "step": 100 * tokens, "N": N, "D": N * tokens})
    curves["loss"] = 1.7 + 400 * N**-0.34 + 410 * (N * tokens) ** -0.28
    small, large = curves[N < 1e9], curves[N > 1e9]
    whole, of_size = sf.fit(small, "chinchilla"), sf.fit(small, "power-floor:over=N")
    weights = {whole.law.spec: 0.6, of_size.law.spec: 0.4}
    choice = Choice(weights, "by hand", True, [], {}, (of_size,))
    found = replace(whole, choice=choice).predict(large)
    assert found["loss"].to_numpy() == pytest.approx(whole.predict(large)["loss"].to_numpy())
    assert len(of_size.predict(large)) == 2 < len(found) == 10


def test_constants_without_a_law_are_refused():
    with pytest.raises(sf.InputError, match="name the law"):
        sf.fit(ladder(), fix={"E": 1.0})


def test_runs_of_no_law_are_refused_with_the_reason():
    with pytest.raises(sf.InputError, match=r"identify no law.*write --law \S+:over=COLUMN with one of d_model$"):
        sf.fit(pd.DataFrame({"d_model": [1, 2, 3], "rng": [0, 1, 2], "loss": [3.0, 2.9, 2.8]}))


def test_runs_without_a_loss_are_told_which_law_explains_what_they_have():
    table = pd.DataFrame({"N": [1e7, 1e7, 1e8, 1e8], "D": [1e8, 1e9, 1e9, 1e10], "timescale": [0.3, 0.1, 0.3, 0.1]})
    with pytest.raises(sf.InputError, match=r"^fit: no column is known as the loss; .*COLUMN.*--law adamw-"):
        sf.fit(table)
    with pytest.raises(sf.InputError, match=r"known as the loss; .*heldout_ce.* \(perplexities"):
        sf.fit(table.assign(heldout_ce=[3.9, 3.6, 3.4, 3.1]))
