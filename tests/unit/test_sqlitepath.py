"""Which file an SQLite URL means, and which URLs are refused with the one to write."""

from pathlib import Path

import pytest

from storage.database.url import parse_url
from storage.errors import StorageError


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the current one and holds the home folder."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("sqlite:///study.db", "study.db"),
        ("sqlite:///~/study.db", "{home}/study.db"),
        ("sqlite:///~", "{home}"),
        ("sqlite:///~study.db", "~study.db"),
        ("sqlite:///./~/study.db", "./~/study.db"),
        ("sqlite:///my study.db", "my study.db"),
        ("sqlite:///my%20study.db", "my study.db"),
        ("sqlite:///50%.db", "50%.db"),
        ("sqlite:///50%25.db", "50%.db"),
        ("sqlite:///a%3Fb.db", "a?b.db"),
        ("sqlite:///a@b#c:d.db", "a@b#c:d.db"),
        ("sqlite:///study.db?timeout=5", "study.db"),
    ],
)
def test_path_is_the_one_that_is_meant(here: Path, text: str, path: str) -> None:
    """And the same after the URL was rendered for a child process."""
    url = parse_url(text)
    assert url.database == path.format(home=here / "home")
    assert parse_url(url.render_as_string(hide_password=False)).database == url.database


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        ("sqlite://", "names no file; a database in memory", "sqlite:///study.db"),
        ("sqlite:///", "names no file; a database in memory", "sqlite:///study.db"),
        ("sqlite:///:memory:", "names no file; a database in memory", "sqlite:///study.db"),
        (
            "sqlite:///file::memory:?uri=true",
            "names no file; a database in memory",
            "sqlite:///study.db",
        ),
        (
            "sqlite:///file:study?mode=memory&uri=true",
            "names no file; a database in memory",
            "sqlite:///study.db",
        ),
        ("sqlite:///file:my.db?mode=ro&uri=true", "is a URI of SQLite", "sqlite:///my.db"),
        ("sqlite:///my.db?mode=ro", "has the option 'mode'", "sqlite:///my.db"),
        ("sqlite://my.db", "has two slashes", "sqlite:///my.db"),
        ("sqlite://data/my.db", "has two slashes", "sqlite:///data/my.db"),
        ("sqlite://./my.db", "has two slashes", "sqlite:///./my.db"),
        ("sqlite://~/my.db", "has two slashes", "sqlite:///~/my.db"),
        ("sqlite:////~/my.db", "the folder /~, which does not exist", "sqlite:///~/my.db"),
        ("sqlite:///~no-such-user/my.db", "the home of no-such-user", "write the whole path"),
        ("sqlite:///C:\\data\\my.db", "is a path of Windows", "sqlite:////folder/study.db"),
        ("sqlite:////c:/data/my.db", "is a path of Windows", "sqlite:////folder/study.db"),
        ("sqlite:///what?.db", "has an option without a value", "as %3F"),
    ],
)
def test_path_that_is_not_taken_is_refused(text: str, says: str, hint: str) -> None:
    """By value, with the URL to write; no file is made."""
    with pytest.raises(StorageError) as caught:
        parse_url(text)
    assert says in str(caught.value)
    assert hint in str(caught.value.hint)
    assert [path.name for path in Path().iterdir()] == ["home"]


def test_file_whose_name_has_a_percent_sign_is_not_passed_over(here: Path) -> None:
    """Where only the file of the very name is there, another one is not begun in silence."""
    (here / "my%20study.db").touch()
    with pytest.raises(StorageError, match="has a % in its name") as caught:
        parse_url("sqlite:///my%20study.db")
    assert caught.value.hint == "write % as %25: sqlite:///my%2520study.db"
    assert parse_url("sqlite:///my%2520study.db").database == "my%20study.db"
    (here / "my study.db").touch()
    assert parse_url("sqlite:///my%20study.db").database == "my study.db"


def test_folder_whose_name_has_a_percent_sign_is_named(here: Path) -> None:
    """The folder that the URL means does not exist."""
    (here / "x%41y").mkdir()
    with pytest.raises(StorageError, match=r"names xAy/my\.db") as caught:
        parse_url("sqlite:///x%41y/my.db")
    assert caught.value.hint == "write % as %25: sqlite:///x%2541y/my.db"
