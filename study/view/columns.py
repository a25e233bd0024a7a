"""The table of workers on a terminal: its columns by width, and their cells.

The narrower the terminal, the fewer columns; who works, on what, and whether it is still heard of
is shown at any width.
"""

from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, JustifyMethod, RenderResult
from rich.table import Table
from rich.text import Text

from study.text import duration, harmless
from study.view.status import WorkerStatus

GONE = "gone"


@dataclass(frozen=True)
class _Column:
    """One column: what is in it, and the narrowest terminal that has room for it."""

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
    _Column("images/s", lambda worker: _speed(worker), 80),
    _Column("seen", lambda worker: _seen(worker)),
    _Column("state", lambda worker: worker.state, 60, is_number=False),
)


class WorkerTable:
    """The workers of a study, a row each; drawn anew for the width that there is."""

    def __init__(self, workers: list[WorkerStatus]) -> None:
        self._workers = workers

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        columns = [
            column
            for column in COLUMNS
            if options.max_width >= column.from_width and not self._is_unknown(column)
        ]
        table = Table(box=None, pad_edge=False, header_style="dim")
        for column in columns:
            justify: JustifyMethod = "right" if column.is_number else "left"
            table.add_column(column.name, justify=justify, overflow="ellipsis", no_wrap=True)
        for worker in self._workers:
            shown = [column.cell(worker) for column in columns]
            cells = [Text("-" if cell is None else harmless(str(cell))) for cell in shown]
            table.add_row(*cells, style="red" if worker.state == GONE else "")
        yield table

    def _is_unknown(self, column: _Column) -> bool:
        """Whether a column that narrow terminals go without has nothing to say of anybody."""
        return bool(column.from_width) and all(column.cell(w) is None for w in self._workers)


def _seen(worker: WorkerStatus) -> str:
    return f"{duration(worker.seen_s)} ago"


def _speed(worker: WorkerStatus) -> str | None:
    return None if worker.images_per_s is None else f"{worker.images_per_s:,.0f}"
