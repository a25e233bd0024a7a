"""A study as its report shows it, read once, so that all sections show the same moment.

It holds only trials of this program's workers; the newest attempt at each slot counts.
"""

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
from study.view.cost import is_done
from study.view.status import find_best, standing


@dataclass(frozen=True)
class Snapshot:
    """A study at one moment.

    Attributes:
        data: Name of the data folder without its parents; None without data.
        n_added: Slots added by `study add`.
        versions: The creator's machine and packages.
        attempts: All attempts of this program's workers, by trial number, with details.
        at: The moment, in UTC.
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

    @property
    def n_drawn(self) -> int:
        """Slots with params of their own: without those of `study add` and of higher rungs."""
        return sum(attempt.rung == 0 for attempt in self.newest.values()) - self.n_added

    @cached_property
    def counts(self) -> dict[TrialState, int]:
        """Slots by state. A slot that a plain Optuna worker ended counts as waiting."""
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
        """Whether there are slots, all are final, and none is promoted any more."""
        return is_done(self.newest.values(), self.spec)

    @cached_property
    def best(self) -> Attempt | None:
        """The best complete slot; None for a finalize, whose trainings have different rows."""
        if self.spec.refits is not None:
            return None
        return find_best(self.newest.values(), self.spec.direction)

    @cached_property
    def distributions(self) -> dict[str, BaseDistribution]:
        """Each param's distribution, in the space's order; empty without a stored space."""
        stored = self.spec.space
        space = SearchSpace.from_json(stored) if stored else SearchSpace(())
        return {entry.name: entry.distribution for entry in space.entries}


def info_of(attempt: Attempt, key: str) -> float | None:
    """Return a number that the training stored, such as `train_s`."""
    found: float | None = attempt.user_attrs.get(attrs.INFO, {}).get(key)
    return found


def epochs_of(attempt: Attempt) -> int:
    """Return how many epochs an attempt has trained, as far as they are stored."""
    return max(int(info_of(attempt, "n_epochs") or 0), len(attempt.reports))


def read_snapshot(opened: OpenStudy) -> Snapshot:
    """Read a study of any size in a few statements."""
    rows = read_attempts(opened.storage.engine, opened.study_id, details=True)
    return Snapshot(
        name=opened.name,
        spec=opened.spec,
        data=opened.data_dir.name or "." if opened.data_dir else None,
        n_added=opened.attr(attrs.N_ADDED) or 0,
        versions=stored_versions(opened),
        attempts=[row for row in rows if row.slot is not None],
        at=datetime.now(UTC),
    )
