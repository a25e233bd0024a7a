"""Leave a live view by the key q or by SIGTERM, and restore the terminal.

Ctrl-C interrupts as usual. An interrupt is also remembered, because Python drops a
KeyboardInterrupt that is raised while it frees an object.
"""

import contextlib
import os
import select
import signal
import sys
import termios
import time
import tty
from types import FrameType
from typing import Any

LEAVE = frozenset("qQ\x04")  # and Ctrl-D


class Keys(contextlib.ExitStack):
    """Reads keys without Enter and without echo, inside a `with` block.

    No key is read where stdin is not a terminal, or this process runs in the background.
    """

    def __init__(self) -> None:
        super().__init__()
        self._reads_keys = self._is_over = self._is_interrupted = False

    def __enter__(self) -> "Keys":
        for number, handler in ((signal.SIGTERM, self._end), (signal.SIGINT, self._interrupt)):
            self.callback(signal.signal, number, signal.signal(number, handler))
        # A process in the background is stopped if it changes the terminal.
        with contextlib.suppress(OSError, ValueError, termios.error):
            terminal = sys.stdin.fileno()
            if os.isatty(terminal) and os.tcgetpgrp(terminal) == os.getpgrp():
                self.callback(_restore, terminal, termios.tcgetattr(terminal))
                self._reads_keys = True
                tty.setcbreak(terminal)
        return self

    def wait(self, seconds: float) -> bool:
        """Wait until the time is over or the user leaves; return whether the user leaves.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed, now or before this call.
        """
        end = time.monotonic() + seconds
        while not self._is_over and (left := end - time.monotonic()) > 0:
            if self._is_interrupted:
                raise KeyboardInterrupt
            if not self._reads_keys:
                time.sleep(min(left, 0.1))
            elif select.select([sys.stdin], [], [], min(left, 0.1))[0]:
                typed = os.read(sys.stdin.fileno(), 1024)
                # An empty read means that the terminal is gone.
                self._is_over = not typed or bool(LEAVE & set(typed.decode(errors="replace")))
        return self._is_over

    def _end(self, number: int, frame: FrameType | None) -> None:
        self._is_over = True

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self._is_interrupted = True
        raise KeyboardInterrupt


def _restore(terminal: int, saved: list[Any]) -> None:
    with contextlib.suppress(OSError, termios.error):  # the terminal may be gone
        termios.tcsetattr(terminal, termios.TCSADRAIN, saved)
