"""What of an object is kept, and that nothing in a file is ever looked up, called or trusted."""

import json
import random
import threading
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from objectives.network.train.plainstate import UnkeptError, kept_state, put_back


class Thing:
    """Stands in for a callback."""

    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)


class Slotted:
    __slots__ = ("n",)


def passed(old: Thing, fresh: Thing, shared: tuple[list[Any], list[Any]] = ([], [])) -> Thing:
    """Put the state of one thing into another, by way of a file."""
    tree, pieces = kept_state(old, shared[0])
    put_back(fresh, shared[1], json.loads(json.dumps(tree)), memoryview(b"".join(pieces)))()
    return fresh


@pytest.mark.parametrize(
    "value",
    [
        None, True, 7, -(10**30), 0.1, float("inf"), "", "a\n\ud800", b"\x00\xff",
        [1, [2.5, "x"]], (1, (2,)), {1, 2}, frozenset("a"), deque([1, 2], 5),
        {"a": {(1, 2): [None]}, 3: "b", None: 0}, OrderedDict(b=1, a=2), Counter("aab"),
        datetime(2026, 1, 2, 3, 4, 5, 6), np.float32(0.1), np.int64(3), "lr dropped to 0.01",
    ],
    ids=repr,
)  # fmt: skip
def test_plain_values_come_back_with_their_types(value: Any) -> None:
    """Also where the new object has nothing there, or something else."""
    for fresh in (Thing(), Thing(it=5), Thing(it=[])):
        found = passed(Thing(it=value), fresh).it
        assert found == value
        assert type(found) is type(value)
        assert getattr(found, "maxlen", 0) == getattr(value, "maxlen", 0)


@pytest.mark.parametrize("dtype", ["f4", ">i2", "?", "c16", "M8[s]"])
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3)])
def test_arrays_come_back_to_the_bit(dtype: str, shape: tuple[int, ...]) -> None:
    """And may be written to."""
    array = np.arange(6).astype(dtype)[: int(np.prod(shape))].reshape(shape)
    found = passed(Thing(it=[array.T, array]), Thing()).it
    assert [one.tobytes() for one in found] == [array.T.tobytes(), array.tobytes()]
    assert (found[1].dtype, found[1].shape) == (array.dtype, array.shape)
    assert found[1].flags.writeable


def test_what_is_one_thing_stays_one_thing() -> None:
    """In two places, and within itself."""
    rows: list[Any] = [1]
    rows.append(rows)
    found = passed(Thing(a=rows, b={"c": rows}), Thing())
    assert found.a is found.b["c"] is found.a[1]


@pytest.mark.parametrize(
    "make",
    [random.Random, np.random.RandomState, np.random.default_rng]
    + [lambda seed, kind=kind: np.random.Generator(kind(seed))
       for kind in (np.random.MT19937, np.random.Philox, np.random.SFC64)],
)  # fmt: skip
def test_generators_go_on_where_they_were(make: Callable[[int], Any]) -> None:
    """The new object's own one does, whoever else holds it."""
    old, held = make(3), make(4)
    assert old.random() != held.random()
    assert passed(Thing(it=old), Thing(it=held)).it is held
    assert [held.random() for _ in range(9)] == [old.random() for _ in range(9)]


def test_objects_are_filled_in_place() -> None:
    """Of the same class in the same place: within others, in lists and dicts, with slots."""
    old, fresh = (Thing(in_=[{"x": Thing(s=Slotted(), n=n)}], n=n) for n in (1, 2))
    old.in_[0]["x"].s.n = 5
    inner = fresh.in_[0]["x"]
    assert passed(old, fresh).in_[0]["x"] is inner
    assert (inner.n, inner.s.n) == (1, 5)


@pytest.mark.parametrize("fresh", [None, {}, Slotted()])
def test_an_object_without_a_place_changes_nothing(fresh: Any) -> None:
    """Not even what comes before it."""
    tree, pieces = kept_state(Thing(first=1, it=Thing()), [])
    made = Thing(first=0, it=fresh)
    with pytest.raises(UnkeptError, match="has no place in it"):
        put_back(made, [], tree, memoryview(b"".join(pieces)))
    assert made.first == 0


def test_functions_and_classes_are_those_of_the_new_object() -> None:
    """A lambda too; another function than it had is no place for its state."""
    code = {"a": len, "b": Thing, "c": json, "d": partial(max, 1), "e": np.less, "f": [].append}
    code["g"] = lambda: 1
    fresh = Thing(**code, rows=defaultdict(list))
    old = Thing(**code, rows=defaultdict(list, a=[1]))
    assert vars(passed(old, fresh)) == vars(old)
    with pytest.raises(UnkeptError, match="len has no place"):
        passed(Thing(a=len), Thing(a=print))


def of_ours(module: str, name: str) -> type:
    """Make a class as one of our own modules has it."""
    return type(name, (), {"__module__": module, "__qualname__": name})


def test_no_name_of_our_modules_is_kept() -> None:
    """Our files move from one version to the next, and classes and functions stay what they are."""
    old, new = of_ours("objectives.base", "Fitted"), of_ours("objectives.training.result", "Fitted")
    one, fresh = old(), new()
    one.value = 0.5
    tree, _ = kept_state(Thing(kind=old, it=one), [])
    assert "objectives" not in json.dumps(tree)
    found = passed(Thing(kind=old, it=one), Thing(kind=new, it=fresh))
    assert (found.kind, found.it, fresh.value) == (new, fresh, 0.5)


def test_names_of_our_modules_that_an_older_version_kept_are_read() -> None:
    """Of the same class or function alone, and never for one of the user's."""
    stored = {
        "kind": ["code", "objectives.base.Fitted"],
        "it": ["object", "objectives.base.Fitted", {"value": 0.5}],
    }
    kind = of_ours("study.results.fitted", "Fitted")
    fresh = Thing(kind=kind, it=kind())
    put_back(fresh, [], stored, memoryview(b""))()
    assert fresh.it.value == 0.5
    for module, name in (("mine", "Fitted"), ("objectives.base", "Refitted"), ("study", "ted")):
        other = of_ours(module, name)
        with pytest.raises(UnkeptError, match=r"objectives\.base\.Fitted has no place in it"):
            put_back(Thing(kind=other, it=other()), [], stored, memoryview(b""))


@pytest.mark.parametrize(
    "value",
    [(n for n in "a"), threading.Lock(), type("L", (list,), {})(), np.array([None]), 10**5000,
     np.zeros(1, [("a", "i4")]), np.array(["a"]), np.str_("a"), np.array([b"a"])],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_cannot_be_kept_is_named(value: Any) -> None:
    """By its attribute, however deep in it."""
    with pytest.raises(UnkeptError, match="its attribute 'it' "):
        kept_state(Thing(ok=1, it=[Thing(x=value)]), [])


def test_endless_nesting_is_not_kept() -> None:
    """It would not fit into JSON."""
    rows: list[Any] = []
    for _ in range(500):
        rows = [rows]
    with pytest.raises(UnkeptError, match="nested too deep"):
        kept_state(Thing(it=rows), [])


PLACES = [
    "/etc/passwd", "a/b", "..\\b", "~", "~user", "..", ".bashrc", "m.py", "http://a.b", Path("x"),
    b"/etc/passwd", b"m.py",
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES, ids=repr)
@pytest.mark.parametrize(
    "nest",
    [
        lambda it: it, lambda it: [1, [it]], lambda it: {"a": (it,)}, lambda it: deque([it]),
        lambda it: Thing(a={"b": Thing(c=it)}), lambda it: defaultdict(list, a=[it]),
    ],
)  # fmt: skip
def test_no_place_is_told_by_a_file(nest: Callable[[Any], Any], place: Any) -> None:
    """Who writes a checkpoint would choose which files the next worker reads and writes."""
    for own in ("mine/own.keras", Path("mine"), b"mine/own"):
        fresh = Thing(it=nest(own), best=0)
        found = kept_state(passed(Thing(it=nest(place), best=1), fresh), [])
        assert found == kept_state(Thing(it=nest(own), best=1), [])
        for other in (None, 5, "other", ""):
            with pytest.raises(UnkeptError, match=r"'it' .the name of a file or an address"):
                passed(Thing(it=nest(place)), Thing(it=nest(other)))


@pytest.mark.parametrize("name", ["_weights_path", "logfile", "backup_dir", "Directory", "cmd"])
def test_the_name_of_an_attribute_tells_that_its_text_is_a_place(name: str) -> None:
    """A file in the current folder looks like any word; so does one in a list or a dict."""
    for nest in (lambda it: it, lambda it: [it], lambda it: {1: it}):
        old = Thing(**{name: nest("authorized_keys")}, best=1)
        fresh = passed(old, Thing(**{name: nest("mine")}, best=0))
        assert vars(fresh) == {name: nest("mine"), "best": 1}
        with pytest.raises(UnkeptError, match="the name of a file"):
            passed(old, Thing(best=0))
    assert passed(Thing(**{name: 3}), Thing(**{name: "mine"})).__dict__[name] == "mine"
    assert passed(Thing(a={name: "other"}), Thing(a={name: "mine"})).a == {name: "mine"}


@pytest.mark.parametrize("name", ["direction", "mode", "profile", "state"])
def test_other_text_goes_on_as_it_was(name: str) -> None:
    """Such as what a callback is at; and any text that the new object has in the same place."""
    old = Thing(**{name: "lr dropped"}, seen=["0.5: a", "b"], at={"a/b": 2}, all={"c/d"})
    fresh = Thing(**{name: "start"}, seen=[], at={"a/b": 1}, all={"c/d"})
    assert vars(passed(old, fresh)) == vars(old)


@pytest.mark.parametrize("keys", [{"/etc/passwd": 1}, {Path("x"): 1}, {("a/b",): 1}, {"a/b"}])
def test_a_key_or_an_element_is_no_place_either(keys: Any) -> None:
    """A callback may write a file for each of them."""
    with pytest.raises(UnkeptError, match="the name of a file"):
        passed(Thing(it=keys), Thing(it=type(keys)()))


def test_a_place_that_was_refused_is_not_met_again() -> None:
    """The number of its first meeting leads to it from elsewhere."""
    tree = {"path": ["PosixPath", "/etc/passwd"], "other": ["met", 0]}
    with pytest.raises(UnkeptError, match=r"'other' .the name of a file"):
        put_back(Thing(path=Path("mine"), other=None), [], tree, memoryview(b""))


def nested(depth: int) -> Any:
    """A list in a list in a list."""
    node: Any = 1
    for _ in range(depth):
        node = ["list", [node], None]
    return node


PYTHON = ["tuple", [3, ["tuple", [0] * 625, None], None], None]
MT = [["bit_generator", "MT19937"], ["state", ["dict", [["key", ["array", False, "<u4", [624]]],
      ["pos", 1 << 30]], None]]]  # fmt: skip


@pytest.mark.parametrize(
    "node",
    [
        ["object", "posix.system", {}], ["object", "subprocess.Popen", {"args": "id"}],
        ["code", "posix.system"], ["code", "builtins.eval"], ["shared", 9], ["shared", -1],
        ["shared", True], ["met", 0], ["met", -1], ["met", 1 << 70], ["bytes", 1 << 62],
        ["bytes", -1], ["array", False, "|O", [1]], ["array", False, "<f8", [1 << 62]],
        ["array", False, "<f8", [-1, -1]], ["array", False, "os.system", [1]], ["array"], [], {},
        ["array", False, "<f8", 3], ["nothing", 1], [["list"], 1], ["PosixPath", 5],
        ["datetime", "now"], ["tuple", [["met", 0]], None], ["dict", [[["list", [], None], 1]], 0],
        ["deque", [1], -1], ["deque", [1], "x"], nested(5000), ["list", 5, None],
        ["array", True, "<U3", []], ["array", False, "|S1", [2]],
        ["generator", "random.Random", 5], ["variables", "x", [["<f8", [1]]]],
        ["generator", "random.Random", ["tuple", [3, PYTHON[1][1], "x"], None]],
        ["generator", "numpy.random.mtrand.RandomState", ["dict", MT, None]],
    ],
)  # fmt: skip
def test_a_tree_that_is_none_of_ours_changes_nothing(node: Any) -> None:
    """Nothing is imported, called, or taken into memory."""
    for place in (None, random.Random(3), np.random.RandomState(3)):
        fresh = Thing(first=0, it=place)
        with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever it stumbles over
            put_back(fresh, [fresh], {"first": 1, "it": node}, memoryview(bytes(2496)))()
        assert not isinstance(caught.value, MemoryError)
        assert fresh.first == 0
