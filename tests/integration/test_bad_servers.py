"""Servers that cannot be used: each is one line, soon, without a password."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from tests.databases import PostgresServer
from tests.integration.planned import new_slots, planned
from tests.integration.refused import CREATE, SECRET, STATUS, command, error_of

pytestmark = pytest.mark.usefixtures("engines")  # closes those of the commands


def shown(url: str, **parts: object) -> str:
    """The URL with other parts, its password included."""
    return make_url(url).set(**parts).render_as_string(hide_password=False)  # type: ignore[arg-type]


@pytest.mark.parametrize("backend", ["postgresql", "mysql"])
def test_unknown_host_is_one_line(backend: str) -> None:
    """Waited for, because a name may be there soon; the password is not shown."""
    url = f"{backend}://me:{SECRET}@no-such-host.invalid/name"
    error, hint = error_of(*CREATE, url=url)
    assert error.startswith(f"cannot reach storage {backend}://me:***@no-such-host.invalid/name ")
    assert "within 2 s: " in error
    assert hint == "start the database, or name another --storage"


@pytest.fixture
def silent_port() -> Iterator[int]:
    """The port of a server that accepts every connection and never says a word."""
    with ExitStack() as open_ones, socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    open_ones.enter_context(server.accept()[0])
                except OSError:  # closed
                    return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize("backend", ["postgresql", "mysql"])
def test_server_that_accepts_and_never_answers(backend: str, silent_port: int) -> None:
    """Bounded by --wait, like a server that is away."""
    url = f"{backend}://me:{SECRET}@127.0.0.1:{silent_port}/name"
    started = time.monotonic()
    error, _ = error_of(*CREATE, url=url)
    assert error.startswith(f"cannot reach storage {backend}://me:***@127.0.0.1")
    assert "within 2 s: " in error
    assert time.monotonic() - started < 9.0  # the drivers' own limits are 10 s, and none


def test_query_may_take_longer_than_the_handshake(mysql_url: str) -> None:
    """The limit of reads is that of the connecting alone."""
    slots = planned(mysql_url, 1)
    with slots.storage.engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert raw is not None
        assert (raw._read_timeout, raw._write_timeout) == (None, None)


@pytest.fixture
def needy(postgres_server: PostgresServer, postgres_url: str) -> Iterator[str]:
    """The URL of a role that must give its password, and may have one connection."""
    role = f"needy_{make_url(postgres_url).database}"
    url = shown(postgres_url, username=role, password=SECRET)
    with psycopg.connect(plain(postgres_server.url("postgres")), autocommit=True) as admin:
        query = "SELECT current_setting('hba_file'), pg_read_file(current_setting('hba_file'))"
        path, text = admin.execute(query).fetchone() or ("", "")
        kept = [line for line in text.splitlines() if line and not line.startswith("#")]
        admin.execute(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 1 PASSWORD '{SECRET}'".encode())

        def write(lines: list[str]) -> None:
            rows = ", ".join(f"('{line}')" for line in lines)
            admin.execute(f"COPY (VALUES {rows}) TO '{path}'".encode())
            admin.execute("SELECT pg_reload_conf()")

        write([f"host all {role} 127.0.0.1/32 scram-sha-256", *kept])
        try:
            wait_for(lambda: not connects(shown(url, password="wrong")))
            yield url
        finally:
            write(kept)
            wait_for(lambda: connects(shown(url, password="wrong")))
            wait_for(lambda: dropped(admin, role))


def plain(url: str) -> str:
    """The URL as psycopg itself takes it."""
    return url.replace("+psycopg", "")


def connects(url: str) -> bool:
    """Whether somebody may connect."""
    try:
        psycopg.connect(plain(url)).close()
    except psycopg.OperationalError as error:
        if "password" not in str(error) and "too many" not in str(error):
            raise
        return False
    return True


def dropped(admin: psycopg.Connection, role: str) -> bool:
    """Drop a role once its connections have ended."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE usename = %s"
    if admin.execute(query, (role,)).fetchone() != (0,):
        return False
    admin.execute(f"DROP ROLE {role}".encode())
    return True


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until it is so; fail where it does not become so."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_wrong_password_of_postgresql_is_refused_at_once(needy: str) -> None:
    """No waiting for a server that has answered; neither password is shown."""
    wrong = shown(needy, password=f"{SECRET}-wrong")
    tries: list[Any] = []

    def note(*connecting: Any) -> None:
        tries.append(connecting)

    sa.event.listen(sa.Engine, "do_connect", note)
    try:
        error, _ = error_of("create", "--objective", "synthetic", "--wait", "60s", url=wrong)
    finally:
        sa.event.remove(sa.Engine, "do_connect", note)
    assert len(tries) == 1
    assert error.startswith("cannot use storage postgresql+psycopg://needy_")
    assert "password authentication failed" in error


def test_refused_password_says_what_it_should_have_encoded(needy: str) -> None:
    """Such a URL is read without doubt, but perhaps not as it was meant."""
    given = needy.replace(SECRET, f"{SECRET}/a#b")
    error, hint = error_of(*CREATE, url=given)
    assert "password authentication failed" in error
    assert hint.endswith("and write / as %2F, # as %23 in its user and password")
    _, hint = error_of(*CREATE, url=shown(needy, password="wrong"))
    assert hint.startswith("check user and password of the URL; @ : / # ? and % are written %40")


def test_url_without_a_password_says_where_one_goes(needy: str) -> None:
    """Into the URL, or into the environment."""
    error, hint = error_of(*CREATE, url=needy.replace(f":{SECRET}", ""))
    assert "no password supplied" in error
    assert hint == "postgresql://user:password@host/name, or the variable PGPASSWORD"


def test_database_that_does_not_exist(postgres_url: str) -> None:
    """The statement that makes it, at once, with a name that must be quoted too."""
    for name, quoted in (("nowhere", "nowhere"), ("No where", '"No where"')):
        url = shown(postgres_url, database=name)
        error, hint = error_of("create", "--objective", "synthetic", "--wait", "60s", url=url)
        assert f'database "{name}" does not exist' in error
        assert hint == f"CREATE DATABASE {quoted}, or another name in the URL"


def test_role_that_does_not_exist(postgres_url: str) -> None:
    """The statement that makes it."""
    error, hint = error_of(*CREATE, url=shown(postgres_url, username="nobody_here"))
    assert 'role "nobody_here" does not exist' in error
    assert hint == "CREATE ROLE nobody_here LOGIN PASSWORD '...', or another user"


@pytest.mark.parametrize("driver", ["psycopg2", "asyncpg", "pg8000"])
def test_url_of_another_driver_works(postgres_url: str, driver: str) -> None:
    """The database is the same, whichever driver the URL is for."""
    url = postgres_url.replace("+psycopg", f"+{driver}")
    done = command(*CREATE, url=url)
    assert done.exit_code == 0, done.output
    assert command(*STATUS, url=postgres_url).exit_code == 0


@pytest.mark.parametrize(
    ("option", "hint"),
    [
        ("sslmode=require", "leave sslmode out of the URL"),
        ("sslmode=colour", "check the port and the options of the URL"),
        ("connect_timeout=soon", "check the port and the options of the URL"),
        ("options=-ccolour%3D1", "check options= in the URL"),
    ],
)
def test_option_that_the_server_or_driver_refuses(
    postgres_url: str, option: str, hint: str
) -> None:
    """Not waited for: it does not pass."""
    error, said = error_of("create", "--wait", "60s", url=f"{postgres_url}?{option}")
    assert error.startswith("cannot use storage postgresql+psycopg://")
    assert said == hint


@pytest.mark.parametrize("option", ["connect_timeout=soon", "ssl_ca=/nowhere/ca"])
def test_option_that_pymysql_refuses(option: str) -> None:
    """PyMySQL raises what it meets; no server is asked."""
    url = f"mysql://me:{SECRET}@127.0.0.1:1/name?{option}"
    error, hint = error_of(*CREATE, url=url)
    assert f"?{option}: its driver refuses an option of the URL: " in error
    assert hint == "check the options after the ? of the URL"


def test_server_with_too_many_clients_is_waited_for(needy: str) -> None:
    """One may leave soon; for no longer than --wait, and then the reason is named."""
    with psycopg.connect(plain(needy)):
        error, hint = error_of(*CREATE, url=needy)
    assert "cannot reach storage" in error
    assert "within 2 s: " in error
    assert "too many connections for role" in error
    assert hint == "start the database, or name another --storage"


def test_database_that_takes_no_writes(postgres_url: str) -> None:
    """A standby, or one that was set to be read: named once `--wait` is over, as it may pass."""
    new_slots(postgres_url, 1).storage.close()
    name = make_url(postgres_url).database
    with psycopg.connect(plain(postgres_url), autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on".encode())
    error, hint = error_of(*CREATE, url=postgres_url)
    assert "read-only transaction" in error
    assert hint == "name the server that takes writes"
