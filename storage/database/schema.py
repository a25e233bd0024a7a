"""Create and check Optuna's tables, also if many processes open a fresh database at once.

The schema is Optuna's own (revision v3.2.0.a, of Optuna 3.2 to 5.x) plus one index, which finds the
lowest WAITING trial without a scan. Alembic is not loaded: a database of another revision is
refused, and `optuna storage upgrade` is suggested.
"""

import re

import optuna
import sqlalchemy as sa
from optuna.storages._rdb import models
from sqlalchemy.engine import Connection, Engine

from storage.database.engine import database_of
from storage.database.failures import is_missing
from storage.database.transaction import retry, write
from storage.database.url import shown
from storage.errors import StorageMissingError, UnsupportedDatabaseError

REVISION = "v3.2.0.a"
OPTUNA_REVISION = re.compile(r"v\d+\.\d+\.\d+\.\w+")
CLAIM_INDEX = "ix_trials_study_id_state_number"

ALEMBIC_VERSION = sa.Table(
    "alembic_version",
    sa.MetaData(),
    sa.Column("version_num", sa.String(32), primary_key=True),
)


def ensure_schema(engine: Engine, *, create: bool, wait_s: float) -> None:
    """Create the missing tables; refuse a server or a schema that is not supported.

    Args:
        create: False for read-only commands, which never create a table.
        wait_s: Time to wait for a server that is unreachable or full.

    Raises:
        StorageMissingError: The tables are missing and `create` is False.
        UnsupportedDatabaseError: The server is too old, the schema has another revision, or the
            database belongs to another program.
    """
    revision = retry(lambda: _read_revision(engine), wait_s=wait_s)
    _refuse_old_server(engine)
    if revision is None:
        retry(lambda: _refuse_foreign_tables(engine), wait_s=wait_s)
    if revision is None and not create:
        raise StorageMissingError(
            f"storage {shown(engine.url)} holds no studies",
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
            query = sa.select(ALEMBIC_VERSION.c.version_num)
            revisions = [str(revision) for revision in connection.execute(query).scalars()]
        except (sa.exc.ProgrammingError, sa.exc.OperationalError) as error:
            if is_missing("table", error):
                return None
            if is_missing("column", error):
                raise _foreign(engine, "a table alembic_version that is not Alembic's") from None
            raise
    if len(revisions) > 1 or not all(map(OPTUNA_REVISION.fullmatch, revisions)):
        raise _foreign(engine, f"alembic_version {', '.join(map(repr, revisions))}")
    return revisions[0] if revisions else None


def _refuse_foreign_tables(engine: Engine) -> None:
    """Refuse a database with a table of the same name but other columns."""
    with engine.connect() as connection:
        inspector = sa.inspect(connection)
        names = {*inspector.get_table_names(), *inspector.get_view_names()}
        for table in models.BaseModel.metadata.sorted_tables:
            if table.name not in names:
                continue
            found = {column["name"] for column in inspector.get_columns(table.name)}
            if not found.issuperset(table.c.keys()):
                raise _foreign(engine, f"a table {table.name} with other columns")
    if ALEMBIC_VERSION.name in names and models.StudyModel.__tablename__ not in names:
        raise _foreign(engine, "an empty table alembic_version")


def _foreign(engine: Engine, what: str) -> UnsupportedDatabaseError:
    """Return the error for another program's database; the hint creates a new database."""
    url = engine.url
    name = "studies" if url.database != "studies" else "studies2"
    return UnsupportedDatabaseError(
        f"storage {shown(url)} is the database of another program: it has {what}",
        database_of(url).hint_other(url, name, shown),
    )


def _refuse_old_server(engine: Engine) -> None:
    """Refuse a server without `SKIP LOCKED` or upserts, where workers would queue or collide."""
    name, version, oldest = database_of(engine).version(engine.dialect)
    if version < oldest:
        raise UnsupportedDatabaseError(
            f"the server is {name} {'.'.join(map(str, version))}; "
            f"{'.'.join(map(str, oldest))} or newer is needed",
            "upgrade the server, or use another kind of database",
        )


def _has_claim_index(engine: Engine) -> bool:
    def look() -> bool:
        with engine.connect() as connection:
            indexes = sa.inspect(connection).get_indexes("trials")
        return any(index["name"] == CLAIM_INDEX for index in indexes)

    return retry(look, wait_s=10)


def _bootstrap(engine: Engine, wait_s: float) -> None:
    retry(lambda: database_of(engine).prepare(engine), wait_s=wait_s)
    write(engine, _create_tables, durable=True, wait_s=wait_s)


def _create_tables(connection: Connection) -> None:
    """Create missing tables, the revision last, so that an interrupted creation is continued."""
    database = database_of(connection)
    with database.bootstrap_lock(connection):
        database.tables.create_all(connection)
        ALEMBIC_VERSION.create(connection, checkfirst=True)
        _create_claim_index(connection)
        _stamp(connection)
        connection.commit()


def _create_claim_index(connection: Connection) -> None:
    indexes = sa.inspect(connection).get_indexes("trials")
    if all(index["name"] != CLAIM_INDEX for index in indexes):
        trials = models.TrialModel.__table__
        # As text, because an Index object would join the metadata of Optuna's own table.
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
