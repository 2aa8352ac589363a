"""Lines of probes over size: fits and intervals against SciPy's regression, scatter and interpolation by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from scalefit.stability.lines import Lines, Scatter, _noise
from scalefit.stability.probes import probes

SIZE = np.array([1e6, 1e6, 1e7, 1e7, 1e8, 1e8])


def lines(value, size=SIZE, lr=0.01, degree=1):
    size, value = np.asarray(size, dtype=float), np.asarray(value, dtype=float)
    return Lines(size, np.broadcast_to(np.asarray(lr, dtype=float), size.shape).copy(), value, degree)


def test_a_line_and_its_interval_for_a_new_run():
    value = np.array([1.0, 1.2, 2.1, 1.9, 3.3, 3.1])
    x = np.log(SIZE)
    line = stats.linregress(x, value)
    found = lines(value).at(0.01)
    assert (found.freedom, found.sizes, found.smallest, found.largest) == (4, 3, 1e6, 1e8)
    left = value - line.intercept - line.slope * x
    noise = np.sqrt(left @ left / 4)
    assert found.noise == pytest.approx(noise)
    at = np.log(1e9)
    error = noise * np.sqrt(1 + 1 / 6 + (at - x.mean()) ** 2 / np.sum((x - x.mean()) ** 2))
    mean = line.intercept + line.slope * at
    t = stats.t.ppf(0.9, 4)
    assert found.band(np.array([1e9]), 0.8)[:, 0] == pytest.approx([mean, mean - t * error, mean + t * error])
    assert found.chance(np.array([1e9]), 4.0)[0] == pytest.approx(stats.t.sf((4.0 - mean) / error, 4))
    assert found.chance(np.array([1e9]), 4.0, sign=-1.0)[0] == pytest.approx(stats.t.cdf((4.0 - mean) / error, 4))
    assert lines(value).mean(0.01, 1e9) == pytest.approx(mean)
    assert found.quantile(0.9) == pytest.approx(t)


def test_a_parabola_needs_three_sizes():
    value = 1 + 0.1 * np.log(SIZE / 1e7) ** 2
    found = lines(value, degree=2).at(0.01)
    assert not found.lowered
    assert found.at(np.array([1e9]))[0][0] == pytest.approx(1 + 0.1 * np.log(100) ** 2)
    two = lines(value[:4], SIZE[:4], degree=2).at(0.01)
    assert two.lowered
    assert two.freedom == 0
    assert np.isnan(two.noise)
    assert np.isnan(two.band(np.array([1e9]), 0.9)[1:]).all()
    assert np.isnan(two.chance(np.array([1e9]), 1.0)).all()
    assert lines(value[:2], SIZE[:2]).at(0.01) is None
    assert np.isnan(lines(value[:2], SIZE[:2]).mean(0.01, 1e9))
    gap = lines(np.where(SIZE < 1e7, np.nan, value)).at(0.01)
    assert gap.smallest == 1e7


@pytest.mark.parametrize(
    ("rate", "wanted"), [(0.02, 3.0), (0.0101, 2.0), (0.00991, 2.0), (0.04, 4.0), (0.05, None), (0.005, None)]
)
def test_values_between_two_rates_are_interpolated_in_the_logarithm(rate, wanted):
    size, lr = np.repeat([1e6, 1e7], 2), np.tile([0.01, 0.04], 2)
    found = lines([2.0, 4.0, 2.0, 4.0], size, lr).at(rate)
    assert (found is None) == (wanted is None)
    if wanted is not None:
        assert found.at(np.array([1e8]))[0][0] == pytest.approx(wanted, abs=1e-9)
        assert found.between == (rate == 0.02)


@pytest.mark.parametrize(("factor", "known"), [(16.0, True), (16.1, False)])
def test_rates_too_far_apart_are_not_interpolated(factor, known):
    size, lr = np.repeat([1e6, 1e7], 2), np.tile([0.01, 0.01 * factor], 2)
    assert (lines([2.0, 4.0, 2.0, 4.0], size, lr).at(0.02) is not None) == known


@pytest.mark.parametrize(("factor", "freedom"), [(4.0, 8), (4.1, 4), (0.25, 8), (0.24, 4)])
def test_rates_within_a_factor_of_four_share_their_scatter(factor, freedom):
    value = np.array([1.0, 1.2, 2.1, 1.9, 3.3, 3.1])
    both = lines(np.r_[value, value], np.r_[SIZE, SIZE], np.repeat([0.01, 0.01 * factor], 6))
    assert both.at(0.01).freedom == freedom


@pytest.mark.parametrize(
    ("scatter", "noise", "freedom"),
    [
        ([Scatter(2.0, 4, 1.0, 2)], (3 / 6) ** 0.5, 6),
        ([Scatter(2.0, 4, 1.0, 2), Scatter(1.0, 3, 0.0, 0)], (4 / 9) ** 0.5, 9),
        ([Scatter(0.4, 4, 4.0, 2)], 2**0.5, 2),  # F = 20 with 2 and 4 degrees: p = 0.8 %
        ([Scatter(0.0, 0, 4.0, 2)], 2**0.5, 2),
        ([Scatter(3.0, 3, 0.0, 0)], 1.0, 3),
        ([Scatter(0.0, 0, 0.0, 0)], np.nan, 0),
        ([], np.nan, 0),
    ],
)
def test_the_noise_of_one_run(scatter, noise, freedom):
    found = _noise(scatter)
    assert found[0] == pytest.approx(noise, nan_ok=True)
    assert found[1] == freedom


@pytest.mark.parametrize(("factor", "uneven"), [(0.98, False), (1.02, True)])
def test_means_that_scatter_more_than_seeds_explain(factor, uneven):
    limit = stats.f.ppf(0.95, 2, 4)
    found = _noise([Scatter(4.0, 4, 2 * factor * limit, 2)])
    assert found[1] == (2 if uneven else 6)


def test_probes_and_their_limits():
    table = {probe.name: probe for probe in probes(epsilon=1e-6, rule="gd")}
    assert {name: probe.limit for name, probe in table.items()} == pytest.approx(
        {
            "largest attention logit": 1e4,
            "log Z": 50,
            "gradient RMS": 1e-5,
            "activation RMS": 6550.4,
            "sharpness times lr": 2,
        }
    )
    assert {name: probe.degree for name, probe in table.items() if probe.degree != 1} == {"largest attention logit": 2}
    assert [name for name, probe in table.items() if not probe.above] == ["gradient RMS"]
    assert [name for name, probe in table.items() if not probe.log] == ["log Z"]
    assert [name for name, probe in table.items() if probe.both] == ["log Z"]
    assert [name for name, probe in table.items() if probe.times_lr] == ["sharpness times lr"]
    assert probes()[-1].limit == pytest.approx(38)
    assert probes()[2].limit == pytest.approx(1e-7)
    assert probes()[-1].columns == ("sharpness_preconditioned",)
