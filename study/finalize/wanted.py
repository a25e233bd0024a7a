"""The options of `study finalize` and `study run --finalize`.

Importing this file loads nothing that a finalize needs, so that `study --help` stays quick.
"""

from dataclasses import dataclass
from pathlib import Path

from study.options import (
    Budget,
    Competition,
    Ensemble,
    Folds,
    Longer,
    Out,
    Quick,
    Repeats,
    Seeds,
    TopK,
)


@dataclass(frozen=True)
class Wanted:
    """Where the outputs go, and how much time may be spent on better ones.

    Attributes:
        competition: Kaggle's name of it.
        quick: Stop after the first submission.
        budget_s: Wall time to spend; None: as many trainings as the search has run.
    """

    out: Out = Path("out")
    competition: Competition = "digit-recognizer"
    quick: Quick = False
    budget_s: Budget = None


@dataclass(frozen=True)
class Sizes:
    """Fields of `Effort` that are given; the budget decides where they are None."""

    top_k: TopK = None
    folds: Folds = None
    repeats: Repeats = None
    longer: Longer = None
    seeds: Seeds = None
    ensemble: Ensemble = None
