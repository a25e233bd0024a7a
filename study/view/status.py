"""Status of a study in numbers: slot counts, workers, best value, estimated time left.

A slot counts where its newest attempt of ours stands. How the numbers look on a terminal is decided
in `watch.py`; their JSON form, which scripts rely on, is here.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from optuna.trial import TrialState

from storage import attrs, ends
from storage.database.transaction import patiently
from storage.reading import Attempt, newest_by_slot, read_attempts
from storage.registry import Registered, Seen
from study.errors import StudyError
from study.machine.process import host_of, pid_of
from study.spec.open import OpenStudy
from study.text import iso_utc, jsonable
from study.view.cost import (
    Cost,
    attempt_cost,
    eta_s,
    expected_trial_s,
    images_per_s,
    mean_cost,
    mean_duration_s,
)

LOOK_WAIT_S = 60.0


@dataclass(frozen=True)
class Best:
    """The best COMPLETE slot."""

    slot: int
    trial: int
    value: float
    params: dict[str, Any]


@dataclass(frozen=True)
class WorkerStatus:
    """A worker; `epoch` counts those that its trial has finished, `seen_s` is a heartbeat's age.

    `images_per_s` is that of the newest epoch; None where it is not known.
    """

    id: str
    host: str
    pid: int | None
    device: str | None
    trial: int | None
    slot: int | None
    epoch: int | None
    seen_s: float | None
    state: str
    images_per_s: float | None = None


@dataclass(frozen=True)
class StudyStatus:
    """One look at a study; `waiting + running + complete + pruned + failed == n_slots`.

    Attributes:
        failed: Slots that are final without a value.
        attempts: Started attempts, the released ones left out.
        lost: Trials with that reason.
        done: Whether every slot is final.
        eta_s: Expected time to the last slot's end, in s; None while nothing is known.
        reasons: Reason to the number of slots that ended so.
        images_per_s: Of the trials in progress together, from those that finished; None if unknown.
        trial_s: Mean duration of the finished trials, in s; until there are, what was expected.
        seen: What the study tells its workers: the newest stop order, the time used.
        trial_cost: Mean cost of the trials that told theirs.
        ends: Reason, or `complete`, `pruned` or `running`, to the number of attempts.
    """

    study: str
    n_slots: int
    waiting: int
    running: int
    complete: int
    pruned: int
    failed: int
    attempts: int
    lost: int
    workers: list[WorkerStatus]
    best: Best | None
    done: bool
    eta_s: float | None
    reasons: dict[str, int]
    images_per_s: float | None
    trial_s: float | None
    seen: Seen
    trial_cost: Cost | None = None
    ends: dict[str, int] = field(default_factory=dict)

    @property
    def n_final(self) -> int:
        """Slots that are complete, pruned or failed."""
        return self.complete + self.pruned + self.failed

    def to_json(self) -> dict[str, Any]:
        """Return the documented fields, NaN and infinities as text."""
        found = asdict(self)
        for name in ("reasons", "ends", "images_per_s", "trial_s", "trial_cost", "seen"):
            del found[name]
        for worker in found["workers"]:
            del worker["images_per_s"]
        return jsonable(found)  # type: ignore[no-any-return]


def read_status(opened: OpenStudy, *, wait_s: float = LOOK_WAIT_S) -> StudyStatus:
    """Look at a study: a few statements, whatever its size; waits for a database that is away.

    Raises:
        StudyError: The study was deleted, be it while this was reading.
    """
    return patiently(lambda: _read_status(opened), wait_s=wait_s)


def _read_status(opened: OpenStudy) -> StudyStatus:
    try:
        return _read_numbers(opened)
    except KeyError:  # how Optuna says that a study is not there
        _look(opened)
        raise


def _look(opened: OpenStudy) -> Seen:
    seen = opened.registry(wait_s=0.0).look()
    if seen.token != opened.token:
        raise StudyError(f"study '{opened.name}' was deleted")
    return seen


def _read_numbers(opened: OpenStudy) -> StudyStatus:
    engine, study_id = opened.storage.engine, opened.study_id
    workers = opened.registry(wait_s=0.0).workers()
    attempts = read_attempts(engine, study_id, wait_s=0.0)
    newest = newest_by_slot(attempts)
    by_state = dict.fromkeys(TrialState, 0)
    for attempt in newest.values():
        by_state[standing(attempt)] += 1
    ours = [a for a in attempts if a.slot is not None]
    running = [a for a in newest.values() if a.state == TrialState.RUNNING]
    # The trainings of a finalize have different rows: their values are not to be compared.
    is_search = opened.spec.refits is None
    best = find_best(newest.values(), opened.spec.direction) if is_search else None
    wanted = [a.trial for a in running] + ([best.trial] if best else [])
    rows = read_attempts(engine, study_id, details=True, trials=wanted, wait_s=0.0)
    detailed = {a.trial: a for a in rows}
    waiting = by_state[TrialState.WAITING]
    trial_s = mean_duration_s(attempts) or expected_trial_s(opened)
    cost = mean_cost(map(attempt_cost, attempts))
    n_slots = len(newest)
    return StudyStatus(
        study=opened.name,
        n_slots=n_slots,
        waiting=waiting,
        running=len(running),
        complete=by_state[TrialState.COMPLETE],
        pruned=by_state[TrialState.PRUNED],
        failed=by_state[TrialState.FAIL],
        attempts=sum(_is_attempt(a) for a in ours),
        lost=sum(reason_of(a) == ends.LOST for a in ours),
        workers=list_workers(
            workers, [detailed.get(a.trial, a) for a in running], opened.spec.grace_s
        ),
        best=_described(best, detailed),
        done=n_slots > 0 and waiting + len(running) == 0,
        eta_s=eta_s(trial_s, waiting, len(running), len(running)),
        reasons=_reasons(newest.values()),
        ends=Counter(
            reason_of(a) or a.state.name.lower() for a in ours if a.state != TrialState.WAITING
        ),
        images_per_s=images_per_s(cost, len(running)),
        trial_s=trial_s,
        seen=_look(opened),  # last: a study that is deleted meanwhile reads as an empty one
        trial_cost=cost,
    )


def by_value(newest: Iterable[Attempt], direction: str) -> list[Attempt]:
    """Return the COMPLETE attempts, the best first; of equal ones that of the lowest slot."""
    complete = [
        a for a in newest if a.state == TrialState.COMPLETE and a.is_final and a.value is not None
    ]
    sign = -1.0 if direction == "maximize" else 1.0
    return sorted(complete, key=lambda a: (sign * (a.value or 0.0), a.slot or 0))


def find_best(newest: Iterable[Attempt], direction: str) -> Attempt | None:
    """Return the best COMPLETE attempt, as `by_value` orders them."""
    return next(iter(by_value(newest, direction)), None)


def trials_json(opened: OpenStudy) -> list[dict[str, Any]]:
    """Return every trial by number in the documented form, WAITING included."""
    attempts = read_attempts(opened.storage.engine, opened.study_id, details=True)
    return [
        jsonable(
            {
                "trial": a.trial,
                "slot": a.slot,
                "attempt": a.user_attrs.get(attrs.ATTEMPT),
                "state": a.state.name,
                "reason": a.user_attrs.get(attrs.REASON),
                "value": a.value,
                "params": a.params,
                "seed": a.user_attrs.get(attrs.SEED),
                "worker": a.user_attrs.get(attrs.WORKER),
                "started_at": iso_utc(a.started_at),
                "finished_at": iso_utc(a.finished_at),
                "intermediate": {str(step): value for step, value in a.reports.items()},
            }
        )
        for a in attempts
    ]


def costs_of(opened: OpenStudy) -> dict[int, Cost]:
    """Return trial number to what it has cost, for trials that told."""
    attempts = read_attempts(opened.storage.engine, opened.study_id)
    return {a.trial: cost for a in attempts if (cost := attempt_cost(a)) is not None}


def why_failed(opened: OpenStudy) -> dict[int, str]:
    """Return trial number to type and first line of the error, for trials with an error."""
    attempts = read_attempts(opened.storage.engine, opened.study_id, details=True)
    return {a.trial: line for a in attempts if (line := error_line(a))}


def error_line(attempt: Attempt) -> str:
    """Return type and first line of an attempt's error; "" where it has none."""
    error = attempt.user_attrs.get(attrs.ERROR)
    if error is None:
        return ""
    kind, message = str(error.get("type") or ""), str(error.get("message") or "")
    first = (message.splitlines() or [""])[0]
    return f"{kind}: {first}" if kind else first


def standing(attempt: Attempt) -> TrialState:
    """Return where a slot stands by its newest row; one that a stranger ended will run again."""
    ended_by_stranger = attempt.state.is_finished() and not attempt.is_final
    return TrialState.WAITING if ended_by_stranger else attempt.state


def reason_of(attempt: Attempt) -> str | None:
    """Return why an attempt ended as FAIL; None where it did not, or nobody wrote it."""
    found = attempt.user_attrs.get(attrs.REASON)
    return None if found is None else str(found)


def _is_attempt(attempt: Attempt) -> bool:
    return attempt.state != TrialState.WAITING and ends.end_of(reason_of(attempt)).is_failure


def _reasons(newest: Iterable[Attempt]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for attempt in newest:
        if attempt.state == TrialState.FAIL and attempt.is_final:
            reason = reason_of(attempt) or "unknown"
            counts[reason] = counts.get(reason, 0) + 1
    return counts


def list_workers(
    registered: Iterable[Registered], running: Iterable[Attempt], grace_s: float
) -> list[WorkerStatus]:
    """Return a line a worker: those that registered, and whoever else holds a trial."""
    held = {str(a.user_attrs.get(attrs.WORKER, "unknown")): a for a in running}
    known = {r.id: r for r in registered}
    names = sorted(known.keys() | held.keys())
    return [_worker(name, known.get(name), held.get(name), grace_s) for name in names]


def _worker(
    name: str, known: Registered | None, held: Attempt | None, grace_s: float
) -> WorkerStatus:
    facts = {} if known is None else known.facts
    ages = [known.seen_s] if known is not None else []
    ages += [held.seen_s] if held is not None and held.seen_s is not None else []
    state = "training" if held is not None else str(facts.get("state", "unknown"))
    return WorkerStatus(
        id=name,
        host=host_of(name),
        pid=pid_of(name),
        device=str(found) if (found := facts.get("device")) is not None else None,
        trial=None if held is None else held.trial,
        slot=None if held is None else held.slot,
        epoch=None if held is None else len(held.reports),
        seen_s=round(min(ages), 3) if ages else None,
        state="gone" if ages and min(ages) > grace_s else state,
        images_per_s=attrs.number(facts.get("images_per_s")),
    )


def _described(best: Attempt | None, detailed: dict[int, Attempt]) -> Best | None:
    if best is None or best.slot is None or best.value is None:
        return None
    return Best(best.slot, best.trial, best.value, detailed[best.trial].params)
