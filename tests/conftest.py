"""What every test may use: URLs of fresh databases, and the rule about skipped tests.

`storage_url` runs a test on SQLite, PostgreSQL and MySQL in turn. The servers come from
`tests/databases.py` and start with the first test that needs them.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.remote.webdriver import WebDriver

from tests.acceptance.warm import WARM, WITH_FRAMEWORK
from tests.browser import NO_BROWSER, find_browser, open_browser
from tests.databases import MYSQL_URL_VARIABLE, PostgresServer, mysql_database

# The name in a test's id, and the fixture that has the URL.
DATABASES = {"sqlite": "sqlite_url", "postgresql": "postgres_url", "mysql": "mysql_url"}

CONDITIONS = {
    "--precision": "STUDY_TEST_PRECISION",
    "--threads": "STUDY_TEST_THREADS",
    "--seed": "STUDY_TEST_SEED",
}
"""An option, and the variable by which `tests/conditions.py` reads it."""

IN_MEMORY = Path("/dev/shm")
"""Where files cost no wait for a disk: SQLite and checkpoints wait for one at each commit."""

NO_MYSQL = f"{MYSQL_URL_VARIABLE} names no server"
"""Of two reasons to skip a test that are good anywhere, as long as they are true, the first."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the training tests, `-m trains`, be run under other conditions."""
    group = parser.getgroup("trainings", "conditions of the training tests (-m trains)")
    group.addoption("--precision", choices=("float32", "bfloat16"), help="of their networks")
    group.addoption("--threads", type=int, metavar="N", help="of each of their trainings")
    group.addoption("--seed", type=int, metavar="N", help="added to the seed of each training")


def pytest_configure(config: pytest.Config) -> None:
    """Forget the user's own settings: every option of the program has an environment variable.

    The conditions are set before any test module is imported, and for every process of a test.
    """
    for name in list(os.environ):
        if name.startswith("STUDY_") and not name.startswith("STUDY_TEST_"):
            del os.environ[name]
    # Hundreds of processes import the program: it is compiled once, whatever the user's shell says.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    if has_room(IN_MEMORY):
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(IN_MEMORY))
    # What the tests tell the program is not remembered among what the user has told it.
    state = tempfile.TemporaryDirectory()
    config.add_cleanup(state.cleanup)
    os.environ["XDG_STATE_HOME"] = state.name
    for option, variable in CONDITIONS.items():
        value = config.getoption(option)
        if value is not None:
            os.environ[variable] = str(value)


def has_room(folder: Path) -> bool:
    """Whether temporary files of all tests may lie in a folder: writable, with space, runnable."""
    if not os.access(folder, os.W_OK | os.X_OK):
        return False
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize >= 4 << 30 and not found.f_flag & os.ST_NOEXEC


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Turn an unexpected skip into a failure where `STUDY_TEST_NO_SKIP=1`."""
    report = yield
    if item.get_closest_marker("expected_skip") is None and not hasattr(report, "wasxfail"):
        _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Iterator[None]:
    """The same for a module that skips itself while it is imported."""
    report = yield
    _refuse_skip(report)
    return report


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.skipped and os.environ.get("STUDY_TEST_NO_SKIP") == "1":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        if reason == f"Skipped: {NO_MYSQL}" and not os.environ.get(MYSQL_URL_VARIABLE):
            return
        if reason == f"Skipped: {NO_BROWSER}" and find_browser() is None:
            return
        report.outcome = "failed"
        report.longrepr = f"skipped, where STUDY_TEST_NO_SKIP=1 allows none: {reason}"


@pytest.fixture(scope="session", autouse=True)
def warm() -> Iterator[None]:
    """End the processes that fork for commands with the session."""
    yield
    WARM.close()
    WITH_FRAMEWORK.close()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of a SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path}/study.db"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One PostgreSQL server for the session (one for each process of xdist)."""
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of an empty database on PostgreSQL."""
    with postgres_server.database() as url:
        yield url


def mysql_server_url() -> str:
    """The URL of the MySQL or MariaDB server that was named; skips the test where none was."""
    server_url = os.environ.get(MYSQL_URL_VARIABLE)
    if not server_url:
        pytest.skip(NO_MYSQL)
    return server_url


@pytest.fixture
def mysql_url() -> Iterator[str]:
    """The URL of an empty database on MySQL or MariaDB, where a server was named."""
    with mysql_database(mysql_server_url()) as url:
        yield url


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[WebDriver]:
    """A browser without a window, where the machine has one."""
    if find_browser() is None:
        pytest.skip(NO_BROWSER)
    with open_browser(tmp_path / "browser") as driver:
        yield driver


@pytest.fixture(params=DATABASES)
def storage_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database on each kind of server in turn."""
    url: str = request.getfixturevalue(DATABASES[request.param])
    return url
