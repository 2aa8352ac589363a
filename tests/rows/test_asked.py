"""What laws take of a point: their own variables first, what they follow from otherwise, and nothing unread."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.errors import InputError
from scalefit.laws import find_law
from scalefit.rows.asked import asked_of, own_point, read_point, refuse_unread, scales_asked, takes


@pytest.mark.parametrize(
    ("law", "at", "own", "enough"),
    [
        ("power:over=D", {"N": 1e9, "D": 2e10}, {"D": 2e10}, True),
        ("power:over=D", {"N": 1e9, "C": 6e19}, {"N": 1e9, "C": 6e19}, True),
        ("power:over=D", {"N": 1e9}, {"N": 1e9}, False),
        ("power:over=C", {"N": 1e9, "D": 2e10}, {"N": 1e9, "D": 2e10}, True),
        ("power:over=C", {"C": 1e20, "N": 1e9}, {"C": 1e20}, True),
        ("chinchilla", {"params": "1B", "D": 2e10}, {"params": "1B", "D": 2e10}, True),
        ("chinchilla", {"N": 1e9, "D": 2e10, "experts": 8}, {"N": 1e9, "D": 2e10}, True),
    ],
)
def test_what_a_law_takes_of_a_point(law, at, own, enough):
    assert own_point(find_law(law), at) == own
    assert takes(find_law(law), at) == enough


def test_a_name_that_no_law_reads_is_refused():
    laws = [find_law("power:over=D"), find_law("power:over=N")]
    refuse_unread(laws, {"N": 1e9, "D": 2e10})
    with pytest.raises(InputError, match='"experts"; give C, D, N'):
        refuse_unread(laws, {"N": 1e9, "experts": 8})
    assert asked_of(laws[0]) == {"x", "D", "C", "N"}


def test_the_scales_of_a_point_and_of_a_table():
    found = scales_asked(None, {"params": "7B", "D": [1e9, 2e9], "optimizer": "adamw"})
    assert found["N"].tolist() == [7e9, 7e9]
    assert found["D"].tolist() == [1e9, 2e9]
    table = pd.DataFrame({"N": [1e9], "D": [2e10], "loss": [2.0]})
    assert scales_asked(table, {})[["N", "D"]].to_numpy().tolist() == [[1e9, 2e10]]


def test_a_point_named_as_in_a_table_means_what_the_table_would(monkeypatch):
    rows = [(size, data, 1.7 + 400 * size**-0.34 + 410 * data**-0.28)
            for size in (1e7, 3e7, 1e8) for data in (1e9, 3e9, 1e10, 3e10)]  # fmt: skip
    runs = pd.DataFrame(rows, columns=["N", "D", "loss"])
    names = ({"params_M": 700, "tokens_B": "20"}, {"model size": "700M", "tokens": 2e10})
    fit, asked = sf.fit(runs, "chinchilla"), []
    monkeypatch.setattr("scalefit.selection.automatic.compared", lambda *given: (asked.append(given[-1]), ({}, {}))[1])
    for at in names:
        pd.testing.assert_frame_equal(fit.predict(**at), fit.predict(N=7e8, D=2e10))
        with pytest.raises(InputError, match="none of the laws"):
            sf.fit(runs, at=at)  # the law is chosen for the same point
    assert asked == [{"N": 7e8, "D": 2e10}] * 2
    fit = sf.fit(runs.assign(loss=runs["loss"] * (1 + 0.002 * np.sin(np.arange(12)))), "chinchilla", draws=20)
    assert sf.next_runs(fit, 1e20, runs=1, params_M=700, tokens="20B").target == {"N": 7e8, "D": 2e10}
    assert sf.next_runs(fit, 1e20, runs=1, C=8.4e19, D="20B").target == pytest.approx({"N": 7e8, "D": 2e10})


def test_arrays_of_a_point_are_in_the_unit_of_their_name_too():
    for values in ([70, "2B"], (70, "2B"), np.array([70.0, 2.0])):
        found = read_point({"params_M": values, "D": 5}, {"N", "D"})
        assert found["N"][0] == 70e6 and found["D"] == 5
    assert found["N"].tolist() == [70e6, 2e6]
