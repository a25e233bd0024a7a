"""What loading a `.keras` file takes, and whether it gives the model that was saved.

A user's model may hold classes and functions of the user's, and Python lambdas. This file reads
from the file which of them it needs, and tries the loading with what the user's code has.
"""

import json
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objectives.errors import ModelError
from objectives.framework.sentence import one_line
from objectives.source import function_of

LAMBDA = "Lambda"
"""Stands among the needs of a file for a Python lambda, which loads with `safe_mode=False`."""

_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Needs:
    """What a file needs beyond Keras.

    Attributes:
        custom: Names to give as `custom_objects`, in order.
        registered: Names as in "package>Name", which the user's code registers when it is run.
        has_lambda: Whether it holds a Python lambda.
    """

    custom: tuple[str, ...]
    registered: tuple[str, ...]
    has_lambda: bool

    @property
    def names(self) -> tuple[str, ...]:
        """All of them as plain names; empty where Keras alone loads the file."""
        return (*self.custom, *self.registered, *((LAMBDA,) if self.has_lambda else ()))


def needs_of(path: Path) -> Needs:
    """Return what a `.keras` file needs."""
    with zipfile.ZipFile(path) as archive:
        left: list[Any] = [json.loads(archive.read("config.json"))]
    names, has_lambda = set(), False
    while left:
        item = left.pop()
        if isinstance(item, dict):
            left += item.values()
            name, module = item.get("class_name"), item.get("module")
            own = isinstance(module, str) and module.partition(".")[0] != "keras"
            if name == "__lambda__":
                has_lambda = True
            elif name == "function":  # Keras writes its own ones as text
                names.add(str(item.get("config")))
            elif name and own and module != "builtins":
                names.add(str(item.get("registered_name") or name))
        elif isinstance(item, list):
            left += item
    registered = {name for name in names if ">" in name}
    return Needs(tuple(sorted(names - registered)), tuple(sorted(registered)), has_lambda)


def namespace_of(build: Any) -> Mapping[str, Any]:
    """Return the names at the top level of the file that `build` stands in."""
    found: Mapping[str, Any] = getattr(function_of(build), "__globals__", {})
    return found


def check_loading(
    path: Path, model: Any, namespace: Mapping[str, Any], images: NDArray[np.uint8]
) -> Needs:
    """Load the file as a person would, and compare what it predicts.

    Args:
        path: The file.
        model: From `serving_model`; what was saved.
        namespace: From which `custom_objects` are taken.
        images: A few raw ones.

    Returns:
        What was needed.

    Raises:
        ModelError: It cannot be loaded, or predicts something else.
    """
    import keras

    needs = needs_of(path)
    missing = [name for name in needs.custom if name not in namespace]
    if missing:
        raise ModelError(
            f"it needs {', '.join(missing)}, which is no name at the top of the model's file",
            "define or import what layers use at the top of the file, not inside build",
        )
    custom = {name: namespace[name] for name in needs.custom}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = keras.models.load_model(
                path, custom_objects=custom, compile=False, safe_mode=not needs.has_lambda
            )
            again = _predicted(loaded, images)
    except Exception as error:
        raise ModelError(
            f"it cannot be loaded again: {type(error).__name__}: {_said(error)}",
            _hint_of(needs, error),
        ) from error
    before = _predicted(model, images)
    # A model that draws numbers when it predicts never says the same twice.
    if _agree(before, _predicted(model, images)) and not _agree(before, again):
        raise ModelError(
            "it predicts something else when it is loaded again",
            "keep numbers of a layer of your own as weights, or return them from its get_config()",
        )
    return needs


def _said(error: Exception) -> str:
    return one_line(str(error)) or "no message"


def _hint_of(needs: Needs, error: Exception) -> str:
    if needs.has_lambda:
        return (
            "once it is loaded, a lambda knows its argument alone: put a function with a name, at "
            "the top of the file, in its place"
        )
    if "function identifier" in str(error):  # a lambda that is no layer's leaves no trace
        return "put a function with a name, at the top of the file, in the place of a lambda"
    return "let get_config() of each layer of your own return all arguments of its __init__"


def _predicted(model: Any, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(model.predict_on_batch(images), np.float32)


def _agree(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    return one.shape == other.shape and np.allclose(one, other, atol=_TOLERANCE)
