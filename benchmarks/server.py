"""A PostgreSQL server for the benchmarks, with the settings that PostgreSQL is shipped with.

The tests' server, but commits are flushed to the disk and autovacuum works, as in real use.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from tests import databases


@contextmanager
def postgres_url(given: str | None) -> Iterator[str]:
    """Yield the URL of a database: the one given, or an empty one on a server of our own."""
    if given:
        yield given
        return
    databases.POSTGRES_SETTINGS = {"listen_addresses": "127.0.0.1"}
    server = databases.PostgresServer()
    try:
        server.start()
        with server.database() as url:
            yield url
    finally:
        server.remove()
