"""The studies of a storage: owner, done of N, best. Studies of plain Optuna are listed too."""

from typing import Any

from rich.table import Table
from rich.text import Text

from storage import attrs
from storage.rdb import SlotStorage
from study.errors import StudyError
from study.jsonform import jsonable
from study.opening import open_study
from study.plaintext import plain
from study.status import read_status


def list_studies(storage: SlotStorage) -> list[dict[str, Any]]:
    """Return one dict a study: name, owner, slots, done, failed, best value; None if unknown."""
    found = []
    for study in storage.get_all_studies():
        row: dict[str, Any] = {
            "study": study.study_name,
            "created_by": study.user_attrs.get(attrs.CREATED_BY),
            "n_slots": None,
            "done": None,
            "failed": None,
            "best": None,
        }
        try:
            status = read_status(open_study(storage, study.study_name))
        except StudyError:
            found.append(row)  # made by plain Optuna, or not to the end
            continue
        row.update(n_slots=status.n_slots, done=status.n_final, failed=status.failed)
        row["best"] = status.best.value if status.best else None
        found.append(jsonable(row))
    return found


def render_list(rows: list[dict[str, Any]]) -> Table:
    """Return a row a study."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("study", "created by", "done", "failed", "best"):
        table.add_column(name)
    for row in rows:
        done = "" if row["n_slots"] is None else f"{row['done']} of {row['n_slots']}"
        best = None if row["best"] is None else f"{float(row['best']):.5f}"  # "inf" is text
        cells = (row["study"], row["created_by"], done, row["failed"], best)
        table.add_row(*(Text("" if cell is None else plain(str(cell))) for cell in cells))
    return table
