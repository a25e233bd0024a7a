"""A user's file in processes that `multiprocessing` starts anew, with `spawn` or `forkserver`.

Such a process imports functions and classes by their module's name, and the names of users' files
are ours. What it gets first is `sys.path`, pickled: so an entry of that brings the files along.
"""

import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import ModuleType
from typing import Any

_files: dict[str, str] = {}


def share(module: str, file: str, folder: str) -> None:
    """Let processes that are started from now on import a user's file.

    Args:
        module: The name that it has.
        file: Its path.
        folder: An entry of `sys.path`.
    """
    _files[module] = file
    sys.path[sys.path.index(folder)] = _Folder(folder)


class _Folder(str):
    """An entry of `sys.path`; unpickled, it is a plain one, and the files can be imported."""

    __slots__ = ()

    def __reduce__(self) -> tuple[Any, ...]:
        return _take_over, (str(self), dict(_files))


def _take_over(folder: str, files: dict[str, str]) -> str:
    if not _files:
        sys.meta_path.append(_Finder())
    _files.update(files)
    return folder


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        file = _files.get(fullname)
        if file is None:
            return None
        loader = _Loader(fullname, file)
        return importlib.util.spec_from_file_location(fullname, file, loader=loader)


class _Loader(SourceFileLoader):
    def set_data(self, path: str, data: Any, *, _mode: int = 0o666) -> None:
        """Leave no `__pycache__` beside the file."""
