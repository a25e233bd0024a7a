"""Run a finalize: retrain trials of a study, and write better and better submissions.

The best trial is trained on all rows first, and its submission written. Then the best few are
compared on rows that they had not learned from, and the chosen one replaces it. Every training is a
slot of a companion study, so that a finalize that was interrupted goes on where it was. What is
trained, and what is chosen, `decision.py` decides.
"""

import math
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any

from objectives.errors import DivergedError
from objectives.refit import ALL_ROWS
from storage import attrs, ends
from storage.reading import Attempt, newest_by_slot, read_attempts
from storage.registry import StopOrder
from study.errors import StudyError
from study.finalize.companion import Companion, Training, n_units
from study.finalize.decide import Decider, Ending, Stage, UntrainableError
from study.finalize.effort import QUICK, Effort, effort_for
from study.finalize.modelcard import cost_lines, score_lines
from study.finalize.outfolder import sole_writer
from study.finalize.outputs import Outputs, refuse_unpredictable
from study.finalize.submission import kaggle_line
from study.finalize.wanted import Sizes, Wanted
from study.machine.gpus import seeing
from study.machine.pin import allocation_of, own_gpu
from study.report.evidence import Evidence
from study.report.snapshot import epochs_of, info_of, read_snapshot
from study.run.run import run_workers
from study.spec.open import Loaded, OpenStudy, companion_of, load, refuse_companion, study_names
from study.spec.spec import COMPANION
from study.text import counted, duration
from study.view.console import View
from study.view.status import by_value, read_status
from study.worker.told import WorkerOptions


def finalize(
    search: OpenStudy,
    wanted: Wanted,
    options: WorkerOptions,
    view: View,
    *,
    sizes: Sizes | None = None,
    left_s: float | None = None,
) -> int:
    """Write the outputs into `wanted.out`, better ones replacing the first.

    Args:
        options: What the workers are told.
        sizes: Parts of the effort that the budget does not decide.
        left_s: Wall time that is left of the study's own; None is no limit.

    Returns:
        The exit code: 0, or 130 after Ctrl-C, which leaves the newest outputs.

    Raises:
        StudyError: No trial has finished, or this objective has nothing to predict.
    """
    refuse_companion(search)
    top = top_trials(search)
    n_running = read_status(search).running
    if n_running:
        view.say(f"warning: {n_running} trials are still running; the best one may yet change")
    loaded = load(search)
    refuse_unpredictable(search, loaded)
    effort = QUICK
    if not wanted.quick and hasattr(loaded.dataset, "for_fold"):
        n_units = _affordable(search, wanted.budget_s, left_s, options, len(top))
        effort = effort_for(n_units, asdict(sizes or Sizes()))
        if effort.top_k:  # refuses more folds than the smallest class has rows
            loaded.dataset.for_fold(0, effort.folds, 0)
        effort = replace(effort, top_k=min(effort.top_k, len(top)))
    with sole_writer(wanted.out, search.name, view.say, waits=True):
        try:
            return _Finalize(search, loaded, top, wanted, effort, options, view).run()
        except Exception as error:  # whatever was to be read
            names = (search.name, search.name + COMPANION)
            gone = [name for name in names if name not in study_names(search.storage)]
            if isinstance(error, StudyError) or not gone:
                raise
            raise StudyError(f"study '{gone[0]}' was deleted while it was finalized") from error


def read_evidence(search: OpenStudy, loaded: Loaded) -> Evidence | None:
    """Return what a finalize has found so far; None where there was none, or nothing is finished.

    Writes nothing.
    """
    if companion_of(search) is None:
        return None
    companion = Companion(search)
    effort = companion.effort()
    if effort is None or not effort.top_k:
        return None
    return Decider(companion, loaded, top_trials(search), effort).evidence(*companion.look())


def top_trials(search: OpenStudy) -> list[Attempt]:
    """Return the COMPLETE trials, the best first; a pruned one was not trained to its end.

    Raises:
        StudyError: There is none.
    """
    engine, study_id = search.storage.engine, search.study_id
    newest = newest_by_slot(read_attempts(engine, study_id, details=True))
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


def _affordable(
    search: OpenStudy,
    budget_s: float | None,
    left_s: float | None,
    options: WorkerOptions,
    n_complete: int,
) -> float:
    """Return how many trainings of the search fit into the time; without limits `n_complete`."""
    trial_s = read_status(search).trial_s or math.inf
    n_workers = allocation_of(search.spec, options).n_workers(n_complete)
    n_units = float(n_complete) if budget_s is None else budget_s * n_workers / trial_s
    return n_units if left_s is None else min(n_units, left_s * n_workers / trial_s)


class UnpredictableError(StudyError):
    """The networks of an ending give no submission."""


class _Finalize:
    """One finalize on its way."""

    def __init__(
        self,
        search: OpenStudy,
        loaded: Loaded,
        top: list[Attempt],
        wanted: Wanted,
        effort: Effort,
        options: WorkerOptions,
        view: View,
    ) -> None:
        self._search, self._loaded, self._top = search, loaded, top
        self._wanted, self._effort, self._say, self._view = wanted, effort, view.say, view
        self._companion = Companion(search)
        if effort.top_k:
            self._companion.keep_effort(effort)
        self._old_orders = self._orders()
        self._options, self._allocation = options, allocation_of(search.spec, options)
        self._n_workers = self._allocation.n_workers(effort.top_k * effort.folds)
        self._decider = Decider(self._companion, loaded, top, effort)
        self._outputs = Outputs(wanted.out, search, view.say, wanted.competition)

    def run(self) -> int:
        """Train and decide until the end; return the exit code."""
        self._outputs.say_what_is_replaced()
        first = self._decider.first
        stage: Stage | Ending = self._decider.opening(self._n_workers)
        is_planned = is_written = False
        while isinstance(stage, Stage):
            finished, settled = self._companion.look()
            if first.members[0] in settled:
                stage = self._next(finished, settled)
            if isinstance(stage, Ending):
                break
            if not is_planned:
                is_planned = True
                self._say_plan(finished)
            if first.members[0] in settled and not is_written:
                is_written = True
                self._write_first(first, finished)
            code = 0 if self._was_stopped() else self._train(stage)
            if code is not None:
                self._say("stopped; the same command goes on from here")
                return code
        return self._end(stage, finished)

    def _next(self, finished: Mapping[Training, Attempt], settled: set[Training]) -> Stage | Ending:
        """Decide; where nothing could be trained on all rows, say what the first training said."""
        try:
            return self._decider.next(finished, settled)
        except UntrainableError as error:
            engine, study_id = (
                self._companion.opened.storage.engine,
                self._companion.opened.study_id,
            )
            failed = [
                attempt.user_attrs
                for attempt in newest_by_slot(
                    read_attempts(engine, study_id, details=True)
                ).values()
                if attempt.params.get("fold") == ALL_ROWS and attrs.ERROR in attempt.user_attrs
            ]
            if not failed:
                raise
            # The same params and seed would come to the same NaN: trying again is no advice.
            is_final = all(ends.end_of(one.get(attrs.REASON)).is_final for one in failed)
            name = shlex.quote(self._companion.opened.name)
            why = (str(failed[0][attrs.ERROR].get("message")).splitlines() or [""])[0]
            hint = f"study trials --study {name}   (shows each of them)" if is_final else error.hint
            raise StudyError(f"{error}: {why}", hint) from error

    def _train(self, stage: Stage) -> int | None:
        """Train a stage; return the exit code where it was stopped."""
        self._companion.ensure(stage.trainings)
        self._say(f"training {stage.what}")
        ended = run_workers(self._companion.opened, self._options, self._view)
        return ended.code if ended.was_asked else None

    def _orders(self) -> list[StopOrder | None]:
        studies = (self._search, self._companion.opened)
        return [opened.registry().look().stop for opened in studies]

    def _was_stopped(self) -> bool:
        """Whether somebody asked it to stop since it began: also while nothing was trained."""
        return self._orders() != self._old_orders

    def _say_plan(self, finished: Iterable[Training]) -> None:
        effort, spec = self._effort, self._search.spec
        done = sum(n_units(training, spec.epochs) for training in finished)
        trial_s = read_status(self._search).trial_s
        left = max(0.0, effort.n_units - done) / self._n_workers
        left_s = None if trial_s is None else trial_s * left
        self._say(f"{effort.plan()}; about {duration(left_s)} to go")
        if effort.top_k:
            self._say("Ctrl-C at any time: the newest submission stays, the same command goes on")

    def _write_first(self, first: Ending, finished: Mapping[Training, Attempt]) -> None:
        if first.members[0] not in finished:
            return
        try:
            self._write(first, finished)
        except UnpredictableError as error:  # another network may do better
            self._say(f"warning: {error}")

    def _end(self, ending: Ending, finished: Mapping[Training, Attempt]) -> int:
        if ending.n_lost:
            self._say(f"{counted(ending.n_lost, 'network')} failed and left out of the average")
        if self._write(ending, finished):
            self._outputs.write_report(ending.evidence, self._loaded.dataset)
        elif not self._outputs.has_report():
            found = read_evidence(self._search, self._loaded)
            self._outputs.write_report(found, self._loaded.dataset)
        manifest = self._outputs.manifest()
        if not manifest:
            raise StudyError(
                f"another program has written into {self._wanted.out} meanwhile",
                "the same command, once nothing else writes there",
            )
        for line in score_lines(float(self._top[0].value or 0.0), ending.evidence):
            self._say(line)
        if ending.evidence is not None:
            self._say(ending.evidence.why)
        for line in cost_lines(manifest):
            self._say(line)
        self._say(f"data, versions and the commands that do it again: {self._outputs.card}")
        self._say(kaggle_line(self._outputs.submission, self._wanted.competition))
        return 0

    def _facts(self, ending: Ending) -> dict[str, Any]:
        """Return what the outputs tell of the trials they come from."""
        chosen = next(a for a in self._top if a.slot == ending.members[0].candidate)
        best = self._top[0]
        return {
            "study": self._search.name,
            "trial": chosen.trial,
            "slot": chosen.slot,
            "value": chosen.value,
            "params": chosen.params,
            "best_trial": best.trial,
            "best_value": best.value,
            "n_trials": len(self._top),
            "n_pruned": read_status(self._search).pruned,
            "epochs": ending.members[0].epochs,
            "stopped_after": ending.members[0].stop or None,
            "shifted": ending.shifted,
            "effort": self._effort.to_json() if ending.evidence is not None else None,
        }

    def _write(self, ending: Ending, finished: Mapping[Training, Attempt]) -> bool:
        """Write the outputs, unless they are there; return whether it did.

        Raises:
            UnpredictableError: A network is not finite, or says NaN of a test image.
        """
        members = [finished[training] for training in ending.members]
        identity = {
            **self._facts(ending),
            "members": [attempt.params for attempt in members],
            "training_seeds": [self._companion.seed_of(attempt) for attempt in members],
            **self._outputs.origin(),
        }
        submission = self._outputs.submission
        if ending.evidence is None and self._outputs.are_better(identity):
            self._say(f"{submission} is a better one already")
            return False
        if self._outputs.are_of(identity):
            self._say(f"{submission} is that of trial {identity['trial']} already")
            return False
        with seeing(own_gpu(self._allocation, self._options)):
            refit = load(self._companion.opened)
            work = self._companion.opened.work_dir(self._options.work_dir)
            try:
                fitted = [self._companion.collect(a, refit, work) for a in members]
                self._outputs.write(identity, ending, fitted, self._loaded, self._cost(finished))
            except DivergedError as error:
                raise UnpredictableError(
                    f"no submission from trial {identity['trial']}: {error}",
                    "mend the model for such images, and search again under another --study name",
                ) from error
        self._say(f"{submission} ready: {len(self._loaded.dataset.test_ids)} rows")
        return True

    def _cost(self, finished: Mapping[Training, Attempt]) -> dict[str, Any]:
        """Return what search and finalize have trained so far."""
        searched = [a for a in read_snapshot(self._search).newest.values() if a.params]
        attempts = [*searched, *finished.values()]

        def total(name: str) -> float | None:
            known = [number for a in attempts if (number := info_of(a, name)) is not None]
            return sum(known) if known else None

        train_s = total("train_s")
        return {
            "n_trials": len(self._top),
            "n_configurations": len(searched),
            "n_refits": len(finished),
            "n_epochs": sum(map(epochs_of, searched))
            + sum(epochs_of(a) or t.stop or t.epochs for t, a in finished.items()),
            "train_s": None if train_s is None else round(train_s, 1),
            "images": total("images"),
            "flop": total("flop"),
        }
