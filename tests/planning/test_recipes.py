"""Recipes at a target: planted differences, gains and crossings, what is shared, refusals."""

from __future__ import annotations

import json

import commands
import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.planning.recipes.compare import compare_recipes
from scalefit.planning.recipes.gain import compute_gain
from scalefit.planning.recipes.structure import STRUCTURES, criterion, fitted, formula, marked

TARGET = 1e22


def runs(old, new, noise=0.0, count=8, seed=0):
    """Two recipes at the same budgets, from functions of compute."""
    rng = np.random.default_rng(seed)
    C = np.geomspace(1e18, 1e21, count)
    table = pd.DataFrame({"C": np.tile(C, 2), "recipe": np.repeat(["old", "new"], count)})
    return table.assign(loss=np.concatenate([old(C), new(C)]) * np.exp(noise * rng.standard_normal(2 * count)))


def power(E, A, alpha):
    return lambda C: E + A * C**-alpha


SCALED = runs(power(1.8, 30, 0.075), power(1.8, 28, 0.075), noise=0.002, seed=1)


@pytest.fixture(scope="module")
def scaled():
    return compare_recipes(SCALED, "recipe", C=TARGET, draws=60)


class TestPlanted:
    def test_difference_and_gain_without_noise(self):
        found = compare_recipes(runs(power(1.8, 30, 0.075), power(1.8, 28, 0.075)), "recipe", C=TARGET, draws=0)
        row = found.pairs.iloc[0]
        assert (found.reference, row["recipe"]) == ("new", "old")
        assert row["difference"] == pytest.approx(2 * TARGET**-0.075, rel=1e-4)
        assert row["gain"] == pytest.approx((30 / 28) ** (1 / 0.075), rel=1e-4)
        assert np.isnan(row["crossing"])

    def test_intervals_hold_the_truth_and_the_structure_is_the_planted_one(self, scaled):
        row = scaled.pairs.iloc[0]
        assert scaled.joint.structure.text == "shared floor and exponents"
        assert row["difference_low"] < 2 * TARGET**-0.075 < row["difference_high"]
        assert row["gain_low"] < (30 / 28) ** (1 / 0.075) < row["gain_high"]
        assert row["chance"] == 1.0
        assert not scaled.alike

    def test_curves_that_cross(self):
        C = 1e19
        steep = power(1.8, 20, 0.065)
        level = (steep(C) - 1.8) * C**0.08
        found = compare_recipes(runs(steep, power(1.8, level, 0.08)), "recipe", C=TARGET, draws=0)
        row = found.pairs.iloc[0]
        assert found.joint.structure.exponents
        assert row["crossing"] == pytest.approx(C, rel=0.02)
        assert found.reference == "new"
        assert f"the curves cross at {row['crossing']:.3g}" in str(found)

    def test_a_crossing_of_data_names_its_tokens_per_parameter(self):
        N, D = (x.ravel() for x in np.meshgrid(np.geomspace(1e7, 2e8, 5), np.geomspace(2e8, 2e10, 5)))
        web, curated = (E + 420 / N**0.35 + B / D**0.36 for E, B in ((1.8, 1300), (1.72, 1700)))
        table = pd.DataFrame({"N": np.tile(N, 2), "D": np.tile(D, 2), "loss": np.concatenate([web, curated])})
        table["recipe"] = np.repeat(["web", "curated"], len(N))
        found = compare_recipes(table, "recipe", N=1e9, D=1e11, draws=0)
        cross = (400 / 0.08) ** (1 / 0.36)  # the data at which the planted laws meet, whatever N
        assert found.pairs.iloc[0]["crossing"] == pytest.approx(6 * cross**2 / 100, rel=0.05)
        assert "FLOP, at 100 tokens per parameter" in str(found)

    def test_a_floor_that_is_never_reached(self):
        found = compare_recipes(runs(power(2.2, 20, 0.075), power(1.8, 20, 0.075)), "recipe", C=1e30, draws=0)
        assert found.joint.structure.floors
        assert np.isinf(found.pairs["gain"][0])

    def test_recipes_that_do_not_differ(self):
        same = runs(power(1.8, 30, 0.075), power(1.8, 30, 0.075), noise=0.003, seed=2)
        found = compare_recipes(same, "recipe", C=TARGET, draws=60)
        assert found.alike
        assert "no difference is found" in str(found)
        assert "chosen by the Bayesian criterion among those in which recipes can differ" in str(found)
        row = found.pairs.iloc[0]
        assert row["difference_high"] > row["difference"] > row["difference_low"]

    def test_in_size_and_data(self):
        N, D = np.repeat([1e7, 1e8, 1e9], 4), np.tile([1e9, 4e9, 2e10, 1e11], 3)
        old = 1.7 + 400 * N**-0.34 + 410 * D**-0.28
        new = 1.7 + 360 * N**-0.34 + 380 * D**-0.28
        table = pd.DataFrame({"N": np.tile(N, 2), "D": np.tile(D, 2), "loss": np.r_[old, new]})
        table["recipe"] = np.repeat(["old", "new"], 12)
        found = compare_recipes(table, "recipe", N="7B", D="2T", draws=0)
        apart = 40 * 7e9**-0.34 + 30 * 2e12**-0.28
        assert found.pairs["difference"][0] == pytest.approx(apart, rel=1e-3)
        gain = found.pairs["gain"][0]
        scale = np.sqrt(gain)
        reached = 400 * (7e9 * scale) ** -0.34 + 410 * (2e12 * scale) ** -0.28
        assert reached == pytest.approx(360 * 7e9**-0.34 + 380 * 2e12**-0.28, rel=1e-3)

    def test_three_recipes_and_a_reference(self):
        third = runs(power(1.8, 30, 0.075), power(1.8, 29, 0.075)).query("recipe == 'new'").assign(recipe="mid")
        table = pd.concat([runs(power(1.8, 30, 0.075), power(1.8, 28, 0.075)), third])
        found = compare_recipes(table, "recipe", reference="old", C=TARGET, draws=0)
        assert list(found.table["recipe"]) == ["new", "mid", "old"]
        assert set(found.pairs["recipe"]) == {"new", "mid"}
        assert (found.pairs["difference"] < 0).all()
        assert (found.pairs["gain"] < 1).all()


class TestStructure:
    @pytest.mark.parametrize(
        ("structure", "text"),
        [
            (STRUCTURES[0], "E + A*C**-alpha"),
            (STRUCTURES[2], "E + A_0*is_0*C**-alpha_0 + A_1*is_1*C**-alpha_1"),
            (STRUCTURES[3], "E_0*is_0 + E_1*is_1 + A_0*is_0*C**-alpha + A_1*is_1*C**-alpha"),
        ],
    )
    def test_the_joint_law(self, structure, text):
        assert formula(structure, 2, "C").spec == text

    def test_the_criterion_by_hand(self):
        rows = marked(SCALED, "recipe", ["old", "new"], "C")
        joint = fitted(rows, STRUCTURES[1], ["old", "new"], "C")
        square, n, free = np.mean(joint.residuals**2), 16, 5
        wanted = n * np.log(square) + free * np.log(n) * n / (n - free - 1)
        assert criterion(joint) == pytest.approx(wanted)

    def test_pinned_floors_and_rivals_are_shown(self, scaled):
        texts = list(scaled.sensitivity["structure"])
        assert texts[0] == "shared floor and exponents"
        assert sum(text.startswith("floor pinned at") for text in texts) == 2
        low, high = scaled.joint.fit.table.loc["E", ["low", "high"]]
        assert f"floor pinned at {low:.4g}" in texts
        assert f"floor pinned at {high:.4g}" in texts


@pytest.mark.parametrize(
    ("by", "at", "message"),
    [
        ("recipe", {}, "the target gives nothing"),
        ("recipe", {"N": 1e9}, "the target gives N"),
        ("recipe", {"C": -1}, "C is -1"),
        ("colour", {"C": 1e22}, 'no column "colour"'),
        ("recipe", {"N": 1e9, "D": 1e10}, 'no column "N"'),
        ("one", {"C": 1e22}, "holds one recipe"),
        ("single", {"C": 1e22}, "too few runs"),
    ],
)
def test_what_cannot_be_compared(by, at, message):
    table = SCALED.assign(one="x", single=["a", *["b"] * 15])
    with pytest.raises(sf.InputError, match=message):
        compare_recipes(table, by, draws=0, **at)


def test_an_unknown_reference():
    with pytest.raises(sf.InputError, match='no recipe "nil"'):
        compare_recipes(SCALED, "recipe", reference="nil", C=TARGET)


class TestOneRun:
    C = np.geomspace(1e18, 1e21, 10)

    def baseline(self, noise, **settings):
        rng = np.random.default_rng(1)
        loss = (1.7 + 20 * self.C**-0.08) * np.exp(noise * rng.standard_normal(10))
        return sf.fit(pd.DataFrame({"C": self.C, "loss": loss}), "power-floor:over=C", **settings)

    def test_the_compute_at_which_the_baseline_is_as_good(self):
        assert compute_gain(self.baseline(0), 1.7 + 20 * 3e20**-0.08, C=1e20)[0] == pytest.approx(3, rel=1e-3)
        assert compute_gain(self.baseline(0), 1.7 + 20 * 1e20**-0.08, C=1e20)[0] == pytest.approx(1, rel=1e-3)
        assert np.isinf(compute_gain(self.baseline(0), 1.5, C=1e20)[0])

    def test_its_interval_counts_the_noise_of_the_run(self):
        fit = self.baseline(0.003, draws=60)
        gain, low, high = compute_gain(fit, 1.7 + 20 * 3e20**-0.08, C=1e20)
        assert low < gain < high
        per_decade = 20 * 0.08 * 1e20**-0.08 / (1.7 + 20 * 1e20**-0.08)  # d ln loss / d ln C
        assert np.log(high / low) > 2 * 1.6 * fit.sigma / per_decade

    def test_what_the_law_does_not_read(self):
        with pytest.raises(sf.InputError, match="reads C, the run gives N, D"):
            compute_gain(self.baseline(0), 2.2, N=1e9, D=1e10)


def test_the_command_says_what_python_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    commands.once(monkeypatch, "scalefit.planning.recipes.compare.compare_recipes")
    SCALED.to_csv("runs.csv", index=False)
    found = compare_recipes(sf.read_runs("runs.csv", need=()), "recipe", C="1e22", draws=20)
    line = "scalefit compare-recipes runs.csv --by recipe --at C=1e22 --draws 20"
    assert str(found) in commands.run(line).stdout
    content = json.loads(commands.run(f"{line} --json").stdout)
    assert content["pairs"][0]["gain"] == pytest.approx(found.pairs["gain"][0])
    assert content["reference"] == "new"


def test_the_figure_has_a_curve_and_a_star_for_each(scaled):
    import matplotlib.pyplot as plt

    ax = scaled.plot()
    stars = [line.get_ydata()[0] for line in ax.lines if line.get_marker() == "*"]
    assert sorted(stars) == pytest.approx(sorted(scaled.table["loss"]))
    dashed = [line for line in ax.lines if line.get_linestyle() == "--"]
    assert len(dashed) == 2
    plt.close("all")


@pytest.mark.parametrize("C", [1.0, 1e60])
def test_a_target_that_is_no_run_is_refused(C):
    rows = pd.DataFrame({"recipe": ["a", "b"] * 4, "C": np.geomspace(1e18, 1e20, 8), "loss": np.linspace(3, 2.5, 8)})
    with pytest.raises(sf.InputError, match=r"C = 1(e\+60)? FLOP is no run"):
        sf.compare_recipes(rows, "recipe", C=C)


class TestWhatIsSaidOfADifference:
    def test_an_interval_without_zero_is_a_difference_whatever_the_criterion_prefers(self):
        """Six runs of each, 1 % apart in the size of the term: the penalty for few runs prefers one curve."""
        table = runs(power(1.8, 30, 0.075), power(1.8, 29.6, 0.075), noise=0.002, count=6, seed=3)
        found = compare_recipes(table, "recipe", C=TARGET, draws=60)
        row = found.pairs.iloc[0]
        assert found.sensitivity["structure"].iloc[0] == "one curve for all"
        assert row["difference_low"] > 0
        assert not found.alike
        assert "no difference is found" not in str(found)
        assert "the runs tell recipes apart at the target" in str(found)

    @pytest.mark.parametrize(("draws", "chance"), [(0, ""), (40, " in 100 % of the draws")])
    def test_a_reference_that_is_worse_is_not_called_better(self, draws, chance):
        found = compare_recipes(SCALED, "recipe", reference="old", C=TARGET, draws=draws)
        assert f"old is worse than new{chance}" in str(found)
        assert "old is better" not in str(found)

    def test_equal_losses_have_nothing_to_compare(self):
        with pytest.raises(sf.InputError, match="all 16 runs have the same loss, 3: there is nothing to compare"):
            compare_recipes(SCALED.assign(loss=3.0), "recipe", C=TARGET, draws=0)

    def test_a_loss_of_zero_is_named_by_its_row_in_the_file(self, tmp_path):
        loss = SCALED["loss"].to_numpy().copy()
        loss[[2, 3]] = [np.nan, 0.0]
        SCALED.assign(loss=loss).to_csv(tmp_path / "runs.csv", index=False)
        with pytest.raises(sf.InputError, match=r"loss is 0 in row 5, not above 0 \(1 of 16 runs\)"):
            compare_recipes(sf.read_runs(tmp_path / "runs.csv", need=()), "recipe", C=TARGET, draws=0)


def test_runs_without_a_recipe_or_a_loss_are_left_out_and_counted():
    more = pd.DataFrame(
        {"C": [1e19, 1e20, 1e21, 3e20], "loss": [3.0, 2.8, 2.6, np.nan], "recipe": [None, None, None, "new"]}
    )
    table = pd.concat([SCALED, more], ignore_index=True)
    found = compare_recipes(table, "recipe", C=TARGET, draws=0)
    told = "4 runs of 20 left out: 3 without a recipe (column recipe), 1 without a finite loss"
    assert found.left_out == told and told in str(found)
    alone = compare_recipes(SCALED, "recipe", C=TARGET, draws=0)
    assert alone.left_out == "" and "left out" not in str(alone)
    assert found.pairs["difference"].iloc[0] == alone.pairs["difference"].iloc[0]


def test_a_recipe_with_small_runs_alone_rests_on_the_others():
    """The new recipe was run up to a hundredth of the old one's compute: 1,000 times beyond its own runs."""
    clean = runs(power(1.8, 30, 0.075), power(1.8, 28, 0.075), count=10)
    small = clean[(clean["recipe"] == "old") | (clean["C"] < 1.1e19)]
    found = compare_recipes(small, "recipe", C=TARGET, draws=0)
    assert found.table.set_index("recipe")["decades_beyond"].to_dict() == pytest.approx({"new": 3, "old": 1})
    (far,) = found.cautions
    assert far.text.startswith("C lies 3 decades beyond the runs of new, which span 1: its loss there rests on what")
    assert not found.ok
    assert not compare_recipes(clean, "recipe", C=TARGET, draws=0).cautions
