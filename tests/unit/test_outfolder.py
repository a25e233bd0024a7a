"""The folder of the outputs: one writer at a time, one study, and nothing left of dead writers."""

import errno
import fcntl
import json
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from study.errors import StudyError
from study.finalize.outfolder import LOCK, read_manifest, refuse_foreign, sole_writer


def held(out: Path, study: str) -> ExitStack:
    """Another writer; a lock is that of an open file, so it may be in this process."""
    stack = ExitStack()
    stack.enter_context(sole_writer(out, study, print, waits=False))
    return stack


def entered(out: Path, study: str, said: list[str], *, waits: bool = False) -> list[str]:
    """Write into the folder; return the names that were there meanwhile."""
    with sole_writer(out, study, said.append, waits=waits):
        return sorted(path.name for path in out.iterdir())


def test_the_lock_is_there_while_it_is_held_and_then_no_more(tmp_path: Path) -> None:
    """It is a file that nobody has to clear away."""
    out = tmp_path / "a" / "out"
    assert entered(out, "d", []) == [LOCK]
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("study", ["d", "e"])
def test_who_may_not_wait_is_told_who_writes_there(tmp_path: Path, study: str) -> None:
    """The study, the host and the process, and another folder."""
    with held(tmp_path, "d"), pytest.raises(StudyError) as caught:
        entered(tmp_path, study, [])
    assert str(caught.value).startswith("a command of study 'd' (")
    assert str(caught.value).endswith(f", pid {os.getpid()}) writes into {tmp_path}")
    assert f"--out {tmp_path / study}" in str(caught.value.hint)


def test_another_study_never_waits(tmp_path: Path) -> None:
    """Its outputs have no place there afterwards."""
    with held(tmp_path, "d"), pytest.raises(StudyError, match="of study 'd'"):
        entered(tmp_path, "e", [], waits=True)


def test_the_same_study_waits_and_says_so_once(tmp_path: Path) -> None:
    """It goes on as soon as the other has ended."""
    said: list[str] = []
    with held(tmp_path, "d") as writer:

        def told(line: str) -> None:
            said.append(line)
            writer.close()

        with sole_writer(tmp_path, "d", told, waits=True):
            assert (tmp_path / LOCK).exists()
    assert len(said) == 1
    assert said[0].startswith("waiting: a command of study 'd' (")


def test_what_a_killed_writer_began_is_removed_and_nothing_else(tmp_path: Path) -> None:
    """Hidden files of a user, and of other programs, are none of ours."""
    ours = [".0123abcd-submission.csv", ".12-.0123abcd-model.keras", ".0123abcd-report.html"]
    others = [".mine-report.html", ".0123abcd-other.csv", "0123abcd-report.html", ".bashrc"]
    for name in [*ours, *others]:
        (tmp_path / name).touch()
    (tmp_path / LOCK).write_text("{")  # with its lock, which nobody holds
    entered(tmp_path, "d", [])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(others)


def test_pieces_of_a_living_writer_stay(tmp_path: Path) -> None:
    """Whoever is refused removes nothing."""
    with held(tmp_path, "d"):
        (tmp_path / ".0123abcd-submission.csv").touch()
        with pytest.raises(StudyError):
            entered(tmp_path, "d", [])
        assert (tmp_path / ".0123abcd-submission.csv").exists()


def test_a_folder_of_another_study_is_refused(tmp_path: Path) -> None:
    """By the name in its manifest; that of the same study is not."""
    (tmp_path / "manifest.json").write_text(json.dumps({"study": "d"}))
    refuse_foreign(tmp_path, "d")
    with pytest.raises(StudyError, match="holds the outputs of study 'd'") as caught:
        entered(tmp_path, "a/b c", [])
    assert caught.value.hint == f"--out '{tmp_path / 'a%2Fb c'}'"
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"study": 5}', "[" * 100_000, "\udcff"])
def test_a_manifest_that_is_none_is_no_ones(tmp_path: Path, text: str) -> None:
    """Torn, or of another program: the outputs there are vouched for by nobody."""
    (tmp_path / "manifest.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    refuse_foreign(tmp_path, "d")
    assert read_manifest(tmp_path).get("study") != "d"


def test_a_pipe_is_no_manifest(tmp_path: Path) -> None:
    """Reading it would wait for ever."""
    os.mkfifo(tmp_path / "manifest.json")
    assert read_manifest(tmp_path) == {}


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: os.symlink("/dev/null", path)])
def test_what_stands_where_the_lock_should_is_one_line(tmp_path: Path, make: Any) -> None:
    """A folder, a pipe, a link: nothing is opened through it, and nothing waits."""
    make(tmp_path / LOCK)
    with pytest.raises(StudyError, match=f"cannot write {tmp_path / LOCK}: "):
        entered(tmp_path, "d", [])


def test_a_file_system_without_locks_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on; and sweeps nothing, as another writer may be alive."""

    def none(*_: Any) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    (tmp_path / ".0123abcd-report.html").touch()
    monkeypatch.setattr(fcntl, "flock", none)
    said: list[str] = []
    assert entered(tmp_path, "d", said) == [".0123abcd-report.html"]
    assert said == [
        f"the file system of {tmp_path} has no locks: let one command at a time write there"
    ]
