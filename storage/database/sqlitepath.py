"""The file of an SQLite URL: which path is meant, and which ways to write it are refused.

`~` is the home folder, `%20` a space. A path that another system would have, options of SQLite
and a database in memory are refused with the URL to write.
"""

import os
import re
from pathlib import Path
from urllib.parse import quote

from sqlalchemy.engine import URL

from storage.database.password import redact
from storage.errors import StorageError

OPTIONS = frozenset({"timeout", "check_same_thread", "cached_statements"})
"""Those of Python's driver that change nothing here."""

EXAMPLE = "sqlite:///study.db"
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


def sqlite_url(path: str) -> str:
    """Return the URL of a path, so that it can be copied from a message."""
    return f"sqlite:///{quote(path, safe=' +/~')}"


def with_path(text: str, url: URL) -> URL:
    """Return an SQLite URL with the path that is meant.

    Args:
        text: The URL as it was given.
        url: The same, parsed.

    Raises:
        StorageError: It names no file, or one in a way that is not understood.
    """
    given = text.partition("?")[0]
    written = given.partition("://")[2].removeprefix("/")
    if url.host or url.username is not None or url.port:
        path = given.partition("://")[2]
        raise StorageError(
            f"storage '{redact(text)}' has two slashes; a file on this machine needs three",
            EXAMPLE if "@" in text else sqlite_url(path),
        )
    name = url.database or ""
    _refuse_options(text, url, name)
    if name in ("", ":memory:"):
        raise StorageError(
            f"storage '{text}' names no file; a database in memory cannot be shared by processes",
            EXAMPLE,
        )
    _refuse_drive(text, name)
    _refuse_literal(text, written, name)
    return url.set(database=_from_home(text, name))


def _refuse_options(text: str, url: URL, name: str) -> None:
    if name.startswith("file:"):
        path = name.removeprefix("file:")
        in_memory = path in ("", ":memory:") or url.query.get("mode") == "memory"
        why = "names no file; a database in memory cannot be shared by processes"
        raise StorageError(
            f"storage '{text}' {why if in_memory else 'is a URI of SQLite, which is not taken'}",
            EXAMPLE if in_memory else sqlite_url(path),
        )
    unknown = sorted(set(url.query) - OPTIONS)
    if unknown:
        raise StorageError(
            f"storage '{text}' has the option '{unknown[0]}', which is not taken: "
            "commands that only look write nothing",
            sqlite_url(name),
        )


def _refuse_drive(text: str, name: str) -> None:
    if os.name != "nt" and _DRIVE.match(name.lstrip("/")):
        raise StorageError(
            f"storage '{text}' is a path of Windows; this system has no drives",
            f"the path as it is here, such as {EXAMPLE} or sqlite:////folder/study.db",
        )


def _refuse_literal(text: str, written: str, name: str) -> None:
    """Refuse `%41` where a file or folder of that very name is there, and none of the other."""
    if written == name:
        return
    asked, literal = Path(name), Path(written)
    is_file = literal.is_file() and not asked.exists()
    is_folder = literal.parent.is_dir() and not asked.parent.is_dir()
    if is_file or is_folder:
        raise StorageError(
            f"storage '{text}' names {name}; the file or folder that is there has a % in its name",
            f"write % as %25: {sqlite_url(written)}",
        )


def _from_home(text: str, name: str) -> str:
    first, slash, rest = name.partition("/")
    if name.startswith("/~/") and not Path("/~").exists():
        raise StorageError(
            f"storage '{text}' names the folder /~, which does not exist",
            f"the home folder has three slashes: {sqlite_url(name[1:])}",
        )
    if not first.startswith("~") or not (slash or first == "~"):
        return name  # `~study.db` is a name as any other
    try:
        home = Path(first).expanduser()
    except RuntimeError:
        raise StorageError(
            f"storage '{text}' names the home of {first[1:] or 'nobody'}, which is not known",
            f"write the whole path, or {sqlite_url(f'./{name}')} for a folder of that name",
        ) from None
    return str(home / rest) if rest else str(home)
