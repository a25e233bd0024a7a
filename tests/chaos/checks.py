"""What must hold of a study after the chaos, each promise a function that names every breach.

Plain Optuna's view of the database, the ledger outside of it, the processes and the files are held
against one another and against what the undisturbed study gives.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.databases import Row
from tests.chaos.faults import Injected
from tests.chaos.objectives import Truth, rung_sizes

OPEN = ("WAITING", "RUNNING")
REOPENED = ("lost", "crashed", "released")
"""Reasons of a FAIL that is followed by another attempt."""

BEFORE_S, AFTER_S = 3.0, 10.0
"""A fault explains what its processes did so long before it and after its end."""

KILLED = (-9, -15)
KNOWN_ENDS = ("without finishing a trial", "the database")
"""Of the one line that a supervisor may end with: deaths in a row, a database that is away."""


@dataclass(frozen=True)
class Plan:
    """A study under chaos: how large, and which faults in which order.

    Attributes:
        n_draws: Its slots, but for those that are promoted.
        has_rungs: Whether the best slots are trained again on higher rungs.
    """

    database: str
    objective: str
    n_draws: int
    kinds: list[str]
    seed: str
    has_rungs: bool = False

    @property
    def n_slots(self) -> int:
        """All slots that there must be in the end."""
        return sum(rung_sizes(self.n_draws)) if self.has_rungs else self.n_draws

    @property
    def per_slot(self) -> float:
        """How many faults a slot there are on average."""
        return len(self.kinds) / self.n_slots


@dataclass(frozen=True)
class Ended:
    """A supervisor that has ended: its id, exit code, and the end of what it said."""

    pid: int
    code: int
    said: str


@dataclass
class Seen:
    """All that the checks look at.

    Attributes:
        ledger: None where the objective writes none.
        left: Command lines of processes that were still there.
        kept: Paths below the folder of checkpoints, relative to it.
        submission: What came out, beside what must; None where there is nothing to predict.
    """

    plan: Plan
    truth: dict[int, Truth]
    rows: list[Row]
    injected: list[Injected] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)
    ledger: list[dict[str, Any]] | None = None
    left: list[str] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)
    wanted_submission: bytes | None = None
    submission: bytes | None = None
    wall_s: float = 0.0

    @property
    def complete(self) -> list[Row]:
        """The COMPLETE trials."""
        return [row for row in self.rows if row.state == "COMPLETE"]


def slots_are_complete_once(seen: Seen) -> list[str]:
    """N slots, each with one COMPLETE trial."""
    counts = Counter(row.slot for row in seen.complete)
    wanted = range(seen.plan.n_slots)
    found = [f"slot {slot}: {counts[slot]} COMPLETE" for slot in wanted if counts[slot] != 1]
    return found + [f"slot {slot} was not planned" for slot in counts if slot not in wanted]


def nothing_is_open(seen: Seen) -> list[str]:
    """No trial is RUNNING or WAITING."""
    return [f"trial {row.trial} is {row.state}" for row in seen.rows if row.state in OPEN]


def failures_were_reopened(seen: Seen) -> list[str]:
    """Before the COMPLETE trial of a slot there are only lost, crashed and released ones."""
    newest = {row.slot: row.trial for row in seen.rows}
    found = []
    for row in seen.rows:
        reason = row.attrs.get("reason")
        if row.state == "FAIL" and reason not in REOPENED:
            found.append(f"trial {row.trial} (slot {row.slot}) failed: {reason}")
        elif row.state == "FAIL" and newest[row.slot] == row.trial:
            found.append(f"slot {row.slot} was given up: trial {row.trial} is {reason}")
        elif row.state == "COMPLETE" and newest[row.slot] != row.trial:
            found.append(f"slot {row.slot} went on after its COMPLETE trial {row.trial}")
    return found


def promotions_are_undisturbed(seen: Seen) -> list[str]:
    """Every attempt at a slot is on the rung, and from the slot, of the undisturbed study."""
    found = []
    for row in seen.rows:
        truth = seen.truth.get(row.slot)
        if truth is not None and (row.rung, row.from_slot) != (truth.rung, truth.from_slot):
            got, wanted = (f"rung {one.rung} from {one.from_slot}" for one in (row, truth))
            found.append(f"slot {row.slot}, trial {row.trial}: {got}, not {wanted}")
    return found


def results_are_undisturbed(seen: Seen) -> list[str]:
    """Params and value of a slot are those of the undisturbed study, bit for bit."""
    found = []
    for row, truth in _beside_truth(seen):
        for what, got, wanted in (
            ("params", row.params, truth.params),
            ("value", row.value, truth.value),
        ):
            if got != wanted:
                found.append(f"slot {row.slot}, trial {row.trial}: {what} {got}, not {wanted}")
    return found


def reports_are_undisturbed(seen: Seen) -> list[str]:
    """So is every report, and none is missing."""
    found = []
    for row, truth in _beside_truth(seen):
        for step in sorted(row.curve.keys() | truth.curve.keys()):
            got, wanted = row.curve.get(step), truth.curve.get(step)
            if got != wanted:
                found.append(
                    f"slot {row.slot}, trial {row.trial}, step {step}: {got}, not {wanted}"
                )
    return found


def _beside_truth(seen: Seen) -> list[tuple[Row, Truth]]:
    # A slot that was not planned is found by `slots_are_complete_once`.
    return [(row, seen.truth[row.slot]) for row in seen.complete if row.slot in seen.truth]


def ledger_has_each_attempt_once(seen: Seen) -> list[str]:
    """An attempt starts at most once, ends at most once, and is a trial of the database."""
    known = {(row.slot, row.attempt, row.trial) for row in seen.rows}
    found = []
    for event in ("start", "end"):
        counts = Counter(_key(line) for line in seen.ledger or [] if line["event"] == event)
        found += [f"{key}: {n} times {event}" for key, n in counts.items() if n > 1]
        found += [f"{key} is no trial" for key in counts if key not in known]
    return found


def ledger_agrees_with_database(seen: Seen) -> list[str]:
    """A fit ran to its end for each COMPLETE trial, in the process that claimed it, and no other.

    But for processes that a fault caught between the end of `fit` and the commit: there the
    database decides, and the slot is run again.
    """
    if seen.ledger is None:
        return []
    ends = {_key(line): line["pid"] for line in seen.ledger if line.get("outcome") == "complete"}
    found = []
    for row in seen.complete:
        pid = ends.get((row.slot, row.attempt, row.trial))
        if pid is None or pid != row.pid:
            found.append(f"trial {row.trial} of {row.pid} is COMPLETE; its fit ended in {pid}")
    return found + [
        f"{_key(line)}: fit ended in {line['pid']}, which no fault hit; not COMPLETE"
        for line in cut_off(seen)
        if not explains(seen.injected, line["pid"], line["time"])
    ]


def cut_off(seen: Seen) -> list[dict[str, Any]]:
    """Return the ledger's ends of fits that the database knows nothing of."""
    complete = {(row.slot, row.attempt, row.trial) for row in seen.complete}
    ends = [line for line in seen.ledger or [] if line.get("outcome") == "complete"]
    return [line for line in ends if _key(line) not in complete]


def nobody_is_left(seen: Seen) -> list[str]:
    """No supervisor and no worker outlives the study."""
    return [f"still there: {line}" for line in seen.left]


def supervisors_ended_as_known(seen: Seen) -> list[str]:
    """No traceback; killed by us alone; else one known line."""
    touched = {pid for fault in seen.injected for pid in fault.pids}
    found = []
    for end in seen.ended:
        last = (end.said.strip().splitlines() or [""])[-1]
        by_us = end.code in KILLED and end.pid in touched
        known = any(part in end.said for part in KNOWN_ENDS)
        if "Traceback" in end.said or not (end.code == 0 or by_us or (end.code == 1 and known)):
            found.append(f"supervisor {end.pid} ended with {end.code}: {last}")
    return found


def checkpoints_are_tidy(seen: Seen) -> list[str]:
    """Nothing but the best slot's checkpoints is kept, and no half-written file."""
    ranked = sorted(seen.complete, key=lambda row: (-row.rung, -(row.value or 0.0), row.slot))
    best = next(iter(ranked), None)
    allowed = "" if best is None else str(best.slot)
    found = [f"kept: {path}" for path in seen.kept if path.parts[0] != allowed]
    return found + [f"half written: {p}" for p in seen.kept if p.name.startswith((".", "tmp"))]


def submission_is_undisturbed(seen: Seen) -> list[str]:
    """The submission has the same bytes as that of the undisturbed study."""
    return [] if seen.submission == seen.wanted_submission else ["submission.csv differs"]


def every_fault_was_injected(seen: Seen) -> list[str]:
    """The kinds came in the order that the seed decided; a study may be done before the last."""
    kinds = [fault.kind for fault in seen.injected]
    return [] if kinds == seen.plan.kinds[: len(kinds)] else ["the faults are not the seed's"]


CHECKS: dict[str, Callable[[Seen], list[str]]] = {
    "each slot COMPLETE once": slots_are_complete_once,
    "nothing open": nothing_is_open,
    "failures reopened": failures_were_reopened,
    "promotions": promotions_are_undisturbed,
    "params and values": results_are_undisturbed,
    "reports": reports_are_undisturbed,
    "each attempt once in the ledger": ledger_has_each_attempt_once,
    "ledger and database agree": ledger_agrees_with_database,
    "no process left": nobody_is_left,
    "supervisors' ends": supervisors_ended_as_known,
    "checkpoints tidy": checkpoints_are_tidy,
    "submission": submission_is_undisturbed,
    "faults as planned": every_fault_was_injected,
}


def breaches(seen: Seen) -> list[str]:
    """Return what does not hold, each line with its check."""
    return [f"{name}: {line}" for name, check in CHECKS.items() for line in check(seen)]


def explains(injected: list[Injected], pid: int, when: float) -> bool:
    """Whether a fault touched this process about that time."""
    near = (f for f in injected if f.at - BEFORE_S <= when <= f.until + AFTER_S)
    return any(pid in fault.pids for fault in near)


def _key(line: dict[str, Any]) -> tuple[int, int, int]:
    return line["slot"], line["attempt"], line["trial"]
