"""The space in force and params of one's own: printed, narrowed, given back, refused."""

import pytest

from tests.acceptance.processes import Place
from tests.acceptance.synthetic import ODD, expected, results


@pytest.fixture(scope="module")
def planned(shared: Place) -> Place:
    """A place with 's' in `study.db`: two slots that nobody has run."""
    shared.run("create", "--study", "s", "--n-trials", 2, *shared.synthetic())
    return shared


def test_printed_space_given_back_makes_the_same_space(place: Place) -> None:
    """`space` of the objective, of a study, and of a file with it are one and the same text."""
    printed = place.run("space", "--objective", "synthetic").out
    (place.folder / "space.toml").write_text(printed)
    assert place.run("space", "--objective", "synthetic", "--space", "space.toml").out == printed
    options = ["--study", "s", "--n-trials", 1, *place.synthetic()]
    place.run("create", *options, "--space", "space.toml")
    assert place.run("space", "--study", "s").out == printed
    # Named again it is no difference.
    place.run("create", *options, "--space", "space.toml")


def test_default_space_is_printed_without_data(place: Place) -> None:
    """A first step to a space of one's own."""
    printed = place.run("space").out
    assert "learning_rate = { low = 0.004" in printed
    assert "n_blocks = [2, 3]" in printed


def test_space_file_narrows_and_fixes(place: Place) -> None:
    """What is drawn lies in the narrowed space; an entry that can no longer be drawn is gone."""
    (place.folder / "my.toml").write_text('x = { low = 0.5 }\nn = 3\nkind = "plain"\n')
    options = ["--study", "s", "--n-trials", 4, *place.synthetic()]
    place.run("run", *options, "--space", "my.toml", "--workers", 1)
    assert place.run("space").out.splitlines()[-4:] == [
        "x = { low = 0.5, high = 1.0 }",
        "y = { low = 0.0001, high = 0.1, log = true }",
        "n = 3",
        'kind = "plain"',
    ]
    for row in place.json("trials"):
        assert row["params"]["x"] >= 0.5
        assert (row["params"]["n"], row["params"]["kind"]) == (3, "plain")
        assert "depth" not in row["params"]


BAD_SPACES = [
    ("learning_rte = 1", "unknown param 'learning_rte'"),
    ("n = { low = 9 }", "search space, n: the range is empty: low 9 is above high 8"),
    ("n = []", "search space, n: the list of choices is empty"),
    ("n = = 3", "my.toml: not valid TOML: "),
]


@pytest.mark.parametrize(("text", "message"), BAD_SPACES)
def test_wrong_space_is_one_line_and_no_database(place: Place, text: str, message: str) -> None:
    """Found before anything is written."""
    (place.folder / "my.toml").write_text(text)
    refused = place.run("run", "--space", "my.toml", *place.synthetic(), code=1)
    assert refused.error.startswith(message)
    assert [path.name for path in place.folder.iterdir()] == ["my.toml"]


def test_more_slots_than_the_space_holds_are_refused(place: Place) -> None:
    """No slot repeats another one's params; the hint says how many there are."""
    (place.folder / "odd.py").write_text(ODD)
    refused = place.run("run", "--objective", "odd.py:Odd", "--n-trials", 3, code=1)
    assert refused.error.startswith(
        "the search space is exhausted: 2 distinct draws were found; 3 slots"
    )
    assert refused.hint.startswith("--n-trials 2")


def test_added_params_run_as_one_more_slot(place: Place) -> None:
    """A baseline of one's own is trained with exactly its params, and counts."""
    place.run("create", "--study", "s", "--n-trials", 2, *place.synthetic())
    (place.folder / "mine.toml").write_text('x = 0.25\ny = 3e-3\nn = 6\nkind = "deep"\ndepth = 3\n')
    assert "added as trial 2" in place.run("add", "--params", "mine.toml").err
    place.run("run", "--study", "s", "--workers", 1)
    rows = place.json("trials")
    assert len(rows) == 3
    assert rows[2]["slot"] == 2
    assert rows[2]["params"] == {"x": 0.25, "y": 0.003, "n": 6, "kind": "deep", "depth": 3}
    assert place.json("status")["best"]["slot"] == 2
    assert results(rows[:2]) == expected(2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 0.25", "missing params: y, n, kind"),
        ('x = 2.0\ny = 3e-3\nn = 6\nkind = "plain"', "param x: 2.0 is outside -1.0 to 1.0"),
        ('x = 0\ny = 3e-3\nn = 6\nkind = "plain"\ndepth = 2', "param depth: only drawn where"),
        ("z = 1", "unknown param 'z'"),
    ],
)
def test_wrong_added_params_are_refused(planned: Place, text: str, message: str) -> None:
    """Named, and no slot is added."""
    (planned.folder / "wrong.toml").write_text(text)
    refused = planned.run("add", "--params", "wrong.toml", "--study", "s", code=1)
    assert refused.error.startswith(message)
    assert planned.json("status", "--study", "s")["n_slots"] == 2


def test_metric_that_an_objective_does_not_know_is_refused(place: Place) -> None:
    """Before anything is written."""
    refused = place.run("create", *place.synthetic(), "--metric", "log_loss", code=1)
    assert refused.error == "this objective cannot be judged by log_loss"
    assert place.run("create", *place.synthetic(), "--metric", "luck", code=2)
