"""What a line over sizes knows of a learning rate that no run of a size had: between neighbours, never beyond them."""

from __future__ import annotations

import numpy as np
import pytest

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
