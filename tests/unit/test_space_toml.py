"""A written search space: what its forms mean, which are refused, and that none is lost."""

import random
import tomllib
from typing import Any

import pytest
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
    json_to_distribution,
)

from objectives.errors import SpaceError
from objectives.space.space import SearchSpace, parse_space, read_toml
from tests.unit.spaces import SPACE, random_table


@pytest.mark.parametrize("seed", range(200))
def test_space_survives_toml_and_json(seed: int) -> None:
    """Written and read back, a space is equal, with the types of its values, and so again."""
    space = parse_space(random_table(random.Random(seed)))
    from_toml = parse_space(tomllib.loads(space.to_toml()))
    from_json = SearchSpace.from_json(space.to_json())
    assert from_toml == from_json == space
    assert repr(from_toml) == repr(from_json) == repr(space)
    assert from_toml.fingerprint == space.fingerprint
    assert space.override(tomllib.loads(space.to_toml())) == space


@pytest.mark.parametrize("seed", range(50))
def test_distributions_survive_optunas_own_json(seed: int) -> None:
    """Optuna stores every distribution and reads it back without a warning or a change."""
    for entry in parse_space(random_table(random.Random(seed))).entries:
        assert json_to_distribution(distribution_to_json(entry.distribution)) == entry.distribution


def test_forms_give_the_distribution_they_mean() -> None:
    """A scalar fixes, a list chooses, a table is a range, float where low or high is."""
    found = {entry.name: entry.distribution for entry in parse_space(SPACE).entries}
    assert found["batch"] == CategoricalDistribution([128])
    assert found["filters_1"] == CategoricalDistribution([16, 32, 64])
    assert found["blocks"] == IntDistribution(1, 3)
    assert found["lr"] == FloatDistribution(1e-4, 1e-2, log=True)
    assert found["dropout"] == FloatDistribution(0.0, 0.5, step=0.1)
    assert found["epochs"] == IntDistribution(1, 50, log=True)
    half = parse_space({"a": {"low": 0, "high": 0.5}, "b": {"low": 1, "high": 2, "type": "float"}})
    assert [entry.distribution for entry in half.entries] == [
        FloatDistribution(0.0, 0.5),
        FloatDistribution(1.0, 2.0),
    ]


def test_range_ends_at_its_last_step() -> None:
    """A high that no step reaches is lowered to the last step, without a warning."""
    space = parse_space(
        {"i": {"low": 1, "high": 10, "step": 4}, "f": {"low": 0.1, "high": 0.55, "step": 0.1}}
    )
    assert [entry.distribution.high for entry in space.entries] == [9, 0.5]  # type: ignore[attr-defined]


WRONG_ENTRIES: list[tuple[Any, str]] = [
    ({"low": 2, "high": 1}, r"x: the range is empty: low 2 is above high 1$"),
    ({"low": 0.2, "high": 0.1}, r"x: the range is empty: low 0\.2 is above high 0\.1$"),
    ([], r"x: the list of choices is empty$"),
    ({"choices": []}, r"x: the list of choices is empty$"),
    ({"choices": "abc"}, r"x: `choices` is a list, not 'abc'$"),
    ({"choices": 3}, r"x: `choices` is a list, not 3$"),
    ({"low": 0, "high": 5, "log": True}, r"x: a log range starts above 0, not at low = 0$"),
    ({"low": 0.0, "high": 5.0, "log": True}, r"x: a log range starts above 0, not at low = 0\.0$"),
    ({"low": -1.0, "high": 5.0, "log": True}, r"x: a log range starts above 0"),
    ({"low": 0.1, "high": 1.0, "log": True, "step": 0.1}, r"x: a log range has no step"),
    ({"low": 1, "high": 9, "log": True, "step": 2}, r"x: a log range has no step"),
    ({"low": 1, "high": 9, "step": 0}, r"x: `step` is above 0, not 0$"),
    ({"low": 1, "high": 9, "step": -1}, r"x: `step` is above 0, not -1$"),
    ({"low": 1, "high": 9, "step": 0.5}, r"x: `step` of an int range is an int, not 0\.5$"),
    ({"low": 0.0, "high": 1.0, "step": 1e-300}, r"x: `step` = 1e-300 is too short"),
    ({"low": 1e-17, "high": 9.0, "step": 0.3}, r"x: `step` = 0\.3 has too many digits"),
    ([1, 2, 1], r"x: choice 1 is repeated$"),
    ([1, 1.0], r"x: choice 1\.0 is repeated \(equal to 1\)$"),
    ([1, True], r"x: choice True is repeated \(equal to 1\)$"),
    (["a", "a"], r"x: choice 'a' is repeated$"),
    ([None, None], r"x: choice None is repeated$"),
    ([[1, 2]], r"x: a choice is a str, bool, None or finite number, not \[1, 2\]$"),
    ([float("nan")], r"x: a choice is a str, bool, None or finite number, not nan$"),
    ([float("inf")], r"x: a choice is a str, bool, None or finite number, not inf$"),
    ({"low": 1}, r"x: a table needs `low` and `high`, or `choices`$"),
    ({"high": 1}, r"x: a table needs `low` and `high`, or `choices`$"),
    ({}, r"x: a table needs `low` and `high`, or `choices`$"),
    ({"low": 1, "high": 2, "lgo": True}, r"x: unknown key 'lgo'; a table has low, high, "),
    ({"low": 1, "high": 2, "choices": [1]}, r"x: `choices` and `low` exclude each other$"),
    ({"low": "1", "high": 2}, r"x: `low` is a finite number, not '1'$"),
    ({"low": 1, "high": True}, r"x: `high` is a finite number, not True$"),
    ({"low": 1, "high": None}, r"x: `high` is a finite number, not None$"),
    ({"low": 1.0, "high": float("inf")}, r"x: `high` is a finite number, not inf$"),
    ({"low": -1e308, "high": 1e308}, r"x: the range from -1e\+308 to 1e\+308 is too wide"),
    ({"low": 1, "high": 2, "step": "1"}, r"x: `step` is a finite number, not '1'$"),
    ({"low": 1, "high": 2, "log": 1}, r"x: `log` is true or false, not 1$"),
    ({"low": 1, "high": 2, "type": "real"}, r"x: `type` is 'float' or 'int', not 'real'$"),
    ({"low": 1.5, "high": 2, "type": "int"}, r"x: `low` of an int range is an int, not 1\.5$"),
    ({"low": 0, "high": 2**60}, r"x: `high` = 1152921504606846976 is beyond 2\*\*53"),
    ({"choices": [1], "when": {}}, r"x: `when` is a table of names and values, not {}$"),
    ({"choices": [1], "when": ["p"]}, r"x: `when` is a table of names and values, not \['p'\]$"),
    ({"choices": [1], "when": {"q": 1}}, r"x: `when` names unknown param 'q'; there are p, f, x"),
    ({"choices": [1], "when": {"x": 1}}, r"x: `when` needs x, which must come before x$"),
    ({"choices": [1], "when": {"late": 1}}, r"x: `when` needs late, which must come before x$"),
    ({"choices": [1], "when": {"p": 4}}, r"x: `when` p: 4 is outside 1 to 3$"),
    ({"choices": [1], "when": {"p": []}}, r"x: `when` gives no value for p$"),
    ({"choices": [1], "when": {"f": 0.5}}, r"x: `when` f: a float range has no exact values"),
]


@pytest.mark.parametrize(("form", "message"), WRONG_ENTRIES)
def test_wrong_entry_is_refused_on_one_line(form: Any, message: str) -> None:
    """Every wrong entry ends in one line with its name, the value and what is right."""
    table = {"p": {"low": 1, "high": 3}, "f": {"low": 0.0, "high": 1.0}, "x": form, "late": [1]}
    with pytest.raises(SpaceError, match=message) as caught:
        parse_space(table)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "the search space is empty"),
        ([], r"a search space is a table of entries, not \[\]"),
        ({"": 1}, "a name has 1 to 512 characters, not ''"),
        ({3: 1}, "a name has 1 to 512 characters, not 3"),
    ],
)
def test_wrong_table_is_refused(table: Any, message: str) -> None:
    """A space has entries, and each a name that Optuna can store."""
    with pytest.raises(SpaceError, match=message):
        parse_space(table)


@pytest.mark.parametrize("items", [{}, [1], [{"low": 1}], None])
def test_wrong_json_is_refused(items: Any) -> None:
    """What is not a stored space is not taken for one."""
    with pytest.raises(SpaceError, match="not a stored search space"):
        SearchSpace.from_json(items)


def test_bad_file_is_refused_with_its_line(tmp_path: Any) -> None:
    """Files that are missing, not text or not TOML are named, with the line."""
    file = tmp_path / "space.toml"
    with pytest.raises(SpaceError, match=r"^no such file: "):
        read_toml(file)
    file.write_text("a = 1\nb = [1, 2\n")
    with pytest.raises(SpaceError, match=r"space\.toml: not valid TOML: .*(line|end of document)"):
        read_toml(file)
    file.write_text("a = 1\nb = = 2\n")
    with pytest.raises(SpaceError, match="line 2"):
        read_toml(file)
    file.write_bytes(b'a = "\xff"\n')
    with pytest.raises(SpaceError, match="not UTF-8"):
        read_toml(file)
    with pytest.raises(SpaceError, match="cannot be read"):
        read_toml(tmp_path)
