"""Cells of an SQLite database that no program of ours writes: each command ends with a line.

SQLite keeps any type in any column. A number becomes part of the path of a log.
"""

import contextlib
import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from optuna.storages._rdb import models
from optuna.trial import TrialState

from storage.errors import StorageError
from storage.rdb import open_storage
from storage.slots.slots import Draw
from study.errors import StudyError
from study.spec.open import open_study
from study.spec.workdir import WorkDir
from tests.integration.dashboards import OPEN, served
from tests.integration.test_odd_attributes import READS, WRITES, file, made, ran

__all__ = ["file", "made"]

VALUES: list[Any] = [
    *("x/../../../PWNED", "", "FINITE", "WAITING", "2026-13-45 00:00:00.000000", "[1]", "nan"),
    *("0001-01-01 00:00:00.000000", "9999-12-31 23:59:59.999999"),
    *(b"\xff\x00", b"v", 7.5, 1e300, float("inf"), -float("inf"), -1, 0, 2**40, 2**63 - 1, None),
    memoryview(b"CAST"),
]
"""The last one stands for text that is no UTF-8."""
CASES = [
    (table.name, column.name, value, every)
    for table in models.BaseModel.metadata.sorted_tables
    for column in table.c
    for value in VALUES
    for every in (True, False)
]
PAGES = ("/metrics", "/workers?study=odd", "/api/studies", "/api/studies/1?after=0")
SAMPLE = random.Random(5).sample(CASES, 24)


def spoiled(file: Path, table: str, column: str, value: Any, every: bool) -> bool:
    """Write a value to a column, of every row or of the newest; return whether SQLite took it."""
    put = "CAST(x'ff2f' AS TEXT)" if isinstance(value, memoryview) else "?"
    where = "" if every else f" WHERE rowid = (SELECT max(rowid) FROM {table})"
    with closing(sqlite3.connect(file)) as database:
        try:
            changed = database.execute(
                f"UPDATE OR IGNORE {table} SET {column} = {put}{where}",
                [value] if put == "?" else [],
            )
        except sqlite3.Error:
            return False
        database.commit()
        return changed.rowcount > 0


def claimed(url: str) -> None:
    """Claim every slot there is, as a worker does."""
    storage = open_storage(url)
    try:
        opened = open_study(storage, "odd")
        opened.slots.requeue_lost(0.0)
        opened.slots.requeue_strangers()
        work = opened.work_dir(Path("work"))
        while (claim := opened.slots.claim("host:1", lambda slot: Draw())) is not None:
            paths = work.attempt_log(claim.slot.trial), work.attempt_dir(0, claim.slot.trial)
            assert not any(".." in path.parts for path in paths)
            opened.slots.report(claim, 0, 0.5)
            opened.slots.finish(claim, TrialState.COMPLETE, 0.5)
    finally:
        storage.close()


@pytest.mark.parametrize("value", ["x/../../../../PWNED", b"x/../PWNED", None, 1.5])
def test_number_of_a_trial_is_part_of_no_path(file: Path, value: Any) -> None:
    """A log of its name would be written wherever that leads."""
    assert spoiled(file, "trials", "number", value, every=True)
    with pytest.raises(StorageError, match="somebody has changed the database"):
        claimed(f"sqlite:///{file}")
    with pytest.raises((TypeError, ValueError)):
        WorkDir(Path("work"), "token").attempt_log(value if value != 1.5 else "1.5")


@pytest.mark.parametrize(
    ("table", "column"),
    [
        *(("trial_params", "param_value"), ("trial_params", "distribution_json")),
        *(("trial_values", "value"), ("trials", "number")),
    ],
)
def test_null_that_optuna_takes_for_granted_is_a_line(file: Path, table: str, column: str) -> None:
    """It would end in an AssertionError, or in a TypeError later."""
    assert spoiled(file, table, column, None, every=True)
    storage = open_storage(f"sqlite:///{file}")
    with pytest.raises(StorageError, match="somebody has changed the database"):
        storage.get_all_trials(1)
    storage.close()


@pytest.mark.parametrize(("table", "column", "value", "every"), SAMPLE)
def test_odd_cell_is_a_line_at_most(
    file: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    table: str,
    column: str,
    value: Any,
    every: bool,
) -> None:
    """In every command, on every page, and for who claims."""
    if not spoiled(file, table, column, value, every):
        return
    url = f"sqlite:///{file}"
    for words in (*READS, "list", "list --json", "report --out out", *WRITES):
        of = "" if words.startswith("list") else " --study odd"
        code, _, said = ran(capsys, words + of, url)
        errors = [line for line in said.splitlines() if line.startswith("study: error: ")]
        assert len(errors) == (1 if code else 0), (words, said)
    with contextlib.suppress(StorageError, StudyError):
        claimed(url)
    with served(url, OPEN) as client:
        for path in PAGES:
            assert "Traceback" not in client.ask(path).text
    assert "Traceback" not in caplog.text + capsys.readouterr().err
    ran(capsys, "delete --yes --force --study odd", url)
