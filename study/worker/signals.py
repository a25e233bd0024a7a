"""Stops a process by signals or its supervisor's death: the first drains it, the second ends it.

A thread reads signals from the pipe that Python's C handler writes to. A Python handler would wait
for the main thread, which may be in a long TensorFlow call. A forked process shares that pipe with
its parent, so its default handlers are restored.
"""

import os
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

PARENT_CHECK_S = 0.5
HEARD = (signal.SIGINT, signal.SIGTERM)
DEFAULTS: dict[signal.Signals, Any] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
}


class StopRequest(AbstractContextManager["StopRequest"]):
    """A request to stop, made by SIGINT, SIGTERM or the death of the parent.

    Args:
        on_first, on_second: Called in a new thread by the first and the second request.
        one_term: Ignore a second SIGTERM: systemd and clusters signal workers directly, and then
            the supervisor passes its own signal on.

    Attributes:
        event: Set by the first request.
        by_interrupt: Whether a request was a Ctrl-C.
        ended: Set at the end of the `with` block.
    """

    def __init__(
        self, on_first: Callable[[], None], on_second: Callable[[], None], *, one_term: bool = False
    ) -> None:
        self.event, self.ended = threading.Event(), threading.Event()
        self.by_interrupt = False
        self._one_term = one_term
        self._on_first, self._on_second = on_first, on_second
        self._before: dict[int, Any] = {}
        self._sockets: tuple[socket.socket, ...] = ()

    def install(self) -> None:
        """Handle SIGINT and SIGTERM from now on; must be called in the main thread."""
        written, heard = self._sockets = socket.socketpair()
        written.setblocking(False)
        signal.set_wakeup_fd(written.fileno())
        for number in HEARD:
            self._before[number] = signal.signal(number, _ignore)
        _installed.append(self)
        threading.Thread(target=self._listen, args=(heard,), name="signals", daemon=True).start()

    def __enter__(self) -> "StopRequest":
        self.install()
        return self

    def __exit__(self, *error: object) -> None:
        self.ended.set()
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(-1)
        if self in _installed:
            _installed.remove(self)
        if self._sockets:
            self._sockets[0].close()  # ends the thread, which closes the other socket

    def watch_parent(self, parent: int) -> None:
        """Make a request once the parent process has ended, even if it ended before this call."""

        def watch() -> None:
            while os.getppid() == parent:
                if self.event.wait(PARENT_CHECK_S):
                    return
            self.request()

        threading.Thread(target=watch, name="parent-watch", daemon=True).start()

    def request(self, *, by_interrupt: bool = False) -> None:
        """Ask the process to drain, or to end at once if it was asked before."""
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

    def reset(self) -> None:
        """Restore the default handlers in a forked process, unless it has set its own."""
        signal.set_wakeup_fd(-1)
        for number in HEARD:
            if signal.getsignal(number) is _ignore:
                signal.signal(number, DEFAULTS[number])
        for pair_end in self._sockets:
            pair_end.close()


def _ignore(number: int, frame: object) -> None:
    """Do nothing; the C handler writes to the pipe only if there is a Python handler."""


_installed: list[StopRequest] = []
_held = threading.local()


def _block_signals() -> None:
    """Block signals during a fork, while the child shares the pipe."""
    if _installed:
        _held.before = signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)


def _unblock_signals() -> None:
    before = getattr(_held, "before", None)
    if before is not None:
        _held.before = None
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _reset_in_child() -> None:
    while _installed:
        _installed.pop().reset()
    _unblock_signals()


os.register_at_fork(
    before=_block_signals, after_in_parent=_unblock_signals, after_in_child=_reset_in_child
)
