"""Arithmetic from infix to postfix, against Python's own parser."""

from __future__ import annotations

import ast

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from scalefit.errors import InputError  # noqa: E402
from scalefit.proxy.tasks.data import open_source  # noqa: E402
from scalefit.proxy.tasks.postfix import Postfix  # noqa: E402

OPERATORS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}


def postfix(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    assert isinstance(node, ast.BinOp)
    return f"{postfix(node.left)} {postfix(node.right)} {OPERATORS[type(node.op)]}"


@pytest.mark.parametrize("length", [3, 7, 11])
def test_the_target_is_what_pythons_parser_makes_of_the_source(length: int) -> None:
    source = Postfix(length, variables=5)
    names = [*"abcde", *"+-*/", "(", ")", "pad", "begin"]
    assert source.vocab == len(names)
    batch = source.batch(3, 1, 60)
    for infix, target, tokens in zip(*(batch[name].tolist() for name in ("source", "target", "tokens")), strict=True):
        said = " ".join(names[i] for i in infix if names[i] != "pad")
        assert " ".join(names[i] for i in target) == postfix(ast.parse(said, mode="eval").body), said
        assert ast.unparse(ast.parse(said)).replace(" ", "") == said.replace(" ", "")  # no parenthesis too many
        assert tokens == [names.index("begin"), *target[:-1]]


def test_every_shape_and_level_comes_as_often_as_any_other() -> None:
    """Catalan numbers of shapes times 2^(n - 1) levels."""
    assert [len(Postfix(2 * n - 1).infix) for n in (2, 3, 4, 5)] == [2, 2 * 4, 5 * 8, 14 * 16]
    drawn = Postfix(5).batch(0, 1, 8000)
    kinds = np.unique(drawn["target"][:, [0, 1, 2]].numpy() >= 8, axis=0, return_counts=True)[1]
    assert np.abs(kinds / 8000 - 0.5).max() < 0.03


@pytest.mark.parametrize("bad", [4, 1, 21])
def test_lengths_that_no_expression_has_are_refused(bad: int) -> None:
    with pytest.raises(InputError, match="choose an odd seq_len from 3 to 13"):
        open_source("postfix", bad)
