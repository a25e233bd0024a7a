"""The search space: what is drawn when, which params and names it takes, how it is narrowed."""

import tomllib
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from objectives.errors import SpaceError
from objectives.space.space import SearchSpace, parse_space
from tests.unit.spaces import SPACE


def lowest(name: str, distribution: Any) -> Any:
    """Suggest the first value of a distribution."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[0]
    return distribution.low


def highest(name: str, distribution: Any) -> Any:
    """Suggest the last value of a distribution."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[-1]
    return distribution.high


def test_draw_asks_only_for_active_entries() -> None:
    """A child is asked for where its parents were drawn and have one of its values."""
    space = parse_space(SPACE)
    assert not {"filters_2", "filters_3", "norm_3"} & space.draw(lowest).keys()
    assert {"filters_2", "filters_3", "norm_3"} <= space.draw(highest).keys()


def test_child_of_an_inactive_parent_is_inactive() -> None:
    """A condition on a param that was not drawn does not hold."""
    table = {
        "a": [1, 2],
        "b": {"choices": [1], "when": {"a": 2}},
        "c": {"choices": [1], "when": {"b": 1}},
    }
    assert parse_space(table).draw(lowest) == {"a": 1}


@pytest.mark.parametrize("suggest", [lowest, highest])
def test_draw_check_and_distributions_agree(suggest: Any) -> None:
    """What is drawn passes the check unchanged, in any order, and has its distributions."""
    space = parse_space(SPACE)
    params = space.draw(suggest)
    shuffled = dict(reversed(params.items()))
    assert list(space.check(shuffled).items()) == list(params.items())
    assert list(space.distributions(shuffled)) == list(params)
    inactive = {**params, "filters_3": 64, "norm_3": True}
    if suggest is lowest:
        assert space.distributions(inactive) == space.distributions(params)


def test_check_gives_the_types_that_are_drawn() -> None:
    """An int stands for a float, a whole float for an int, a near point for the grid's."""
    space = parse_space(
        {
            "f": {"low": 0.0, "high": 2.0},
            "i": {"low": 1, "high": 5},
            "g": {"low": 0.0, "high": 1.0, "step": 0.1},
            "c": [1.0, 2.0],
        }
    )
    checked = space.check({"f": 1, "i": 3.0, "g": 0.1 + 0.2, "c": 2})
    assert repr(checked) == "{'f': 1.0, 'i': 3, 'g': 0.3, 'c': 2.0}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lr": 1.0}, r"^param lr: 1\.0 is outside 0\.0001 to 0\.01$"),
        ({"lr": "0.001"}, r"^param lr: '0\.001' is not a finite number$"),
        ({"lr": float("nan")}, r"^param lr: nan is not a finite number$"),
        ({"lr": True}, r"^param lr: True is not a finite number$"),
        ({"blocks": 1.5}, r"^param blocks: 1\.5 is not 1 plus a multiple of 1$"),
        ({"units": 17}, r"^param units: 17 is not 16 plus a multiple of 16$"),
        ({"dropout": 0.15}, r"^param dropout: 0\.15 is not 0\.0 plus a multiple of 0\.1$"),
        ({"optimizer": "Adam"}, r"^param optimizer: 'Adam' is not one of 'sgd', 'adam'$"),
        ({"filters_1": True}, r"^param filters_1: True is not one of 16, 32, 64$"),
        ({"filters_2": 32}, r"^param filters_2: only drawn where blocks is 2 or 3$"),
        ({"learning": 1}, r"^unknown param 'learning'; there are blocks, filters_1, "),
        ({"blocks": 3}, r"^missing params: filters_2, filters_3$"),
    ],
)
def test_params_outside_the_space_are_refused(change: dict[str, Any], message: str) -> None:
    """A param that is wrong, unknown, missing or not active is named on one line."""
    space = parse_space(SPACE)
    params = {**space.draw(lowest), **change}
    with pytest.raises(SpaceError, match=message):
        space.check(params)


@pytest.mark.parametrize(
    ("one", "other"), [("Units", "units"), ("straße", "STRASSE"), ("résumé", "Resume"), ("a", "a ")]
)
def test_names_that_mysql_takes_for_one_are_refused(one: str, other: str) -> None:
    """Both are named; a study could not be stored there, or be copied there later."""
    table = {one: [1, 2], "between": 3, other: [1, 2]}
    with pytest.raises(SpaceError, match=f"{one!r} and {other!r} are one name to MySQL") as caught:
        parse_space(table)
    assert caught.value.hint == f"rename {other!r}"
    with pytest.raises(SpaceError, match="are one name to MySQL"):
        SearchSpace.from_json([{"name": name, "choices": [1, 2]} for name in table])


def test_names_that_mysql_tells_apart_are_kept() -> None:
    """Nearly the same is not the same."""
    names = ("units", "units_", "unit", " units", "ünits_2", "7", "7_")
    assert parse_space(dict.fromkeys(names, 1)).names == names


def overridden(**table: Any) -> dict[str, Any]:
    """Return the entries of SPACE, overridden by `table`, as distributions."""
    space = parse_space(SPACE).override(table)
    return {entry.name: entry.distribution for entry in space.entries}


def test_override_narrows_fixes_and_replaces() -> None:
    """Keys that a table does not name stay; a scalar, a list and `choices` take the whole place."""
    found = overridden(
        lr={"low": 1e-3},
        dropout={"high": 0.3},
        units=64,
        optimizer=["adam"],
        filters_1={"low": 8, "high": 32},
        epochs={"choices": [5, 10]},
        batch={"low": 0.5, "high": 1.0},
    )
    assert found["lr"] == FloatDistribution(1e-3, 1e-2, log=True)
    assert found["dropout"] == FloatDistribution(0.0, 0.3, step=0.1)
    assert found["units"] == CategoricalDistribution([64])
    assert found["optimizer"] == CategoricalDistribution(["adam"])
    assert found["filters_1"] == IntDistribution(8, 32)
    assert found["epochs"] == CategoricalDistribution([5, 10])
    assert found["batch"] == FloatDistribution(0.5, 1.0)


def test_override_keeps_the_type_unless_told() -> None:
    """A float entry stays one with an int bound; `type` and `log` change it."""
    assert overridden(lr={"high": 1})["lr"] == FloatDistribution(1e-4, 1.0, log=True)
    assert overridden(lr={"log": False})["lr"] == FloatDistribution(1e-4, 1e-2)
    assert overridden(units={"log": True})["units"] == IntDistribution(16, 256, log=True)
    typed = overridden(epochs={"type": "float"}, units={"type": "float", "low": 0.5, "step": 0.5})
    assert typed["epochs"] == FloatDistribution(1.0, 50.0, log=True)
    assert typed["units"] == FloatDistribution(0.5, 256.0, step=0.5)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"lr": {"low": 0.1}}, r"lr: the range is empty: low 0\.1 is above high 0\.01$"),
        ({"units": {"high": 32.5}}, r"units: `high` of an int range is an int, not 32\.5$"),
        ({"filters_1": {"low": 8}}, r"filters_1: a table needs `low` and `high`, or `choices`$"),
        ({"lr": {"step": 0.1}}, r"lr: a log range has no step"),
        ({"filters_2": {"when": {"blocks": 4}}}, r"filters_2: `when` blocks: 4 is outside 1 to 3$"),
        ({"filters_1": {"when": {"lr": 1}}}, r"filters_1: `when` needs lr, which must come"),
        ({"blocks": {"type": "float"}}, r"filters_2: `when` blocks: a float range has no exact"),
        ({"optimiser": "sgd"}, r"^unknown param 'optimiser'; there are blocks, "),
    ],
)
def test_wrong_override_is_refused(table: dict[str, Any], message: str) -> None:
    """An override that names nothing or leaves nothing is refused with the name and the value."""
    with pytest.raises(SpaceError, match=message):
        parse_space(SPACE).override(table)


def test_unknown_name_comes_with_the_nearest() -> None:
    """A slip of the pen is answered with the name that was meant."""
    with pytest.raises(SpaceError) as caught:
        parse_space(SPACE).override({"optimiser": "sgd"})
    assert caught.value.hint == "did you mean optimizer?"


def test_child_that_can_never_hold_is_never_drawn() -> None:
    """Fixing a parent drops the conditions it cannot meet, also those of a file edited by hand."""
    space = parse_space(SPACE)
    edited = tomllib.loads(space.to_toml()) | {"blocks": 2}
    for fixed in (space.override({"blocks": 2}), space.override(edited)):
        assert fixed.names == tuple(n for n in space.names if n not in ("filters_3", "norm_3"))
        assert dict(fixed.entries[2].when) == {"blocks": (2,)}
        assert parse_space(tomllib.loads(fixed.to_toml())) == fixed
        assert space.override(tomllib.loads(fixed.to_toml())) == fixed


def test_override_leaves_the_original_alone() -> None:
    """A space is data: what comes out is another."""
    space = parse_space(SPACE)
    before = space.fingerprint
    assert space.override({"batch": 64}).fingerprint != before
    assert space.override({}) == space
    assert space.fingerprint == before


def test_fingerprint_tells_types_apart() -> None:
    """1, 1.0 and true are different spaces, though they are equal to Python."""
    spaces = [parse_space({"a": value}) for value in (1, 1.0, True)]
    assert len({space.fingerprint for space in spaces}) == 3
