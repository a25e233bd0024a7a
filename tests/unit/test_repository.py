"""What holds for the files of the repository as such: what they name, how long they are.

Patterns that no file may hold are put together from pieces, so that this file does not hold them.
"""

import ast
import re
import subprocess
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("study", "objectives", "storage")
MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 60

pytest_plugins = ["pytester"]

# Registries are reached through their clients as the reader has them set up, by package name.
REGISTRY_HOSTS = [
    ".".join(pieces)
    for pieces in (
        ("pypi", "org"),
        ("pypi", "python", "org"),
        ("files", "pythonhosted", "org"),
        ("registry", "npmjs", "org"),
        ("deb", "debian", "org"),
        ("security", "debian", "org"),
        ("archive", "ubuntu", "com"),
        ("proxy", "golang", "org"),
        ("crates", "io"),
        ("conda", "anaconda", "org"),
    )
]
HOME_FOLDERS = [f"/{name}/" for name in ("home", "Users", "root")]


def forbidden_in(text: str) -> list[str]:
    """The registry hosts, home paths and paths of this clone in `text`, a line for each."""
    # A home path starts a path: `objectives/home/x` is none.
    homes = "|".join(map(re.escape, HOME_FOLDERS))
    hosts = "|".join(map(re.escape, REGISTRY_HOSTS))
    here = re.escape(str(ROOT)) if len(ROOT.parts) > 2 else r"(?!)"  # `/app` says nothing
    pattern = re.compile(rf"\b(?:{hosts})\b|(?<![\w.~$}}-])(?:{homes})\w|{here}\b")
    return [
        f"{number}: {line.strip()}"
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def tracked_files() -> list[Path]:
    """Every file that git has, or would take with `git add --all`."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def test_no_file_names_a_registry_or_a_home() -> None:
    """What is in the repository works on another machine, and leads nobody past the clients."""
    files = tracked_files()
    assert ROOT / "pyproject.toml" in files
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in files
        for line in forbidden_in(path.read_text("utf-8", errors="replace"))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "text",
    [
        *(f"--index-url https://{host}/simple" for host in REGISTRY_HOSTS),
        *(f"see {folder}ana/study.db" for folder in HOME_FOLDERS),
        f"cd {ROOT}/study",
    ],
)
def test_forbidden_text_is_found(text: str) -> None:
    """Each host and each home folder is found when it is there."""
    assert forbidden_in(f"fine\n{text}\n") == [f"2: {text}"]


@pytest.mark.parametrize(
    "text",
    ["objectives/home/x.py", "~/root/x", "pip install optuna", "the users of scikit-learn.org"],
)
def test_harmless_text_is_not_found(text: str) -> None:
    """A folder of the project that is called home is not a home."""
    assert forbidden_in(text) == []


def too_long(path: str, source: str) -> list[str]:
    """The file and those of its functions that are longer than they should be."""
    n_lines = len(source.splitlines())
    found = [f"{path}: {n_lines} lines"] if n_lines > MAX_FILE_LINES else []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            n_lines = node.end_lineno - node.lineno + 1
            if n_lines > MAX_FUNCTION_LINES:
                found.append(f"{path}:{node.lineno}: {node.name}: {n_lines} lines")
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_no_file_or_function_is_too_long(room: str) -> None:
    """A file fits in a reader's head, and a function on a screen or two."""
    files = sorted((ROOT / room).rglob("*.py"))
    assert files
    found = [
        line
        for file in files
        for line in too_long(file.relative_to(ROOT).as_posix(), file.read_text("utf-8"))
    ]
    assert not found, "\n".join(found)


def test_too_long_file_and_function_are_found() -> None:
    """The longest that is allowed passes; one line more does not."""
    body = "    pass\n"
    assert too_long("a.py", "x = 1\n" * MAX_FILE_LINES) == []
    assert too_long("a.py", "x = 1\n" * (MAX_FILE_LINES + 1)) == ["a.py: 501 lines"]
    assert too_long("a.py", "def f():\n" + body * (MAX_FUNCTION_LINES - 1)) == []
    assert too_long("a.py", "def f():\n" + body * MAX_FUNCTION_LINES) == ["a.py:1: f: 61 lines"]


MAX_PARAMETERS = 8
SPREADS_NO_OPTIONS = {
    "objectives/data/cache.py",  # arrays of an archive, by their names
    "objectives/refit.py",  # params of a search, by their names
}
"""Files in which a parameter `dict[str, Any]` is spread and holds no options."""


def too_many_parameters(path: str, source: str) -> dict[tuple[str, str], int]:
    """Functions of a file with more than `MAX_PARAMETERS`, without `self` and `cls`."""
    found = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            parts = node.args
            every = [*parts.posonlyargs, *parts.args, *parts.kwonlyargs, parts.vararg, parts.kwarg]
            names = [one.arg for one in every if one is not None]
            n_parameters = len(names) - (names[:1] in (["self"], ["cls"]))
            if n_parameters > MAX_PARAMETERS:
                found[path, node.name] = n_parameters
    return found


def spread_options(path: str, source: str) -> list[str]:
    """Calls in a file that spread a `dict[str, Any]` as `**`: options without names."""
    found = []
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        parts = function.args
        annotated = {one.arg: one.annotation for one in [*parts.args, *parts.kwonlyargs]}
        for node in ast.walk(function):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                annotated[node.target.id] = node.annotation
        loose = {
            n for n, kind in annotated.items() if kind and ast.unparse(kind) == "dict[str, Any]"
        }
        for node in ast.walk(function):
            if isinstance(node, ast.Call):
                found += [
                    f"{path}:{node.lineno}: **{word.value.id}"
                    for word in node.keywords
                    if word.arg is None and isinstance(word.value, ast.Name)
                    if word.value.id in loose
                ]
    return found


def sources(*rooms: str) -> Iterator[tuple[str, str]]:
    """Path and source of each module."""
    for room in rooms:
        for file in sorted((ROOT / room).rglob("*.py")):
            yield file.relative_to(ROOT).as_posix(), file.read_text("utf-8")


def test_no_function_has_too_many_parameters() -> None:
    """What belongs together is handed down as one value; what is exempt must still need it."""
    found: set[tuple[str, str]] = set()
    for path, source in sources(*ROOMS):
        found |= too_many_parameters(path, source).keys()
    assert found == set()


def test_options_have_names_between_functions() -> None:
    """No function takes `dict[str, Any]` and spreads it over another one's parameters."""
    found = {path: spread_options(path, source) for path, source in sources(*ROOMS)}
    assert {path for path, lines in found.items() if lines} == SPREADS_NO_OPTIONS


def test_too_many_parameters_and_spread_options_are_found() -> None:
    """The most that are allowed pass; `self` does not count."""
    names = ", ".join(f"a{number}" for number in range(MAX_PARAMETERS))
    assert too_many_parameters("a.py", f"def f(self, {names}): ...") == {}
    assert too_many_parameters("a.py", f"def f({names}, *, b): ...") == {("a.py", "f"): 9}
    spread = "def f(how: dict[str, Any]):\n    g(1, **how)"
    assert spread_options("a.py", spread) == ["a.py:2: **how"]
    assert spread_options("a.py", "def f(how: dict[str, str]):\n    g(**how)") == []


def locked(name: str) -> dict[str, str]:
    """Package name to exact version, with its marker, in one of the lock files."""
    pins = re.findall(r"^([^ #]+)==([^ ;]+)", (ROOT / name).read_text("utf-8"), re.MULTILINE)
    return dict(pins)


@pytest.mark.parametrize("name", sorted(path.name for path in ROOT.glob("requirements*.lock")))
def test_each_locked_package_has_hashes_that_are_required(name: str) -> None:
    """A file that was changed on its way, or in an index, is not installed."""
    text = (ROOT / name).read_text("utf-8")
    entries = re.split(r"^(?=[^ #\n])", text, flags=re.MULTILINE)[1:]
    assert len(entries) == len(locked(name))
    assert [one.split()[0] for one in entries if "--hash=sha256:" not in one] == []
    for user in ("Makefile", "Dockerfile"):
        installs = re.findall(r"install[^\n]*--requirement .*", (ROOT / user).read_text("utf-8"))
        assert len(installs) == 1
        assert "--require-hashes" in installs[0]


def test_tests_run_with_the_versions_that_users_get() -> None:
    """The lock of the developers holds the lock of the users, version for version."""
    users, developers = locked("requirements.lock"), locked("requirements-dev.lock")
    assert users
    assert {package: developers.get(package) for package in users} == users


def test_users_with_a_gpu_get_the_same_versions_and_cuda() -> None:
    """What `tensorflow[and-cuda]` asks for comes on top, each package at one version."""
    users, with_gpu = locked("requirements.lock"), locked("requirements-gpu.lock")
    assert {package: with_gpu.get(package) for package in users} == users
    added = with_gpu.keys() - users.keys()
    asked = [Requirement(line) for line in requires("tensorflow") or []]
    cuda = [one for one in asked if one.marker and not one.marker.evaluate({"extra": ""})]
    cuda = [one for one in cuda if one.marker and one.marker.evaluate({"extra": "and-cuda"})]
    assert added == {one.name for one in cuda}
    assert [str(one) for one in cuda if with_gpu[one.name] not in one.specifier] == []


SKIPPING = """
import pytest

def test_skips():
    pytest.skip("no server")

@pytest.mark.expected_skip
def test_may_skip():
    pytest.skip("no GPU")

@pytest.mark.xfail
def test_known_failure():
    raise ValueError
"""
MYSQL_SKIPPING = """
import pytest

def test_needs_mysql(mysql_url):
    pass

def test_says_that_there_is_no_mysql():
    pytest.skip("STUDY_TEST_MYSQL_URL names no server")

def test_needs_more_than_mysql():
    pytest.skip("STUDY_TEST_MYSQL_URL names no server that is new enough")
"""


def outcomes_of(pytester: pytest.Pytester, tests: str, **outcomes: int) -> None:
    """Run tests under the rule of `tests/conftest.py`, and expect these outcomes."""
    pytester.makeconftest((ROOT / "tests" / "conftest.py").read_text("utf-8"))
    pytester.makeini("[pytest]\nmarkers = expected_skip: may skip")
    pytester.makepyfile(tests)
    pytester.runpytest_inprocess("-p", "no:cacheprovider", "-n0").assert_outcomes(**outcomes)


@pytest.mark.parametrize(
    ("no_skip", "outcomes"),
    [("0", {"skipped": 2, "xfailed": 1}), ("1", {"failed": 1, "skipped": 1, "xfailed": 1})],
)
def test_unexpected_skip_fails_where_none_is_allowed(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    no_skip: str,
    outcomes: dict[str, int],
) -> None:
    """With STUDY_TEST_NO_SKIP=1 a test that skips itself fails, unless it is marked."""
    monkeypatch.setenv("STUDY_TEST_NO_SKIP", no_skip)
    outcomes_of(pytester, SKIPPING, **outcomes)


def test_mysql_may_be_skipped_where_no_server_is_named(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one skip that needs no mark: whoever runs the tests has no such server."""
    monkeypatch.setenv("STUDY_TEST_NO_SKIP", "1")
    monkeypatch.delenv("STUDY_TEST_MYSQL_URL", raising=False)
    outcomes_of(pytester, MYSQL_SKIPPING, skipped=2, failed=1)


def test_mysql_may_not_be_skipped_where_a_server_is_named(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that nobody reaches is no reason either."""
    monkeypatch.setenv("STUDY_TEST_NO_SKIP", "1")
    monkeypatch.setenv("STUDY_TEST_MYSQL_URL", "mysql+pymysql://nobody@127.0.0.1:1")
    outcomes_of(pytester, MYSQL_SKIPPING, failed=2, errors=1)


BROWSER_SKIPPING = """
import pytest

def test_needs_a_browser(browser):
    pass

def test_says_that_there_is_none():
    pytest.skip("this machine has no chromium with its chromedriver")
"""


@pytest.mark.parametrize("is_there", [True, False])
def test_browser_may_be_skipped_where_there_is_none(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, is_there: bool
) -> None:
    """And not where there is one: a browser that does not start is no reason."""
    programs = pytester.mkdir("programs")
    for name in ("chromium", "chromedriver") if is_there else ():
        (programs / name).write_text("#!/bin/sh\nexit 1\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("STUDY_TEST_NO_SKIP", "1")
    monkeypatch.setenv("PATH", str(programs))
    wanted = {"failed": 1, "errors": 1} if is_there else {"skipped": 2}
    outcomes_of(pytester, BROWSER_SKIPPING, **wanted)


def test_ci_allows_no_skip() -> None:
    """`.ci/run` sets the rule whether it has a MySQL server or not."""
    lines = (ROOT / ".ci" / "run").read_text("utf-8").splitlines()
    assert lines[-2:] == ["export STUDY_TEST_NO_SKIP=1", "make test"]


def test_module_that_skips_itself_fails_where_none_is_allowed(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A skip while a module is imported is a skip too."""
    monkeypatch.setenv("STUDY_TEST_NO_SKIP", "1")
    outcomes_of(pytester, "import pytest\npytest.importorskip('no_such_module')", errors=1)
