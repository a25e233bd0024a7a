"""Clients and servers that are gone or frozen without a word hold nobody up for long."""

import socket

import pytest
import sqlalchemy as sa

from storage.database import tables
from storage.database.engine import KEEP_ALIVE_S
from storage.database.failures import is_passing
from storage.database.postgresql import LONGEST_HELD_S
from tests.integration.planned import another, planned

HELD = {
    "postgresql": "SELECT current_setting('idle_in_transaction_session_timeout')",
    "mariadb": "SELECT @@idle_transaction_timeout",
}
SOON = {
    "postgresql": "SET idle_in_transaction_session_timeout = '300ms'",
    "mariadb": "SET idle_transaction_timeout = 1",
}
SERVERS = ["postgres_url", "mysql_url"]


@pytest.fixture(params=SERVERS)
def server_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database on each kind of server in turn."""
    url: str = request.getfixturevalue(request.param)
    return url


def test_process_that_is_frozen_in_a_transaction_does_not_keep_its_locks(server_url: str) -> None:
    """The server ends its transaction; once it goes on, its error is one that is tried again."""
    slots = planned(server_url, 1)
    engine = slots.storage.engine
    name = "mariadb" if getattr(engine.dialect, "is_mariadb", False) else engine.dialect.name
    if name == "mysql":  # has no such limit, and is not promised to
        return
    with engine.connect() as frozen:
        assert frozen.execute(sa.text(HELD[name])).scalar() in (LONGEST_HELD_S, "1min")
        frozen.execute(sa.text(SOON[name]))
        frozen.commit()
        tables.lock_study(frozen, slots.study_id)
        another(slots).plan(2)  # waits for the lock
        with pytest.raises(sa.exc.DBAPIError) as refused:
            frozen.execute(sa.text("SELECT 1"))
    assert is_passing(refused.value)


def test_server_that_is_gone_without_a_word_is_noticed_soon(server_url: str) -> None:
    """A connection that is waiting for an answer breaks after half a minute, not after hours."""
    slots = planned(server_url, 1)
    with slots.storage.engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert raw is not None
        number = raw.fileno() if hasattr(raw, "fileno") else raw._sock.fileno()
        with socket.fromfd(number, socket.AF_INET, socket.SOCK_STREAM) as connected:
            assert connected.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            for option, value in KEEP_ALIVE_S.items():
                if hasattr(socket, option):  # not on every system
                    kind = getattr(socket, option)
                    assert connected.getsockopt(socket.IPPROTO_TCP, kind) == value
