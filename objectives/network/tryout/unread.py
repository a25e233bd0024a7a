"""Detect params of a search space that no code reads, and warn of them.

Such a param costs trials and changes no value. It is reported only if this is certain: not if a
function in the user's files mentions its name, perhaps in a branch that the try-out did not take.
"""

import ast
import difflib
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Set
from contextlib import suppress
from pathlib import Path
from typing import Any

from objectives.errors import ModelError
from objectives.network.optimizer import TRAINING_DEFAULTS
from objectives.source import function_of
from objectives.space.python import Distribution
from objectives.space.space import SearchSpace


class NotedParams(dict[str, Any]):
    """A dict that adds the name of each read entry to a set.

    Iteration, `**params` and copies count as reading all names.
    """

    def __init__(self, params: Mapping[str, Any], read: set[str]) -> None:
        super().__init__(params)
        self._read = read

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"params is a dict and has no {name!r}: write params['units'] and so on"
        )

    def __reduce__(self) -> Any:
        return dict, (self.copy(),)


def _noting_name(method: Any) -> Callable[..., Any]:
    def noted(self: NotedParams, name: Any, *default: Any) -> Any:
        self._read.add(str(name))
        return method(self, name, *default)

    return noted


def _noting_all(method: Any) -> Callable[..., Any]:
    def noted(self: NotedParams, *other: Any) -> Any:
        self._read.update(dict.keys(self))
        return method(self, *other)

    return noted


# `in` counts as reading: a build may only need to know whether a conditional param was drawn.
for _name in ("__getitem__", "__contains__", "get", "pop", "setdefault"):
    setattr(NotedParams, _name, _noting_name(getattr(dict, _name)))
for _name in ("__iter__", "__reversed__", "__len__", "__eq__", "__ne__", "__or__", "__ror__"):
    setattr(NotedParams, _name, _noting_all(getattr(dict, _name)))
for _name in ("keys", "values", "items", "popitem", "copy"):
    setattr(NotedParams, _name, _noting_all(getattr(dict, _name)))

OF_THE_OPTIMIZER = frozenset(
    [
        "optimizer",
        "learning_rate",
        "sgd_learning_rate",
        "weight_decay",
        "schedule",
        "label_smoothing",
    ]
)
"""Params that training reads only if `build` does not compile the model."""

_ALIASES = {
    "batch_size": "batch batchsize batches bs minibatch minibatchsize",
    "learning_rate": "lr learningrate learnrate initlr initiallr baselr maxlr peaklr",
    "optimizer": "opt optim optimiser optimizername",
    "weight_decay": "wd weightdecay",
    "label_smoothing": "smoothing labelsmooth labelsmoothing",
    "schedule": "scheduler lrschedule lrscheduler learningrateschedule",
}
_MEANT = {alias: name for name, aliases in _ALIASES.items() for alias in aliases.split()}
_EPOCHS = ("epoch", "epochs", "nepochs", "numepochs", "nbepoch", "maxepochs")


def unread(
    space: SearchSpace, read: Set[str], build: Callable[..., Any], *, compiled: bool
) -> list[str]:
    """Return the names of params that neither training nor `build` and callbacks read.

    Args:
        space: The search space of the study.
        read: Names that `build` and callbacks read.
        build: The user's function; its files are searched for the names.
        compiled: Whether `build` compiles the model.
    """
    training = {*TRAINING_DEFAULTS, "sgd_learning_rate"}
    known = training - OF_THE_OPTIMIZER if compiled else training
    # A parent is always used: it decides whether its children are drawn.
    parents = {name for entry in space.entries for name, _ in entry.when}
    left = [name for name in space.names if name not in read | known | parents]
    patterns = _mentioned(build) if left else []
    return [name for name in left if not any(one.fullmatch(name) for one in patterns)]


def refuse_known(names: Iterable[str], space: SearchSpace, *, compiled: bool) -> None:
    """Refuse unread params that training reads under another name, or that are options.

    Raises:
        ModelError: Names the params, with their right names.
    """
    known = []
    for name in names:
        plain = _plain(name)
        meant = _MEANT.get(plain)
        if plain in _EPOCHS:
            known.append((name, "the option --epochs sets it"))
        elif meant == name or meant is None or (compiled and meant in OF_THE_OPTIMIZER):
            continue
        elif meant in space.names:
            known.append((name, f"training reads {meant}, which is also in the space"))
        else:
            known.append((name, f"training reads it as {meant}"))
    if not known:
        return
    listed = ", ".join(f"'{name}' ({why})" for name, why in known)
    first = known[0][0]
    raise ModelError(
        f"the search space has params that no code reads: {listed}",
        f'rename or drop them in SPACE, or read them in build, as params["{first}"]',
    )


def warning_of(names: Iterable[str], read: Set[str], *, compiled: bool) -> str | None:
    """Return one line about params that no code reads; None if there are none."""
    shown, why = [], ""
    for name in names:
        plain = _MEANT.get(_plain(name), name)
        close = difflib.get_close_matches(name, {*read, *TRAINING_DEFAULTS} - {name}, n=1)
        if compiled and plain in OF_THE_OPTIMIZER:
            why = " (build compiles the model, so its own optimizer and loss decide)"
            close = []
        shown.append(f"'{name}' (did you mean {close[0]}?)" if close else f"'{name}'")
    if not shown:
        return None
    params, them = ("param", "it") if len(shown) == 1 else ("params", "them")
    return (
        f"neither build nor callbacks nor training reads the {params} {', '.join(shown)} of the "
        f"search space{why}: drop {them}, or read {them} in build"
    )


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _mentioned(build: Callable[..., Any]) -> list[re.Pattern[str]]:
    """Return patterns of all strings in functions of the file of `build` and files beside it."""
    code = getattr(function_of(build), "__code__", None)
    if code is None:
        return []
    own = Path(code.co_filename)
    loaded = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    files = {Path(file) for file in loaded if isinstance(file, str) and file.endswith(".py")}
    found = []
    for file in sorted({own, *(file for file in files if file.parent == own.parent)}):
        with suppress(OSError, SyntaxError, ValueError):
            for node in ast.parse(file.read_bytes()).body:
                found += _texts_in(node)
    return found


def _texts_in(node: ast.stmt) -> list[re.Pattern[str]]:
    """Return patterns of the strings in functions, lambdas and classes of a statement."""
    scopes = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    parts = [part for one in ast.walk(node) if isinstance(one, scopes) for part in ast.walk(one)]
    found = []
    for part in parts:
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            found.append(_pattern(part.value))
        elif isinstance(part, ast.JoinedStr):
            pieces = [
                str(one.value) if isinstance(one, ast.Constant) else "{}" for one in part.values
            ]
            found.append(_pattern("".join(pieces)))
        elif isinstance(part, ast.BinOp):
            sides = [s.value for s in (part.left, part.right) if isinstance(s, ast.Constant)]
            found += [_pattern(f"{{}}{text}{{}}") for text in sides if isinstance(text, str)]
    return found


def _pattern(text: str) -> re.Pattern[str]:
    """Return a pattern that matches a string with any values for its `{}` or `%d`."""
    pieces = re.split(r"\{[^{}]*\}|%[dsi]", text)
    if not re.search(r"\w", "".join(pieces)):  # the pattern would match any name
        return re.compile(re.escape(text))
    return re.compile(".*".join(map(re.escape, pieces)), re.S)


def draw_where_active(
    space: SearchSpace, name: str, suggest: Callable[[str, Distribution], Any]
) -> dict[str, Any]:
    """Return params in which the named entry is drawn; `suggest` as in `SearchSpace.draw`."""
    needed, wanted = {name}, dict[str, Any]()
    for entry in reversed(space.entries):
        if entry.name in needed:
            for parent, values in entry.when:
                needed.add(parent)
                wanted.setdefault(parent, values[0])
    return space.draw(
        lambda entry, found: wanted[entry] if entry in wanted else suggest(entry, found)
    )
