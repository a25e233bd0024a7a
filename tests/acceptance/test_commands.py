"""The commands that look at, change and move a study: their JSON, output and exit codes."""

import csv
import io
import json
import re
from typing import Any

import pytest

from tests.acceptance.processes import Place
from tests.acceptance.synthetic import ODD, expected, once_each, results, rows_of, slots

STATUS_FIELDS = [
    "study", "n_slots", "waiting", "running", "complete", "pruned", "failed", "attempts", "lost",
    "workers", "best", "done", "eta_s",
]  # fmt: skip
WORKER_FIELDS = ["id", "host", "pid", "device", "trial", "slot", "epoch", "seen_s", "state"]
TRIAL_FIELDS = [
    "trial", "slot", "attempt", "state", "reason", "value", "params", "seed", "worker",
    "started_at", "finished_at", "intermediate",
]  # fmt: skip
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def assert_sums_up(status: dict[str, Any]) -> None:
    """Every slot stands in one place."""
    states = ("waiting", "running", "complete", "pruned", "failed")
    assert sum(status[state] for state in states) == status["n_slots"]


@pytest.fixture(scope="module")
def finished(shared: Place) -> Place:
    """A place with 's' in `study.db`: five slots of which some failed, all final."""
    options = ["--study", "s", "--n-trials", 5, "--seed", 1, "--workers", 1]
    done = shared.run("run", *options, *shared.synthetic(fail_rate=0.4, n_steps=3), code=3)
    assert re.search(r"failed slots: \d error   \(study trials shows why\)", done.err)
    return shared


def test_status_json_has_the_documented_fields_alone(finished: Place) -> None:
    """In their documented order, with counts that sum up and a best that is COMPLETE."""
    status = finished.json("status", "--study", "s")
    assert list(status) == STATUS_FIELDS
    assert_sums_up(status)
    trials = finished.json("trials", "--study", "s")
    values = {row["slot"]: row["value"] for row in trials if row["state"] == "COMPLETE"}
    assert status["failed"] == 5 - len(values) > 0
    assert (status["study"], status["n_slots"], status["attempts"]) == ("s", 5, 5)
    assert (status["workers"], status["done"], status["eta_s"]) == ([], True, 0.0)
    best = status["best"]
    assert list(best) == ["slot", "trial", "value", "params"]
    assert (best["value"], best["slot"]) == (max(values.values()), max(values, key=values.get))


def test_trials_json_has_the_documented_fields_alone(finished: Place) -> None:
    """An array by trial number; times are UTC with Z; a failed trial says why."""
    trials = finished.json("trials", "--study", "s")
    assert [row["trial"] for row in trials] == list(range(5))
    assert {row["state"] for row in trials} == {"COMPLETE", "FAIL"}
    want = expected(5, seed=1)
    for row in trials:
        assert list(row) == TRIAL_FIELDS
        assert TIME.fullmatch(row["started_at"])
        assert TIME.fullmatch(row["finished_at"])
        assert re.fullmatch(r".+:\d+", row["worker"])
        assert row["params"] == want[row["slot"]][0]
        is_complete = row["state"] == "COMPLETE"
        assert row["reason"] == (None if is_complete else "error")
        assert list(row["intermediate"]) == (["0", "1", "2"] if is_complete else [])
        assert row["value"] == (want[row["slot"]][1] if is_complete else None)


def test_trials_csv_has_a_row_for_each_trial(finished: Place) -> None:
    """The same values as the JSON, a column for each param."""
    rows = list(csv.DictReader(io.StringIO(finished.run("trials", "--study", "s", "--csv").out)))
    trials = finished.json("trials", "--study", "s")
    assert [row["state"] for row in rows] == [row["state"] for row in trials]
    assert [float(row["params.x"]) for row in rows] == [row["params"]["x"] for row in trials]


def test_waiting_trials_are_listed_with_what_is_known(place: Place) -> None:
    """Unknown is null, not left out."""
    place.run("create", "--study", "s", "--n-trials", 2, *place.synthetic())
    status = place.json("status")
    assert_sums_up(status)
    facts = [status[name] for name in ("waiting", "best", "eta_s", "done")]
    assert facts == [2, None, None, False]
    for row in place.json("trials"):
        assert list(row) == TRIAL_FIELDS
        assert (row["state"], row["attempt"], row["params"]) == ("WAITING", 1, {})
        assert row["started_at"] is row["finished_at"] is row["worker"] is row["value"] is None


def test_running_trial_shows_its_worker(place: Place, sqlite_url: str) -> None:
    """With the documented fields, and a heartbeat's age that is a small number of seconds."""
    options = ["--storage", sqlite_url, "--study", "s", "--n-trials", 2, "--workers", 1]
    with place.start("run", *options, *place.synthetic(sleep_s=600, n_steps=600)) as running:
        running.wait_until(place.ledger_lines)
        status = place.json("status", "--storage", sqlite_url)
        (worker,) = status["workers"]
        assert list(worker) == WORKER_FIELDS
        assert worker["id"].startswith(f"{worker['host']}:")
        assert worker["id"].endswith(f":{worker['pid']}")
        assert (worker["slot"], worker["state"]) == (0, "training")
        assert worker["pid"] in {line["pid"] for line in place.ledger_lines()}
        assert 0 <= worker["seen_s"] < 60
        assert_sums_up(status)
        shown = place.run("status", "--storage", sqlite_url).out
        assert "0 of 2 done   1 waiting   1 running" in shown


def test_nan_and_infinities_are_text_and_infeasible_is_no_failure(place: Place) -> None:
    """JSON has no such numbers; a value that is NaN is a fact of the params, so the exit is 0."""
    (place.folder / "odd.py").write_text(ODD)
    place.run("run", "--objective", "odd.py:Odd", "--study", "s", "--n-trials", 2, "--seed", 3)
    trials = place.json("trials", "--study", "s")
    assert [row["intermediate"] for row in trials] == [
        {"0": "nan", "1": "inf", "2": "-inf", "3": 0.5}
    ] * 2
    ends = {row["params"]["kind"]: (row["state"], row["reason"], row["value"]) for row in trials}
    assert ends == {"fine": ("COMPLETE", None, 0.25), "diverges": ("FAIL", "infeasible", None)}
    status = place.json("status")
    assert (status["best"]["value"], status["failed"], status["done"]) == (0.25, 1, True)


def test_list_delete_and_space_of_one_storage(place: Place) -> None:
    """`list` shows all; `delete` asks, and with --yes removes one study and leaves the other."""
    for name in ("one", "two"):
        place.run("create", "--study", name, "--n-trials", 2, *place.synthetic())
    listed = place.json("list")
    assert [row["study"] for row in listed] == ["one", "two"]
    fields = {"study", "created_by", "created_at", "age_s", "n_slots", "done", "failed", "best"}
    assert {frozenset(row) for row in listed} == {frozenset(fields)}
    assert (listed[0]["n_slots"], listed[0]["done"], listed[0]["best"]) == (2, 0, None)
    assert re.fullmatch(r".+@.+", listed[0]["created_by"])
    assert re.fullmatch(r"20\d\d-.+Z", listed[0]["created_at"])
    assert 0 <= listed[0]["age_s"] < 600
    place.run("delete", "--study", "one", code=1)  # nobody there to say yes
    assert len(place.json("list")) == 2
    assert place.run("delete", "--study", "one", "--yes").out == ""
    assert [row["study"] for row in place.json("list")] == ["two"]
    assert "two" in place.run("list").out


def test_copy_to_postgres_goes_on_there(place: Place, postgres_url: str) -> None:
    """A half-finished SQLite study, slots and all, is finished on PostgreSQL; the source stays."""
    options = ["--study", "s", "--workers", 1]
    place.run("run", *options, "--n-trials", 3, *place.synthetic())
    place.run("create", "--study", "s", "--n-trials", 5)
    copied = place.run("copy", "--study", "s", "--to", postgres_url, "--to-study", "there")
    assert copied.err == "copied 's': 5 trials\n"
    ran = place.run("run", "--storage", postgres_url, "--study", "there", "--workers", 1)
    assert "3 of 5 done" in ran.err
    assert results(rows_of(postgres_url, "there")) == expected(5)
    assert slots(place.ledger_lines(), "end", "complete") == once_each(5)
    assert place.json("status")["complete"] == 3
    again = place.run("copy", "--study", "s", "--to", postgres_url, "--to-study", "there", code=1)
    assert "there is a study 'there'" in again.error


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("run --objective synthetic --workers few", 2, "neither 'auto' nor a number above 0"),
        ("run --objective synthetic --heartbeat 0", 1, "study: error: --heartbeat 0s must be abov"),
        ("status --storage oracle://u:secret@h/d", 1, "storage 'oracle://u:***@h/d' is "),
    ],
)
def test_mistakes_exit_1_or_2_and_write_nothing(
    place: Place, arguments: str, code: int, message: str
) -> None:
    """No traceback, no password. tests/unit/test_options.py has many more."""
    done = place.run(*arguments.split(), code=code, COLUMNS="200")
    assert message in done.err
    assert "Traceback" not in done.err
    assert "secret" not in done.err
    assert done.out == ""
    assert list(place.folder.iterdir()) == []


def test_every_option_of_a_run_can_come_from_the_environment(place: Place, sqlite_url: str) -> None:
    """A run without any option; a repeatable one splits at newlines alone."""
    ledger = place.folder.parent / "a ledger"
    place.run(
        "run",
        STUDY_STORAGE=sqlite_url,
        STUDY_NAME="from env",
        STUDY_N_TRIALS="3",
        STUDY_OBJECTIVE="synthetic",
        STUDY_OBJECTIVE_OPTION=f"n_steps=2\nledger={ledger}\n",
        STUDY_SEED="5",
        STUDY_WORKERS="1",
        STUDY_WORK_DIR=str(place.folder / "logs"),
        STUDY_GRACE="30s",
        STUDY_HEARTBEAT="2s",
    )
    lines = [json.loads(line) for line in ledger.read_text().splitlines()]
    assert slots(lines, "end", "complete") == once_each(3)
    rows = rows_of(sqlite_url, "from env")
    assert results(rows) == expected(3, seed=5)
    assert {len(row["intermediate"]) for row in rows} == {2}
    assert list((place.folder / "logs").glob("*/worker-*-0.log"))


@pytest.mark.parametrize("command", ["create", "run"])
def test_study_is_one_file_once_its_commands_have_ended(place: Place, command: str) -> None:
    """Whoever copies `study.db` alone has all of it: SQLite's log was written back."""
    words = [command, "--n-trials", 2, *place.synthetic()]
    place.run(*words, python=("-P", "-m", "study"))  # not forked: its end is what is looked at
    assert [file.name for file in place.folder.glob("study.db*")] == ["study.db"]


def test_timeout_ends_a_run_early_with_exit_0(place: Place) -> None:
    """The trial in progress is released; a raised timeout goes on."""
    options = ["--study", "s", "--n-trials", 50, "--timeout", "1s", "--workers", 1]
    done = place.run("run", *options, *place.synthetic(sleep_s=1, n_steps=20))
    assert "slots to go; a higher --timeout goes on from here" in done.err
    status = place.json("status")
    assert (status["running"], status["done"]) == (0, False)
