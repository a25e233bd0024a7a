"""PostgreSQL, through psycopg 3: connections, also behind a pooler, and what its errors mean.

PostgreSQL does not say which privilege is missing on what: the connection that met the error is
asked.
"""

import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import URL, Connection, Engine, ExceptionContext
from sqlalchemy.exc import DBAPIError

from storage.database.base import DAMAGED, LOGIN, SPACE, WRITES, Database

LONGEST_HELD_S = 60
"""How long a process that is frozen in the middle of a transaction may keep its locks."""

BOOTSTRAP_LOCK = 0x736C6F74  # "slot"
OWN_OPTIONS = "-c idle_in_transaction_session_timeout={held_s}s {url} -c timezone=UTC"
HEARD = "-c study.heard=1"
"""A setting of our own: a pooler that leaves the options out does not have it."""

SSL_OF_ASYNCPG = {"true": "require", "1": "require", "false": "disable", "0": "disable"}

PASSING_CLASSES = ("08", "40")
"""The first two digits of an SQLSTATE: connection exceptions, transactions rolled back."""
PASSING = (
    *("53000", "53200", "53300", "53400"),  # resources, except a full disk
    *("55006", "55P03"),  # object in use, lock not available
    *("57014", "57P01", "57P02", "57P03", "57P05"),  # cancelled, shutting down, starting, idle
    *("25006", "25P02", "25P03", "25P04"),  # read-only; transaction failed, idle, too long
    *("26000", "42P05"),  # another session of a pooler has, or lacks, a prepared statement
)
PASSING_TEXTS = (
    *("cached plan must not change result type", "tuple concurrently updated"),
    "could not open relation with oid",  # while `ALTER TABLE` runs
)
LASTING_TEXTS = ("password", "does not exist", "authentication")

UTF8 = "CREATE DATABASE studies ENCODING 'UTF8' TEMPLATE template0, and its name in the URL"
REMEDIES = {
    **dict.fromkeys(("53100", "58030"), SPACE),
    **dict.fromkeys(("XX001", "XX002"), DAMAGED),
    **dict.fromkeys(("22P05", "22021"), UTF8),
    **dict.fromkeys(("28P01", "28000"), LOGIN),
    "25006": WRITES,
    "57014": "give the user of the URL more time: ALTER ROLE name SET statement_timeout = '60s'",
}
POOLED = (
    "leave options= out of the URL, which a pooler refuses: ALTER ROLE name SET search_path = ..."
)
OPTIONS = "check the port and the options of the URL"
# Messages of a refused connection, which has no SQLSTATE.
REFUSED_LOGINS = (
    (r'database "(.+)" does not exist', r"CREATE DATABASE {0}, or another name in the URL"),
    (r'role "(.+)" does not exist', r"CREATE ROLE {0} LOGIN PASSWORD '...', or another user"),
    (r'role "(.+)" is not permitted to log in', "ALTER ROLE {0} LOGIN, or another user"),
    (r'permission denied for database "(.+)"', "GRANT CONNECT ON DATABASE {0} TO {role}"),
    (r"no password supplied", "postgresql://user:password@host/name, or the variable PGPASSWORD"),
    (r"authentication failed", LOGIN),
    (r"no pg_hba\.conf entry for .*no encryption", "?sslmode=require at the end of the URL"),
    (r"no pg_hba\.conf entry", "allow this machine and user in the server's pg_hba.conf"),
    (r"does not support SSL", "leave sslmode out of the URL"),
    (r"certificate", "check sslmode and sslrootcert of the URL"),
    (r"(invalid|bad) .*(value|option|port)|requires a value|definition of service", OPTIONS),
    (r"non-integer port|replication connection", OPTIONS),
    (r"unsupported startup parameter.*: options", POOLED),
    (r"configuration parameter", "check options= in the URL"),
)
NO_PRIVILEGE, NO_SCHEMA = "42501", "3F000"


class PostgreSQL(Database):
    """PostgreSQL from version 10, the oldest that psycopg 3 speaks to."""

    name = "postgresql"
    driver = "postgresql+psycopg"
    schemes = ("postgres", "postgresql")
    same_drivers = ("psycopg", "psycopg_async", "psycopg2", "psycopg2cffi", "pg8000", "asyncpg")
    package = "psycopg"
    oldest = ("PostgreSQL", (10,))
    insert = staticmethod(postgresql.insert)
    clock = sa.literal_column("timezone('UTC', clock_timestamp())", sa.DateTime())
    joins_writes = True
    may_lose_reports = True

    def checked(self, text: str, url: URL, driver: str) -> URL:
        ssl = url.query.get("ssl")
        if driver == "asyncpg" and isinstance(ssl, str):
            url = url.difference_update_query(["ssl"])
            url = url.update_query_dict({"sslmode": SSL_OF_ASYNCPG.get(ssl.lower(), ssl)})
        return super().checked(text, url, driver)

    def options(self) -> frozenset[str]:
        from psycopg.pq import Conninfo

        return frozenset(option.keyword.decode() for option in Conninfo.get_defaults())

    def engine_options(self, url: URL) -> dict[str, Any]:
        # The options of the URL stay (a search_path); of two of one name the last one holds.
        options = OWN_OPTIONS.format(held_s=LONGEST_HELD_S, url=url.query.get("options", ""))
        connect_args = {
            "options": options,
            "application_name": "study",
            # psycopg would return bytes from a database in SQL_ASCII.
            "client_encoding": "utf8",
        }
        return {"connect_args": connect_args}

    def listen(self, engine: Engine) -> None:
        event.listen(engine, "handle_error", _note_remedy)

    def connect(self, dialect: Any, args: Any, params: dict[str, Any], timeout_s: int) -> Any:
        """Connect, also through a pooler that refuses or ignores `options`.

        Our own options can be missed, those of a URL cannot: a study would stand in another schema.
        Statements are prepared only where the server has heard the options. No pooler stands
        between then, which may give each transaction another session.
        """
        given = {"connect_timeout": timeout_s, **params}
        is_ours = given["options"] == OWN_OPTIONS.format(held_s=LONGEST_HELD_S, url="")
        try:
            heard = {**given, "options": f"{given['options']} {HEARD}"}
            connection = dialect.connect(*args, **heard)
        except Exception as error:
            if not is_ours or "unsupported startup parameter" not in str(error):
                raise
            connection = dialect.connect(*args, **{**given, "options": ""})
        query = "SELECT current_setting('study.heard', true)"
        is_heard = bool(connection.execute(query).fetchone()[0])
        connection.rollback()
        if not is_heard and not is_ours:
            connection.close()
            said = "unsupported startup parameter, which the pooler leaves out: options"
            raise dialect.loaded_dbapi.OperationalError(said)
        if not is_heard:
            connection.prepare_threshold = None
        return connection

    def descriptor(self, connection: Any) -> int:
        return int(connection.fileno())

    def begin_write(self, connection: Connection, *, durable: bool, single: bool) -> None:
        if single:
            connection.execution_options(isolation_level="AUTOCOMMIT")  # for this checkout only

    @contextlib.contextmanager
    def bootstrap_lock(self, connection: Connection) -> Iterator[None]:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(BOOTSTRAP_LOCK)))
        yield

    def refresh_statistics(self, engine: Engine) -> None:
        """Let the planner know the new rows: else it may sort all WAITING trials to claim one.

        Autovacuum would do it within a minute, or never if it is off.
        """
        with contextlib.suppress(DBAPIError), engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.exec_driver_sql("ANALYZE trials, trial_user_attributes")

    def unnest(self, columns: Mapping[str, sa.Column[Any]]) -> Any:
        arrays = [sa.bindparam(n, type_=postgresql.ARRAY(c.type)) for n, c in columns.items()]
        named = [sa.column(column.name, column.type) for column in columns.values()]
        rows = sa.func.unnest(*arrays).table_valued(*named, name=f"given_{next(iter(columns))}")
        return rows.render_derived()

    def unflushed(self, query: Any) -> Any:
        return query.where(sa.func.set_config("synchronous_commit", "off", True) == "off")

    def is_passing(self, original: Any) -> bool:
        import psycopg

        text = str(original).lower()
        if any(said in text for said in PASSING_TEXTS):
            return True
        if original.sqlstate is not None:
            return original.sqlstate in PASSING or original.sqlstate.startswith(PASSING_CLASSES)
        # A failed connection has no SQLSTATE; an error that a person has to fix is permanent.
        lasts = hasattr(original, "remedy") or any(word in text for word in LASTING_TEXTS)
        return isinstance(original, psycopg.OperationalError | psycopg.InterfaceError) and not lasts

    def remedy(self, original: Any) -> str | None:
        told: str | None = getattr(original, "remedy", None)
        return told or REMEDIES.get(original.sqlstate)

    def is_missing(self, what: str, original: Any) -> bool:
        return bool(original.sqlstate == {"table": "42P01", "column": "42703"}[what])


def _note_remedy(context: ExceptionContext) -> None:
    """Store the fix on an error, if only the connection or the engine knows it."""
    original: Any = context.original_exception
    sqlstate, told = getattr(original, "sqlstate", None), None
    if sqlstate in (NO_PRIVILEGE, NO_SCHEMA) and context.connection is not None:
        told = _privilege(context, str(original))
    elif sqlstate is None and context.connection is None:
        told = _login(context, str(original))
    if told is not None:
        original.remedy = told


def _login(context: ExceptionContext, said: str) -> str | None:
    for pattern, hint in REFUSED_LOGINS:
        found = re.search(pattern, said)
        if found is not None:
            quote = context.dialect.identifier_preparer.quote
            role = context.engine.url.username if context.engine else None
            names = [quote(name) for name in found.groups()]
            return hint.format(*names, role=quote(role) if role else "the user")
    return None


def _privilege(context: ExceptionContext, said: str) -> str:
    connection: Any = context.connection
    quote = context.dialect.identifier_preparer.quote
    raw = connection.connection.driver_connection
    role, database = quote(raw.info.user), quote(raw.info.dbname)
    where = f"   (in database {database}, as its owner)"
    schema = quote(context.dialect.default_schema_name or "public")
    found = re.search(r"permission denied for schema (\S+)", said)
    if found is not None:
        return f"GRANT CREATE, USAGE ON SCHEMA {quote(found[1])} TO {role}{where}"
    found = re.search(r"must be owner of (?:table|relation|index) (\S+)", said)
    if found is not None:
        owner = _ask(
            raw, "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = %s", found[1]
        )
        return f"GRANT {quote(str(owner))} TO {role}{where}"
    if "no schema has been selected" in said:
        return _missing_schema(raw, quote, role) + where
    return (
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}; "
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {role}{where}"
    )


def _missing_schema(raw: Any, quote: Any, role: str) -> str:
    """Return the fix for a search path without a usable schema."""
    path = _ask(raw, "SELECT current_setting('search_path')")
    names = [name.strip().strip('"') for name in path.split(",")]
    schema = next((name for name in names if name and name != "$user"), "public")
    if _ask(raw, "SELECT nspname FROM pg_namespace WHERE nspname = %s", schema):
        return f"GRANT CREATE, USAGE ON SCHEMA {quote(schema)} TO {role}"
    return f"CREATE SCHEMA {quote(schema)} AUTHORIZATION {role}"


def _ask(raw: Any, query: str, *values: str) -> Any:
    """Return the first value of a query on a connection whose transaction has failed."""
    raw.rollback()
    row = raw.execute(query, values).fetchone()
    raw.rollback()
    return None if row is None else row[0]
