"""Coverage against samples: unbiased counts, the two forms, planted truth."""

import math
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.laws import find_law
from scalefit.laws.repeated_sampling import pass_at_k


@pytest.mark.parametrize(("c", "n"), [(0, 6), (1, 6), (3, 6), (5, 6), (6, 6)])
def test_pass_at_k_counts_the_sets_with_a_correct_sample(c, n):
    outcome = [True] * c + [False] * (n - c)
    for k in range(1, n + 1):
        sets = list(combinations(outcome, k))
        expected = sum(any(chosen) for chosen in sets) / len(sets)
        assert float(pass_at_k(c, n, k)) == pytest.approx(expected, abs=1e-12)


def test_pass_at_k_of_ten_thousand_samples_is_finite():
    assert float(pass_at_k(1, 10_000, 100)) == pytest.approx(0.01, rel=1e-9)
    with pytest.raises(sf.InputError, match="k lies outside 1 to the number of samples"):
        pass_at_k([2, 3], [10, 10], 11)
    for correct, k in (([2, 3], [1, 0]), ([2, 11], 1), ([2, -1], 1), ([2, 3], [10, 11])):
        with pytest.raises(sf.InputError, match="k lies outside 1 to the number of samples"):
            pass_at_k(correct, [10, 10], k)
    assert pass_at_k([0, 10], [10, 10], [1, 10]).tolist() == [[0, 0], [1, 1]]


@pytest.mark.parametrize("k", [1, 2, 7, 300, 10_000])
def test_the_beta_form_is_the_mean_over_a_beta_distribution(k):
    law, a, b = find_law("repeated-sampling:form=beta"), 0.4, 3.0
    expected = 1 - math.exp(
        math.lgamma(a + b) - math.lgamma(b) + math.lgamma(b + k) - math.lgamma(a + b + k)
    )  # 1 - B(a, b + k)/B(a, b)
    assert float(law.evaluate({"samples": float(k)}, {"p_a": a, "p_b": b})) == pytest.approx(expected, rel=1e-9)
    if k == 1:
        assert expected == pytest.approx(a / (a + b))


def test_counts_of_planted_chances_give_their_distribution_back():
    """2,000 tasks of chance p ~ Beta(.4, 3), 1,000 samples each: the beta form finds them and 10,000 samples."""
    rng = np.random.default_rng(5)
    p = rng.beta(0.4, 3.0, 2000)
    ks = np.array([1, 2, 4, 8, 16, 32, 64, 128, 256])
    coverage = pass_at_k(rng.binomial(1000, p), 1000, ks).mean(axis=0)
    found = sf.fit(pd.DataFrame({"samples": ks, "coverage": coverage}), "repeated-sampling:form=beta")
    assert found.status == "converged"
    assert (found["p_a"], found["p_b"]) == pytest.approx((0.4, 3.0), rel=0.15)
    asked = float(found.predict(samples=10_000)["coverage"].iloc[0])
    assert asked == pytest.approx(1 - np.mean((1 - p) ** 10_000), abs=0.01)


def test_percentages_are_no_coverage():
    with pytest.raises(sf.InputError, match=r"coverage of 12 is no share of tasks.*divide percentages by 100"):
        sf.fit(pd.DataFrame({"samples": [1, 2, 4, 8, 16], "coverage": [12, 20, 31, 40, 52]}), "repeated-sampling")
