"""The size of a finalize: numbers of candidates, folds, epochs and networks that fit a budget.

The unit of work is one training of the search. A budget in units gives the same plan, and so the
same submission, on every machine.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from study.text import counted


@dataclass(frozen=True)
class Effort:
    """The trainings of a finalize after its first submission.

    Attributes:
        top_k: Configurations that race fold by fold; 0 trains nothing after the first submission.
        folds: Folds of the labelled rows, each held out once.
        repeats: Partitions into folds for each chosen configuration.
        longer: Factor of the epochs of these trainings, compared with the search's.
        seeds: Networks of each chosen configuration that are trained on all rows and vote, too.
        ensemble: Configurations whose networks vote.
    """

    top_k: int
    folds: int
    repeats: int
    longer: int
    seeds: int
    ensemble: int = 1

    @property
    def n_units(self) -> float:
        """The most work that it takes, in trainings of the search."""
        if not self.top_k:
            return 1.0
        most = self.top_k - self.n_chosen  # that are not chosen; each fold leaves one behind
        n_raced = sum(max(0, most - fold) for fold in range(self.folds))
        n_partly = n_raced + self.n_chosen * self.repeats * self.folds
        rows = 1 - 1 / self.folds  # of each of them
        return 1 + self.longer * (rows * n_partly + self.n_chosen * self.seeds)

    @property
    def n_chosen(self) -> int:
        """The number of configurations that are chosen, if none fails."""
        return min(self.ensemble, self.top_k)

    def plan(self) -> str:
        """Return one line that lists the trainings in their order."""
        first = "plan: the best trial on all rows, for a submission at once"
        if not self.top_k:
            return first
        longer = f" with {self.longer} x the epochs" if self.longer > 1 else ""
        race = f"{counted(self.top_k, 'configuration')} on folds, one after the other, and "
        parts = f"on {self.folds} folds" + (f", {self.repeats} times" if self.repeats > 1 else "")
        who = "the best" if self.n_chosen == 1 else f"the best {self.n_chosen}"
        n_all = self.n_chosen * self.seeds
        more = f", {counted(n_all, 'network')} on all rows" if n_all else ""
        n_networks = self.n_chosen * self.repeats * self.folds + n_all
        return (
            f"{first}; then{longer} {race if self.top_k > 1 else ''}{who} {parts}{more}; "
            f"these {n_networks} networks vote"
        )


QUICK = Effort(0, 2, 1, 1, 1)
"""Only the best trial, trained once on all rows."""

STEPS = (
    (6, Effort(top_k=1, folds=3, repeats=1, longer=2, seeds=0)),
    (12, Effort(top_k=2, folds=5, repeats=1, longer=2, seeds=0)),
    (20, Effort(top_k=2, folds=6, repeats=1, longer=3, seeds=0)),
    (30, Effort(top_k=3, folds=8, repeats=1, longer=3, seeds=0)),
    (60, Effort(top_k=3, folds=8, repeats=2, longer=3, seeds=0)),
    (120, Effort(top_k=4, folds=10, repeats=3, longer=3, seeds=0)),
)
"""The smallest budget of each effort, in trainings of the search."""


def effort_for(n_units: float, sizes: Mapping[str, int | None]) -> Effort:
    """Return the effort that fits a budget.

    Args:
        n_units: The budget, in trainings of the search.
        sizes: Fields of `Effort` that the user has fixed; None leaves them to the budget.
    """
    given = {name: value for name, value in sizes.items() if value is not None}
    affordable = [effort for least, effort in STEPS if n_units >= least]
    if not affordable:
        affordable = [STEPS[0][1] if given else QUICK]
    return replace(affordable[-1], **given)
