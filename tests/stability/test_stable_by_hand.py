"""What a boundary of stability follows, and which runs near a learning rate have diverged."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scalefit.stability.stable import boundary_of, followed, lost_near, told_of


def table(**more):
    return pd.DataFrame({"d_model": [64, 64, 128, 128], "lr": [0.01, 0.02, 0.01, 0.02], "loss": 3.0, **more})


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        ({"batch": [1, 2, 1, 2]}, ("batch", "steps")),
        ({"batch": [1, 1, 2, 2]}, ()),  # it goes with the size
        ({"batch": [1, 2, 1, 1]}, ("batch", "steps")),
        ({"batch": [0, 2, 1, 2]}, ()),
        ({"batch": [1, "?", 1, 2]}, ()),
        ({"batch": [1, 2, 1, 2], "D": [1, 2, 1, 2]}, ("batch", "D", "steps")),
        ({"batch": [1, 2, 1, 2], "rms_act_max": 1.0}, ("batch", "steps")),
        ({"batch": [1, 2, 1, 2], "attention_logit_max": 1.0}, ()),  # a log with probes
        ({}, ()),
    ],
    ids=str,
)
def test_a_boundary_follows_batch_and_tokens_where_runs_of_one_size_differ_in_them(columns, found):
    assert followed(table(**columns), "d_model") == found


def test_a_boundary_over_the_batch_does_not_follow_it_twice():
    assert followed(table(batch=[1, 2, 1, 2]), "batch") == ()


def test_what_is_followed_is_told():
    assert told_of((), "N") == ()
    assert told_of(("steps",), "N") == ()
    (said,) = told_of(("batch", "D", "steps"), "N")
    assert said.startswith("the boundary follows N and batch and D together")
    assert said.endswith("the geometric mean batch and D of the runs of the largest N")


def test_a_boundary_needs_losses_and_two_sizes_that_have_one():
    assert boundary_of(table().drop(columns="loss"), "d_model") == (None, "no column loss")
    found, why = boundary_of(table(), "d_model")
    assert found is None
    assert why == "fewer than two sizes have both stable and diverged runs"


@pytest.mark.parametrize(
    ("lr", "sizes"), [(0.0066, ""), (0.0067, "64"), (0.0134, "64, 128"), (0.0299, "64, 128"), (0.0301, "")]
)
def test_runs_that_diverged_within_a_factor_of_one_and_a_half(lr, sizes):
    """At a rate of .01 that of 64 alone, at .02 those of both."""
    found = lost_near(table(), "d_model", lr, pd.Series([False, False, True, False]))
    said = f"runs of d_model {sizes} at learning rates within a factor of 1.5 of {lr:g} have diverged"
    assert found == (said if sizes else "")


def test_an_infinite_probe_counts_as_diverged():
    probed = table(attention_logit_max=[1.0, np.inf, 1.0, -np.inf])
    alive = pd.Series([True] * 4)
    assert "d_model 64, 128" in lost_near(probed, "d_model", 0.02, alive)
    assert lost_near(probed, "d_model", 0.009, alive) == ""
