"""Which runs the laws of shares, groups, experts and timescales read, and which they refuse by name."""

import numpy as np
import pandas as pd
import pytest

import scalefit as sf

GRID = [x.ravel() for x in np.meshgrid([1e8, 5e8, 2e9], [2e9, 1e10, 6e10], [0.06, 0.2, 0.5, 0.9], indexing="ij")]
N, D, SHARE = GRID
TABLES = {
    "continual-ratio": {"domain_share": SHARE, "loss": 1.5 + 300 * N**-0.35 + 0.1 * (SHARE + 0.02) ** -0.5 + D**-0.1},
    "mixing-domains": {"domain_share": SHARE, "loss": SHARE**-0.05 * (1.5 + 20 * D**-0.2)},
    "quantized-training": {"group_size": 640 * SHARE, "loss": 1.5 + 300 * N**-0.35 + 20 * D**-0.2},
    "expert-count": {"experts": np.rint(60 * SHARE), "loss": 1.5 + 300 * N**-0.35 + 20 * D**-0.2},
    "adamw-timescale": {"timescale": 0.8 * (D / N) ** -0.5},
    "observational": {"capability": 5 * SHARE, "accuracy": 0.2 + 0.6 / (1 + np.exp(-2 * (5 * SHARE - 2)))},
}


@pytest.mark.parametrize("law", TABLES)
def test_a_law_is_refused_by_the_column_that_is_missing(law):
    own = next(iter(TABLES[law]))
    table = pd.DataFrame({"N": N, "D": D, "loss": 1.5 + 300 * N**-0.35 + 20 * D**-0.2})
    with pytest.raises(sf.InputError, match=own):
        sf.fit(table, law)


@pytest.mark.parametrize(
    ("law", "column"),
    [("continual-ratio", "domain_share"), ("mixing-domains", "domain_share"), ("observational", None)],
)
def test_percentages_are_refused(law, column):
    table = pd.DataFrame({"N": N, "D": D, **TABLES[law]})
    table[column or "accuracy"] *= 100
    with pytest.raises(sf.InputError, match="by 100"):
        sf.fit(table, law)


def test_one_number_is_no_group():
    table = pd.DataFrame({"N": N, "D": D, **TABLES["quantized-training"]})
    table.loc[0, "group_size"] = 1
    with pytest.raises(sf.InputError, match="group size of 1 is no group"):
        sf.fit(table, "quantized-training")


def test_the_timescale_of_weight_decay_is_found():
    found = sf.fit(pd.DataFrame({"N": N, "D": D, **TABLES["adamw-timescale"]}), "adamw-timescale")
    assert (found["K"], found["m"]) == pytest.approx((0.8, 0.5), rel=1e-8)


def test_experts_that_saturate_by_hand():
    """arXiv:2502.05172 with saturation: 8 experts between 2 and 100 count for 1/(1/(7 + 1/(1/2 - 1/100)) + 1/100)."""
    law = sf.find_law("expert-count:saturates=yes")
    own = {"E": 1.7, "A": 300.0, "B": 400.0, "alpha": 0.34, "beta": 0.28, "delta": -0.1, "omega": 0.05}
    own |= {"gamma": 0.004, "zeta": -0.003, "E_start": 2.0, "E_max": 100.0}
    useful = 1 / (1 / (7 + 1 / 0.49) + 0.01)
    log = np.log(useful)
    loss = 1.7 + 300 * useful**-0.1 * 1e8 ** (0.004 * log - 0.34) + 400 * useful**0.05 * 1e10 ** (-0.003 * log - 0.28)
    assert float(law.evaluate({"N": 1e8, "D": 1e10, "experts": 8.0}, own)) == pytest.approx(loss, rel=1e-12)
