"""Decide the next step of a finalize, or its end, as a pure function of its finished trainings.

First the best trial on all rows, so that there is a submission, with as much of what may follow as
keeps the other workers busy meanwhile. Then the best few on folds, then the best of these with more
epochs, then the chosen ones on all rows with several seeds. A finalize that was interrupted comes
to the same decisions from what is in the database.
"""

import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from storage.reading import Attempt
from study.errors import StudyError
from study.finalize.choose import ONE, Choice, choose
from study.finalize.companion import Companion, Training, slot_of, stop_of
from study.finalize.effort import Effort
from study.finalize.expect import expect
from study.finalize.folds import Key, OutOfFold, fold_trainings, gather
from study.report.evidence import Candidate, Evidence
from study.spec.open import Loaded
from study.view.score import wilson


@dataclass(frozen=True)
class Stage:
    """Trainings to be done before anything further can be decided."""

    what: str
    trainings: tuple[Training, ...]


@dataclass(frozen=True)
class Ending:
    """What the submission is made of.

    Attributes:
        members: Trainings on all rows whose networks are averaged.
        shifted: Whether predictions are averaged over small shifts.
        evidence: None where nothing was trained on folds.
        n_lost: Networks that were to be members and failed.
    """

    members: tuple[Training, ...]
    shifted: bool = False
    evidence: Evidence | None = None
    n_lost: int = 0


class UntrainableError(StudyError):
    """No network on all rows could be trained of the chosen configuration."""


class Decider:
    """Decides for one search.

    Args:
        top: Its best trials by value, the best first; one at least.
        effort: How much work it may be.
    """

    def __init__(
        self, companion: Companion, loaded: Loaded, top: Sequence[Attempt], effort: Effort
    ) -> None:
        self._companion, self._loaded = companion, loaded
        self._top, self._effort = top, effort
        self._epochs = companion.search.spec.epochs
        self._by_slot = {slot_of(attempt): attempt for attempt in top}
        self._known: dict[Key, OutOfFold | None] = {}

    @property
    def first(self) -> Ending:
        """The best trial by value, trained once on all rows."""
        best = self._top[0]
        stop = stop_of([best], self._epochs)
        return Ending((Training(slot_of(best), self._epochs, stop=stop),))

    def opening(self, n_workers: int) -> Stage:
        """Return what is trained first: the best trial, and what keeps other workers busy.

        That is most likely wanted later, and takes no longer: the same configuration with other
        seeds, where it need not first be seen whether more epochs are better, and on folds.
        """
        (best,) = self.first.members
        seeds = self._effort.seeds if self._effort.longer == 1 else 1
        beside = [replace(best, member=member) for member in range(1, seeds)]
        beside += self._folds(self._key_of(self._top[0]))
        n_beside = n_workers - 1 if self._effort.top_k else 0
        return Stage("the best trial on all rows", (best, *beside[:n_beside]))

    def next(
        self, finished: Mapping[Training, Attempt], settled: Collection[Training]
    ) -> Stage | Ending:
        """Return what is to be trained next, or how it ends.

        Args:
            finished: The trainings that are complete.
            settled: Those that are final, with or without a value.

        Raises:
            UntrainableError: Not one network could be trained on all rows.
        """
        stage = self._open_stage(finished, settled)
        if stage is not None:
            return stage
        found = self._compared(finished)
        if not found:
            return self._refuse_unfinished(self.first, finished)
        choice = choose([one.measured for one in found])
        members = self._members(found, choice)
        if not set(members) <= set(settled):
            return Stage(f"{len(members)} networks on all rows", members)
        used, evidence = self._evidence(found, choice)
        ending = Ending(members, used is not found[choice.chosen], evidence)
        return self._refuse_unfinished(ending, finished)

    def evidence(
        self, finished: Mapping[Training, Attempt], settled: Collection[Training]
    ) -> Evidence | None:
        """Return what the folds say; None before all of them are final: no choice is made yet."""
        found = [] if self._open_stage(finished, settled) else self._compared(finished)
        if not found:
            return None
        return self._evidence(found, choose([one.measured for one in found]))[1]

    def _refuse_unfinished(self, ending: Ending, finished: Mapping[Training, Attempt]) -> Ending:
        trained = tuple(training for training in ending.members if training in finished)
        if not trained:
            name = shlex.quote(self._companion.opened.name)
            raise UntrainableError(
                "the chosen configuration could not be trained on all rows",
                f"study trials --study {name}   (shows why; study retry --failed --study {name})",
            )
        n_lost = len(ending.members) - len(trained)
        return replace(ending, members=trained, n_lost=n_lost)

    def _open_stage(
        self, finished: Mapping[Training, Attempt], settled: Collection[Training]
    ) -> Stage | None:
        """Return the first stage on folds of which a training is not final."""
        for stage in (self._screening(), self._longer(finished)):
            if stage is not None and not set(stage.trainings) <= set(settled):
                return stage
        return None

    def _screening(self) -> Stage | None:
        if not self._effort.top_k:
            return None
        keys = self._screened()
        what = f"{len(keys)} configurations on {self._effort.folds} folds"
        return Stage(what, tuple(t for key in keys for t in self._folds(key)))

    def _screened(self) -> list[Key]:
        return [self._key_of(attempt) for attempt in self._top[: self._effort.top_k]]

    def _key_of(self, attempt: Attempt) -> Key:
        return (slot_of(attempt), self._epochs)

    def _longer(self, finished: Mapping[Training, Attempt]) -> Stage | None:
        key = self._long_key(finished)
        if key is None:
            return None
        what = f"the best of them with {key[1]} epochs on {self._effort.folds} folds"
        return Stage(what, tuple(self._folds(key)))

    def _long_key(self, finished: Mapping[Training, Attempt]) -> Key | None:
        if self._effort.longer == 1:
            return None
        found = self._gathered(self._screened(), finished)
        if not found:
            return None
        best = found[choose([one.measured for one in found]).order[0]]
        return (best.key[0], self._epochs * self._effort.longer)

    def _compared(self, finished: Mapping[Training, Attempt]) -> list[OutOfFold]:
        long_key = self._long_key(finished)
        keys = self._screened() + ([long_key] if long_key else [])
        return self._gathered(keys, finished)

    def _gathered(
        self, keys: Sequence[Key], finished: Mapping[Training, Attempt]
    ) -> list[OutOfFold]:
        for key in keys:
            if self._known.get(key) is None:
                self._known[key] = gather(
                    self._companion, self._loaded, finished, key,
                    self._effort.folds, self._effort.repeats,
                )  # fmt: skip
        return [one for key in keys if (one := self._known[key]) is not None]

    def _folds(self, key: Key) -> list[Training]:
        return fold_trainings(key, self._effort.folds, self._effort.repeats)

    def _members(self, found: Sequence[OutOfFold], choice: Choice) -> tuple[Training, ...]:
        """Return the trainings on all rows: of the chosen, then of the best beside it."""
        order = [choice.chosen, *(i for i in choice.order if i != choice.chosen)]
        return tuple(
            Training(*one.key, member=member, stop=one.stop)
            for one in (found[i] for i in order[: self._effort.ensemble])
            for member in range(self._effort.seeds)
        )

    def _evidence(self, found: Sequence[OutOfFold], choice: Choice) -> tuple[OutOfFold, Evidence]:
        """Return the predictions that are used, with shifts or without, and the evidence."""
        chosen = found[choice.chosen]
        used = chosen.shifted if chosen.is_better_shifted and chosen.shifted else chosen
        candidates = tuple(self._candidate(found, choice, i) for i in choice.order)
        labels = np.asarray(self._loaded.dataset.labels)
        top_key = self._key_of(self._top[0])
        top = (
            float(self._top[0].value or 0.0),
            next((one for one in found if one.key == top_key), None),
        )
        picked = next(c for c in candidates if (c.slot, c.epochs) == chosen.key)
        evidence = Evidence(
            candidates=candidates,
            choice=picked,
            why=self._why(picked, candidates),
            rows=np.arange(len(labels), dtype=np.int64),
            labels=labels,
            probabilities=used.probabilities,
            expected=expect(self._loaded, self._effort.folds, found, chosen, used, top),
        )
        return used, evidence

    def _candidate(self, found: Sequence[OutOfFold], choice: Choice, number: int) -> Candidate:
        one = found[number]
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
            verdict=_verdict(choice, number),
        )

    def _why(self, picked: Candidate, candidates: Sequence[Candidate]) -> str:
        top, best = self._top[0], candidates[0]
        what = f"trial {picked.trial} with {picked.epochs} epochs is chosen"
        if picked is not best:
            return (
                f"{what}: on folds it cannot be told from trial {best.trial} "
                f"({best.epochs} epochs), and it is cheaper"
            )
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
        return "the best, but one that cannot be told from it costs less"
    if behind <= ONE:
        return "cannot be told from the best"
    return f"{behind:.1f} standard errors behind the best"
