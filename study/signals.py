"""Signals and a supervisor's death: the first asks to drain, the second ends the process.

They are heard by a thread of their own, through the pipe into which Python's C handler writes. A
Python handler would wait for the main thread, which may be in one call of TensorFlow for long. What
draining means is decided by whoever waits on the event.
"""

import os
import signal
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

PARENT_CHECK_S = 0.5


class StopRequest:
    """Set by SIGINT, SIGTERM or the parent's death.

    Args:
        on_first, on_second: Called in a thread of their own by the first and the second request.
        one_term: Whether a second SIGTERM is no second request: where a supervisor passes its own
            on, systemd and clusters have often signalled everybody already.

    Attributes:
        event: Set by the first request.
        by_interrupt: Whether a request was a Ctrl-C.
        ended: Set when signals are heard no longer.
    """

    def __init__(
        self, on_first: Callable[[], None], on_second: Callable[[], None], *, one_term: bool = False
    ) -> None:
        self.event = threading.Event()
        self.by_interrupt = False
        self.ended = threading.Event()
        self._one_term = one_term
        self._on_first, self._on_second = on_first, on_second
        self._before: dict[int, Any] = {}
        self._written: socket.socket | None = None

    def install(self) -> None:
        """Hear SIGINT and SIGTERM from here on; call it in the main thread."""
        heard, self._written = socket.socketpair()
        self._written.setblocking(False)
        signal.set_wakeup_fd(self._written.fileno())
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, _leave_to_thread)
        threading.Thread(target=self._listen, args=(heard,), name="signals", daemon=True).start()

    def __enter__(self) -> "StopRequest":
        self.install()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.ended.set()
        # What comes after a run, such as finalize, must end by a Ctrl-C as any program does.
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(-1)
        if self._written is not None:
            self._written.close()

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

    def request(self, *, by_interrupt: bool = False) -> None:
        """Ask to drain; a second time, to end at once."""
        self.by_interrupt = self.by_interrupt or by_interrupt
        act = self._on_second if self.event.is_set() else self._on_first
        self.event.set()
        threading.Thread(target=act, daemon=True).start()

    def _listen(self, heard: socket.socket) -> None:
        with heard:
            while numbers := heard.recv(64):
                for number in numbers:
                    if number == signal.SIGTERM and self._one_term and self.event.is_set():
                        continue
                    if number in (signal.SIGINT, signal.SIGTERM):
                        self.request(by_interrupt=number == signal.SIGINT)


def _leave_to_thread(number: int, frame: object) -> None:
    """A handler of Python's there must be, so that its C handler writes to the pipe."""
