"""What a limited time buys: how many draws are searched, and the effort of the finalize.

The plan follows from the speed that was measured in the try-out. It is stored with the study and
then followed exactly, so that the same plan gives the same submission on every machine.
"""

from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from objectives.errors import DataError
from study.spec.effort import MOST_FOLDS, Effort, effort_for
from study.spec.spec import DEFAULT_N_TRIALS, StudySpec
from study.text import counted, duration

SHARE = 0.5
"""The share of the time that a finalize gets: epochs there buy more than further draws."""

SHARE_OF_PREDICTING = 0.1
"""The share of a finalize's time that is kept for the last predictions and files."""

FEWEST_DRAWS = 3


@dataclass(frozen=True)
class Plan:
    """What a study and its finalize will do in a limited time.

    Attributes:
        n_trials: Number of draws.
        rungs: Epochs and number of slots of each rung; a search without rungs has one.
        search_s: Expected time of the search in s.
        effort: Sizes of the finalize; None without one.
        epochs: Epochs of the networks that vote.
        finalize_s: Expected time of the finalize in s.
    """

    n_trials: int
    rungs: tuple[tuple[int, int], ...]
    search_s: float
    effort: Effort | None = None
    epochs: int = 0
    finalize_s: float = 0.0

    def lines(self) -> list[str]:
        """Return the plan in words."""
        rungs = ", then ".join(f"{n} x {counted(epochs, 'epoch')}" for epochs, n in self.rungs)
        draws = counted(self.n_trials, "draw")
        found = [f"plan: {draws} ({rungs}), about {duration(self.search_s)}"]
        if self.effort is not None:
            finalize = self.effort.plan().removeprefix("plan: ")
            found.append(f"then {finalize}; about {duration(self.finalize_s)}")
        return found

    @staticmethod
    def stored_effort(found: Any) -> Effort | None:
        """Return the effort of a stored plan; None if it has none, or another program wrote it."""
        stored = found.get("effort") if isinstance(found, dict) else None
        try:
            effort = None if stored is None else Effort(**stored)
        except TypeError:
            return None
        return effort if effort is not None and all(map(_is_count, vars(effort).values())) else None

    def to_json(self) -> dict[str, Any]:
        """Return a dict of JSON types."""
        return {
            "n_trials": self.n_trials,
            "rungs": [{"epochs": epochs, "n_slots": n} for epochs, n in self.rungs],
            "search_s": round(self.search_s, 1),
            "effort": self.effort and asdict(self.effort),
            "epochs": self.epochs or None,
            "finalize_s": round(self.finalize_s, 1) or None,
        }


def most_folds(dataset: Any) -> int:
    """Return how many folds the labelled rows allow, at most `MOST_FOLDS`."""
    for n_folds in range(MOST_FOLDS, 2, -1):
        with suppress(DataError):
            dataset.for_fold(0, n_folds, 0)
            return n_folds
    return 2


def make_plan(
    spec: StudySpec,
    trial_s: float,
    n_workers: int,
    *,
    n_trials: int | None = None,
    finalizes: bool = False,
    folds: int | None = None,
) -> Plan:
    """Return the plan of a new study.

    Args:
        trial_s: Expected duration of a trial with `spec.epochs` epochs, in s.
        n_trials: Number of draws, if the user has fixed it.
        finalizes: Whether a finalize follows.
        folds: How many folds the labelled rows allow; see `most_folds`.
    """
    total_s = spec.timeout_s
    n_draws = n_trials or DEFAULT_N_TRIALS
    if total_s is not None and n_trials is None:
        least = min(FEWEST_DRAWS, n_draws)
        search_s = total_s * (1 - SHARE if finalizes else 1)
        sizes = range(least, n_draws + 1)
        fitting = [n for n in sizes if _search_s(n, spec, trial_s, n_workers) <= search_s]
        n_draws = max(fitting, default=least)
    search_s = _search_s(n_draws, spec, trial_s, n_workers)
    rungs = tuple(zip(spec.rungs or [spec.epochs], _sizes(n_draws, spec), strict=True))
    if not finalizes:
        return Plan(n_draws, rungs, search_s)
    n_units = search_s * n_workers / trial_s
    if total_s is not None:
        left_s = max(total_s * SHARE, total_s - search_s)
        n_units = (1 - SHARE_OF_PREDICTING) * left_s * n_workers / trial_s
    effort = effort_for(n_units, {}, folds)
    finalize_s = effort.n_units * trial_s / n_workers / (1 - SHARE_OF_PREDICTING)
    return Plan(n_draws, rungs, search_s, effort, spec.epochs * effort.longer, finalize_s)


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 1000


def _sizes(n_draws: int, spec: StudySpec) -> list[int]:
    return [n_draws] if spec.promotion is None else spec.promotion.sizes(n_draws)


def _search_s(n_draws: int, spec: StudySpec, trial_s: float, n_workers: int) -> float:
    """Return the expected time of a search; each rung waits for the last slot of the one below."""
    found = 0.0
    for rung, n in enumerate(_sizes(n_draws, spec)):
        share = spec.epochs_on(rung) / spec.epochs
        found += trial_s * share * max(1.0, n / n_workers)
    return found
