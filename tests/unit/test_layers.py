"""Who may import whom: packages, floors, no circle; what each room holds.

`broken_rules` is the checker: it gets one module's source and names each rule that it breaks. The
second half of the file shows that it fails on a made-up module for each rule.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("study", "objectives", "storage")

# The floors of each package, lowest first. A module imports its own room and lower floors.
FLOORS = {
    "study": """
        errors text options
        spec
        machine
        view
        worker | report | dashboard
        run
        finalize
        cli
        __main__ | demo
    """,
    "objectives": """
        errors
        files
        space
        base
        framework | refit | synthetic
        source
        data
        network
        load
    """,
    "storage": """
        errors attrs ends
        database
        rdb | reading
        slots | registry | copying
    """,
}
MOST_NAMES = {"study": 14, "objectives": 12, "storage": 9}
MOST_MODULES = 14

# Which other rooms a room may import.
MAY_IMPORT = {"study": {"storage", "objectives"}, "storage": set(), "objectives": set()}
SPEAKS_SQL = {"sqlalchemy", "alembic", "sqlite3", "psycopg", "psycopg2", "pymysql", "MySQLdb"}
TRAINS = {"tensorflow", "keras"}
# Programs of their own; everything else raises, and study/cli/app.py turns that into an exit code.
MAY_EXIT = {"study/cli/app.py", "study/__main__.py", "study/demo.py"}
EXITS = {"sys.exit", "typer.Exit", "typer.Abort", "click.exceptions.Exit", "exit", "quit"}


@dataclass(frozen=True)
class Import:
    """One imported module: its full dotted name, its line, and whether it waits for a call."""

    module: str
    line: int
    in_function: bool

    @property
    def top(self) -> str:
        """The package that the module is in."""
        return self.module.split(".")[0]


def imports(tree: ast.Module, package: str) -> Iterator[Import]:
    """Every import under `tree`, by statement or by a call with a literal name.

    Args:
        tree: The source of one module.
        package: The package it is in, which relative imports start from.
    """
    todo: list[tuple[ast.AST, bool]] = [(tree, False)]
    while todo:
        node, in_function = todo.pop()
        for module in imported_by(node, package):
            yield Import(module, node.lineno, in_function)  # type: ignore[attr-defined]
        inside = in_function or isinstance(
            node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
        )
        todo.extend((child, inside) for child in ast.iter_child_nodes(node))


def imported_by(node: ast.AST, package: str) -> list[str]:
    """The modules that this one node imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        parents = package.split(".")[: len(package.split(".")) - node.level + 1]
        base = ".".join([*(parents if node.level else []), *([node.module] if node.module else [])])
        # `from . import x` and `from storage import x` may each name a module.
        return [f"{base}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.Call) and node.args:
        called = ast.unparse(node.func)
        name = node.args[0]
        if called in {"__import__", "import_module", "importlib.import_module"} and isinstance(
            name, ast.Constant
        ):
            return [str(name.value)]
    return []


def exits(tree: ast.Module) -> Iterator[int]:
    """The line of each call or raise that ends the process."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in EXITS:
            yield node.lineno
        if isinstance(node, ast.Raise) and node.exc is not None:
            raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            name = ast.unparse(raised)
            # A raised call of these was met above, as a call.
            if name == "SystemExit" or (name in EXITS and not isinstance(node.exc, ast.Call)):
                yield node.lineno


def broken_rules(path: str, source: str) -> list[str]:
    """What the module at `path` (from the root, with slashes) breaks, a line for each."""
    tree = ast.parse(source)
    room = path.split("/")[0]
    package = path.rsplit("/", 1)[0].replace("/", ".")
    broken = []
    for found in imports(tree, package):
        where = f"{path}:{found.line}: {found.module}: "
        if found.top in ROOMS and found.top != room and found.top not in MAY_IMPORT[room]:
            broken.append(where + f"{room} must not import {found.top}")
        if found.top in SPEAKS_SQL and room != "storage":
            broken.append(where + "only storage speaks SQL")
        if found.top in TRAINS and room != "objectives":
            broken.append(where + "only objectives imports Keras and TensorFlow")
        if found.top in TRAINS and not found.in_function:
            broken.append(where + "imported before anything trains; import it in the function")
        if path.endswith("__init__.py"):
            broken.append(where + "a package's __init__ imports nothing")
    if path not in MAY_EXIT:
        broken += [f"{path}:{line}: only study/cli/app.py ends the process" for line in exits(tree)]
    return broken


@pytest.mark.parametrize("room", ROOMS)
def test_room_keeps_the_import_rules(room: str) -> None:
    """No module of the room breaks a rule, wherever in it the import stands."""
    files = sorted((ROOT / room).rglob("*.py"))
    assert files
    broken = [
        line
        for file in files
        for line in broken_rules(file.relative_to(ROOT).as_posix(), file.read_text("utf-8"))
    ]
    assert not broken, "\n".join(broken)


VIOLATIONS = {
    "storage imports study": (
        "storage/slots/slots.py",
        "from study.spec.spec import StudySpec",
        "storage must not import study",
    ),
    "storage imports objectives": (
        "storage/slots/slots.py",
        "def plan():\n    import objectives.space.space",
        "storage must not import objectives",
    ),
    "objectives imports storage": (
        "objectives/network/cnn.py",
        "try:\n    import storage\nexcept ImportError:\n    pass",
        "objectives must not import storage",
    ),
    "objectives imports study": (
        "objectives/deep/cnn.py",
        "from importlib import import_module\nspec = import_module('study.spec.spec')",
        "objectives must not import study",
    ),
    "study speaks SQL": (
        "study/worker/worker.py",
        "def work():\n    from sqlalchemy import text",
        "only storage speaks SQL",
    ),
    "study trains": (
        "study/finalize/finalize.py",
        "def retrain():\n    import keras",
        "only objectives imports Keras and TensorFlow",
    ),
    "TensorFlow at module level": (
        "objectives/network/training.py",
        "import tensorflow as tf",
        "import it in the function",
    ),
    "Keras in a class body": (
        "objectives/network/training.py",
        "class Callback:\n    from keras.callbacks import Callback as base",
        "import it in the function",
    ),
    "__init__ imports": (
        "study/__init__.py",
        "from . import cli",
        "__init__ imports nothing",
    ),
    "sys.exit": ("study/worker/worker.py", "import sys\nsys.exit(1)", "only study/cli/app.py ends"),
    "SystemExit": ("storage/rdb.py", "raise SystemExit", "only study/cli/app.py ends"),
    "SystemExit with a code": (
        "storage/rdb.py",
        "raise SystemExit(3)",
        "only study/cli/app.py ends",
    ),
    "typer.Exit": (
        "study/view/watch.py",
        "import typer\nraise typer.Exit(1)",
        "only study/cli/app.py ends",
    ),
}


@pytest.mark.parametrize(("path", "source", "rule"), VIOLATIONS.values(), ids=list(VIOLATIONS))
def test_checker_fails_on_a_violation(path: str, source: str, rule: str) -> None:
    """Each rule has a module that breaks it, and the checker names that rule alone."""
    (line,) = broken_rules(path, source)
    assert rule in line


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("study/worker/worker.py", "from storage.rdb import open_storage\nimport objectives.base"),
        ("study/worker/worker.py", "from . import spec\nfrom .spec import StudySpec"),
        (
            "objectives/network/training.py",
            "def fit():\n    import keras\n    import tensorflow as tf",
        ),
        ("storage/rdb.py", "import sqlalchemy\nfrom storage.attrs import SLOT"),
        ("study/cli/app.py", "import sys\nsys.exit(2)"),
        ("study/worker/worker.py", "try:\n    work()\nexcept SystemExit:\n    raise"),
    ],
)
def test_checker_passes_what_is_allowed(path: str, source: str) -> None:
    """The rules are no stricter than they are written."""
    assert broken_rules(path, source) == []


def floor_of(module: str) -> tuple[int, str] | None:
    """The floor of a module, from 0, and its room there; None: it is on none."""
    package, *names = module.split(".")
    name = "__main__" if names[-1:] == ["__main__"] else names[0] if names else ""
    for number, floor in enumerate(FLOORS[package].split("\n")):
        for room in floor.split("|"):
            if name in room.split():
                return number, room
    return None


def own_imports(files: dict[str, str]) -> dict[str, set[str]]:
    """Which modules each module imports, wherever in it; strings that name a module count.

    Args:
        files: Module to source.
    """
    found: dict[str, set[str]] = {}
    for module, source in files.items():
        tree = ast.parse(source)
        named = {one.module for one in imports(tree, module.rpartition(".")[0])}
        named |= {
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        # `imports` gives the full name of what is taken from a module.
        named |= {name.rpartition(".")[0] for name in named}
        found[module] = (named & set(files)) - {module}
    return found


def broken_floors(files: dict[str, str]) -> list[str]:
    """Each import that goes up, or to another room on the same floor."""
    broken = []
    for module, imported in own_imports(files).items():
        for other in sorted(imported):
            here, there = floor_of(module), floor_of(other)
            if module.split(".")[0] != other.split(".")[0] or here == there:
                continue
            if here is None or there is None or there[0] >= here[0]:
                broken.append(f"{module} imports {other}")
    return broken


def circles(files: dict[str, str]) -> list[list[str]]:
    """The groups of modules that import one another, directly or by way of others."""
    reaches: dict[str, set[str]] = {}
    imported = own_imports(files)
    for module in imported:
        seen: set[str] = set()
        todo = list(imported[module])
        while todo:
            one = todo.pop()
            if one not in seen:
                seen.add(one)
                todo.extend(imported[one])
        reaches[module] = seen
    groups = {
        tuple(sorted(m for m in reaches[start] if start in reaches[m]))
        for start in reaches
        if start in reaches[start]
    }
    return [list(group) for group in sorted(groups)]


def sources() -> dict[str, str]:
    """Every module of the three packages that is no `__init__`, with its source."""
    return {
        path.relative_to(ROOT).with_suffix("").as_posix().replace("/", "."): path.read_text("utf-8")
        for package in ROOMS
        for path in sorted((ROOT / package).rglob("*.py"))
        if path.name != "__init__.py"
    }


def test_modules_import_lower_floors_alone() -> None:
    """No import goes up a floor, or into another room of the same one."""
    files = sources()
    assert [module for module in files if floor_of(module) is None] == []
    assert broken_floors(files) == []


def test_no_modules_import_one_another() -> None:
    """There is no circle, imports in functions and names in strings included."""
    assert circles(sources()) == []


UPWARDS = {
    "up": {"study.spec.spec": "from study.cli.app import main", "study.cli.app": ""},
    "up, in a function": {
        "study.machine.gpus": "def f():\n    from study.run import create",
        "study.run.create": "",
    },
    "by a string": {"study.spec.a": "module = 'study.worker.b'", "study.worker.b": ""},
    "by import_module": {
        "objectives.base": "import importlib\nimportlib.import_module('objectives.data.cache')",
        "objectives.data.cache": "",
    },
    "to a room beside": {
        "study.worker.trial": "import study.report.page",
        "study.report.page": "",
    },
    "from no floor": {"storage.new": "import storage.attrs", "storage.attrs": ""},
}


@pytest.mark.parametrize("files", UPWARDS.values(), ids=UPWARDS)
def test_floor_checker_sees_an_import_that_goes_up(files: dict[str, str]) -> None:
    """The check can fail."""
    assert len(broken_floors(files)) == 1


def test_floor_checker_passes_imports_that_go_down() -> None:
    """The floors are no stricter than they are written."""
    files = {
        "study.finalize.__main__": "from study.__main__ import main",
        "study.__main__": "from study.cli.app import main",
        "study.cli.app": "from study.spec import spec\nimport storage.slots.slots",
        "study.spec.spec": "from study.options import Sampler",
        "study.options": "import study.errors",
        "study.errors": "",
        "storage.slots.slots": "",
    }
    assert broken_floors(files) == []


CIRCLES = {
    "of two": {"a.x": "import a.y", "a.y": "from a import x"},
    "of three, one in a function": {
        "a.x": "from a.y import z",
        "a.y": "def f():\n    from a import z",
        "a.z": "import a.x",
    },
    "by import_module": {"a.x": "import_module('a.y')", "a.y": "from a.x import f"},
}


@pytest.mark.parametrize("files", CIRCLES.values(), ids=CIRCLES)
def test_circle_checker_sees_a_circle(files: dict[str, str]) -> None:
    """The check can fail, and names all that are in the circle."""
    assert circles({**files, "a.w": "import a.x"}) == [sorted(files)]


def test_circle_checker_passes_a_diamond() -> None:
    """Two ways to one module are no circle."""
    assert (
        circles({"a.x": "import a.y, a.z", "a.y": "import a.w", "a.z": "import a.w", "a.w": ""})
        == []
    )


def folders() -> list[Path]:
    """Every folder of the three packages that holds modules."""
    found = {path.parent for package in ROOMS for path in (ROOT / package).rglob("*.py")}
    return sorted(found)


def names_in(folder: Path) -> set[str]:
    """Modules and rooms of a folder, as one who opens it sees them."""
    return {
        path.name + "/" if path.is_dir() else path.stem
        for path in folder.iterdir()
        if path.name not in {"__init__.py", "__main__.py", "__pycache__"}
        and (path.is_dir() or path.suffix == ".py")
    }


def told_names(source: str) -> set[str]:
    """The names that the docstring of a package has lines for."""
    document = ast.get_docstring(ast.parse(source)) or ""
    return set(re.findall(r"^ *([a-z_]+/?)  +\S", document, flags=re.MULTILINE))


@pytest.mark.parametrize("folder", folders(), ids=lambda path: str(path.relative_to(ROOT)))
def test_room_says_what_is_in_it(folder: Path) -> None:
    """The docstring of `__init__.py` has one line for each file, and nothing else is in there."""
    source = (folder / "__init__.py").read_text("utf-8")
    assert told_names(source) == names_in(folder)
    assert len(ast.parse(source).body) == 1, "a package's __init__ holds a docstring alone"


@pytest.mark.parametrize("folder", folders(), ids=lambda path: str(path.relative_to(ROOT)))
def test_room_is_no_hall(folder: Path) -> None:
    """A folder shows few names."""
    names = names_in(folder)
    assert len(names) <= MOST_NAMES.get(folder.relative_to(ROOT).as_posix(), MOST_MODULES)
    assert len([name for name in names if not name.endswith("/")]) <= MOST_MODULES


def test_room_checker_sees_a_missing_line() -> None:
    """The docstring's names are read, continued lines aside."""
    document = '"""A room.\n\na_file   one\n         two words\nroom/    more\n"""'
    assert told_names(document) == {"a_file", "room/"}


def loaded_by(statement: str, packages: tuple[str, ...]) -> list[str]:
    """Which of `packages` a fresh interpreter holds after `statement`."""
    report = f"import sys\n{statement}\nprint(*(p for p in {packages!r} if p in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", report],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_command_line_loads_nothing_heavy() -> None:
    """`study --help` is quick because none of these is loaded to answer it."""
    heavy = ("tensorflow", "keras", "optuna", "pandas")
    assert loaded_by("import study.cli.app", heavy) == []


def test_rooms_load_without_tensorflow() -> None:
    """No module of any room loads TensorFlow or Keras when it is imported."""
    modules = [
        path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
        for room in ROOMS
        for path in sorted((ROOT / room).rglob("*.py"))
        if path.name not in {"__init__.py", "__main__.py"}
    ]
    statement = "\n".join(f"import {module}" for module in modules)
    assert loaded_by(statement, ("tensorflow", "keras")) == []


def test_fresh_interpreter_check_can_fail() -> None:
    """A heavy package that is loaded on the way is seen."""
    assert loaded_by("import optuna.version", ("tensorflow", "optuna")) == ["optuna"]
