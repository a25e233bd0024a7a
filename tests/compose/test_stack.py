"""The stack on the repository's own compose file: from nothing to a submission, and again."""

import os
from pathlib import Path

from tests.acceptance.competition import rows_in
from tests.compose.stack import Stack

N_TRIALS = 4


def ended_well(stack: Stack) -> bool:
    return set(stack.states("worker")) == {("exited", 0)}


def a_persons_folder(path: Path) -> tuple[Path, int]:
    """Make a folder that is not root's; return it and its owner."""
    path.mkdir()
    if os.getuid() == 0:
        os.chown(path, 12345, 12345)
    return path, path.stat().st_uid


def test_stack_gives_a_submission_and_may_be_brought_up_again(folder: Path, digits: Path) -> None:
    """Create, workers, finalize into ./out as its owner; a second `up` finds the study there."""
    settings = {"STUDY_N_TRIALS": N_TRIALS, "STUDY_EPOCHS": 2, "STUDY_SPACE": "/data/space.toml"}
    with Stack(folder, digits, **settings) as stack:
        stack.up(workers=2)
        assert stack.wait_done().complete == N_TRIALS
        stack.wait_left()
        assert ended_well(stack)

        stack.up(workers=3)  # the study is there, and done
        stack.wait_left()
        assert "resuming 'digits'" in stack.compose("logs", "create")
        assert ended_well(stack)
        assert [c["RestartCount"] for c in stack.containers("worker")] == [0, 0, 0]
        assert stack.status().attempts == N_TRIALS

        out, owner = a_persons_folder(folder / "out")
        stack.compose("run", "--rm", "--no-TTY", "finalize", "--quick")
        rows = rows_in(out / "submission.csv")
        sample = rows_in(digits / "sample_submission.csv")
        assert [row[0] for row in rows] == [row[0] for row in sample]
        assert len({row[1] for row in rows[1:]}) > 1
        assert {path.stat().st_uid for path in out.iterdir()} == {owner}


def test_worker_that_is_stopped_hands_its_slot_back(folder: Path, digits: Path) -> None:
    """`docker compose stop` drains within the grace period; `start`, in any order, goes on."""
    settings = {"STUDY_N_TRIALS": 3, "STUDY_EPOCHS": 400, "STUDY_SPACE": "/data/space.toml"}
    with Stack(folder, digits, **settings) as stack:
        stack.up(workers=2)
        stack.wait_until(lambda: any(r["intermediate"] for r in stack.rows()), "an epoch")
        stack.compose("stop", "worker")
        assert ended_well(stack)  # not killed, and not started again
        rows = stack.rows()
        assert "RUNNING" not in {row["state"] for row in rows}
        assert "released" in {row["reason"] for row in rows}
        stack.compose("stop")
        stack.compose("start", "worker")  # before its database
        stack.compose("start", "db")
        assert stack.wait_done().complete == 3
        stack.wait_left()
        assert ended_well(stack)
        assert stack.status().lost == 0


def test_missing_password_is_named(folder: Path, digits: Path) -> None:
    """There is no default: compose says what to set, and starts nothing."""
    for variable in ("POSTGRES_PASSWORD", "STUDY_DASHBOARD_PASSWORD"):
        said = Stack(folder, digits, **{variable: ""}).compose("up", "--detach", code=None)
        assert f"{variable} is missing a value: set it in .env" in said
