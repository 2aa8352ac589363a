"""What laws take of a point: their own variables first, what they follow from otherwise, and nothing unread."""

from __future__ import annotations

import pandas as pd
import pytest

from scalefit.errors import InputError
from scalefit.laws import find_law
from scalefit.rows.asked import asked_of, own_point, refuse_unread, scales_asked, takes


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
