"""The size of a finalize: the candidates, folds, epochs and networks that fit its budget.

The unit is one training of the search. The same budget in units gives the same plan on every
machine, and so the same submission.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from study.text import counted


@dataclass(frozen=True)
class Effort:
    """What a finalize trains beyond its first submission.

    Attributes:
        top_k: Configurations that are trained anew on folds; 0: none, and nothing is compared.
        folds: Folds of the labelled rows, each held out once.
        repeats: Partitions into folds.
        longer: The best of them is also tried with so many times the epochs; 1: it is not.
        seeds: Networks of a chosen configuration that are trained on all rows and averaged.
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
        n_partly = self.repeats * (self.folds - 1)  # a fold less than all rows, each
        screened = self.top_k * n_partly
        long_runs = self.longer * n_partly if self.longer > 1 and self.top_k else 0
        return screened + long_runs + self.ensemble * self.seeds * self.longer

    def plan(self) -> str:
        """Return what is done, in the order in which it is done."""
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

    def to_json(self) -> dict[str, Any]:
        """Return its fields."""
        return asdict(self)


QUICK = Effort(0, 2, 1, 1, 1)
"""The best trial, trained once on all rows, and nothing beyond it."""

STEPS = (
    (6, Effort(top_k=2, folds=3, repeats=1, longer=1, seeds=2)),
    (12, Effort(top_k=2, folds=3, repeats=1, longer=2, seeds=2)),
    (30, Effort(top_k=4, folds=4, repeats=1, longer=3, seeds=3)),
    (60, Effort(top_k=6, folds=5, repeats=1, longer=4, seeds=5)),
    (120, Effort(top_k=8, folds=5, repeats=1, longer=6, seeds=10)),
)
"""What a budget of at least so many trainings is spent on."""


def effort_for(n_units: float, sizes: Mapping[str, int | None]) -> Effort:
    """Return what to spend a budget on.

    Args:
        n_units: The budget, in trainings of the search.
        sizes: Fields of `Effort` that are taken as given; None is left to the budget.
    """
    given = {name: value for name, value in sizes.items() if value is not None}
    affordable = [effort for least, effort in STEPS if n_units >= least]
    if not affordable:
        affordable = [STEPS[0][1] if given else QUICK]
    return replace(affordable[-1], **given)
