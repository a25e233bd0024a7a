"""Launchers start worker processes; handles watch and signal them.

`Local` starts them on this machine. A launcher for a cluster is one more class with the methods of
`Launcher`. `supervisor.py` decides how many workers run and when one is restarted.
"""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from objectives.files.ownfile import APPEND, open_file
from storage import ends
from study.machine.identity import KEY, name_of, new_key
from study.run.prewarm import Prewarm
from study.spec.code import passed_on
from study.spec.open import OpenStudy, Say
from study.worker.told import LOG_ENCODING, STOP_SEEN, SUPERVISED, WorkerOptions

TAIL_LINES = 15
MOST_READ = 1 << 20  # bytes of a log at once; a log may have any size
VMSTAT = Path("/proc/vmstat")
CGROUP_EVENTS = Path("/sys/fs/cgroup/memory.events")


class WorkerLog:
    """The log file of one worker, which its processes print to one after another.

    Args:
        say: Called with one line if the file cannot be opened.
    """

    def __init__(self, index: int, path: Path, say: Say) -> None:
        self.path = path
        self._index, self._say = index, say
        self._tail_from = 0
        self._shown_to: int | None = None

    def open(self) -> BinaryIO:
        """Open the file for the next process; return /dev/null if it cannot be opened."""
        file: int | str = os.devnull
        try:
            file = open_file(self.path, 1, APPEND)
        except OSError as error:
            self._say(f"worker {self._index} runs without the log {self.path}: {error.strerror}")
        log = open(file, "ab")  # noqa: SIM115 - the caller closes it
        self._tail_from = log.tell()
        self._shown_to = self._tail_from if self._shown_to is None else self._shown_to
        return log

    def new_lines(self) -> Iterator[str]:
        """Yield the lines since the last call; a very long line comes in parts."""
        if self._shown_to is None:
            return
        read = self._read(self._shown_to)
        *lines, unfinished = read.split(b"\n")
        if not lines and len(read) == MOST_READ:
            lines = [unfinished[:-1]]
        for line in lines:
            self._shown_to += len(line) + 1
            yield line.decode(errors="replace")

    def tail(self) -> str:
        """Return the last lines that the newest process printed, indented."""
        with suppress(OSError):
            self._tail_from = max(self._tail_from, self.path.lstat().st_size - MOST_READ)
        lines = self._read(self._tail_from).decode(errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-TAIL_LINES:])

    def _read(self, start: int) -> bytes:
        try:
            with open(open_file(self.path, 1, os.O_RDONLY), "rb") as log:
                log.seek(start)
                return log.read(MOST_READ)
        except OSError:
            return b""


class Handle(Protocol):
    """One worker process."""

    @property
    def name(self) -> str:
        """The name under which it claims trials."""

    def poll(self) -> int | None:
        """Return its exit code, negative for a signal; None while the process runs."""

    def signal(self, number: int) -> None:
        """Send a signal, unless the process has ended."""

    def wait(self, timeout_s: float) -> None:
        """Wait for the process to end; kill it after `timeout_s`."""


class Launcher(Protocol):
    """Starts worker processes for one study."""

    def start(self, log: WorkerLog) -> Handle:
        """Start a worker process that prints to `log`."""

    def reason_of(self, code: int) -> str:
        """Return the reason for trials whose worker died with this exit code."""


@dataclass(frozen=True)
class LocalProcess:
    """A worker process on this machine."""

    process: subprocess.Popen[bytes]
    name: str

    def poll(self) -> int | None:
        return self.process.poll()

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self, timeout_s: float) -> None:
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Local:
    """Starts worker processes on this machine.

    Args:
        stop_seen: Id of the last stop order before this run, or "none".
        prewarm: Pre-warmed processes, which become the first workers.
    """

    def __init__(
        self,
        opened: OpenStudy,
        options: WorkerOptions,
        stop_seen: str,
        prewarm: Prewarm | None = None,
    ) -> None:
        self._command = options.command(opened)
        self._environment = {
            SUPERVISED: str(os.getpid()),
            STOP_SEEN: stop_seen,
            **LOG_ENCODING,
            **({} if opened.code is None else passed_on(opened.spec, opened.code)),
            # In the environment, because every user of the machine can read command lines.
            "STUDY_STORAGE": opened.storage.url,
        }
        self._ready = [] if prewarm is None else prewarm.ready
        self._n_kills = _count_kills()

    def start(self, log: WorkerLog) -> LocalProcess:
        key = new_key()
        environment = {**self._environment, KEY: key}
        process = None
        with log.open() as file:
            if self._ready:
                process = self._ready.pop(0).become(self._command, environment, log.path)
            process = process or subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env={**os.environ, **environment},
                # Ctrl-C reaches only the supervisor, which passes it on once.
                start_new_session=True,
            )
        return LocalProcess(process, name_of(process.pid, key))

    def reason_of(self, code: int) -> str:
        """Out of memory if it died of SIGKILL and the kernel's count of such kills rose."""
        if code == -signal.SIGKILL:
            before, self._n_kills = self._n_kills, _count_kills()
            if self._n_kills > before:
                return ends.OUT_OF_MEMORY
        return ends.CRASHED


def _count_kills() -> int:
    """Return how many processes the kernel killed for memory, in this machine and container."""
    count = 0
    for path in (VMSTAT, CGROUP_EVENTS):
        with suppress(OSError):  # not Linux
            lines = path.read_text().splitlines()
            count += sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
    return count
