"""Detect state shared between two calls of `build`, and find the line that creates it.

Each call must make a new network: a shared layer or optimizer would carry state from one training
to the next, and results would depend on more than params and seeds.
"""

import ast
import inspect
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from objectives.errors import ModelError
from objectives.source import function_of

_DEEPEST = 3  # nested containers that are searched


def refuse_shared(first: Any, second: Any, build: Callable[..., Any]) -> None:
    """Refuse networks that share weights, other state of layers, or an optimizer.

    Args:
        first, second: Keras models from two calls of `build`.
        build: The user's function.

    Raises:
        ModelError: Names the shared object, and the line that creates it, if known.
    """
    if first is second:
        raise _refusal("the model", first, build)
    kept = {id(layer) for layer in _layers(first)}
    # A shared layer without state, such as Flatten, does no harm.
    for layer in _layers(second):
        if id(layer) in kept and layer.variables:
            raise _refusal(f"the layer '{layer.name}'", layer, build)
    optimizer = getattr(second, "optimizer", None)
    if optimizer is not None and optimizer is getattr(first, "optimizer", None):
        raise _refusal("the optimizer", optimizer, build)
    own = {id(variable) for variable in first.variables}
    for variable in second.variables:
        if id(variable) in own:
            raise _refusal(f"the variable '{variable.name}'", variable, build)


def refuse_layers_of_file(build: Callable[..., Any]) -> None:
    """Refuse a layer that is created while the file of `build` is imported; name its line."""
    import keras

    for name, value in list(_globals_of(build).items()):
        layer = _find(value, lambda one: isinstance(one, keras.Layer), _DEEPEST)
        if layer is not None:
            raise _refusal(f"the layer '{layer.name}'", layer, build, name)


def _layers(network: Any) -> Iterable[Any]:
    """Return the layers of a network at any depth, outer ones first."""
    layers: Iterable[Any] = network._flatten_layers(include_self=False, recursive=True)
    return layers


def _globals_of(build: Callable[..., Any]) -> dict[str, Any]:
    return getattr(function_of(build), "__globals__", {})


def _refusal(
    what: str, shared: Any, build: Callable[..., Any], name: str | None = None
) -> ModelError:
    names = _globals_of(build)
    if name is None:
        holding = (n for n, v in names.items() if _find(v, lambda one: one is shared, _DEEPEST))
        name = next(holding, None)
    file = getattr(getattr(function_of(build), "__code__", None), "co_filename", "")
    place = Path(file).name if file else "build"
    made = "made once and not in each call of build"
    if name is not None:
        line = _line_of(file, name)
        place += f":{line}" if line else ""
        part = "" if names[name] is shared else "part of "
        made = f"{part}'{name}', which is made while the file is imported"
    return ModelError(
        f"{place}: the networks of build share {what}: it is {made}",
        "move it into build, so that each call makes its own",
    )


def _find(value: Any, is_meant: Callable[[Any], bool], depth: int) -> Any:
    """Return the first object in a value, container, class or model that `is_meant`; or None."""
    if is_meant(value):
        return value
    if depth == 0 or inspect.ismodule(value):
        return None
    found = (_find(part, is_meant, depth - 1) for part in _parts(value))
    return next((one for one in found if one is not None), None)


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, list | tuple | set | frozenset):
        return list(value)
    if inspect.isclass(value):
        return list(vars(value).values())
    if hasattr(value, "_flatten_layers"):
        with suppress(Exception):  # a layer whose __init__ failed
            return [*_layers(value), *value.variables]
    return []


def _line_of(file: str, name: str) -> int | None:
    """Return the line of the file's last statement that assigns a name at the top level."""
    line = None
    with suppress(OSError, SyntaxError, ValueError):
        for node in ast.parse(Path(file).read_bytes()).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                bound = [node.name]
            else:
                names = (part for part in ast.walk(node) if isinstance(part, ast.Name))
                bound = [part.id for part in names if isinstance(part.ctx, ast.Store)]
            if name in bound:
                line = node.lineno
    return line
