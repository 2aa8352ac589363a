"""The public names of the rooms below ``import scalefit``, with what their docstrings say, as one page.

The names are read from the source, so that a room whose libraries are not installed is there too.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "scalefit"
HEAD = "# Modules of the package\n\nWhat `import scalefit as sf` does not give itself: public names of its modules.\n"


def public() -> dict[str, list[str]]:
    """The names in ``__all__`` of each room that declares some."""
    found = {}
    for start in sorted(PACKAGE.glob("*/__init__.py")):
        for node in ast.parse(start.read_text(encoding="utf-8")).body:
            names = [each.id for each in getattr(node, "targets", []) if isinstance(each, ast.Name)]
            if isinstance(node, ast.Assign) and "__all__" in names:
                found[start.parent.name] = [str(name) for name in ast.literal_eval(node.value)]
    return found


def page() -> str:
    """The page: a heading for each room and each of its names, with signature and docstring."""
    parts = [HEAD]
    for room, names in public().items():
        text = ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text(encoding="utf-8"))) or ""
        parts.append(f"\n## scalefit.{room}\n\n{text.splitlines()[0] if text else ''}\n")
        nodes = [_defined(room).get(name) or _defined("").get(name) for name in names]
        parts += [f"\n### {n}\n\n~~~~text\n{_said(n, node)}\n~~~~\n" for n, node in zip(names, nodes, strict=True)]
    return "".join(parts)


@cache
def _defined(room: str) -> dict[str, ast.stmt]:
    """What the files of a room define at their top, by name; "" stands for the whole package."""
    files = sorted((PACKAGE / room).rglob("*.py"))
    nodes = [node for file in files for node in ast.parse(file.read_text(encoding="utf-8")).body]
    return {name: node for node in nodes for name in _names(node)}


def _names(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [each.id for each in targets if isinstance(each, ast.Name)]


def _said(name: str, node: ast.stmt | None) -> str:
    """The signature and the docstring of a name; of a constant what it is set to."""
    if isinstance(node, ast.FunctionDef):
        gives = f" -> {ast.unparse(node.returns)}" if node.returns else ""
        return f"{name}({ast.unparse(node.args)}){gives}\n\n{ast.get_docstring(node) or ''}"
    if isinstance(node, ast.ClassDef):
        return f"class {name}\n\n{ast.get_docstring(node) or ''}"
    value = getattr(node, "value", None)
    return f"{name} = {ast.unparse(value)}" if value is not None else name
