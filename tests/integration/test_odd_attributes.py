"""Attributes that somebody else has written: each command ends with a line, or is right.

Every key of ours is set to values of every wrong kind, in a study beside a good one, which nothing
of it may spoil: neither in the list of studies nor on the dashboard's pages.
"""

import json
import random
import shutil
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import typer

from storage import attrs
from storage.registry import StopOrder
from study.cli import app
from study.run.create import Request, create_or_resume
from study.spec.spec import Given
from tests.integration.dashboards import OPEN, served
from tests.integration.ourstudies import claim, complete, fail

COMMAND = typer.main.get_command(app.app)
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
        request = Request(f"sqlite:///{file}", name, None, Given(objective="synthetic"), 6)
        opened = create_or_resume(request, lambda line: None)
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


SAMPLE = random.Random(11).sample(CASES, 16)
"""Of some thousand, each of which takes a second."""
READS = ("status", "status --json", "trials", "trials --json", "trials --csv", "logs 1", "space")
WRITES = ("retry 1", "pause", "stop", "create --objective synthetic --n-trials 8")


@pytest.fixture
def file(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the database, in the folder where commands are run."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copy(made, tmp_path / "study.db"))


@pytest.mark.parametrize(
    ("table", "key", "value"), SAMPLE, ids=[f"{k} {v[:20]!a}" for _, k, v in SAMPLE]
)
def test_odd_attribute_is_a_line_at_most(
    file: Path, capsys: pytest.CaptureFixture[str], table: str, key: str, value: str
) -> None:
    """In every command on its study, and in none on another."""
    spoil(file, table, key, value)
    url = f"sqlite:///{file}"
    for words in (*READS, *WRITES, "delete --yes --force"):
        code, _, said = ran(capsys, f"{words} --study odd", url)
        errors = [line for line in said.splitlines() if line.startswith("study: error: ")]
        assert len(errors) == (1 if code else 0), (words, said)
    spoil(file, table, key, value)
    assert ran(capsys, "trials --study good", url)[0] == 0
    code, shown, _ = ran(capsys, "list --json", url)
    assert code == 0
    (good,) = [row for row in json.loads(shown) if row["study"] == "good"]
    assert (good["n_slots"], good["done"], good["best"]) == (6, 2, 0.75)


@pytest.fixture
def odd_everywhere(file: Path) -> Path:
    """The database, of whose odd study nothing can be read."""
    for key in OF_STUDY:
        spoil(file, "study_user_attributes", key, "{")
    for key in OF_TRIAL:
        spoil(file, "trial_user_attributes", key, "{")
    return file


def test_odd_study_among_others_spoils_no_page(odd_everywhere: Path) -> None:
    """Of the dashboard: it is named, and the others are a click away."""
    with served(f"sqlite:///{odd_everywhere}", OPEN) as client:
        assert 'study="good"' in client.ask("/metrics").text
        assert client.ask("/workers?study=good").status == 200
        found = client.ask("/workers?study=odd")
        assert "spec" in found.text
        assert "/workers?study=good" in found.text
        names = {study["study_name"] for study in client.json("/api/studies")["study_summaries"]}
        assert names == {"odd", "good"}
        spoil(odd_everywhere, "trial_system_attributes", attrs.FIXED_PARAMS, "[1]")
        spoil(odd_everywhere, "trial_user_attributes", "any", '"half of a pair: \\ud83d"')
        assert client.ask("/csv/1").status == 200
        for study_id in (1, 2):
            assert client.ask(f"/api/studies/{study_id}?after=0").status == 200


@pytest.mark.parametrize("value", ["{", "-5", '{"type": [], "images": "x"}', "1e999"])
def test_report_of_a_study_whose_attributes_are_odd(
    file: Path, capsys: pytest.CaptureFixture[str], value: str
) -> None:
    """It is written, with what is known."""
    for table, keys in (("study", OF_STUDY), ("trial", OF_TRIAL)):
        for key in set(keys) - {attrs.SPEC, attrs.SLOT}:
            spoil(file, f"{table}_user_attributes", key, value)
    code, _, said = ran(capsys, "report --out out --study odd", f"sqlite:///{file}")
    assert code == 0, said
    assert (file.parent / "out" / "report.html").is_file()


@pytest.mark.parametrize("value", ["-5", '"many"', "7.5", "[]"])
def test_budget_that_is_no_count_is_not_raised(
    file: Path, capsys: pytest.CaptureFixture[str], value: str
) -> None:
    """Nor is it taken for none: that would plan every slot a second time."""
    spoil(file, "study_user_attributes", attrs.N_SLOTS, value)
    words = "create --objective synthetic --n-trials 8 --study odd"
    code, _, said = ran(capsys, words, f"sqlite:///{file}")
    assert code
    assert f"'n_slots' is not a count of slots but {value}" in said
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("SELECT count(*) FROM trials").fetchone() == (12,)


@pytest.mark.parametrize(
    ("stored", "kept"),
    [
        ({"id": "x", "now": True, "at": "2026-01-01"}, True),
        *(({"id": 5}, False), ("x", False), ([], False), ({}, False), (None, False)),
    ],
)
def test_order_to_stop_is_one_of_ours(stored: Any, kept: bool) -> None:
    """Else nobody asked for a stop."""
    found = StopOrder.of(stored)
    assert (found is not None) == kept
    assert found is None or found.now


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        *(("2026-01-01T00:00:00", 0), ("2026-01-01T02:00:00+02:00", 0), ("2026-01-01", 0)),
        *(("x", None), (5, None), (None, None), ("0001-01-01T00:00:00+14:00", None), ("", None)),
    ],
)
def test_time_of_any_zone_is_read_as_utc(text: Any, wanted: int | None) -> None:
    """And what is no time is none."""
    found = attrs.moment(text)
    assert found == (None if wanted is None else datetime(2026, 1, 1))
