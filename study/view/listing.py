"""The studies of a storage: owner, done of N, best, age. Studies of plain Optuna are listed too."""

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
    """Return one dict a study: name, owner, slots, done, failed, best value, age; None if unknown.

    `created_at` is ISO 8601 in UTC and `age_s` the seconds since then, by the database's clock; of
    a study that does not know it, the start of its first trial counts.
    """
    found = []
    for study in storage.get_all_studies():
        row: dict[str, Any] = {
            "study": study.study_name,
            "created_by": attrs.known(attrs.CREATED_BY, study.user_attrs.get(attrs.CREATED_BY)),
            "created_at": None,
            "age_s": None,
            "n_slots": None,
            "done": None,
            "failed": None,
            "best": None,
        }
        try:
            opened = open_study(storage, study.study_name)
            status = read_status(opened)
        except StudyError:
            found.append(row)  # made by plain Optuna, or not to the end
            continue
        row.update(n_slots=status.n_slots, done=status.n_final, failed=status.failed)
        row["best"] = status.best.value if status.best else None
        row.update(_age(opened, study.user_attrs.get(attrs.CREATED_AT)))
        found.append(jsonable(row))
    return found


def _age(opened: OpenStudy, created_at: object) -> dict[str, Any]:
    since = attrs.moment(created_at)
    if since is None:
        attempts = read_attempts(opened.storage.engine, opened.study_id)
        starts = [attempt.started_at for attempt in attempts if attempt.started_at]
        if not starts:
            return {}
        since = min(starts)
    now = datetime.fromisoformat(opened.registry().now())
    age_s = max(0.0, (now - since).total_seconds())
    return {"created_at": iso_utc(since), "age_s": round(age_s, 3)}


def render_list(rows: list[dict[str, Any]]) -> Table:
    """Return a row a study."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("study", "created by", "done", "failed", "best", "age"):
        table.add_column(name)
    for row in rows:
        done = "" if row["n_slots"] is None else f"{row['done']} of {row['n_slots']}"
        best = None if row["best"] is None else f"{float(row['best']):.5f}"  # "inf" is text
        age = None if row["age_s"] is None else long_duration(row["age_s"])
        cells = (row["study"], row["created_by"], done, row["failed"], best, age)
        table.add_row(*(Text("" if cell is None else harmless(str(cell))) for cell in cells))
    return table


def long_duration(seconds: float) -> str:
    """Return `12d 3h` of what is longer than two days, else as `duration` does."""
    days, hours = divmod(int(seconds) // 3600, 24)
    return f"{days}d {hours}h" if days >= 2 else duration(seconds)
