"""The search space: what is accepted, what is refused, and that it survives being written."""

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
from objectives.space import SearchSpace, parse_space, read_toml

SPACE: dict[str, Any] = {
    "blocks": {"low": 1, "high": 3},
    "filters_1": [16, 32, 64],
    "filters_2": {"choices": [32, 64], "when": {"blocks": [2, 3]}},
    "filters_3": {"choices": [64, 128], "when": {"blocks": 3}},
    "norm_3": {"choices": [True, False], "when": {"blocks": [3], "filters_3": [64, 128]}},
    "lr": {"low": 1e-4, "high": 1e-2, "log": True},
    "dropout": {"low": 0.0, "high": 0.5, "step": 0.1},
    "units": {"low": 16, "high": 256, "step": 16},
    "epochs": {"low": 1, "high": 50, "log": True},
    "optimizer": ["sgd", "adam"],
    "batch": 128,
}


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


def random_table(rng: random.Random) -> dict[str, Any]:
    """Return a legal space with awkward names, values and conditions."""
    names = [
        "a",
        "b c",
        'quo"te',
        "dot.ted",
        "é",
        "x-1",
        "new\nline",
        "tab\t\x7f",
        "#",
        "7",
        "[t]",
        "\U0001d538",
    ]
    rng.shuffle(names)
    table: dict[str, Any] = {}
    parents: list[tuple[str, list[Any]]] = []
    for name in names[: rng.randint(1, len(names))]:
        form: dict[str, Any]
        match rng.randrange(6):
            case 0:
                low = rng.uniform(-5, 5)
                form = {"low": low, "high": low + 10.0 ** rng.randint(-9, 20)}
            case 1:
                form = {"low": 10.0 ** rng.randint(-30, 0), "high": 1e22, "log": True}
            case 2:
                form = {
                    "low": 0.1,
                    "high": 0.1 + rng.random(),
                    "step": rng.choice([0.1, 0.25, 1.0]),
                }
            case 3:
                low = rng.randint(-9, 9)
                form = {"low": low, "high": low + rng.randint(0, 9), "step": rng.randint(1, 4)}
                parents.append((name, [low]))
            case 4:
                form = {"low": 1, "high": rng.randint(1, 2**53), "log": True}
                parents.append((name, [1]))
            case _:
                pool = [
                    "",
                    "a'b",
                    'q"',
                    "back\\slash",
                    "\x00\x1f\x7f",
                    "😀",
                    5,
                    -7,
                    0.5,
                    1e-300,
                    True,
                ]
                form = {"choices": rng.sample(pool, rng.randint(1, len(pool)))}
                parents.append((name, rng.sample(form["choices"], 1)))
        earlier = [parent for parent in parents if parent[0] != name]
        if earlier and rng.random() < 0.5:
            form["when"] = dict(rng.sample(earlier, min(len(earlier), rng.randint(1, 2))))
        table[name] = form
    return table


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
    (None, r"x: a choice is a str, bool or finite number, not None$"),
    ([None], r"x: a choice is a str, bool or finite number, not None$"),
    ([[1, 2]], r"x: a choice is a str, bool or finite number, not \[1, 2\]$"),
    ([float("nan")], r"x: a choice is a str, bool or finite number, not nan$"),
    ([float("inf")], r"x: a choice is a str, bool or finite number, not inf$"),
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
    ({"choices": [1], "when": {"x": 1}}, r"x: `when` needs x, which must stand before x$"),
    ({"choices": [1], "when": {"late": 1}}, r"x: `when` needs late, which must stand before x$"),
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


@pytest.mark.parametrize("items", [{}, [1], [{"low": 1}], None])
def test_wrong_json_is_refused(items: Any) -> None:
    """What is not a stored space is not taken for one."""
    with pytest.raises(SpaceError, match="not a stored search space"):
        SearchSpace.from_json(items)


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
        ({"filters_1": {"when": {"lr": 1}}}, r"filters_1: `when` needs lr, which must stand"),
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
