"""The stages of a finalize: which trainings are next, as a pure function of the finished ones.

The steps: the best trial on all rows, for a first submission; the best few on folds; the best of
these with more epochs; the chosen configurations on all rows, with several seeds. An interrupted
finalize makes the same decisions again, because all its trainings are in the database.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from storage.reading import Attempt
from study.errors import StudyError
from study.finalize.choose import ONE, Choice, choose
from study.finalize.companion import Companion, Finished, Training, slot_of, stop_of
from study.finalize.effort import Effort
from study.finalize.folds import Key, OutOfFold, expect, fold_trainings, gather
from study.report.evidence import Candidate, Evidence
from study.spec.open import Loaded
from study.view.score import wilson


@dataclass(frozen=True)
class Stage:
    """Trainings that must be final before the next decision."""

    what: str
    trainings: tuple[Training, ...]


@dataclass(frozen=True)
class Ending:
    """The networks of a submission.

    Attributes:
        members: Trainings on all rows whose networks are averaged.
        shifted: Whether predictions are averaged over small shifts.
        evidence: Results on folds; None if nothing was trained on folds.
        n_lost: Number of networks left out of the average because they failed.
    """

    members: tuple[Training, ...]
    shifted: bool = False
    evidence: Evidence | None = None
    n_lost: int = 0


class UntrainableError(StudyError):
    """No network of the chosen configuration could be trained on all rows."""


class Decider:
    """Decides the stages of one search's finalize.

    Args:
        top: At least one trial, the best by value first.
    """

    def __init__(
        self, companion: Companion, loaded: Loaded, top: Sequence[Attempt], effort: Effort
    ) -> None:
        self._companion, self._loaded = companion, loaded
        self._top, self._effort = top, effort
        self._epochs = companion.search.spec.epochs
        self._by_slot = {slot_of(attempt): attempt for attempt in top}
        self._keys: list[Key] = [(slot, self._epochs) for slot in self._by_slot]
        self._known: dict[Key, OutOfFold] = {}

    @property
    def first(self) -> Ending:
        """The best trial by value, trained once on all rows."""
        stop = stop_of(self._top[:1], self._epochs)
        return Ending((Training(*self._keys[0], stop=stop),))

    def opening(self, n_workers: int) -> Stage:
        """Return the first stage: the best trial, and trainings for the other workers.

        These are most likely needed later: other seeds of the same configuration (unless more
        epochs may be better), then its folds.
        """
        (best,) = self.first.members
        seeds = self._effort.seeds if self._effort.longer == 1 else 1
        beside = [replace(best, member=member) for member in range(1, seeds)]
        beside += self._on_folds("", self._keys[:1]).trainings
        n_beside = n_workers - 1 if self._effort.top_k else 0
        return Stage("the best trial on all rows", (best, *beside[:n_beside]))

    def next(self, finished: Finished, settled: set[Training]) -> Stage | Ending:
        """Return the next stage, or the ending.

        Args:
            finished: The complete trainings.
            settled: The final trainings, also those that failed.

        Raises:
            UntrainableError: No network could be trained on all rows.
        """
        found = self._candidates(finished, settled)
        if isinstance(found, Stage):
            return found
        ending = self.first
        if found:
            choice = choose([one.measured for one in found])
            members = self._members(found, choice)
            if not settled.issuperset(members):
                return Stage(f"{len(members)} networks on all rows", members)
            is_shifted = found[choice.chosen].best is not found[choice.chosen]
            ending = Ending(members, is_shifted, self._evidence(found, choice))
        trained = tuple(training for training in ending.members if training in finished)
        if not trained:
            name = shlex.quote(self._companion.opened.name)
            raise UntrainableError(
                "the chosen configuration could not be trained on all rows",
                f"study trials --study {name}   (shows why; study retry --failed --study {name})",
            )
        return replace(ending, members=trained, n_lost=len(ending.members) - len(trained))

    def evidence(self, finished: Finished, settled: set[Training]) -> Evidence | None:
        """Return the results on folds; None until all trainings on folds are final."""
        found = self._candidates(finished, settled)
        if isinstance(found, Stage) or not found:
            return None
        return self._evidence(found, choose([one.measured for one in found]))

    def _candidates(self, finished: Finished, settled: set[Training]) -> Stage | list[OutOfFold]:
        """Return all candidates with complete folds, or a stage on folds that is not final."""
        keys, longer = self._keys[: self._effort.top_k], self._effort.longer
        stage = self._on_folds(f"{len(keys)} configurations", keys)
        if not settled.issuperset(stage.trainings):
            return stage
        found = self._gathered(keys, finished)
        if longer == 1 or not found:
            return found
        best = found[choose([one.measured for one in found]).order[0]]
        key = (best.key[0], self._epochs * longer)
        stage = self._on_folds(f"the best of them with {key[1]} epochs", [key])
        if not settled.issuperset(stage.trainings):
            return stage
        return found + self._gathered([key], finished)

    def _on_folds(self, what: str, keys: Sequence[Key]) -> Stage:
        folds, repeats = self._effort.folds, self._effort.repeats
        trainings = [t for key in keys for t in fold_trainings(key, folds, repeats)]
        return Stage(f"{what} on {folds} folds", tuple(trainings))

    def _gathered(self, keys: Sequence[Key], finished: Finished) -> list[OutOfFold]:
        """Return the predictions of each configuration with complete folds."""
        folds, repeats = self._effort.folds, self._effort.repeats
        for key in keys:
            if key not in self._known:
                found = gather(self._companion, self._loaded, finished, key, folds, repeats)
                if found is not None:
                    self._known[key] = found
        return [self._known[key] for key in keys if key in self._known]

    def _members(self, found: Sequence[OutOfFold], choice: Choice) -> tuple[Training, ...]:
        """Return the trainings on all rows: of the chosen candidate, then of the next best."""
        order = [choice.chosen, *(i for i in choice.order if i != choice.chosen)]
        return tuple(
            Training(*one.key, member=member, stop=one.stop)
            for one in (found[i] for i in order[: self._effort.ensemble])
            for member in range(self._effort.seeds)
        )

    def _evidence(self, found: Sequence[OutOfFold], choice: Choice) -> Evidence:
        chosen = found[choice.chosen]
        candidates = tuple(self._candidate(found[i], _verdict(choice, i)) for i in choice.order)
        picked = candidates[choice.order.index(choice.chosen)]
        labels = np.asarray(self._loaded.dataset.labels)
        of_top = next((one for one in found if one.key == self._keys[0]), None)
        top = (float(self._top[0].value or 0.0), of_top)
        return Evidence(
            candidates=candidates,
            choice=picked,
            why=self._why(picked, candidates[0]),
            rows=np.arange(len(labels), dtype=np.int64),
            labels=labels,
            probabilities=chosen.best.probabilities,
            expected=expect(self._loaded, self._effort.folds, found, chosen, chosen.best, top),
        )

    def _candidate(self, one: OutOfFold, verdict: str) -> Candidate:
        slot, epochs = one.key
        attempt, n = self._by_slot[slot], len(one.measured.right)
        n_right = float(one.measured.right.sum())
        low, high = wilson(n_right, n)
        return Candidate(
            trial=attempt.trial,
            slot=slot,
            epochs=epochs,
            stop=one.stop,
            value=float(attempt.value or 0.0),
            n_right=n_right,
            n=n,
            low=low,
            high=high,
            log_loss=float(one.measured.loss.mean()),
            flop=one.flop,
            verdict=verdict,
        )

    def _why(self, picked: Candidate, best: Candidate) -> str:
        what = f"trial {picked.trial} with {picked.epochs} epochs is chosen"
        if picked is not best:
            return (
                f"{what}: on folds it does not differ measurably from trial {best.trial} "
                f"({best.epochs} epochs), and it is cheaper"
            )
        top = self._top[0]
        if picked.trial == top.trial:
            return f"{what}: it is the best on folds, too"
        return (
            f"{what} and not trial {top.trial}, which is on top of the search: on folds it is "
            f"right on {picked.accuracy:.4f} of the rows"
        )


def _verdict(choice: Choice, number: int) -> str:
    behind = choice.behind[number]
    if number == choice.chosen:
        return "chosen"
    if number == choice.order[0]:
        return "the best, but the chosen one does not differ measurably and costs less"
    if behind <= ONE:
        return "does not differ measurably from the best"
    return f"{behind:.1f} standard errors behind the best"
