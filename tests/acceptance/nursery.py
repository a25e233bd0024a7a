"""Forks what a forked command starts: its workers, so that nothing is imported anew in them.

A forked worker is a child of its supervisor with its own process id, session, environment and
files, as if it had been started. `warm.py` decides which commands get this.
"""

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

PR_SET_CHILD_SUBREAPER = 36
LONGEST_REQUEST = 1 << 20

_nursery: socket.socket | None = None


def open_nursery() -> bool:
    """Let commands that this process starts from now on be forked; again in each, as True.

    Call it while this process has one thread: what is forked later is a copy of it as it is now.
    """
    global _nursery
    # An orphan becomes a child of the nearest ancestor that asks for it: so a worker is ours.
    if ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError("prctl failed")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    supervisor = os.getpid()
    if os.fork() == 0:
        ours.close()
        if _fork_commands(theirs, supervisor):
            return True
        os._exit(0)
    theirs.close()
    _nursery = ours
    subprocess.Popen = WarmPopen  # type: ignore[misc]
    return False


class WarmPopen(subprocess.Popen[bytes]):
    """A `Popen` that has `study` commands forked; every other command it starts as ever."""

    def _execute_child(self, args: Any, *rest: Any) -> None:
        if words_of(list(args))[:2] != ["-m", "study"]:
            super()._execute_child(args, *rest)  # type: ignore[misc]
            return
        cwd, env = rest[4], rest[5]
        p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite = rest[9:15]
        given = (p2cread, c2pwrite, errwrite)
        files = [number if file == -1 else file for number, file in enumerate(given)]
        request = json.dumps([list(args), cwd or os.getcwd(), dict(env or os.environ)])
        assert _nursery is not None
        socket.send_fds(_nursery, [request.encode()], files)
        self.pid = int(_nursery.recv(64))
        self._child_created = True
        self._close_pipe_fds(p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite)  # type: ignore[attr-defined]


def words_of(command: list[str]) -> list[str]:
    """Return what Python is to do, without Python and its options: from `-m` or `-c` on."""
    return command[2:] if command[1:2] == ["-P"] else command[1:]


def _fork_commands(requests: socket.socket, supervisor: int) -> bool:
    """Fork for each request until the supervisor is gone; return True in a child."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    while True:
        request, files, *_ = socket.recv_fds(requests, LONGEST_REQUEST, 3)
        if not request:
            return False
        told, tells = os.pipe()
        between = os.fork()
        if between == 0:
            worker = os.fork()
            if worker == 0:
                for file in (requests.detach(), told, tells):
                    os.close(file)
                while os.getppid() != supervisor:
                    pass
                command, folder, environment = json.loads(request)
                become(command, folder, environment, list(files))
                return True
            os.write(tells, str(worker).encode())
            os._exit(0)
        # Not before it is a child of the supervisor, who would take it for one that has ended.
        os.waitpid(between, 0)
        requests.send(os.read(told, 64))
        for file in (*files, told, tells):
            os.close(file)


def become(command: list[str], folder: str, environment: dict[str, str], files: list[int]) -> None:
    """Let this process be as if it had been started with the command.

    Args:
        files: Descriptors that become its stdin, stdout and stderr, and are closed.
    """
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None  # what another environment said
    own = environment.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[1:1] = [one for one in own if one and one not in sys.path]
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    option, _, *arguments = words_of(command)
    sys.argv = ["study" if option == "-m" else "-c", *arguments]
    sys.orig_argv[:] = command
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)


class HiddenFramework(MetaPathFinder, Loader):
    """Keras and TensorFlow, loaded but not seen in `sys.modules` before they are imported."""

    def __init__(self) -> None:
        from objectives.network.tryout.firstbatches import load_framework

        before = set(sys.modules)
        with tempfile.TemporaryDirectory() as folder:
            os.environ["KERAS_HOME"] = folder  # Keras writes its settings
            load_framework()
        self._hidden = {name: sys.modules.pop(name) for name in set(sys.modules) - before}
        self._specs: dict[str, ModuleSpec | None] = {}
        sys.meta_path.insert(0, self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Show all of them at the first import of one."""
        if fullname not in self._hidden:
            return None
        return ModuleSpec(fullname, self)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the module that was loaded."""
        module = self._hidden[spec.name]
        self._specs[spec.name] = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Show all modules; this one needs not run again."""
        name = module.__spec__.name  # type: ignore[union-attr]
        module.__spec__ = self._specs[name]
        sys.modules.update(self._hidden)
        self._hidden = {}
