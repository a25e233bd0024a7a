"""Signals and a supervisor's death: the first asks to drain, the second ends the process.

Handlers only set flags; what draining means is decided by whoever waits on them.
"""

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

PARENT_CHECK_S = 0.5


class StopRequest:
    """Set by SIGINT, SIGTERM or the parent's death.

    Attributes:
        event: Set by the first request.
        by_interrupt: Whether that was a Ctrl-C.
    """

    def __init__(self, on_first: Callable[[], None], on_second: Callable[[], None]) -> None:
        self.event = threading.Event()
        self.by_interrupt = False
        self._on_first, self._on_second = on_first, on_second
        self._before: dict[int, Any] = {}

    def install(self) -> None:
        """Handle SIGINT and SIGTERM from here on; call it in the main thread."""
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._handle)

    def __enter__(self) -> "StopRequest":
        self.install()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # What comes after a run, such as finalize, must end by a Ctrl-C as any program does.
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def watch_parent(self, parent: int) -> None:
        """Ask to drain once the process `parent`, which started this one, is gone.

        It may be gone before this is called: starting takes seconds.
        """

        def watch() -> None:
            while os.getppid() == parent:
                if self.event.wait(PARENT_CHECK_S):
                    return
            self.request()

        threading.Thread(target=watch, name="parent-watch", daemon=True).start()

    def request(self) -> None:
        """Ask to drain; a second time, to end at once."""
        if self.event.is_set():
            self._on_second()
        else:
            self.event.set()
            self._on_first()

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self.by_interrupt = self.by_interrupt or number == signal.SIGINT
        self.request()
