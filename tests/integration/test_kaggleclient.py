"""`study fetch COMPETITION` with another program in the place of Kaggle's client.

The failures are what its versions print, 1.5 to 2.2.
"""

import shutil
import stat
import zipfile
from pathlib import Path

import pytest

from objectives.errors import DataError
from study.cli.data import fetch_command

ROWS = {
    "train.csv": "label,pixel0\n1,2\n",
    "test.csv": "pixel0\n3\n",
    "sample_submission.csv": "ImageId,Label\n1,0\n",
}


def client(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Path:
    """Put a `kaggle` on the path that notes its arguments and then does as told."""
    place = folder / "bin"
    place.mkdir()
    path = place / "kaggle"
    path.write_text(f'#!/bin/sh\necho "$@" > {folder}/asked\nfor place; do :; done\n{script}\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{place}:/usr/bin:/bin")
    return folder / "asked"


def archive(path: Path, members: dict[str, str]) -> Path:
    """Write a zip file."""
    with zipfile.ZipFile(path, "w") as packed:
        for name, text in members.items():
            packed.writestr(name, text)
    return path


def test_files_of_the_archive_are_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those three, whatever else is in it and wherever its names point; the same again is fine."""
    members = {**ROWS, "readme.txt": "x", "../../evil.csv": "x", "sub/train.csv": "x"}
    made = archive(tmp_path / "made.zip", members)
    asked = client(tmp_path, monkeypatch, f'cp {made} "$place/digit-recognizer.zip"')
    folder = tmp_path / "digits"
    for _ in range(2):
        assert fetch_command("digit-recognizer", data=folder) == 0
        assert {path.name: path.read_text() for path in folder.iterdir()} == ROWS
    assert asked.read_text().startswith("competitions download -c digit-recognizer -p ")
    assert not list(tmp_path.rglob("evil.csv"))


def test_archive_that_cannot_be_unpacked_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a password, or larger than what is left on the disk: nothing is left of it."""
    made = archive(tmp_path / "made.zip", ROWS)
    client(tmp_path, monkeypatch, f'cp {made} "$place/digit-recognizer.zip"')
    content = bytearray(made.read_bytes())
    content[6], content[content.index(b"PK\1\2") + 8] = 1, 1
    made.write_bytes(content)
    with pytest.raises(DataError, match=r"^train\.csv: encrypted with a password$"):
        fetch_command("digit-recognizer", data=tmp_path / "digits")
    archive(made, ROWS)
    usage = shutil.disk_usage(tmp_path)._replace(free=3)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage)
    with pytest.raises(DataError, match=r"csv: .* MiB unpacked, and 0 MiB are left in .*digits$"):
        fetch_command("digit-recognizer", data=tmp_path / "digits")
    assert not (tmp_path / "digits").exists()


FAILURES = {
    "no credentials": (
        "OSError: Could not find kaggle.json. Make sure it's located in /x/.kaggle.",
        "no credentials",
        "KAGGLE_USERNAME and KAGGLE_KEY",
    ),
    "new client, no credentials": (
        "Authentication required to call the Kaggle API.\n\n    kaggle auth login",
        "no credentials",
        "kaggle auth login",
    ),
    "wrong credentials": (
        "401 Client Error: Unauthorized for url: https://api.kaggle.com/v1/x",
        "does not accept the credentials",
        "a token from",
    ),
    "rules": (
        "403 Client Error: Forbidden for url: https://api.kaggle.com/v1/x",
        "rules were not accepted",
        "https://www.kaggle.com/competitions/digit-recognizer/rules",
    ),
    "old client, rules": (
        "403 - Forbidden - You must accept this competition's rules before you'll be able to",
        "rules were not accepted",
        "/rules",
    ),
    "no such competition": ("404 - Not Found", "Kaggle has no competition", "digit-recognizer"),
    "offline": (
        "HTTPSConnectionPool(host='api.kaggle.com', port=443): Max retries exceeded with url: /v1"
        " (Caused by NameResolutionError(Failed to resolve 'api.kaggle.com'))",
        "cannot be reached",
        "study fetch demo",
    ),
    "anything else": ("something new\nlast words", "client failed: last words", "browser"),
}


@pytest.mark.parametrize("code", [1, 0])
@pytest.mark.parametrize("kind", FAILURES)
def test_failure_of_the_client_is_one_line_with_what_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, code: int
) -> None:
    """Whatever exit code it gives; nothing is left behind."""
    said, message, hint = FAILURES[kind]
    (tmp_path / "said").write_text(said)
    client(tmp_path, monkeypatch, f"cat {tmp_path}/said >&2; exit {code}")
    with pytest.raises(DataError, match=message) as found:
        fetch_command("digit-recognizer", data=tmp_path / "digits")
    assert hint in str(found.value.hint)
    assert "\n" not in str(found.value)
    assert not (tmp_path / "digits").exists()


def test_missing_client_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """How to get it, or do without; no folder is made."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match="'kaggle' is not installed") as found:
        fetch_command("digit-recognizer", data=tmp_path / "digits")
    assert "pip install kaggle" in str(found.value.hint)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["-c", "a/b", "../x", "a b", ""])
def test_name_that_is_none_does_not_reach_the_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Neither an option nor a path."""
    asked = client(tmp_path, monkeypatch, "exit 0")
    with pytest.raises(DataError, match="not a data set"):
        fetch_command(name, data=tmp_path / "digits")
    assert not asked.exists()


def test_competition_of_other_files_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the file that is missing."""
    made = archive(tmp_path / "made.zip", {"train.csv": "x", "images.zip": "x"})
    client(tmp_path, monkeypatch, f'cp {made} "$place/made.zip"')
    with pytest.raises(DataError, match=r"dogs: no test\.csv among Kaggle"):
        fetch_command("dogs", data=tmp_path / "dogs")
    assert not (tmp_path / "dogs").exists()


@pytest.mark.parametrize("at", [40, 60])
def test_damaged_download_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """Bytes that unpack to something else, and bytes that do not unpack; nothing is left behind."""
    made = tmp_path / "made.zip"
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, text in ROWS.items():
            packed.writestr(name, text * 50)
    content = bytearray(made.read_bytes())
    content[at : at + 4] = b"\xff\xff\xff\xff"
    made.write_bytes(content)
    client(tmp_path, monkeypatch, f'cp {made} "$place/made.zip"')
    with pytest.raises(DataError, match=r"train\.csv: the download is damaged"):
        fetch_command("digit-recognizer", data=tmp_path / "digits")
    assert not (tmp_path / "digits").exists()
