"""Where a law becomes a simpler one, it has that one's value: one row a limit, each against a formula written here."""

from __future__ import annotations

import numpy as np

from scalefit.laws import find_law
from scalefit.laws.data_constrained import held_base

BASE = {"E": 1.7, "A": 410.0, "B": 390.0, "alpha": 0.34, "beta": 0.28}
N, D = np.array([1e7, 3e8, 2e9]), np.array([5e11, 4e9, 6e10])
S1, GAPS = np.array([0.5, 3.0, 20.0]), {name: np.zeros((3, 2)) for name in ("gap", "gap_area")}
BITS = {"precision_w": 3.0, "precision_a": 3.2, "precision_kv": 0.9}
GAMMAS = {f"gamma_{part}": 2.0 for part in ("w", "a", "kv")}


def additive(N, D, E=1.7, A=410.0, B=390.0, alpha=0.34, beta=0.28):
    return E + A / N**alpha + B / D**beta


def along(x, L0=1.5, A=0.9, alpha=0.4):
    return L0 + A / x**alpha


HELD = held_base(BASE)
ALONG = {"L0": 1.5, "A": 0.9, "alpha": 0.4}
ROUNDED = {"C_T": 0.05, "gamma_D": 0.5, "gamma_N": 0.5, "gamma_post": 0.5, "C_w": 1.0, "C_a": 1.0, "C_kv": 1.0}
ROUTED = {"K": 2.8, "a": 0.085, "b": 0.04, "c": 0.0, "E_start": 1.0, "E_max": 300.0}
ENOUGH, MANY = 1e4, 1e12
#: what becomes simple -> the law, its variables, its constants, and the values of the simpler law
LIMITS = {
    "data that are seen once": (
        "data-constrained", {"N": N, "D": D, "U": D}, {**HELD, "N_opt": MANY, "R_D": 15.4, "R_N": 5.3},
        additive(N, D, B=0.34 / 0.28 * 410.0 * MANY**-0.34 * 1e10**0.28)),
    "more unique data than are seen": (
        "data-constrained", {"N": N[:1], "D": D[:1], "U": 9 * D[:1]}, {**HELD, "R_D": 15.4, "R_N": 5.3},
        additive(N[:1], D[:1])),
    "repeats as good as new": (
        "data-constrained", {"N": N, "D": D, "U": D / 4}, {**HELD, "R_D": MANY, "R_N": MANY}, additive(N, D)),
    "repeats worth nothing": (
        "data-constrained", {"N": N, "D": D, "U": D / 4}, {**HELD, "R_D": 1e-9, "R_N": MANY}, additive(N, D / 4)),
    "unique data without end": (
        "overfitting", {"N": N, "D": D, "U": np.full(3, 1e300)},
        {"E": 1.7, "L_0": 1.7 + 1e10, "N_0": (410.0 / 1e10) ** (1 / 0.34), "D_0": (390.0 / 1e10) ** (1 / 0.28),
         "U_1": 1e-30, "alpha": 0.34, "beta": 0.28, "gamma": 0.5, "delta": 1.0}, additive(N, D)),
    "one expert": (
        "expert-count", {"N": N, "D": D, "experts": np.ones(3)},
        BASE | {"delta": 0.3, "omega": -0.2, "gamma": 0.01, "zeta": 0.02}, additive(N, D)),
    "one routed expert": ("routed", {"N": N, "experts": np.ones(3)}, ROUTED, 2.8 * (N / 1e8) ** -0.085),
    "experts without end": (
        "routed", {"N": N, "experts": np.full(3, 1e12)}, ROUTED, 2.8 * (N / 1e8) ** -0.085 * 300**-0.04),
    "no sparsity": (
        "sparsity", {"N_total": N, "D": D, "sparsity": np.zeros(3)},
        {"e": 1.3, "a": 410.0, "b": 390.0, "c": 0.4, "d": 20.0, "alpha": 0.34, "beta": 0.28, "lam": -0.2, "delta": 0.1,
         "gamma": 0.16}, additive(N, D) + 20.0 * N**-0.16),
    "one stream": (
        "parallel", {"N": N, "streams": np.ones(3)}, {"E": 1.7, "A": 410.0, "alpha": 0.34, "k": 0.4},
        1.7 + 410.0 / N**0.34),
    "many bits": ("precision", {"N": N, "D": D, **dict.fromkeys(BITS, ENOUGH)}, BASE | GAMMAS, additive(N, D)),
    "bits that cost nothing": (
        "precision", {"N": N, "D": D, **BITS}, BASE | dict.fromkeys(GAMMAS, 1e-4), additive(N, D)),
    "many bits after training": (
        "precision:post=yes", {"N": N, "D": D, **dict.fromkeys([*BITS, "precision_post"], ENOUGH)},
        BASE | GAMMAS | ROUNDED, additive(N, D)),
    "groups of two": (
        "quantized-training", {"N": N, "D": D, "group_size": np.full(3, 2.0)},
        BASE | {"k": 0.2, "gamma_N": 0.2, "gamma_D": 0.1, "gamma_G": 0.9}, additive(N, D) + 0.2 * N**-0.2 * D**0.1),
    "terms that add up": (
        "skaling", {"N": N, "D": D}, {**BASE, "B": 390.0 / 410.0, "k": 1.0}, additive(N, D)),
    "terms as nested as can be": (
        "skaling", {"N": N, "D": D}, {**BASE, "B": 360.0, "k": 0.28},
        1.7 + ((410.0 ** (1 / 0.34) / N) ** (0.34 / 0.28) + 410.0 ** (1 / 0.28) * 360.0 ** (1 / 0.28) / D) ** 0.28),
    "one exponent": (
        "over-training", {"N": N, "D": D}, {"E": 1.7, "a": 410.0 * 6**0.15, "b": 390.0 * 6**0.15, "eta": 0.15},
        additive(N, D, alpha=0.3, beta=0.3)),
    "no floor": (
        "kaplan-floor", {"N": N, "D": D}, {"E": 0.0, "A": 6.4e13, "B": 1.8e13, "alpha": 0.076, "beta": 0.103},
        ((6.4e13 / N) ** (0.076 / 0.103) + 1.8e13 / D) ** 0.103),
    "no bend": (
        "broken:over=N", {"x": N}, {"a": 1.7, "b": 410.0, "c0": 0.34, "c1": 0.0, "d1": 1e8, "f1": 0.5},
        1.7 + 410.0 / N**0.34),
    "a constant learning rate": (
        "annealing", {"S1": S1, "S2": np.zeros(3)}, ALONG | {"C": 0.7}, along(S1)),
    "a constant learning rate, many powers": (
        "multi-power", {"S1": S1, "gap_lr": np.ones((3, 2)), **GAPS},
        ALONG | {"B": 300.0, "C": 2.0, "beta": 0.6, "gamma": 0.6}, along(S1)),
    "a constant learning rate, functional": (
        "functional", {"S1": S1, "gap_lr": np.ones((3, 2)), **GAPS},
        {"L0": 1.5, "c1": 0.9, "c2": 0.3, "c3": 1.0, "c4": 2.0, "s": 0.4, "gamma": 0.5}, along(S1)),
    "no second stage": (
        "continual", {"S1": S1, "S2": S1 / 9, "S1_cpt": np.zeros(3), "S2_cpt": np.zeros(3)},
        ALONG | {"C1": 0.7, "C2": 0.3, "B": 0.5, "E": 2.0, "beta": 0.5}, along(S1) - 0.7 * S1 / 9),
    "an endless batch": (
        "trajectory", {"N": N, "step": np.full(3, 1e4), "batch": np.full(3, 1e30)},
        {"N_c": 6.5e13, "S_c": 2.1e3, "B_star": 2.1e8, "alpha_N": 0.077, "alpha_S": 0.76, "alpha_B": 0.21},
        (6.5e13 / N) ** 0.077 + (2.1e3 / 1e4) ** 0.76),
}  # fmt: skip


def test_laws_have_the_value_of_the_law_that_they_become():
    wrong = {}
    for name, (spec, variables, constants, expected) in LIMITS.items():
        law = find_law(spec)
        assert set(variables) == set(law.variables) and set(constants) == set(law.parameters), name
        found = np.asarray(law.evaluate(variables, constants)) + np.zeros_like(expected)
        if not np.allclose(found, expected, rtol=1e-8, atol=0):
            wrong[name] = (found, expected)
    assert not wrong
