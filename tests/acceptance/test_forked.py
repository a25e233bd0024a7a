"""Workers that are forked for a test are what started ones are: children of their run."""

import os
from pathlib import Path

import pytest

from tests.acceptance.processes import IS_WARM, Place, is_alive
from tests.acceptance.synthetic import look

pytestmark = [
    pytest.mark.expected_skip,
    pytest.mark.skipif(not IS_WARM, reason="every command is started anew here"),
]


def parent_of(pid: int) -> int:
    """The parent of a process."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.parametrize("anew", [False, True])
def test_workers_are_children_of_their_run_in_sessions_of_their_own(
    place: Place, sqlite_url: str, anew: bool
) -> None:
    """Forked, or started where the test asks for that; and they are gone when it has ended."""
    options = ["--storage", sqlite_url, "--study", "s", "--n-trials", 2, "--workers", 2]
    defining = place.synthetic(sleep_s=600, n_steps=6000)
    with place.start("run", *options, *defining, anew=anew) as running:
        running.wait_until(lambda: look_at(place, sqlite_url) == 2)
        pids = {line["pid"] for line in place.ledger_lines()}
        assert {parent_of(pid) for pid in pids} == {running.process.pid}
        assert {os.getsid(pid) for pid in pids} == pids
        assert [is_forked(pid) for pid in pids] == [not anew] * 2
        place.run("stop", "--storage", sqlite_url, "--now")
        assert running.wait().code == 0
    assert not any(is_alive(pid) for pid in pids)


def is_forked(pid: int) -> bool:
    """Whether a process shows the command line of the one that it was forked from."""
    return b"tests.acceptance.warm" in Path(f"/proc/{pid}/cmdline").read_bytes()


def look_at(place: Place, url: str) -> int:
    """How many workers are at work on a study that need not be there yet."""
    return look(url, "s").running if place.ledger_lines() else 0
