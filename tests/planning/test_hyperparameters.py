"""Settings of a planned run: rules against published values, fits against planted optima, weight decay, refusals."""

from __future__ import annotations

import json
from types import SimpleNamespace

import commands
import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.laws import find_law
from scalefit.planning.hyperparameters import fitted
from scalefit.planning.hyperparameters.rules import DEEPSEEK, STEP_LAW, TOKEN_HORIZON

BOTTOM = {"lr_0": 1.5e-3, "p": 0.6, "q": 0.25, "batch_0": 1e6, "s": 0.5}
PLANTED = {"E": 1.8, "A": 400.0, "B": 500.0, "alpha": 0.34, "beta": 0.31, **BOTTOM}
PLANTED |= {"h_lr": 0.03, "h_batch": 0.02, "lean": 0.5, "skew": 0.6}


def sweep(noise=0.0005):
    """Runs of four sizes and lengths around their best rate and batch, under the planted surface."""
    rng = np.random.default_rng(0)
    rows = []
    for N in (1e8, 3e8):
        for D in (4e9, 3e10):
            lr = BOTTOM["lr_0"] * (N / 1e9) ** -0.6 * (D / 1e11) ** 0.25
            batch = 1e6 * (D / 1e11) ** 0.5
            rows += [(N, D, lr * a, batch * b) for a in (0.5, 1, 2) for b in (0.4, 1, 2.5)]
    table = pd.DataFrame(rows, columns=["N", "D", "peak_lr", "batch"])
    loss = find_law("lr-batch-surface").evaluate({name: table[name].to_numpy() for name in table}, PLANTED)
    return table.assign(loss=loss * np.exp(noise * rng.standard_normal(len(table))))


@pytest.fixture(scope="module")
def surface():
    known = {name: PLANTED[name] for name in ("E", "A", "B", "alpha", "beta")}
    return sf.fit(sweep(), "lr-batch-surface", draws=20, starts=2, fix=known, calibrated=False)


def row(found, setting, source):
    (one,) = [each for _, each in found.table.iterrows() if (each.setting, each.source) == (setting, source)]
    return one


class TestRules:
    @pytest.mark.parametrize(("N", "D", "lr", "batch"), [(1e9, 1e11, 1.63250e-3, 1.107715e6),
                                                         (7e9, 1.4e12, 9.16557e-4, 4.998815e6)])  # fmt: skip
    def test_step_law(self, N, D, lr, batch):
        found = sf.plan(hyperparameters=True, N=N, D=D)
        assert found.value("peak_lr", "Step Law") == pytest.approx(lr, rel=1e-5)
        assert found.value("batch", "Step Law") == pytest.approx(batch, rel=1e-6)

    @pytest.mark.parametrize(
        ("n_layer", "d_model", "lr", "sequences"), [(30, 4096, 4.2e-4, 2304), (95, 8192, 3.2e-4, 4608)]
    )
    def test_the_models_of_the_source_of_deepseeks_rule(self, n_layer, d_model, lr, sequences):
        """arXiv:2401.02954, table 2: 7B and 67B on 2T tokens in sequences of 4096; set by the rule, but rounded."""
        N = 12 * n_layer * d_model**2
        at = {"N": N, "D": 2e12, "n_layer": n_layer, "d_model": d_model, "seq_len": 4096}
        found = sf.plan(hyperparameters=True, **at)
        assert found.at["C"] == pytest.approx((72 * n_layer * d_model**2 + 12 * n_layer * d_model * 4096) * 2e12)
        assert found.value("peak_lr", "DeepSeek") == pytest.approx(lr, rel=0.03)
        assert found.value("batch", "DeepSeek") / 4096 == pytest.approx(sequences, rel=0.1)

    def test_deepseeks_rule_at_powers_of_ten(self):
        assert DEEPSEEK.gives["peak_lr"]({"C": 1e24}) == pytest.approx(0.3118e-3)
        assert DEEPSEEK.gives["batch"]({"C": 1e20}) == pytest.approx(0.2920 * 10**6.542)

    def test_compute_without_a_shape_is_6_N_D_and_says_so(self):
        found = sf.plan(hyperparameters=True, N=1e9, D=1e11)
        assert found.at["C"] == pytest.approx(6e20)
        assert "without attention" in str(found)
        assert sf.plan(hyperparameters=True, N=1e9, D=1e11, C=7e20).at["C"] == 7e20

    def test_the_token_horizon_needs_a_rate_that_was_tuned(self):
        """Ten times the tokens: 10^-0.32 = 0.4786 times the rate."""
        found = sf.plan(hyperparameters=True, N=1e9, D="1T", tuned="lr=3e-4,D=100B")
        assert found.value("peak_lr", "token horizon") == pytest.approx(3e-4 * 0.478630, rel=1e-5)
        assert not TOKEN_HORIZON.applies({"N": 1e9, "D": 1e12})

    def test_the_critical_batch_at_a_loss(self):
        found = sf.plan(hyperparameters=True, N=1e9, D=1e11, loss=3.0)
        assert found.value("critical_batch", "Kaplan") == pytest.approx(1.122570e6, rel=1e-6)

    def test_a_range_that_no_source_at_hand_states_is_not_stated(self):
        for rule in (DEEPSEEK, TOKEN_HORIZON):
            assert rule.outside({"N": 7e9, "D": 2e15, "C": 1e26}) == ""
            assert "the range of its runs is not stated here" in rule.text
        assert "from N 210M to 1.1B, D 4B to 100B" in STEP_LAW.text

    @pytest.mark.skipif(not commands.SHARED.exists(), reason="public data not at hand")
    def test_the_range_of_the_step_law_holds_its_public_sweeps(self):
        runs = pd.read_csv(commands.SHARED / "steplaw" / "dense_lr_bs_sweep.csv")
        for name, column in (("N", "params"), ("D", "tokens")):
            low, high = STEP_LAW.spans[name]
            assert low <= runs[column].min() and runs[column].max() <= high
            assert runs[column].min() == pytest.approx(low, rel=0.03)

    def test_outside_its_range_is_said_by_name(self):
        assert STEP_LAW.outside({"N": 3e8, "D": 1e10}) == ""
        assert STEP_LAW.outside({"N": 7e9, "D": 1e9}) == "outside: N = 7B is above 1.1B, D = 1B is below 4B"
        inside, beyond = (str(sf.plan(hyperparameters=True, N=N, D=1e10)) for N in (3e8, 7e9))
        assert "outside: N" not in inside
        assert "outside: N = 7B" in beyond

    def test_every_rule_names_source_and_conventions(self):
        text = str(sf.plan(hyperparameters=True, N=1e9, D=1e11, loss=2.5, tuned={"lr": 1e-3, "D": 1e10}))
        for words in ("2503.04715", "2401.02954", "2409.19913", "2001.08361", "without embeddings", "M = 6 N"):
            assert words in text

    def test_sources_that_differ_by_two_are_to_be_swept(self):
        assert "sweep between them" in str(sf.plan(hyperparameters=True, N=1e9, D=1e11))
        assert "sweep between them" not in str(sf.plan(hyperparameters=True, N=1.5e9, D=1e11))


class TestFits:
    def test_the_planted_optimum_lies_in_its_interval(self, surface):
        found = surface.plan(hyperparameters=True, N=1e9, D=1e11)
        lr, batch = (row(found, name, "your fit of lr-batch-surface") for name in ("peak_lr", "batch"))
        assert lr.low <= 1.5e-3 <= lr.high
        assert batch.low <= 1e6 <= batch.high
        assert lr.value == pytest.approx(1.5e-3, rel=0.1)
        assert found.at["loss"] == pytest.approx(1.8 + 400 * 1e9**-0.34 + 500 * 1e11**-0.31, rel=0.01)

    def test_the_best_rate_at_a_held_batch_is_that_of_the_surface(self, surface):
        """Against every rate of a fine grid; and the best batch at a rate that is e times the best: e^lean times."""
        found = surface.plan(hyperparameters=True, N=3e8, D=3e10, batch=3e6)
        rates = np.geomspace(1e-4, 1e-1, 40001)
        loss = surface.evaluate({"N": 3e8, "D": 3e10, "peak_lr": rates, "batch": np.full(40001, 3e6)})
        assert found.value("peak_lr", "your") == pytest.approx(rates[np.argmin(loss)], rel=3e-4)
        free = surface.plan(hyperparameters=True, N=3e8, D=3e10)
        held = surface.plan(hyperparameters=True, N=3e8, D=3e10, lr=np.e * free.value("peak_lr", "your"))
        factor = held.value("batch", "your") / free.value("batch", "your")
        assert factor == pytest.approx(np.exp(surface["lean"]), rel=1e-6)
        assert "not at the held one" in str(held)

    def test_the_flat_of_the_valley_ends_where_the_loss_is_a_thousandth_higher(self, surface):
        found = surface.plan(hyperparameters=True, N=3e8, D=3e10)
        note = row(found, "peak_lr", "your fit of lr-batch-surface").note
        low, high = (float(part) for part in note.split("loss: ")[1].split(";")[0].split(" to "))
        at = {"N": 3e8, "D": 3e10, "batch": found.value("batch", "your")}
        best, *ends = surface.evaluate({**at, "peak_lr": np.array([found.value("peak_lr", "your"), low, high])})
        assert np.array(ends) / best - 1 == pytest.approx([1e-3, 1e-3], rel=0.05)

    def test_fits_of_the_optima_of_the_timescale_and_of_the_critical_batch(self):
        N, D = (x.ravel() for x in np.meshgrid([1e8, 3e8, 1e9], [4e9, 3e10, 1e11]))
        wiggle = np.exp(0.02 * np.random.default_rng(1).standard_normal(9))
        tables = {
            "optimal-lr-batch": pd.DataFrame({"N": N, "D": D, "peak_lr": 2 * N**-0.7 * D**0.3 * wiggle}),
            "adamw-timescale": pd.DataFrame({"N": N, "D": D, "timescale": 1.1 * (D / N) ** -0.5 * wiggle}),
        }
        fits = [sf.fit(table, law, draws=20) for law, table in tables.items()]
        found = sf.plan(hyperparameters=fits, N=7e9, D=1e12, batch="4M")
        lr, scale = (row(found, *key) for key in (("peak_lr", "your fit of optimal-lr-batch"),
                                                  ("timescale", "your fit of adamw-timescale")))  # fmt: skip
        assert lr.value == pytest.approx(2 * 7e9**-0.7 * 1e12**0.3, rel=0.15)
        assert scale.low < scale.value < scale.high
        decay = [each for _, each in found.table.iterrows() if each.setting == "weight_decay"]
        own = next(each for each in decay if each.source.endswith("optimal-lr-batch"))
        assert own.value == pytest.approx(4e6 / (lr.value * scale.value * 1e12))
        spread = np.hypot(np.log(lr.high / lr.low), np.log(scale.high / scale.low))
        assert np.log(own.high / own.low) == pytest.approx(spread, rel=0.6)
        assert not sf.plan(hyperparameters=fits, N=1e12, D=1e12).ok  # N is further beyond the optima than they span

    def test_a_given_timescale_gives_weight_decay_by_each_rule(self):
        found = sf.plan(hyperparameters=True, N=1e9, D=1e11, timescale=0.2)
        decay = found.value("weight_decay", "a timescale of 0.2, with Step Law")
        assert decay == pytest.approx(1.107715e6 / (1.6325e-3 * 0.2 * 1e11), rel=1e-5)

    def test_a_law_that_knows_no_settings_is_refused(self):
        runs = pd.DataFrame({"N": [1e7, 1e8, 1e9, 1e10], "loss": [4.0, 3.5, 3.1, 2.8]})
        with pytest.raises(sf.InputError, match="knows no hyperparameters"):
            sf.fit(runs, "power", force=True).plan(hyperparameters=True, N=1e9, D=1e11)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"N": 1e9}, "N and D are not both given"),
        ({"N": 1e9, "D": 1e11, "width": 8}, 'no setting depends on "width"'),
        ({"N": 1e9, "D": -1}, "D is -1"),
        ({"N": 1e9, "D": 1e11, "loss": 0}, "loss is 0"),
        ({"N": 1e9, "D": 1e11, "tuned": "3e-4"}, "no tuned learning rate"),
        ({"N": 1e9, "D": 1e11, "compute": 1e23}, "hyperparameters beside compute"),
    ],
)
def test_what_makes_no_sense_is_refused(given, message):
    with pytest.raises(sf.InputError, match=message):
        sf.plan(hyperparameters=True, **given)


def test_the_command_says_what_python_says(surface, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    surface.save("surface.json")
    found = surface.plan(hyperparameters=True, N="1B", D="100B", seq_len=2048)
    line = "scalefit plan --hyperparameters surface.json --at N=1B,D=100B,seq_len=2048"
    assert str(found) in commands.run(line).stdout
    content = json.loads(commands.run(f"{line} --json").stdout)
    assert [each["value"] for each in content["settings"]] == pytest.approx(list(found.table["value"]))
    assert content["laws"] == ["lr-batch-surface"]
    alone = commands.run("scalefit plan --hyperparameters --at N=1B,D=100B")
    assert alone.exit_code == 0
    assert str(sf.plan(hyperparameters=True, N=1e9, D=1e11)) in alone.stdout
    assert "no fit and no run logs" in commands.run("scalefit plan --compute 1e20").stderr
    assert "--tuned without" in commands.run("scalefit plan surface.json --tuned lr=1e-3,D=1B").stderr


def test_the_figure_has_a_mark_for_each_source_and_contours_of_the_surface(surface):
    ax = surface.plan(hyperparameters=True, N=1e9, D=1e11).plot()
    marks = {line.get_marker(): line for line in ax.lines if line.get_marker() in ("o", "s", "^")}
    assert [float(marks["s"].get_xdata()[0]), float(marks["s"].get_ydata()[0])] == pytest.approx(
        [1.107715e6, 1.6325e-3], rel=1e-4
    )
    assert len(marks) == 3
    assert [text.get_text() for text in ax.get_legend().get_texts()][:3] == [
        "your fit of lr-batch-surface", "Step Law", "DeepSeek",
    ]  # fmt: skip
    (contours,) = [each for each in ax.collections if len(getattr(each, "levels", ()))]
    shown = [(level, path.vertices) for level, path in zip(contours.levels, contours.get_paths(), strict=True)]
    assert sum(len(vertices) for _, vertices in shown) > 100

    def loss(batch, rate):
        at = {"N": 1e9, "D": 1e11, "peak_lr": rate.ravel(), "batch": batch.ravel()}
        return surface.evaluate({name: at[column] for name, column in surface.law.columns.items()})

    least = loss(*np.meshgrid(np.geomspace(*ax.get_xlim(), 300), np.geomspace(*ax.get_ylim(), 300))).min()
    for level, vertices in ((level, vertices) for level, vertices in shown if len(vertices)):
        np.testing.assert_allclose(100 * (loss(*vertices.T) / least - 1), level, rtol=0.02, atol=0.01)
    with pytest.raises(sf.InputError, match="leave one of them free"):
        sf.plan(hyperparameters=True, N=1e9, D=1e11, lr=1e-3, batch=1e6).plot()


@pytest.mark.parametrize(("name", "note"), [("critical-batch", "far"), ("trajectory", "")])
def test_a_critical_batch_follows_the_loss_and_says_how_far_out_it_lies(monkeypatch, name, note):
    """Every constant is 2: 2 L^(-1/2). Only a law of the batch alone has been fitted to losses like the place's."""
    law = find_law(name)
    monkeypatch.setattr(fitted, "constants_of", lambda fit: np.full((3, len(law.parameters)), 2.0))
    monkeypatch.setattr(fitted, "_beyond", lambda fit, place: "far")
    fit = SimpleNamespace(law=law, intervals=None)
    (found,) = fitted.settings_of(fit, {"loss": 4.0})
    assert (found.value, found.note) == (1.0, note)
    assert fitted.settings_of(fit, {"N": 1e9}) == []
