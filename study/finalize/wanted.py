"""The options of `study finalize` and `study run --finalize`, quick to import for `--help`."""

from dataclasses import dataclass
from pathlib import Path

from study import options


@dataclass(frozen=True)
class Wanted:
    """Where the outputs go, and how much time to spend on better outputs.

    Attributes:
        competition: Kaggle's name of the competition.
        quick: Stop after the first submission.
        budget_s: Wall time to spend; None allows as many trainings as the search has run.
    """

    out: options.Out = Path("out")
    competition: options.Competition = "digit-recognizer"
    quick: options.Quick = False
    budget_s: options.Budget = None


@dataclass(frozen=True)
class Sizes:
    """Fields of `Effort` that the user has fixed; the budget decides those that are None."""

    top_k: options.TopK = None
    folds: options.Folds = None
    repeats: options.Repeats = None
    longer: options.Longer = None
    seeds: options.Seeds = None
    ensemble: options.Ensemble = None
