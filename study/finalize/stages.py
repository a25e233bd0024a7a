"""The stages of a finalize: which trainings are next, as a pure function of the finished ones.

The steps: the best trial on all rows, for a first submission; the best few race, fold by fold; the
winner is trained on the other folds, and all its networks vote. An interrupted finalize makes the
same decisions again, because all its trainings are in the database.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from storage.reading import Attempt
from study.errors import StudyError
from study.finalize.choose import ONE, choose
from study.finalize.companion import Companion, Finished, Training, slot_of, stop_of
from study.finalize.folds import Key, OutOfFold, expect, fold_trainings, gather
from study.report.evidence import Candidate, Evidence
from study.spec.effort import Effort
from study.spec.open import Loaded
from study.text import counted
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
        members: Trainings whose networks are averaged.
        shifted: Whether predictions are averaged over small shifts.
        evidence: Results on folds; None if nothing was trained on folds.
        n_lost: Number of networks left out of the average because they failed.
        n_late: Number of planned networks that were not trained, because the time was over.
    """

    members: tuple[Training, ...]
    shifted: bool = False
    evidence: Evidence | None = None
    n_lost: int = 0
    n_late: int = 0


class UntrainableError(StudyError):
    """No network of the chosen configuration could be trained."""


@dataclass(frozen=True)
class _Raced:
    """The end of a race.

    Attributes:
        alive: The configurations that are left, the best first.
        left: How far each other one was behind when it left, in standard errors, and on how many
            folds; in the order in which they left.
        n_folds: Folds on which the last of them raced; 0 without a race.
    """

    alive: tuple[Key, ...]
    left: dict[Key, tuple[float, int]]
    n_folds: int


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
        epochs = self._epochs * effort.longer
        self._keys: list[Key] = [(slot, epochs) for slot in self._by_slot]
        self._known: dict[tuple[Training, ...], OutOfFold] = {}

    @property
    def first(self) -> Ending:
        """The best trial by value, trained once on all rows."""
        stop = stop_of(self._top[:1], self._epochs)
        return Ending((Training(slot_of(self._top[0]), self._epochs, stop=stop),))

    def opening(self, n_workers: int) -> Stage:
        """Return the first stage: the best trial, and trainings for the other workers.

        These are most likely needed later: folds of the same configuration.
        """
        (best,) = self.first.members
        beside = self._on_folds(self._keys[0]) if self._effort.top_k else []
        return Stage("the best trial on all rows", (best, *beside[: n_workers - 1]))

    def next(self, finished: Finished, settled: set[Training]) -> Stage | Ending:
        """Return the next stage, or the ending.

        Args:
            finished: The complete trainings.
            settled: The final trainings, also those that failed.

        Raises:
            UntrainableError: No network could be trained on all rows.
        """
        ending, found = self.first, self._chosen(finished, settled)
        if isinstance(found, Stage):
            return found
        raced, chosen = found
        if chosen:
            seeds = self._on_all_rows(chosen)
            if not settled.issuperset(seeds):
                return Stage(f"{counted(len(seeds), 'network')} on all rows", seeds)
            voters = self._voters(chosen)
            is_shifted = chosen[0].best is not chosen[0]
            evidence = self._evidence(raced, chosen, finished, len(voters))
            ending = Ending(voters, is_shifted, evidence)
        return self._of_trained(ending, finished)

    def _of_trained(self, ending: Ending, finished: Finished) -> Ending:
        """Leave the networks out that failed; raise an error if there is no other."""
        trained = tuple(training for training in ending.members if training in finished)
        if not trained:
            name = shlex.quote(self._companion.opened.name)
            raise UntrainableError(
                "the chosen configuration could not be trained on all rows",
                f"study trials --study {name}   (shows why; study retry --failed --study {name})",
            )
        return replace(ending, members=trained, n_lost=len(ending.members) - len(trained))

    def late(self, finished: Finished) -> Ending:
        """Return the ending with the trainings that are there, once the time is over.

        Raises:
            UntrainableError: There is no network.
        """
        keys = self._keys[: self._effort.top_k]
        by_key = {key: [t for t in self._on_folds(key) if t in finished] for key in keys}
        key = max(keys, key=lambda key: len(by_key[key]), default=None)
        found = self._gathered(key, by_key[key], finished) if key and by_key[key] else None
        if found is None:
            return self._of_trained(self.first, finished)
        n_planned = self._effort.folds * self._effort.repeats + self._effort.seeds
        members = tuple(by_key[found.key])
        evidence = self._evidence(_Raced((found.key,), {}, 0), [found], finished, len(members))
        is_shifted = found.best is not found
        return Ending(members, is_shifted, evidence, n_late=n_planned - len(members))

    def evidence(self, finished: Finished, settled: set[Training]) -> Evidence | None:
        """Return the results on folds; None until all trainings on folds are final."""
        found = self._chosen(finished, settled)
        if isinstance(found, Stage) or not found[1]:
            return None
        raced, chosen = found
        return self._evidence(raced, chosen, finished, len(self._voters(chosen)))

    def _chosen(
        self, finished: Finished, settled: set[Training]
    ) -> Stage | tuple[_Raced, list[OutOfFold]]:
        """Return the race and the configurations that vote, or a stage that is not final."""
        racing = self._keys[: self._effort.top_k]
        while True:
            raced = self._raced(racing, finished, settled)
            if isinstance(raced, Stage):
                return raced
            keys = raced.alive
            wanted = [training for key in keys for training in self._on_folds(key)]
            if not settled.issuperset(wanted):
                folds = self._effort.folds
                who = "the best of them" if raced.left else "the best trial"
                return Stage(f"{who} on {folds} folds", tuple(wanted))
            found = [self._gathered(key, self._on_folds(key), finished) for key in keys]
            if None not in found:
                return raced, [one for one in found if one is not None]
            racing = _without_failed(racing, keys, found)

    def _raced(
        self, racing: Sequence[Key], finished: Finished, settled: set[Training]
    ) -> Stage | _Raced:
        """Let the best few race fold by fold; one that is behind gets no further fold.

        Each fold leaves at least one of them behind, so that a race has an end. If a training
        fails, its configuration cannot be compared, and the others race without it. Only trainings
        that the race asks for count: what else was trained depends on the number of workers.
        """
        alive, n_all = list(racing), self._effort.folds
        left: dict[Key, tuple[float, int]] = {}
        n_chosen, n_folds = self._effort.ensemble, 0
        while len(alive) > n_chosen and n_folds < n_all:
            n_folds += 1
            wanted = [t for key in alive for t in self._on_folds(key)[:n_folds]]
            if not settled.issuperset(wanted):
                what = f"{len(alive)} configurations on fold {n_folds} of {n_all}"
                return Stage(what, tuple(wanted))
            found = [self._gathered(k, self._on_folds(k)[:n_folds], finished) for k in alive]
            if None in found:
                return self._raced(_without_failed(racing, alive, found), finished, settled)
            choice = choose([one.measured for one in found if one is not None])
            behind = {alive[i]: choice.behind[i] for i in choice.order}
            ranked = sorted(behind, key=lambda key: (key != alive[choice.chosen], behind[key]))
            good = [key for n, key in enumerate(ranked) if n < n_chosen or behind[key] <= ONE]
            n_kept = n_chosen if n_folds == n_all else max(n_chosen, len(alive) - 1)
            kept = good[:n_kept]
            left |= {key: (behind[key], n_folds) for key in reversed(ranked) if key not in kept}
            alive = kept
        return _Raced(tuple(alive), left, n_folds)

    def _voters(self, chosen: Sequence[OutOfFold]) -> tuple[Training, ...]:
        on_folds = (training for one in chosen for training in self._on_folds(one.key))
        return (*on_folds, *self._on_all_rows(chosen))

    def _on_folds(self, key: Key) -> list[Training]:
        return fold_trainings(key, self._effort.folds, self._effort.repeats)

    def _on_all_rows(self, chosen: Sequence[OutOfFold]) -> tuple[Training, ...]:
        return tuple(
            Training(*one.key, member=member, stop=one.stop)
            for one in chosen
            for member in range(self._effort.seeds)
        )

    def _gathered(
        self, key: Key, wanted: Sequence[Training], finished: Finished
    ) -> OutOfFold | None:
        """Return what these trainings predict; they are read once."""
        if tuple(wanted) not in self._known:
            found = gather(self._companion, self._loaded, finished, key, wanted)
            if found is None:
                return None
            self._known[tuple(wanted)] = found
        return self._known[tuple(wanted)]

    def _evidence(
        self, raced: _Raced, chosen: Sequence[OutOfFold], finished: Finished, n_networks: int
    ) -> Evidence:
        best, keys = chosen[0], [chosen[0].key, *reversed(raced.left)]
        beaten = {
            key: found
            for key, (_, n) in raced.left.items()
            if (found := self._gathered(key, self._on_folds(key)[:n], finished)) is not None
        }
        candidates = [self._candidate(one, "chosen") for one in chosen]
        candidates += [
            self._candidate(beaten[key], _verdict(*raced.left[key]))
            for key in reversed(raced.left)
            if key in beaten
        ]
        last = {best.key: raced.n_folds} | {key: n for key, (_, n) in raced.left.items()}
        rounds = [
            [
                found
                for key in keys
                if last[key] >= n
                and (found := self._gathered(key, self._on_folds(key)[:n], finished)) is not None
            ]
            for n in sorted({n for _, n in raced.left.values()})
        ]
        labels = np.asarray(self._loaded.dataset.labels)
        of_top = beaten.get(self._keys[0], best if best.key == self._keys[0] else None)
        is_comparable = self._effort.longer == 1
        return Evidence(
            candidates=tuple(candidates),
            choice=candidates[0],
            why=self._why(candidates[0]),
            rows=best.rows,
            labels=labels[best.rows],
            probabilities=best.best.probabilities,
            expected=expect(
                self._loaded,
                rounds,
                best,
                n_networks,
                (float(self._top[0].value or 0.0), of_top if is_comparable else None),
            ),
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

    def _why(self, picked: Candidate) -> str:
        what, top = f"trial {picked.trial} with {picked.epochs} epochs is chosen", self._top[0]
        if picked.trial == top.trial:
            return f"{what}: no other is measurably better on folds"
        return (
            f"{what} and not trial {top.trial}, which is on top of the search: on folds it is "
            f"right on {picked.accuracy:.4f} of the rows"
        )


def _without_failed(
    racing: Sequence[Key], asked: Sequence[Key], found: Sequence[OutOfFold | None]
) -> list[Key]:
    failed = {key for key, one in zip(asked, found, strict=True) if one is None}
    return [key for key in racing if key not in failed]


def _verdict(behind: float, n_folds: int) -> str:
    on = f"after {n_folds} fold{'s' if n_folds > 1 else ''}"
    if behind <= ONE:
        return f"{on} it did not differ measurably from the chosen one"
    return f"{behind:.1f} standard errors behind the best {on}"
