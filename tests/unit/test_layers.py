"""Who may import whom, held by reading every import in the source, and by fresh interpreters.

`broken_rules` is the checker: it gets one module's source and names each rule that it breaks. The
second half of the file shows that it fails on a made-up module for each rule.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("study", "objectives", "storage")

# Which other rooms a room may import.
MAY_IMPORT = {"study": {"storage", "objectives"}, "storage": set(), "objectives": set()}
SPEAKS_SQL = {"sqlalchemy", "alembic", "sqlite3", "psycopg", "psycopg2", "pymysql", "MySQLdb"}
TRAINS = {"tensorflow", "keras"}
# Programs of their own; everything else raises, and study/cli.py turns that into an exit code.
MAY_EXIT = {"study/cli.py", "study/__main__.py", "study/demo.py"}
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
        broken += [f"{path}:{line}: only study/cli.py ends the process" for line in exits(tree)]
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
        "storage/slots.py",
        "from study.spec import StudySpec",
        "storage must not import study",
    ),
    "storage imports objectives": (
        "storage/slots.py",
        "def plan():\n    import objectives.space",
        "storage must not import objectives",
    ),
    "objectives imports storage": (
        "objectives/cnn.py",
        "try:\n    import storage\nexcept ImportError:\n    pass",
        "objectives must not import storage",
    ),
    "objectives imports study": (
        "objectives/deep/cnn.py",
        "from importlib import import_module\nspec = import_module('study.spec')",
        "objectives must not import study",
    ),
    "study speaks SQL": (
        "study/worker.py",
        "def work():\n    from sqlalchemy import text",
        "only storage speaks SQL",
    ),
    "study trains": (
        "study/finalize.py",
        "def retrain():\n    import keras",
        "only objectives imports Keras and TensorFlow",
    ),
    "TensorFlow at module level": (
        "objectives/training.py",
        "import tensorflow as tf",
        "import it in the function",
    ),
    "Keras in a class body": (
        "objectives/training.py",
        "class Callback:\n    from keras.callbacks import Callback as base",
        "import it in the function",
    ),
    "__init__ imports": (
        "study/__init__.py",
        "from . import cli",
        "__init__ imports nothing",
    ),
    "sys.exit": ("study/worker.py", "import sys\nsys.exit(1)", "only study/cli.py ends"),
    "SystemExit": ("storage/rdb.py", "raise SystemExit", "only study/cli.py ends"),
    "SystemExit with a code": ("storage/rdb.py", "raise SystemExit(3)", "only study/cli.py ends"),
    "typer.Exit": ("study/watch.py", "import typer\nraise typer.Exit(1)", "only study/cli.py ends"),
}


@pytest.mark.parametrize(("path", "source", "rule"), VIOLATIONS.values(), ids=list(VIOLATIONS))
def test_checker_fails_on_a_violation(path: str, source: str, rule: str) -> None:
    """Each rule has a module that breaks it, and the checker names that rule alone."""
    (line,) = broken_rules(path, source)
    assert rule in line


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("study/worker.py", "from storage.rdb import open_storage\nimport objectives.base"),
        ("study/worker.py", "from . import spec\nfrom .spec import StudySpec"),
        ("objectives/training.py", "def fit():\n    import keras\n    import tensorflow as tf"),
        ("storage/rdb.py", "import sqlalchemy\nfrom storage.attrs import SLOT"),
        ("study/cli.py", "import sys\nsys.exit(2)"),
        ("study/worker.py", "try:\n    work()\nexcept SystemExit:\n    raise"),
    ],
)
def test_checker_passes_what_is_allowed(path: str, source: str) -> None:
    """The rules are no stricter than they are written."""
    assert broken_rules(path, source) == []


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
    assert loaded_by("import study.cli", heavy) == []


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
