"""What a person sees: help, colours, narrow terminals, plain lines; and what is loaded for it."""

import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time
from pathlib import Path

import pytest

from tests.acceptance.processes import LIMIT_S, Place, spawn

ESCAPE = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")
COLOUR = re.compile(rb"\x1b\[[0-9;]*3[0-9](;[0-9]+)*m")


@pytest.fixture(scope="module")
def finished(shared: Place) -> Place:
    """A place with a finished study 's' of two slots in `study.db`."""
    options = ["--study", "s", "--n-trials", 2, "--workers", 1]
    done = shared.run("run", *options, *shared.synthetic())
    (shared.folder / "stderr.txt").write_text(done.err)
    (shared.folder / "stdout.txt").write_text(done.out)
    return shared


def on_terminal(place: Place, *arguments: str, **variables: str) -> bytes:
    """Return what a command, which must succeed, writes to a terminal of its own."""
    ours, theirs = pty.openpty()
    environment = place.environment | {"TERM": "xterm-256color", "COLUMNS": "80"} | variables
    command = [sys.executable, "-m", "study", *arguments]
    process = spawn(command, place.folder, environment, [theirs] * 3)
    os.close(theirs)
    seen = b""
    try:
        while chunk := _read(ours):
            seen += chunk
        assert process.wait(LIMIT_S) == 0, seen.decode(errors="replace")
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return seen


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux says so when the last writer is gone
        return b""


def loaded(place: Place, *arguments: str) -> set[str]:
    """Return the top-level packages that a command imports."""
    done = place.run(*arguments, python=("-X", "importtime", "-m", "study"))
    lines = [line for line in done.err.splitlines() if line.startswith("import time:")]
    assert len(lines) > 50
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


HEAVY = {"tensorflow", "keras", "pandas", "sklearn", "torch", "optuna_dashboard"}


def test_help_loads_nothing_heavy(place: Place) -> None:
    """Neither TensorFlow, Keras and NumPy, nor Optuna and SQLAlchemy: it answers at once."""
    packages = loaded(place, "--help")
    assert "typer" in packages
    assert not packages & (HEAVY | {"optuna", "sqlalchemy", "numpy"})
    assert not loaded(place, "run", "--help") & (HEAVY | {"optuna", "sqlalchemy", "numpy"})


def test_looking_commands_load_no_tensorflow(finished: Place) -> None:
    """A look at a study costs no GPU memory and no seconds."""
    packages = loaded(finished, "status", "--study", "s")
    assert "optuna" in packages
    assert not packages & HEAVY


def test_synthetic_worker_loads_no_tensorflow(finished: Place) -> None:
    """Load tests of a database run with many small processes."""
    assert not loaded(finished, "worker", "--workers", "1") & HEAVY


def test_run_prints_plain_lines_without_a_terminal(finished: Place) -> None:
    """To stderr, with no escapes: what it creates, how many are done, and the best."""
    text = (finished.folder / "stderr.txt").read_text()
    assert (finished.folder / "stdout.txt").read_text() == ""
    assert "\x1b" not in text
    lines = text.splitlines()
    assert lines[0] == "creating 's': 2 slots, seed 0, sampler random"
    assert re.fullmatch(r"0 of 2 done; 1 worker; logs in .*s\.work", lines[1])
    assert any(line.startswith("s: 2/2 done, 0 running, best 0.8") for line in lines)
    assert lines[-2].startswith("best trial 1: 0.8")
    assert lines[-1].startswith("next: study trials --study s")  # there are no data to finalize


def test_quiet_run_prints_nothing(place: Place) -> None:
    """Errors only."""
    options = ["--study", "s", "--n-trials", 1, "--workers", 1, "-q"]
    done = place.run("run", *options, *place.synthetic())
    assert (done.out, done.err) == ("", "")


def test_verbose_run_passes_the_workers_lines_on(place: Place) -> None:
    """A line for each finished trial."""
    options = ["--study", "s", "--n-trials", 2, "--workers", 1, "-v"]
    done = place.run("run", *options, *place.synthetic())
    assert len(re.findall(r"^worker 0: trial \d \(slot \d\) complete: ", done.err, re.M)) == 2


def test_live_run_on_a_terminal_shows_table_and_end(place: Place) -> None:
    """The view is drawn over itself, in colours, and its last state has the best trial, once."""
    options = ["--objective", "synthetic", "--n-trials", "3", "--workers", "1", "--study", "s"]
    seen = on_terminal(place, "run", *options)
    assert COLOUR.search(seen)
    text = ESCAPE.sub(b"", seen).decode()
    assert "3 of 3 done" in text
    assert "best 0.87160  trial 1" in text
    assert "best trial" not in text
    assert "next: study trials --study s" in text


@pytest.mark.parametrize("command", ["status", "--help"])
def test_no_color_is_honoured(finished: Place, command: str) -> None:
    """On a terminal with NO_COLOR there is no colour; without it there is, where any is used."""
    plain = on_terminal(finished, command, NO_COLOR="1")
    assert plain
    assert not COLOUR.search(plain)
    assert COLOUR.search(on_terminal(finished, command))


@pytest.mark.parametrize("command", ["status", "trials", "list", "--help", "run --help"])
def test_narrow_terminal_is_not_overflowed(finished: Place, command: str) -> None:
    """40 columns: lines are wrapped or cut, and nothing fails."""
    seen = ESCAPE.sub(b"", on_terminal(finished, *command.split(), COLUMNS="40")).decode()
    assert max(len(line) for line in seen.replace("\r", "").splitlines()) <= 40


def test_watch_of_a_finished_study_ends_at_once(finished: Place) -> None:
    """It shows the last state, once."""
    done = finished.run("watch", "--study", "s")
    assert done.err == ""
    assert done.out.count("2/2 done") == 1


def test_completion_knows_commands_and_options(place: Place) -> None:
    """The script that a shell loads, and what it then asks for."""
    script = place.run(_STUDY_COMPLETE="source_bash").out
    assert "complete" in script
    assert "_STUDY_COMPLETE=complete_bash" in script
    asked = {"_STUDY_COMPLETE": "complete_bash", "COMP_CWORD": "1"}
    assert place.run(**asked, COMP_WORDS="study sta").out.split() == ["status"]
    asked["COMP_CWORD"] = "2"
    found = place.run(**asked, COMP_WORDS="study run --n").out.split()
    assert {"--n-trials", "--no-deterministic"} <= set(found)


def test_console_script_is_the_module() -> None:
    """`study` and `python -m study` are one program."""
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert 'study = "study.__main__:main"' in text


class Terminal:
    """A terminal of its own with a command in its foreground, as a person has it."""

    def __init__(self, place: Place, *arguments: str) -> None:
        self._ours, theirs = pty.openpty()
        self.resize(24, 80)
        environment = place.environment | {"TERM": "xterm-256color"}
        command = [sys.executable, "-c", FOREGROUND, "-m", "study", *arguments]
        self.process = spawn(command, place.folder, environment, [theirs] * 3)
        self._theirs = theirs
        self.seen = b""

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._theirs)
        os.close(self._ours)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read_until(self, wanted: bytes) -> None:
        """Read until something is there that was not before this call."""
        new, deadline = b"", time.monotonic() + LIMIT_S
        while wanted not in ESCAPE.sub(b"", new):
            assert time.monotonic() < deadline, self.seen.decode(errors="replace")
            if select.select([self._ours], [], [], 0.1)[0]:
                new += _read(self._ours)
                self.seen += new

    def type(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    def end(self) -> int:
        """Return the exit code, once all that was written is read."""
        deadline = time.monotonic() + LIMIT_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline, self.seen.decode(errors="replace")
            if select.select([self._ours], [], [], 0.1)[0]:
                self.seen += _read(self._ours)
        while select.select([self._ours], [], [], 0)[0] and (chunk := _read(self._ours)):
            self.seen += chunk
        return self.process.returncode

    def echoes(self) -> bool:
        return bool(termios.tcgetattr(self._theirs)[3] & termios.ECHO)


# Makes the terminal its controlling one, as a shell does, and goes on as the command.
FOREGROUND = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)


@pytest.fixture(scope="module")
def waiting(shared: Place) -> Place:
    """A place with a study 'w' in `waiting.db` that nobody works on."""
    where = ["--storage", "sqlite:///waiting.db", "--study", "w", "--n-trials", 3]
    shared.run("create", *where, *shared.synthetic())
    return shared


@pytest.mark.parametrize(("how", "code"), [("q", 0), ("ctrl-c", 130), ("sigterm", 0)])
def test_watch_follows_the_terminal_and_is_left_with_it_as_it_was(
    waiting: Place, how: str, code: int
) -> None:
    """Another width is drawn at once; the screen of before comes back, with the last state."""
    with Terminal(waiting, "watch", "--storage", "sqlite:///waiting.db") as terminal:
        terminal.read_until(b"\xe2\x94\x81" * 80)  # the bar, as wide as the terminal
        assert not terminal.echoes()
        terminal.resize(24, 60)
        terminal.read_until(b"\xe2\x94\x81" * 60 + b"\r\n")
        if how == "sigterm":
            terminal.process.terminate()
        else:
            terminal.type(b"q" if how == "q" else b"\x03")
        assert terminal.end() == code
        assert terminal.echoes()
    _, left, last = terminal.seen.rpartition(b"\x1b[?1049l")
    assert left
    assert b"\x1b[?1049h" not in last  # the other screen
    assert terminal.seen.rfind(b"\x1b[?25h") > terminal.seen.rfind(b"\x1b[?25l")  # the cursor
    after = ESCAPE.sub(b"", last).decode()
    assert "w  0 of 3 done" in after
    assert "Traceback" not in after
