"""The end of the web server: asked for from anywhere, at any moment, and as often as one likes."""

import os
import select
import threading
from collections.abc import Callable
from http.client import HTTPConnection
from types import SimpleNamespace
from typing import Any

import pytest

from study.web import database
from study.web.database import Database
from study.web.listening import listen
from study.web.server import Server

LIMIT_S = 60.0


def hello(environ: Any, start_response: Any) -> list[bytes]:
    """Answer any request."""
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]


def started() -> tuple[Server, threading.Thread]:
    """A server, and the thread in which it serves."""
    server = Server(hello, listen("127.0.0.1", 0))
    thread = threading.Thread(target=server.serve)
    thread.start()
    return server, thread


def ask(port: int) -> bytes:
    """Send one request, and return what was answered."""
    connection = HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)
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
