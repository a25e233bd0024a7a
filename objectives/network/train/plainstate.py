"""Save and restore the state of a user's object as JSON and bytes, without pickle.

Any user may have written a file, so no class or function is looked up by name or called. A value of
another class is restored into the object of that class at the same place of the new object.
Functions and classes are taken from the new object. So are paths and addresses, because the author
of a checkpoint must not choose where a callback reads or writes.
"""

import math
import random
import re
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path, PosixPath, PurePath
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

_SCALARS = (bool, int, float, str)
_SEQUENCES: dict[str, Any] = {kind.__name__: kind for kind in (list, tuple, set, frozenset, deque)}
_MAPPINGS: dict[str, Any] = {kind.__name__: kind for kind in (dict, OrderedDict, Counter)}
_AS_TEXT: dict[str, Any] = {"PosixPath": (str, Path), "datetime": (str, datetime.fromisoformat)}
_COPIED: dict[str, Any] = {**_SEQUENCES, **_MAPPINGS, "bytes": bytes, "defaultdict": defaultdict}
_COPIED |= {"PosixPath": PosixPath, "datetime": datetime}
_NUMBERS = "biufcmM"  # NumPy's kinds of types that are plain bytes
_DEEPEST, _LONGEST_INT = 100, 8000  # levels; bits
_ABSENT = object()
_OUR_PACKAGES, _OURS = ("objectives", "storage", "study"), "slot-study:"
# A text with a separator, with `~` first, empty or of dots, or with a suffix of letters.
_PLACE = re.compile(r"[/\\]|\A~|\A\.*\Z|\.[A-Za-z]\w*\Z")
# Names of attributes whose text may be a path or a command (but not "direction").
_NAMES_PLACE = re.compile(
    r"path|(?<!pro)file|folder|root|dir(?!ect(?!or))|url|host|command|cmd", re.IGNORECASE
)


class UnkeptError(Exception):
    """A value cannot be saved or restored; the message names it in a few words."""


def kept_state(thing: Any, shared: Sequence[Any]) -> tuple[dict[str, Any], list[bytes]]:
    """Return the attributes of an object: a tree for JSON, and the bytes to which it refers.

    Objects in `shared` are stored as their index in it, and never copied.

    Raises:
        UnkeptError: An attribute cannot be saved.
    """
    keeper, tree = _Keeper(shared), {}
    for name, value in vars(thing).items():
        try:
            tree[name] = keeper.node(value)
        except Exception as error:  # a user's object may raise any exception
            why = error if isinstance(error, UnkeptError) else type(error).__name__
            raise UnkeptError(f"its attribute {name!r} ({why})") from None
    return tree, keeper.pieces


def put_back(
    thing: Any, shared: Sequence[Any], tree: Mapping[str, Any], content: memoryview
) -> Callable[[], None]:
    """Return a function that restores the attributes; `thing` changes only when it is called.

    Raises:
        UnkeptError: An attribute has no place in `thing`.
        Exception: `tree` and `content` do not come from `kept_state`.
    """
    restorer, fresh, state = _Restorer(shared, content), vars(thing), {}
    for name, node in tree.items():
        try:
            state[name] = restorer.named(name, node, fresh.get(name, _ABSENT))
        except UnkeptError as error:
            raise UnkeptError(f"its attribute {name!r} ({error})") from None

    def put() -> None:
        for do in restorer.todo:
            do()
        fresh.update(state)

    return put


class _Keeper:
    """Turns values into nodes; a repeated object becomes the number of its first occurrence."""

    def __init__(self, shared: Sequence[Any]) -> None:
        self.pieces: list[bytes] = []
        self._places = {id(thing): place for place, thing in enumerate(shared)}
        self._met: dict[int, int] = {}
        self._alive: list[Any] = []  # so that no id is reused
        self._depth = 0

    def node(self, value: Any) -> Any:
        if type(value) is int and value.bit_length() > _LONGEST_INT:
            raise UnkeptError("a number of thousands of digits")
        if value is None or type(value) in _SCALARS:
            return value
        if id(value) in self._places:
            return ["shared", self._places[id(value)]]
        if (name := _code_name(value)) is not None:
            return ["code", name]
        if id(value) in self._met:
            return ["met", self._met[id(value)]]
        self._met[id(value)] = len(self._alive)
        self._alive.append(value)
        self._depth += 1
        if self._depth > _DEEPEST:
            raise UnkeptError("nested too deep")
        found = self._plain(value) or self._numeric(value) or self._attributes(value)
        self._depth -= 1
        return found

    def _plain(self, value: Any) -> list[Any] | None:
        kind = type(value).__name__
        if type(value) is not _COPIED.get(kind):
            return None
        if kind in _AS_TEXT:
            return [kind, _AS_TEXT[kind][0](value)]
        if kind == "bytes":
            self.pieces.append(value)
            return [kind, len(value)]
        if kind in _SEQUENCES:
            return [kind, [self.node(one) for one in value], getattr(value, "maxlen", None)]
        pairs = [[self.node(key), self.node(one)] for key, one in value.items()]
        return [kind, pairs, self.node(getattr(value, "default_factory", None))]

    def _numeric(self, value: Any) -> list[Any] | None:
        import numpy as np

        if isinstance(value, np.ndarray | np.generic) and type(value).__module__ == "numpy":
            return ["array", isinstance(value, np.generic), *self._array(np.asarray(value))]
        state = value.getstate() if type(value) is random.Random else None
        if state is None:
            state = getattr(_bits_of(value), "state", None)
        if state is not None:
            return ["generator", _class_name(value), self.node(state)]
        if (variables := _variables_of(value)) is not None:
            arrays = [self._array(np.asarray(one.numpy())) for one in variables]
            return ["variables", _class_name(value), arrays]
        if type(value).__module__.startswith("tensorflow.") and hasattr(value, "numpy"):
            return ["tensor", *self._array(np.asarray(value.numpy()))]
        return None

    def _array(self, array: Any) -> list[Any]:
        if not _is_numbers(array.dtype):
            raise UnkeptError(f"an array of {array.dtype}")
        self.pieces.append(array.tobytes())
        name = array.dtype.name if array.dtype.kind == "V" else array.dtype.str
        return [str(name), list(array.shape)]

    def _attributes(self, value: Any) -> list[Any]:
        """Save an object whose class does not define its own pickling."""
        kind = type(value)
        own = ("__reduce__", "__reduce_ex__", "__getstate__")
        if any(getattr(kind, name) is not getattr(object, name) for name in own):
            raise UnkeptError(kind.__name__)
        try:  # refuses objects with state outside of Python
            reduced: Any = object.__reduce_ex__(value, 2)
        except (TypeError, ValueError):
            raise UnkeptError(kind.__name__) from None
        _, arguments, state, items, pairs = reduced
        if len(arguments) > 1 or items is not None or pairs is not None:
            raise UnkeptError(kind.__name__)
        attributes, slots = state if isinstance(state, tuple) else (state, None)
        found = {**(attributes or {}), **(slots or {})}
        return ["object", _class_name(value), {n: self.node(one) for n, one in found.items()}]


class _Restorer:
    """Turns nodes into values; existing objects change only when `todo` is executed."""

    def __init__(self, shared: Sequence[Any], content: memoryview) -> None:
        self.todo: list[Callable[[], Any]] = []
        self._shared, self._content, self._start = shared, content, 0
        self._met: list[Any] = []
        self._name = ""

    def named(self, name: Any, node: Any, fresh: Any) -> Any:
        """Return the value of an attribute or a key."""
        before, self._name = self._name, name if isinstance(name, str) else self._name
        found = self.value(node, fresh)
        self._name = before
        return found

    def value(self, node: Any, fresh: Any) -> Any:
        """Return the value of a node, or the new object's value `fresh` if that is a path."""
        found = self._value(node, fresh)
        if type(found) is type(fresh) and isinstance(fresh, str | bytes | Path) and found == fresh:
            return found
        is_name = _NAMES_PLACE.search(self._name) is not None
        if _is_place(fresh, is_name):
            return fresh
        if _is_place(found, is_name):
            raise UnkeptError("the name of a file or an address")
        return found

    def _value(self, node: Any, fresh: Any) -> Any:
        if node is None or type(node) in _SCALARS:
            return node
        kind, *rest = node
        if kind == "shared":
            return self._shared[_index(rest[0])]
        if kind == "met":
            if self._met[_index(rest[0])] is _ABSENT:
                raise UnkeptError("a tuple that contains itself")
            return self._met[rest[0]]
        if kind == "code":
            return _same(fresh, rest[0], _code_name)
        number = len(self._met)
        self._met.append(_ABSENT)
        self._met[number] = self._composed(kind, rest, fresh, number)
        return self._met[number]

    def _composed(self, kind: str, rest: list[Any], fresh: Any, number: int) -> Any:
        if kind in _AS_TEXT:
            return _AS_TEXT[kind][1](rest[0])
        if kind == "bytes":
            return bytes(self._piece(rest[0]))
        if kind in _SEQUENCES:
            return self._sequence(kind, rest, fresh, number)
        if kind in _COPIED:
            return self._mapping(kind, rest, fresh, number)
        if kind == "array":
            array = self._array(*rest[1:])
            return array[()] if rest[0] else array
        if kind == "tensor":
            import tensorflow as tf

            return tf.constant(self._array(*rest))
        self._met[number] = _same(fresh, rest[0], _class_name)
        put = {"generator": self._generator, "variables": self._variables, "object": self._object}
        put[kind](fresh, rest[1])
        return fresh

    def _mapping(self, kind: str, rest: list[Any], fresh: Any, number: int) -> Any:
        pairs, factory = rest
        old = fresh if isinstance(fresh, Mapping) else {}
        new: Any = _COPIED[kind]()
        if kind == "defaultdict":
            new.default_factory = self.value(factory, getattr(fresh, "default_factory", _ABSENT))
        self._met[number] = new
        for key, one in pairs:
            found = self.value(key, _within(old, key))
            new[found] = self.named(found, one, old.get(found, _ABSENT))
        return new

    def _sequence(self, kind: str, rest: list[Any], fresh: Any, number: int) -> Any:
        nodes, maxlen = rest
        old = list(fresh) if isinstance(fresh, list | tuple | deque) else []
        new: Any = deque(maxlen=maxlen) if kind == "deque" else []
        if kind in ("list", "deque"):
            self._met[number] = new
        for place, node in enumerate(nodes):
            beside = old[place] if place < len(old) else _within(fresh, node)
            new.append(self.value(node, beside))
        return new if kind in ("list", "deque") else _SEQUENCES[kind](new)

    def _piece(self, n_bytes: Any) -> memoryview:
        start, self._start = self._start, self._start + _index(n_bytes)
        if self._start > len(self._content):
            raise ValueError("it ends too early")
        return self._content[start : self._start]

    def _array(self, dtype: str, shape: list[int]) -> Any:
        import numpy as np

        kind = np.dtype(dtype)
        if not _is_numbers(kind):
            raise ValueError("not a type of numbers")
        n_bytes = kind.itemsize * math.prod(map(_index, shape))
        return np.ndarray(shape, kind, self._piece(n_bytes)).copy()

    def _generator(self, fresh: Any, node: Any) -> None:
        state = self.value(node, _ABSENT)
        if isinstance(fresh, random.Random):
            check_python_state(state)
            self.todo.append(partial(fresh.setstate, state))
            return
        bits = _bits_of(fresh)
        # NumPy accepts any number here, and would read beyond its array.
        if not 0 <= state.get("buffer_pos", 0) <= 4 or not 0 <= state["state"].get("pos", 0) <= 624:
            raise ValueError("no state of a generator")
        type(bits)().state = state
        self.todo.append(partial(setattr, bits, "state", state))

    def _variables(self, fresh: Any, nodes: Any) -> None:
        import numpy as np

        for variable, node in zip(_variables_of(fresh) or [], nodes, strict=True):
            old, new = np.asarray(variable.numpy()), self._array(*node)
            if (old.shape, old.dtype) != (new.shape, new.dtype):
                raise UnkeptError("a variable of another shape")
            self.todo.append(partial(variable.assign, new))

    def _object(self, fresh: Any, nodes: Any) -> None:
        for name, node in nodes.items():
            value = self.named(name, node, getattr(fresh, name, _ABSENT))
            self.todo.append(partial(object.__setattr__, fresh, name, value))


def check_python_state(state: Any) -> None:
    """Raise an exception unless it is a state of `random.Random`."""
    random.Random().setstate(state)
    if state[2] is not None and type(state[2]) is not float:
        raise ValueError("no state of a generator")


def _same(fresh: Any, name: str, name_of: Callable[[Any], str | None]) -> Any:
    here = None if fresh is _ABSENT else name_of(fresh)
    if here is None or not (here == name or _is_older_name(name, here)):
        raise UnkeptError(f"{name} has no place in it")
    return fresh


def _full_name(module: str, name: str) -> str:
    """Return the name of a class or function; this program's without module, as files may move."""
    is_ours = module.partition(".")[0] in _OUR_PACKAGES
    return f"{_OURS}{name}" if is_ours else f"{module}.{name}"


def _is_older_name(stored: str, here: str) -> bool:
    """Whether `stored` is this program's older name, with module, for `here`."""
    is_ours = here.startswith(_OURS) and stored.partition(".")[0] in _OUR_PACKAGES
    return is_ours and stored.endswith(f".{here.removeprefix(_OURS)}")


def _is_place(value: Any, is_name: bool) -> bool:
    """Return whether a value may be a path; `is_name`: any text of this attribute may be one."""
    if isinstance(value, bytes) and b"\0" not in value:  # paths have no NUL
        value = value.decode("latin-1")
    if not isinstance(value, str):
        return isinstance(value, PurePath)
    return bool(value) and (is_name or _PLACE.search(value) is not None)


def _within(old: Any, node: Any) -> Any:
    """Return a text if the new object's dict or set also holds it, else `_ABSENT`."""
    is_held = type(node) is str and isinstance(old, Mapping | set | frozenset) and node in old
    return node if is_held else _ABSENT


def _index(number: Any) -> int:
    if type(number) is not int or number < 0:
        raise ValueError("not an index")
    return number


def _class_name(value: Any) -> str:
    return _full_name(type(value).__module__, type(value).__qualname__)


def _is_numbers(dtype: Any) -> bool:
    return dtype.kind in _NUMBERS or dtype.name == "bfloat16"


def _bits_of(value: Any) -> Any:
    """Return the bit generator of a NumPy generator; None for other values."""
    if type(value).__module__.partition(".")[0] != "numpy":
        return None
    return getattr(value, "bit_generator", None) or getattr(value, "_bit_generator", None)


def _variables_of(value: Any) -> list[Any] | None:
    """Return a variable, or the variables of a Keras object such as a metric; or None."""
    if not type(value).__module__.startswith(("tensorflow.", "keras.")):
        return None
    if hasattr(value, "numpy"):
        return [value] if hasattr(value, "assign") else None
    return getattr(value, "variables", None)


def _code_name(value: Any) -> str | None:
    """Return the full name of a function, class or module; None for other values."""
    if isinstance(value, partial):
        return _code_name(value.func)
    kinds = (FunctionType, BuiltinFunctionType, MethodType, ModuleType, type)
    if not isinstance(value, kinds) and type(value).__name__ != "ufunc":
        return None
    name = getattr(value, "__qualname__", value.__name__)
    return _full_name(str(getattr(value, "__module__", "")), name)
