"""What somebody with the database or a log may write is shown, and not obeyed.

Each command that shows a study runs in this process on one whose name, worker, error, params and
log are hostile; nothing that a terminal would obey comes out.
"""

import csv
import io
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import typer

from storage import attrs
from storage.rdb import open_storage
from study.cli import app
from study.run.create import Request, create_or_resume
from study.spec.open import open_study
from study.spec.spec import Given
from study.spec.workdir import WorkDir

EVIL = "\x1b]0;owned\x07\x1b[2J\u202e"
NAME = f"../../x{EVIL}"
OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")
COMMAND = typer.main.get_command(app.app)


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database with one study of one failed slot, hostile wherever text can be."""
    folder = tmp_path / "a" / "b" / "here"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    url = f"sqlite:///{folder}/study.db"
    given = Given(objective="synthetic")
    opened = create_or_resume(Request(url, "tame", None, given, 1), lambda line: None)
    opened.registry().join(f"host{EVIL}:abc:12", {"device": f"gpu{EVIL}", "state": EVIL})
    storage = opened.storage
    trial_id = storage.get_all_trials(opened.study_id)[0]._trial_id
    storage.set_trial_user_attr(trial_id, attrs.WORKER, f"=cmd{EVIL}")
    storage.set_trial_user_attr(trial_id, attrs.REASON, f"@SUM(A1){EVIL}")
    storage.set_trial_user_attr(trial_id, attrs.ERROR, {"type": EVIL, "message": f"{EVIL}\nmore"})
    storage.set_trial_user_attr(trial_id, attrs.LOG, f"one{EVIL}\rdone\ntwo")
    storage.set_study_user_attr(opened.study_id, attrs.CREATED_BY, f"ana{EVIL}@host")
    with storage.engine.begin() as connection:
        connection.execute(sa.text("UPDATE studies SET study_name = :n"), {"n": NAME})
        connection.execute(sa.text("UPDATE trials SET state = 'FAIL'"))
    return url


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Run a command; return all that it prints."""
    capsys.readouterr()
    with pytest.raises(SystemExit):
        COMMAND.main(list(words), prog_name="study")
    captured = capsys.readouterr()
    return captured.out + captured.err


@pytest.mark.parametrize(
    "words",
    [
        "list",
        "list --json",
        "status",
        "status --json",
        "trials",
        "trials --json",
        "trials --csv",
        "logs 0",
        "logs 7",
        "logs nothing",
        "stop",
        "space",
        "retry 7",
        "status --study no-such",
        "finalize",
    ],
)
def test_nothing_that_a_terminal_obeys_is_printed(
    url: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """By any command, on stdout or stderr."""
    text = shown(capsys, *words.split(), "--storage", url)
    assert text.strip()
    assert "Traceback" not in text
    assert not OBEYED.search(text), ascii(text)


def test_log_shows_what_a_carriage_return_would_hide(
    url: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """From the database and from a file, where the characters of a pair may come apart."""
    wanted = ["one\\x1b]0;owned\\x07\\x1b[2J\\u202e", "done", "two"]
    assert shown(capsys, "logs", "0", "--storage", url).splitlines() == wanted
    opened = open_study(open_storage(url), None)
    path = opened.work_dir(tmp_path / "logs").attempt_log(0)
    path.parent.mkdir(parents=True)
    path.write_bytes(f"one{EVIL}\r\ndone\rtwo\n".encode())
    text = shown(capsys, "logs", "0", "--storage", url, "--work-dir", str(tmp_path / "logs"))
    assert text.splitlines() == wanted


def test_cells_of_the_csv_are_no_formulas(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever a worker calls itself, or a reason says."""
    rows = list(csv.DictReader(io.StringIO(shown(capsys, "trials", "--csv", "--storage", url))))
    assert len(rows) == 1
    assert rows[0]["worker"].startswith("'=cmd")
    assert rows[0]["reason"].startswith("'@SUM")
    assert (rows[0]["trial"], rows[0]["state"]) == ("0", "FAIL")


def test_name_leads_no_work_dir_elsewhere(url: str, tmp_path: Path) -> None:
    """Its work dir lies beside the database, one folder down."""
    here = Path.cwd()
    work = open_study(open_storage(url), None).work_dir(None)
    assert work.root.parent.resolve() == here
    assert here in work.attempt_log(0).resolve().parents
    sly = WorkDir(work.root, "../../../../../x")
    assert work.root.resolve() in sly.attempt_log(0).resolve().parents


@pytest.mark.parametrize("words", ["logs 7", "logs 0", "retry 0", "replay 0", "status", "finalize"])
def test_command_to_paste_has_the_name_as_one_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str
) -> None:
    """A name that a shell would run, as `$(...)`, is quoted in every hint."""
    monkeypatch.chdir(tmp_path)
    name, url = "$(touch owned); `x` 'y", "sqlite:///s.db"
    create_or_resume(Request(url, name, None, _synthetic(), 1), lambda line: None)
    if words == "status":  # of two studies, a hint names the first
        create_or_resume(Request(url, "tame", None, _synthetic(), 1), lambda line: None)
        text = shown(capsys, "status", "--storage", url)
    else:
        text = shown(capsys, *words.split(), "--storage", url)
    hints = [line for line in text.splitlines() if line.startswith("  try: ")]
    pasted = [line for line in hints if "--study" in line]
    assert all(name in shlex.split(line) for line in pasted), text
    assert pasted or words in ("retry 0", "replay 0")


def test_hostile_names_are_not_created(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`create` and `run` refuse them before anything is written."""
    monkeypatch.chdir(tmp_path)
    for name in ("../../x", "/x", f"x{EVIL}", ".."):
        with pytest.raises(Exception, match="cannot be the name of a study"):
            create_or_resume(
                Request("sqlite:///s.db", name, None, _synthetic(), 1), lambda line: None
            )
    assert list(tmp_path.iterdir()) == []


def _synthetic() -> Any:
    return Given(objective="synthetic")
