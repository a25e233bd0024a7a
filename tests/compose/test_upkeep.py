"""What docs/compose.md says of backup and upgrade, while a study runs."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.compose.stack import Stack, docker
from tests.compose.test_faults import N_TRIALS, SYNTHETIC, assert_exact, n_final

DUMP = ("exec", "-T", "db", "pg_dump", "--username=study", "--format=custom", "study")
RESTORE = (
    "exec", "-T", "db", "pg_restore", "--username=study", "--dbname=study", "--clean", "--if-exists"
)  # fmt: skip


@pytest.fixture
def upgrade(image: str) -> Iterator[Callable[[], None]]:
    """Puts another image in the place of the stack's, as a build after `git pull` does."""
    docker("tag", "slot-study", "slot-study:before")

    def build() -> None:
        recipe = "FROM slot-study:before\nLABEL newer=yes\n"
        command = ["docker", "build", "--quiet", "--tag", "slot-study", "-"]
        subprocess.run(command, input=recipe, text=True, check=True, stdout=subprocess.DEVNULL)

    yield build
    docker("tag", "slot-study:before", "slot-study")
    docker("rmi", "slot-study:before")


def test_backup_of_a_running_study_goes_on_where_it_was(folder: Path) -> None:
    """Even over a study that has ended since: its later trials are undone, and done again."""
    dump = folder / "study.dump"
    with Stack(folder, folder, name="kept", **SYNTHETIC) as stack:
        stack.up(workers=2)
        stack.wait_until(lambda: n_final(stack) >= 5, "a finished trial")
        with dump.open("wb") as file:
            stack.piped(*DUMP, stdout=file)
        n_before = n_final(stack)
        assert_exact(stack, N_TRIALS)
        stack.compose("stop", "worker", "dashboard")
        with dump.open("rb") as file:
            stack.piped(*RESTORE, stdin=file)
        assert 5 <= n_final(stack) <= n_before < N_TRIALS
        stack.up(workers=2)
        assert_exact(stack, N_TRIALS)


def test_backup_is_read_by_an_empty_database(folder: Path) -> None:
    """As after an upgrade of PostgreSQL, or on another machine."""
    dump = folder / "study.dump"
    settings = {**SYNTHETIC, "STUDY_N_TRIALS": 4}
    with Stack(folder / "old", folder, name="moved", **settings) as stack:
        stack.up(workers=2)
        assert_exact(stack, 4)
        with dump.open("wb") as file:
            stack.piped(*DUMP, stdout=file)
        rows = stack.rows()
    with Stack(folder / "new", folder, name="moved", **settings) as stack:
        stack.compose("up", "--detach", "--wait", "db")
        with dump.open("rb") as file:
            stack.piped(*RESTORE, stdin=file)
        assert stack.rows() == rows


def test_upgrade_in_the_middle_drains_and_goes_on(
    folder: Path, upgrade: Callable[[], None]
) -> None:
    """Workers of the old image hand back what they hold; those of the new one end the study."""
    with Stack(folder, folder, name="upgraded", **SYNTHETIC) as stack:
        stack.up(workers=2)
        stack.wait_until(lambda: n_final(stack) >= 2, "a finished trial")
        old = {container["Id"] for container in stack.containers("worker")}
        upgrade()
        stack.up(workers=4)
        new = {container["Id"] for container in stack.containers("worker")}
        assert (len(new), new & old) == (4, set())
        assert_exact(stack, N_TRIALS)
        assert stack.status().lost == 0
