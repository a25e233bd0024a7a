"""MySQL and MariaDB, through PyMySQL: connections, locks and the meaning of error numbers."""

import contextlib
import inspect
import re
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from optuna.storages._rdb import models
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import URL, Connection

from storage.database.base import LOGIN, SPACE, WRITES, Database
from storage.errors import StorageError

LONGEST_HELD_S = 60
BOOTSTRAP_LOCK = "study-bootstrap"
OWN_SETTINGS = (
    "SET time_zone = '+00:00'"
    # MySQL has no such limit and reads this as a comment.
    f" /*M! , idle_transaction_timeout = {LONGEST_HELD_S} */"
)
NOT_IN_URL = frozenset(
    (
        *("self", "autocommit", "auth_plugin_map", "compress", "conv", "cursorclass", "db"),
        *("defer_connect", "named_pipe", "use_unicode"),
    )
)
"""Arguments of PyMySQL that a URL cannot express, or that would break a guarantee."""

PASSING = (
    *(0, 1158, 1159, 1160, 1161, 1927, 2002, 2003, 2006, 2013, 2055, 4031),  # connection broken
    *(1040, 1041, 1135, 1203, 1226),  # connections, memory, threads; limits of the user
    *(1205, 1206, 1213, 1020),  # lock wait timeout, locks, deadlock, changed since last read
    *(1028, 1317, 1969, 3024),  # cancelled by a user or a time limit
    *(1053, 1077, 1079),  # shutting down
    *(1290, 1792, 1836),  # read-only, such as a replica before it takes over
    1467,  # no next number, because the statement that needed it was cancelled
    *(1243, 1412, 1615),  # during `ALTER TABLE`; an unknown prepared statement
)
UTF8MB4 = "CREATE DATABASE studies CHARACTER SET utf8mb4, and its name in the URL"
MISSING_NAME = "end the URL with the name of a database: mysql://user:password@host/name"
REMEDIES = {
    **dict.fromkeys((1021, 1026, 1114), SPACE),
    **dict.fromkeys((1290, 1792, 1836), WRITES),
    **dict.fromkeys((1366, 3988), UTF8MB4),
    **dict.fromkeys((1045, 1698), LOGIN),
    1046: MISSING_NAME,
    1130: "let the server accept this machine: CREATE USER 'name'@'%' IDENTIFIED BY 'password'",
    1969: "SET GLOBAL max_statement_time = 0",
    3024: "SET GLOBAL max_execution_time = 0",
}
# The message names the missing object.
REMEDIES_WITH_NAMES = {
    1044: (r"user '(.*)'@'(.*)' to database '(.*)'", "GRANT ALL ON `{2}`.* TO '{0}'@'{1}'"),
    1049: (r"database '(.*)'", "CREATE DATABASE `{0}` CHARACTER SET utf8mb4"),
    1142: (r"user '(.*)'@'(.*)' for table (?:`(.*)`\.)?", "GRANT ALL ON `{2}`.* TO '{0}'@'{1}'"),
}


def _with_microseconds() -> sa.MetaData:
    copied = sa.MetaData()
    for table in models.BaseModel.metadata.sorted_tables:
        for column in table.to_metadata(copied).columns:
            if isinstance(column.type, sa.DateTime):
                column.type = mysql.DATETIME(fsp=6)
    return copied


class MySQL(Database):
    """MySQL and MariaDB. `FOR UPDATE SKIP LOCKED` came with 8.0.1 and 10.6."""

    name = "mysql"
    driver = "mysql+pymysql"
    schemes = ("mysql", "mariadb")
    same_drivers = (
        *("pymysql", "mysqldb", "mysqlclient", "mysqlconnector", "mariadbconnector"),
        *("aiomysql", "asyncmy", "cymysql"),
    )
    package = "pymysql"
    oldest = ("MySQL", (8, 0, 1))
    insert = staticmethod(mysql.insert)
    clock = sa.literal_column("UTC_TIMESTAMP(6)", sa.DateTime())
    tables = _with_microseconds()

    def options(self) -> frozenset[str]:
        from pymysql.connections import Connection as Driver

        known = frozenset(inspect.signature(Driver.__init__).parameters) - NOT_IN_URL
        # SQLAlchemy puts these into PyMySQL's `ssl`.
        return known | {"ssl_capath", "ssl_cipher", "ssl_check_hostname"}

    def engine_options(self, url: URL) -> dict[str, Any]:
        # The isolation level also turns off autocommit, even if the URL turns it on.
        return {"isolation_level": "READ COMMITTED", "connect_args": {"charset": "utf8mb4"}}

    def connect(self, dialect: Any, args: Any, params: dict[str, Any], timeout_s: int) -> Any:
        """Connect within `timeout_s`, the handshake included.

        PyMySQL's `connect_timeout` covers only the first packet. The handshake needs a read
        timeout, which is removed afterwards because a query may take long.
        """
        limits = dict.fromkeys(("connect_timeout", "read_timeout", "write_timeout"), timeout_s)
        connection = dialect.connect(*args, **(limits | params))
        connection.query(OWN_SETTINGS)  # after an `init_command` of the URL
        connection._read_timeout = params.get("read_timeout")
        connection._write_timeout = params.get("write_timeout")
        return connection

    def descriptor(self, connection: Any) -> int:
        return int(connection._sock.fileno())

    def version(self, dialect: Any) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
        name, parts, oldest = super().version(dialect)
        return ("MariaDB", parts, (10, 6)) if dialect.is_mariadb else (name, parts, oldest)

    @contextlib.contextmanager
    def bootstrap_lock(self, connection: Connection) -> Iterator[None]:
        """Hold a lock of the session, because each DDL statement commits by itself."""
        if connection.execute(sa.select(sa.func.get_lock(BOOTSTRAP_LOCK, 60))).scalar() != 1:
            raise StorageError("another process has been creating the tables for over 60 s")
        try:
            yield
        finally:
            connection.execute(sa.select(sa.func.release_lock(BOOTSTRAP_LOCK)))

    def lock(self, query: Any, table: sa.Table, **how: bool) -> Any:
        return query.with_for_update(**how)  # MariaDB has no `OF`

    def replace(self, statement: Any, keys: Sequence[str], columns: Sequence[str]) -> Any:
        return statement.on_duplicate_key_update(
            **{name: statement.inserted[name] for name in columns}
        )

    def is_passing(self, original: Any) -> bool:
        return _code(original) in PASSING or "packet sequence number wrong" in str(original).lower()

    def remedy(self, original: Any) -> str | None:
        code = _code(original)
        if code in REMEDIES_WITH_NAMES:
            pattern, hint = REMEDIES_WITH_NAMES[code]
            found = re.search(pattern, str(original))
            return hint.format(*(part or "*" for part in found.groups())) if found else LOGIN
        if code in (2003, 2026) and "certificate" in str(original):
            return "check ssl_ca and ssl_verify_cert of the URL"
        return REMEDIES.get(code)

    def is_missing(self, what: str, original: Any) -> bool:
        return bool(_code(original) == {"table": 1146, "column": 1054}[what])


def _code(original: Any) -> Any:
    return next(iter(original.args), None)
