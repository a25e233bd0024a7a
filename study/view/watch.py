"""Show a study live: a table on a terminal, plain lines elsewhere.

Decides wording and layout; the numbers come from `status.py`. A slow read of the study is followed
by a longer pause. A narrow terminal gets fewer columns of the table of workers.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from rich.console import (
    Console,
    ConsoleOptions,
    Group,
    JustifyMethod,
    RenderableType,
    RenderResult,
)
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from storage.database.failures import is_passing
from storage.errors import StorageUnavailableError
from study.spec.open import OpenStudy
from study.text import duration, harmless
from study.view.console import print_line
from study.view.cost import Cost
from study.view.status import GONE, StudyStatus, WorkerStatus, read_status

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
    """Whether the study is paused: its workers claim no slots."""
    return status.seen.paused and not status.done


def summary(status: StudyStatus) -> str:
    """Return one line: slots done, running, failed, best value, rate, cost, ETA."""
    name = harmless(status.study)
    parts = [f"{name}: {status.n_final}/{status.n_slots} done", f"{status.running} running"]
    if status.rungs:
        parts.append(f"rungs {shown_rungs(status)}")
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


def shown_rungs(status: StudyStatus) -> str:
    """Return the final slots of each rung and their epochs: `30/30 x 1, 4/10 x 3`."""
    return ", ".join(f"{r.n_final}/{r.n_slots} x {r.epochs}" for r in status.rungs)


def render(status: StudyStatus) -> RenderableType:
    """Return the live view: counts, a progress bar, the best trial and a row for each worker."""
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
    n_all = max(1, status.n_final + status.n_left)
    bar = ProgressBar(total=n_all, completed=status.n_final, width=None)
    parts: list[RenderableType] = [head, Padding(bar, 0)]
    if status.rungs:
        parts.append(Text(f"rungs, slots x epochs: {shown_rungs(status)}", "dim"))
    if status.best:
        text = f"best {status.best.value:.5f}  trial {status.best.trial}  "
        parts.append(Text.assemble((text, "green"), (show_params(status.best.params), "dim")))
    if status.trial_cost:
        parts.append(Text(f"a trial costs {status.trial_cost} on average", "dim"))
    if failures := _failures(status):
        parts.append(Text(failures, "red"))
    if status.workers:
        parts.append(_WorkerTable(status.workers))
    return Group(*parts)


def _failures(status: StudyStatus) -> str:
    """Return why slots failed and how many trials were lost, or an empty text."""
    counted = ", ".join(f"{n} {reason}" for reason, n in sorted(status.reasons.items()))
    failed = f"failed: {counted}" if counted else ""
    lost = f"lost and opened again: {status.lost}" if status.lost else ""
    return harmless("   ".join(filter(None, (failed, lost))))


@dataclass(frozen=True)
class _Column:
    """A column of the table of workers; hidden on terminals narrower than `from_width`."""

    name: str
    cell: Callable[[WorkerStatus], object]
    from_width: int = 0
    is_number: bool = True


COLUMNS = (
    _Column("worker", lambda worker: worker.id, is_number=False),
    _Column("device", lambda worker: worker.device, 100, is_number=False),
    _Column("trial", lambda worker: worker.trial),
    _Column("slot", lambda worker: worker.slot, 60),
    _Column("epochs", lambda worker: worker.epoch),
    _Column("images/s", lambda worker: _rate(worker.images_per_s), 80),
    _Column("seen", lambda worker: f"{duration(worker.seen_s)} ago"),
    _Column("state", lambda worker: worker.state, 60, is_number=False),
)


@dataclass(frozen=True)
class _WorkerTable:
    """The table of workers; Rich passes the width when it draws."""

    workers: list[WorkerStatus]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        columns = [
            column
            for column in COLUMNS
            if not column.from_width
            or (
                options.max_width >= column.from_width
                and any(column.cell(worker) is not None for worker in self.workers)
            )
        ]
        table = Table(box=None, pad_edge=False, header_style="dim")
        for column in columns:
            justify: JustifyMethod = "right" if column.is_number else "left"
            table.add_column(column.name, justify=justify, overflow="ellipsis", no_wrap=True)
        for worker in self.workers:
            shown = [column.cell(worker) for column in columns]
            cells = [Text("-" if cell is None else harmless(str(cell))) for cell in shown]
            table.add_row(*cells, style="red" if worker.state == GONE else "")
        yield table


def _rate(images_per_s: float | None) -> str | None:
    return None if images_per_s is None else f"{images_per_s:,.0f}"


def render_trials(
    rows: list[dict[str, Any]], why: dict[int, str], costs: dict[int, Cost]
) -> RenderableType:
    """Return a line for each trial, its error if it has one, and its params.

    Args:
        rows: The trials in the documented JSON form.
        why: The errors, by trial number.
        costs: The known costs, by trial number.
    """
    on_rungs = ("rung", "epochs", "from_slot") if rows and "rung" in rows[0] else ()
    names = ("trial", "slot", *on_rungs, "attempt")
    head = (
        *(name.replace("_", " ") for name in names),
        "state",
        "value",
        "steps",
        "cost",
        "worker",
    )
    cells = [head, *(_cells(row, names, costs.get(row["trial"])) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in cells]
    parts: list[RenderableType] = [Text(lines[0], "bold")]
    for row, line in zip(rows, lines[1:], strict=True):
        parts.append(Text(line))  # as Text, because a str could hold Rich's markup
        if row["trial"] in why:
            parts.append(_indented(why[row["trial"]], "red"))
        if row["params"]:
            parts.append(_indented(show_params(row["params"]), "dim"))
    return Group(*parts)


def _cells(row: dict[str, Any], names: Sequence[str], cost: Cost | None) -> tuple[str, ...]:
    value = "" if row["value"] is None else f"{float(row['value']):.5f}"  # "inf" is text
    state = row["state"] + (f" ({row['reason']})" if row["reason"] else "")
    n_steps = len(row["intermediate"])
    cells = (*(row[name] for name in names), state, value, n_steps, cost, row["worker"])
    return tuple("" if cell is None else harmless(str(cell)) for cell in cells)


def _indented(text: str, style: str) -> RenderableType:
    return Padding(Text(harmless(text), style), (0, 0, 0, 2), expand=False)


class Watch(AbstractContextManager["Watch"]):
    """Shows a study at each `tick`: as a table on a terminal, else as lines.

    Args:
        quiet: Show nothing.
        whole_screen: Use the terminal's whole screen. Messages then appear above the table, and
            are printed again at the end.

    Attributes:
        is_away: Whether the database did not answer the last read.
        status: The newest status that was read.
    """

    def __init__(
        self,
        opened: OpenStudy,
        console: Console,
        *,
        quiet: bool = False,
        whole_screen: bool = False,
    ) -> None:
        self.is_away = False
        self.status: StudyStatus | None = None
        self._opened, self._console, self._quiet = opened, console, quiet
        self._live: Live | None = None
        if console.is_terminal and not quiet:
            self._live = Live(console=console, auto_refresh=False, screen=whole_screen)
        self._said: list[str] | None = [] if self._live and whole_screen else None
        self._size = console.size
        self._next_look = self._next_line = self._next_requeue = 0.0
        self._last_line = ""

    def __enter__(self) -> "Watch":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live:
            self._live.stop()
        if self._said is not None and self.status is not None:
            said, self._said = self._said, None
            for line in said:
                self.say(line)
            self._console.print(render(self.status))

    @property
    def is_live(self) -> bool:
        """Whether the last table, with the best trial, stays on a terminal."""
        return self._live is not None

    def say(self, line: str) -> None:
        """Print a line above the live view."""
        if self._said is not None:
            self._said.append(line)
        elif not self._quiet:
            print_line(self._console, line)

    def tick(self, *, now: bool = False) -> StudyStatus | None:
        """Read and show the study if the next read is due, or `now`; return the newest status.

        While the database does not answer, the last status is returned.
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
            if not self.is_away:
                self.say("the database does not answer; waiting for it")
            self.is_away = True
            return self.status
        self.is_away = False
        took_s = time.monotonic() - started
        self._next_look = started + max(POLL_S, took_s / SHARE_OF_LOOKING)
        self._show(self.status, now)
        return self.status

    def fit(self) -> None:
        """Draw the table again if the size of the terminal has changed."""
        if self._live and self.status is not None and self._console.size != self._size:
            self._show(self.status, False)

    def _requeue(self, now_s: float) -> None:
        """Requeue lost trials, because there may be no worker left to do it."""
        spec = self._opened.spec
        if now_s >= self._next_requeue:
            self._next_requeue = now_s + spec.heartbeat_s
            slots = self._opened.patient_slots(0.0)
            for trial in slots.requeue_lost(spec.grace_s, spec.max_attempts):
                self.say(f"trial {trial} was lost; its slot is open again")

    def _show(self, status: StudyStatus, now: bool) -> None:
        if self._live:
            self._size = self._console.size
            said = [LEAVES, *self._said[-MOST_SAID:]] if self._said is not None else []
            # Above the table, because Rich cuts a view that is too long at its end.
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
    """Show a study until every slot is final; return the last status.

    Args:
        wait: Waits for that many seconds; a true value ends the view.
    """
    with Watch(opened, console, whole_screen=True) as view:
        while True:
            status = view.tick(now=view.status is None)
            if status is not None and status.done:
                return view.tick(now=True)
            if wait(POLL_S / 2):
                return status
            view.fit()
