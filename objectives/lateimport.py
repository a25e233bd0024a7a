"""Modules that Keras imports and training never uses, loaded when somebody first uses them.

`keras.wrappers` imports scikit-learn where that is installed, and with it most of SciPy: a fifth
of the time that Keras and TensorFlow take to import, in every worker.
"""

import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

LATE = ("keras.wrappers", "keras._tf_keras.keras.wrappers")


class _LateFinder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return a module of `LATE` as one that runs at the first look at what is in it."""
        if fullname not in LATE:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = importlib.util.LazyLoader(spec.loader)
        return spec


_FINDER = _LateFinder()


def import_late() -> None:
    """Let this process load the modules of `LATE` at their first use; again changes nothing."""
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)
