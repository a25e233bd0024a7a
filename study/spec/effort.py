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
        n_raced = sum(max(0, self.top_k - n - self.n_chosen) for n in range(self.folds))
        n_partly = n_raced + self.n_chosen * self.repeats * self.folds
        rows = 1 - 1 / self.folds  # of each of them
        return 1 + self.longer * (rows * n_partly + self.n_chosen * self.seeds)

    @property
    def n_chosen(self) -> int:
        """The number of configurations that are chosen, if none fails."""
        return min(self.ensemble, self.top_k)

    @property
    def n_networks(self) -> int:
        """The number of networks that vote."""
        return self.n_chosen * (self.repeats * self.folds + self.seeds) if self.top_k else 1

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
        return (
            f"{first}; then{longer} {race if self.top_k > 1 else ''}{who} {parts}{more}; "
            f"these {self.n_networks} networks vote"
        )


QUICK = Effort(0, 2, 1, 1, 1)
"""Only the best trial, trained once on all rows."""

FEWEST_FOLDS, GOOD_FOLDS, MOST_FOLDS = 3, 5, 10
"""With few folds each network learns from few rows; more than ten add hardly any."""

MOST_NETWORKS = 20
"""Each predicts all test images five times, and more of them add hardly anything."""

SIZES = ((0, 1, 2), (10, 2, 2), (25, 2, 3), (50, 3, 3), (100, 4, 4), (200, 6, 6))
"""The least budget, in trainings of the search, of each `top_k` and `longer`."""


def effort_for(
    n_units: float, sizes: Mapping[str, int | None], most_folds: int | None = None
) -> Effort:
    """Return the effort that fits a budget.

    Args:
        n_units: The budget, in trainings of the search.
        sizes: Fields of `Effort` that the user has fixed; None leaves them to the budget.
        most_folds: Rows of the smallest class, each of which is in one fold.
    """
    given = {name: value for name, value in sizes.items() if value is not None}
    top_k, longer = next((k, n) for least, k, n in reversed(SIZES) if n_units >= least)
    most = min(MOST_FOLDS, most_folds or MOST_FOLDS)
    start = Effort(top_k, min(FEWEST_FOLDS, most), 1, longer, 0)
    open_sizes = [
        {"folds": folds, "repeats": repeats}
        for folds in range(start.folds, most + 1)
        for repeats in range(1, MOST_NETWORKS // folds + 1)
    ]
    fitting = [replace(start, **{**size, **given}) for size in open_sizes]
    affordable = [effort for effort in fitting if effort.n_units <= n_units]
    if affordable:
        return max(affordable, key=lambda e: (e.folds >= GOOD_FOLDS, e.n_units, e.folds))
    return replace(start, **given) if given else QUICK
