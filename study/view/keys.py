"""Leave a live view by the key q or by SIGTERM, and restore the terminal.

Decides nothing about what is shown. Ctrl-C stays what it is everywhere, an interrupt; only that one
that came at a bad moment is remembered: Python drops what is raised while it frees an object.
"""

import contextlib
import os
import select
import signal
import sys
import time
from contextlib import AbstractContextManager
from types import FrameType, TracebackType
from typing import Any

LEAVE = frozenset("qQ\x04")  # and Ctrl-D


class Keys(AbstractContextManager["Keys"]):
    """Keys are heard without Enter and not echoed, from `__enter__` to `__exit__`.

    Where stdin is no terminal, or this process is not in its foreground, no key is heard.
    """

    def __init__(self) -> None:
        self._saved: list[Any] | None = None
        self._before: dict[int, Any] = {}
        self._is_over = False
        self._is_interrupted = False

    def __enter__(self) -> "Keys":
        for number, hear in ((signal.SIGTERM, self._end), (signal.SIGINT, self._interrupt)):
            self._before[number] = signal.signal(number, hear)
        if sys.platform != "win32":
            import termios
            import tty

            # Whoever has no stdin, or runs in the background, is stopped for changing a terminal.
            with contextlib.suppress(OSError, ValueError, termios.error):
                terminal = sys.stdin.fileno()
                if os.isatty(terminal) and os.tcgetpgrp(terminal) == os.getpgrp():
                    self._saved = termios.tcgetattr(terminal)
                    tty.setcbreak(terminal)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
        if self._saved is not None:
            import termios

            with contextlib.suppress(OSError, termios.error):  # the terminal may be gone
                termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, self._saved)

    def wait(self, seconds: float) -> bool:
        """Wait so long, or until somebody wants to leave; return whether somebody does.

        Raises:
            KeyboardInterrupt: Ctrl-C, now or unheard before.
        """
        end = time.monotonic() + seconds
        while not self._is_over and (left := end - time.monotonic()) > 0:
            if self._is_interrupted:
                raise KeyboardInterrupt
            if self._saved is None:
                time.sleep(min(left, 0.1))
            elif select.select([sys.stdin], [], [], min(left, 0.1))[0]:
                typed = os.read(sys.stdin.fileno(), 1024)
                # Nothing at all means that the terminal is gone.
                self._is_over = not typed or bool(LEAVE & set(typed.decode(errors="replace")))
        return self._is_over

    def _end(self, number: int, frame: FrameType | None) -> None:
        self._is_over = True

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self._is_interrupted = True
        raise KeyboardInterrupt
