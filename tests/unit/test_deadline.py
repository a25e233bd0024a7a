"""A finalize in a limited time: how much it plans, and that it ends with what is there."""

import math
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from optuna.study import StudyDirection
from optuna.trial import TrialState

from storage import attrs
from storage.rdb import open_storage
from storage.slots.slots import Draw, Slots
from study.errors import StudyError
from study.finalize import finalize as module
from study.finalize.companion import Training
from study.finalize.finalize import _Finalize, relative_cost, top_trials, units_searched
from study.finalize.stages import Ending, Stage
from study.spec.effort import Effort
from study.spec.open import OpenStudy, open_study
from study.spec.spec import StudySpec
from tests.unit.evidence import EPOCHS, World

EFFORT = Effort(top_k=2, folds=3, repeats=1, longer=2, seeds=0)
VALUES = {7: 0.99, 3: 0.98}
WRONG = {(7, 8): range(30), (3, 8): range(10, 25)}


class Run(_Finalize):
    """A finalize whose trainings take no time, and whose clock is set by hand.

    Attributes:
        asked: What was trained, and until when it had time.
        ended: What was written last.
    """

    def __init__(self, world: World, left: int, *, is_limited: bool = True) -> None:
        self.world, self.left = world, left
        self.deadline = time.monotonic() + 1000 if is_limited else math.inf
        self.n_workers, self.effort = 4, EFFORT
        self.say = lambda line: None  # type: ignore[method-assign, misc]
        self.decider = world.decider(VALUES, EFFORT)
        self.companion: Any = SimpleNamespace(
            look=lambda: (world.finished, world.settled), opened=world.opened
        )
        self.outputs: Any = SimpleNamespace(say_what_is_replaced=lambda: None)
        self.old_orders = []
        self.asked: list[tuple[Stage, float]] = []
        self.firsts: list[Ending] = []
        self.ended: Ending | None = None

    def _orders(self) -> list[Any]:
        return []

    def _say_plan(self, finished: Any) -> None:
        pass

    def _write_first(self, first: Ending, finished: Any) -> None:
        self.firsts.append(first)

    def _train(self, stage: Stage, deadline: float) -> int | None:
        self.asked.append((stage, deadline))
        for training in stage.trainings:
            if training not in self.world.settled:
                if deadline < math.inf and self.left == 0:
                    self.deadline = time.monotonic() - 1  # the workers were stopped
                    return None
                self.left -= deadline < math.inf
                self.world.train([training])
        return None

    def _end(self, ending: Ending, finished: Any) -> int:
        self.ended = ending
        return 0


def test_finalize_that_has_no_more_time_ends_with_the_networks_that_are_there() -> None:
    """After the fold in which the time ends; the first submission came before, whatever it took."""
    run = Run(World(WRONG), left=3)
    assert run.run() == 0
    assert run.firsts == [run.decider.first]
    assert run.ended is not None
    assert list(run.ended.members) == [Training(3, 8, fold, 3) for fold in (1, 2)]
    assert run.ended.n_late == 1
    first, *later = run.asked
    assert (first[0].trainings, first[1]) == (run.decider.first.members, math.inf)
    assert all(deadline < math.inf for _, deadline in later)


def test_finalize_without_time_after_its_first_network_ends_with_that() -> None:
    """There is a submission in any case."""
    run = Run(World(WRONG), left=0)
    assert run.run() == 0
    assert run.ended == run.decider.first


def test_finalize_without_any_network_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one failed, and there was no time for another."""
    monkeypatch.setattr(module, "newest_attempts", lambda opened: {})
    run = Run(World(WRONG, failing=[Training(7, EPOCHS)]), left=0)
    with pytest.raises(StudyError, match="could not be trained on all rows"):
        run.run()


def test_finalize_without_a_limit_trains_all_of_it() -> None:
    """And lets other workers begin beside the first network."""
    run = Run(World(WRONG), left=0, is_limited=False)
    assert run.run() == 0
    assert run.ended is not None
    assert list(run.ended.members) == [Training(3, 8, fold, 3) for fold in (1, 2, 3)]
    assert run.ended.n_late == 0
    assert len(run.asked[0][0].trainings) == 4


@pytest.fixture
def search(sqlite_url: str) -> Iterator[OpenStudy]:
    """A search of four slots: three complete, with costs of 1, 2 and 6 an epoch, and one failed."""
    spec = StudySpec("synthetic", None, {}, "s", None, [], "maximize", 0, EPOCHS, "float32", 1)
    storage = open_storage(sqlite_url)
    study_id = storage.create_new_study([StudyDirection.MAXIMIZE], "s")
    slots = Slots(storage, study_id)
    slots.plan(4, define={attrs.SPEC: spec.to_json(), attrs.TOKEN: "t"})
    for value, flop in ((0.9, 6.0), (0.2, 1.0), (0.1, 2.0), (None, 50.0)):
        claim = slots.claim("host:1", lambda slot: Draw())
        assert claim is not None
        state = TrialState.FAIL if value is None else TrialState.COMPLETE
        slots.finish(claim, state, value, user_attrs={attrs.INFO: {"flop": flop * EPOCHS}})
    yield open_study(storage, "s")
    storage.close()


def test_units_of_a_search_are_its_complete_trials(search: OpenStudy) -> None:
    """One each, as all have the epochs of the study."""
    assert units_searched(search) == 3.0


def test_cost_of_the_best_is_told_in_mean_trials(
    search: OpenStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what they compute, never by time."""
    top = top_trials(search)
    assert relative_cost(search, top) == pytest.approx(1.0)  # all of them are the best three
    monkeypatch.setattr(module, "N_BEST", 1)
    assert relative_cost(search, top) == pytest.approx(6 / 3)
    monkeypatch.setattr(module, "info_of", lambda attempt, name: None)
    assert relative_cost(search, top) == 1.0
