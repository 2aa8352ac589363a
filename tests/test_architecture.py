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

import commands
import pytest

import scalefit
from scalefit.laws import standard_laws
from scalefit.runs.columns import COLUMNS

PACKAGE = Path(scalefit.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))


def each_file(check):
    """One test of a check of every file: it names all the files at fault, and what is wrong with each."""

    def test():
        assert not commands.faults(check, {file: str(file.relative_to(PACKAGE)) for file in FILES})

    return test


#: a module imports from its own floor or below; a room is the longest of these that a file's path begins with
FLOORS = {
    **dict.fromkeys(["errors", "answers", "numerics", "duals", "expressions", "notices"], 0),
    **dict.fromkeys(["version", "writing", "escaping", "status_line", "parallel", "memory"], 0),
    **dict.fromkeys(["schedules", "runs", "runs.formats", "runs.reading", "datasets", "laws"], 1),
    **dict.fromkeys(["rows", "solver", "solver.sums"], 2),
    **dict.fromkeys(["uncertainty", "diagnosis"], 3),
    "fitting": 4,
    **dict.fromkeys(
        ["comparison", "selection", "planning", "planning.optimum", "planning.allocation", "planning.isoflop"], 5
    ),
    **dict.fromkeys(["planning.schedules", "planning.recipes", "planning.next_runs", "planning.downstream"], 5),
    "planning.hyperparameters": 5,
    **dict.fromkeys(["progress", "transfer", "stability"], 5),
    **dict.fromkeys(["proxy", "proxy.models", "proxy.optimizers", "proxy.tasks", "proxy.own", "proxy.sweep"], 5),
    **dict.fromkeys(["plots", "reports"], 6),
    **dict.fromkeys(["cli", "__main__"], 7),
}
#: registries: one file a law, a format, a figure, a command
REGISTRIES = {"laws", "runs.formats", "plots", "cli"}
MOST_FILES = 14
#: a library that is heavy or replaceable lives in one room
ROOMS = {"torch": "proxy", "matplotlib": "plots", "click": "cli", "jinja2": "reports", "lmfit": "fitting"}
BANNED = {"utils", "helpers", "misc", "common", "manager", "handler"}
LONGEST_FILE, LONGEST_FUNCTION, DEEPEST = 300, 60, 4


@cache
def tree_of(file):
    return ast.parse(file.read_text(encoding="utf-8"))


@cache
def nodes_of(file):
    return list(ast.walk(tree_of(file)))


def module_of(file):
    """The dotted name of a file below the package; that of its folder for an __init__."""
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_in(module):
    """The room of a module, named without the package."""
    parts = module.split(".")
    return next((room for n in range(len(parts), 0, -1) if (room := ".".join(parts[:n])) in FLOORS), parts[0])


def room_of(file):
    return room_in(module_of(file))


def wing_of(file):
    return room_of(file).split(".")[0]


def under_type_checking(nodes):
    """The nodes that only a type checker sees."""
    blocks = [node for node in nodes if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)]
    return {id(inner) for block in blocks for statement in block.body for inner in ast.walk(statement)}


def is_delegate(function):
    """A method such as Fit.plot or Fit.plan: it imports what it returns when it is called; nothing else."""
    body = [statement for statement in function.body if not isinstance(statement, ast.Expr)]
    return function.name.startswith(("plot", "plan")) and [type(s) for s in body] == [ast.ImportFrom, ast.Return]


@cache
def imports_of(file):
    """(module, line) of every import that runs, wherever it stands, but for the licensed delegates."""
    return tuple(found_imports(file))


def found_imports(file):
    skip = under_type_checking(nodes_of(file))
    for function in nodes_of(file):
        if isinstance(function, ast.FunctionDef) and is_delegate(function):
            skip |= {id(node) for node in function.body}
    for node in nodes_of(file):
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
            yield room_in(module.removeprefix("scalefit.")), line


@each_file
def test_every_file_has_a_floor_and_imports_downwards(file):
    if file == PACKAGE / "__init__.py":
        return
    room = room_of(file)
    assert room in FLOORS, f"{room} is in no plan: give it a floor"
    above = [f"line {line}: {other}" for other, line in rooms_imported(file) if FLOORS.get(other, 0) > FLOORS[room]]
    assert not above


@each_file
def test_each_library_stays_in_its_room(file):
    strays = [
        f"line {line}: {module}"
        for module, line in imports_of(file)
        if ROOMS.get(module.split(".")[0], wing_of(file)) != wing_of(file)
    ]
    assert not strays


@each_file
def test_the_wall(file):
    """proxy writes run logs, reads them as any others, and knows no law; only the command line knows proxy."""
    wings = {room.split(".")[0] for room, _ in rooms_imported(file)}
    if wing_of(file) == "proxy":
        assert wings <= {"proxy", "errors", "numerics", "schedules", "version", "writing", "runs", "notices"}
    elif wing_of(file) not in ("cli", "__main__"):
        assert "proxy" not in wings


def test_the_solver_knows_no_run_log():
    known = {"solver", "solver.sums", "laws", "errors", "memory", "numerics", "duals", "expressions"}
    for file in FILES:
        if wing_of(file) == "solver":
            assert {room for room, _ in rooms_imported(file)} <= known


def circles(graph):
    """The nodes that can be reached from themselves."""

    def reach(node, seen):
        for other in graph.get(node, ()):
            if other not in seen:
                seen.add(other)
                reach(other, seen)
        return seen

    return [node for node in graph if node in reach(node, set())]


def test_rooms_do_not_import_each_other_in_circles():
    graph = {}
    for file in FILES:
        if file.name != "__init__.py":  # the face of a room hands on names of the rooms inside it
            graph.setdefault(room_of(file), set()).update(o for o, _ in rooms_imported(file) if o != room_of(file))
    assert not circles(graph)
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c"]


def test_files_do_not_import_each_other_in_circles():
    """Imports inside functions count as well; only figures, which a method may ask for, are left out."""
    modules = {f"scalefit.{module_of(file)}" for file in FILES}
    graph = {}
    for file in FILES:
        if file.name == "__init__.py":
            continue
        wanted = {module for module, _ in imports_of(file) if module in modules}
        graph[f"scalefit.{module_of(file)}"] = wanted
    assert not circles(graph)


def test_no_room_has_more_than_fourteen_files():
    counts = {}
    for file in FILES:
        if file.name != "__init__.py":
            counts.setdefault("" if file.parent == PACKAGE else room_of(file), []).append(file.name)
    crowded = {room: len(names) for room, names in counts.items() if len(names) > MOST_FILES}
    assert not crowded.keys() - REGISTRIES
    assert all((PACKAGE / room.replace(".", "/") / "__init__.py").exists() for room in counts)


TESTS = PACKAGE.parent / "tests"


def test_the_tests_mirror_the_package():
    """A test of a room lies in the folder of that name; what concerns all rooms lies beside this file."""
    folders = {str(path.parent.relative_to(TESTS)) for path in TESTS.rglob("test_*.py")} - {".", "writers"}
    assert all((PACKAGE / folder).is_dir() for folder in folders)
    rooms = {room.split(".")[0] for room in FLOORS if (PACKAGE / room.split(".")[0]).is_dir()}
    assert {room for room in rooms if not list((TESTS / room).glob("test_*.py"))} == set()
    names = [path.name for path in TESTS.rglob("test_*.py")]
    assert len(set(names)) == len(names), "two test files of one name"


@each_file
def test_habits(file):
    nodes = nodes_of(file)
    calls = {node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not calls & {"print", "eval", "exec", "breakpoint"}
    assert not {module.split(".")[0] for module, _ in imports_of(file)} & {"dill", "shelve", "marshal"}
    assert not re.search(r"pickle\.(load|dump)|weights_only=False|allow_pickle=True", file.read_text(encoding="utf-8"))
    for node in nodes:
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
    for node in nodes_of(file):
        if isinstance(node, ast.FunctionDef):
            body = [statement for statement in node.body if not isinstance(statement, ast.Expr)] or node.body
            assert body[-1].end_lineno - body[0].lineno + 1 <= LONGEST_FUNCTION, f"line {node.lineno}: {node.name}"
            assert max(depth(statement) for statement in node.body) <= DEEPEST, f"line {node.lineno}: {node.name}"


def test_the_public_names():
    assert sorted(scalefit.__all__) == sorted({*scalefit._PLACES, *scalefit._TWINS, "__version__"} - {"next"})
    assert all(getattr(scalefit, short) is getattr(scalefit, name) for short, name in scalefit._TWINS.items())
    assert set(scalefit.__all__) <= set(dir(scalefit))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        scalefit.nothing  # noqa: B018
    seen_by_checkers = {
        alias.asname or alias.name
        for node in ast.walk(tree_of(PACKAGE / "__init__.py"))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("scalefit")
        for alias in node.names
    }
    assert seen_by_checkers == {*scalefit._PLACES, *scalefit._TWINS, "__version__"}


@commands.cases("name", sorted(scalefit._PLACES))
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


# --- what a call hands on ---------------------------------------------------------------------------------------------


def arguments_of(node):
    """The names of the arguments or fields in order, and those of them that may be left out."""
    if isinstance(node, ast.ClassDef):
        fields = [part for part in node.body if isinstance(part, ast.AnnAssign)]
        return [ast.unparse(part.target) for part in fields], {ast.unparse(f.target) for f in fields if f.value}
    named = [each.arg for each in (*node.args.posonlyargs, *node.args.args)]
    only = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
    late = {*named[len(named) - len(node.args.defaults) :], *(each.arg for each, value in only if value)}
    return [name for name in named if name not in ("self", "cls")], late


@cache
def signatures():
    """Each function and class that has a name of its own, with what it takes."""
    found = {}
    for file in FILES:
        for node in nodes_of(file):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                found.setdefault(node.name, []).append(arguments_of(node))
    return {name: each[0] for name, each in found.items() if len(each) == 1}


def last_word(node):
    """The name of a variable, or of the attribute of something."""
    return getattr(node, "id", getattr(node, "attr", ""))


def calls_in(nodes):
    """Each call in which every argument is in view, and the arguments of the functions around it."""
    around = {}
    for function in (node for node in nodes if isinstance(node, ast.FunctionDef)):
        own = {each.arg for each in ast.walk(function.args) if isinstance(each, ast.arg)}
        for inner in ast.walk(function):
            if isinstance(inner, ast.Call):
                around[id(inner)] = around.get(id(inner), set()) | own
    for node in nodes:
        plain = isinstance(node, ast.Call) and ast.Starred not in map(type, node.args)
        if plain and last_word(node.func) in signatures() and all(each.arg for each in node.keywords):
            yield node, last_word(node.func), around.get(id(node), set())


#: arguments that mean something else in the function that is called
OTHERWISE = {
    "load_fit": {"law"},  # the law that a file names, not the one to be fitted to runs
    "new_axes": {"size"},  # of a figure, not of a model
    "power_of_ten": {"position"},  # what matplotlib gives
    "brief": {"most"},  # letters, not rows
    "refuse_mixed": {"arms"},  # whether the message speaks of them
    "refuse_target": {"over"},  # a word of the message
    "best_lr": {"seed"},  # of each run, not of the draws
    "write_text": {"kind"},  # a method of paths
    "own_curve": {"steps"},  # of the run so far, not of its rest
    "Solution": {"theta"},  # its length, for the number of free parameters
    "LearningRates": {"rows"},  # the logged learning rates, not the numbers of rows
}


def ill_handed_on(nodes):
    """Options that a function has under the name that they have in a function it calls, and does not give to it; and
    arguments by position at another place than that of the argument which has their name."""
    for node, name, around in calls_in(nodes):
        named, optional = signatures()[name]
        words = [last_word(each) for each in node.args]
        left = (optional & around) - {each.arg for each in node.keywords} - {*named[: len(words)]}
        yield from (
            f"line {node.lineno}: {name} is not given {each}" for each in sorted(left - OTHERWISE.get(name, set()))
        )
        for word in {*words[: len(named)]} & {*named[: len(words)]} - OTHERWISE.get(name, set()) - {"name"}:
            if words[named.index(word)] != word:
                yield f"line {node.lineno}: {name} is given {word} at another place"


@each_file
def test_arguments_are_handed_on_under_their_names(file):
    assert not list(ill_handed_on(nodes_of(file)))


def test_what_is_ill_handed_on_is_found():
    told = ast.parse("def ask(every):\n    return gather(runs, law)\n\ndef ahead(target):\n    gather(law, runs)")
    assert sorted(ill_handed_on(list(ast.walk(told)))) == [
        *(f"line 2: gather is given {word} at another place" for word in ("law", "runs")),
        "line 5: gather is not given target",
    ]


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


def test_what_reads_logs_loads_no_torch():
    modules = [
        f"scalefit.{module_of(file)}"
        for file in FILES
        if wing_of(file) not in ("proxy", "cli", "__main__") and file.name != "__init__.py"
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
