"""Studies with planned slots, and what stands in their tables, for the tests of storage."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from fractions import Fraction
from typing import Any

import optuna
import sqlalchemy as sa
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.storages._rdb import models
from optuna.study import StudyDirection

from storage import attrs
from storage.rdb import SlotStorage, open_storage
from storage.reading import Attempt, read_attempts
from storage.slots.rungs import Rungs
from storage.slots.slots import Claim, Draw, Slot, Slots

DISTRIBUTIONS = {
    "x": FloatDistribution(0.0, 1.0),
    "kind": CategoricalDistribution(("a", "b")),
}
LONG_S = 1000.0  # a grace period that no test outlives
RUNGS = Rungs(3, Fraction(1, 3), maximize=True)

OPENED: list[Slots] = []
"""What `planned` and `another` have opened; `conftest.py` closes it after each test."""


def new_slots(url: str, n_slots: int = 0, *, name: str = "study") -> Slots:
    """Open the database, make a study of that name and plan its slots."""
    storage = open_storage(url)
    slots = Slots(storage, storage.create_new_study([StudyDirection.MAXIMIZE], name))
    if n_slots:
        slots.plan(n_slots)
    return slots


def planned(url: str, n_slots: int = 0) -> Slots:
    """Slots of a new study, closed after the test."""
    slots = new_slots(url, n_slots)
    OPENED.append(slots)
    return slots


def another(slots: Slots, **options: Any) -> Slots:
    """The same slots through a storage of its own, as another process has them."""
    OPENED.append(Slots(open_storage(slots.storage.url), slots.study_id, **options))
    return OPENED[-1]


def in_threads(n: int, call: Callable[[int], Any]) -> list[Any]:
    """Call in `n` threads that start together; errors are raised."""
    barrier = threading.Barrier(n, timeout=60)

    def run(i: int) -> Any:
        barrier.wait()
        return call(i)

    with ThreadPoolExecutor(n) as pool:
        return [future.result() for future in [pool.submit(run, i) for i in range(n)]]


def draw(slot: Slot) -> Draw:
    """Params that say which slot they are of."""
    return Draw({"x": slot.slot / 1000, "kind": "b"}, DISTRIBUTIONS, {attrs.SEED: slot.slot})


def draw_on_rungs(slot: Slot) -> Draw:
    """The params of the lower rung, or of `study add`, else those of `draw`."""
    drawn = draw(slot)
    return Draw(slot.fixed_params or drawn.params, drawn.distributions, drawn.user_attrs)


def value_of(slot: Slot) -> float:
    """A value in which neighbours differ, by params: the same on each rung, and sometimes equal."""
    return float(round(draw_on_rungs(slot).params["x"] * 1000) * 7 % 11)


def claimed(slots: Slots, draw: Callable[[Slot], Draw] = draw) -> Claim:
    """Claim a slot, of which there must be one."""
    claim = slots.claim("host:1", draw)
    assert claim is not None
    return claim


def objective(trial: optuna.Trial) -> float:
    """One float, one int, three reports."""
    x = trial.suggest_float("x", -1, 1) + trial.suggest_int("n", 0, 3)
    for step in range(3):
        trial.report(x + step, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return x


def attempts(slots: Slots) -> list[Attempt]:
    """All trials of the study by number, with details."""
    return read_attempts(slots.storage.engine, slots.study_id, details=True)


def rows_of_all_tables(storage: SlotStorage) -> dict[str, Counter[tuple[Any, ...]]]:
    """Everything that stands in the database, to compare before and after."""
    with storage.engine.connect() as connection:
        return {
            table.name: Counter(map(tuple, connection.execute(sa.select(table))))
            for table in models.BaseModel.metadata.sorted_tables
        }


def age_heartbeat(slots: Slots, claim: Claim, by_s: float) -> None:
    """Set the heartbeat of a claim back, so that no test has to wait for it to grow old."""
    beats = models.TrialHeartbeatModel.__table__
    mine = beats.c.trial_id == claim.trial_id
    with slots.storage.engine.begin() as connection:
        beat = connection.execute(sa.select(beats.c.heartbeat).where(mine)).scalar_one()
        aged = beat - timedelta(seconds=by_s)
        connection.execute(beats.update().where(mine).values(heartbeat=aged))
