"""The end of the web server: asked for from anywhere, at any moment, and as often as one likes."""

import os
import select
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from study.dashboard import database
from study.dashboard import server as web_server
from study.dashboard.database import Database
from study.dashboard.server import Connections, Server, listen, most_open
from tests.openfiles import open_below

LIMIT_S = 60.0
Opened = Callable[..., socket.socket]


def hello(environ: Any, start_response: Any) -> list[bytes]:
    """Answer any request."""
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]


def started(app: Any = hello, **limits: Any) -> tuple[Server, threading.Thread]:
    """A server, and the thread in which it serves."""
    server = Server(app, listen("127.0.0.1", 0), **limits)
    thread = threading.Thread(target=server.serve)
    thread.start()
    return server, thread


def ask(port: int, address: str = "127.0.0.1") -> bytes:
    """Send one request from an address of this machine, and return what was answered."""
    connection = HTTPConnection("127.0.0.1", port, LIMIT_S, source_address=(address, 0))
    try:
        connection.request("GET", "/")
        return connection.getresponse().read()
    finally:
        connection.close()


def test_stop_while_the_server_comes_to_its_end_by_itself() -> None:
    """The loop sees that it is to end before it is woken: then there is nothing to wake."""
    server, thread = started()

    class Late(threading.Event):
        def set(self) -> None:
            super().set()
            thread.join(LIMIT_S)

    server._stopped = Late()
    server.stop()
    assert not thread.is_alive()


def test_stop_after_the_end_writes_into_nobodys_file() -> None:
    """The numbers of the closed pipe are those of other files by then."""
    server, thread = started()
    assert ask(server.port) == b"hello"
    server.stop()
    thread.join(LIMIT_S)
    pipes = [os.pipe() for _ in range(16)]
    try:
        server.stop()
        server._server.pull_trigger()  # as a request does that is answered late
        readers = [reader for reader, _ in pipes]
        assert select.select(readers, [], [], 0)[0] == []
    finally:
        for pipe in pipes:
            for handle in pipe:
                os.close(handle)


def test_stop_by_a_signal_in_the_middle_of_a_stop() -> None:
    """A handler runs in the thread that it interrupts, and does not wait for it."""
    server, thread = started()
    with server._closing:
        server.stop()
    thread.join(LIMIT_S)
    assert not thread.is_alive()


def test_stop_before_serving_begins() -> None:
    """It then ends at once."""
    server = Server(hello, listen("127.0.0.1", 0))
    server.stop()
    server.serve()


def test_servers_start_and_stop_again_and_again() -> None:
    """Asked by several threads at once, while a request is on its way."""
    for _ in range(10):
        server, thread = started()
        assert ask(server.port) == b"hello"
        stops = [threading.Thread(target=server.stop) for _ in range(4)]
        for stop in stops:
            stop.start()
        for stop in (*stops, thread):
            stop.join(LIMIT_S)
            assert not stop.is_alive()


HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\n"
UNFINISHED = {
    "says nothing": b"",
    "headers without an end": HEAD,
    "half a body": HEAD + b"Content-Length: 9999\r\n\r\n1234",
    "chunks without an end": HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
    "waits to continue": HEAD + b"Expect: 100-continue\r\nContent-Length: 9999\r\n\r\n",
    "kept open": HEAD + b"Content-Length: 0\r\n\r\n",
}


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Opens connections, and closes them in the end."""
    found: list[socket.socket] = []

    def connect(server: Server, sent: bytes, address: str = "127.0.0.1") -> socket.socket:
        place = ("127.0.0.1", server.port)
        found.append(socket.create_connection(place, LIMIT_S, (address, 0)))
        found[-1].sendall(sent)
        return found[-1]

    yield connect
    for one in found:
        one.close()


@pytest.mark.parametrize("sent", UNFINISHED.values(), ids=UNFINISHED)
def test_address_with_many_connections_keeps_nobody_out(opened: Opened, sent: bytes) -> None:
    """Neither others nor itself, and the server holds no more than its number of them."""
    server, thread = started(most=20)
    other = HTTPConnection("127.0.0.1", server.port, LIMIT_S, source_address=("127.0.0.2", 0))
    try:
        other.request("GET", "/")
        assert other.getresponse().read() == b"hello"
        for _ in range(100):
            opened(server, sent)
        assert (ask(server.port, "127.0.0.3"), ask(server.port)) == (b"hello", b"hello")
        assert len(server._server.active_channels) <= 21  # one more until it is seen
        other.auto_open = 0  # whoever has one connection keeps it
        other.request("GET", "/")
        assert other.getresponse().read() == b"hello"
    finally:
        other.close()
        server.stop()
        thread.join(LIMIT_S)


def closes(one: socket.socket, drip: bytes) -> bool:
    """Whether the other side ends a connection to which a byte is written now and then."""
    one.settimeout(0.05)
    while True:
        try:
            one.sendall(drip)
            if not one.recv(100):
                return True
        except TimeoutError:
            continue
        except ConnectionError:
            return True


@pytest.mark.parametrize("kind", [kind for kind in UNFINISHED if kind != "kept open"])
def test_request_that_drips_is_ended(opened: Opened, kind: str) -> None:
    """A byte now and then does not put it off."""
    server, thread = started(request_s=0.5, idle_s=0.5)
    drip = {"chunks without an end": b"1\r\na\r\n", "says nothing": b""}.get(kind, b"a")
    try:
        assert closes(opened(server, UNFINISHED[kind]), drip)
    finally:
        server.stop()
        thread.join(LIMIT_S)


def much(environ: Any, start_response: Any) -> list[bytes]:
    """Answer one request with more than any buffer of a connection holds."""
    if environ["PATH_INFO"] != "/much":
        return hello(environ, start_response)
    start_response("200 OK", [("Content-Length", str(10 << 20))])
    return [bytes(10 << 20)]


MUCH = b"GET /much HTTP/1.1\r\nHost: localhost\r\n\r\n"


def test_answer_that_nobody_reads_is_ended(opened: Opened) -> None:
    """And it holds no thread meanwhile: there are more such answers than threads."""
    server, thread = started(much, request_s=1.0)
    try:
        unread = [opened(server, MUCH) for _ in range(12)]
        assert ask(server.port) == b"hello"
        for one in unread:
            assert select.select([one], [], [], LIMIT_S)[0]  # its answer has begun
        while len(server._server.active_channels) > 1:
            assert ask(server.port) == b"hello"
    finally:
        server.stop()
        thread.join(LIMIT_S)


def test_files_of_unread_answers_and_unfinished_bodies_are_closed_at_the_end(
    opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waitress would leave them to the garbage collector."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    server, thread = started(much)
    try:
        unread = opened(server, MUCH)
        opened(server, HEAD + b"Content-Length: 999999\r\n\r\n" + bytes(500_000))
        assert select.select([unread], [], [], LIMIT_S)[0]  # its answer has begun
        while len(open_below(tmp_path)) < 2:
            assert ask(server.port) == b"hello"
        kept = list(server._server.active_channels.values())
    finally:
        server.stop()
        thread.join(LIMIT_S)
    assert kept
    assert open_below(tmp_path) == []


def test_each_connection_of_a_proxy_counts_for_itself() -> None:
    """It speaks for many: an address with more connections than one loses them first."""
    closed: list[str] = []

    def channel(name: str, address: str) -> Any:
        found = Mock(addr=(address, 1), request=None, requests=[], total_outbufs_len=0)
        found.handle_close = lambda: closed.append(name)
        return found

    proxied = {i: channel(f"proxy {i}", "10.0.0.1") for i in range(5)}
    direct = {10 + i: channel(f"direct {i}", "10.0.0.2") for i in range(2)}
    Connections(proxied | direct, lambda address: address == "10.0.0.1", most=6).tidy()
    assert closed == ["direct 0"]


@pytest.mark.parametrize(("files", "most"), [(64, 16), (256, 52), (1024, 256), (1 << 20, 256)])
def test_connections_leave_files_to_the_process(
    monkeypatch: pytest.MonkeyPatch, files: int, most: int
) -> None:
    """Of a limit that is as low as this; with many files memory is what counts."""
    monkeypatch.setattr(web_server.resource, "getrlimit", lambda which: (files, files))
    assert most_open() == most


@pytest.mark.parametrize("comes", [False, True], ids=["still away", "comes meanwhile"])
def test_database_that_is_closed_while_it_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, comes: bool
) -> None:
    """What would go on with it is not called, and a storage that came too late is closed."""
    trying, may_answer = threading.Event(), threading.Event()
    closed: list[bool] = []

    def answer(waits: Callable[[], Any]) -> str | None:
        if not may_answer.is_set() and not trying.is_set():
            trying.set()
            may_answer.wait(LIMIT_S)
            if comes:
                waiting.storage = SimpleNamespace(close=lambda: closed.append(True))  # type: ignore[assignment]
                return None
        return "it is away"

    monkeypatch.setattr(database, "TRY_EVERY_S", 0.01)
    monkeypatch.setattr(Database, "_try", lambda self: "it is away")
    waiting = Database("postgresql://nobody@localhost:1/none")
    monkeypatch.setattr(Database, "_try", answer)
    called: list[bool] = []
    before = set(threading.enumerate())
    waiting.wait(lambda: called.append(True))
    (thread,) = set(threading.enumerate()) - before
    assert trying.wait(LIMIT_S)
    waiting.close()
    may_answer.set()
    thread.join(LIMIT_S)
    assert not thread.is_alive()
    assert (called, closed) == ([], [True] if comes else [])
