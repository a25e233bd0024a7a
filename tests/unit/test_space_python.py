"""Values of Python in a SPACE: what each stands for, and what is said of the others."""

import json
import tomllib
from enum import Enum
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
    json_to_distribution,
)

from objectives.errors import SpaceError
from objectives.space.space import SearchSpace, parse_space

TAKEN: list[tuple[Any, BaseDistribution]] = [
    (None, CategoricalDistribution([None])),
    ([None, "l2"], CategoricalDistribution([None, "l2"])),
    ({"choices": (None, 1)}, CategoricalDistribution([None, 1])),
    (range(16, 65, 16), IntDistribution(16, 64, step=16)),
    (range(64, 15, -16), IntDistribution(16, 64, step=16)),
    (range(3, 4), CategoricalDistribution([3])),
    ({"choices": range(3)}, CategoricalDistribution([0, 1, 2])),
    (list(np.arange(16, 65, 16)), CategoricalDistribution([16, 32, 48, 64])),
    (np.arange(3), CategoricalDistribution([0, 1, 2])),
    (np.linspace(0, 0.5, 3), CategoricalDistribution([0.0, 0.25, 0.5])),
    (np.array(["a", "b"]), CategoricalDistribution(["a", "b"])),
    ([np.bool_(True), np.bool_(False)], CategoricalDistribution([True, False])),
    (np.float32(0.5), CategoricalDistribution([0.5])),
    ({"low": np.int64(1), "high": np.int64(9)}, IntDistribution(1, 9)),
    ({"low": np.float64(0.1), "high": np.float64(1)}, FloatDistribution(0.1, 1.0)),
    (IntDistribution(1, 64, log=True), IntDistribution(1, 64, log=True)),
    (IntDistribution(16, 64, step=16), IntDistribution(16, 64, step=16)),
    (FloatDistribution(1e-4, 1e-2, log=True), FloatDistribution(1e-4, 1e-2, log=True)),
    (FloatDistribution(0, 1, step=0.25), FloatDistribution(0.0, 1.0, step=0.25)),
    (CategoricalDistribution([None, "a"]), CategoricalDistribution([None, "a"])),
]


class Kind(Enum):
    """A choice as some programs name it."""

    A = 1


LOG_UNIFORM = SimpleNamespace(dist=SimpleNamespace(name="loguniform"), args=(1e-4, 1e-2), kwds={})
REFUSED: list[tuple[Any, str, str]] = [
    ([(3, 3), (5, 5)], r"not \(3, 3\)$", '"x": [3, 5]   and in build: (params["x"],) * 2'),
    ([(3, 5), (5, 3)], r"not \(3, 5\)$", '"x": ["3x5", "5x3"]   and in build: tuple(map(int, '),
    ([[16, 32], [32]], r"not \[16, 32\]$", '"x": ["16x32", "32"]'),
    ([("a", "b")], r"not \('a', 'b'\)$", '"x": ["first", "second"]'),
    ({16, 32}, r"not \{", '"x": [16, 32]'),
    ([{"units": 3}], r"not \{'units': 3\}$", '"x": ["small", "large"]'),
    ([max, min], r"not the function max$", '"x": ["max", ...]'),
    (Kind, r"not the class Kind$", '"x": ["Kind", ...]'),
    (Kind.A, r"not a Kind$", '"x": [16, 32] (choices)'),
    ([range(3)], r"not range\(0, 3\)$", '"x": range(0, 3)'),
    ((n for n in (1, 2)), r"not a generator$", '"x": list(...)'),
    (LOG_UNIFORM, r"not a SimpleNamespace$", '"x": {"low": 0.0001, "high": 0.01, "log": True}'),
]


@pytest.mark.parametrize(("form", "distribution"), TAKEN, ids=repr)
def test_values_of_python_become_plain_distributions(
    form: Any, distribution: BaseDistribution
) -> None:
    """They survive TOML, the spec's JSON and Optuna's, with plain types."""
    space = parse_space({"x": form})
    found = space.entries[0].distribution
    assert repr(found) == repr(distribution)
    from_toml = tomllib.loads(space.to_toml())
    assert parse_space(from_toml) == space
    assert space.override(from_toml) == space
    assert SearchSpace.from_json(json.loads(json.dumps(space.to_json()))) == space
    assert json_to_distribution(distribution_to_json(found)) == found


@pytest.mark.parametrize(
    ("form", "message", "hint"),
    REFUSED,
    ids=[f"{message} {n}" for n, (_, message, _) in enumerate(REFUSED)],
)
def test_other_values_are_refused_with_the_form_to_write(
    form: Any, message: str, hint: str
) -> None:
    """The hint is an entry that can be put in its place."""
    with pytest.raises(SpaceError, match=message) as caught:
        parse_space({"x": form})
    assert "\n" not in str(caught.value)
    assert caught.value.hint is not None
    assert caught.value.hint.startswith(hint)


@pytest.mark.parametrize("form", [range(0), np.array([]), np.zeros((2, 2)), {"none": False}])
def test_empty_and_nested_values_are_refused(form: Any) -> None:
    """No entry is made of nothing."""
    with pytest.raises(SpaceError, match="search space, x: "):
        parse_space({"x": form})


def test_none_is_a_value_like_others() -> None:
    """It is waited for, given by a person, and fixed."""
    space = parse_space(
        {"reg": [None, "l2"], "rate": {"low": 0.0, "high": 1.0, "when": {"reg": [None]}}}
    )
    assert space.check(tomllib.loads("reg = { none = true }\nrate = 0.5")) == {
        "reg": None,
        "rate": 0.5,
    }
    assert space.check({"reg": "l2"}) == {"reg": "l2"}
    fixed = space.override(tomllib.loads("reg = { none = true }"))
    assert fixed.entries[0].distribution == CategoricalDistribution([None])
    assert fixed.names == ("reg", "rate")
    assert parse_space(tomllib.loads(fixed.to_toml())) == fixed
