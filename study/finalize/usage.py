"""The lines of Python that load `model.keras`, for the model card.

Such a model may need classes and functions of the file that it comes from, which is run for them,
and `safe_mode=False`. The lines are for the folder in which `model.keras` lies.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from objectives.network.export import LAMBDA


def loading_lines(needs: Sequence[str], reference: str, folder: Path) -> list[str]:
    """Return the lines; the last one binds `model`.

    Args:
        needs: As `objectives.network.export.Needs.names`.
        reference: What the study tunes: "FILE.py:attr", "package.module:attr" or a name.
        folder: That of `model.keras`.
    """
    names = [name for name in needs if name != LAMBDA]
    given = [name for name in names if ">" not in name]  # the others are registered by their file
    lines, arguments = ["import keras"], ['"model.keras"']
    if names:
        source, _, _ = reference.rpartition(":")
        lines = _of_file(source, folder) if source.endswith(".py") else _of_module(source)
        pairs = ", ".join(f'"{name}": own["{name}"]' for name in given)
        arguments += [f"custom_objects={{{pairs}}}"] if given else []
    if LAMBDA in needs:
        arguments.append("safe_mode=False")
    return [*lines, f"model = keras.models.load_model({', '.join(arguments)})"]


def _of_file(file: str, folder: Path) -> list[str]:
    path = os.path.relpath(Path(file).resolve(), folder.resolve())
    return [
        "import runpy, sys",
        "import keras",
        f"sys.path.append({os.path.dirname(path) or '.'!r})  # for what the file imports",
        f"own = runpy.run_path({path!r})",
    ]


def _of_module(module: str) -> list[str]:
    return ["import importlib", "import keras", f"own = vars(importlib.import_module({module!r}))"]
