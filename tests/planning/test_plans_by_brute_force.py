"""Plans by every law of size and data, against dense grids of the law's formula as it is written here."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

import scalefit as sf
from scalefit.laws import find_law

C, SMALL = 5.76e23, 1e18
SIZE, TOKENS, SERVED = 7e9, 2e12, 2e12
ADDITIVE = {"E": 1.7, "A": 900.0, "B": 1500.0, "alpha": 0.33, "beta": 0.31}
PLAIN = {"E": 1.7, "A": 400.0, "B": 410.0, "alpha": 0.34, "beta": 0.28}


def additive(N, D, E, A, B, alpha, beta):
    return E + A / N**alpha + B / D**beta


def farseer(N, D, E, B, e, gamma, b, beta, h, a, alpha):
    def bent(p):
        return ((N / 1e9) ** p - 1) / p

    return E * np.exp(e * bent(gamma)) + B * np.exp(b * bent(beta)) * D ** -(h * np.exp(a * bent(alpha)))


def repeated(N, D, E, A, alpha, beta, N_opt, R_D, R_N, U):
    once = np.minimum(U, D)
    enough = np.minimum(N, N_opt * (once / 1e10) ** (beta / alpha))
    tokens = once + once * R_D * (1 - np.exp(-(D / once - 1) / R_D))
    size = enough + enough * R_N * (1 - np.exp(-(N / enough - 1) / R_N))
    return E + A / size**alpha + alpha / beta * A * N_opt**-alpha * 1e10**beta / tokens**beta


def idle(N, D, e, a, b, c, d, alpha, beta, lam, delta, gamma, sparsity):
    active = 1 - sparsity
    return e + a / N**alpha + b / D**beta + c / active**lam + d / active**delta / N**gamma


def student(N, D, K, B, alpha, beta, gamma, c0, c1, d1, f1, loss_teacher, loss_supervised):
    bend = (1 + (loss_teacher / (d1 * loss_supervised)) ** (1 / f1)) ** (-c1 * f1)
    return loss_teacher + K / loss_teacher**c0 * bend * (N**-alpha + B * D**-beta) ** gamma


def experts_of(N, D, E, A, B, alpha, beta, delta, omega, gamma, zeta, experts):
    size = A * experts**delta * N ** (gamma * np.log(experts) - alpha)
    return E + size + B * experts**omega * D ** (zeta * np.log(experts) - beta)


def few_bits(N, D, k, gamma_N, gamma_D, gamma_G, group_size, **plain):
    return additive(N, D, **plain) + k * D**gamma_D / N**gamma_N * np.log2(group_size) ** gamma_G


def rated(N, D, h_lr, h_batch, lr_0, p, q, batch_0, s, lean, skew, peak_lr, batch, **plain):
    u = np.log(peak_lr / lr_0) + p * np.log(N / 1e9) - q * np.log(D / 1e11)
    z = skew * u
    tilt = np.where(np.abs(z) < 1e-3, 1 + z / 3 + z**2 / 12, 2 * (np.exp(z) - 1 - z) / np.where(z == 0, 1, z) ** 2)
    off = np.log(batch / batch_0) - s * np.log(D / 1e11) - lean * u
    return additive(N, D, **plain) + h_lr * u**2 * tilt + h_batch * off**2


def bits(N, D, gamma_w, gamma_a, gamma_kv, precision_w, precision_a, precision_kv, **plain):
    kept = [(precision_w, gamma_w), (precision_a, gamma_a), (precision_kv, gamma_kv)]
    return additive(N * np.prod([1 - np.exp(-held / gamma) for held, gamma in kept]), D, **plain)


def rounded(N, D, gamma_w, C_T, gamma_D, gamma_N, gamma_post, C_w, precision_w, precision_post, **plain):
    useful = N * (1 - np.exp(-precision_w / gamma_w))
    lost = np.exp(-precision_post / gamma_post) * (1 - np.exp(-C_w * (precision_w - precision_post)))
    return additive(useful, D, **plain) + C_T * D**gamma_D / useful**gamma_N * lost


def mixed(N, D, T, gamma1, gamma2, c2, r1, r2, a2=1, b2=1, gamma_A=0, gamma_B=0, **plain):
    plain["A"], plain["B"] = plain["A"] * (r1 + a2 * r2) ** gamma_A, plain["B"] * (r1 + b2 * r2) ** gamma_B
    return additive(N, D, **plain) + T / (r1**gamma1 + c2 * r2**gamma2)


MIXED = {**PLAIN, "T": 0.4, "gamma1": 0.5, "gamma2": 0.8, "c2": 1.5}
#: the formula of each law, constants, what is held, and the share of the parameters that is paid
LAWS = {
    "chinchilla": (additive, PLAIN, {}, 1),
    "over-training": (
        lambda N, D, E, a, b, eta: E + (a * (D / N) ** eta + b * (N / D) ** eta) * (6 * N * D) ** -eta,
        {"E": 1.8366, "a": 212.2, "b": 366.7, "eta": 0.13643}, {}, 1,
    ),
    "kaplan-floor": (
        lambda N, D, E, A, B, alpha, beta: E + ((A / N) ** (alpha / beta) + B / D) ** beta,
        {"E": 1.967, "A": 6.68e7, "B": 8.9e8, "alpha": 0.413, "beta": 0.456}, {}, 1,
    ),
    "kaplan": (
        lambda N, D, N_c, D_c, alpha_N, alpha_D: ((N_c / N) ** (alpha_N / alpha_D) + D_c / D) ** alpha_D,
        {"N_c": 6.4e13, "D_c": 1.8e13, "alpha_N": 0.076, "alpha_D": 0.103}, {}, 1,
    ),
    "skaling": (
        lambda N, D, E, A, B, alpha, beta, k: E + A * (N ** (-alpha / k) + (B / D**beta) ** (1 / k)) ** k,
        {"E": 1.7, "A": 30.0, "B": 2.0, "alpha": 0.2, "beta": 0.22, "k": 0.6}, {}, 1,
    ),
    "farseer": (
        farseer,
        {"E": 2.2, "B": 300.0, "e": -0.05, "gamma": -0.1, "b": -0.1, "beta": -0.02, "h": 0.28, "a": -0.02,
         "alpha": 0.01}, {}, 1,
    ),
    "data-constrained": (
        repeated,
        {"E": 1.87, "A": 521.0, "alpha": 0.35, "beta": 0.36, "N_opt": 5e8, "R_D": 15.4, "R_N": 5.3}, {"U": 25e9}, 1,
    ),
    "moe": (
        lambda N, D, c, a, b, g, alpha, beta, gamma, granularity: (
            c + (g / granularity**gamma + a) / N**alpha + b / D**beta
        ),
        {"c": 0.47, "a": 18.1, "b": 30.8, "g": 2.1, "alpha": 0.115, "beta": 0.147, "gamma": 0.58},
        {"granularity": 16.0}, 0.125,
    ),
    "sparsity": (
        idle,
        {"e": 1.7, "a": 400.0, "b": 410.0, "c": 0.01, "d": 2.0, "alpha": 0.34, "beta": 0.28, "lam": 0.3, "delta": 0.4,
         "gamma": 0.2}, {"sparsity": 0.875}, 0.125,
    ),
    "continual-ratio": (
        lambda N, D, C, eta, gamma, shift, domain_share, **plain: (
            additive(N, D, **{**plain, "B": plain["B"] * domain_share**eta}) + C / (domain_share + shift) ** gamma
        ),
        {**PLAIN, "C": 0.2, "eta": 0.4, "gamma": 0.5, "shift": 0.1}, {"domain_share": 0.3}, 1,
    ),
    "distillation": (
        student,
        {"K": 363.0, "B": 10.78, "alpha": 0.321, "beta": 0.637, "gamma": 0.764, "c0": 2.549, "c1": 5.0, "d1": 1.315,
         "f1": 0.09}, {"loss_teacher": 2.0, "loss_supervised": 2.3}, 1,
    ),
    "expert-count": (
        experts_of, {**PLAIN, "delta": -0.1, "omega": 0.05, "gamma": 0.01, "zeta": -0.004}, {"experts": 8.0}, 1,
    ),
    "quantized-training": (
        few_bits, {**PLAIN, "k": 0.16, "gamma_N": 0.22, "gamma_D": 0.08, "gamma_G": 0.8}, {"group_size": 128.0}, 1,
    ),
    "lr-batch-surface": (
        rated,
        {**ADDITIVE, "h_lr": 0.02, "h_batch": 0.01, "lr_0": 1e-3, "p": 0.4, "q": 0.1, "batch_0": 1e6, "s": 0.5,
         "lean": 0.3, "skew": 0.4}, {"peak_lr": 1e-3, "batch": 1e6}, 1,
    ),
    "precision": (
        bits, {**ADDITIVE, "gamma_w": 2.7, "gamma_a": 2.2, "gamma_kv": 0.96},
        {"precision_w": 4.0, "precision_a": 6.0, "precision_kv": 8.0}, 1,
    ),
    "precision:parts=weights,post=yes": (
        rounded,
        {**ADDITIVE, "gamma_w": 2.0, "C_T": 0.08, "gamma_D": 0.5, "gamma_N": 0.54, "gamma_post": 0.7, "C_w": 0.5},
        {"precision_w": 8.0, "precision_post": 3.0}, 1,
    ),
    "mixture-scale": (mixed, MIXED, {"r1": 0.3, "r2": 0.7}, 1),
    "mixture-scale:form=joint": (
        mixed, {**MIXED, "a2": 1.4, "b2": 0.6, "gamma_A": 0.5, "gamma_B": 0.8}, {"r1": 0.3, "r2": 0.7}, 1,
    ),
    "width-depth": (
        lambda N, D, E, A_w, A_d, A_N, A_D, alpha_w, alpha_d, alpha_N, alpha_D, d_model, n_layer: (
            E + A_w / d_model**alpha_w + A_d / n_layer**alpha_d + A_N / N**alpha_N + A_D / D**alpha_D
        ),
        {"E": 1.5, "A_w": 4.5, "A_d": 0.9, "A_N": 500.0, "A_D": 3e4, "alpha_w": 0.3, "alpha_d": 0.4, "alpha_N": 0.4,
         "alpha_D": 0.5}, {"d_model": 1024.0, "n_layer": 24.0}, 1,
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def exact():
    """A fit without noise, whose law and constants the tests exchange."""
    N, D = np.repeat([1e8, 1e9, 1e10], 3), np.tile([1e9, 1e10, 1e11], 3)
    return sf.fit(pd.DataFrame({"N": N, "D": D, "loss": additive(N, D, **PLAIN)}), "chinchilla")


class Case:
    """A law with its constants, as the package knows it and as it is written above."""

    def __init__(self, exact, name):
        written, self.constants, self.held, self.share = LAWS[name]
        self.law = find_law(name)
        points = {variable: exact.points.variables.get(variable, (1.0,) * 9) for variable in self.law.variables}
        ordered = {name: self.constants[name] for name in self.law.parameters}
        points = replace(exact.points, variables={**points, self.size: exact.points.variables["N"]})
        self.fit = replace(exact, law=self.law, parameters=ordered, points=points, without={}, ranges={})
        self.loss = lambda N, D: written(N, D, **self.constants, **self.held)

    @property
    def size(self):
        return "N_total" if "N_total" in self.law.variables else "N"

    def plan(self, **targets):
        active = {"active": self.share} if self.size == "N_total" and "sparsity" not in self.held else {}
        return sf.plan(self.fit, **targets, **active, **self.held).table.iloc[0]


@pytest.fixture(params=[name for name in LAWS if name != "width-depth"])  # whose shape gives its size
def case(request, exact):
    with np.errstate(all="ignore"):
        yield Case(exact, request.param)


def lowest(line, low, high, count=1001):
    """Where a line is least between low and high, and how low: dense grids, each around the lowest of the last one."""
    for _ in range(6):
        x = np.linspace(low, high, count)
        y = np.where(np.isfinite(line(x)), line(x), np.inf)
        best = int(np.argmin(y))
        low, high, count = x[max(best - 1, 0)], x[min(best + 1, count - 1)], 101
    return x[best], y[best]


def first_below(line, loss):
    """The logarithm at which a line first falls to a loss, by a dense grid and halvings."""
    x = np.linspace(0, np.log(1e40), 2001)
    below = line(x) <= loss
    low, high = x[np.argmax(below) - 1], x[np.argmax(below)]
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if line(middle) > loss else (low, middle)
    return low


def test_the_best_size_and_data_of_a_budget(case):
    x, least = lowest(lambda x: case.loss(np.exp(x), C / (6 * case.share * np.exp(x))), 0, np.log(C))
    found = case.plan(compute=C)
    assert found[case.size] == pytest.approx(np.exp(x), rel=1e-4)
    assert found["D"] == pytest.approx(C / (6 * case.share * np.exp(x)), rel=1e-4)
    assert found["loss"] == pytest.approx(least, rel=1e-9)


def test_the_valley_within_a_thousandth_of_the_least_loss(case):
    def line(x):
        return case.loss(np.exp(x), C / (6 * case.share * np.exp(x)))

    middle, least = lowest(line, 0, np.log(C))
    x = np.linspace(middle - 8, middle + 8, 32001)
    over = line(x) > 1.001 * least
    found = case.plan(compute=C)
    assert found["flat_low"] == pytest.approx(np.exp(x[:16000][over[:16000]][-1]), rel=1e-3)
    assert found["flat_high"] == pytest.approx(np.exp(x[16001:][over[16001:]][0]), rel=1e-3)


def test_the_least_compute_for_a_loss(case):
    """No size reaches the loss with less than what is planned, and one does with what is planned."""
    _, loss = lowest(lambda x: case.loss(np.exp(x), C / (6 * case.share * np.exp(x))), 0, np.log(C))
    found = case.plan(loss=loss)
    sizes = np.exp(np.linspace(0, 80, 1001))[:, None]
    cheaper = found["C"] * (1 - 1e-4) * np.exp(-np.linspace(0, 40, 81))
    assert case.loss(sizes, cheaper / (6 * case.share * sizes)).min() > loss
    assert case.loss(found[case.size], found["D"]) == pytest.approx(loss, rel=1e-9)
    assert found["C"] == pytest.approx(6 * case.share * found[case.size] * found["D"], rel=1e-9)


@pytest.mark.parametrize("above", [1.002, 2.0])
def test_data_at_a_size_and_size_at_data(case, above):
    for fixed, free in ((case.size, "D"), ("D", case.size)):
        held = SIZE if fixed == case.size else TOKENS
        along = (lambda x: case.loss(SIZE, np.exp(x))) if free == "D" else (lambda x: case.loss(np.exp(x), TOKENS))
        loss = above * lowest(along, 0, np.log(1e40))[1]
        found = case.plan(loss=loss, **{fixed: held})
        assert np.log(found[free]) == pytest.approx(first_below(along, loss), abs=1e-8)


def test_a_loss_below_all_that_a_size_reaches_is_unreachable(case):
    least = lowest(lambda x: case.loss(SIZE, np.exp(x)), 0, np.log(1e250))[1]
    found = case.plan(loss=0.99 * least, **{case.size: SIZE})
    assert found["floor"] == pytest.approx(least, rel=1e-8)


def test_the_floor_of_a_law_that_rises_again_with_compute_is_the_least_loss_of_all(exact):
    one = Case(exact, "lr-batch-surface")
    n, d = np.meshgrid(np.linspace(10, 60, 201), np.linspace(10, 60, 201))
    with np.errstate(all="ignore"):
        losses = one.loss(np.exp(n), np.exp(d))
        start = np.unravel_index(np.nanargmin(losses), losses.shape)
        best = minimize(lambda x: one.loss(*np.exp(x)), (n[start], d[start]), method="Nelder-Mead", tol=1e-12)
        assert one.plan(loss=0.5)["floor"] == pytest.approx(best.fun, rel=1e-9)


def test_the_best_size_with_inference(case):
    """Where serving takes nearly the whole budget."""

    def line(x):
        N = np.exp(x)
        D = (SMALL - 2 * case.share * N * SERVED) / (6 * case.share * N)
        return np.where(D > 0, case.loss(N, np.where(D > 0, D, 1.0)), np.inf)

    x, least = lowest(line, 0, np.log(SMALL))
    found = case.plan(compute=SMALL, inference_tokens=SERVED)
    assert found[case.size] == pytest.approx(np.exp(x), rel=1e-4)
    assert found["loss"] == pytest.approx(least, rel=1e-9)


@pytest.mark.parametrize(("name", "predicts"), [("adamw-timescale", "timescale"), ("optimal-lr-batch", "peak_lr")])
def test_laws_of_something_else_than_a_loss_are_refused(exact, name, predicts):
    law = find_law(name)
    with pytest.raises(sf.InputError, match=f"law {name} predicts {predicts}"):
        sf.plan(replace(exact, law=law, parameters=dict.fromkeys(law.parameters, 0.5)), compute=1e21)


def test_a_shape_that_is_held_holds_the_size(exact):
    """N = 12 n_layer d_model^2, so that a budget and a loss decide the data alone."""
    case = Case(exact, "width-depth")
    size = 12 * 24 * 1024.0**2
    found = case.plan(compute=C)
    assert found["D"] == pytest.approx(C / (6 * size)) and found["loss"] == pytest.approx(case.loss(size, found["D"]))
    assert case.plan(loss=case.loss(size, TOKENS))["D"] == pytest.approx(TOKENS)
