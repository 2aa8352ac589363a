"""The scripts of benchmarks/ call the package as it is: no run of hours ends in an argument that is missing."""

from __future__ import annotations

import ast
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).parent.parent


@lru_cache
def functions(module: str) -> dict[str, ast.arguments]:
    """The arguments of each function that a module defines; none for a room, which hands on those of its modules."""
    path = ROOT.joinpath(*module.split(".")).with_suffix(".py")
    body = ast.parse(path.read_text()).body if path.exists() else []
    return {node.name: node.args for node in body if isinstance(node, ast.FunctionDef)}


def fault(taken: ast.arguments, call: ast.Call) -> str:
    """What the call gives that the function does not take, or lacks that it needs; "" if it fits."""
    given = {keyword.arg for keyword in call.keywords}
    named = {each.arg for each in (*taken.args, *taken.kwonlyargs)}
    needed = {each.arg for each, default in zip(taken.kwonlyargs, taken.kw_defaults, strict=True) if default is None}
    unknown = set() if taken.kwarg else given - named - {None}
    lacking = set() if None in given else needed - given
    return "; ".join([*(f"no parameter {name}" for name in unknown), *(f"{name} is missing" for name in lacking)])


def test_scripts_give_the_keywords_that_functions_take_and_need():
    faults = []
    for path in sorted(ROOT.glob("benchmarks/*.py")):
        nodes = [*ast.walk(ast.parse(path.read_text()))]
        known = {}
        for node in nodes:
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("scalefit"):
                own = functions(str(node.module))
                known |= {each.asname or each.name: own[each.name] for each in node.names if each.name in own}
        for node in nodes:
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in known:
                said = fault(known[node.func.id], node)
                faults += [f"{path.name}:{node.lineno}: {node.func.id}: {said}"] if said else []
    assert not faults
