"""The change of a mean by one more example: against single losses of a regression, and its second-order bound."""

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.diagnosis.identifiable import identify
from scalefit.errors import IdentificationError
from scalefit.laws.sample_size import enough

SIZES = np.unique(np.geomspace(20, 1500, 15).astype(int))


def regression(rng, count=2000, width=3):
    """Examples of a linear regression, and the parameters that are best for all of them."""
    x = rng.standard_normal((count, width))
    y = x @ np.arange(1.0, width + 1) + rng.standard_normal(count)
    return x, y, np.linalg.lstsq(x, y, rcond=None)[0]


def changes(losses, rng, orders=20):
    """The mean absolute change of the mean loss from k to k + 1 examples, over orders of them and the one added,
    (SIZES,)."""
    found = np.zeros(len(SIZES))
    for _ in range(orders):
        drawn = rng.permutation(losses)
        mean = np.cumsum(drawn) / np.arange(1, len(drawn) + 1)
        for i, k in enumerate(SIZES):
            ahead = (k * mean[k - 1] + drawn[k:]) / (k + 1)  # L_(k+1), whichever of the rest is the next
            found[i] += np.mean(np.abs(ahead - mean[k - 1])) / orders
    return found


def test_the_scatter_of_single_losses_is_found_from_the_changes_of_their_mean():
    rng = np.random.default_rng(0)
    x, y, best = regression(rng)
    losses = 0.5 * (y - x @ best) ** 2
    table = pd.DataFrame({"examples": SIZES, "loss_change": changes(losses, rng)})
    found = sf.fit(table, "sample-size")
    scatter = np.mean(np.abs(losses - losses.mean()))
    assert found["s"] == pytest.approx(scatter, rel=0.03)
    k = enough(1e-3, found["s"])
    assert scatter / (k + 1) == pytest.approx(1e-3, rel=0.03)


def test_away_from_the_best_parameters_the_second_order_bound_holds():
    """A linear regression is quadratic, so that the bound is exact: norms of Hessians and distances decide."""
    rng = np.random.default_rng(1)
    x, y, best = regression(rng)
    scatter = np.mean(np.abs((own := 0.5 * (y - x @ best) ** 2) - own.mean()))
    hessians = np.einsum("ni,nj->nij", x, x)
    spread = np.mean(np.linalg.norm(hessians - hessians.mean(axis=0), ord=2, axis=(1, 2))) / 2
    first = np.mean(np.linalg.norm(x * (y - x @ best)[:, None], axis=1))
    rows = []
    for distance in (0.0, 0.5, 1.0, 2.0, 4.0):
        moved = rng.standard_normal(x.shape[1])
        losses = 0.5 * (y - x @ (best + distance * moved / np.linalg.norm(moved))) ** 2
        seen = changes(losses, rng)
        bound = (scatter + first * distance + spread * distance**2) / (SIZES + 1)
        assert (seen <= 1.05 * bound).all()  # the gradients of single examples are not zero at the best parameters
        rows.append(pd.DataFrame({"examples": SIZES, "distance": distance, "loss_change": seen}))
    found = sf.fit(pd.concat(rows), "sample-size:away=yes")
    assert 0 < found["h"] < spread
    assert enough(1e-3, found["s"], found["h"], distance=4.0) > 5 * enough(1e-3, found["s"])


def test_it_is_proposed_for_changes_and_refused_by_name_elsewhere():
    table = pd.DataFrame({"examples": SIZES, "loss_change": 0.8 / (SIZES + 1.0)})
    able = {one.law: one for one in identify(sf.read_runs(table, need=()), "loss_change")}
    assert able["sample-size"].can
    with pytest.raises(sf.InputError, match="examples"):
        sf.fit(table.drop(columns="examples").assign(D=1e9), "sample-size")
    with pytest.raises(sf.InputError, match="distance"):
        sf.fit(table, "sample-size:away=yes")
    with pytest.raises(IdentificationError, match="examples and distance move together"):
        sf.fit(table.assign(distance=SIZES**-0.5), "sample-size:away=yes")
