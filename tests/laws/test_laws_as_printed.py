"""Each law against its printed formula, written once more in plain numbers, at places drawn at random.

For laws of which no source gives a value to check, nothing else would notice a sign.
"""

from __future__ import annotations

from math import exp, factorial, log, log2, prod

import commands
import numpy as np
import pytest

from scalefit.laws import find_law
from scalefit.laws.lr_batch_surface import _tilt


def z(N, p):
    """((N / 1e9)^p - 1) / p."""
    return ((N / 1e9) ** p - 1) / p


def eh(experts, E_start, E_max):
    return 1 / (1 / (experts - 1 + 1 / (1 / E_start - 1 / E_max)) + 1 / E_max)


def batch_surface(v):
    u = log(v["peak_lr"] / (v["lr_0"] * (v["N"] / 1e9) ** -v["p"] * (v["D"] / 1e11) ** v["q"]))
    w = log(v["batch"] / (v["batch_0"] * (v["D"] / 1e11) ** v["s"]))
    x = v["skew"] * u
    tilt = 2 * (exp(x) - 1 - x) / x**2
    walls = v["h_lr"] * u**2 * tilt + v["h_batch"] * (w - v["lean"] * u) ** 2
    return v["E"] + v["A"] * v["N"] ** -v["alpha"] + v["B"] * v["D"] ** -v["beta"] + walls


def precise(v, bits):
    useful = v["N"] * prod(1 - exp(-v[part] / v[gamma]) for part, gamma in bits)
    return v["E"] + v["A"] * useful ** -v["alpha"] + v["B"] * v["D"] ** -v["beta"]


def beta_binomial(v):
    """1 - the product of (p_b + i) / (p_a + p_b + i) over the samples."""
    return 1 - prod((v["p_b"] + i) / (v["p_a"] + v["p_b"] + i) for i in range(int(v["samples"])))


BITS = [("precision_w", "gamma_w"), ("precision_a", "gamma_a"), ("precision_kv", "gamma_kv")]
PRINTED = {
    "adamw-timescale": lambda v: v["K"] * (v["D"] / v["N"]) ** -v["m"],
    "annealing-transfer": lambda v: v["L0"] + v["A"] * v["R1"] ** -v["alpha"] + v["C"] * v["R2"],
    "bleu": lambda v: v["c"] * v["loss"] ** -v["p"],
    "bleu:saturates=yes": lambda v: v["c"] * max(v["loss"], v["L_sat"]) ** -v["p"],
    "continual": lambda v: (
        v["L0"]
        + v["A"] * (v["S1"] + v["S1_cpt"]) ** -v["alpha"]
        - v["C1"] * v["S2"]
        - v["C2"] * v["S2_cpt"]
        + v["B"] * (1 - (1 + v["E"] * v["S1_cpt"]) ** -v["beta"])
    ),
    "continual-ratio": lambda v: (
        v["E"]
        + v["A"] * v["N"] ** -v["alpha"]
        + v["B"] * v["domain_share"] ** v["eta"] * v["D"] ** -v["beta"]
        + v["C"] * (v["domain_share"] + v["shift"]) ** -v["gamma"]
    ),
    "downstream-error": lambda v: v["eps"] - v["k"] * exp(-v["gamma"] * v["loss"]),
    "encoder-decoder": lambda v: (
        v["L_inf"] + v["A"] * (1e8 / v["N_enc"]) ** v["p_enc"] * (1e8 / v["N_dec"]) ** v["p_dec"]
    ),
    "expert-count": lambda v: (
        v["E"]
        + v["A"] * v["experts"] ** v["delta"] * v["N"] ** (-v["alpha"] + v["gamma"] * log(v["experts"]))
        + v["B"] * v["experts"] ** v["omega"] * v["D"] ** (-v["beta"] + v["zeta"] * log(v["experts"]))
    ),
    "farseer": lambda v: (
        v["E"] * exp(v["e"] * z(v["N"], v["gamma"]))
        + v["B"] * exp(v["b"] * z(v["N"], v["beta"])) * v["D"] ** -(v["h"] * exp(v["a"] * z(v["N"], v["alpha"])))
    ),
    "fine-tuning": lambda v: v["E"] + v["B"] / (v["D_l"] + v["examples"] ** v["beta"]),
    "fine-tuning-joint": lambda v: v["E"] + v["A"] * v["x"] ** -v["alpha"] * v["examples"] ** -v["beta"],
    "loss-to-loss": lambda v: v["E1"] + v["K"] * (v["loss_source"] - v["E0"]) ** v["kappa"],
    "lr-batch-surface": batch_surface,
    "mixing-domains": lambda v: v["domain_share"] ** -v["alpha"] * (v["C"] + v["B"] * v["D"] ** -v["beta"]),
    "mixture:domains=2": lambda v: (
        v["c"]
        + v["k"] * exp(v["t1"] * v["r1"] + v["t2"] * v["r2"])
        + v["k2"] * exp(v["t2_1"] * v["r1"] + v["t2_2"] * v["r2"])
    ),
    "mutual-information": lambda v: v["lam"] * log(v["N"] / v["N_c"]),
    "observational": lambda v: (
        v["floor"] + (v["top"] - v["floor"]) / (1 + exp(-v["w"] * (v["capability"] - v["middle"])))
    ),
    "one-epoch": lambda v: v["c"] + v["a"] * v["step"] ** -v["b"],
    "parallel": lambda v: v["E"] + v["A"] / (v["N"] * (v["k"] * log(v["streams"]) + 1)) ** v["alpha"],
    "precision": lambda v: precise(v, BITS),
    "precision:parts=weights": lambda v: precise(v, BITS[:1]),
    "quantized-training": lambda v: (
        v["E"]
        + v["A"] * v["N"] ** -v["alpha"]
        + v["B"] * v["D"] ** -v["beta"]
        + v["k"] * v["N"] ** -v["gamma_N"] * v["D"] ** v["gamma_D"] * log2(v["group_size"]) ** v["gamma_G"]
    ),
    "reinforcement": lambda v: v["R0"] + (v["A"] - v["R0"]) / (1 + (v["C_mid"] / v["C"]) ** v["B"]),
    "repeated-sampling": lambda v: exp(-v["A"] * v["samples"] ** -v["b"]),
    "repeated-sampling:form=beta": beta_binomial,
    "routed": lambda v: (
        v["K"]
        * (v["N"] / 1e8) ** -v["a"]
        * eh(v["experts"], v["E_start"], v["E_max"]) ** -(v["b"] - v["c"] * log(v["N"] / 1e8))
    ),
    "skaling": lambda v: (
        v["E"] + v["A"] * (v["N"] ** (-v["alpha"] / v["k"]) + (v["B"] * v["D"] ** -v["beta"]) ** (1 / v["k"])) ** v["k"]
    ),
    "sparsity": lambda v: (
        v["e"]
        + v["a"] * v["N_total"] ** -v["alpha"]
        + v["b"] * v["D"] ** -v["beta"]
        + v["c"] * (1 - v["sparsity"]) ** -v["lam"]
        + v["d"] * (1 - v["sparsity"]) ** -v["delta"] * v["N_total"] ** -v["gamma"]
    ),
    "task-ladder": lambda v: v["b"] - v["a"] / (1 + exp(-v["k"] * (v["loss"] - v["L_mid"]))),
    "vocabulary": lambda v: (
        -v["E"]
        + v["A1"] * v["N"] ** -v["alpha1"]
        + v["A2"] * v["N_vocab"] ** -v["alpha2"]
        + v["B"] * v["D"] ** -v["alpha1"]
    ),
    "vocabulary:tie=no": lambda v: (
        -v["E"]
        + v["A1"] * v["N"] ** -v["alpha1"]
        + v["A2"] * v["N_vocab"] ** -v["alpha2"]
        + v["B"] * v["D"] ** -v["beta"]
    ),
}
#: numbers of which a formula takes only some
WITHIN = {
    **{"sparsity": (0.1, 0.9), "domain_share": (0.1, 0.9), "r1": (0.1, 0.5), "r2": (0.1, 0.5)},
    **{"E_start": (1.2, 3.0), "E_max": (50.0, 90.0), "loss_source": (4.0, 6.0), "E0": (1.0, 2.0)},
    **{"N": (0.5e9, 3e9), "D": (0.5e11, 3e11), "peak_lr": (1e-3, 1e-2), "lr_0": (1e-3, 1e-2), "C": (1.0, 9.0)},
    **{"N_c": (1e7, 1e8), "N_enc": (1e7, 1e8), "N_dec": (1e7, 1e8), "N_vocab": (1e6, 1e7), "N_total": (1e6, 1e7)},
}
LARGE = {"experts", "streams", "group_size", "samples", "batch", "batch_0", "examples", "step"}


def drawn(law, seed):
    rng = np.random.default_rng(seed)
    found = {}
    for name in (*law.variables, *law.parameters):
        low, high = WITHIN.get(name, (2.0, 30.0) if name in LARGE else (0.2, 1.5))
        found[name] = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    return {name: float(round(value)) if name == "samples" else value for name, value in found.items()}


@commands.cases("spec", PRINTED)
def test_a_law_is_its_printed_formula(spec):
    law = find_law(spec)
    for seed in range(3):
        at = drawn(law, seed)
        variables = {name: np.array([at[name]]) for name in law.variables}
        made = law.evaluate(variables, {name: at[name] for name in law.parameters})
        assert float(np.ravel(made)[0]) == pytest.approx(PRINTED[spec](at), rel=1e-9), at


@pytest.mark.parametrize("z", [-0.5, -0.0101, -0.0099, -1e-6, 0.0, 1e-6, 0.0099, 0.0101, 0.5])
def test_the_tilt_of_a_wall_is_smooth_at_its_bottom(z):
    """2 (e^z - 1 - z) / z^2 = 2 sum_k z^k / (k + 2)!, as a value and as a complex step."""
    wanted = 2 * sum(z**k / factorial(k + 2) for k in range(20))
    slope = 2 * sum(k * z ** (k - 1) / factorial(k + 2) for k in range(1, 20))
    assert float(_tilt(np.array(z))) == pytest.approx(wanted, rel=1e-11)
    assert float(np.imag(_tilt(np.array(z + 1e-30j)))) / 1e-30 == pytest.approx(slope, rel=1e-8)
