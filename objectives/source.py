"""Find, import and read Python source named as "FILE.py" or "package.module".

An error in the source becomes one line with file and line number. `load.py` checks the contents.
"""

import __future__

import ast
import difflib
import functools
import hashlib
import importlib
import importlib.util
import random
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np

from objectives.errors import ModelError, ObjectiveError
from objectives.files.limits import MOST_SOURCE
from objectives.files.openfile import read_file
from objectives.framework.runtime import quiet_import
from objectives.framework.sentence import one_line

After = Callable[[str], None]
"""Called with the place "FILE.py:LINE" of each statement of a file after it has run."""

_files: dict[str, str] = {}  # module name to path of imported files


def import_target(
    target: str, after: After | None = None, check: Callable[[bytes], None] | None = None
) -> ModuleType:
    """Return the module that a target names; errors of its code propagate.

    Args:
        target: "FILE.py" or "package.module".
        after: Called after each statement of a file, or once with the name of a module.
        check: Called with the content of a file before any of it runs.

    Raises:
        ModelError: The file or module does not exist.
    """
    if not target.endswith(".py"):
        module = _import_dotted(target)
        if after is not None:
            after(target)
        return module
    source = _read(target)
    if check is not None:
        check(source)
    return _import_file(target, source, after)


def function_of(called: Any) -> Any:
    """Return the function in a decorator, a `functools.partial` or an object with `__call__`."""
    while isinstance(called, functools.partial) or hasattr(called, "__wrapped__"):
        called = called.func if isinstance(called, functools.partial) else called.__wrapped__
    if hasattr(called, "__code__") or not callable(called):
        return called
    return type(called).__call__


def source_bytes(target: str) -> bytes:
    """Return the source of a target without running it.

    Raises:
        ModelError: The target is not found, or cannot be read.
    """
    if target.endswith(".py"):
        return _read(target)
    # Finders of installed packages may raise any exception.
    spec = None
    with suppress(Exception), _folder_on_path(Path.cwd()):
        first, *others = target.split(".")
        spec = importlib.util.find_spec(first)
        for end, _ in enumerate(others, 2):  # step by step, so that no package is imported
            within = None if spec is None else spec.submodule_search_locations
            name = ".".join([first, *others][:end])
            spec = PathFinder.find_spec(name, within) if within is not None else None
    if spec is None:
        raise ModelError(f"no module {target!r} here", "set PYTHONPATH, or FILE.py:attr")
    with suppress(Exception):
        return bytes(cast(Any, spec.loader).get_data(spec.origin))  # also from a zip archive
    raise ModelError(f"the source of module {target!r} cannot be read", "FILE.py:attr")


def attribute(module: ModuleType, target: str, attr: str) -> Any:
    """Return the attribute of a module; a ModelError suggests a similar name."""
    if not hasattr(module, attr):
        names = [name for name in vars(module) if not name.startswith("_")]
        raise ModelError(f"{target} has no {attr!r}", guess(attr, names))
    return getattr(module, attr)


@contextmanager
def user_errors(target: str) -> Iterator[None]:
    """Turn an exception of the user's code into a one-line ModelError with file and line."""
    try:
        yield
    except ObjectiveError:
        raise
    except (Exception, SystemExit) as error:
        # SystemExit: a file that calls sys.exit() must not end this program.
        path = str(Path(target).resolve())
        if isinstance(error, SyntaxError) and error.filename:
            place = target if error.filename == path else error.filename
            raise ModelError(f"{place}:{error.lineno}: syntax error: {error.msg}") from error
        place = _place(error, target, path)
        text = one_line(str(error))
        hint = None
        if isinstance(error, ModuleNotFoundError) and error.name:
            hint = f"install {error.name} where study runs"
            if error.name.partition(".")[0] in ("keras", "tensorflow"):
                hint = f"Keras 3 has no {error.name}: find its new place in Keras's API"
        raise ModelError(f"{place}: {type(error).__name__}: {text}", hint) from error


def _place(error: BaseException, target: str, path: str) -> str:
    """Return file and line of an error: last in the user's file, else last in foreign code."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename == path]
    if own:
        return f"{target}:{own[-1].lineno}"
    ours = Path(__file__).parent
    others = [
        f for f in frames if f.filename[0] != "<" and not Path(f.filename).is_relative_to(ours)
    ]
    if target.endswith(".py") or not others:
        return target
    return f"{others[-1].filename}:{others[-1].lineno}"


def guess(name: str, names: Iterable[str]) -> str | None:
    """Return a hint with the most similar of `names`, if any."""
    close = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {close[0]}?" if close else None


def _import_file(target: str, source: bytes, after: After | None) -> ModuleType:
    """Run a user's file as a module that is named after its path.

    The import system would write `__pycache__` beside it, and miss an edit in the same second.
    """
    path = Path(target).resolve()
    stem = re.sub(r"\W", "_", path.stem)
    name = f"user_{stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None:
        raise ModelError(f"{target}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # pickle and Keras find classes here
    try:
        with _folder_on_path(path.parent), quiet_import(), _alike_everywhere(str(path)):
            _run(source, str(path), module, target, after)
    except BaseException:
        del sys.modules[name]
        raise
    # Lets processes that are started later import the file, too.
    _files[name] = str(path)
    sys.path[sys.path.index(str(path.parent))] = _Folder(path.parent)
    return module


@contextmanager
def _alike_everywhere(name: str) -> Iterator[None]:
    """Seed Python's and NumPy's generators for an import, and hide this program's arguments.

    Keras draws the seed of an initializer from `random`: every process must draw the same.
    """
    states, arguments = (random.getstate(), np.random.get_state()), sys.argv
    random.seed(0)
    np.random.seed(0)
    sys.argv = [name]
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        sys.argv = arguments


def _run(source: bytes, path: str, module: ModuleType, target: str, after: After | None) -> None:
    """Run the source in a module, statement by statement if `after` is given."""
    whole = compile(source, path, "exec", dont_inherit=True)
    if after is None:
        exec(whole, module.__dict__)
        return
    tree = ast.parse(source, path)
    module.__doc__ = ast.get_docstring(tree, clean=False)
    for node in tree.body:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue  # compiled alone, it would become the module's docstring
        alone = ast.Module([node], type_ignores=[])
        # A `from __future__` import holds for all statements.
        flags = whole.co_flags & __future__.annotations.compiler_flag
        exec(compile(alone, path, "exec", flags, dont_inherit=True), module.__dict__)
        after(f"{target}:{node.lineno}")


def _import_dotted(target: str) -> ModuleType:
    if not all(part.isidentifier() for part in target.split(".")):
        raise ModelError(f"{target!r} is neither a FILE.py nor a package.module")
    try:
        with _folder_on_path(Path.cwd()), quiet_import(), _alike_everywhere(target):
            return importlib.import_module(target)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{target}.".startswith(f"{error.name}."):
            raise
        raise ModelError(f"no module {error.name!r}", "set PYTHONPATH, or FILE.py:attr") from None


def _read(target: str) -> bytes:
    try:
        return read_file(target, MOST_SOURCE)
    except FileNotFoundError:
        raise ModelError(f"no such file: {target}") from None
    except OSError as error:
        raise ModelError(f"{target}: cannot be read: {error.strerror}") from None


@contextmanager
def _folder_on_path(folder: Path) -> Iterator[None]:
    """Put a folder first on `sys.path`, as Python does for a script, and last afterwards.

    It stays on the path for imports inside the user's functions.
    """
    entry = str(folder)
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        with suppress(ValueError):
            sys.path.remove(entry)
        if entry not in sys.path:
            sys.path.append(entry)


class _Folder(str):
    """An entry of `sys.path`; unpickling it gives a plain str and makes the files importable."""

    __slots__ = ()

    def __reduce__(self) -> tuple[Any, ...]:
        return _take_over, (str(self), dict(_files))


def _take_over(folder: str, files: dict[str, str]) -> str:
    if not _files:
        sys.meta_path.append(_Finder())
        sys.dont_write_bytecode = True  # no `__pycache__` beside the user's file
    _files.update(files)
    return folder


class _Finder(MetaPathFinder):
    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        file = _files.get(fullname)
        return None if file is None else importlib.util.spec_from_file_location(fullname, file)
