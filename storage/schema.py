"""Optuna's tables: made once, by whoever comes first, however many come at once.

The schema is Optuna's own (revision v3.2.0.a, that of Optuna 3.2 to 5.x) plus one index that lets
the lowest WAITING trial be found without reading the others. Alembic is not loaded: a revision that
is not ours is refused by name and left to `optuna storage upgrade`.
"""

from typing import Any

import optuna
import sqlalchemy as sa
from optuna.storages._rdb import models
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import Connection, Engine

from storage.errors import StorageError, StorageMissingError, UnsupportedDatabaseError
from storage.transaction import retry, write
from storage.url import redact

REVISION = "v3.2.0.a"
BOOTSTRAP_LOCK = 0x736C6F74  # "slot": the key of the advisory lock that serializes creators
LEAST_VERSIONS = {
    "sqlite": ("SQLite", (3, 24)),  # upserts
    "postgresql": ("PostgreSQL", (10,)),  # the oldest that psycopg 3 speaks to
    "mysql": ("MySQL", (8, 0, 1)),
    "mariadb": ("MariaDB", (10, 6)),
}
CLAIM_INDEX = "ix_trials_study_id_state_number"

ALEMBIC_VERSION = sa.Table(
    "alembic_version",
    sa.MetaData(),
    sa.Column("version_num", sa.String(32), primary_key=True),
)


def ensure_schema(engine: Engine, *, create: bool, wait_s: float) -> None:
    """Make the tables where they are missing; refuse a server or a schema that is not supported.

    Args:
        engine: Where.
        create: False for commands that only read: they never create a table.
        wait_s: For how long a server that is away or full is waited for.

    Raises:
        StorageMissingError: There are no tables and `create` is False.
        UnsupportedDatabaseError: The server is too old, or the schema is another revision.
    """
    revision = retry(lambda: _read_revision(engine), wait_s=wait_s)
    _refuse_old_server(engine)
    if revision is None and not create:
        raise StorageMissingError(
            f"storage {redact(engine.url.render_as_string(hide_password=True))} holds no studies",
            "study run --data DIR   (or name another --storage)",
        )
    if create and (revision is None or not _has_claim_index(engine)):
        _bootstrap(engine, wait_s)
        revision = retry(lambda: _read_revision(engine), wait_s=wait_s)
    if revision != REVISION:
        raise UnsupportedDatabaseError(
            f"the storage has Optuna's schema {revision}, this program needs {REVISION}",
            "optuna storage upgrade --storage URL",
        )


def _read_revision(engine: Engine) -> str | None:
    with engine.connect() as connection:
        try:
            row = connection.execute(sa.select(ALEMBIC_VERSION.c.version_num)).one_or_none()
        except (sa.exc.ProgrammingError, sa.exc.OperationalError) as error:
            if _is_missing_table(error):
                return None
            raise
        return None if row is None else str(row[0])


def _is_missing_table(error: sa.exc.DBAPIError) -> bool:
    original: Any = error.orig
    return (
        "no such table" in str(original)
        or getattr(original, "sqlstate", None) == "42P01"
        or (bool(original.args) and original.args[0] == 1146)
    )


def _refuse_old_server(engine: Engine) -> None:
    """`SKIP LOCKED` came with MySQL 8.0.1 and MariaDB 10.6; without it workers queue or collide."""
    dialect: Any = engine.dialect
    name = "mariadb" if getattr(dialect, "is_mariadb", False) else dialect.name
    shown, least = LEAST_VERSIONS[name]
    version = tuple(part for part in dialect.server_version_info if isinstance(part, int))
    if version < least:
        wanted = ".".join(map(str, least))
        raise UnsupportedDatabaseError(
            f"the server is {shown} {'.'.join(map(str, version))}; {wanted} or newer is needed",
            "upgrade the server, or use another kind of database",
        )


def _has_claim_index(engine: Engine) -> bool:
    def look() -> bool:
        with engine.connect() as connection:
            indexes = sa.inspect(connection).get_indexes("trials")
        return any(index["name"] == CLAIM_INDEX for index in indexes)

    return retry(look, wait_s=10)


def _bootstrap(engine: Engine, wait_s: float) -> None:
    if engine.dialect.name == "sqlite":
        retry(lambda: _switch_to_wal(engine), wait_s=wait_s)
    write(engine, _create_tables, durable=True, wait_s=wait_s)


def _switch_to_wal(engine: Engine) -> None:
    """WAL lets readers read while a worker writes. It stays with the file, once set."""
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")


def _create_tables(connection: Connection) -> None:
    dialect = connection.dialect.name
    if dialect == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(BOOTSTRAP_LOCK)))
    elif dialect == "mysql":
        # DDL commits by itself there: the lock is the session's and is given back below. The
        # revision is written last, so that a creator that dies half way is continued.
        locked = connection.execute(sa.select(sa.func.get_lock("study-bootstrap", 60))).scalar()
        if locked != 1:
            raise StorageError("another process has been creating the tables for over 60 s")
    try:
        _tables(dialect).create_all(connection)
        ALEMBIC_VERSION.create(connection, checkfirst=True)
        _create_claim_index(connection)
        _stamp(connection)
        connection.commit()
    finally:
        if dialect == "mysql":
            connection.execute(sa.select(sa.func.release_lock("study-bootstrap")))


def _tables(dialect: str) -> sa.MetaData:
    """Optuna's tables; on MySQL with times in microseconds, as they are everywhere else."""
    if dialect != "mysql":
        metadata: sa.MetaData = models.BaseModel.metadata
        return metadata
    copied = sa.MetaData()
    for table in models.BaseModel.metadata.sorted_tables:
        for column in table.to_metadata(copied).columns:
            if isinstance(column.type, sa.DateTime):
                column.type = mysql.DATETIME(fsp=6)
    return copied


def _create_claim_index(connection: Connection) -> None:
    indexes = sa.inspect(connection).get_indexes("trials")
    if all(index["name"] != CLAIM_INDEX for index in indexes):
        trials = models.TrialModel.__table__
        # Executed as text: an Index object would join the metadata of Optuna's own table.
        columns = ", ".join(c.name for c in (trials.c.study_id, trials.c.state, trials.c.number))
        connection.exec_driver_sql(f"CREATE INDEX {CLAIM_INDEX} ON trials ({columns})")


def _stamp(connection: Connection) -> None:
    version_info = models.VersionInfoModel.__table__
    if connection.execute(sa.select(version_info)).first() is None:
        connection.execute(
            version_info.insert().values(
                schema_version=models.SCHEMA_VERSION, library_version=optuna.__version__
            )
        )
    if connection.execute(sa.select(ALEMBIC_VERSION)).first() is None:
        connection.execute(ALEMBIC_VERSION.insert().values(version_num=REVISION))
