"""Whether two calls of `build` give networks that share state, and where that state is made.

A network must be new with each call: what an earlier training left in a layer or an optimizer would
go into the next one, and slots would no longer be functions of their params and seeds.
"""

import ast
import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from objectives.errors import ModelError

_DEEPEST = 3  # containers within containers in which a thing is looked for


def refuse_shared(first: Any, second: Any, build: Callable[..., Any]) -> None:
    """Refuse networks that share weights, other state of layers, or an optimizer.

    Args:
        first, second: What two calls of `build` returned; each is a Keras model.
        build: Has made them.

    Raises:
        ModelError: Names what is shared, and the line that makes it where that is known.
    """
    if first is second:
        raise _refusal("the model", [first], build)
    kept = {id(layer) for layer in _layers(first)}
    # The same layer without state, such as Flatten, does no harm.
    for layer in _layers(second):
        if id(layer) in kept and layer.variables:
            raise _refusal(f"the layer '{layer.name}'", [layer], build)
    optimizer = getattr(second, "optimizer", None)
    if optimizer is not None and optimizer is getattr(first, "optimizer", None):
        raise _refusal("the optimizer", [optimizer], build)
    own = {id(variable) for variable in first.variables}
    for variable in second.variables:
        if id(variable) in own:
            raise _refusal(f"the variable '{variable.name}'", [variable], build)


def _layers(network: Any) -> Iterator[Any]:
    """Yield the layers of a network at any depth, the outer ones first."""
    yield from network._flatten_layers(include_self=False, recursive=True)


def _refusal(what: str, shared: list[Any], build: Callable[..., Any]) -> ModelError:
    function = inspect.unwrap(build)
    names = getattr(function, "__globals__", {})
    file = getattr(getattr(function, "__code__", None), "co_filename", "")
    named = next((n for n, v in names.items() if _holds(v, shared[0], _DEEPEST)), None)
    place = Path(file).name if file else "build"
    made = "made once and not anew in each call of build"
    if named is not None:
        line = _line_of(file, named)
        place += f":{line}" if line else ""
        made = f"part of '{named}', which is made while the file is imported"
    return ModelError(
        f"{place}: two networks of build share {what}: it is {made}",
        "move it into build, so that each call makes its own",
    )


def _holds(value: Any, wanted: Any, depth: int) -> bool:
    """Whether a value is the wanted thing, or a container or model that has it in it."""
    if value is wanted:
        return True
    if depth == 0 or isinstance(value, type(inspect)):
        return False
    return any(_holds(part, wanted, depth - 1) for part in _parts(value))


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, list | tuple | set | frozenset):
        return list(value)
    if inspect.isclass(value):
        return list(vars(value).values())
    if hasattr(value, "_flatten_layers"):
        with suppress(Exception):  # a layer whose __init__ has not run to its end
            return [*_layers(value), *value.variables]
    return []


def _line_of(file: str, name: str) -> int | None:
    """Return the line of the file's last statement that binds a name at the top level."""
    line = None
    with suppress(OSError, SyntaxError, ValueError):
        for node in ast.parse(Path(file).read_bytes()).body:
            bound = {
                part.id
                for part in ast.walk(node)
                if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
            }
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                bound = {node.name}
            if name in bound:
                line = node.lineno
    return line
