"""The faults of the chaos: what each does to a study that is going on.

Which kinds come in which order is a function of the seed. Which process a fault hits, and when,
depends on what is running at that moment.
"""

import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from tests.chaos.processes import Process

if TYPE_CHECKING:
    from tests.chaos.study import StudyUnderChaos

FREEZE_S = (5.0, 8.0)  # longer than the grace period, and until somebody looks
PAUSE_S = (1.0, 2.0)
STOP_LIMIT_S = 20.0
MOST_STOPS = 4
CRASH = "crash database"
IDLE_SHARE = 0.05
MOST_LOSSES = 1
"""A slot that was lost so often in a row is left alone until it has reported something new: the
third loss in a row gives it up, and an outage of the database may be one."""


@dataclass(frozen=True)
class Injected:
    """A fault that was injected.

    Attributes:
        at: When, as `time.time()`.
        until: When it was over.
        pids: The processes that it touched, or could have.
    """

    kind: str
    at: float
    until: float
    pids: frozenset[int]


Fault = Callable[["StudyUnderChaos", Random], Injected | None]


def draw_kinds(seed: str, n_faults: int, without: Iterable[str] = ()) -> list[str]:
    """Return the kinds of a study's faults in order, as cards from shuffled packs of all kinds."""
    rng = Random(seed)
    pack = [kind for kind, n in PACK.items() if kind not in without for _ in range(n)]
    drawn: list[str] = []
    while len(drawn) < n_faults:
        drawn += rng.sample(pack, len(pack))
    return drawn[:n_faults]


def kill_worker(chaos: "StudyUnderChaos", rng: Random) -> Injected | None:
    """SIGKILL: no handler runs, a transaction stays half done."""
    return _hit_worker(chaos, rng, "kill worker", signal.SIGKILL)


def term_worker(chaos: "StudyUnderChaos", rng: Random) -> Injected | None:
    """SIGTERM: the worker gives its slot back and leaves."""
    return _hit_worker(chaos, rng, "term worker", signal.SIGTERM)


def freeze_worker(chaos: "StudyUnderChaos", rng: Random) -> Injected | None:
    """SIGSTOP until its trial is somebody else's, then SIGCONT: it believes it still has it."""
    seconds = rng.uniform(*FREEZE_S)
    found = _hit_worker(chaos, rng, "freeze worker", signal.SIGSTOP)
    if found is None:
        return None
    chaos.thaw_later(found.pids, seconds)
    return Injected(found.kind, found.at, found.at + seconds, found.pids)


def kill_supervisor(chaos: "StudyUnderChaos", rng: Random) -> Injected | None:
    """SIGKILL: its workers have to notice, and leave."""
    return _hit_supervisor(chaos, rng, "kill supervisor", signal.SIGKILL)


def term_supervisor(chaos: "StudyUnderChaos", rng: Random) -> Injected | None:
    """SIGTERM: it drains its workers."""
    return _hit_supervisor(chaos, rng, "term supervisor", signal.SIGTERM)


def stop_study(chaos: "StudyUnderChaos", rng: Random) -> Injected | None:
    """`study stop`, half of the time with --now: everybody leaves; they are started again after.

    A supervisor that starts at that moment is newer than the request and does not mind it, so the
    request comes when each has workers; should one still be too new, it is made again.
    """
    if not chaos.is_settled():
        return None
    now = ["--now"] if rng.random() < 0.5 else []
    started, touched = time.time(), _pids(chaos.processes())
    for _ in range(MOST_STOPS):
        chaos.command("stop", *now)
        if chaos.wait_for(lambda: not chaos.processes(), STOP_LIMIT_S):
            return Injected("study stop", started, time.time(), touched)
        touched |= _pids(chaos.processes())
    raise chaos.stuck(f"processes went on after {MOST_STOPS} times study stop")


def crash_database(chaos: "StudyUnderChaos", rng: Random) -> Injected | None:
    """The server ends in the midst of everything, and recovers at its next start."""
    assert chaos.database.crash is not None
    return _disturb_all(chaos, CRASH, chaos.database.crash)


def pause_database(chaos: "StudyUnderChaos", rng: Random) -> Injected | None:
    """Nothing is written for a while, and nobody is told."""
    seconds = rng.uniform(*PAUSE_S)
    return _disturb_all(chaos, "pause database", lambda: chaos.database.pause(chaos.url, seconds))


FAULTS: dict[str, Fault] = {
    "kill worker": kill_worker,
    "freeze worker": freeze_worker,
    "term worker": term_worker,
    "kill supervisor": kill_supervisor,
    "term supervisor": term_supervisor,
    "study stop": stop_study,
    CRASH: crash_database,
    "pause database": pause_database,
}
PACK = {
    "kill worker": 4,
    "freeze worker": 3,
    "term worker": 2,
    "kill supervisor": 1,
    "term supervisor": 1,
    "study stop": 1,
    CRASH: 1,
    "pause database": 2,
}
"""How many cards of each kind are in a pack."""


def _hit_worker(chaos: "StudyUnderChaos", rng: Random, kind: str, number: int) -> Injected | None:
    """Send a signal to a worker with a trial that it may lose, seldom to one without a trial."""
    working = {row.pid: row for row in chaos.rows() if row.state == "RUNNING"}
    workers = chaos.workers()
    busy = [w for w in workers if w.pid in working and working[w.pid].losses < MOST_LOSSES]
    idle = [w for w in workers if w.pid not in working]
    fitting = idle if idle and rng.random() < IDLE_SHARE else busy
    for worker in [rng.choice(fitting)] if fitting else []:
        at = time.time()
        if worker.send(number):
            return Injected(kind, at, time.time(), frozenset([worker.pid]))
    return None


def _hit_supervisor(
    chaos: "StudyUnderChaos", rng: Random, kind: str, number: int
) -> Injected | None:
    supervisors = chaos.supervisors()
    if not supervisors:
        return None
    touched, at = _pids(chaos.processes()), time.time()
    rng.choice(supervisors).send_signal(number)
    return Injected(kind, at, time.time(), touched)


def _disturb_all(
    chaos: "StudyUnderChaos", kind: str, disturb: Callable[[], None]
) -> Injected | None:
    """Do something to the database, unless a slot would be given up for one more loss."""
    running = [row for row in chaos.rows() if row.state == "RUNNING"]
    if any(row.losses > MOST_LOSSES for row in running):
        return None
    touched, at = _pids(chaos.processes()), time.time()
    chaos.while_thawing(disturb)
    return Injected(kind, at, time.time(), touched | _pids(chaos.processes()))


def _pids(processes: Iterable[Process]) -> frozenset[int]:
    return frozenset(process.pid for process in processes)
