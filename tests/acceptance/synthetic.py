"""What the synthetic objective must give, slot by slot, and what a database and a ledger say of it.

The expected maps come from pure functions in this process: no run is compared with another one
alone.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from objectives.synthetic import SYNTHETIC_SPACE, synthetic_value
from storage.rdb import open_storage
from study.spec.draw import draw_params, training_seed
from study.spec.open import open_study
from study.view.status import StudyStatus, read_status, read_trials, trials_json

Rows = list[dict[str, Any]]

# Reports what a learning curve may hold at worst; its value is a number, or NaN for one choice.
ODD = """
import math

class Odd:
    direction = "minimize"
    needs_data = False
    space = {"kind": ["fine", "diverges"]}

    def load(self, data_dir):
        return None

    def fit(self, params, dataset, *, seed, report, resume_dir):
        from objectives.base import Fitted

        for step, value in enumerate([math.nan, math.inf, -math.inf, 0.5]):
            report(step, value)
        return Fitted(value=0.25 if params["kind"] == "fine" else math.nan, model=None)

    def predict(self, fitted, images):
        raise NotImplementedError
"""


def expected(n_slots: int, seed: int = 0) -> dict[int, tuple[dict[str, Any], float]]:
    """Return slot to (params, value)."""
    found = {}
    for slot in range(n_slots):
        params = draw_params(SYNTHETIC_SPACE, seed, slot)
        found[slot] = (params, synthetic_value(params, training_seed(seed, slot)))
    return found


@dataclass(frozen=True)
class Climbed:
    """What a slot of a study with rungs must give; `from_slot` is None on rung 0."""

    params: dict[str, Any]
    value: float
    seed: int
    rung: int = 0
    from_slot: int | None = None


def expected_on_rungs(n_draws: int, n_rungs: int = 3, seed: int = 0) -> dict[int, Climbed]:
    """Return slot to what it must give if the best third of a rung is promoted, at least one."""
    found: dict[int, Climbed] = {}
    for slot, (params, value) in expected(n_draws, seed).items():
        found[slot] = Climbed(params, value, training_seed(seed, slot))
    below = list(found)
    for rung in range(1, n_rungs):
        best = sorted(below, key=lambda slot: (-found[slot].value, slot))
        below = list(range(len(found), len(found) + max(1, len(below) // 3)))
        for slot, source in zip(below, best, strict=False):
            params, own = found[source].params, training_seed(seed, slot)
            found[slot] = Climbed(params, synthetic_value(params, own), own, rung, source)
    return found


def climbed(rows: Rows) -> dict[int, Climbed]:
    """Return slot to what the COMPLETE trials gave; a slot has one at most."""
    complete = [row for row in rows if row["state"] == "COMPLETE"]
    keys = ("params", "value", "seed", "rung", "from_slot")
    found = {row["slot"]: Climbed(*(row[key] for key in keys)) for row in complete}
    assert len(found) == len(complete)
    return found


def results(rows: Rows) -> dict[int, tuple[dict[str, Any], float]]:
    """Return slot to (params, value) of the COMPLETE trials; a slot has one at most."""
    complete = [row for row in rows if row["state"] == "COMPLETE"]
    found = {row["slot"]: (row["params"], row["value"]) for row in complete}
    assert len(found) == len(complete)
    return found


def look(url: str, name: str) -> StudyStatus:
    """Return the status of a study, which must be there."""
    storage = open_storage(url, create=False)
    try:
        return read_status(open_study(storage, name))
    finally:
        storage.close()


def rows_of(url: str, name: str) -> Rows:
    """Return what `study trials --json` prints of a study."""
    storage = open_storage(url, create=False)
    try:
        opened = open_study(storage, name)
        return trials_json(read_trials(opened), opened.spec)
    finally:
        storage.close()


def slots(lines: Iterable[dict[str, Any]], event: str, outcome: str | None = None) -> Counter[int]:
    """Count the ledger's lines of one kind by slot."""
    wanted = (line for line in lines if line["event"] == event)
    return Counter(x["slot"] for x in wanted if outcome is None or x["outcome"] == outcome)


def once_each(n_slots: int) -> Counter[int]:
    """Return what `slots` gives where every slot stands once."""
    return Counter(range(n_slots))


def change_attr(path: Path, key: str, **changes: Any) -> None:
    """Do what a client of the database can: change fields of an attribute of study 's'."""
    storage = open_storage(f"sqlite:///{path}", create=False)
    study_id = storage.get_study_id_from_name("s")
    stored = storage.get_study_user_attrs(study_id)[key]
    storage.set_study_user_attr(study_id, key, {**stored, **changes})
    storage.close()
