"""N slots give exactly N finished slots, whoever works on them, counted outside the database."""

from pathlib import Path

import pytest

from tests.acceptance.processes import Place
from tests.acceptance.synthetic import expected, look, once_each, results, rows_of, slots

N_SLOTS = 24


@pytest.mark.parametrize("n_workers", [1, 2, 5])
def test_any_number_of_workers_runs_each_slot_once_with_the_same_result(
    place: Place, storage_url: str, n_workers: int
) -> None:
    """Each slot starts and ends once; params and values are those of the pure functions."""
    options = ["--storage", storage_url, "--study", "s", "--n-trials", N_SLOTS, "--seed", 3]
    place.run("run", *options, *place.synthetic(), "--workers", n_workers)
    lines = place.ledger_lines()
    assert slots(lines, "start") == once_each(N_SLOTS)
    assert slots(lines, "end", "complete") == once_each(N_SLOTS)
    assert len(lines) == 2 * N_SLOTS
    assert len({line["pid"] for line in lines}) <= n_workers
    rows = rows_of(storage_url, "s")
    assert results(rows) == expected(N_SLOTS, seed=3)
    assert len(rows) == N_SLOTS
    status = look(storage_url, "s")
    assert (status.complete, status.attempts, status.done) == (N_SLOTS, N_SLOTS, True)


def test_finished_study_starts_nothing_and_goes_on_when_raised(
    place: Place, storage_url: str
) -> None:
    """Run again it says so and starts nothing; raised it runs the new slots; never lowered."""
    options = ["--storage", storage_url, "--study", "s", "--workers", 1]
    place.run("run", *options, *place.synthetic(), "--n-trials", 3)
    before = place.ledger.read_bytes()
    again = place.run("run", *options, *place.synthetic(), "--n-trials", 3)
    assert place.ledger.read_bytes() == before
    assert "resuming 's', created by " in again.err
    assert "3 of 3 done" in again.err
    assert "'s' is finished" in again.err
    raised = place.run("run", *options, "--n-trials", 5)
    assert "3 of 5 done" in raised.err
    assert slots(place.ledger_lines(), "start") == once_each(5)
    assert results(rows_of(storage_url, "s")) == expected(5)
    lowered = place.run("run", *options, "--n-trials", 4, code=1)
    assert "5 slots already; 4 would lower its budget" in lowered.error
    assert look(storage_url, "s").n_slots == 5


def test_two_runs_and_a_worker_at_once_share_one_fresh_study(
    place: Place, storage_url: str
) -> None:
    """Two creators on a fresh database, and a worker that joins, run each slot once."""
    options = ["--storage", storage_url, "--study", "s"]
    defining = [*place.synthetic(sleep_s=0.3), "--n-trials", 12]
    first = place.start("run", *options, *defining, "--workers", 1, "--work-dir", "first")
    second = place.start("run", *options, *defining, "--workers", 1, "--work-dir", "second")
    with first, second:
        first.wait_until(place.ledger_lines)
        with place.start("worker", *options, "--workers", 1) as joined:
            assert joined.wait().code == 0
        assert first.wait().code == 0
        assert second.wait().code == 0
    lines = place.ledger_lines()
    assert slots(lines, "start") == slots(lines, "end", "complete") == once_each(12)
    assert results(rows_of(storage_url, "s")) == expected(12)


def test_worker_from_another_folder_joins_a_created_study(place: Place, sqlite_url: str) -> None:
    """`create` starts nothing; `worker`, knowing storage and name alone, runs all of it."""
    created = place.run(
        "create", "--storage", sqlite_url, "--study", "s", *place.synthetic(), "--n-trials", 4
    )
    assert "creating 's': 4 slots" in created.err
    assert place.ledger_lines() == []
    assert look(sqlite_url, "s").waiting == 4
    (place.folder.parent / "elsewhere").mkdir()
    elsewhere = Place(place.folder.parent / "elsewhere", place.ledger, place.environment)
    # The only study there is need not be named.
    elsewhere.run("worker", "--storage", sqlite_url, "--workers", 2)
    assert slots(place.ledger_lines(), "end", "complete") == once_each(4)


@pytest.fixture(scope="module")
def planned(shared: Place) -> Place:
    """Two studies of one slot each in `study.db`: 'one', with an option of its own, and 'two'."""
    for name, n_steps in (("one", 4), ("two", 5)):
        options = ["--study", name, "--n-trials", 1, "--seed", 7]
        shared.run("create", *options, *shared.synthetic(n_steps=n_steps))
    return shared


@pytest.mark.parametrize(
    ("arguments", "message", "flag"),
    [
        ("--seed 8", "has seed 7; this command says 8", "--seed"),
        ("--objective-option n_steps=9", "has options {", "--objective-option"),
    ],
)
def test_other_definition_is_refused_with_the_difference_named(
    planned: Place, arguments: str, message: str, flag: str
) -> None:
    """What defines a study stands; the hint says what to drop. All: tests/unit/test_spec.py."""
    refused = planned.run("create", "--study", "one", *arguments.split(), code=1)
    assert refused.error.startswith(f"study 'one' {message}")
    assert f"drop {flag} " in refused.hint


def test_other_space_is_refused_with_the_param_named(planned: Place) -> None:
    """A space file that changes an entry of a study that is there is a difference."""
    (planned.folder / "narrow.toml").write_text("n = 3\n")
    refused = planned.run("create", "--study", "one", "--space", "narrow.toml", code=1)
    assert refused.error == "study 'one' was created with another space (it differs in 'n')"


@pytest.mark.parametrize("command", ["worker", "status", "finalize"])
def test_unknown_study_is_answered_with_those_that_there_are(planned: Place, command: str) -> None:
    """So that a typing mistake is seen at once."""
    refused = planned.run(command, "--study", "three", code=1)
    assert refused.error == "no study 'three'; there are: one, two"


def test_study_must_be_named_where_there_are_several(planned: Place) -> None:
    """No command guesses which of two studies was meant."""
    assert planned.run("status", code=1).error == "which study? there are: one, two"


@pytest.mark.parametrize("command", ["worker", "status", "list", "delete --yes"])
def test_commands_on_a_missing_storage_create_no_database(place: Place, command: str) -> None:
    """Only `run`, `create` and the target of `copy` make databases."""
    assert "study.db" in place.run(*command.split(), code=1).error
    assert list(place.folder.iterdir()) == []


def test_ledger_in_a_missing_folder_is_one_line(place: Place, tmp_path: Path) -> None:
    """A wrong option of the objective is found before anything is written."""
    missing = tmp_path / "missing" / "ledger"
    refused = place.run("run", *place.synthetic(ledger=missing), code=1)
    assert refused.error.startswith("option ledger: no such folder")
    assert list(place.folder.iterdir()) == []
