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
