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
        top_k: Configurations to train again on folds and compare; 0 compares nothing.
        folds: Folds of the labelled rows, each held out once.
        repeats: Partitions into folds.
        longer: Factor of the epochs in a further training of the best configuration; 1 skips it.
        seeds: Networks of each chosen configuration that are trained on all rows and averaged.
        ensemble: Configurations that are averaged.
    """

    top_k: int
    folds: int
    repeats: int
    longer: int
    seeds: int
    ensemble: int = 1

    @property
    def n_units(self) -> float:
        """Its work, in trainings of the search."""
        n_partly = self.repeats * (self.folds - 1)  # each training has all rows except a fold
        screened = self.top_k * n_partly
        long_runs = self.longer * n_partly if self.longer > 1 and self.top_k else 0
        return screened + long_runs + self.ensemble * self.seeds * self.longer

    def plan(self) -> str:
        """Return one line that lists the trainings in their order."""
        first = "plan: the best trial on all rows, for a submission at once"
        if not self.top_k:
            return first
        n_networks = self.seeds * self.ensemble
        parts = f"on {self.folds} folds" + (f", {self.repeats} times" if self.repeats > 1 else "")
        longer = f"; the best also with {self.longer} x the epochs" if self.longer > 1 else ""
        return (
            f"{first}; then {self.top_k} configurations {parts}{longer}; "
            f"then {counted(n_networks, 'network')} on all rows"
        )


QUICK = Effort(0, 2, 1, 1, 1)
"""Only the best trial, trained once on all rows."""

STEPS = (
    (6, Effort(top_k=2, folds=3, repeats=1, longer=1, seeds=2)),
    (12, Effort(top_k=2, folds=3, repeats=1, longer=2, seeds=2)),
    (30, Effort(top_k=4, folds=4, repeats=1, longer=3, seeds=3)),
    (60, Effort(top_k=6, folds=5, repeats=1, longer=4, seeds=5)),
    (120, Effort(top_k=8, folds=5, repeats=1, longer=6, seeds=10)),
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
