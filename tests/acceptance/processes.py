"""Real `study` processes for the acceptance tests: started, watched, and ended whatever happens.

Nothing here waits for a fixed time: a test waits for a condition, and after a hard limit it fails
with all that the process printed and with the logs of its workers.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

from tests.acceptance.warm import WARM, WITH_FRAMEWORK, WarmCommand

Launch = Callable[[list[int]], subprocess.Popen[bytes] | WarmCommand]
"""Starts a process, given the descriptors of its stdin, stdout and stderr."""

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 240.0
"""For whatever a test waits for. Generous: the machine may be busy with other tests."""

POLL_S = 0.05
STUDY = ("-m", "study")
FINALIZE = ("-m", "study.finalize")
IS_WARM = sys.platform == "linux"
"""Whether commands are forked from one that has imported the program, as `warm.py` says."""

LONGEST_SHOWN = 6_000  # characters of one output or log, from its end
READ_LATE = ("STUDY_", "COLUMNS", "PYTHONPATH")
"""How variables begin that a forked command takes over; others are read when a process starts."""

FORGOTTEN = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TERM", "PYTHONWARNINGS")
"""Variables of whoever runs the tests that change what is printed."""


@dataclass(frozen=True)
class Done:
    """What a process left: exit code (negative: the signal it died of), stdout and stderr."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line of a known failure; fails where there is a traceback or another line."""
        lines = [line for line in self.err.splitlines() if not line.startswith("  try: ")]
        assert "Traceback" not in self.err, self.err
        assert len(lines) == 1, self.err
        assert lines[0].startswith("study: error: "), self.err
        return lines[0].removeprefix("study: error: ")

    @property
    def hint(self) -> str:
        """The text of the line `  try: ...`."""
        (line,) = [line for line in self.err.splitlines() if line.startswith("  try: ")]
        return line.removeprefix("  try: ")


class Running:
    """One process in the background; leaving the `with` block ends it."""

    def __init__(self, launch: Launch, folder: Path) -> None:
        self.folder = folder
        self._out = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the block is left
        self._err = tempfile.TemporaryFile()  # noqa: SIM115
        with open(os.devnull) as nothing:
            files = [file.fileno() for file in (nothing, self._out, self._err)]
            self.process = launch(files)

    def __enter__(self) -> "Running":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # A worker leaves by itself once its supervisor is gone; asking first is quicker.
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self.process.poll() is None:
                self.process.send_signal(number)
                try:
                    self.process.wait(20)
                except subprocess.TimeoutExpired:
                    continue
        self._out.close()
        self._err.close()

    def send(self, number: int) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def wait(self, timeout_s: float = LIMIT_S) -> Done:
        """Wait for the end, and return what it left."""
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.fail(f"still running after {timeout_s:g} s")
        return Done(code, _text(self._out), _text(self._err))

    def wait_until(self, condition: Callable[[], Any], timeout_s: float = LIMIT_S) -> Any:
        """Return the condition's value once it is true; fail where the process ends before."""
        deadline = time.monotonic() + timeout_s
        while True:
            ended = self.process.poll() is not None
            value = condition()
            if value:
                return value
            if ended:
                self.fail("ended before what the test waits for")
            if time.monotonic() > deadline:
                self.fail(f"what the test waits for did not come in {timeout_s:g} s")
            time.sleep(POLL_S)

    def err(self) -> str:
        """What stands on stderr by now."""
        return _text(self._err)

    def fail(self, why: str) -> NoReturn:
        """Fail the test, with what this process and its workers printed."""
        self.process.kill()
        self.process.wait()
        parts = [f"{self.process.args}\n{why}; exit code {self.process.returncode}"]
        parts += [_shown("stdout", _text(self._out)), _shown("stderr", _text(self._err))]
        for log in sorted(self.folder.rglob("*.log")):
            parts.append(_shown(log.name, log.read_text(errors="replace")))
        raise AssertionError("\n".join(parts))


@dataclass(frozen=True)
class Place:
    """A folder in which commands run, with an environment that knows nothing of this machine's.

    Attributes:
        folder: The current folder of every command; empty at first.
        ledger: Where the synthetic objective of `synthetic` keeps its ledger.
        trains: Whether its commands load Keras.
    """

    folder: Path
    ledger: Path
    environment: dict[str, str] = field(default_factory=dict)
    trains: bool = False

    @classmethod
    def under(cls, base: Path, variables: Mapping[str, str], *, trains: bool = False) -> "Place":
        """Make a place in the empty folder `base`, with more variables for its commands."""
        folder = base / "here"
        temporary = base / "tmp"  # the locks of devices lie there: other studies have their own
        folder.mkdir()
        temporary.mkdir()
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("STUDY_") and name not in FORGOTTEN
        }
        own = {
            "PYTHONPATH": str(ROOT),
            "STUDY_CACHE": str(base / "cache"),
            "KERAS_HOME": str(base / "keras"),
            "XDG_CACHE_HOME": str(base / "xdg"),
            "TMPDIR": str(temporary),
        }
        return cls(folder, base / "ledger.jsonl", {**kept, **own, **variables}, trains)

    def start(
        self,
        *arguments: object,
        python: tuple[str, ...] = STUDY,
        anew: bool | None = None,
        **variables: str,
    ) -> Running:
        """Start `study ARGUMENTS`, or another Python command, in the background.

        Args:
            anew: Whether it is started and not forked, and so are its workers: for tests of what
                a process does while it starts. None: forked if it is a command of ours, without
                variables that Python or a library reads when it starts.
        """
        if anew is None:
            anew = python not in (STUDY, FINALIZE) or not all(
                name.startswith(READ_LATE) for name in variables
            )
        words, environment = [*python, *map(str, arguments)], self.environment | variables
        if IS_WARM and not anew:
            warm = WITH_FRAMEWORK if self.trains else WARM
            return Running(partial(warm.start, words, self.folder, environment), self.folder)
        return Running(
            partial(spawn, [sys.executable, *words], self.folder, environment), self.folder
        )

    def run(
        self,
        *arguments: object,
        code: int = 0,
        python: tuple[str, ...] = STUDY,
        anew: bool | None = None,
        **variables: str,
    ) -> Done:
        """Run `study ARGUMENTS` to its end, which must be `code`."""
        with self.start(*arguments, python=python, anew=anew, **variables) as running:
            done = running.wait()
            if done.code != code:
                running.fail(f"exit code {code} was expected")
            return done

    def json(self, *arguments: object, **variables: str) -> Any:
        """Run a command with `--json`; its stdout is JSON alone."""
        return json.loads(self.run(*arguments, "--json", **variables).out)

    def synthetic(self, **options: object) -> list[str]:
        """Return the arguments of a synthetic objective that writes the ledger."""
        given = {"ledger": self.ledger, **options}
        pairs = [("--objective-option", f"{key}={value}") for key, value in given.items()]
        return ["--objective", "synthetic", *(word for pair in pairs for word in pair)]

    def ledger_lines(self) -> list[dict[str, Any]]:
        """Return what the synthetic objective wrote by now; its lines are never half written."""
        if not self.ledger.exists():
            return []
        return [json.loads(line) for line in self.ledger.read_text().splitlines()]


def spawn(
    command: list[str], folder: Path, environment: dict[str, str], files: list[int]
) -> subprocess.Popen[bytes]:
    """Start a process; `files` are the descriptors of its stdin, stdout and stderr."""
    stdin, stdout, stderr = files
    # A session of its own, so that a Ctrl-C for the tests does not reach it beside ours.
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
    )


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that ended, and that nobody has waited for, does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:  # no /proc here, or it went just now
        return not Path("/proc/self/stat").exists()


def _text(file: Any) -> str:
    # By position: the process writes to the same open file.
    return os.pread(file.fileno(), 1 << 24, 0).decode(errors="replace")


def _shown(name: str, text: str) -> str:
    cut = text if len(text) <= LONGEST_SHOWN else f"[...]{text[-LONGEST_SHOWN:]}"
    return f"--- {name}\n{cut}"
