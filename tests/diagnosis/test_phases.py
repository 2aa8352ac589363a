"""Residuals that stray by phase, on rows made by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

from scalefit.diagnosis.phases import first_steps, stray_phases, transient
from scalefit.rows.rows import Rows

STEPS = np.arange(10, 1001, 10)
LR = np.where(np.arange(1001) < 700, 1e-3, 1e-3 * (1000 - np.arange(1001)) / 300)


def rows(residual):
    frame = pd.DataFrame({"run": "wsd", "step": STEPS})
    path = SimpleNamespace(lr=LR)
    return Rows({}, np.ones(len(STEPS)), frame, np.arange(len(STEPS)), True, {"wsd": path}), residual


def noise(seed=0):
    return 0.001 * np.random.default_rng(seed).standard_normal(len(STEPS))


def test_decay_rows_off_the_law_are_told_with_their_side():
    found = stray_phases(*rows(noise() - 0.02 * (STEPS > 750)), 1.0)
    assert [check.code for check in found] == ["stray-phase"]
    assert "above it" in found[0].text and "wsd" in found[0].text
    assert "below it" in stray_phases(*rows(noise() + 0.02 * (STEPS > 750)), 1.0)[0].text


def test_noise_and_tiny_shifts_are_not():
    assert all(not stray_phases(*rows(noise(seed)), 1.0) for seed in range(20))
    assert not stray_phases(*rows(0.1 * noise() + 0.0015 * (STEPS > 750)), 1.0)


def test_a_constant_rate_has_no_phases():
    made, residual = rows(noise() - 0.02 * (STEPS > 750))
    flat = Rows({}, made.values, made.frame, made.positions, True, {"wsd": SimpleNamespace(lr=np.full(1001, 1e-3))})
    assert not stray_phases(flat, residual, 1.0)


def test_first_steps_end_with_the_last_row_that_is_off():
    off = noise() + np.where(STEPS <= 150, 0.05, 0.0)
    assert first_steps(np.zeros(100), STEPS, off) in (150, 160)
    assert [check.code for check in transient(*rows(off))] == ["transient"]


def test_rows_that_are_off_later_are_no_first_steps():
    assert first_steps(np.zeros(100), STEPS, noise() + np.where(STEPS > 800, 0.05, 0.0)) == 0
    assert not transient(*rows(noise()))


def test_early_noise_that_is_larger_and_a_spike_in_the_first_row_are_no_transient():
    rng = np.random.default_rng(3)
    step = np.arange(10, 1001, 10)
    noise = 0.001 * (1 + 4 * np.exp(-step / 100)) * rng.standard_normal(100)
    assert first_steps(np.zeros(100), step, noise) == 0
    assert first_steps(np.zeros(100), step, np.where(step == 10, 0.3, 0.001 * rng.standard_normal(100))) == 0
    off = np.where(step <= 100, 0.05, 0.0) + noise
    assert first_steps(np.zeros(100), step, off) in (100, 110)
