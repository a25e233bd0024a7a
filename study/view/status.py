"""Read the status of a study: slot counts, workers, best trial, estimated time left.

A slot has the state of its newest attempt. Scripts rely on the JSON forms, which are decided here.
`watch.py` decides how a terminal shows the status.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from optuna.trial import TrialState

from storage import attrs, ends
from storage.database.transaction import patiently
from storage.reading import Attempt, newest_by_slot, read_attempts
from storage.registry import Registered, Seen
from study.errors import StudyError
from study.machine.identity import host_of, pid_of
from study.spec.open import OpenStudy
from study.spec.spec import StudySpec
from study.text import iso_utc, jsonable
from study.view.cost import (
    Cost,
    attempt_cost,
    eta_s,
    expected_trial_s,
    is_done,
    mean_cost,
    mean_duration_s,
    to_come,
    units_left,
)

LOOK_WAIT_S = 60.0
GONE = "gone"


@dataclass(frozen=True)
class Best:
    """The best COMPLETE slot."""

    slot: int
    trial: int
    value: float
    params: dict[str, Any]


@dataclass(frozen=True)
class WorkerStatus:
    """A worker.

    Attributes:
        epoch: Number of epochs that its trial has finished.
        seen_s: Age of its last heartbeat, in s.
        images_per_s: Speed of the newest epoch.
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
class RungStatus:
    """A rung; `n_slots` has those that are not planned yet."""

    rung: int
    epochs: int
    n_slots: int
    n_final: int


@dataclass(frozen=True)
class StudyStatus:
    """The state of a study; `waiting + running + complete + pruned + failed == n_slots`.

    Attributes:
        failed: Slots that are final without a value.
        attempts: Started attempts, without the released ones.
        lost: Trials that ended with this reason.
        done: Whether every slot is final, and none is promoted any more.
        eta_s: Expected time until the last slot ends, in s.
        reasons: Number of failed slots by reason.
        images_per_s: Total rate of the running trials, estimated from finished trials.
        trial_s: Mean duration of finished trials, in s; before the first, the expected duration.
            With rungs, that of a trial on the last one.
        seen: The newest stop order, the time used, and other orders to the workers.
        trial_cost: Mean cost of trials with a known cost.
        ends: Number of attempts by reason, or by `complete`, `pruned` or `running`.
        work: The work left, in trials of `trial_s`.
        rungs: Of each rung: its epochs, its slots (also those that are not planned yet), and its
            final slots; empty for a study without rungs.
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
    work: float = 0.0
    rungs: list[RungStatus] = field(default_factory=list)

    @property
    def n_final(self) -> int:
        """Number of slots that are complete, pruned or failed."""
        return self.complete + self.pruned + self.failed

    @property
    def n_left(self) -> int:
        """Number of slots that are not final, also those that are not planned yet."""
        return sum(r.n_slots - r.n_final for r in self.rungs) or self.n_slots - self.n_final

    def to_json(self) -> dict[str, Any]:
        """Return the documented fields; NaN and infinities are text."""
        found = asdict(self)
        for name in ("reasons", "ends", "images_per_s", "trial_s", "trial_cost", "seen", "work"):
            del found[name]
        if not self.rungs:
            del found["rungs"]
        for worker in found["workers"]:
            del worker["images_per_s"]
        return jsonable(found)  # type: ignore[no-any-return]


def read_status(opened: OpenStudy, *, wait_s: float = LOOK_WAIT_S) -> StudyStatus:
    """Read the status in a few SQL statements; wait while the database is unreachable.

    Raises:
        StudyError: The study was deleted before or during the call.
    """

    def read() -> StudyStatus:
        try:
            return _read_numbers(opened)
        except KeyError:  # Optuna's error for a missing study
            _look(opened)
            raise

    return patiently(read, wait_s=wait_s)


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
    by_state = Counter(map(standing, newest.values()))
    ours = [a for a in attempts if a.slot is not None]
    running = [a for a in newest.values() if a.state == TrialState.RUNNING]
    # Trainings of a finalize have different rows, so their values cannot be compared.
    is_search = opened.spec.refits is None
    best = find_best(newest.values(), opened.spec.direction) if is_search else None
    wanted = [a.trial for a in running] + ([best.trial] if best else [])
    rows = read_attempts(engine, study_id, details=True, trials=wanted, wait_s=0.0)
    detailed = {a.trial: a for a in rows}
    waiting = by_state[TrialState.WAITING]
    trial_s = mean_duration_s(attempts, opened.spec) or expected_trial_s(opened)
    work = units_left(newest.values(), opened.spec)
    cost = mean_cost(map(attempt_cost, attempts))
    rate = None if cost is None else cost.images_per_s
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
        best=_described(detailed[best.trial]) if best else None,
        done=is_done(newest.values(), opened.spec),
        eta_s=eta_s(trial_s, work, len(running)),
        reasons=Counter(
            reason_of(a) or "unknown"
            for a in newest.values()
            if a.state == TrialState.FAIL and a.is_final
        ),
        ends=Counter(
            reason_of(a) or a.state.name.lower() for a in ours if a.state != TrialState.WAITING
        ),
        images_per_s=rate * len(running) if rate is not None and running else None,
        trial_s=trial_s,
        seen=_look(opened),  # last, because a study that is deleted meanwhile reads as empty
        trial_cost=cost,
        work=work,
        rungs=_rungs(newest.values(), opened.spec),
    )


def _rungs(newest: Collection[Attempt], spec: StudySpec) -> list[RungStatus]:
    have = Counter(a.rung for a in newest)
    final = Counter(a.rung for a in newest if a.is_final)
    have.update(dict(to_come(newest, spec)))
    return [RungStatus(r, n, have[r], final[r]) for r, n in enumerate(spec.rungs)]


def by_value(newest: Iterable[Attempt], direction: str) -> list[Attempt]:
    """Return the COMPLETE attempts, best first; ties are broken by slot.

    An attempt on a higher rung is better than any on a lower one, and stands for that from which
    it was promoted.
    """
    complete = [
        a for a in newest if a.state == TrialState.COMPLETE and a.is_final and a.value is not None
    ]
    promoted = {a.from_slot for a in complete}
    sign = -1.0 if direction == "maximize" else 1.0
    highest = [a for a in complete if a.slot not in promoted]
    return sorted(highest, key=lambda a: (-a.rung, sign * (a.value or 0.0), a.slot or 0))


def find_best(newest: Iterable[Attempt], direction: str) -> Attempt | None:
    """Return the first attempt of `by_value`, or None."""
    return next(iter(by_value(newest, direction)), None)


def read_trials(opened: OpenStudy) -> list[Attempt]:
    """Return every trial with details, ordered by number, WAITING included."""
    return read_attempts(opened.storage.engine, opened.study_id, details=True)


def trials_json(attempts: Iterable[Attempt], spec: StudySpec) -> list[dict[str, Any]]:
    """Return trials of `read_trials` in the documented form."""
    return [
        jsonable(
            {
                "trial": a.trial,
                "slot": a.slot,
                **_rung_of(a, spec),
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


def _rung_of(attempt: Attempt, spec: StudySpec) -> dict[str, Any]:
    if not spec.rungs:
        return {}
    is_ours, epochs = attempt.slot is not None, spec.epochs_on(attempt.rung)
    return {
        "rung": attempt.rung if is_ours else None,
        "epochs": epochs if is_ours else None,
        "from_slot": attempt.from_slot,
    }


def costs_of(attempts: Iterable[Attempt]) -> dict[int, Cost]:
    """Return the known costs by trial number."""
    return {a.trial: cost for a in attempts if (cost := attempt_cost(a)) is not None}


def why_failed(attempts: Iterable[Attempt]) -> dict[int, str]:
    """Return the error lines of failed trials by trial number."""
    return {a.trial: line for a in attempts if (line := error_line(a))}


def error_line(attempt: Attempt) -> str:
    """Return the type and first line of an attempt's error, or an empty text."""
    error = attempt.user_attrs.get(attrs.ERROR)
    if error is None:
        return ""
    kind, message = str(error.get("type") or ""), str(error.get("message") or "")
    first = (message.splitlines() or [""])[0]
    return f"{kind}: {first}" if kind else first


def standing(attempt: Attempt) -> TrialState:
    """Return a slot's state from its newest row; WAITING if a foreign worker ended the row."""
    ended_by_stranger = attempt.state.is_finished() and not attempt.is_final
    return TrialState.WAITING if ended_by_stranger else attempt.state


def reason_of(attempt: Attempt) -> str | None:
    """Return the stored reason why an attempt ended as FAIL, or None."""
    found = attempt.user_attrs.get(attrs.REASON)
    return None if found is None else str(found)


def _is_attempt(attempt: Attempt) -> bool:
    return attempt.state != TrialState.WAITING and ends.end_of(reason_of(attempt)).is_failure


def list_workers(
    registered: Iterable[Registered], running: Iterable[Attempt], grace_s: float
) -> list[WorkerStatus]:
    """Return the registered workers and any other worker that holds a trial, by name."""
    held = {str(a.user_attrs.get(attrs.WORKER, "unknown")): a for a in running}
    known = {r.id: r for r in registered}
    names = sorted(known.keys() | held.keys())
    return [_worker(name, known.get(name), held.get(name), grace_s) for name in names]


def _worker(
    name: str, known: Registered | None, held: Attempt | None, grace_s: float
) -> WorkerStatus:
    facts = {} if known is None else known.facts
    ages = [one.seen_s for one in (known, held) if one is not None and one.seen_s is not None]
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
        state=GONE if ages and min(ages) > grace_s else state,
        images_per_s=attrs.number(facts.get("images_per_s")),
    )


def _described(best: Attempt) -> Best | None:
    if best.slot is None or best.value is None:
        return None
    return Best(best.slot, best.trial, best.value, best.params)
