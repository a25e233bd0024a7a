"""PostgreSQL behind a pooler, which may give each transaction another session.

The pooler here is PgBouncer's beginning of a session alone: it refuses `options`, or leaves them
out, and passes all else on.
"""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest
from sqlalchemy.engine import make_url

from storage.rdb import open_storage
from tests.integration.planned import claimed, planned
from tests.integration.refused import CREATE, error_of

pytestmark = pytest.mark.usefixtures("engines")  # closes those of the commands

SSL_REQUEST, GSS_REQUEST = 80877103, 80877104
SAID = b"unsupported startup parameter: options"
TEAM = {"options": "-c search_path=team"}


class Pooler:
    """Accepts on a port of its own and speaks to the server of `port`."""

    def __init__(self, port: int, *, is_silent: bool) -> None:
        self._port, self._is_silent = port, is_silent
        self._open = ExitStack()
        self._listening = self._open.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._open.close()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client = self._open.enter_context(self._listening.accept()[0])
                threading.Thread(target=self._begin, args=(client,), daemon=True).start()

    def _begin(self, client: socket.socket) -> None:
        while True:
            size, code = struct.unpack("!ii", client.recv(8, socket.MSG_WAITALL))
            words = client.recv(size - 8, socket.MSG_WAITALL).split(b"\0") if size > 8 else []
            if code not in (SSL_REQUEST, GSS_REQUEST):
                break
            client.sendall(b"N")
        named = dict(zip(words[::2], words[1::2], strict=False))
        if named.pop(b"options", None) is not None and not self._is_silent:
            fields = b"SFATAL\0VFATAL\0C08P01\0M" + SAID + b"\0\0"
            client.sendall(b"E" + struct.pack("!i", len(fields) + 4) + fields)
            client.shutdown(socket.SHUT_RDWR)
            return
        body = b"".join(b"%s\0%s\0" % item for item in named.items() if item[0]) + b"\0"
        server = self._open.enter_context(socket.create_connection(("127.0.0.1", self._port)))
        server.sendall(struct.pack("!ii", len(body) + 8, code) + body)
        threading.Thread(target=_pass_on, args=(server, client), daemon=True).start()
        _pass_on(client, server)


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_RDWR)


@pytest.fixture(params=[False, True], ids=["refuses", "leaves-out"])
def pooled_url(postgres_url: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of an empty database behind a pooler that refuses options, or leaves them out."""
    port = make_url(postgres_url).port
    assert port is not None
    pooler = Pooler(port, is_silent=request.param)
    yield make_url(postgres_url).set(port=pooler.port).render_as_string(hide_password=False)
    pooler.close()


def test_study_is_created_and_opened_behind_a_pooler(pooled_url: str) -> None:
    """Our own options are no condition of anything."""
    slots = planned(pooled_url, 2)
    assert claimed(slots).slot.slot == 0
    storage = open_storage(pooled_url, create=False)
    assert storage.get_n_trials(slots.study_id) == 2
    storage.close()


def test_options_of_the_url_are_never_left_out(pooled_url: str) -> None:
    """A study would else stand in another schema than the one that was named."""
    url = make_url(pooled_url).update_query_dict(TEAM).render_as_string(hide_password=False)
    error, hint = error_of(*CREATE, url=url)
    assert "unsupported startup parameter" in error
    assert hint.startswith("leave options= out of the URL")


@pytest.mark.parametrize("is_pooled", [True, False])
def test_statements_are_prepared_only_without_a_pooler(
    postgres_url: str, pooled_url: str, is_pooled: bool
) -> None:
    """Behind one the next transaction may be in another session, which may have the same name."""
    slots = planned(pooled_url if is_pooled else postgres_url, 20)
    for _ in range(20):
        held = claimed(slots)
        for step in range(3):
            slots.report(held, step, 0.5)
    with slots.storage.engine.connect() as connection:
        query = "SELECT count(*) FROM pg_prepared_statements"
        assert (connection.exec_driver_sql(query).scalar() == 0) == is_pooled
