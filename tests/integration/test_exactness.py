"""N slots are N finished trials, with one process or with many, counted outside the database."""

from collections import Counter
from pathlib import Path

import pytest
from optuna.trial import TrialState

from tests.integration.crowd import crowd, read, work
from tests.integration.planned import attempts, new_slots

N_SLOTS = 120


@pytest.mark.parametrize("n_processes", [1, 4, 16])
def test_every_slot_runs_once(storage_url: str, tmp_path: Path, n_processes: int) -> None:
    """Exactly N COMPLETE, none run twice, each with its own slot's params and value."""
    slots = new_slots(storage_url, N_SLOTS)
    ledger = tmp_path / "ledger"
    crowd(n_processes, work, slots.storage.url, slots.study_id, str(ledger))
    lines = read(ledger)
    assert Counter(line["slot"] for line in lines if line["event"] == "start") == Counter(
        range(N_SLOTS)
    )
    assert Counter(line["slot"] for line in lines if line["event"] == "end") == Counter(
        range(N_SLOTS)
    )
    found = attempts(slots)
    assert [(a.slot, a.state, a.value) for a in found] == [
        (i, TrialState.COMPLETE, float(i)) for i in range(N_SLOTS)
    ]
    assert [a.params["x"] for a in found] == [i / 1000 for i in range(N_SLOTS)]
    assert slots.claim("host:1", lambda _: pytest.fail("nothing is left")) is None
    slots.storage.close()


def test_the_ledger_can_show_a_trial_that_ran_twice(sqlite_url: str, tmp_path: Path) -> None:
    """The check can fail: two budgets worked on into one ledger."""
    ledger = tmp_path / "ledger"
    for _ in range(2):
        slots = new_slots(sqlite_url, 3, name=f"study-{_}")
        work(sqlite_url, slots.study_id, str(ledger))
        slots.storage.close()
    starts = Counter(line["slot"] for line in read(ledger) if line["event"] == "start")
    assert starts == {0: 2, 1: 2, 2: 2}
