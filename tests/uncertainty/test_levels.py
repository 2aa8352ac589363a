"""Residuals that cluster by levels: the statistic against an ordinary analysis of variance, and what it does."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import scalefit as sf
from scalefit.rows.rows import Rows
from scalefit.uncertainty import levels
from scalefit.uncertainty.intervals import _blocks
from scalefit.uncertainty.levels import SIGNIFICANT, TAKEN_UP, _explained, _levels, _partitions

CODES = np.repeat(np.arange(6), 5)
SLOPE = np.column_stack([np.ones(30), np.tile(np.arange(5.0), 6)])


def nested(residual, slope, codes):
    """The F test of two nested linear models by least squares: with and without a constant for each level."""
    levels = np.eye(codes.max() + 1)[codes]
    small, large = slope, np.column_stack([slope, levels])
    left = [float(np.sum((residual - m @ np.linalg.lstsq(m, residual, rcond=None)[0]) ** 2)) for m in (small, large)]
    p, q = (int(np.linalg.matrix_rank(m)) for m in (small, large))
    ratio = (left[0] - left[1]) / (q - p) / (left[1] / (len(residual) - q))
    return float(stats.f.sf(ratio, q - p, len(residual) - q))


@pytest.mark.parametrize("seed", range(4))
def test_the_chance_is_that_of_nested_models(seed):
    residual = np.random.default_rng(seed).uniform(-1, 1, 30)
    assert _explained(residual, SLOPE, 1.0, CODES)[0] == pytest.approx(nested(residual, SLOPE, CODES), rel=1e-9)


def test_independent_noise_is_called_clustered_as_often_as_stated():
    rng = np.random.default_rng(0)
    chances = np.array([_explained(rng.standard_normal(30), SLOPE, 9.0, CODES)[0] for _ in range(800)])
    assert np.mean(chances < 0.05) == pytest.approx(0.05, abs=0.025)
    assert np.mean(chances < 0.5) == pytest.approx(0.5, abs=0.06)


def test_the_scatter_between_and_within_levels_is_what_was_planted():
    rng, found = np.random.default_rng(1), []
    for _ in range(300):
        planted = 0.03 * rng.standard_normal(6)[CODES] + 0.01 * rng.standard_normal(30)
        found.append(np.square(_explained(planted, SLOPE, 1.0, CODES)[1:]))
    assert np.sqrt(np.mean(found, axis=0)) == pytest.approx([0.03, 0.01], rel=0.1)


def test_one_outlier_is_no_cluster():
    residual = np.random.default_rng(2).standard_normal(30) * 0.01
    residual[7] += 0.5
    assert _explained(residual, SLOPE, 0.01, CODES)[0] > 0.01


def test_differences_that_the_parameters_take_up_do_not_count():
    """A slope over the levels takes up one of five contrasts; with all but one taken up nothing can be said."""
    across = np.column_stack([np.ones(30), *(level == CODES for level in range(1, 5))]).astype(float)
    assert _explained(np.random.default_rng(3).standard_normal(30), across, 9.0, CODES) == (1.0, 0.0, 0.0)
    nearly = np.column_stack([np.ones(30), CODES + 0.05 * np.tile([-2.0, -1.0, 0.0, 1.0, 2.0], 6)])
    residual = 5.0 * (nearly[:, 1] - nearly[:, 1].mean()) + np.random.default_rng(4).standard_normal(30)
    assert 0 < TAKEN_UP < 1 and _explained(residual, nearly, 99.0, CODES)[0] > 0.01


def test_what_counts_as_a_level():
    assert _levels(pd.Series([1e9, 1.0005e9, 2e9, 1e9])).tolist() == [0, 0, 1, 0]
    assert _levels(pd.Series(["b", "a", "b"])).tolist() == [0, 1, 0]
    runs = np.arange(6)
    columns = {
        "N": np.array([1.0, 1.0, 1.0, 2.0, 2.0, 2.0]),
        "width": np.array([8, 8, 8, 16, 16, 16]),
        "batch": np.array([1.0, 2.0, 1.0, 2.0, 1.0, np.nan]),
        "D": np.arange(6.0),
    }
    assert list(_partitions(columns, runs, 6)) == ["N"]  # the widths are the same levels, D has one run a level
    assert not _partitions(columns, runs, 3)  # two seeds of three points


def grid(effects=(0.0,) * 6, noise=0.004, seed=0):
    rng = np.random.default_rng(seed)
    N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(1e7, 1e9, 6), np.geomspace(1e9, 1e11, 6), indexing="ij"))
    loss = 1.69 + 406.4 * N**-0.34 + 410.7 * D**-0.28
    made = loss * np.exp(np.repeat(effects, 6) + noise * rng.standard_normal(36))
    return pd.DataFrame({"N": N, "D": D, "loss": made})


BUMP = (0.0, 0.0, 0.0, 0.0, 0.0, 0.1)


@pytest.fixture(scope="module")
def bumped():
    return sf.fit(grid(BUMP), "chinchilla", draws=20)


def test_a_bump_by_size_is_told_and_the_interval_holds_the_truth(bumped):
    fit = bumped
    told = [check.text for check in fit.warnings if check.code == "clustered"]
    assert len(told) == 1 and "cluster by N: its 6 levels" in told[0]
    at = fit.predict(N=4e9, D=3e11).iloc[0]
    assert at["low"] < 1.69 + 406.4 * 4e9**-0.34 + 410.7 * 3e11**-0.28 < at["high"]
    assert fit.intervals.between > 0.01 and fit.intervals.calibration.misfit == 1


def test_a_bump_by_a_setting_is_told_by_its_name_and_sound_runs_are_not():
    order = np.random.default_rng(5).permutation(np.repeat(np.arange(4), 9))
    rows = grid().assign(batch=2.0 ** (10 + order))
    assert not [check for check in sf.fit(rows, "chinchilla").warnings if check.code == "clustered"]
    shifted = rows.assign(loss=rows["loss"] * np.exp(0.04 * np.array([0, 1, -1, 0])[order]))
    assert "cluster by batch" in " ".join(check.text for check in sf.fit(shifted, "chinchilla").warnings)


def test_the_scatter_between_levels_is_kept_in_the_file(bumped, tmp_path):
    assert sf.load_fit(bumped.save(tmp_path / "fit.json")).intervals == bumped.intervals


def test_rows_of_a_level_are_resampled_together_where_levels_dominate():
    rows = Rows({}, np.ones(5), pd.DataFrame({"run": list("abcde")}), np.arange(5), False)
    for dominate, blocks in ((True, [0, 0, 1, 2, 1]), (False, [0, 1, 2, 3, 4])):
        levels = SimpleNamespace(dominate=dominate, codes=np.array([5, 5, 7, 9, 7]))
        found, method = _blocks(np.ones(5), rows, "wild", levels)
        assert (found.tolist(), method) == (blocks, "wild")
    dominating = SimpleNamespace(dominate=True, codes=np.array([5, 5, 7, 9, 7]))
    some, _ = _blocks(np.ones(5), rows, "wild", dominating, slice(1, 4))
    assert some.tolist() == [0, 1, 2]
    assert _blocks(np.ones(5), rows, "wild", None, slice(1, 4))[0].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("chance", "between", "told"),
    [(0.49, 0.1, True), (0.51, 0.1, False), (0.49, 0.0, False), (1.5, 0.1, False), (1.5, 0.0, False)],
)
def test_levels_are_told_that_scatter_and_more_than_chance_makes_them(monkeypatch, chance, between, told):
    """Of two columns tried the smaller chance counts twice."""
    found = {"N": np.array([0, 0, 1, 1]), "batch": np.array([0, 1, 0, 1])}
    said = {"N": (chance * SIGNIFICANT, between, 0.2), "batch": (1.0, 9.0, 0.2)}
    monkeypatch.setattr(levels, "_partitions", lambda *_: found)
    monkeypatch.setattr(levels, "_places", lambda *_: 4)
    monkeypatch.setattr(levels, "_by_run", lambda *_: (None, None))
    monkeypatch.setattr(levels, "independent", lambda rows: np.array([3, 2, 1, 0, 0]))
    monkeypatch.setattr(levels, "_explained", lambda *given: said["N" if given[-1] is found["N"] else "batch"])
    model = SimpleNamespace(law=SimpleNamespace(is_trajectory=False))
    made = levels.clustered(model, None, SimpleNamespace(sigma=1.0), {})
    assert (made is not None) is told
    if made is not None:
        assert (made.column, made.count, made.between, made.within) == ("N", 2, 0.1, 0.2)
        assert made.codes.tolist() == [1, 1, 0, 0, 0] and made.chance == pytest.approx(2 * chance * SIGNIFICANT)
