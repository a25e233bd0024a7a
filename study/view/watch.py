"""The live view of a study: a table on a terminal, plain lines elsewhere.

Decides wording and layout; the numbers come from `status.py`. Polls no faster than the study can be
read cheaply: a look that took long is followed by a longer pause.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.text import Text

from storage.database.failures import is_passing
from storage.errors import StorageUnavailableError
from study.spec.open import OpenStudy
from study.text import duration, harmless, harmless_lines
from study.view.columns import WorkerTable
from study.view.cost import Cost
from study.view.status import StudyStatus, read_status

POLL_S = 0.5
SHARE_OF_LOOKING = 0.05
LINE_EVERY_S = 10.0
AWAY_POLL_S = 1.0
LEAVES = "q leaves; the study goes on"
MOST_SAID = 5


def show_params(params: dict[str, object]) -> str:
    """Return `name=value` pairs, floats with three digits."""
    shown = {n: f"{v:.3g}" if isinstance(v, float) else str(v) for n, v in params.items()}
    return harmless(" ".join(f"{name}={value}" for name, value in shown.items()))


def is_paused(status: StudyStatus) -> bool:
    """Whether workers claim nothing because somebody asked them not to."""
    return status.seen.paused and not status.done


def summary(status: StudyStatus) -> str:
    """Return one line: done of N, running, failed, best, rate, ETA."""
    name = harmless(status.study)
    parts = [f"{name}: {status.n_final}/{status.n_slots} done", f"{status.running} running"]
    if status.failed:
        parts.append(f"{status.failed} failed")
    if is_paused(status):
        parts.append("paused")
    if status.best:
        parts.append(f"best {status.best.value:.5f} (trial {status.best.trial})")
    if status.images_per_s:
        parts.append(f"{status.images_per_s:,.0f} images/s")
    if status.trial_cost:
        parts.append(f"a trial {status.trial_cost}")
    if not status.done:
        parts.append(f"ETA {duration(status.eta_s)}")
    return ", ".join(parts)


def render(status: StudyStatus) -> RenderableType:
    """Return the live view: a bar, the counts, the best, and a row a worker."""
    counts = Text.assemble(
        (f"{status.n_final}", "bold"),
        f" of {status.n_slots} done   ",
        f"{status.waiting} waiting   " if status.waiting else "",
        f"{status.running} running   ",
        (f"{status.failed} failed", "red" if status.failed else "dim"),
        f"   {status.pruned} pruned" if status.pruned else "",
        f"   {status.images_per_s:,.0f} images/s" if status.images_per_s else "",
        ("   paused", "yellow") if is_paused(status) else "",
        f"   ETA {duration(status.eta_s)}" if not status.done else "   done",
    )
    head = Text.assemble((harmless(status.study), "bold cyan"), "  ", counts)
    bar = ProgressBar(total=max(1, status.n_slots), completed=status.n_final, width=None)
    parts: list[RenderableType] = [head, Padding(bar, 0)]
    if status.best:
        text = f"best {status.best.value:.5f}  trial {status.best.trial}  "
        parts.append(Text.assemble((text, "green"), (show_params(status.best.params), "dim")))
    if status.trial_cost:
        parts.append(Text(f"a trial costs {status.trial_cost} on average", "dim"))
    if failures := _failures(status):
        parts.append(Text(failures, "red"))
    if status.workers:
        parts.append(WorkerTable(status.workers))
    return Group(*parts)


def _failures(status: StudyStatus) -> str:
    """Return what slots failed of, and how often trials were lost; empty where nothing was."""
    counted = [f"{n} {reason}" for reason, n in sorted(status.reasons.items())]
    failed = [f"failed: {', '.join(counted)}"] if counted else []
    lost = [f"lost and opened again: {status.lost}"] if status.lost else []
    return harmless("   ".join(failed + lost))


def render_trials(
    rows: list[dict[str, Any]], why: dict[int, str], costs: dict[int, Cost]
) -> RenderableType:
    """Return two lines a trial, from their documented JSON form: where it stands, and its params.

    Args:
        why: Trial number to the error of a failed one, which then has a line of its own.
        costs: Trial number to what it has cost, where that is known.
    """
    head = ("trial", "slot", "attempt", "state", "value", "steps", "cost", "worker")
    cells = [head, *(_cells(row, costs.get(row["trial"])) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in cells]
    parts: list[RenderableType] = [Text(lines[0], "bold")]
    for row, line in zip(rows, lines[1:], strict=True):
        parts.append(Text(line))  # Text: what stands in brackets is no markup
        if row["trial"] in why:
            parts.append(_indented(why[row["trial"]], "red"))
        if row["params"]:
            parts.append(_indented(show_params(row["params"]), "dim"))
    return Group(*parts)


def _cells(row: dict[str, Any], cost: Cost | None) -> tuple[str, ...]:
    value = "" if row["value"] is None else f"{float(row['value']):.5f}"  # "inf" is text
    state = row["state"] + (f" ({row['reason']})" if row["reason"] else "")
    n_steps = len(row["intermediate"])
    numbers = (row["trial"], row["slot"], row["attempt"])
    cells = (*numbers, state, value, n_steps, cost, row["worker"])
    return tuple("" if cell is None else harmless(str(cell)) for cell in cells)


def _indented(text: str, style: str) -> RenderableType:
    return Padding(Text(harmless(text), style), (0, 0, 0, 2), expand=False)


class Watch(AbstractContextManager["Watch"]):
    """Shows a study until `tick` is no longer called; falls back to lines.

    Args:
        opened: The study.
        console: Where; its `is_terminal` decides between table and lines.
        quiet: Show nothing.
        whole_screen: Take the terminal's whole screen, as one that only watches does; what is said
            stands above the table, and stays in the end.
    """

    def __init__(
        self,
        opened: OpenStudy,
        console: Console,
        *,
        quiet: bool = False,
        whole_screen: bool = False,
    ) -> None:
        self._opened, self._console, self._quiet = opened, console, quiet
        self._live: Live | None = None
        if console.is_terminal and not quiet:
            self._live = Live(console=console, auto_refresh=False, screen=whole_screen)
        self._said: list[str] | None = [] if self._live and whole_screen else None
        self._size = console.size
        self._next_look = 0.0
        self._next_line = 0.0
        self._next_requeue = 0.0
        self._last_line = ""
        self.is_away = False
        self.status: StudyStatus | None = None

    def __enter__(self) -> "Watch":
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live:
            self._live.stop()
        if self._said is not None and self.status is not None:
            said, self._said = self._said, None
            for line in said:
                self.say(line)
            self._console.print(render(self.status))

    @property
    def is_live(self) -> bool:
        """Whether the last state stays on a terminal, the best trial included."""
        return self._live is not None

    def say(self, line: str) -> None:
        """Print a line above the live view, within the screen where it has the whole one."""
        if self._said is not None:
            self._said.append(line)
        elif not self._quiet:
            shown = harmless_lines(line)
            self._console.print(shown, markup=False, highlight=False, soft_wrap=True)

    def tick(self, *, now: bool = False) -> StudyStatus | None:
        """Look and show, where it is time to; return the newest status.

        A database that is away is waited for: the status is then that of the last look.
        """
        started = time.monotonic()
        if started < self._next_look and not now:
            return self.status
        try:
            self._requeue(started)
            self.status = read_status(self._opened, wait_s=0.0)
        except Exception as error:
            if not (is_passing(error) or isinstance(error, StorageUnavailableError)):
                raise
            self._next_look = time.monotonic() + AWAY_POLL_S
            self._say_away()
            return self.status
        self.is_away = False
        took_s = time.monotonic() - started
        self._next_look = started + max(POLL_S, took_s / SHARE_OF_LOOKING)
        self._show(self.status, now)
        return self.status

    def fit(self) -> None:
        """Draw again what is shown, where the terminal has another size by now."""
        if self._live and self.status is not None and self._console.size != self._size:
            self._show(self.status, False)

    def _requeue(self, now_s: float) -> None:
        """Open the slots of lost trials again: somebody may watch where no worker is left."""
        spec = self._opened.spec
        if now_s >= self._next_requeue:
            self._next_requeue = now_s + spec.heartbeat_s
            slots = self._opened.patient_slots(0.0)
            for trial in slots.requeue_lost(spec.grace_s, spec.max_attempts):
                self.say(f"trial {trial} was lost; its slot is open again")

    def _say_away(self) -> None:
        if not self.is_away:
            self.say("the database does not answer; waiting for it")
        self.is_away = True

    def _show(self, status: StudyStatus, now: bool) -> None:
        if self._live:
            self._size = self._console.size
            said = [LEAVES, *self._said[-MOST_SAID:]] if self._said is not None else []
            # Above the table: what does not fit on the screen is cut at its end.
            lines = [Text(harmless(line), "dim") for line in said]
            self._live.update(Group(*lines, render(status)), refresh=True)
            return
        line = summary(status)
        known = line.split(", ETA")[0] == self._last_line.split(", ETA")[0]
        if (time.monotonic() >= self._next_line or now) and not known:
            self.say(line)
            self._last_line = line
            self._next_line = time.monotonic() + LINE_EVERY_S


def watch_until_done(
    opened: OpenStudy, console: Console, wait: Callable[[float], object] = time.sleep
) -> StudyStatus | None:
    """Show a study until every slot is final, and return its last status.

    Args:
        wait: Waits so many seconds; returns something true where it is to end before.
    """
    with Watch(opened, console, whole_screen=True) as view:
        while True:
            status = view.tick(now=view.status is None)
            if status is not None and status.done:
                return view.tick(now=True)
            if wait(POLL_S / 2):
                return status
            view.fit()
