"""Params that note what is asked for: a dict to whoever uses them."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from objectives.network.tryout.unread import NotedParams

PARAMS = {"a": 1, "b": None}
ONE: list[Callable[[Any], Any]] = [
    lambda p: p["a"],
    lambda p: p.get("a"),
    lambda p: "a" in p,
    lambda p: p.pop("a"),
    lambda p: p.setdefault("a", 2),
    lambda p: "{a}".format_map(p),
]
ALL: list[Callable[[Any], Any]] = [
    dict,
    list,
    len,
    json.dumps,
    copy.copy,
    copy.deepcopy,
    lambda p: {**p},
    lambda p: dict(**p),
    lambda p: p.copy(),
    lambda p: p | {"c": 1},
    lambda p: {"c": 1} | p,
    lambda p: p.items(),
    lambda p: p.values(),
    lambda p: p == PARAMS,
    lambda p: "{a}".format(**p),
]


@pytest.mark.parametrize("ask", ONE)
def test_one_name_is_noted(ask: Callable[[Any], Any]) -> None:
    """The one that was asked for, and no other."""
    read: set[str] = set()
    ask(NotedParams(PARAMS, read))
    assert read == {"a"}


@pytest.mark.parametrize("ask", ALL)
def test_whoever_takes_them_as_a_whole_has_read_all(ask: Callable[[Any], Any]) -> None:
    """Nothing is said to be unread that may have been read."""
    read: set[str] = set()
    ask(NotedParams(PARAMS, read))
    assert read == {"a", "b"}


def test_nothing_is_noted_of_who_does_not_ask() -> None:
    """Being a dict and being printed is no reading."""
    read: set[str] = set()
    params = NotedParams(PARAMS, read)
    assert isinstance(params, dict)
    params["c"] = 3
    repr(params)
    assert not read
    assert params.copy() == {**PARAMS, "c": 3}
    assert params != {"a": 1}
