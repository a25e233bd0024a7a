"""Params from Optuna's samplers, and its pruners, while the database goes away and comes back."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import sqlalchemy as sa
from optuna.distributions import BaseDistribution
from optuna.study import StudyDirection
from optuna.trial import TrialState

from objectives.space.space import SearchSpace, parse_space
from storage import attrs
from storage.database import rdbstorage
from storage.rdb import open_storage
from storage.reading import Attempt
from storage.slots.slots import Claim, Draw, Slots
from study.spec.open import OpenStudy, open_study
from study.spec.spec import StudySpec
from study.worker.suggest import Suggester
from tests.databases import PostgresServer
from tests.integration.planned import attempts

SPACE = parse_space(
    {"x": {"low": 0.0, "high": 1.0}, "kind": ["a", "b"], "n": {"low": 1, "high": 9}}
)
N_DONE = 12
"""More than the samplers and pruners draw or pass without a look at the others."""


@pytest.fixture
def opened(postgres_url: str) -> Iterator[OpenStudy]:
    """A study with `tpe` and the median pruner, of which twelve slots are complete."""
    spec = StudySpec(
        *("synthetic", None, {}, "s", None, SPACE.to_json(), "maximize", 0, 1, "float32", 1),
        sampler="tpe",
        pruner="median",
    )
    storage = open_storage(postgres_url)
    study_id = storage.create_new_study([StudyDirection.MAXIMIZE], "s")
    Slots(storage, study_id).plan(N_DONE + 2, define={attrs.SPEC: spec.to_json()})
    opened = open_study(storage, "s")
    for i in range(N_DONE):
        claim = claimed(opened)
        params, _ = Suggester(opened, SPACE).params_of(claim)
        opened.slots.report(claim, 0, 0.9)
        opened.slots.finish(claim, TrialState.COMPLETE, params["x"] + i / 100)
    yield opened
    storage.close()


def claimed(opened: OpenStudy) -> Claim:
    """Claim the lowest slot, which has no params yet."""
    claim = opened.slots.claim("host:1", lambda slot: Draw(user_attrs={attrs.SEED: slot.slot}))
    assert claim is not None
    return claim


class Outages:
    """The server goes away when `begin` is called, and comes back a moment later by itself."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._back: threading.Thread | None = None

    def begin(self, *, crash: bool = True) -> None:
        """End it; a crash may cost the last reports of a living trial, and nothing else."""
        self._server.stop(crash=crash)
        self._back = threading.Timer(0.5, self._server.start)
        self._back.start()

    def end(self) -> None:
        """Wait until it is back."""
        if self._back is not None:
            self._back.join()


@pytest.fixture
def outages(postgres_server: PostgresServer) -> Iterator[Outages]:
    """Those of this test; the server runs again in the end."""
    made = Outages(postgres_server)
    yield made
    made.end()


def row_of(opened: OpenStudy, claim: Claim) -> Attempt:
    """The claimed trial, as it stands in the database."""
    return attempts(opened.slots)[claim.slot.trial]


@pytest.mark.parametrize("is_first", [True, False])
def test_suggestion_waits_for_a_database_that_is_away(
    opened: OpenStudy, outages: Outages, is_first: bool
) -> None:
    """By a worker that asks Optuna for the first time, and by one that has done so before."""
    suggester = Suggester(opened, SPACE)
    if not is_first:
        suggester.params_of(claimed(opened))
    claim = claimed(opened)
    outages.begin()
    params, _ = suggester.params_of(claim)
    assert params == SPACE.check(params)
    row = row_of(opened, claim)
    assert (row.params, row.state) == (params, TrialState.RUNNING)


def test_pruner_outlives_a_crash_in_the_middle_of_a_statement(
    opened: OpenStudy, outages: Outages
) -> None:
    """A lock of ours lets Optuna's reading wait; then the server crashes, and the lock is gone."""
    _, should_prune = Suggester(opened, SPACE).params_of(claimed(opened))
    engine = sa.create_engine(opened.storage.url, poolclass=sa.NullPool)
    lock = engine.connect()
    lock.execute(sa.text("LOCK TABLE trial_params IN ACCESS EXCLUSIVE MODE"))

    def crash_once_it_waits() -> None:
        query = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        with engine.connect() as looking:
            while looking.execute(query).scalar_one() == 0:
                time.sleep(0.01)
        outages.begin()

    watching = threading.Thread(target=crash_once_it_waits)
    watching.start()
    try:
        assert should_prune() is False
    finally:
        watching.join()
        lock.invalidate()
        lock.close()
        engine.dispose()


@dataclass(frozen=True)
class CutOff(SearchSpace):
    """A space that is drawn in two goes: after its first param the database is away once.

    Attributes:
        go_away: Called then, and reads as samplers do between two params.
        seen: Every name with what was suggested, as often as it was.
    """

    go_away: Callable[[], None] = lambda: None
    seen: list[tuple[str, Any]] = field(default_factory=list)

    def draw(self, suggest: Callable[[str, BaseDistribution], Any]) -> dict[str, Any]:
        def suggest_and_go(name: str, distribution: BaseDistribution) -> Any:
            self.seen.append((name, suggest(name, distribution)))
            if len(self.seen) == 1:
                self.go_away()
            return self.seen[-1][1]

        return super().draw(suggest_and_go)


def test_suggestion_that_is_cut_off_goes_on_with_what_was_suggested(
    opened: OpenStudy, outages: Outages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The params that the row has already are given again, so they are those it is run with."""
    monkeypatch.setattr(rdbstorage, "READ_RETRY_S", 0.0)  # an outage that reads do not outlast

    def go_away() -> None:
        outages.begin()
        opened.storage.get_all_trials(opened.study_id)

    space = CutOff(SPACE.entries, go_away)
    claim = claimed(opened)
    params, _ = Suggester(opened, space).params_of(claim)
    first, second = space.seen[:2]
    assert first == second == ("x", params["x"])
    assert [name for name, _ in space.seen] == ["x", "x", "kind", "n"]
    assert row_of(opened, claim).params == params


@pytest.mark.parametrize(
    ("value", "is_bad"),
    [(0.1, True), (0.95, False)],
)
def test_pruner_waits_for_a_database_that_is_away(
    opened: OpenStudy, outages: Outages, value: float, is_bad: bool
) -> None:
    """And then answers what it would have answered."""
    claim = claimed(opened)
    _, should_prune = Suggester(opened, SPACE).params_of(claim)
    opened.slots.report(claim, 0, value)
    outages.begin(crash=False)
    assert should_prune() is is_bad
