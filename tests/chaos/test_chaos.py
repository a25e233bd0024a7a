"""A short chaos run, and proof that each of its checks can fail.

The long run, with 500 faults, is `make test-chaos`; it is the same code.
"""

import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from tests.chaos.checks import CHECKS, Ended, Plan, Seen, breaches
from tests.chaos.databases import Row, Sqlite, Witness
from tests.chaos.faults import FAULTS, Injected, draw_kinds
from tests.chaos.objectives import Synthetic
from tests.chaos.processes import environment_of, marked
from tests.chaos.run import Chaos, run_all
from tests.chaos.study import NAME, StudyUnderChaos

pytestmark = [
    pytest.mark.timeout(720),
    pytest.mark.expected_skip,
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs Linux's /proc"),
]
N_FAULTS = 10  # of each study


@pytest.mark.parametrize(
    ("database", "seed", "has_rungs"),
    [("sqlite", 5, False), ("postgresql", 8, True)],
    ids=["sqlite", "postgresql-rungs"],
)
def test_study_under_chaos_is_the_undisturbed_one(
    tmp_path: Path, database: str, seed: int, has_rungs: bool
) -> None:
    """Killed, frozen, stopped, cut off: N results, the same bits, the same rungs, nobody left."""
    chaos = Chaos(tmp_path, [database], seed, per_slot=2, has_rungs=has_rungs)
    try:
        all_seen, found = run_all(chaos, N_FAULTS, ["synthetic"])
    finally:
        chaos.close()
    assert found == []
    assert sum(len(seen.injected) for seen in all_seen) >= N_FAULTS


def test_faults_are_a_function_of_the_seed() -> None:
    """The same kinds in the same order; every kind is among the first of each seed."""
    first, again, other = (draw_kinds(seed, 100) for seed in ("1/0", "1/0", "1/1"))
    assert first == again != other
    assert set(first[:15]) == set(other[:15]) == set(FAULTS)
    assert "study stop" not in draw_kinds("1/0", 100, without=["study stop"])


def test_processes_are_found_by_their_mark(tmp_path: Path) -> None:
    """Also the child of one that is gone; nobody else, and nobody who has ended."""
    script = "import subprocess, sys; subprocess.Popen(['sleep', '600'])"
    mark = f"{tmp_path}"
    parent = [sys.executable, "-c", script]
    subprocess.run(parent, env=environment_of(mark, tmp_path), check=True, start_new_session=True)
    (orphan,) = marked(mark)
    assert marked(f"{mark}-other") == []
    assert orphan.send(signal.SIGKILL)
    while marked(mark):
        pass
    assert not replace(orphan, born=orphan.born + 1).send(signal.SIGKILL)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Seen, Path]:
    """A small study with rungs, without a fault, and its database file."""
    folder = tmp_path_factory.mktemp("undisturbed") / "study"
    folder.mkdir()
    plan = Plan("sqlite", "synthetic", 3, [], "none", has_rungs=True)
    url = f"sqlite:///{folder}/study.db"
    tuned = Synthetic(0.0, 3, has_rungs=True)
    seen = StudyUnderChaos(folder, Sqlite(), url, tuned, plan).run()
    return seen, folder / "study.db"


def test_checks_find_nothing_in_an_undisturbed_study(undisturbed: tuple[Seen, Path]) -> None:
    """What they find in others is not of their own making."""
    assert breaches(undisturbed[0]) == []


SQL = {
    "a changed value": (
        "UPDATE trial_values SET value = value + 1e-9 WHERE trial_id = 2",
        "params and values",
    ),
    "a changed param": (
        "UPDATE trial_params SET param_value = param_value + 1e-9 "
        "WHERE trial_id = 2 AND param_name = 'x'",
        "params and values",
    ),
    "a changed report": (
        "UPDATE trial_intermediate_values SET intermediate_value = 0.5 "
        "WHERE trial_id = 2 AND step = 1",
        "reports",
    ),
    "a changed rung": (
        "UPDATE trial_user_attributes SET value_json = '2' WHERE trial_id = 4 AND key = 'rung'",
        "promotions",
    ),
    "a slot that was promoted from another one": (
        "UPDATE trial_user_attributes SET value_json = '0' "
        "WHERE trial_id = 4 AND key = 'from_slot' AND value_json <> '0'",
        "promotions",
    ),
    "a slot that was not promoted": (
        "DELETE FROM trials WHERE trial_id = 5",
        "each slot COMPLETE once",
    ),
    "a lost slot": (
        "UPDATE trials SET state = 'FAIL' WHERE trial_id = 2",
        "each slot COMPLETE once",
    ),
    "a failed slot": (
        "UPDATE trials SET state = 'FAIL' WHERE trial_id = 2",
        "failures reopened",
    ),
    "a trial without an end": (
        "UPDATE trials SET state = 'RUNNING' WHERE trial_id = 2",
        "nothing open",
    ),
    "a fit whose result is not there": (
        "UPDATE trials SET state = 'FAIL' WHERE trial_id = 2",
        "ledger and database agree",
    ),
    "a result of another process": (
        "UPDATE trial_user_attributes SET value_json = '\"host:1\"' "
        "WHERE trial_id = 2 AND key = 'worker'",
        "ledger and database agree",
    ),
}


@pytest.mark.parametrize(("statement", "check"), SQL.values(), ids=SQL)
def test_tampered_database_is_found(
    undisturbed: tuple[Seen, Path], tmp_path: Path, statement: str, check: str
) -> None:
    """One changed cell is enough."""
    seen, database = undisturbed
    copied = tmp_path / "study.db"
    shutil.copy(database, copied)
    with sqlite3.connect(copied) as connection:
        assert connection.execute(statement).rowcount == 1
    connection.close()
    assert check in failing(replace(seen, rows=rows_in(copied)))


def test_second_result_of_a_slot_is_found(undisturbed: tuple[Seen, Path], tmp_path: Path) -> None:
    """Added by plain Optuna, with all that belongs to the first."""
    seen, database = undisturbed
    copied = tmp_path / "study.db"
    shutil.copy(database, copied)
    study = optuna.load_study(study_name=NAME, storage=f"sqlite:///{copied}")
    study.add_trial(study.trials[0])
    tampered = replace(seen, rows=rows_in(copied))
    assert "each slot COMPLETE once" in failing(tampered)
    assert "failures reopened" in failing(tampered)  # its slot went on after its result


WITNESSES: dict[str, tuple[Callable[[Seen], object], str]] = {
    "an attempt that started twice": (
        lambda seen: (seen.ledger or []).append((seen.ledger or [])[0]),
        "each attempt once in the ledger",
    ),
    "an attempt that nobody planned": (
        lambda seen: (seen.ledger or []).append({**(seen.ledger or [])[0], "trial": 99}),
        "each attempt once in the ledger",
    ),
    "a process that stayed": (lambda seen: seen.left.append("4711: study"), "no process left"),
    "a traceback": (
        lambda seen: seen.ended.append(Ended(1, 0, "Traceback (most recent call last):")),
        "supervisors' ends",
    ),
    "a supervisor that somebody else killed": (
        lambda seen: seen.ended.append(Ended(1, -9, "")),
        "supervisors' ends",
    ),
    "an unknown error": (
        lambda seen: seen.ended.append(Ended(1, 1, "study: error: of a new kind")),
        "supervisors' ends",
    ),
    "a checkpoint of a slot that is not the best": (
        lambda seen: seen.kept.append(Path("77/trial-0/weights")),
        "checkpoints tidy",
    ),
    "another submission": (
        lambda seen: setattr(seen, "submission", b"other"),
        "submission",
    ),
    "a fault that the seed did not decide": (
        lambda seen: seen.injected.append(Injected("kill worker", 0, 0, frozenset())),
        "faults as planned",
    ),
}


def test_missing_report_is_found(undisturbed: tuple[Seen, Path]) -> None:
    """Also of a trial that ran while PostgreSQL crashed: its end writes again what was lost."""
    seen = deepcopy(undisturbed[0])
    del seen.complete[0].curve[1]
    assert failing(seen) == {"reports"}


@pytest.mark.parametrize(("tamper", "check"), WITNESSES.values(), ids=WITNESSES)
def test_tampered_witness_is_found(
    undisturbed: tuple[Seen, Path], tamper: Callable[[Seen], object], check: str
) -> None:
    """The ledger, the processes, what they said, the files."""
    seen = deepcopy(undisturbed[0])
    tamper(seen)
    assert failing(seen) == {check}


def test_every_check_has_been_seen_to_fail() -> None:
    """A check that cannot fail proves nothing."""
    assert {check for _, check in [*SQL.values(), *WITNESSES.values()]} == set(CHECKS)


def failing(seen: Seen) -> set[str]:
    """Return the checks that find something."""
    return {name for name, check in CHECKS.items() if check(seen)}


def rows_in(database: Path) -> list[Row]:
    """Read a database anew."""
    witness = Witness(f"sqlite:///{database}", NAME)
    try:
        return witness.rows()
    finally:
        witness.close()
