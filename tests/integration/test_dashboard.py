"""The dashboard over real HTTP: what it shows, whom it refuses, how it starts and ends."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from storage.errors import StorageMissingError
from study.dashboard.serve import serve_dashboard
from study.dashboard.server import listen, url_of
from study.errors import DashboardError
from tests.integration.dashboards import OPEN, Client, plan, served

ROOT = Path(__file__).resolve().parents[2]
SERVE = """
import sys
from study.dashboard.access import Access
from study.dashboard.serve import serve_dashboard
access = Access(is_open=True, allow_writes=True)
say = lambda line: print(line, flush=True)
serve_dashboard(sys.argv[1], host="localhost", port=0, access=access, say=say)
print("came back")
"""


@pytest.fixture(scope="module")
def small_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a storage with a study of three slots."""
    url = f"sqlite:///{tmp_path_factory.mktemp('dashboard')}/study.db"
    plan(url, 3)
    return url


@pytest.fixture(scope="module")
def small(small_url: str) -> Iterator[Client]:
    """Return a client of an open dashboard on `small_url`."""
    with served(small_url) as client:
        yield client


def test_dashboard_shows_the_planned_slots(storage_url: str) -> None:
    """On each database: the page, the list of studies, and a study with its WAITING trials."""
    plan(storage_url, 3)
    with served(storage_url) as client:
        page = client.ask("/dashboard")
        assert page.status == 200
        assert "<html" in page.text
        (study,) = client.json("/api/studies")["study_summaries"]
        assert study["study_name"] == "digits"
        shown = client.json(f"/api/studies/{study['study_id']}?after=0")
        assert [trial["state"] for trial in shown["trials"]] == ["Waiting"] * 3


def test_dashboard_of_many_waiting_slots_is_quick(tmp_path: Path) -> None:
    """The first look reads them in batches; the list and each next look ask as of a small study."""
    few, many = (look_at_waiting(f"sqlite:///{tmp_path}/{n}.db", n) for n in (3, 2000))
    assert (many[0], many[2]) == (few[0], few[2])
    assert len(many[1]) < 100


def look_at_waiting(url: str, n_slots: int) -> list[list[str]]:
    """Return what the list of studies, the first look at a study and the next one ask for."""
    plan(url, n_slots)
    statements: list[str] = []
    asked: list[list[str]] = []

    def note(connection: Any, cursor: Any, statement: str, *others: Any) -> None:
        statements.append(statement)

    def ask(path: str) -> Any:
        statements.clear()
        found = client.json(path)
        asked.append(sorted(statements))
        return found

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        with served(url) as client:
            assert len(ask("/api/studies")["study_summaries"]) == 1
            assert len(ask("/api/studies/1?after=0")["trials"]) == n_slots
            assert ask(f"/api/studies/1?after={n_slots}")["trials"] == []
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
    return asked


def test_requests_do_not_wait_for_one_another(small: Client) -> None:
    """A connection that sends nothing does not hold up the others."""
    with socket.create_connection(("127.0.0.1", small.port)):
        assert small.ask("/api/meta").status == 200


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1:8080", "LOCALHOST:9", "[::1]:8080", "127.0.0.2"]
)
def test_own_names_of_this_machine_are_answered(small: Client, host: str) -> None:
    """Whatever the port: through a tunnel the browser sees another one."""
    assert small.ask("/api/studies", Host=host, Origin=f"http://{host}").status == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8080", "localhost.evil.example", "10.0.0.1", "", "[::1", "a@b"],
)
@pytest.mark.parametrize("path", ["/api/studies/1", "/healthz", "/metrics", "/login"])
def test_foreign_host_is_refused(small: Client, host: str, path: str) -> None:
    """DNS rebinding: a page of evil.example whose name was moved to our address."""
    got = small.ask(path, "DELETE", Host=host)
    assert got.status == 403
    assert "localhost" in got.text
    assert small.ask(path, Host=host).status == 403
    assert len(small.json("/api/studies")["study_summaries"]) == 1


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
def test_request_of_a_foreign_page_is_refused(small: Client, origin: str) -> None:
    """A page of another site may send requests to us, though it cannot read the answers."""
    assert small.ask("/api/studies/1", "DELETE", Origin=origin).status == 403
    assert small.ask("/api/studies/1", Origin=origin).status == 403
    assert len(small.json("/api/studies")["study_summaries"]) == 1


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_request_without_origin_of_a_foreign_page_is_refused(small: Client, site: str) -> None:
    """Browsers say where a request comes from; a link to one of our pages may be followed."""
    foreign = {"Sec_Fetch_Site": site}
    assert small.ask("/api/studies/1", **foreign).status == 403
    assert small.ask("/api/studies/1", Sec_Fetch_Mode="navigate", **foreign).status == 200
    got = small.ask("/api/studies/1", "DELETE", Sec_Fetch_Mode="navigate", **foreign)
    assert got.status == 403


def test_taken_port_is_refused_with_the_next_command(small_url: str, small: Client) -> None:
    """Not a traceback, and not a second server beside the first."""
    with pytest.raises(DashboardError, match=f"port {small.port} on 127.0.0.1 is taken") as caught:
        serve_dashboard(small_url, host="127.0.0.1", port=small.port, access=OPEN, say=print)
    assert caught.value.hint is not None
    assert "study dashboard --port 0" in caught.value.hint


def test_impossible_port_is_refused(small_url: str) -> None:
    """70000 is no port."""
    with pytest.raises(DashboardError, match=r"port 70000 is not within 0\.\.65535"):
        serve_dashboard(small_url, host="127.0.0.1", port=70_000, access=OPEN, say=print)


def test_missing_storage_is_not_created(tmp_path: Path) -> None:
    """The dashboard only reads."""
    said: list[str] = []
    with pytest.raises(StorageMissingError):
        serve_dashboard(
            f"sqlite:///{tmp_path}/no.db", host="127.0.0.1", port=0, access=OPEN, say=said.append
        )
    assert not said
    assert not list(tmp_path.iterdir())


@pytest.mark.expected_skip
def test_ipv6_loopback_is_served() -> None:
    """`--host ::1` listens, and its URL has the brackets."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")
    with closing(listen("::1", 0)) as listening:
        assert listening.getsockname()[0] == "::1"
        assert url_of("::1", 8080) == "http://[::1]:8080/"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_the_dashboard(small_url: str, number: int) -> None:
    """It says its URL, answers there, and comes back from Ctrl-C without a word."""
    command = [sys.executable, "-W", "error", "-c", SERVE, small_url]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=ROOT, **pipes) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert line.startswith("dashboard on http://localhost:"), line
            port = int(line.split("/   ")[0].rsplit(":", 1)[1])
            assert Client(port).ask("/dashboard").status == 200
            process.send_signal(number)
            rest, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, rest, errors) == (0, "came back\n", "")
