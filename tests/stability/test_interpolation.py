"""What a line over sizes knows of a learning rate that no run of a size had: between neighbours, never beyond them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t as student

from scalefit.stability.lines import Lines

SIZES = np.repeat([64.0, 128.0, 256.0], 3)
RATES = np.tile([1e-3, 4e-3, 1.6e-2], 3)


def law(size, lr):
    return 3 + 2 * np.log(size) - 0.5 * np.log(lr)


def test_between_the_rates_of_a_sweep_a_value_is_interpolated_over_the_logarithm():
    lines = Lines(SIZES, RATES, law(SIZES, RATES), 1)
    assert lines.mean(2.5e-3, 512.0) == pytest.approx(law(512.0, 2.5e-3))
    assert lines.mean(4e-3, 512.0) == pytest.approx(law(512.0, 4e-3))
    uneven = Lines(SIZES, RATES, (RATES == 4e-3) * 3.0, 1)
    assert uneven.mean(4e-3 * 4**-0.25, 64.0) == pytest.approx(0.75 * 3)


@pytest.mark.parametrize("rate", [5e-4, 3.2e-2])
def test_beyond_the_rates_of_a_sweep_nothing_is_known(rate):
    lines = Lines(SIZES, RATES, law(SIZES, RATES), 1)
    assert np.isnan(lines.mean(rate, 512.0))
    assert lines.at(rate) is None


def test_a_gap_in_the_rates_is_not_bridged():
    rates = np.tile([1e-4, 2e-4, 4e-3], 3)  # a factor of twenty between the last two
    lines = Lines(SIZES, rates, law(SIZES, rates), 1)
    assert np.isnan(lines.mean(1e-3, 512.0))
    assert lines.mean(1.5e-4, 512.0) == pytest.approx(law(512.0, 1.5e-4))


def test_the_chance_of_a_new_run_beyond_a_limit_is_that_of_student():
    """From the textbook's standard error of a new observation about a straight line, by scipy."""
    rng = np.random.default_rng(4)
    size = np.repeat([64.0, 128.0, 256.0, 512.0], 4)
    value = 3 + 2 * np.log(size) + 0.3 * rng.standard_normal(16)
    line = Lines(size, np.full(16, 1e-3), value, 1).at(1e-3)
    x, at = np.log(size), np.log(1024.0)
    slope, height = np.polyfit(x, value, 1)
    noise = np.sqrt(np.sum((value - height - slope * x) ** 2) / 14)
    error = noise * np.sqrt(1 + 1 / 16 + (at - x.mean()) ** 2 / np.sum((x - x.mean()) ** 2))
    mean = height + slope * at
    assert line.at(np.array([1024.0])) == (pytest.approx([mean]), pytest.approx([error]))
    assert line.quantile(0.95) == pytest.approx(student.ppf(0.95, 14))
    for limit in (mean - 0.5, mean + 0.2):
        above = student.sf((limit - mean) / error, 14)
        assert line.chance(np.array([1024.0]), limit) == pytest.approx([above])
        assert line.chance(np.array([1024.0]), limit, -1.0) == pytest.approx([1 - above])
