"""Run a finalize: retrain the best trials of a study, and write better and better submissions.

The first submission comes from the best trial, trained on all rows. Then the best few trials race
on folds, and the submission of the winner's networks replaces the first. `stages.py` makes the
decisions; each training is a slot of a companion study, so an interrupted finalize resumes.
"""

import contextlib
import math
import shlex
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from optuna.trial import TrialState

from objectives.errors import DivergedError
from objectives.refit import ALL_ROWS
from storage import attrs, ends
from storage.reading import Attempt
from storage.registry import StopOrder
from study.errors import StudyError
from study.finalize.companion import Companion, Finished, Training, newest_attempts
from study.finalize.modelcard import cost_lines, score_lines
from study.finalize.outfolder import sole_writer
from study.finalize.outputs import Outputs
from study.finalize.stages import Decider, Ending, Stage, UntrainableError
from study.finalize.submission import kaggle_line
from study.finalize.wanted import Sizes, Wanted
from study.machine.gpus import seeing
from study.machine.pin import allocation_of, own_gpu
from study.report.evidence import Evidence
from study.report.snapshot import epochs_of, info_of
from study.run.plan import SHARE_OF_PREDICTING, Plan, most_folds
from study.run.run import run_workers
from study.spec.effort import QUICK, Effort, effort_for
from study.spec.open import Loaded, OpenStudy, companion_of, load, refuse_companion, study_names
from study.spec.spec import COMPANION
from study.text import counted, duration
from study.view.console import View
from study.view.cost import units
from study.view.status import by_value, read_status
from study.worker.told import WorkerOptions

N_BEST = 3
"""The number of best trials that stand for those that are trained again."""


def finalize(
    search: OpenStudy,
    wanted: Wanted,
    options: WorkerOptions,
    view: View,
    *,
    sizes: Sizes | None = None,
    left_s: float | None = None,
) -> int:
    """Write the outputs into `wanted.out`; better outputs replace the first.

    Args:
        sizes: Parts of the effort that the user has fixed.
        left_s: Rest of the study's timeout in s; None for no limit.

    Returns:
        The exit code: 0, or 130 after Ctrl-C, which leaves the newest outputs.

    Raises:
        StudyError: No trial has finished, or the objective has no test images.
    """
    refuse_companion(search)
    deadline = math.inf
    if left_s is not None:
        deadline = time.monotonic() + (1 - SHARE_OF_PREDICTING) * left_s
    top = top_trials(search)
    status = read_status(search)
    if status.running:
        view.say(f"warning: {status.running} trials are still running; the best one may yet change")
    loaded = load(search)
    if not hasattr(loaded.dataset, "for_retraining"):
        raise StudyError(
            f"objective {search.spec.objective} has no data to predict: there is no submission"
        )
    effort = QUICK
    if not wanted.quick and hasattr(loaded.dataset, "for_fold"):
        n_workers = allocation_of(search.spec, options).n_workers(len(top))
        limits_s = (wanted.budget_s, left_s)
        effort = _effort_of(search, loaded, top, limits_s, n_workers, asdict(sizes or Sizes()))
        if effort.top_k:  # raises if there are more folds than rows of the smallest class
            loaded.dataset.for_fold(0, effort.folds, 0)
        effort = replace(effort, top_k=min(effort.top_k, len(top)))
    with sole_writer(wanted.out, search.name, view.say, waits=True):
        try:
            return _Finalize(search, loaded, top, wanted, effort, options, view, deadline).run()
        except Exception as error:  # any read may fail once a study is deleted
            names = (search.name, search.name + COMPANION)
            gone = [name for name in names if name not in study_names(search.storage)]
            if isinstance(error, StudyError) or not gone:
                raise
            raise StudyError(f"study '{gone[0]}' was deleted while it was finalized") from error


def _effort_of(
    search: OpenStudy,
    loaded: Loaded,
    top: Sequence[Attempt],
    limits_s: tuple[float | None, float | None],
    n_workers: int,
    fixed: Mapping[str, int | None],
) -> Effort:
    """Return the effort of the study's plan, else the one that fits the limits.

    Args:
        limits_s: The budget, and the rest of the study's timeout, in s; None for no limit.
        fixed: Fields of the effort that the user has fixed; None leaves them open.
    """
    budget_s, left_s = limits_s
    planned = Plan.stored_effort(search.attr(attrs.PLAN))
    is_open = budget_s is None and all(n is None for n in fixed.values())
    if planned is not None and left_s is not None and is_open:
        return planned
    cost = relative_cost(search, top)
    trial_s = (read_status(search).trial_s or math.inf) * cost
    n_units = units_searched(search) / cost
    if budget_s is not None:
        n_units = budget_s * n_workers / trial_s
    if left_s is not None:
        n_left = (1 - SHARE_OF_PREDICTING) * left_s * n_workers / trial_s
        n_units = n_left if budget_s is None else min(n_units, n_left)
    return effort_for(n_units, fixed, most_folds(loaded.dataset))


def read_evidence(search: OpenStudy, loaded: Loaded) -> Evidence | None:
    """Return the results of a finalize so far, if any; writes nothing."""
    if companion_of(search) is None:
        return None
    companion = Companion(search)
    effort = companion.effort()
    if effort is None or not effort.top_k:
        return None
    return Decider(companion, loaded, top_trials(search), effort).evidence(*companion.look())


def top_trials(search: OpenStudy) -> list[Attempt]:
    """Return the COMPLETE trials, the best first; raise a `StudyError` if there are none."""
    newest = newest_attempts(search)
    found = by_value(newest.values(), search.spec.direction)
    if not found:
        states = [attempt.state.name for attempt in newest.values()]
        pruned = f"{states.count('PRUNED')} pruned, " if "PRUNED" in states else ""
        waiting, running, failed = (states.count(n) for n in ("WAITING", "RUNNING", "FAIL"))
        raise StudyError(
            f"no finished trial in study '{search.name}' "
            f"({waiting} waiting, {running} running, {pruned}{failed} failed)",
            f"study run --study {shlex.quote(search.name)}   (study watch shows it)",
        )
    return found


def units_searched(search: OpenStudy) -> float:
    """Return the work of a search, in trainings with the epochs of the study."""
    newest = newest_attempts(search).values()
    return sum(units(a, search.spec) for a in newest if a.state == TrialState.COMPLETE)


def relative_cost(search: OpenStudy, top: Sequence[Attempt]) -> float:
    """Return what an epoch of the best trials costs, compared with the mean epoch of all.

    By floating point operations, so that it is the same on every machine; 1 if they are unknown.
    """

    def mean_flop(attempts: Iterable[Attempt]) -> float | None:
        found = [(info_of(a, "flop"), units(a, search.spec)) for a in attempts]
        known = [(flop, n) for flop, n in found if flop is not None]
        return sum(flop for flop, _ in known) / sum(n for _, n in known) if known else None

    every = [a for a in newest_attempts(search).values() if a.state == TrialState.COMPLETE]
    best, mean = mean_flop(top[:N_BEST]), mean_flop(every)
    return best / mean if best and mean else 1.0


class UnpredictableError(StudyError):
    """The networks give no valid predictions for a submission."""


@dataclass
class _Finalize:
    """One run of a finalize."""

    search: OpenStudy
    loaded: Loaded
    top: list[Attempt]
    wanted: Wanted
    effort: Effort
    options: WorkerOptions
    view: View
    deadline: float = math.inf

    def __post_init__(self) -> None:
        self.say = self.view.say
        self.companion = Companion(self.search)
        if self.effort.top_k:
            self.companion.keep_effort(self.effort)
        self.old_orders = self._orders()
        self.allocation = allocation_of(self.search.spec, self.options)
        self.n_workers = self.allocation.n_workers(self.effort.top_k * self.effort.folds)
        self.decider = Decider(self.companion, self.loaded, self.top, self.effort)
        self.outputs = Outputs(self.wanted.out, self.search, self.say, self.wanted.competition)

    def run(self) -> int:
        """Train and decide until the end; return the exit code."""
        self.outputs.say_what_is_replaced()
        first = self.decider.first
        # In a limited time nothing may delay the first submission.
        n_at_first = 1 if self.deadline < math.inf else self.n_workers
        stage: Stage | Ending = self.decider.opening(n_at_first)
        is_planned = is_written = False
        while isinstance(stage, Stage):
            finished, settled = self.companion.look()
            is_first_settled = first.members[0] in settled
            if is_first_settled:
                with self._explained():
                    stage = self.decider.next(finished, settled)
            if isinstance(stage, Ending):
                break
            if not is_planned:
                is_planned = True
                self._say_plan(finished)
            if is_first_settled and not is_written:
                is_written = True
                if first.members[0] in finished:
                    self._write_first(first, finished)
            deadline = self.deadline if is_first_settled else math.inf
            if time.monotonic() > deadline:
                with self._explained():
                    return self._end(self.decider.late(finished), finished)
            # A stop order can also arrive while nothing is trained.
            code = 0 if self._orders() != self.old_orders else self._train(stage, deadline)
            if code is not None:
                self.say("stopped; the same command goes on from here")
                return code
        return self._end(stage, finished)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """If no network could be trained on all rows, raise the first training's error."""
        try:
            yield
        except UntrainableError as error:
            failed = [
                attempt.user_attrs
                for attempt in newest_attempts(self.companion.opened).values()
                if attempt.params.get("fold") == ALL_ROWS and attrs.ERROR in attempt.user_attrs
            ]
            if not failed:
                raise
            # The same params and seed would give the same NaN, so a retry would not help.
            is_final = all(ends.end_of(one.get(attrs.REASON)).is_final for one in failed)
            name = shlex.quote(self.companion.opened.name)
            why = (str(failed[0][attrs.ERROR].get("message")).splitlines() or [""])[0]
            hint = f"study trials --study {name}   (shows each of them)" if is_final else error.hint
            raise StudyError(f"{error}: {why}", hint) from error

    def _train(self, stage: Stage, deadline: float) -> int | None:
        """Train a stage; return the exit code if it was stopped."""
        self.companion.ensure(stage.trainings)
        self.say(f"training {stage.what}")
        ended = run_workers(self.companion.opened, self.options, self.view, deadline=deadline)
        return ended.code if ended.was_asked else None

    def _orders(self) -> list[StopOrder | None]:
        studies = (self.search, self.companion.opened)
        return [opened.registry().look().stop for opened in studies]

    def _say_plan(self, finished: Iterable[Training]) -> None:
        effort, spec = self.effort, self.search.spec
        done = sum(training.n_units(spec.epochs) for training in finished)
        trial_s = read_status(self.search).trial_s
        left = max(0.0, effort.n_units - done) / self.n_workers
        left_s = None if trial_s is None else trial_s * left
        self.say(f"{effort.plan()}; about {duration(left_s)} to go")
        if effort.top_k:
            self.say("Ctrl-C at any time: the newest submission stays, the same command goes on")

    def _write_first(self, first: Ending, finished: Finished) -> None:
        try:
            self._write(first, finished)
        except UnpredictableError as error:  # another network may do better
            self.say(f"warning: {error}")

    def _end(self, ending: Ending, finished: Finished) -> int:
        if ending.n_lost:
            self.say(f"left out of the average: {counted(ending.n_lost, 'network')} that failed")
        if ending.n_late:
            self.say(f"time is over: {counted(ending.n_late, 'network')} will not vote")
        if self._write(ending, finished):
            self.outputs.write_report(ending.evidence, self.loaded.dataset)
        elif not self.outputs.has_report():
            found = read_evidence(self.search, self.loaded)
            self.outputs.write_report(found, self.loaded.dataset)
        manifest = self.outputs.manifest()
        if not manifest:
            raise StudyError(
                f"another program wrote into {self.wanted.out} at the same time",
                "the same command, once nothing else writes there",
            )
        for line in (
            *score_lines(float(self.top[0].value or 0.0), ending.evidence),
            *([ending.evidence.why] if ending.evidence else []),
            *cost_lines(manifest),
            f"data, versions and the commands to repeat it: {self.outputs.card}",
            kaggle_line(self.outputs.submission, self.wanted.competition),
        ):
            self.say(line)
        return 0

    def _facts(self, ending: Ending) -> dict[str, Any]:
        """Return the manifest's facts of the trials behind an ending."""
        chosen = next(a for a in self.top if a.slot == ending.members[0].candidate)
        best = self.top[0]
        return {
            "study": self.search.name,
            "trial": chosen.trial,
            "slot": chosen.slot,
            "value": chosen.value,
            "params": chosen.params,
            "best_trial": best.trial,
            "best_value": best.value,
            "n_trials": len(self.top),
            "n_pruned": read_status(self.search).pruned,
            "epochs": ending.members[0].epochs,
            "stopped_after": next((one.stop for one in ending.members if one.stop), None),
            "shifted": ending.shifted,
            "n_left_out": ending.n_late,
            "effort": asdict(self.effort) if ending.evidence is not None else None,
        }

    def _write(self, ending: Ending, finished: Finished) -> bool:
        """Write the outputs, unless these or better outputs exist; return whether it wrote.

        Raises:
            UnpredictableError: A network has weights or predictions that are not finite.
        """
        members = [finished[training] for training in ending.members]
        identity = {
            **self._facts(ending),
            "members": [attempt.params for attempt in members],
            "training_seeds": [self.companion.seed_of(attempt) for attempt in members],
            **self.outputs.origin(),
        }
        submission = self.outputs.submission
        if ending.evidence is None and self.outputs.are_better(identity):
            self.say(f"{submission} is already a better one")
            return False
        if self.outputs.are_of(identity):
            self.say(f"{submission} is already from trial {identity['trial']}")
            return False
        with seeing(own_gpu(self.allocation, self.options)):
            refit = load(self.companion.opened)
            work = self.companion.opened.work_dir(self.options.work_dir)
            try:
                fitted = [self.companion.collect(a, refit, work) for a in members]
                self.outputs.write(identity, ending, fitted, self.loaded, self._cost(finished))
            except DivergedError as error:
                raise UnpredictableError(
                    f"no submission from trial {identity['trial']}: {error}",
                    "fix the model for such images, and search again under another --study name",
                ) from error
        self.say(f"{submission} ready: {len(self.loaded.dataset.test_ids)} rows")
        return True

    def _cost(self, finished: Finished) -> dict[str, Any]:
        """Return the work of search and finalize so far."""
        searched = [a for a in newest_attempts(self.search).values() if a.params]
        attempts = [*searched, *finished.values()]

        def total(name: str) -> float | None:
            known = [number for a in attempts if (number := info_of(a, name)) is not None]
            return sum(known) if known else None

        train_s = total("train_s")
        return {
            "n_trials": len(self.top),
            "n_configurations": len(searched),
            "n_refits": len(finished),
            "n_epochs": sum(map(epochs_of, searched))
            + sum(epochs_of(a) or t.stop or t.epochs for t, a in finished.items()),
            "train_s": None if train_s is None else round(train_s, 1),
            "images": total("images"),
            "flop": total("flop"),
        }
