"""Signals and a supervisor's death: the first asks to drain, the second ends the process.

They are heard by a thread of their own, through the pipe into which Python's C handler writes. A
Python handler would wait for the main thread, which may be in one call of TensorFlow for long. What
draining means is decided by whoever waits on the event.

A forked process hears signals as any program does: its pipe is its parent's, who would take the
signal that ends a pool's process for its own.
"""

import os
import signal
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

PARENT_CHECK_S = 0.5
HEARD = (signal.SIGINT, signal.SIGTERM)
DEFAULTS: dict[signal.Signals, Any] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
}


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
        self._sockets: tuple[socket.socket, ...] = ()

    def install(self) -> None:
        """Hear SIGINT and SIGTERM from here on; call it in the main thread."""
        written, heard = self._sockets = socket.socketpair()
        written.setblocking(False)
        signal.set_wakeup_fd(written.fileno())
        for number in HEARD:
            self._before[number] = signal.signal(number, _leave_to_thread)
        _installed.append(self)
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
        if self in _installed:
            _installed.remove(self)
        if self._sockets:
            self._sockets[0].close()  # the thread, which reads its end, closes the other one

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

    def forget(self) -> None:
        """Hear nothing any more in a forked process; what it has set itself stays."""
        signal.set_wakeup_fd(-1)
        for number in HEARD:
            if signal.getsignal(number) is _leave_to_thread:
                signal.signal(number, DEFAULTS[number])
        for one in self._sockets:
            one.close()


def _leave_to_thread(number: int, frame: object) -> None:
    """A handler of Python's there must be, so that its C handler writes to the pipe."""


_installed: list[StopRequest] = []
_held = threading.local()


def _hold_back() -> None:
    """Before a fork: a signal to the child waits until the child does not share the pipe."""
    if _installed:
        _held.before = signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)


def _let_through() -> None:
    before = getattr(_held, "before", None)
    if before is not None:
        _held.before = None
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _forget_all() -> None:
    while _installed:
        _installed.pop().forget()
    _let_through()


os.register_at_fork(before=_hold_back, after_in_parent=_let_through, after_in_child=_forget_all)
