"""A study as its report shows it: read once, so that all sections speak of the same moment.

Plain values and what follows from them. Trials of strangers are left out, and of each slot the
newest attempt counts, as everywhere in the program.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from optuna.distributions import BaseDistribution
from optuna.trial import TrialState

from objectives.space.space import SearchSpace
from storage import attrs
from storage.reading import Attempt, newest_by_slot, read_attempts
from study.spec.open import OpenStudy, stored_versions
from study.spec.spec import StudySpec
from study.view.status import find_best, standing


@dataclass(frozen=True)
class Snapshot:
    """A study at one moment.

    Attributes:
        data: Name of the data's folder, without those above it; None where there is none.
        n_added: How many of the slots came by `study add`.
        versions: The creator's machine and packages.
        attempts: Trials of ours, by number, in detail.
        at: When it was read, in UTC.
    """

    name: str
    spec: StudySpec
    data: str | None
    n_added: int
    versions: dict[str, str]
    attempts: list[Attempt]
    at: datetime

    @cached_property
    def newest(self) -> dict[int, Attempt]:
        """Slot to its newest attempt, by slot."""
        return newest_by_slot(self.attempts)

    @cached_property
    def counts(self) -> dict[TrialState, int]:
        """In how many slots it stands how; a row that a stranger ended will run again."""
        found = dict.fromkeys(TrialState, 0)
        for attempt in self.newest.values():
            found[standing(attempt)] += 1
        return found

    @property
    def n_final(self) -> int:
        """Slots that are complete, pruned or failed."""
        return sum(n for state, n in self.counts.items() if state.is_finished())

    @property
    def is_done(self) -> bool:
        """Whether every slot is final, of one at least."""
        return 0 < len(self.newest) == self.n_final

    @cached_property
    def best(self) -> Attempt | None:
        """The best COMPLETE slot; None of a finalize's trainings, which have different rows."""
        if self.spec.refits is not None:
            return None
        return find_best(self.newest.values(), self.spec.direction)

    @cached_property
    def distributions(self) -> dict[str, BaseDistribution]:
        """Param to what it is drawn from, in the space's order; empty where nothing is stored."""
        stored = self.spec.space
        space = SearchSpace.from_json(stored) if stored else SearchSpace(())
        return {entry.name: entry.distribution for entry in space.entries}

    def with_state(self, state: TrialState) -> list[Attempt]:
        """Return the newest attempts that stand so, by slot."""
        return [a for a in self.newest.values() if standing(a) == state]


def info_of(attempt: Attempt, key: str) -> float | None:
    """Return one of the numbers that a training left, such as `train_s`."""
    found: float | None = attempt.user_attrs.get(attrs.INFO, {}).get(key)
    return found


def epochs_of(attempt: Attempt) -> int:
    """Return how many epochs an attempt has trained, as far as it has said."""
    return max(int(info_of(attempt, "n_epochs") or 0), len(attempt.reports))


def read_snapshot(
    opened: OpenStudy, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Snapshot:
    """Read a study in a few statements, whatever its size."""
    rows = read_attempts(opened.storage.engine, opened.study_id, details=True)
    return Snapshot(
        name=opened.name,
        spec=opened.spec,
        data=opened.data_dir.name or "." if opened.data_dir else None,
        n_added=opened.attr(attrs.N_ADDED) or 0,
        versions=stored_versions(opened),
        attempts=[row for row in rows if row.slot is not None],
        at=now(),
    )
