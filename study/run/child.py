"""One worker process as its supervisor sees it: its command, its log, how it ended.

Decides what a worker is started with. When it is started again is decided in `launch.py`.
"""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from objectives.files.ownfile import APPEND, open_file
from study.machine.process import KEY, name_of, new_key
from study.spec.code import passed_on
from study.spec.open import OpenStudy, Say
from study.worker.told import STOP_SEEN, SUPERVISED, Settings
from study.worker.warm import LOG_ENCODING, PROGRAM, Ready

TAIL_LINES = 15
MOST_READ = 1 << 20  # bytes of a log at once, whatever lies there


VMSTAT = Path("/proc/vmstat")
CGROUP_EVENTS = Path("/sys/fs/cgroup/memory.events")


class Child:
    """A worker process, which may be started several times.

    Args:
        say: Called with one line where it has no log.
        ready: What becomes of it the first time, instead of a new process.

    Attributes:
        log: The file that has what it prints.
        n_deaths: Ends with an error since a worker of this run last ended a trial itself.
        n_barren: The same since one of its own processes did.
        names: Of its processes as workers.
        n_ended: How many trials these had ended when that was last looked up.
        start_at: Not before this moment of `time.monotonic` is it started again.
        is_done: Whether it is not started again.
    """

    def __init__(
        self,
        opened: OpenStudy,
        index: int,
        settings: Settings,
        stop_seen: str,
        say: Say,
        ready: Ready | None = None,
    ) -> None:
        self.index, self._say = index, say
        self.log = settings.work.worker_log(index)
        self.n_deaths = self.n_barren = 0
        self.names: list[str] = []
        self.n_ended = 0
        self.start_at = 0.0
        self.is_done = False
        self._opened, self._settings, self._stop_seen = opened, settings, stop_seen
        self._ready = ready
        self._process: subprocess.Popen[bytes] | None = None
        self._tail_from = 0
        self._shown_to: int | None = None

    @property
    def is_started(self) -> bool:
        """Whether a process was started whose end was not yet taken by `take_end`."""
        return self._process is not None

    def take_end(self) -> tuple[str, int] | None:
        """Return name and exit code, once, of a process that has ended."""
        process = self._process
        if process is None or process.poll() is None:
            return None
        self._process = None
        return self.names[-1], process.returncode

    def send(self, number: int) -> None:
        """Send a signal, if there is a process."""
        process = self._process
        if process is not None and process.poll() is None:
            process.send_signal(number)

    def wait(self, timeout_s: float) -> None:
        """Wait for its end, and kill it where that does not come."""
        process = self._process
        if process is None:
            return
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def start(self) -> None:
        """Start the process."""
        opened, key = self._opened, new_key()
        environment = {
            SUPERVISED: str(os.getpid()),
            STOP_SEEN: self._stop_seen,
            KEY: key,
            LOG_ENCODING: "utf-8:backslashreplace",
            **({} if opened.code is None else passed_on(opened.spec, opened.code)),
            # By the environment, because a command line is readable by everybody on the machine.
            "STUDY_STORAGE": opened.storage.url,
        }
        command = [*PROGRAM, "worker", "--study", opened.name, *self._settings.arguments()]
        if opened.data_dir is not None:
            command += ["--data", str(opened.data_dir)]
        with self._open_log() as log:
            self._tail_from = log.tell()
            self._shown_to = self._tail_from if self._shown_to is None else self._shown_to
            ready, self._ready = self._ready, None
            made = ready and ready.become(command, environment, self.log)
            self._process = made or subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **environment},
                # A group of its own: Ctrl-C reaches the supervisor, which passes it on once.
                start_new_session=True,
            )
        self.names.append(name_of(self._process.pid, key))

    def _open_log(self) -> BinaryIO:
        try:
            return open(open_file(self.log, 1, APPEND), "ab")
        except OSError as error:
            self._say(f"worker {self.index} goes without the log {self.log}: {error.strerror}")
            return open(os.devnull, "ab")

    def new_lines(self) -> Iterator[str]:
        """Yield the lines of its log that were not yet yielded; of long ones the parts."""
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
            self._tail_from = max(self._tail_from, self.log.lstat().st_size - MOST_READ)
        lines = self._read(self._tail_from).decode(errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-TAIL_LINES:])

    def _read(self, start: int) -> bytes:
        try:
            with open(open_file(self.log, 1, os.O_RDONLY), "rb") as log:
                log.seek(start)
                return log.read(MOST_READ)
        except OSError:
            return b""


class KernelKills:
    """Counts the processes that the kernel killed for memory on this machine or in this group."""

    def __init__(self) -> None:
        self._seen = _count_kills()

    def was_one(self, code: int) -> bool:
        """Whether an end by this code was the kernel's kill: SIGKILL, and the count has risen."""
        if code != -signal.SIGKILL:
            return False
        before, self._seen = self._seen, _count_kills()
        return self._seen > before


def _count_kills() -> int:
    count = 0
    for path in (VMSTAT, CGROUP_EVENTS):
        try:
            lines = path.read_text().splitlines()
        except OSError:  # another system
            continue
        count += sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
    return count
