"""Closed forms against the laws they come from, minimised numerically, and against published values."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.laws import find_law
from scalefit.laws.data_constrained import DataConstrained
from scalefit.laws.encoder_decoder import BASE, EncoderDecoder
from scalefit.planning.allocation.single import repeated_optimum
from scalefit.planning.isoflop import approach1, approach2, approach2_bias, isoflop_grid
from scalefit.planning.optimum.compute_optimal import CLOSED_FORMS, compute_optimal, size_exponent, size_factor
from scalefit.planning.optimum.encoder_share import encoder_share, split_parameters
from scalefit.planning.optimum.kaplan_frontier import PF_DAY, kaplan_frontier, overfitting, stopping_step
from scalefit.planning.optimum.learning_rate import as_power_laws, best_lr_batch
from scalefit.planning.optimum.published import (
    COMPUTE_EFFICIENT,
    compute_efficient,
    one_epoch_allocation,
    published_size,
)
from scalefit.planning.optimum.repeated_data import worth_of_repeats
from scalefit.planning.optimum.rounding import critical_tokens
from scalefit.planning.translation import translate_law

PRINTED = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
UNROUNDED = {
    "E": np.exp(0.5267228),
    "A": np.exp(6.0073404),
    "B": np.exp(6.0179186),
    "alpha": 0.33917084,
    "beta": 0.2849083,
}
REPLICATION = {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658}
GOPHER = 5.76e23  #: FLOP
FINEWEB_EDU = {"E": 1.96690513, "A": 66798878.459, "B": 889955656.432, "alpha": 0.41289807, "beta": 0.4555813}


class TestComputeOptimal:
    @pytest.mark.parametrize(
        ("constants", "G", "a", "N", "D", "loss"),
        [
            (PRINTED, 1.344711, 0.451613, 3.218986e10, 2.982306e12, 1.930748),
            (UNROUNDED, 1.300046, 0.456526, 4.036094e10, 2.378537e12, 1.918412),
            (REPLICATION, 0.119630, 0.512612, 7.224870e10, 1.328744e12, 1.974441),
        ],
    )
    def test_at_the_compute_of_gopher(self, constants, G, a, N, D, loss):
        best = compute_optimal("chinchilla", constants, GOPHER)
        assert (size_factor(constants), size_exponent(constants)) == pytest.approx((G, a), abs=6e-7)
        assert (float(best.N), float(best.D)) == pytest.approx((N, D), rel=2e-6)
        assert float(best.loss) == pytest.approx(loss, abs=6e-7)

    def test_the_losses_of_chinchilla_and_gopher_as_trained(self):
        law = find_law("chinchilla")
        assert law.evaluate({"N": 70e9, "D": 1.4e12}, UNROUNDED) == pytest.approx(1.920846, abs=6e-7)
        assert law.evaluate({"N": 280e9, "D": 3e11}, UNROUNDED) == pytest.approx(1.967243, abs=6e-7)

    def test_the_kaplan_form(self):
        assert float(compute_optimal("kaplan-floor", FINEWEB_EDU, 1e21).N) == pytest.approx(4.082591e9, rel=2e-7)

    @pytest.mark.parametrize("law", CLOSED_FORMS)
    def test_no_neighbour_is_better(self, law):
        """The closed form against the law itself, on a fine grid of sizes at equal compute."""
        constants = {
            "chinchilla": PRINTED,
            "over-training": {"E": 1.8, "a": 212.0, "b": 367.0, "eta": 0.136},
            "kaplan-floor": FINEWEB_EDU,
            "kaplan": {"N_c": 6.4e13, "D_c": 1.8e13, "alpha_N": 0.076, "alpha_D": 0.103},
            "skaling": {"E": 1.6, "A": 90.0, "B": 4.0, "alpha": 0.24, "beta": 0.29, "k": 0.4},
        }[law]
        for C in (1e18, 1e22, 1e25):
            best = compute_optimal(law, constants, C)
            N = best.N * np.geomspace(0.5, 2, 4001)
            losses = find_law(law).evaluate({"N": N, "D": C / (6 * N)}, constants)
            assert N[np.argmin(losses)] == pytest.approx(float(best.N), rel=1e-3)
            assert losses.min() >= float(best.loss) - 1e-12

    def test_many_budgets_at_once(self):
        C = np.geomspace(1e18, 1e24, 7)
        best = compute_optimal("chinchilla", PRINTED, C)
        np.testing.assert_allclose(6 * best.N * best.D, C, rtol=1e-14)
        np.testing.assert_allclose(np.diff(np.log(best.N)) / np.diff(np.log(C)), size_exponent(PRINTED), rtol=1e-12)

    def test_a_law_without_a_closed_form(self):
        with pytest.raises(sf.InputError, match="no closed form"):
            compute_optimal("moe", {}, 1e21)
        with pytest.raises(sf.InputError, match="not positive"):
            compute_optimal("chinchilla", PRINTED, [1e21, 0])


TRANSLATION = {"L_inf": 1.2, "A": 0.5 * (1.5e8 / BASE) ** 0.18 * (2e8 / BASE) ** 0.31, "p_enc": 0.18, "p_dec": 0.31}


class TestEncoderShare:
    def test_a_billion_parameters(self):
        best = split_parameters(TRANSLATION, 1e9)
        assert (float(best.N_enc), float(best.N_dec)) == pytest.approx((3.673469e8, 6.326531e8), rel=2e-7)
        assert float(best.loss) == pytest.approx(1.4977904, abs=5e-8)

    def test_the_loss_is_a_power_of_the_total(self):
        p_enc, p_dec = 0.18, 0.31
        whole = 0.5 * (1.5e8 * (p_enc + p_dec) / p_enc) ** p_enc * (2e8 * (p_enc + p_dec) / p_dec) ** p_dec
        total = np.geomspace(1e8, 1e10, 5)
        expected = 1.2 + whole * total ** -(p_enc + p_dec)
        np.testing.assert_allclose(split_parameters(TRANSLATION, total).loss, expected, rtol=1e-13)

    def test_no_other_share_is_better(self):
        shares = np.linspace(0.01, 0.99, 9801)
        losses = EncoderDecoder().evaluate({"N_enc": shares * 1e9, "N_dec": (1 - shares) * 1e9}, TRANSLATION)
        assert shares[np.argmin(losses)] == pytest.approx(encoder_share(0.18, 0.31), abs=1e-4)


class TestIsoFlop:
    @pytest.mark.parametrize(
        ("alpha", "beta", "percent"),
        [
            (0.34, 0.28, (-0.327, -1.301, -2.903, -5.100)),
            (0.465, 0.155, (-1.67, -6.50, -13.91, -23.12)),
            (0.31, 0.31, (0.0, 0.0, 0.0, 0.0)),
        ],
    )
    def test_the_bias_of_approach_2(self, alpha, beta, percent):
        """arXiv:2603.22339: five budgets 1e17 to 1e21, 15 sizes within a factor of each optimum, at 1e24 FLOP."""
        constants = {**PRINTED, "alpha": alpha, "beta": beta}
        digits = 6e-4 if abs(percent[0]) < 1 else 6e-3
        for spread, expected in zip((2, 4, 8, 16), percent, strict=True):
            grid = isoflop_grid(constants, np.geomspace(1e17, 1e21, 5), spread=spread)
            bias = approach2_bias(constants, grid, 1e24, curve="parabola")
            assert 100 * float(bias) == pytest.approx(expected, abs=digits)
            assert abs(100 * float(approach2_bias(constants, grid, 1e24))) <= 0.07 * abs(expected) + 1e-6  # the default

    def test_the_bias_depends_on_the_exponents_and_the_grid_alone(self):
        other = {"E": 0.6, "A": 35.0, "B": 2200.0, "alpha": 0.34, "beta": 0.28}
        budgets = np.geomspace(1e17, 1e21, 5)
        one, two = (approach2_bias(c, isoflop_grid(c, budgets), 1e24, curve="parabola") for c in (PRINTED, other))
        assert float(one) == pytest.approx(float(two), rel=1e-6)

    def test_exponents_are_exact_all_the_same(self):
        grid = isoflop_grid(PRINTED, np.geomspace(1e17, 1e21, 5))
        losses = find_law("chinchilla").evaluate(grid[["N", "D"]], PRINTED)
        found = approach2(grid.assign(loss=losses), curve="parabola")
        assert found.exponent == pytest.approx(size_exponent(PRINTED), rel=1e-9)
        np.testing.assert_allclose(6 * found.size(1e24) * found.tokens(1e24), 1e24)

    def test_an_edge_minimum_is_left_out_and_named(self):
        grid = isoflop_grid(PRINTED, [1e18, 1e19, 1e20])
        grid["loss"] = find_law("chinchilla").evaluate({"N": grid["N"], "D": grid["D"]}, PRINTED)
        cut = grid[~((grid["C"] == 1e19) & (grid["N"] > compute_optimal("chinchilla", PRINTED, 1e19).N / 3))]
        found = approach2(cut, curve="akima")
        assert len(found.optima) == 2
        assert found.left_out == ("1e+19 FLOP: its minimum lies outside its sizes",)
        with pytest.raises(sf.IdentificationError, match="1 compute budgets"):
            approach2(cut[cut["C"] < 5e19], curve="akima")

    def test_approach_1_from_whole_curves(self):
        """Constant-rate curves L(N, tokens) of many sizes: the lowest at each C follows the optimum of the surface."""
        rows = []
        for i, N in enumerate(np.geomspace(1e7, 1e10, 60)):
            tokens = np.geomspace(1e8, 1e13, 400)
            loss = find_law("chinchilla").evaluate({"N": N, "D": tokens}, PRINTED)
            rows.append(pd.DataFrame({"run": f"r{i}", "N": N, "tokens": tokens, "loss": loss}))
        curves = pd.concat(rows)
        C = 6 * curves["N"] * curves["tokens"]
        found = approach1(curves[(C > 1e18) & (C < 1e21)])
        assert found.exponent == pytest.approx(size_exponent(PRINTED), abs=0.01)
        assert float(found.size(1e20)) == pytest.approx(float(compute_optimal("chinchilla", PRINTED, 1e20).N), rel=0.05)
        with pytest.raises(sf.IdentificationError, match="lowest loss at every compute"):
            approach1(curves[curves["run"] == "r5"])
        with pytest.raises(sf.InputError, match='no column "tokens"'):
            approach1(curves.drop(columns="tokens"))

    def test_porians_exponents_lie_in_their_intervals(self):
        path = Path("../shared/data/porian_isoflop/isoflop_points.csv")
        if not path.is_file():
            pytest.skip("the public data sets are not beside the repository")
        points = pd.read_csv(path).rename(columns={"params": "N", "flops": "C"})
        published = pd.read_csv(path.parent / "published_fits.csv").query("method == 'basic'").set_index("condition")
        assert set(points["condition"]) == set(published.index)
        for condition, rows in points.groupby("condition"):
            found, stated = approach2(rows, curve="akima").exponent, published.loc[condition]
            assert stated["n_exponent_boot_lo"] <= found <= stated["n_exponent_boot_hi"]
            assert found == pytest.approx(stated["n_exponent"], abs=3e-3)


class TestKaplanFrontier:
    frontier = kaplan_frontier({"A": 6.5e13**0.077, "B": 2.1e3**0.76, "alpha_N": 0.077, "alpha_S": 0.76}, 0.21, 2.1e8)

    def test_published_values(self):
        assert self.frontier.alpha_C == pytest.approx(0.05245294, abs=5e-9)
        assert self.frontier.C_c == pytest.approx(1.390849e28, rel=1e-6)
        assert self.frontier.C_c / PF_DAY == pytest.approx(1.6098e8, rel=1e-4)
        assert float(self.frontier.loss(PF_DAY)) == pytest.approx(2.694443, abs=6e-7)
        assert float(self.frontier.size(PF_DAY)) == pytest.approx(5.84408e8, rel=1e-6)
        assert float(self.frontier.steps(PF_DAY)) == pytest.approx(13160.7, abs=0.06)

    def test_it_is_the_numeric_optimum(self):
        """Least L(N, S) under C = 6 N B_crit(L) S, by solving for S on a grid of sizes at the frontier's loss."""
        loss, C = float(self.frontier.loss(1e21)), 1e21
        N = self.frontier.size(C) * np.geomspace(0.3, 3, 4001)
        left = loss - (self.frontier.N_c / N) ** self.frontier.alpha_N
        steps = np.where(left > 0, self.frontier.S_c / np.maximum(left, 1e-12) ** (1 / self.frontier.alpha_S), np.inf)
        cost = 6 * N * self.frontier.B_star / loss ** (1 / self.frontier.alpha_B) * steps
        assert cost.min() == pytest.approx(C, rel=1e-6)
        assert N[np.argmin(cost)] == pytest.approx(float(self.frontier.size(C)), rel=2e-3)
        assert steps[np.argmin(cost)] == pytest.approx(float(self.frontier.steps(C)), rel=2e-3)

    def test_other_sizes_cost_more(self):
        ratios = self.frontier.cost_ratio([0.6, 1.0, 2.2])
        assert ratios == pytest.approx([1.1647, 1.0, 1.2037], abs=6e-5)
        assert self.frontier.cost_ratio(0.01) == np.inf

    def test_stopping_and_overfitting(self):
        constants = {"N_c": 6.4e13, "D_c": 1.8e13, "alpha_N": 0.076, "alpha_D": 0.103}
        limited, unlimited = (find_law("kaplan").evaluate({"N": 1e8, "D": D}, constants) for D in (1e9, np.inf))
        assert float(stopping_step(limited - unlimited, 2.1e3, 0.76)) == pytest.approx(1.8114e4, rel=5e-5)
        assert overfitting(constants, 1e8, 1e9) == pytest.approx(limited / unlimited - 1, rel=1e-12)


class TestRepeatedData:
    constants = DataConstrained.published[0].parameters

    def test_the_source_s_allocation(self):
        best = repeated_optimum(self.constants, 1e22, 25e9)
        assert (best.N, best.D, best.epochs) == pytest.approx((7.02e9, 2.373e11, 9.49), rel=2e-3)
        assert best.loss <= DataConstrained().evaluate({"N": 7.02e9, "D": 2.373e11, "U": 25e9}, self.constants) + 1e-4

    def test_ample_data_give_the_additive_optimum(self):
        additive = DataConstrained.constants_of_source(self.constants)
        best = compute_optimal("chinchilla", {k: additive[k] for k in ("E", "A", "B", "alpha", "beta")}, 1e20)
        found = repeated_optimum(self.constants, 1e20, 1e13)
        assert found.epochs < 1
        np.testing.assert_allclose([found.N, found.D], [best.N, best.D], rtol=1e-4)

    def test_no_other_size_is_better(self):
        best = repeated_optimum(self.constants, 1e23, 5e9)
        N = best.N * np.geomspace(0.1, 10, 2001)
        losses = DataConstrained().evaluate({"N": N, "D": 1e23 / (6 * N), "U": np.full(2001, 5e9)}, self.constants)
        assert losses.min() >= best.loss - 1e-12

    def test_what_repeats_are_worth(self):
        assert worth_of_repeats(1, 15.4) == 1
        assert worth_of_repeats(1e9, 15.387756) == pytest.approx(16.387756)
        assert worth_of_repeats(0.5, 15.4) == 0.5

    def test_impossible_budgets(self):
        with pytest.raises(sf.InputError, match="must be positive"):
            repeated_optimum(self.constants, 1e22, 0)


def test_translation_keeps_the_optimum_and_the_published_value():
    there = translate_law(FINEWEB_EDU, 0.6048867, 1.066258, 1.3191056)
    assert find_law("kaplan-floor").evaluate({"N": 1e8, "D": 2e9}, there) == pytest.approx(1.9633878, abs=5e-8)
    one, two = (compute_optimal("kaplan-floor", c, [1e18, 1e24]).N for c in (FINEWEB_EDU, there))
    np.testing.assert_allclose(one, two, rtol=1e-12)


def test_the_one_epoch_rule_trains_five_tokens_a_parameter():
    size, data = one_epoch_allocation(1e21)
    assert data / size == pytest.approx(5)
    assert 6 * size * data == pytest.approx(1e21)


@pytest.mark.parametrize(
    ("domain", "size"),
    [("image-8x8", 3.1366e8), ("image-16x16", 3.0837e8), ("language", 1.29266e9), ("video", 3.0361e8)],
)
def test_published_sizes_at_one_petaflop_day(domain, size):
    assert float(published_size(domain, PF_DAY)) == pytest.approx(size, rel=2e-5)


def test_unknown_domains_and_quantities_are_named():
    with pytest.raises(sf.InputError, match="language"):
        published_size("langage", 1e21)
    with pytest.raises(sf.InputError, match="one of: N, batch, steps, D"):
        compute_efficient("width", 1e21)


def test_kaplans_table_and_henighans_agree_on_language():
    C = np.geomspace(1e18, 1e24, 4)
    np.testing.assert_allclose(compute_efficient("N", C), published_size("language", C), rtol=0.01)
    assert sum(COMPUTE_EFFICIENT[name][1] for name in ("N", "batch", "steps")) == pytest.approx(1.0)


def test_the_best_settings_are_the_bottom_of_the_surface_and_the_power_laws():
    surface = {"lr_0": 1.6e-3, "p": 0.713, "q": 0.307, "batch_0": 1.1e6, "s": 0.571}
    walls = {"E": 1.7, "A": 400.0, "B": 410.0, "h_lr": 0.01, "h_batch": 0.014, "alpha": 0.34, "beta": 0.28}
    walls |= {"lean": 0.5, "skew": 0.9}
    best = best_lr_batch(surface, 3e8, 2e10)
    lr, batch = np.meshgrid(best.lr * np.geomspace(0.5, 2, 201), best.batch * np.geomspace(0.5, 2, 201))
    at = {"N": 3e8, "D": 2e10, "peak_lr": lr, "batch": batch}
    lowest = np.unravel_index(np.argmin(find_law("lr-batch-surface").evaluate(at, surface | walls)), lr.shape)
    assert lowest == (100, 100)
    laws = as_power_laws(surface)
    assert find_law("optimal-lr-batch").evaluate({"N": 3e8, "D": 2e10}, laws["lr"]) == pytest.approx(float(best.lr))
    assert find_law("optimal-lr-batch:of=batch").evaluate({"D": 2e10}, laws["batch"]) == pytest.approx(
        float(best.batch)
    )


def test_more_tokens_than_critical_hurt_the_rounded_model():
    law = find_law("precision:parts=weights,post=yes")
    constants = {**PRINTED, "gamma_w": 2.5, "C_T": 0.06, "gamma_D": 0.5, "gamma_N": 0.5, "gamma_post": 0.6}
    constants["C_w"] = 5.0  # so large that the bits taken away count fully
    D = critical_tokens(constants, 1e9, 4.0) * np.geomspace(0.5, 2, 2001)
    losses = law.evaluate({"N": 1e9, "D": D, "precision_w": 16.0, "precision_post": 4.0}, constants)
    assert np.argmin(losses) == pytest.approx(1000, abs=2)
