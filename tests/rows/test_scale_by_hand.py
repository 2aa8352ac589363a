"""The scale that a law extrapolates in, by hand; and which schedules are one."""

from __future__ import annotations

import numpy as np
import pytest

from scalefit.laws import find_law
from scalefit.rows.door import distinct_schedules
from scalefit.rows.scale import maps_a_loss, reads_scale, scale_of
from scalefit.runs import Trajectory

SIZE, DATA = np.array([1e6, 1e9]), np.array([2e9, 2e10])


def columns_of(law, **values):
    return {name: values[column] for name, column in law.columns.items()}


def test_size_and_data_make_compute():
    law = find_law("chinchilla")
    by_hand = [np.log10(6 * 1e6 * 2e9), np.log10(6 * 1e9 * 2e10)]
    assert scale_of(law, columns_of(law, N=SIZE, D=DATA)) == pytest.approx(by_hand)


@pytest.mark.parametrize("column", ["N", "D", "tokens", "step"])
def test_a_decade_of_size_or_of_data_alone_counts_as_two_of_compute(column):
    law = find_law(f"power:over={column}")
    assert reads_scale(law)
    assert scale_of(law, {name: np.array([1e6, 1e8]) for name in law.columns}) == pytest.approx([12, 16])


def test_compute_is_its_own_scale_and_another_variable_counts_once():
    law = find_law("power:over=C")
    assert scale_of(law, {name: np.array([1e20, 1e21]) for name in law.columns}) == pytest.approx([20, 21])
    other = find_law("power:over=depth")
    assert not reads_scale(other)
    assert scale_of(other, {name: np.array([10.0, 1000.0]) for name in other.columns}) == pytest.approx([1, 3])


def path(lr, run="a"):
    lr = np.asarray(lr, dtype=float)
    return Trajectory(run=run, lr=lr, steps=np.arange(len(lr)), warmup=0, how="given")


def test_which_schedules_are_one():
    constant, longer = path(np.full(10, 1e-3)), path(np.full(30, 1e-3))
    assert distinct_schedules([longer, constant]) == 1
    decayed = path(np.r_[np.full(20, 1e-3), np.linspace(1e-3, 0, 10)])
    assert distinct_schedules([constant, decayed]) == 2  # alike as far as the short one goes, then not
    assert distinct_schedules([decayed, path(decayed.lr * 0.5), constant]) == 3
    assert distinct_schedules([decayed, path(decayed.lr * (1 + 1e-9))]) == 1


def test_values_of_zero_have_no_part_in_a_scale():
    law = find_law("power:over=width")
    assert scale_of(law, {"x": np.array([0.0, 10.0])}).tolist() == [0, 0]
    assert scale_of(law, {"x": np.array([1.0, 10.0])}).tolist() == [0, 1]


@pytest.mark.parametrize(("name", "column"), [("task-ladder", "loss"), ("loss-to-loss", "loss_source")])
def test_a_map_from_a_loss_extrapolates_downwards_and_no_run_is_perfect(name, column):
    law = find_law(name)
    assert maps_a_loss(law) and not maps_a_loss(find_law("chinchilla"))
    found = scale_of(law, {column: np.array([10.0, 1.0, 0.1, 0.0])})
    assert found.tolist() == [-1.0, 0.0, 1.0, np.inf]
