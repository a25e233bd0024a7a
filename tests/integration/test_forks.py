"""What a process that an objective forks has of ours: no signals, no locks, no connections."""

import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NoReturn

import pytest
import sqlalchemy as sa

from objectives.errors import ModelError
from objectives.framework.fitprocess import FitProcess
from storage.rdb import SlotStorage, open_storage
from study.machine.forks import close_withheld, end_forks, withhold
from study.machine.gpus import Gpu
from study.machine.locks import DeviceLock, GpuLocks, Holder
from study.worker.log import AttemptLog
from study.worker.signals import StopRequest

# From Python 3.12 on; this process has threads, as a worker has.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")

LIMIT_S = 60.0
N_RACES = 50
CARD, ANA, BEN = Gpu("GPU-0", 0, "Card", 80000), Holder("t1", "digits"), Holder("t2", "fashion")


def forked(code: Callable[[], Any]) -> Any:
    """Return what the code says in a forked process, as JSON."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writer, json.dumps(code()).encode())
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        said = pipe.read()
    assert ended(pid) == 0
    return json.loads(said)


def left_behind(begins: Callable[[], Any] = lambda: None) -> int:
    """Fork a process that does nothing more than to begin; return its id."""
    pid = os.fork()
    if pid == 0:
        begins()
        while True:
            signal.pause()
    return pid


def ended(pid: int) -> int:
    """Wait for the end of a process; return its exit code, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.fixture
def child() -> Iterator[Callable[[], int]]:
    """What forks a process that is left behind, until the end of the test."""
    with ExitStack() as stack:

        def fork() -> int:
            reader, writer = os.pipe()
            pid = left_behind(lambda: os.write(writer, b"."))
            stack.callback(ended, pid)
            stack.callback(os.kill, pid, signal.SIGKILL)
            assert os.read(reader, 1) == b"."  # from here on it has let go of what is ours
            os.close(reader)
            os.close(writer)
            return pid

        yield fork


@pytest.fixture
def stop() -> Iterator[StopRequest]:
    """A request that is heard in this process; what it asks for is nothing."""
    with StopRequest(lambda: None, lambda: None) as found:
        yield found


def test_signal_to_a_child_ends_the_child_and_asks_nothing_of_us(stop: StopRequest) -> None:
    """From the first moment on: a pool may end its processes right after it has forked them."""
    for _ in range(N_RACES):
        pid = left_behind()
        os.kill(pid, signal.SIGTERM)
        assert ended(pid) == -signal.SIGTERM
    assert not stop.event.is_set()
    os.kill(os.getpid(), signal.SIGTERM)
    assert stop.event.wait(LIMIT_S)  # ours are heard as before


def test_child_hears_signals_as_any_program_does(stop: StopRequest) -> None:
    """Nothing is held back, and no descriptor is written to."""
    numbers = (signal.SIGINT, signal.SIGTERM)

    def handlers() -> list[bool]:
        return [
            signal.getsignal(signal.SIGINT) is signal.default_int_handler,
            signal.getsignal(signal.SIGTERM) is signal.SIG_DFL,
            signal.set_wakeup_fd(-1) == -1,
            not signal.pthread_sigmask(signal.SIG_BLOCK, []) & set(numbers),
        ]

    assert forked(handlers) == [True] * 4
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, []) & set(numbers)
    assert not stop.event.is_set()


def test_handler_that_a_user_has_set_stays_in_the_child(stop: StopRequest) -> None:
    """What is not ours is not taken away."""
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        assert forked(lambda: signal.getsignal(signal.SIGTERM) is signal.SIG_IGN)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_child_of_another_thread_hears_them_as_well(stop: StopRequest) -> None:
    """Pools fork in threads of their own."""
    found: list[int] = []

    def fork() -> None:
        pid = left_behind()
        os.kill(pid, signal.SIGTERM)
        found.append(ended(pid))

    thread = threading.Thread(target=fork)
    thread.start()
    thread.join(LIMIT_S)
    assert found == [-signal.SIGTERM]
    assert not stop.event.is_set()


def test_child_that_is_left_behind_does_not_keep_a_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, child: Callable[[], int]
) -> None:
    """The lock of a trial ends with the trial, and not with the last process it has forked."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    def refuse() -> NoReturn:
        raise AssertionError("the device is taken")

    with DeviceLock("cpu", alone=True, look=refuse, say=print):
        child()
        with pytest.raises(AssertionError), DeviceLock("cpu", alone=True, look=refuse, say=print):
            pass  # by another trial: the child has not let go of it for us
    with DeviceLock("cpu", alone=True, look=refuse, say=print):
        pass


def test_child_that_is_left_behind_does_not_keep_a_seat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, child: Callable[[], int]
) -> None:
    """The card is free for another study once its worker has ended."""
    monkeypatch.setenv("STUDY_SEAT", "")
    folder = GpuLocks(tmp_path)
    seat = folder.take([CARD], 1, ANA)
    assert seat is not None
    seat.keep()
    assert not os.get_inheritable(seat.handle)  # nor do commands that a user's code starts
    child()
    assert folder.take([CARD], 1, BEN) is None
    close_withheld(seat.handle)  # as the end of the process does
    other = folder.take([CARD], 1, BEN)
    assert other is not None
    os.close(other.handle)


def test_child_that_is_left_behind_does_not_keep_what_we_print_to(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], child: Callable[[], int]
) -> None:
    """Who reads our output to its end waits for us alone."""
    reader, writer = os.pipe()
    with capfd.disabled():
        stdout = os.dup(1)
        os.dup2(writer, 1)
        os.close(writer)
        try:
            with AttemptLog(tmp_path / "trial-0.log"):
                child()
        finally:
            os.dup2(stdout, 1)
            os.close(stdout)
    with open(reader, "rb") as pipe:
        assert pipe.read() == b""


def test_number_that_has_become_another_files_is_left_alone(tmp_path: Path) -> None:
    """The child has all that is not ours."""
    handle = os.open(tmp_path / "ours", os.O_CREAT)
    withhold(handle)
    os.close(handle)
    again = os.open(tmp_path / "theirs", os.O_CREAT | os.O_RDWR)
    assert again == handle
    try:
        assert forked(lambda: os.write(again, b"written")) == 7
    finally:
        close_withheld(again)


def session_of(storage: SlotStorage) -> Any:
    """Which connection of the server's this process uses; None on SQLite, which has no server."""
    asked = {"postgresql": "SELECT pg_backend_pid()", "mysql": "SELECT connection_id()"}
    name = storage.engine.dialect.name
    with storage.engine.connect() as connection:
        return connection.execute(sa.text(asked[name])).scalar() if name in asked else None


def test_child_leaves_our_connection_alone_and_has_its_own(target: SlotStorage) -> None:
    """Whatever it does and however it ends, we go on with the one that we had."""
    before = session_of(target)

    def use() -> Any:
        target.close()  # what the end of a process does, too
        return session_of(target)

    theirs = forked(use) if before is not None else forked(lambda: None)
    assert session_of(target) == before
    assert theirs is None or theirs != before


def test_child_has_no_socket_of_the_database(postgres_url: str) -> None:
    """The server hears of our end, though a child lives on."""
    storage = open_storage(postgres_url)

    def sockets() -> list[str]:
        found = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
        return [os.readlink(path) for path in found if os.path.lexists(path)]

    with storage.engine.connect() as held:
        raw: Any = held.connection.driver_connection
        ours = os.readlink(f"/proc/self/fd/{raw.fileno()}")
        assert ours.startswith("socket:")
        assert ours not in forked(sockets)
        assert held.execute(sa.text("SELECT 1")).scalar() == 1
    storage.close()


def leave(how: Callable[[], Any]) -> int:
    """Fork inside a `fit`, let the child leave it as it is told, and return its exit code."""
    pids: list[int] = []
    try:
        with FitProcess():
            pids.append(os.fork())
            if pids[0] == 0:
                how()
    finally:
        if pids[0] == 0:
            os._exit(99)  # it came out
    return ended(pids[0])


def exit_with(code: object) -> Callable[[], Any]:
    """Return what raises SystemExit."""

    def leave() -> NoReturn:
        raise SystemExit(code)

    return leave


@pytest.mark.parametrize(
    ("how", "code"),
    [
        (lambda: None, 0),
        (exit_with(None), 0),
        (exit_with(3), 3),
        (exit_with("a reason"), 1),
        (lambda: 1 / 0, 1),
    ],
    ids=["returns", "exits", "exits-3", "exits-saying", "raises"],
)
def test_child_ends_where_it_leaves_fit(how: Callable[[], Any], code: int) -> None:
    """It never goes on as a second worker, which would end the trial before we do."""
    assert leave(how) == code


def test_report_of_a_child_is_refused() -> None:
    """We would not know of its value, nor it of what we are told."""
    here = FitProcess()
    here.refuse_child()

    def report() -> str:
        try:
            here.refuse_child()
        except ModelError as error:
            return f"{error}; {error.hint}"
        return ""

    assert forked(report) == (
        "report was called in a process that fit has started; "
        "return the value to the process that fit was called in, and report it there"
    )


def test_processes_that_an_objective_has_left_end_with_us() -> None:
    """Python ends daemons and waits for others; a process that must end now ends both."""
    context = multiprocessing.get_context("fork")
    daemon = context.Process(target=signal.pause, daemon=True)
    other = context.Process(target=signal.pause)
    for process in (daemon, other):
        process.start()
    try:
        end_forks(daemons_only=True)
        daemon.join(LIMIT_S)
        assert daemon.exitcode == -signal.SIGTERM
        assert other.is_alive()
        end_forks(daemons_only=False)
        other.join(LIMIT_S)
        assert other.exitcode == -signal.SIGTERM
    finally:
        other.kill()
        other.join()
