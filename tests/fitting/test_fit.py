"""The result of a fit: frozen, the same every time, saved and loaded whole; predictions and scores by hand."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.errors import IdentificationError, InputError
from scalefit.schedules import areas, parse_schedule


def sizes_and_tokens(noise=0.01, seed=0, n=48):
    rng = np.random.default_rng(seed)
    N, D = 10 ** rng.uniform(7, 9.5, n), 10 ** rng.uniform(9, 11.5, n)
    loss = (1.69 + 406.4 * N**-0.34 + 410.7 * D**-0.28) * np.exp(noise * rng.standard_normal(n))
    return pd.DataFrame({"run": [f"r{i}" for i in range(n)], "N": N, "D": D, "loss": loss})


def two_curves(noise=0.001):
    """Two logs under two schedules, one row each 20 steps, the learning rate logged at every row and step 0 known."""
    rng, logs = np.random.default_rng(1), []
    for text in ("constant:peak_lr=1e-3,steps=2000", "cosine:peak_lr=1e-3,steps=2000,final=1e-4"):
        lr = parse_schedule(text).per_step()
        S1, S2 = areas(lr)
        steps = np.arange(20, 2001, 20)
        loss = 2.5 + 0.5 * S1[steps] ** -0.5 - 0.3 * S2[steps]
        noisy = loss * np.exp(noise * rng.standard_normal(len(steps)))
        logs.append(pd.DataFrame({"run": text.partition(":")[0], "step": steps, "loss": noisy, "schedule": text}))
    return sf.read_runs(
        pd.concat(logs).drop(columns="schedule"),
        schedule={log["run"].iloc[0]: log["schedule"].iloc[0] for log in logs},
    )


@pytest.fixture(scope="module")
def surface():
    return sf.fit(sizes_and_tokens(), "chinchilla", bounds={"alpha": (0.1, None)})


@pytest.fixture(scope="module")
def curve():
    return sf.fit(two_curves(), "annealing")


def test_it_is_frozen(surface):
    for field in dataclasses.fields(surface):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(surface, field.name, None)


def test_what_it_says(surface):
    assert surface.status == "converged"
    assert surface.ok
    assert surface["alpha"] == surface.parameters["alpha"] == surface.table.loc["alpha", "value"]
    assert list(surface.table.index) == list(surface.law.parameters) == list(surface.parameters)
    assert surface.rows == surface.runs == 48
    text = repr(surface)
    assert "L(N, D) = E + A N^-alpha + B D^-beta" in text
    assert f"{surface['alpha']:.6g}" in text
    assert "converged: 8 of 8 starts reached this optimum; no warnings" in text
    assert "<table>" in surface._repr_html_()


def test_the_cost_is_the_objective_by_hand():
    table = sizes_and_tokens()
    found = sf.fit(table, "chinchilla", delta=2e-3)
    predicted = found["E"] + found["A"] * table["N"] ** -found["alpha"] + found["B"] * table["D"] ** -found["beta"]
    r = np.abs(np.log(predicted / table["loss"]))
    by_hand = np.where(r <= 2e-3, r**2 / 2, 2e-3 * (r - 1e-3)).sum()
    assert found.cost == pytest.approx(by_hand, rel=1e-12)
    sigma = 1.4826022185056018 * np.median(r) * np.sqrt(48 / 43)
    assert found.sigma == pytest.approx(sigma, rel=1e-9)


def same(one, other):
    assert one == other
    for field in dataclasses.fields(one):
        assert getattr(one, field.name) == getattr(other, field.name), field.name


def test_saved_and_loaded_it_is_equal(surface, curve, tmp_path):
    formula = sf.fit(sizes_and_tokens(), "E + A*N**-alpha + B*D**-alpha", fix={"E": 1.5}, loss="soft_l1")
    tied = sf.fit(sizes_and_tokens(), "chinchilla", tie={"beta": "alpha"}, residuals="linear", delta=0.05)
    option = sf.fit(two_curves(), "annealing:decay=0.998,warmup=peak")
    for i, fit in enumerate((surface, curve, formula, tied, option)):
        path = fit.save(tmp_path / f"{i}.json")
        again = sf.load_fit(path)
        same(fit, again)
        assert again.save(tmp_path / "again.json").read_text() == path.read_text()
        assert repr(again) == repr(fit)
    assert sf.load_fit(tmp_path / "4.json").law.options["decay"] == 0.998


def test_the_saved_file_is_plain_json_with_units_and_source(surface, tmp_path):
    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    content = json.loads(surface.save(tmp_path / "fit.json").read_text(), parse_constant=refuse)
    assert content["schema_version"] >= 1
    assert content["source"] == "arXiv:2203.15556"
    assert content["parameters"]["A"]["unit"] == "nats/token parameters^alpha"
    assert len(content["data"][0]["sha256"]) == 64
    assert list(tmp_path.iterdir()) == [tmp_path / "fit.json"], "no temporary file is left"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"schema_version": 999, "scalefit_version": "9.9"}', r"schema 999 by scalefit 9\.9.*newer scalefit"),
        ("not json", "not JSON"),
        ("[1, 2]", "not a saved fit"),
        ("{}", "not a saved fit"),
        ('{"schema_version": 1}', "saved fit is damaged.*'points'"),
        ('{"schema_version": "one"}', "saved fit"),
        ('{"schema_version": null}', "saved fit"),
        ('{"schema_version": 1, "points": []}', "saved fit"),
        ("", "not JSON"),
    ],
)
def test_what_is_not_a_fit_is_refused(tmp_path, text, said):
    path = tmp_path / "fit.json"
    path.write_text(text)
    with pytest.raises(InputError, match=said) as caught:
        sf.load_fit(path)
    assert str(path) in str(caught.value)


def test_a_damaged_fit_is_refused(surface, tmp_path):
    path = surface.save(tmp_path / "fit.json")
    whole = json.loads(path.read_text())
    for key, value in [
        ("parameters", {}),
        ("parameters", {"E": {"value": "much"}}),
        ("law", "chinchila"),
        ("law", "./gone.py:Law"),
        ("ranges", 3),
        ("settings", {"loss": "huber", "taste": "sweet"}),
        ("points", None),
    ]:
        path.write_text(json.dumps({**whole, key: value}))
        with pytest.raises(InputError) as caught:
            sf.load_fit(path)
        assert "\n" not in str(caught.value)


def test_loading_executes_nothing(surface, tmp_path):
    """A saved fit that names a Python file as its law must not run it."""
    trap, mark = tmp_path / "trap.py", tmp_path / "sprung"
    trap.write_text(f"import pathlib; pathlib.Path({str(mark)!r}).touch()\n")
    path = surface.save(tmp_path / "fit.json")
    whole = json.loads(path.read_text())
    for kind in ("law", "formula"):
        path.write_text(json.dumps({**whole, "law": f"{trap}:Law", "kind": kind}))
        with pytest.raises(InputError):
            sf.load_fit(path)
    assert not mark.exists()


def test_a_fit_of_ones_own_law_asks_for_it_again(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from scalefit import Law, Parameter, Variable\n"
        "class Mine(Law):\n"
        "    name, source = 'mine', 'me'\n"
        "    N = Variable('parameters', 'size')\n"
        "    A = Parameter('nats', 'scale', linear=True)\n"
        "    @staticmethod\n"
        "    def formula(N, A):\n"
        "        return A / N\n"
    )
    found = sf.fit(pd.DataFrame({"N": [1.0, 2.0, 4.0], "loss": [3.0, 1.5, 0.75]}), f"{file}:Mine")
    path = found.save(tmp_path / "fit.json")
    with pytest.raises(InputError, match="give it again"):
        sf.load_fit(path)
    assert sf.load_fit(path, law=f"{file}:Mine")["A"] == pytest.approx(3.0)


def test_missing_and_unwritable_files(surface, tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        sf.load_fit(tmp_path / "gone.json")
    with pytest.raises(InputError, match="cannot be written"):
        surface.save(tmp_path / "no" / "such" / "folder.json")
    with pytest.raises(InputError, match="cannot be written"):
        surface.save(tmp_path)


def test_the_same_data_give_the_same_bits():
    one, two = (sf.fit(sizes_and_tokens(seed=3), "chinchilla") for _ in range(2))
    same(one, two)


def test_the_order_of_rows_changes_nothing():
    table = sizes_and_tokens(seed=4)
    plain = sf.fit(table, "chinchilla")
    mixed = sf.fit(table.sample(frac=1, random_state=0), "chinchilla")
    for name, value in plain.parameters.items():
        assert mixed[name] == pytest.approx(value, rel=1e-6)
    assert mixed.delta == pytest.approx(plain.delta, rel=1e-6)


def test_the_data_are_left_as_they_were():
    table = sizes_and_tokens()
    before = table.copy(deep=True)
    for column in table.columns[1:]:
        table[column].to_numpy().flags.writeable = False
    sf.fit(table, "chinchilla")
    pd.testing.assert_frame_equal(table, before)


# --- predictions ------------------------------------------------------------------------------------------------------


def test_one_point_by_name_also_as_words(surface):
    expected = float(surface.evaluate({"N": 7e9, "D": 2e12}))
    for at in ({"N": 7e9, "D": 2e12}, {"N": "7B", "D": "2T"}, {"N": "7e9", "D": 2_000_000_000_000}):
        assert surface.predict(**at)["loss"][0] == pytest.approx(expected, rel=1e-12)
    several = surface.predict(N=[1e9, 7e9], D=2e12)
    assert len(several) == 2
    assert several["loss"][1] == pytest.approx(expected, rel=1e-12)


def test_decades_beyond_by_hand(surface):
    low, high = surface.ranges["N"]
    _, most = surface.ranges["D"]
    least, largest = (int(pick(surface.points.variables["N"])) for pick in (np.argmin, np.argmax))
    for at, decades in [
        ({"N": high * 100, "D": most}, 2.0),
        ({"N": low / 10, "D": surface.points.variables["D"][least]}, 1.0),
        ({"N": high * 10, "D": most * 1000}, 3.0),
        ({"N": high, "D": surface.points.variables["D"][largest]}, 0.0),
        ({"N": (low * high) ** 0.5, "D": most / 2}, 0.0),
    ]:
        assert surface.predict(**at)["decades_beyond"][0] == pytest.approx(decades, abs=1e-9)
    assert surface.predict(N=high, D=most)["decades_beyond"][0] > 0.1  # more compute than any run had


def test_compute_may_be_given_as_size_and_tokens():
    table = sizes_and_tokens()
    found = sf.fit(table, "power-floor:over=C")
    assert found.predict(C=6e20)["loss"][0] == pytest.approx(found.predict(N=1e9, D=1e11)["loss"][0])


def test_a_schedule_never_run(curve):
    text = "wsd:peak_lr=1e-3,steps=3000,decay_steps=600,final=0"
    predicted = curve.predict(schedule=text, every=100)
    lr = parse_schedule(text).per_step()
    S1, S2 = areas(lr)
    steps = predicted["step"].to_numpy()
    assert steps[-1] == 3000
    assert set(np.diff(steps)) == {100}
    by_hand = curve["L0"] + curve["A"] * S1[steps] ** -curve["alpha"] - curve["C"] * S2[steps]
    np.testing.assert_allclose(predicted["loss"], by_hand, rtol=1e-12)
    np.testing.assert_allclose(predicted["lr"], lr[steps])
    assert predicted["decades_beyond"].iloc[0] == pytest.approx(0, abs=1e-9)
    beyond = max(np.log10(S1[-1] / curve.ranges["S1"][1]), np.log10(S2[-1] / curve.ranges["S2"][1]))
    assert predicted["decades_beyond"].iloc[-1] == pytest.approx(beyond)


def test_an_area_beyond_the_fitted_ones_counts_as_extrapolation(curve):
    """S2 is zero under a constant rate: its upper end still says how far a deeper annealing reaches."""
    assert curve.ranges["S2"][0] == 0
    deep = curve.predict(schedule="wsd:peak_lr=1e-2,steps=1990,decay_steps=1500,final=0")
    assert deep["decades_beyond"].iloc[-1] > 0.9


def test_predictions_of_logs_stand_beside_what_was_measured(curve):
    runs = two_curves()
    predicted = curve.predict(runs)
    np.testing.assert_allclose(predicted["measured"], runs.curves["loss"])
    np.testing.assert_allclose(predicted["relative_error"], predicted["loss"] / predicted["measured"] - 1)


@pytest.mark.parametrize(
    "at",
    [{"N": 7e9}, {"N": 7e9, "D": 1e12, "Q": 1.0}, {"N": -1.0, "D": 1e12}, {"N": 0, "D": 1e9}, {"N": "many", "D": 1}],
)
def test_points_that_cannot_be_predicted(surface, at):
    with pytest.raises(InputError):
        surface.predict(**at)


def test_a_curve_law_asks_for_a_schedule(curve, surface):
    with pytest.raises(InputError, match="needs the learning rate at every step"):
        curve.predict()
    with pytest.raises(InputError):
        curve.predict(schedule="cosine:peak_lr=1e-3")
    with pytest.raises(InputError, match="give one of them"):
        surface.predict(sizes_and_tokens(), N=1e9)


def test_without_draws_the_interval_is_nan_and_the_reason_is_given(surface, curve):
    for table in (surface.table, surface.predict(N=7e9, D=2e12), curve.predict(two_curves())):
        assert table[["low", "high"]].isna().all(axis=None)
        assert table.attrs["no_intervals"] == surface.no_intervals != ""
    columns = ["N", "D", "loss", "low", "high", "decades_beyond"]
    assert list(surface.predict(N=7e9, D=2e12).columns) == columns
    assert f"no intervals: {surface.no_intervals}" in surface.summary()
    assert "90 % interval" not in surface.summary() and "nan" not in surface.summary()
    drawn = sf.fit(sizes_and_tokens(), "chinchilla", draws=20, calibrated=False)
    for table in (drawn.table, drawn.predict(N=7e9, D=2e12)):
        assert table[["low", "high"]].notna().all(axis=None)
        assert table.attrs["no_intervals"] == ""
    assert list(drawn.predict(N=7e9, D=2e12).columns) == columns


def test_one_curve_and_a_fit_that_did_not_converge_give_their_own_reason(surface):
    alone = sf.fit(two_curves().where("run == 'cosine'"), "annealing", force=True, draws=20)
    assert alone.single_curve and alone.table.attrs["no_intervals"].startswith("one run alone")
    failed = dataclasses.replace(surface, converged=False)
    assert "did not converge" in failed.predict(N=1e9, D=1e10).attrs["no_intervals"]


def test_a_fit_of_all_rows_predicts_and_scores_a_table_of_points():
    """Runs of several lengths, every logged row fitted: a table has one row a point, as predict(N=..., D=...)."""
    logs = sizes_and_tokens().assign(tokens=lambda t: t["D"], step=1)
    halves = logs.assign(tokens=logs["D"] / 2, step=0)
    halves["loss"] = 1.69 + 406.4 * halves["N"] ** -0.34 + 410.7 * halves["tokens"] ** -0.28
    every = sf.fit(pd.concat([halves, logs]), "chinchilla", points="all")
    assert every.rows == 96
    points = sizes_and_tokens(seed=9, n=12)[["N", "D", "loss"]]
    asked = every.predict(N=points["N"].to_numpy(), D=points["D"].to_numpy())
    for table in (points[["N", "D"]], points):
        found = every.predict(table)
        for column in ("N", "D", "loss", "decades_beyond"):
            np.testing.assert_allclose(found[column], asked[column], rtol=1e-12)
    score = every.score(points).iloc[0]
    assert score["points"] == 12
    assert score["mae"] == pytest.approx(np.mean(np.abs(asked["loss"] - points["loss"])))
    assert not [check for check in every.cautions(points) if check.code != "far-beyond"]


# --- scores -----------------------------------------------------------------------------------------------------------


def test_scores_by_hand(surface):
    table = sizes_and_tokens(seed=9, n=12)
    predicted = surface.evaluate({"N": table["N"].to_numpy(), "D": table["D"].to_numpy()})
    measured = table["loss"].to_numpy()
    row = surface.score(table).iloc[0]
    spread = np.sum((measured - measured.mean()) ** 2)
    assert row["points"] == 12
    assert row["r2"] == pytest.approx(1 - np.sum((predicted - measured) ** 2) / spread)
    assert row["mae"] == pytest.approx(np.mean(np.abs(predicted - measured)))
    assert row["rmse"] == pytest.approx(np.sqrt(np.mean((predicted - measured) ** 2)))
    assert row["mean_relative"] == pytest.approx(np.mean(np.abs(predicted / measured - 1)))
    assert row["worst_relative"] == pytest.approx(np.max(np.abs(predicted / measured - 1)))


def test_curves_are_scored_run_by_run_with_a_mean(curve):
    runs = two_curves(noise=0.002)
    score, predicted = curve.score(runs), curve.predict(runs)
    assert list(score.index) == ["constant", "cosine", "mean"]
    for run, rows in predicted.groupby("run"):
        assert score.loc[run, "mae"] == pytest.approx((rows["loss"] - rows["measured"]).abs().mean())
        assert score.loc[run, "final"] == pytest.approx(rows["relative_error"].iloc[-1])
    assert score.loc["mean", "r2"] == pytest.approx(score["r2"].iloc[:2].mean())
    assert score.loc["mean", "final"] == pytest.approx(score["final"].iloc[:2].abs().mean())


# --- verdicts: never "converged" on an answer that the data do not give ---------------------------------------------


def grid(N, D, noise=0.0, **changes):
    N, D = (column.ravel() for column in np.meshgrid(N, D))
    truth = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28} | changes
    loss = truth["E"] + truth["A"] * N ** -truth["alpha"] + truth["B"] * D ** -truth["beta"]
    loss = loss * np.exp(noise * np.random.default_rng(0).standard_normal(len(N)))
    return pd.DataFrame({"N": N, "D": D, "loss": loss})


FIVE = np.geomspace(1e9, 1e12, 5)


@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_two_sizes_do_not_determine_an_exponent(noise):
    found = sf.fit(grid([1e7, 1e8], FIVE, noise), "chinchilla")
    assert found.status == "not identified"
    assert any("A and alpha can change together" in check.text for check in found.warnings)


def test_repeated_points_are_not_more_points():
    table = pd.DataFrame({"N": [1e7, 1e8, 1e9, 1e9], "D": [1e9, 1e10, 1e10, 1e11], "loss": [4.0, 3.2, 2.9, 2.6]})
    assert sf.fit(pd.concat([table] * 3, ignore_index=True), "chinchilla").status == "not identified"


def test_nearly_the_same_sizes_leave_the_exponent_open():
    table = grid([1e8, 1.02e8, 1.05e8], FIVE, noise=0.01)
    assert not sf.fit(table, "chinchilla").ok


def test_noise_without_a_law_is_not_ok():
    table = grid(np.geomspace(1e7, 1e10, 6), np.geomspace(1e9, 1e12, 6))
    table["loss"] = np.exp(np.random.default_rng(0).standard_normal(36))
    assert not sf.fit(table, "chinchilla").ok


def test_one_loss_in_every_row_is_refused():
    table = grid(np.geomspace(1e7, 1e10, 6), np.geomspace(1e9, 1e12, 6)).assign(loss=3.0)
    with pytest.raises(IdentificationError, match="all 36 rows have the same loss, 3"):
        sf.fit(table, "chinchilla")


def test_terms_that_vanish_are_named():
    table = grid(np.geomspace(1e7, 1e10, 6), np.geomspace(1e9, 1e12, 6))
    table["loss"] = 1 / table["loss"]
    found = sf.fit(table, "chinchilla")
    assert found.status == "at a bound"
    named = " ".join(check.text for check in found.warnings)
    assert "A ended at its lower bound 0" in named
    assert "B ended at its lower bound 0" in named


def test_a_negative_floor_ends_at_the_bound_and_says_so():
    found = sf.fit(grid(np.geomspace(1e7, 1e10, 6), FIVE, E=-1.0, alpha=0.1, A=50.0), "chinchilla")
    assert found.status == "at a bound"
    assert found["E"] == 0
    assert "irreducible" in " ".join(check.text for check in found.warnings)


@pytest.mark.parametrize(("formula", "pair"), [("a + b*c*x**2", "b and c"), ("a + c + b*x**2", "a and c")])
def test_a_formula_with_one_parameter_too_many(formula, pair):
    x = np.linspace(1, 10, 30)
    found = sf.fit(pd.DataFrame({"x": x, "loss": 3 + 0.5 * x**2}), formula)
    assert found.status == "not identified"
    assert any(pair in check.text for check in found.warnings)


def test_a_law_that_bends_two_ways_says_when_starts_disagree():
    x = np.linspace(1, 100, 60)
    found = sf.fit(pd.DataFrame({"x": x, "loss": np.minimum(1 + 0.1 * x, 4.0)}), "minimum(a + b*x, c)")
    right = abs(found["a"] - 1) < 1e-3 and abs(found["b"] - 0.1) < 1e-3 and abs(found["c"] - 4) < 1e-3
    assert right or not found.ok


def test_a_bound_from_above_is_reported():
    found = sf.fit(grid(np.geomspace(1e7, 1e10, 6), FIVE), "chinchilla", bounds={"E": (None, 1.0)})
    assert found.status == "at a bound"
    assert any(check.text.startswith("E ended at its upper bound 1;") for check in found.warnings)


def test_a_value_outside_the_domain_is_reported():
    table = grid(np.geomspace(1e7, 1e10, 6), FIVE)
    for options in ({"tie": {"A": "-B"}}, {"fix": {"alpha": -1.0}}):
        found = sf.fit(table, "chinchilla", **options)
        assert "outside-domain" in {check.code for check in found.warnings}


def test_lost_starts_say_where_they_ended():
    """From far away some starts lose a term for good; a bound that the optimum shares is no loss."""
    far = pd.DataFrame(
        {"E": 1.0, "A": 1e10, "B": 1e10, "alpha": np.linspace(0.1, 4, 12), "beta": np.linspace(4, 0.1, 12)}
    )
    found = sf.fit(
        grid(np.geomspace(1e7, 1e10, 6), FIVE, noise=0.05), "chinchilla", start=far, bounds={"E": (None, 1.0)}
    )
    assert found["E"] == 1.0
    assert sum(found.starts.lost.values()) == 12 - found.starts.agree
    assert not any(name.startswith("without E") for name in found.starts.lost)


def test_a_formula_takes_its_letters_from_the_data():
    """C is compute where there is such a column, else the coefficient that the paper writes."""
    S1, S2 = np.geomspace(0.05, 50, 40), np.r_[np.zeros(20), np.linspace(0, 0.8, 20)]
    table = pd.DataFrame({"S1": S1, "S2": S2, "loss": 2.6 + 0.43 * S1**-0.55 - 0.41 * S2})
    found = sf.fit(table, "L0 + A*S1**-alpha - C*S2")
    assert found["C"] == pytest.approx(0.41, rel=1e-9)
    C = np.geomspace(1e18, 1e22, 12)
    assert "C" in sf.fit(pd.DataFrame({"C": C, "loss": 2 + 1e3 * C**-0.2}), "E + A*C**-a").law.variables


def test_constants_are_in_the_unit_of_another_target():
    N = np.geomspace(1e6, 1e9, 12)
    runs = pd.DataFrame(
        {"N": N, "loss": 2 + 50 * N**-0.3, "perplexity": np.exp(2 + 50 * N**-0.3), "loss_pydoc": 3 + N**-0.1}
    )
    for target, unit in (("perplexity", "unit of perplexity"), ("loss_pydoc", "nats/token"), ("loss", "nats/token")):
        assert sf.fit(runs, "power-floor:over=N", target=target).table.loc["L_inf", "unit"] == unit


def test_a_bound_of_the_user_is_to_be_widened():
    N = np.geomspace(1e6, 1e9, 12)
    runs = pd.DataFrame({"N": N, "loss": 2.0 + 300 * N**-0.35})
    fit = sf.fit(runs, "power-floor:over=N", bounds={"alpha": (None, 0.3)})
    told = next(check.text for check in fit.warnings if check.code == "at-bound")
    assert told.startswith("alpha ended at its upper bound 0.3; widen its bounds")
