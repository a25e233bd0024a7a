"""List the studies of a storage, also plain Optuna's: owner, slots done, best value, age."""

from datetime import datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from storage import attrs
from storage.rdb import SlotStorage
from storage.reading import read_attempts
from study.errors import StudyError
from study.spec.open import OpenStudy, open_study
from study.text import duration, harmless, iso_utc, jsonable
from study.view.status import read_status


def list_studies(storage: SlotStorage) -> list[dict[str, Any]]:
    """Return a dict for each study: name, owner, age, slots, done, failed, best; None if unknown.

    `created_at` is ISO 8601 in UTC, or the start of the first trial where it is not stored; `age_s`
    is the time since then, by the database's clock.
    """
    names = ("created_by", "created_at", "age_s", "n_slots", "done", "failed", "best")
    found = []
    for study in storage.get_all_studies():
        row: dict[str, Any] = {"study": study.study_name, **dict.fromkeys(names)}
        row["created_by"] = attrs.known(attrs.CREATED_BY, study.user_attrs.get(attrs.CREATED_BY))
        found.append(row)
        try:
            opened = open_study(storage, study.study_name)
            status = read_status(opened)
        except StudyError:
            continue  # made by plain Optuna, or its creation was interrupted
        row.update(n_slots=status.n_slots, done=status.n_final, failed=status.failed)
        row["best"] = jsonable(status.best.value) if status.best else None
        row.update(_age(opened, study.user_attrs.get(attrs.CREATED_AT)))
    return found


def _age(opened: OpenStudy, created_at: object) -> dict[str, Any]:
    since = attrs.moment(created_at)
    if since is None:
        attempts = read_attempts(opened.storage.engine, opened.study_id)
        since = min((a.started_at for a in attempts if a.started_at), default=None)
        if since is None:
            return {}
    now = datetime.fromisoformat(opened.registry().now())
    age_s = max(0.0, (now - since).total_seconds())
    return {"created_at": iso_utc(since), "age_s": round(age_s, 3)}


def render_list(rows: list[dict[str, Any]]) -> Table:
    """Return a table with a row for each study."""
    table = Table("study", "created by", "done", "failed", "best", "age", box=None, pad_edge=False)
    for row in rows:
        done = None if row["n_slots"] is None else f"{row['done']} of {row['n_slots']}"
        best = None if row["best"] is None else f"{float(row['best']):.5f}"  # "inf" is text
        age = None if row["age_s"] is None else _long_duration(row["age_s"])
        cells = (row["study"], row["created_by"], done, row["failed"], best, age)
        table.add_row(*(Text("" if cell is None else harmless(str(cell))) for cell in cells))
    return table


def _long_duration(seconds: float) -> str:
    days, hours = divmod(int(seconds) // 3600, 24)
    return f"{days}d {hours}h" if days >= 2 else duration(seconds)
