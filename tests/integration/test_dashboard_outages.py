"""The dashboard and its database: waited for at the start, and outlived when it restarts."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from storage.errors import StorageError
from study.dashboard.serve import serve_dashboard
from tests.databases import PostgresServer
from tests.integration.dashboards import OPEN, Client, plan, served

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 120.0
SERVE = """
import sys
from study.dashboard.access import Access
from study.dashboard.serve import serve_dashboard
say = lambda line: print(line, flush=True)
serve_dashboard(sys.argv[1], host="127.0.0.1", port=0, access=Access(is_open=True), say=say)
"""


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A PostgreSQL server of this test's own, which it may stop."""
    found = PostgresServer()
    try:
        found.start()
        yield found
    finally:
        found.remove()


@contextmanager
def serving(url: str) -> Iterator[tuple[Client, list[str]]]:
    """Serve a storage in a process of its own; yield a client, and what the process said."""
    command = [sys.executable, "-c", SERVE, url]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = [process.stdout.readline()]
            while "dashboard on" not in said[-1]:
                said.append(process.stdout.readline())
                assert said[-1], said
            yield Client(int(said[-1].split("/   ")[0].rsplit(":", 1)[1])), said
            process.send_signal(signal.SIGTERM)
            assert process.wait(LIMIT_S) == 0
        finally:
            process.kill()


def until(condition: Callable[[], Any]) -> Any:
    """Wait for a condition and return its value."""
    deadline = time.monotonic() + LIMIT_S
    while not (value := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return value


def test_database_is_waited_for_and_outlived(server: PostgresServer) -> None:
    """Away at the start, then empty, then there, then restarted: never an error, at last the study.

    One process goes through all of it.
    """
    with server.database() as url:
        server.stop()
        with serving(url) as (client, said):
            assert said[0].startswith("waiting for the database: cannot reach storage")
            for path, status in (("/healthz", 503), ("/dashboard", 503), ("/api/studies", 503)):
                got = client.ask(path)
                assert got.status == status
                assert "waiting for the database" in got.text
            server.start()
            plan(url, 3)
            until(lambda: client.ask("/healthz").status == 200)
            assert len(client.json("/api/studies")["study_summaries"]) == 1

            server.stop(crash=True)
            until(lambda: client.ask("/healthz").status == 503)
            got = client.ask("/api/studies")
            assert got.status == 503
            assert json.loads(got.body) == {"reason": "the database does not answer"}
            for path in ("/workers", "/metrics"):
                assert client.ask(path).status == 503
            assert client.ask("/static/bundle.js").status == 200
            server.start()
            # At once: not after a first failure that tells the connection has gone.
            assert len(client.json("/api/studies")["study_summaries"]) == 1
            assert len(client.json("/api/studies/1?after=0")["trials"]) == 3


def test_restart_between_two_requests_is_not_seen(server: PostgresServer) -> None:
    """The connection that the pool has kept is gone; the answer is there all the same."""
    with server.database() as url:
        plan(url, 3)
        with served(url, OPEN) as client:
            assert client.ask("/api/studies/1?after=0").status == 200
            for crash in (False, True):
                server.stop(crash=crash)
                server.start()
                assert client.ask("/api/studies/1?after=0").status == 200
                assert client.ask("/healthz").status == 200


def test_mistake_is_not_waited_for(tmp_path: Path) -> None:
    """A file that is no database will not become one; the port is free again."""
    (tmp_path / "text.db").write_text("no database " * 100)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    for _ in range(2):
        with pytest.raises(StorageError, match=r"text\.db"):
            serve_dashboard(
                f"sqlite:///{tmp_path}/text.db", host="127.0.0.1", port=port, access=OPEN, say=print
            )
