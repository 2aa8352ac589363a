"""Lists in expressions: after `in` and `not in` only, and only as they are written there."""

from __future__ import annotations

import ast

import numpy as np
import pytest

from scalefit.errors import InputError
from scalefit.expressions import DEEPEST, parse


@pytest.mark.parametrize("text", ["N == [1, 2]", "N < (1, 2)", "N != [1]", "[1, 2]", "N + [1]"])
def test_lists_elsewhere_are_refused(text):
    with pytest.raises(InputError):
        parse(text)


@pytest.mark.parametrize("text", ["N in [1, 3]", "N in (1, 3)", "not N not in [1, 3]"])
def test_members_of_a_list(text):
    found = parse(text)({"N": np.array([1.0, 2.0, 3.0])})
    assert np.asarray(found, dtype=bool).tolist() == [True, False, True]


def test_a_name_after_in_is_a_name():
    assert set(parse("N in M").names) == {"N", "M"}


def test_expressions_are_as_deep_as_is_said_and_no_deeper():
    def depth(node):
        return 1 + max(map(depth, ast.iter_child_nodes(node)), default=0)

    for signs in range(DEEPEST - 6, DEEPEST + 3):
        text = "-" * signs + "x"
        if depth(ast.parse(text, mode="eval").body) <= DEEPEST:
            assert parse(text).names == ("x",)
        else:
            with pytest.raises(InputError):
                parse(text)
