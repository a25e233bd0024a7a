"""The processes of one study under chaos, found by a mark in their environment.

Whoever is started with the mark hands it on to its own children, so a process that carries it was
started by us, also where its parent is gone. Needs Linux's /proc.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MARK = "CHAOS_MARK"
PROC = Path("/proc")
PARENT, BORN = 1, 19  # fields of /proc/PID/stat behind the name


@dataclass(frozen=True)
class Process:
    """A process by its id and the moment of its birth: ids are given again."""

    pid: int
    born: int

    def send(self, number: int) -> bool:
        """Send a signal, unless the process is gone; return whether it was sent."""
        if _stat(self.pid, BORN) != self.born:
            return False
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return False
        return True


def marked(mark: str) -> list[Process]:
    """Return the living processes with this mark, oldest first; those that ended carry none."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for pid in _pids():
        try:
            environment = (PROC / str(pid) / "environ").read_bytes()
        except OSError:  # gone, or not ours
            continue
        born = _stat(pid, BORN)
        if wanted in environment.split(b"\0") and born is not None:
            found.append(Process(pid, born))
    return sorted(found, key=lambda process: (process.born, process.pid))


def with_children(pid: int) -> list[Process]:
    """Return a process and its children."""
    family = [pid, *(child for child in _pids() if _stat(child, PARENT) == pid)]
    born = ((member, _stat(member, BORN)) for member in family)
    return [Process(member, when) for member, when in born if when is not None]


def environment_of(mark: str, base: Path) -> dict[str, str]:
    """Return the environment of a study: marked, and with nothing of the user's settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("STUDY_")}
    own = {"STUDY_CACHE": str(base / "cache"), "KERAS_HOME": str(base / "keras")}
    return {**kept, **own, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", MARK: mark}


def study_command(*arguments: object) -> list[str]:
    """Return the command line of `study ARGUMENTS`."""
    return [sys.executable, "-m", "study", *map(str, arguments)]


class CommandError(Exception):
    """A command that had to succeed did not."""


def run_study(
    arguments: Sequence[object], folder: Path, environment: dict[str, str], limit_s: float
) -> str:
    """Run `study ARGUMENTS` to its end and return what it printed.

    Raises:
        CommandError: Its exit code is not 0, or it did not end in its time.
    """
    said = f"study {' '.join(map(str, arguments))}"
    try:
        done = subprocess.run(
            study_command(*arguments),
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=limit_s,
            check=False,
            start_new_session=True,
        )
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"{said}: not done in {limit_s:g} s\n{error.stdout!r}") from error
    if done.returncode != 0:
        raise CommandError(f"{said}: exit code {done.returncode}\n{done.stdout}")
    return done.stdout


def _pids() -> list[int]:
    return [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]


def _stat(pid: int, field: int) -> int | None:
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[field])
