"""The plan of the house, enforced: floors, rooms, the wall, the public surface, what an import loads, the glossary."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import scalefit
from scalefit.laws import standard_laws
from scalefit.runs.columns import COLUMNS

PACKAGE = Path(scalefit.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
each_file = pytest.mark.parametrize("file", FILES, ids=[str(file.relative_to(PACKAGE)) for file in FILES])

#: a module imports from its own floor or below
FLOORS = {
    **dict.fromkeys(["errors", "numerics", "expressions", "quoting"], 0),
    **dict.fromkeys(["schedules", "runs", "datasets", "laws"], 1),
    "fitting": 2,
    **dict.fromkeys(["comparison", "selection", "planning", "stability", "proxy"], 3),
    **dict.fromkeys(["plots", "report"], 4),
    "cli": 5,
    "__main__": 5,
}
#: a library that is heavy or replaceable lives in one room
ROOMS = {"torch": "proxy", "matplotlib": "plots", "click": "cli", "lmfit": "fitting"}
BANNED = {"utils", "helpers", "misc", "common", "manager", "handler"}
LONGEST_FILE, LONGEST_FUNCTION, DEEPEST = 360, 60, 4


@cache
def tree_of(file):
    return ast.parse(file.read_text(encoding="utf-8"))


def room_of(file):
    first = file.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def under_type_checking(tree):
    """The nodes that only a type checker sees."""
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)]
    return {id(inner) for block in blocks for statement in block.body for inner in ast.walk(statement)}


def is_delegate(function):
    """A method such as Fit.plot: it imports the figure when called, and returns it; nothing else."""
    body = [statement for statement in function.body if not isinstance(statement, ast.Expr)]
    return function.name.startswith("plot") and [type(s) for s in body] == [ast.ImportFrom, ast.Return]


def imports_of(file):
    """(module, line) of every import that runs, wherever it stands, but for the licensed delegates."""
    tree = tree_of(file)
    skip = under_type_checking(tree)
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef) and is_delegate(function):
            skip |= {id(node) for node in function.body}
    for node in ast.walk(tree):
        if id(node) in skip:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are written in full"
            yield node.module, node.lineno
            if node.module == "scalefit":
                yield from ((f"scalefit.{alias.name}", node.lineno) for alias in node.names)


def rooms_imported(file):
    for module, line in imports_of(file):
        if module.startswith("scalefit."):
            room = module.split(".")[1]
            if room in FLOORS:
                yield room, line


@each_file
def test_every_file_has_a_floor_and_imports_downwards(file):
    if file == PACKAGE / "__init__.py":
        return
    room = room_of(file)
    assert room in FLOORS, f"{room} is in no plan: give it a floor"
    above = [f"line {line}: {other}" for other, line in rooms_imported(file) if FLOORS[other] > FLOORS[room]]
    assert not above


@each_file
def test_each_library_stays_in_its_room(file):
    strays = [
        f"line {line}: {module}"
        for module, line in imports_of(file)
        if ROOMS.get(module.split(".")[0], room_of(file)) != room_of(file)
    ]
    assert not strays


@each_file
def test_the_wall(file):
    """proxy writes run logs and knows no law; only the command line knows proxy."""
    rooms = {room for room, _ in rooms_imported(file)}
    if room_of(file) == "proxy":
        assert not rooms & {"laws", "fitting", "comparison", "planning"}
    elif room_of(file) not in ("cli", "__main__"):
        assert "proxy" not in rooms


def test_rooms_of_one_floor_do_not_import_each_other_in_circles():
    graph = {}
    for file in FILES:
        if file != PACKAGE / "__init__.py":
            room = room_of(file)
            graph.setdefault(room, set()).update(other for other, _ in rooms_imported(file) if other != room)

    def reach(room, seen):
        for other in graph.get(room, ()):
            if other not in seen:
                seen.add(other)
                reach(other, seen)
        return seen

    assert not [room for room in graph if room in reach(room, set())]


@each_file
def test_habits(file):
    tree = tree_of(file)
    calls = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not calls & {"print", "eval", "exec", "breakpoint"}
    assert not {module.split(".")[0] for module, _ in imports_of(file)} & {"dill", "shelve", "marshal"}
    assert not re.search(r"pickle\.(load|dump)|weights_only=False|allow_pickle=True", file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            caught = ast.dump(node.type) if node.type is not None else "everything"
            assert "everything" not in caught, f"line {node.lineno}: a bare except"
            assert "'Exception'" not in caught, f"line {node.lineno}: a broad except"
            assert "'BaseException'" not in caught, f"line {node.lineno}: a broad except"
    assert not any(word in BANNED for word in re.split(r"[_.]", file.name))


def depth(node, level=0):
    """How deeply statements nest; an elif stands beside its if."""
    level += isinstance(node, (ast.If, ast.For, ast.While, ast.With, ast.Try, ast.Match))
    beside = node.orelse if isinstance(node, ast.If) and [type(s) for s in node.orelse] == [ast.If] else []
    deeper = [depth(child, level) for child in ast.iter_child_nodes(node) if child not in beside]
    return max([level, *deeper, *(depth(child, level - 1) for child in beside)])


@each_file
def test_size(file):
    lines = len(file.read_text(encoding="utf-8").splitlines())
    assert lines <= LONGEST_FILE
    for node in ast.walk(tree_of(file)):
        if isinstance(node, ast.FunctionDef):
            body = [statement for statement in node.body if not isinstance(statement, ast.Expr)] or node.body
            assert body[-1].end_lineno - body[0].lineno + 1 <= LONGEST_FUNCTION, f"line {node.lineno}: {node.name}"
            assert max(depth(statement) for statement in node.body) <= DEEPEST, f"line {node.lineno}: {node.name}"


def test_the_public_names():
    assert sorted(scalefit.__all__) == sorted({*scalefit._PLACES, "__version__"})
    assert set(scalefit.__all__) <= set(dir(scalefit))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        scalefit.nothing  # noqa: B018
    seen_by_checkers = {
        alias.name
        for node in ast.walk(tree_of(PACKAGE / "__init__.py"))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("scalefit")
        for alias in node.names
    }
    assert seen_by_checkers == set(scalefit._PLACES)


@pytest.mark.parametrize("name", sorted(scalefit._PLACES))
def test_each_public_name_is_there_and_documented(name):
    value = getattr(scalefit, name)
    assert value is getattr(importlib.import_module(scalefit._PLACES[name]), name)
    assert len(inspect.getdoc(value) or "") > 20
    if inspect.isfunction(value):
        hints = inspect.get_annotations(value)
        assert set(hints) >= {*inspect.signature(value).parameters, "return"}


def test_every_exception_is_one_of_ours():
    import scalefit.errors as errors

    raised = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]
    for value in raised:
        assert issubclass(value, (errors.ScalefitError, UserWarning))
        assert getattr(scalefit, value.__name__) is value
    assert issubclass(errors.InputError, ValueError)


# --- what an import loads ---------------------------------------------------------------------------------------------

HEAVY = ("torch", "matplotlib", "lmfit", "scipy.stats", "scipy.signal", "click")


def loaded_by(code, cwd=None):
    """Which modules a fresh interpreter has loaded after running some code."""
    ends = f"{code}\nimport sys; sys.stdout.write('\\n' + ' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", ends], capture_output=True, text=True, check=True, cwd=cwd)
    return set(done.stdout.splitlines()[-1].split())


def test_importing_scalefit_loads_nothing_heavy():
    loaded = loaded_by("import scalefit")
    assert "scalefit" in loaded
    assert not loaded & {*HEAVY, "pandas", "numpy", "scipy"}


def test_a_fit_of_a_small_csv_loads_neither_lmfit_nor_scipy_stats(tmp_path):
    rows = ["N,D,loss"]
    for N in (1e7, 1e8, 1e9):
        rows += [f"{N},{D},{1.7 + 400 * N**-0.34 + 410 * D**-0.28}" for D in (1e9, 1e10, 1e11)]
    (tmp_path / "runs.csv").write_text("\n".join(rows))
    code = """
import scalefit as sf
fit = sf.fit(sf.read_runs("runs.csv"), "chinchilla")
assert abs(fit["alpha"] - 0.34) < 1e-6
fit.predict(N=1e10, D="2T"); fit.save("fit.json"); sf.load_fit("fit.json"); repr(fit)
"""
    loaded = loaded_by(code, tmp_path)
    assert "scalefit.fitting.fit" in loaded
    assert not loaded & set(HEAVY)
    assert not [name for name in loaded if name.startswith("scalefit.proxy")]


def test_what_reads_logs_loads_no_torch():
    modules = [
        ".".join(("scalefit", *file.relative_to(PACKAGE).with_suffix("").parts))
        for file in FILES
        if room_of(file) not in ("proxy", "cli", "__main__") and file.name != "__init__.py"
    ]
    loaded = loaded_by("import importlib\n" + "\n".join(f"importlib.import_module({name!r})" for name in modules))
    assert set(modules) <= loaded
    assert "torch" not in loaded


# --- the glossary -----------------------------------------------------------------------------------------------------


def test_one_name_means_one_thing_in_all_laws():
    """Variables are global: the same name has the same unit in every law and in the tables."""
    units = {}
    for law in standard_laws().values():
        for name, variable in law().variables.items():
            if name == "x":
                continue
            if variable.unit == "any":  # a measure of which only the formula's shape is known
                continue
            if name in COLUMNS and COLUMNS[name].unit:
                assert variable.unit == COLUMNS[name].unit, f"{law.name}: {name}"
            assert units.setdefault(name, variable.unit) == variable.unit, f"{law.name}: {name}"


def test_every_column_has_a_unit_and_a_meaning():
    for name, column in COLUMNS.items():
        assert re.fullmatch(r"[A-Za-z]\w*", name)
        assert column.meaning
        assert column.unit is not None
    aliases = [alias for column in COLUMNS.values() for alias in column.aliases]
    assert len(aliases) == len(set(aliases)), "an alias that two columns claim is a guess that cannot be made"
