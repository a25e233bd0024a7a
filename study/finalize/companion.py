"""The companion study of a finalize, which stores each training as one slot.

A finalize thereby uses the same workers, leases, progress and dashboard as a search. Other machines
can join, and an interrupted finalize resumes. `effort.py` and `stages.py` choose the trainings.
"""

import shlex
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from typing import Any

from optuna.trial import TrialState

from objectives.base import Fitted
from objectives.framework.fitprocess import FitProcess
from objectives.refit import ALL_ROWS, REFIT_SPACE
from storage import attrs
from storage.database.tables import read_fixed_params
from storage.reading import Attempt, newest_by_slot, read_attempts
from storage.slots.attempt import read_kept
from study.errors import StudyError
from study.run.create import NewStudy, create_row, plan
from study.spec.effort import Effort
from study.spec.open import Loaded, OpenStudy, companion_of, open_study
from study.spec.spec import COMPANION
from study.spec.workdir import WorkDir


@dataclass(frozen=True)
class Training:
    """One training of a finalize: which configuration, on which rows, with which seed.

    Attributes:
        candidate: Slot of the search that has the params. Not the trial: the seed depends on this,
            and crashes decide which attempt at a slot is finished.
        epochs: Passes over the rows; the schedules span them.
        fold: The held-out fold, from 1; `ALL_ROWS` holds out none.
        n_folds, split: How the rows are cut into folds; unused on all rows.
        member: Distinguishes the seeds of trainings on all rows.
        stop: Epochs after which a training on all rows ends early; 0 runs all `epochs`. On folds
            the network's own callbacks stop it.
    """

    candidate: int
    epochs: int
    fold: int = ALL_ROWS
    n_folds: int = 2
    split: int = 0
    member: int = 0
    stop: int = 0

    def params(self) -> dict[str, int]:
        """Return the params of its slot in the companion."""
        params: dict[str, int] = asdict(self)
        if self.fold != ALL_ROWS:
            del params["stop"]
        return params

    def n_units(self, epochs: int) -> float:
        """Return the work of this training, in trainings of a search with `epochs` epochs."""
        rows = 1.0 if self.fold == ALL_ROWS else 1 - 1 / self.n_folds
        return rows * (self.stop or self.epochs) / epochs


Finished = Mapping[Training, Attempt]
"""The complete trainings of a finalize, with their trials."""


def stop_of(attempts: Sequence[Attempt], epochs: int) -> int:
    """Return the `Training.stop` of a configuration's training on all rows.

    Without validation rows no callback can stop that training. So it stops at the median epoch of
    the weights that earlier trainings of at most `epochs` epochs kept.
    """
    infos = [attempt.user_attrs.get(attrs.INFO) or {} for attempt in attempts]
    kept = [int(info.get("kept_epochs", info.get("n_epochs", epochs))) for info in infos]
    middle = statistics.median_high(kept)
    return middle if 0 < middle < epochs else 0


def slot_of(attempt: Attempt) -> int:
    """Return the slot of a trial that a worker of the study has claimed."""
    if attempt.slot is None:
        raise ValueError(f"trial {attempt.trial} has no slot")
    return attempt.slot


class Companion:
    """The companion of a search; created if it does not exist."""

    def __init__(self, search: OpenStudy) -> None:
        self.search = search
        self.opened = _open_or_create(search)

    def ensure(self, wanted: Sequence[Training]) -> None:
        """Plan the trainings that are not planned yet."""
        self.opened.slots.ensure([training.params() for training in wanted])

    def keep_effort(self, effort: Effort) -> None:
        """Store the effort, for commands on other machines that read the finalize."""
        storage, study_id = self.opened.storage, self.opened.study_id
        storage.set_study_user_attr(study_id, attrs.EFFORT, asdict(effort))

    def effort(self) -> Effort | None:
        """Return the effort of the newest finalize; None before the first."""
        found = self.opened.attr(attrs.EFFORT)
        try:
            return None if found is None else Effort(**found)
        except TypeError:  # another program wrote it
            return None

    def look(self) -> tuple[dict[Training, Attempt], set[Training]]:
        """Return the complete trainings with their trials, and all final trainings."""
        given = read_fixed_params(self.opened.storage.engine, self.opened.study_id)
        final = {
            self._training(given[slot], attempt): attempt
            for slot, attempt in newest_attempts(self.opened).items()
            if slot in given and attempt.is_final
        }
        complete = {t: a for t, a in final.items() if a.state == TrialState.COMPLETE}
        return complete, set(final)

    def _training(self, given: Mapping[str, Any], attempt: Attempt) -> Training:
        try:
            training = Training(**given)
        except TypeError:
            raise self._changed(attempt) from None
        if set(map(type, astuple(training))) != {int}:
            raise self._changed(attempt)
        return training

    def seed_of(self, attempt: Attempt) -> int:
        """Return the seed of a training, or raise a `StudyError` if it was removed."""
        if attrs.SEED not in attempt.user_attrs:
            raise self._changed(attempt)
        return int(attempt.user_attrs[attrs.SEED])

    def _changed(self, attempt: Attempt) -> StudyError:
        name = self.opened.name
        return StudyError(
            f"somebody has changed params or seed of trial {attempt.trial} of study '{name}'",
            f"study delete --study {shlex.quote(name)}   (then finalize trains again)",
        )

    def kept(self, attempts: Sequence[Attempt]) -> dict[int, bytes]:
        """Return the stored predictions of trainings, by trial id."""
        return read_kept(self.opened.storage.engine, [a.trial_id for a in attempts])

    def collect(self, attempt: Attempt, loaded: Loaded, work: WorkDir) -> Fitted:
        """Return the network of a complete training, from its last checkpoint.

        If the checkpoint is on another machine, the network is trained again, to the same bits on
        the same kind of machine.
        """
        refit: Any = loaded.objective
        with FitProcess():
            return refit.network(  # type: ignore[no-any-return]
                attempt.params,
                loaded.dataset,
                seed=self.seed_of(attempt),
                report=lambda step, value: None,
                resume_dir=work.attempt_dir(slot_of(attempt), attempt.trial),
            )


def newest_attempts(opened: OpenStudy) -> dict[int, Attempt]:
    """Return the newest attempt at each slot of a study, in detail."""
    return newest_by_slot(read_attempts(opened.storage.engine, opened.study_id, details=True))


def _open_or_create(search: OpenStudy) -> OpenStudy:
    found = companion_of(search)
    if found is not None:
        return found
    name = search.name + COMPANION
    spec = replace(
        search.spec,
        refits=search.name,
        refits_token=search.token,
        space=REFIT_SPACE.to_json(),
        sampler="random",
        pruner="none",
        rungs=[],
        timeout_s=None,
        trial_timeout_s=None,  # a training may have more rows and epochs than a trial
        keep_checkpoints="best",
    )
    study_id = create_row(search.storage, name, spec.direction)
    plan(NewStudy(search.storage, study_id, name, spec, search.data_dir))
    return replace(open_study(search.storage, name, search.data_dir), code=search.code)
