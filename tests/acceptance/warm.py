"""A process that has imported the program once and forks for each command that a test runs.

A forked command is a process as any other: its own session, folder, environment, files, signals
and exit code. Only the seconds of importing, some hundred times in this suite, are not spent again.
Its workers are forked too, by `nursery.py`. What a worker starts in its own place is started anew,
imports and all; and so is everything where a test asks for it, or sets variables.

On Linux alone; elsewhere every command is started anew.
"""

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

from tests.acceptance.nursery import (
    LONGEST_REQUEST,
    HiddenFramework,
    become,
    open_nursery,
    words_of,
)

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("study", "storage", "objectives")
LATE = (
    "psycopg",
    "pymysql",
    "optuna.samplers",
    "optuna.storages",
    "typer._adapters",
    # The report's: two seconds in each command that writes one.
    "optuna.importance",
    "optuna.visualization",
    "pandas",
    "plotly.graph_objects",
    "sklearn.ensemble",
)
"""What the libraries of a command import when they first need it."""

STARTERS = ("run", "worker", "finalize")
"""Commands that start workers."""


class WarmCommand:
    """One command, with what the tests need of `subprocess.Popen`.

    Attributes:
        args: Its words, as a shell would have them.
        returncode: Exit code, negative for the signal it died of; None while it runs.
    """

    def __init__(self, connection: socket.socket, args: list[str]) -> None:
        self.args = args
        self.returncode: int | None = None
        self._connection = connection
        self.pid = int(self._read())

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end, and return the exit code.

        Raises:
            subprocess.TimeoutExpired: It still runs.
        """
        if self.returncode is None:
            if not select.select([self._connection], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
            self.returncode = int(self._read())
            self._connection.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def _read(self) -> str:
        message = self._connection.recv(64)
        assert message, "the process that forks for commands is gone"
        return message.decode()


class Warm:
    """The process that has imported the program; started by the first command, ended by `close`.

    Args:
        more: Words for it; "framework" where it is to load Keras and TensorFlow as well.
    """

    def __init__(self, *more: str) -> None:
        self._more = more
        # No TemporaryDirectory: a child that a test has forked would remove it at its own exit.
        self._root, self._folder = tempfile.gettempdir(), ""
        self._process: subprocess.Popen[bytes] | None = None

    def start(
        self, words: list[str], folder: Path, environment: dict[str, str], files: list[int]
    ) -> WarmCommand:
        """Start `python WORDS`, which begin with `-m MODULE` or `-c CODE`.

        Args:
            files: Descriptors of its stdin, stdout and stderr.
        """
        if self._process is None:
            self._launch()
        request = json.dumps([words, str(folder), environment]).encode()
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.connect(self._address)
        socket.send_fds(connection, [request], files)
        return WarmCommand(connection, words)

    def close(self) -> None:
        """End the process, if there is one; the next command starts another."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            shutil.rmtree(self._folder)
            self._process = None

    @property
    def _address(self) -> str:
        return f"{self._folder}/socket"

    def _launch(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="warm-", dir=self._root)
        ours = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "tests.acceptance.warm", self._address, *self._more]
        self._process = subprocess.Popen(command, cwd=ROOT, env=ours, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"


WARM, WITH_FRAMEWORK = Warm(), Warm("framework")


def import_program() -> None:
    """Import every module that a command may import, but for the frameworks."""
    for room in ROOMS:
        for module in pkgutil.walk_packages([str(ROOT / room)], f"{room}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    for name in LATE:
        importlib.import_module(name)


def next_command(address: str) -> list[str]:
    """Fork for each command that is sent; return its words in the process that is to run it."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(address)
    listener.listen()
    print("ready", flush=True)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever waits for commands ends by itself
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            request, files, *_ = socket.recv_fds(connection, LONGEST_REQUEST, 3)
            child = os.fork()
            if child == 0:
                connection.close()
                words, folder, environment = json.loads(request)
                become([sys.executable, *words], folder, environment, list(files))
                while starts_others(words) and open_nursery():
                    words = words_of(sys.orig_argv)
                return list(words)
            answer(connection, child)
        connection.close()


def starts_others(words: list[str]) -> bool:
    """Whether `python WORDS` may start commands: its workers, or what a notebook's cells start."""
    if "STUDY_SUPERVISED" in os.environ:
        return False
    option, what = words[:2]
    return (option, what) != ("-m", "study") or words[2:3] in [[name] for name in STARTERS]


def run(words: list[str]) -> None:
    """Do what `python WORDS` does."""
    option, what = words[:2]
    if option == "-c":
        exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})
    elif what == "study":
        from study.__main__ import main

        main()
    else:
        runpy.run_module(what, run_name="__main__", alter_sys=True)


def answer(connection: socket.socket, child: int) -> NoReturn:
    """Say the child's process id, then how it ended."""
    connection.send(str(child).encode())
    _, status = os.waitpid(child, 0)
    with contextlib.suppress(OSError):  # nobody waits any more
        connection.send(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


if __name__ == "__main__":
    import_program()
    if "framework" in sys.argv[2:]:
        HiddenFramework()
    gc.freeze()
    run(next_command(sys.argv[1]))
