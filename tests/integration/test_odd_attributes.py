"""Attributes that somebody else has written: each command ends with a line, or is right.

Every key of ours is set to values of every wrong kind, in a study beside a good one, which nothing
of it may spoil: neither in the list of studies nor on the dashboard's pages.
"""

import json
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import typer
from dashboards import OPEN, Client, served
from ourstudies import claim, complete, fail

from storage import attrs
from storage.errors import StorageError
from storage.rdb import open_storage
from study import cli
from study.creating import create_or_resume
from study.errors import StudyError
from study.opening import open_study
from study.spec import Given

COMMAND = typer.main.get_command(cli.app)
DEEP = "[" * 100_000 + "]" * 100_000
VALUES = [
    *("null", "true", "0", "-5", "7.5", "1e999", "-1e999", "NaN", "9" * 400, "9" * 5000, '""'),
    *('"x"', '"2026-13-45T99:00:00"', '"2026-01-01T00:00:00+14:00"', '"0001-01-01T00:00:00+14:00"'),
    *('"\\ud83d\\u0000\\u001b[2J"', '"\\u00b2:\\u00b2"', json.dumps("x" * 1_000_000)),
    *("[]", "[1, [2]]", '{"a": 1}', '{"id": 5, "at": 5, "used_s": "x", "seen_at": []}'),
    '{"id": "x", "now": "yes", "at": "never", "used_s": NaN, "type": [], "message": {}}',
    '{"id": "x", "more": 1, "images": "many", "flop": 1e999, "grace_s": "x", "refits": 5}',
    '{"seen_at": "9999-12-31T23:59:59", "images_per_s": "fast", "device": {}, "state": []}',
    *(DEEP, "[" * 60 + "]" * 60, "{", "not json", "", "\x00"),
]
OF_STUDY = [
    *(attrs.SPEC, attrs.N_SLOTS, attrs.N_ADDED, attrs.CREATED_BY, attrs.CREATED_AT, attrs.DATA_DIR),
    *(attrs.TRIAL_S, attrs.TOKEN, attrs.VERSIONS, attrs.STOP, attrs.PAUSED, attrs.USED),
    *(attrs.MARKER, attrs.EFFORT, f"{attrs.WORKERS}vm:ab12cd:77", f"{attrs.WORKERS}\xb2:\xb2"),
]
OF_TRIAL = [*attrs.CARRIED, attrs.WORKER, attrs.CLAIM, attrs.ENVIRONMENT, attrs.ENDED, attrs.SEED]
OF_TRIAL += [attrs.REASON, attrs.ERROR, attrs.LOG, attrs.INFO]
CASES = [
    *(("study_user_attributes", key, value) for key in OF_STUDY for value in VALUES),
    *(("trial_user_attributes", key, value) for key in OF_TRIAL for value in VALUES),
    *(("trial_system_attributes", attrs.FIXED_PARAMS, value) for value in VALUES),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with a good study, and one that is to become odd, in the middle of a search."""
    file = tmp_path_factory.mktemp("odd") / "study.db"
    for name in ("odd", "good"):
        opened = create_or_resume(
            f"sqlite:///{file}", name, None, 6, Given(objective="synthetic"), lambda line: None
        )
        complete(opened, 0.75)
        fail(opened)
        claim(opened)
        opened.registry().join("vm:ab12cd:77", {"device": "cpu", "state": "training"})
        opened.storage.close()
    return file


def spoil(file: Path, table: str, key: str, value: str) -> None:
    """Write a value under a key to the odd study, or to each of its trials."""
    with closing(sqlite3.connect(file)) as database:
        of, ids = "study_id", "SELECT study_id FROM studies WHERE study_name = 'odd'"
        if table.startswith("trial"):
            of, ids = "trial_id", f"SELECT trial_id FROM trials WHERE study_id IN ({ids})"
        database.execute(f"DELETE FROM {table} WHERE key = ? AND {of} IN ({ids})", [key])
        database.execute(
            f"INSERT INTO {table} ({of}, key, value_json) SELECT {of}, ?, ? FROM ({ids})",
            [key, value],
        )
        database.commit()


def ran(capsys: pytest.CaptureFixture[str], words: str, url: str) -> tuple[int, str, str]:
    """Run a command in this process: what is no known failure is raised."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        COMMAND.main([*words.split(), "--storage", url], prog_name="study")
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


READS = [
    *("status", "status --json", "trials", "trials --json", "trials --csv", "logs 1", "logs slot:0"),
    *("space", "report --out {out}", "retry 1", "pause", "resume", "stop"),
]
