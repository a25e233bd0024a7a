"""What mends a database that refuses: the command, the GRANT or the name, by what its driver said.

Decides which errors no waiting mends. Which ones pass by themselves is decided in `dialect.py`.
PostgreSQL does not say whose privilege is missing where: the connection that met the error does.
"""

import re
from typing import Any

from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError

SPACE = "make space on its disk, then the same command"
WRITABLE = "make its file and folder writable, then the same command"
DAMAGED = "restore it from a backup, or name another --storage"
COPY = "study copy --to sqlite:///copy.db"
WRITES = "name the server that takes writes"
OPTIONS = "check the port and the options of the URL"
POOLED = (
    "leave options= out of the URL, which a pooler refuses: ALTER ROLE name SET search_path = ..."
)
TIMEOUT = "give the user of the URL more time: ALTER ROLE name SET statement_timeout = '60s'"
MOST_MS = "SET GLOBAL max_execution_time = 0"
LOGIN = (
    "check user and password of the URL; @ : / # ? and % are written %40 %3A %2F %23 %3F and %25"
)
UTF8 = "CREATE DATABASE studies ENCODING 'UTF8' TEMPLATE template0, and its name in the URL"
UTF8MB4 = "CREATE DATABASE studies CHARACTER SET utf8mb4, and its name in the URL"
MISSING_NAME = "end the URL with the name of a database: mysql://user:password@host/name"

# What is wrong with a database itself, by what SQLite says, by SQLSTATE and by MySQL's codes.
BROKEN_TEXTS = {
    "database or disk is full": SPACE,
    "disk i/o error": SPACE,
    "readonly database": WRITABLE,
    "unable to open database file": WRITABLE,
    "could not decode to utf-8": "put the text back, or restore the database from a backup",
    "file is not a database": "name another --storage",
    "malformed": f"{DAMAGED}; of a study that runs, only this makes a whole copy: {COPY}",
}
BROKEN_CODES: dict[str | int, str] = {
    **{"53100": SPACE, "58030": SPACE, "XX001": DAMAGED, "XX002": DAMAGED},
    **{"25006": WRITES, "22P05": UTF8, "22021": UTF8, "28P01": LOGIN, "28000": LOGIN},
    **{1021: SPACE, 1026: SPACE, 1114: SPACE, 1290: WRITES, 1792: WRITES, 1836: WRITES},
    **{"57014": TIMEOUT, 1969: "SET GLOBAL max_statement_time = 0", 3024: MOST_MS},
    **{1366: UTF8MB4, 3988: UTF8MB4, 1045: LOGIN, 1698: LOGIN, 1046: MISSING_NAME},
    1130: "let the server accept this machine: CREATE USER 'name'@'%' IDENTIFIED BY 'password'",
}
# What PostgreSQL says before a connection is made, when there is no SQLSTATE.
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
# MySQL's: what is missing stands in the message.
REFUSED_BY_MYSQL = {
    1044: (r"user '(.*)'@'(.*)' to database '(.*)'", "GRANT ALL ON `{2}`.* TO '{0}'@'{1}'"),
    1049: (r"database '(.*)'", "CREATE DATABASE `{0}` CHARACTER SET utf8mb4"),
    1142: (
        r"user '(.*)'@'(.*)' for table (?:`(.*)`\.)?",
        "GRANT ALL ON `{2}`.* TO '{0}'@'{1}'",
    ),
}
NO_PRIVILEGE, NO_SCHEMA = "42501", "3F000"


def first_line(error: Any) -> str:
    """Return what the driver said in an error of SQLAlchemy's or Optuna's, on one line."""
    found = getattr(error, "orig", None) or getattr(error.__cause__, "orig", None) or error
    said = str(found).strip()
    return said.splitlines()[0] if said else repr(found)


def how_to_mend(error: BaseException | None) -> str | None:
    """Return what mends a database that is broken in itself, whoever asks it; else None."""
    if not isinstance(error, DBAPIError):
        return None
    original: Any = error.orig
    if type(original).__module__ == "sqlite3":
        text = str(original).lower()
        return next((hint for said, hint in BROKEN_TEXTS.items() if said in text), None)
    told: str | None = getattr(original, "remedy", None)
    if told is not None:
        return told
    code = code_of(original)
    if isinstance(code, int) and code in REFUSED_BY_MYSQL:
        pattern, hint = REFUSED_BY_MYSQL[code]
        found = re.search(pattern, str(original))
        return hint.format(*(part or "*" for part in found.groups())) if found else LOGIN
    return None if code is None else BROKEN_CODES.get(code)


def code_of(original: Any) -> str | int | None:
    """Return MySQL's number of a driver's error, or PostgreSQL's SQLSTATE; None without either."""
    number = next(iter(getattr(original, "args", ())), None)  # PyMySQL has an SQLSTATE beside it
    code: str | int | None = (
        number if isinstance(number, int) else getattr(original, "sqlstate", None)
    )
    return code


def tell_remedy(context: ExceptionContext) -> None:
    """Note at an error of PostgreSQL what mends it: a listener of an engine's `handle_error`."""
    original: Any = context.original_exception
    sqlstate = getattr(original, "sqlstate", None)
    if sqlstate in (NO_PRIVILEGE, NO_SCHEMA) and context.connection is not None:
        original.remedy = _privilege(context, str(original))
    elif sqlstate is None and context.connection is None:
        original.remedy = _login(context, str(original))


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
    who = f"   (in database {database}, as its owner)"
    schema = quote(context.dialect.default_schema_name or "public")
    found = re.search(r"permission denied for schema (\S+)", said)
    if found is not None:
        return f"GRANT CREATE, USAGE ON SCHEMA {quote(found[1])} TO {role}{who}"
    found = re.search(r"must be owner of (?:table|relation|index) (\S+)", said)
    if found is not None:
        return f"GRANT {quote(_owner(raw, found[1]))} TO {role}{who}"
    if "no schema has been selected" in said:
        return _missing_schema(raw, quote, role) + who
    return (
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}; "
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {role}{who}"
    )


def _owner(raw: Any, relation: str) -> str:
    query = "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = %s"
    return str(_asked(raw, query, relation)[0])


def _asked(raw: Any, query: str, *values: str) -> tuple[Any, ...]:
    """Ask on a connection whose transaction has failed."""
    raw.rollback()
    row: tuple[Any, ...] = raw.execute(query, values).fetchone() or (None,)
    raw.rollback()
    return row


def _missing_schema(raw: Any, quote: Any, role: str) -> str:
    """Ask which schema was looked for: it is not there, or may not be used."""
    path = _asked(raw, "SELECT current_setting('search_path')")[0]
    names = [name.strip().strip('"') for name in path.split(",")]
    schema = next((name for name in names if name and name != "$user"), "public")
    if _asked(raw, "SELECT nspname FROM pg_namespace WHERE nspname = %s", schema)[0]:
        return f"GRANT CREATE, USAGE ON SCHEMA {quote(schema)} TO {role}"
    return f"CREATE SCHEMA {quote(schema)} AUTHORIZATION {role}"
