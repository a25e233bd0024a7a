"""A companion that trains nothing: what each configuration says of each row is laid down."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from optuna.trial import TrialState

from objectives.refit import ALL_ROWS, pack
from storage import attrs
from storage.reading import Attempt
from study.finalize.companion import Companion, Training
from study.finalize.stages import Decider, Ending, Stage
from study.spec.effort import Effort
from study.spec.open import Loaded

N_ROWS, N_CLASSES, N_TEST, EPOCHS = 300, 3, 100, 4
LABELS = np.arange(N_ROWS, dtype=np.int64) % N_CLASSES
Wrong = Collection[int]


class Dataset:
    """Folds of 300 labelled rows: every third one, say, and in other splits others."""

    labels, n_classes = LABELS, N_CLASSES
    test_images = np.zeros((N_TEST, 2, 2), np.uint8)
    train = range(N_ROWS * 9 // 10)  # of a trial of the search

    def for_fold(self, fold: int, n_folds: int, split: int) -> Any:
        """Hold a fold out."""
        order = np.random.Generator(np.random.Philox(split)).permutation(N_ROWS)
        return SimpleNamespace(valid=SimpleNamespace(rows=np.sort(order[fold::n_folds])))


def said(wrong: Wrong, rows: NDArray[np.int64], sure: float) -> NDArray[np.float32]:
    """Probabilities that are right in all rows but some."""
    is_wrong = np.isin(rows, list(wrong))
    found = np.full((len(rows), N_CLASSES), (1 - sure) / (N_CLASSES - 1), np.float32)
    found[np.arange(len(rows)), (LABELS[rows] + is_wrong) % N_CLASSES] = sure
    return found


@dataclass
class World:
    """What would come of the trainings.

    Attributes:
        wrong: (slot, epochs) to the rows that it has wrong, whatever the fold.
        shifted: The same over shifts; a configuration that is not in here cannot shift.
        flop: Trial to what an epoch of it costs; empty: not known.
        failing: Trainings that fail.
        kept_epochs: (slot, epochs) to the epochs whose weights each fold's training kept; else all.
        offset: What the objective's own value is above the accuracy, which else it is.
        first_id: Trial ids count from here.
    """

    wrong: Mapping[tuple[int, int], Wrong]
    shifted: Mapping[tuple[int, int], Wrong] = field(default_factory=dict)
    flop: Mapping[int, float] = field(default_factory=dict)
    failing: Collection[Training] = ()
    kept_epochs: Mapping[tuple[int, int], Sequence[int]] = field(default_factory=dict)
    offset: float = 0.0
    first_id: int = 100
    finished: dict[Training, Attempt] = field(default_factory=dict)
    settled: set[Training] = field(default_factory=set)
    bytes_of: dict[int, bytes] = field(default_factory=dict)
    search: Any = field(
        default_factory=lambda: SimpleNamespace(spec=SimpleNamespace(epochs=EPOCHS))
    )
    opened: Any = field(default_factory=lambda: SimpleNamespace(name="s.finalize"))

    def kept(self, attempts: Sequence[Attempt]) -> dict[int, bytes]:
        """As `Companion.kept`."""
        ids = (a.trial_id for a in attempts)
        return {i: self.bytes_of[i] for i in ids if i in self.bytes_of}

    def train(self, trainings: Iterable[Training]) -> None:
        """Do those that are not done yet."""
        for training in trainings:
            if training not in self.settled:
                self.settled.add(training)
                if training not in self.failing:
                    self.finished[training] = self._attempt(training)

    def _attempt(self, training: Training) -> Attempt:
        trial_id, value = self.first_id + len(self.finished), 0.5
        key = (training.candidate, training.epochs)
        if training.fold != ALL_ROWS:
            fold = Dataset().for_fold(training.fold - 1, training.n_folds, training.split)
            rows = fold.valid.rows
            value = float(np.isin(rows, list(self.wrong[key]), invert=True).mean())
            over = said(self.shifted[key], rows, 0.95) if key in self.shifted else None
            self.bytes_of[trial_id] = pack(said(self.wrong[key], rows, 0.9), over)
        info = {"flop": self.flop[key[0]] * key[1]} if self.flop else {}
        if key in self.kept_epochs and training.fold != ALL_ROWS:
            info["kept_epochs"] = float(self.kept_epochs[key][training.fold - 1])
        params = {"epochs": training.epochs}
        user_attrs = {attrs.INFO: info}
        value += self.offset
        state = TrialState.COMPLETE
        return Attempt(trial_id, trial_id, state, None, None, value, None, user_attrs, params)

    def decider(self, values: Mapping[int, float], effort: Effort) -> Decider:
        """One for a search whose trials had these values; a trial is ten times its slot."""
        top = [
            Attempt(10 * n, n, TrialState.COMPLETE, None, None, values[n], None, {attrs.SLOT: n})
            for n in sorted(values, key=lambda n: -values[n])
        ]
        loaded = Loaded(cast(Any, None), Dataset())
        return Decider(cast(Companion, self), loaded, top, effort)


def drive(world: World, values: Mapping[int, float], effort: Effort) -> tuple[list[Stage], Ending]:
    """Train and decide until the end, with a new decider each time: nothing is remembered."""
    stages: list[Stage] = []
    world.train(world.decider(values, effort).first.members)
    while len(stages) < 20:
        found = world.decider(values, effort).next(world.finished, world.settled)
        if isinstance(found, Ending):
            return stages, found
        stages.append(found)
        world.train(found.trainings)
    raise AssertionError(f"no end after {[stage.what for stage in stages]}")
