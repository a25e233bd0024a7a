"""Modules that Keras imports and training never uses: loaded at their first use, or not at all.

`keras.wrappers` imports scikit-learn where that is installed, and with it most of SciPy: a fifth
of the time that Keras and TensorFlow take to import, in every worker. pandas takes half a second
and 30 MiB, and with pyarrow 65.
"""

import contextlib
import importlib.util
import sys
from collections.abc import Iterator, Sequence
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


@contextlib.contextmanager
def without_pandas() -> Iterator[None]:
    """Hide pandas from what is imported meanwhile; what is loaded already stays.

    Keras then takes no DataFrames as long as this process lives, so this is only for a process in
    which nobody else's code runs. Loading it late would not do: Keras looks into it at once.
    """
    if "pandas" in sys.modules:
        yield
        return
    sys.modules["pandas"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["pandas"]
