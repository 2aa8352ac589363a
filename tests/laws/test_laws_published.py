"""Values that the papers' constants imply, where a law's own ``published`` cannot say them."""

import math

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.errors import InputError
from scalefit.laws import find_law
from scalefit.laws.data_constrained import DataConstrained
from scalefit.laws.encoder_decoder import BASE, EncoderDecoder
from scalefit.laws.kaplan_floor import KaplanFloor
from scalefit.laws.loss_to_loss import LossToLoss
from scalefit.laws.mutual_information import information_of_halves
from scalefit.laws.precision import Precision
from scalefit.laws.routed import TABLE_3, Routed
from scalefit.planning.allocation.single import best_vocabulary
from scalefit.planning.critical_batch import critical_batch
from scalefit.planning.optimum.compute_optimal import compute_optimal

CHINCHILLA_PRINTED = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
KAPLAN_TABLE_2 = {"N_c": 6.4e13, "D_c": 1.8e13, "alpha_N": 0.076, "alpha_D": 0.103}
FINEWEB_EDU = {"E": 1.96690513, "A": 66798878.459, "B": 889955656.432, "alpha": 0.41289807, "beta": 0.4555813}


def test_kaplan_with_unlimited_data():
    assert find_law("kaplan").evaluate({"N": 1e9, "D": np.inf}, KAPLAN_TABLE_2) == pytest.approx(2.318834, abs=5e-7)


def test_compute_of_a_run_and_the_least_for_its_loss():
    """A hundred million parameters, 2^19 tokens a step, 1e4 steps: PF-days, and those at the best of all batches."""
    trajectory = find_law("trajectory").published[0]
    loss = find_law("trajectory").evaluate({"N": 1e8, "step": 1e4, "batch": 2.0**19}, trajectory.parameters)
    B_crit = critical_batch(float(loss), trajectory.parameters["B_star"], trajectory.parameters["alpha_B"])
    used = 6 * 1e8 * 2.0**19 * 1e4 / 8.64e19
    assert used == pytest.approx(0.036409, abs=5e-7)
    assert float(used / (1 + 2.0**19 / B_crit)) == pytest.approx(0.020137, abs=5e-7)


def test_kaplan_floor_alone_is_one_nat_at_its_sizes():
    one = KaplanFloor().evaluate({"N": FINEWEB_EDU["A"], "D": np.inf}, FINEWEB_EDU)
    assert one == pytest.approx(FINEWEB_EDU["E"] + 1, rel=1e-14)


def test_loss_to_loss_maps_a_fitted_law():
    source = KaplanFloor().evaluate({"N": 1e8, "D": 2e9}, FINEWEB_EDU)
    constants = {"K": 0.6048867, "kappa": 1.066258, "E0": FINEWEB_EDU["E"], "E1": 1.3191056}
    mapped = LossToLoss().evaluate({"loss_source": source}, constants)
    assert mapped == pytest.approx(1.9633878, abs=5e-8)


def test_loss_to_loss_below_the_floor_stays_at_the_target_floor():
    constants = {"K": 0.6, "kappa": 1.1, "E0": 2.0, "E1": 1.3}
    assert LossToLoss().evaluate({"loss_source": np.array([1.5, 2.0])}, constants) == pytest.approx([1.3, 1.3])


def encoder_decoder(alpha=0.5, n_enc=1.5e8, n_dec=2.0e8, p_enc=0.18, p_dec=0.31, L_inf=1.2):
    """Constants of the law from those with normalisers n_enc and n_dec."""
    A = alpha * (n_enc / BASE) ** p_enc * (n_dec / BASE) ** p_dec
    return {"L_inf": L_inf, "A": A, "p_enc": p_enc, "p_dec": p_dec}


def test_encoder_decoder_with_other_normalisers():
    law, constants = EncoderDecoder(), encoder_decoder()
    assert law.evaluate({"N_enc": 1.5e8, "N_dec": 2.0e8}, constants) == pytest.approx(1.2 + 0.5, rel=1e-14)
    assert law.evaluate({"N_enc": 5e8, "N_dec": 5e8}, constants) == pytest.approx(1.5030334, abs=5e-8)
    assert law.evaluate({"N_enc": 3.673469e8, "N_dec": 6.326531e8}, constants) == pytest.approx(1.4977904, abs=5e-8)


@pytest.mark.parametrize(("bits", "loss"), [(4.0, 2.671594), (16.0, 2.580649)])
def test_precision_makes_a_model_act_smaller(bits, loss):
    parts = {f"precision_{part}": bits for part in ("w", "a", "kv")}
    gammas = {f"gamma_{part}": 2.5 for part in ("w", "a", "kv")}
    got = Precision().evaluate({"N": 1e9, "D": 2e10, **parts}, {**CHINCHILLA_PRINTED, **gammas})
    assert got == pytest.approx(loss, abs=5e-7)
    together = Precision(parts="together")
    same = together.evaluate({"N": 1e9, "D": 2e10, "precision": bits}, {**CHINCHILLA_PRINTED, "gamma": 2.5})
    assert same == pytest.approx(got, rel=1e-14)


def test_precision_of_a_billion_parameters_in_four_bits():
    useful = 1e9 * (1 - np.exp(-4 / 2.5)) ** 3
    assert useful == pytest.approx(5.08367e8, rel=1e-6)
    plain = find_law("chinchilla").evaluate({"N": useful, "D": 2e10}, CHINCHILLA_PRINTED)
    gammas = {f"gamma_{part}": 2.5 for part in ("w", "a", "kv")}
    at = {"N": 1e9, "D": 2e10, "precision_w": 4.0, "precision_a": 4.0, "precision_kv": 4.0}
    assert Precision().evaluate(at, {**CHINCHILLA_PRINTED, **gammas}) == pytest.approx(plain, rel=1e-14)


ROUNDED = {**CHINCHILLA_PRINTED, "C_T": 0.05, "gamma_D": 0.5, "gamma_N": 0.4, "gamma_post": 0.6}


def test_rounding_after_training_hurts_long_trained_models_more():
    law = Precision(parts="weights", post="yes")
    constants = {**ROUNDED, "gamma_w": 2.5, "C_w": 0.3}
    at = {"N": 1e9, "precision_w": 16.0}
    lost = [
        law.evaluate({**at, "D": D, "precision_post": 4.0}, constants)
        - law.evaluate({**at, "D": D, "precision_post": 16.0}, constants)
        for D in (2e10, 2e11)
    ]
    assert lost[1] == pytest.approx(lost[0] * 10**0.5, rel=1e-9)


@pytest.mark.parametrize("post", [3.0, 4.0, 16.0])
def test_a_model_that_is_not_rounded_below_its_bits_of_training_loses_nothing(post):
    """arXiv:2411.04330, equation 9: each factor 1 - exp(-C_x (P_x - P_post)) is zero where P_post = P_x."""
    at = {"N": 1e9, "D": 2e10, **{f"precision_{part}": 3.0 for part in ("w", "a", "kv")}}
    constants = {f"gamma_{part}": 2.5 for part in ("w", "a", "kv")} | {f"C_{part}": 0.3 for part in ("w", "a", "kv")}
    rounded = Precision(post="yes").evaluate({**at, "precision_post": post}, {**ROUNDED, **constants})
    plain = {name: value for name, value in constants.items() if name.startswith("gamma")}
    assert rounded == Precision().evaluate(at, {**CHINCHILLA_PRINTED, **plain})


def test_the_loss_from_rounding_by_hand():
    """Equation 9 written out for weights, activations and cache in 8, 6 and 12 bits, rounded to 4."""
    bits, gammas, growths = (8.0, 6.0, 12.0), (2.0, 2.5, 1.5), (0.2, 0.4, 0.1)
    useful, factor = 3e8, 1.0
    for P, gamma, growth in zip(bits, gammas, growths, strict=True):
        useful *= 1 - math.exp(-P / gamma)
        factor *= 1 - math.exp(-growth * (P - 4.0))
    lost = 0.05 * math.exp(-4.0 / 0.6) * (1e10**0.5 / useful**0.4) * factor
    expected = 1.69 + 406.4 / useful**0.34 + 410.7 / 1e10**0.28 + lost
    names = ("w", "a", "kv")
    at = {"N": 3e8, "D": 1e10, "precision_post": 4.0}
    at |= {f"precision_{name}": P for name, P in zip(names, bits, strict=True)}
    constants = {f"gamma_{name}": gamma for name, gamma in zip(names, gammas, strict=True)}
    constants |= {f"C_{name}": growth for name, growth in zip(names, growths, strict=True)}
    got = Precision(post="yes").evaluate(at, {**ROUNDED, **constants})
    assert got == pytest.approx(expected, rel=1e-14)
    assert lost > 1e-4, "the term is seen"


class TestDataConstrained:
    published = DataConstrained.published[0].parameters

    def worth(self, epochs):
        """The fresh tokens that give the loss of so many epochs, for a model within its optimum."""
        law = DataConstrained()
        once = self.published | {"R_D": 1e12}
        target = law.evaluate({"N": 1e6, "D": epochs * 1e9, "U": 1e9}, self.published)
        tokens = np.geomspace(1e9, 1e11, 20001)
        losses = law.evaluate({"N": np.full(20001, 1e6), "D": tokens, "U": tokens}, once)
        return np.interp(-target, -losses, tokens) / 1e9

    def test_four_epochs_and_forty(self):
        assert self.worth(4) == pytest.approx(3.726, abs=1e-3)
        assert self.worth(40) == pytest.approx(15.17, abs=5e-3)
        assert self.worth(1e6) == pytest.approx(16.39, abs=5e-3)

    def test_fresh_data_and_a_small_model_give_the_additive_law(self):
        constants = DataConstrained.constants_of_source(self.published)
        additive = {name: constants[name] for name in ("E", "A", "B", "alpha", "beta")}
        at = {"N": np.geomspace(1e6, 1e8, 5), "D": np.geomspace(5e9, 1e11, 5)}
        plain = find_law("chinchilla").evaluate(at, additive)
        np.testing.assert_allclose(DataConstrained().evaluate({**at, "U": at["D"]}, self.published), plain, rtol=1e-13)

    def test_excess_parameters_lose_their_value(self):
        law, at = DataConstrained(), {"D": 1e9, "U": 1e9}
        losses = [float(law.evaluate({"N": N, **at}, self.published)) for N in (5e7, 5e8, 5e9, 5e11)]
        assert losses[0] > losses[1] > losses[2] >= losses[3]
        assert losses[2] - losses[3] < 1e-6 < losses[1] - losses[2]
        full = law.evaluate({"N": 5e9, **at}, self.published | {"R_N": 1e12})
        assert full < losses[2]


@pytest.mark.parametrize(("router", "row"), TABLE_3.items())
def test_routed_is_the_law_of_table_3_in_decimal_logarithms(router, row):
    """arXiv:2202.01169: log10 L = a log10 N + b log10 Eh + c log10 N log10 Eh + d."""
    a, b, c, d, E_start, E_max = row
    published = next(p for p in Routed.published if p.source.endswith(router)).parameters
    for N, experts in ((1.5e7, 1), (5.5e7, 8), (1.3e9, 64), (3.7e8, 512)):
        useful = 1 / (1 / (experts - 1 + 1 / (1 / E_start - 1 / E_max)) + 1 / E_max)
        n, e = math.log10(N), math.log10(useful)
        got = Routed().evaluate({"N": N, "experts": float(experts)}, published)
        assert got == pytest.approx(10 ** (a * n + b * e + c * n * e + d), rel=1e-12)
        lifted = Routed(floor="yes").evaluate({"N": N, "experts": float(experts)}, {**published, "E": 0.7})
        assert lifted == pytest.approx(got + 0.7, rel=1e-14)


def test_vocabulary_in_the_units_of_its_source():
    """arXiv:2407.13623: -5.533 + 1.831/N^.447 + .196/N_v^.671 + 2.124/D^.447, in millions and billions."""
    law = find_law("vocabulary")
    got = law.evaluate({"N": 3.02e8, "N_vocab": 1.6e7, "D": 6e9}, law.published[0].parameters)
    assert got == pytest.approx(-5.533 + 1.831 / 302**0.447 + 0.196 / 16**0.671 + 2.124 / 6**0.447, rel=1e-12)
    assert "beta" not in law.parameters
    assert "beta" in find_law("vocabulary:tie=no").parameters


@pytest.mark.parametrize("C", [2.3e20, 2.3e21, 2.3e22])
def test_the_best_vocabulary_is_the_least_of_the_law_on_a_grid(C):
    law = find_law("vocabulary")
    constants = law.published[0].parameters
    entries = best_vocabulary(constants, 2.87e9, C, 3200)
    near = entries * np.geomspace(0.5, 2, 2001) * 3200
    losses = law.evaluate({"N": 2.87e9, "N_vocab": near, "D": C / 6 / (2.87e9 + near)}, constants)
    assert np.argmin(losses) == pytest.approx(1000, abs=1)
    with pytest.raises(InputError, match="no vocabulary is best"):
        best_vocabulary({**constants, "A2": 0.0}, 2.87e9, C, 3200)


def test_over_training_is_best_at_its_ratio_of_tokens_to_parameters():
    """M* = (b/a)^(1/(2 eta)): 7.42 with the constants of RedPajama."""
    law = find_law("over-training")
    constants = law.published[0].parameters
    best = (constants["b"] / constants["a"]) ** (1 / (2 * constants["eta"]))
    assert best == pytest.approx(7.42, abs=0.01)
    assert "(b/a)^(1/(2 eta))" in type(law).__doc__
    M = best * np.geomspace(0.5, 2, 2001)
    N = np.sqrt(1e21 / 6 / M)
    assert np.argmin(law.evaluate({"N": N, "D": M * N}, constants)) == 1000


def test_the_learning_rate_surface_is_lowest_at_its_power_laws():
    law = find_law("lr-batch-surface")
    constants = {"E": 1.7, "A": 400.0, "B": 410.0, "h_lr": 0.01, "h_batch": 0.014, "alpha": 0.34, "beta": 0.28}
    constants |= {"lr_0": 1.6e-3, "p": 0.713, "q": 0.307, "batch_0": 1.1e6, "s": 0.571, "lean": 0.5, "skew": 0.9}
    lr, batch = 1.6e-3 * 0.3**-0.713 * 0.2**0.307, 1.1e6 * 0.2**0.571
    at = {"N": 3e8, "D": 2e10}
    bottom = find_law("chinchilla").evaluate(at, {k: constants[k] for k in ("E", "A", "B", "alpha", "beta")})
    assert law.evaluate({**at, "peak_lr": lr, "batch": batch}, constants) == pytest.approx(bottom, rel=1e-12)
    around = [
        law.evaluate({**at, "peak_lr": lr * x, "batch": batch * y}, constants) for x in (0.5, 2) for y in (0.5, 2)
    ]
    assert min(around) > bottom
    high, low = (law.evaluate({**at, "peak_lr": lr * x, "batch": batch * x**0.5}, constants) for x in (4, 0.25))
    assert high > low


def test_implicit_domains_add_up_and_come_back_in_the_order_of_their_sizes():
    law = find_law("mixture:over=web+code,domains=2")
    planted = {"c": 1.5, "k": 0.9, "t1": -1.5, "t2": 0.6, "k2": 0.4, "t2_1": 1.0, "t2_2": -3.0}
    assert set(law.parameters) == set(planted)
    shares = np.random.default_rng(0).dirichlet([1, 1, 1], 40)
    web, code = shares[:, 0], shares[:, 1]
    loss = 1.5 + 0.9 * np.exp(-1.5 * web + 0.6 * code) + 0.4 * np.exp(web - 3.0 * code)
    np.testing.assert_allclose(law.evaluate({"r1": web, "r2": code}, planted), loss, rtol=1e-14)
    found = sf.fit(pd.DataFrame({"web": web, "code": code, "loss": loss}), law)
    assert dict(found.parameters) == pytest.approx(planted, rel=1e-5)


def test_mixture_of_one_source_left_out():
    law = find_law("mixture:over=web+code")
    constants = {"c": 1.5, "k": 0.8, "t1": -1.0, "t2": 0.5}
    assert law.columns == {"r1": "web", "r2": "code"}
    assert law.evaluate({"r1": 0.0, "r2": 0.0}, constants) == pytest.approx(2.3)
    assert law.evaluate({"r1": 0.2, "r2": 0.4}, constants) == pytest.approx(2.3)


def test_optimal_batch_counts_tokens_and_has_no_size():
    law = find_law("optimal-lr-batch:of=batch")
    assert (law.target, law.target_unit, list(law.variables)) == ("batch", "tokens", ["D"])
    assert find_law("optimal-lr-batch").target == "peak_lr"


def test_information_of_halves_is_what_the_second_half_saves():
    t = np.arange(1, 401)
    losses = 2.5 + 5.0 / t**0.6
    assert information_of_halves(2.5, 7.5, 200, 0.6) == pytest.approx(
        losses[:200].sum() - losses[200:].sum(), rel=1e-12
    )


def test_the_published_family_of_sizes_meets_the_papers_own_fit_of_one_size():
    """arXiv:2505.07796, figure 15 (all sizes) against figure 3 (106M alone): two fits, equal within their spread.

    Along a constant rate of 2e-4 for 5,000 to 50,000 steps, and with the annealing area that a decay leaves (0.2).
    """
    family, one = find_law("annealing-size"), find_law("continual")
    S1 = np.array([1.0, 2.0, 4.0, 10.0])
    at = {"S1": S1, "N": np.full(4, 106e6)}
    alone = one.published[0].parameters
    power = alone["A"] * S1 ** -alone["alpha"]
    held, decayed = (family.evaluate({**at, "S2": np.full(4, S2)}, family.published[0].parameters) for S2 in (0.0, 0.2))
    np.testing.assert_allclose(held[:-1] - held[-1], power[:-1] - power[-1], rtol=0.1)
    assert held[-1] == pytest.approx(alone["L0"] + power[-1], abs=0.01)
    np.testing.assert_allclose(held - decayed, 0.2 * alone["C1"], rtol=0.12)


def test_the_unrounded_chinchilla_constants_give_the_published_optimum():
    """arXiv:2203.15556, table A3: 40.0e9 parameters at 5.76e23 FLOP; with rounded exponents 32.2e9."""
    rounded, unrounded = (published.parameters for published in find_law("chinchilla").published[:2])
    assert float(compute_optimal("chinchilla", unrounded, 5.76e23).N) == pytest.approx(4.036e10, rel=2e-4)
    assert float(compute_optimal("chinchilla", rounded, 5.76e23).N) == pytest.approx(3.219e10, rel=2e-4)


@pytest.mark.parametrize(("corpus", "k", "r2"), [("stack", 0.39, 0.9978), ("pile", 0.33, 0.9987)])
def test_parallel_streams_gain_what_their_source_says(corpus, k, r2):
    """The gain and the share of explained variance that arXiv:2505.10475 prints, by its own objective."""
    runs = sf.load("parallel_streams").where(f"corpus == '{corpus}'")
    fit = sf.fit(runs, "parallel", loss="huber", delta=1e-3)
    loss = runs.table["loss"].to_numpy(float)
    left = loss - fit.predict(runs)["loss"].to_numpy(float)
    assert round(fit["k"], 2) == k and fit.status == "converged"
    assert 1 - (left**2).sum() / ((loss - loss.mean()) ** 2).sum() == pytest.approx(r2, abs=5e-5)
