"""One study under chaos: its supervisors, the faults that it gets, and what is left in the end.

Supervisors and workers are real processes. A supervisor that has ended is started again until
every slot is final. Every wait is for a condition, with a limit after which the study counts as
stuck.
"""

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import TypeVar

from tests.chaos.checks import OPEN, Ended, Plan, Seen
from tests.chaos.databases import Database, Row, Witness
from tests.chaos.faults import FAULTS, Injected
from tests.chaos.objectives import Tuned, read_ledger
from tests.chaos.processes import (
    Process,
    environment_of,
    marked,
    run_study,
    study_command,
    with_children,
)

T = TypeVar("T")

NAME = "chaos"
QUICK = ["--grace", "3s", "--heartbeat", "1s"]
POLL_S = 0.2
COMMAND_LIMIT_S = 600.0  # to tell what hangs from a machine that is busy
FAULT_LIMIT_S = 300.0
LEAVE_LIMIT_S = 60.0
RESTART_S = 0.5
LONGEST_SHOWN = 3000


class StuckError(Exception):
    """What had to happen did not, in the time that it has."""


class StudyUnderChaos:
    """Runs one study, and injects its faults while it goes on.

    Args:
        folder: Empty; everything that the study writes is below it.
        database: Where `url` is.
        url: An empty database.
        tuned: What it tunes.
        plan: How much of it.
    """

    def __init__(
        self, folder: Path, database: Database, url: str, tuned: Tuned, plan: Plan
    ) -> None:
        self.database, self.url = database, url
        self._folder, self._tuned, self._plan = folder, tuned, plan
        self._mark = f"{folder}"
        self._environment = environment_of(self._mark, folder.parent)
        self._moments = Random(f"{plan.seed}/moments")
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._start_at = dict.fromkeys(self._commands(), 0.0)
        self._frozen: list[tuple[float, Process]] = []
        self._injected: list[Injected] = []
        self._ended: list[Ended] = []
        self._witness: Witness | None = None
        self._n_final, self._moved_at, self._due_at = 0, 0.0, 0.0

    def run(self) -> Seen:
        """Run until every slot is final, and return what is there then.

        Raises:
            StuckError: Something did not come in its time.
        """
        started = time.monotonic()
        sizes = ["--n-trials", self._plan.n_draws, *QUICK]
        self.command("create", *sizes, *self._tuned.defining(self._folder))
        self._witness = Witness(self.url, NAME)
        try:
            self._work()
            self._let_leave()
            return self._look(started)
        finally:
            self._end_all()
            self._witness.close()

    def rows(self) -> list[Row]:
        """Return the study's trials."""
        assert self._witness is not None
        return self._witness.rows()

    def processes(self) -> list[Process]:
        """Return every process of the study: supervisors and workers."""
        return marked(self._mark)

    def workers(self) -> list[Process]:
        """Return the workers that are not frozen."""
        others = {process.pid for process in self._running.values()}
        others |= {process.pid for _, process in self._frozen}
        return [process for process in self.processes() if process.pid not in others]

    def supervisors(self) -> list[subprocess.Popen[bytes]]:
        """Return the supervisors that run."""
        return [process for process in self._running.values() if process.poll() is None]

    def is_settled(self) -> bool:
        """Whether each supervisor runs, and has started workers."""
        running = self.supervisors()
        settled = all(len(with_children(process.pid)) > 1 for process in running)
        return settled and len(running) == len(self._commands())

    def command(self, name: str, *options: object) -> str:
        """Run a command on the study to its end, and return what it printed."""
        where = [name, "--storage", self.url, "--study", NAME, *options]
        told = (where, self._folder, self._environment, COMMAND_LIMIT_S)
        return self.while_thawing(lambda: run_study(*told))

    def while_thawing(self, call: Callable[[], T]) -> T:
        """Call something that may wait for the database, and return what it returned.

        The frozen thaw meanwhile: one of them may hold SQLite's write lock.
        """
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(call)
            self.wait_for(running.done, 2 * COMMAND_LIMIT_S)
            return running.result()

    def thaw_later(self, pids: Iterable[int], seconds: float) -> None:
        """Let processes that were stopped go on after a while."""
        due = time.monotonic() + seconds
        stopped = set(pids)
        self._frozen += [(due, p) for p in self.processes() if p.pid in stopped]

    def wait_for(self, condition: Callable[[], bool], limit_s: float) -> bool:
        """Wait for a condition, while the frozen thaw; return whether it came."""
        deadline = time.monotonic() + limit_s
        while not condition():
            if time.monotonic() > deadline:
                return False
            self._thaw()
            time.sleep(POLL_S)
        return True

    def stuck(self, why: str) -> StuckError:
        """Return an error with a picture of the study."""
        states = [f"  {r.trial}: slot {r.slot} {r.state} {r.attrs}" for r in self.rows()[-40:]]
        said = [f"  {pid}: {_end_of(self._err(pid))}" for pid in self._pids()]
        return StuckError("\n".join([why, "trials:", *states, "supervisors:", *said]))

    def _commands(self) -> dict[str, list[object]]:
        """The supervisors that there shall be, as command lines."""
        where = ["--storage", self.url, "--study", NAME, "--workers"]
        by_run, by_worker = self._tuned.workers
        return {"run": ["run", *where, by_run], "worker": ["worker", *where, by_worker]}

    def _work(self) -> None:
        self._moved_at = self._due_at = time.monotonic()
        while not self._is_done():
            self._supervise()
            self._thaw()
            self._inject()
            time.sleep(POLL_S)

    def _is_done(self) -> bool:
        newest = {row.slot: row.state for row in self.rows()}
        n_final = sum(state not in OPEN for state in newest.values())
        now = time.monotonic()
        if n_final != self._n_final:
            self._n_final, self._moved_at = n_final, now
        if now - self._moved_at > self._tuned.stall_s:
            raise self.stuck(f"no slot became final in {self._tuned.stall_s:g} s")
        # With rungs: whoever is idle promotes; where nobody does, the study is stuck.
        return n_final == len(newest) >= self._plan.n_slots

    def _supervise(self) -> None:
        """Bury the supervisors that have ended, and start them again after a pause."""
        self._bury()
        for name, arguments in self._commands().items():
            if name not in self._running and time.monotonic() >= self._start_at[name]:
                self._running[name] = self._start(arguments)

    def _bury(self) -> None:
        for name, process in list(self._running.items()):
            code = process.poll()
            if code is not None:
                self._ended.append(Ended(process.pid, code, _end_of(self._err(process.pid))))
                self._start_at[name] = time.monotonic() + RESTART_S
                del self._running[name]

    def _start(self, arguments: list[object]) -> subprocess.Popen[bytes]:
        waiting = self._folder / "starting.err"
        with waiting.open("wb") as err:
            process = subprocess.Popen(
                study_command(*arguments),
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=err,
                start_new_session=True,
            )
        waiting.rename(self._err(process.pid))
        return process

    def _err(self, pid: int) -> Path:
        return self._folder / f"supervisor-{pid}.err"

    def _pids(self) -> list[int]:
        return [process.pid for process in self._running.values()]

    def _thaw(self) -> None:
        now = time.monotonic()
        for due, process in self._frozen:
            if due <= now:
                process.send(signal.SIGCONT)
        self._frozen = [(due, process) for due, process in self._frozen if due > now]

    def _inject(self) -> None:
        """Inject the next fault, unless faults are ahead of the slots, or none came just now."""
        n_done, now = len(self._injected), time.monotonic()
        # With rungs most slots are final early, and the last rungs shall have faults, too.
        slack = 1 + (0 if self._plan.has_rungs else sum(self._tuned.workers))
        allowed = self._plan.per_slot * (self._n_final + slack)
        if n_done >= min(allowed, len(self._plan.kinds)) or now < self._due_at:
            return
        found = FAULTS[self._plan.kinds[n_done]](self, self._moments)
        if found is None:
            if now - self._due_at > FAULT_LIMIT_S:
                raise self.stuck(f"no fitting moment for: {self._plan.kinds[n_done]}")
            return
        self._injected.append(found)
        with (self._folder / "faults.jsonl").open("a") as log:
            log.write(json.dumps({**vars(found), "pids": sorted(found.pids)}) + "\n")
        self._due_at = time.monotonic() + self._moments.uniform(*self._tuned.gap_s)

    def _let_leave(self) -> None:
        """Wait until everybody has left: the study is done, and nobody was told."""
        self.wait_for(lambda: not self._frozen and not self.processes(), LEAVE_LIMIT_S)
        self._bury()

    def _look(self, started: float) -> Seen:
        left = [_command_line(process) for process in self.processes()]
        checkpoints = sorted(self._folder.glob(f"{NAME}.work/*/slots"))
        seen = Seen(
            plan=self._plan,
            truth=self._tuned.truth(self._plan.n_draws),
            rows=self.rows(),
            injected=self._injected,
            ended=self._ended,
            left=left,
            kept=[path.relative_to(top) for top in checkpoints for path in top.rglob("*")],
            wall_s=time.monotonic() - started,
        )
        if self._tuned.has_ledger:
            seen.ledger = read_ledger(self._folder)
        seen.wanted_submission = self._tuned.submission()
        if seen.wanted_submission is not None:
            self.command("finalize", "--out", self._folder / "out")
            seen.submission = (self._folder / "out" / "submission.csv").read_bytes()
        return seen

    def _end_all(self) -> None:
        """End what is left, whatever has happened."""
        for _, process in self._frozen:
            process.send(signal.SIGCONT)
        for process in self.processes():
            process.send(signal.SIGKILL)
        for process in self._running.values():
            process.wait()


def _end_of(path: Path) -> str:
    return path.read_text(errors="replace")[-LONGEST_SHOWN:] if path.exists() else ""


def _command_line(process: Process) -> str:
    try:
        words = Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        words = [b"gone by now"]
    return f"{process.pid}: " + b" ".join(words).decode(errors="replace")
