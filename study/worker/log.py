"""The log file of an attempt: all output of the process while it trains one trial.

File descriptors are redirected, not only Python's streams, so that the log includes the output of
TensorFlow and of a crash of the interpreter.
"""

import contextlib
import io
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TextIO

from objectives.files.ownfile import APPEND, open_file
from study.machine.forks import close_withheld, withhold


class _NeverFails(io.FileIO):
    """A file that drops output on a full disk, so that no `print` of a user's code fails."""

    def write(self, data: Any) -> int:
        with contextlib.suppress(OSError):
            return super().write(data)
        return len(data)


class AttemptLog(AbstractContextManager["AttemptLog"]):
    """Redirects stdout and stderr of this process to a file, for the block.

    Args:
        path: The file, which is appended to; its folder is created.
        say: Called with one line if the file cannot be written, such as a link; the attempt then
            runs without a log.
    """

    def __init__(self, path: Path, say: Callable[[str], None] = lambda _: None) -> None:
        self._path, self._say = path, say
        self._kept: list[tuple[int, int]] = []

    def __enter__(self) -> "AttemptLog":
        opened: list[int] = []
        try:
            opened.append(open_file(self._path, 2, APPEND))
            opened += [os.dup(1), os.dup(2)]
        except OSError as error:
            for number in opened:
                os.close(number)
            self._say(f"no log {self._path}: {error.strerror}")
            return self
        _flush()
        handle, *kept = opened
        self._kept = list(zip((1, 2), kept, strict=True))
        for number, before in self._kept:
            os.dup2(handle, number)
            withhold(before)  # a reader of this process's output must not wait for its forks
        os.close(handle)
        self._streams = (sys.stdout, sys.stderr)
        sys.stdout, sys.stderr = _stream(1, sys.stdout), _stream(2, sys.stderr)
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Restore stdout and stderr."""
        _flush()
        if self._kept:
            sys.stdout, sys.stderr = self._streams
        for number, kept in self._kept:
            os.dup2(kept, number)
            close_withheld(kept)
        self._kept = []

    def write(self, line: str) -> None:
        """Write one line to the log, if there is one."""
        if self._kept:
            _flush()
            with contextlib.suppress(OSError):  # a full disk
                os.write(2, f"{line}\n".encode(errors="backslashreplace"))


def _stream(number: int, like: Any) -> TextIO:
    raw = _NeverFails(number, "w", closefd=False)
    at_once = bool(getattr(like, "write_through", False))
    return io.TextIOWrapper(
        raw if at_once else io.BufferedWriter(raw),
        write_through=at_once,
        encoding=getattr(like, "encoding", None),
        errors="backslashreplace",
        line_buffering=getattr(like, "line_buffering", False),
    )


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # a full disk, or a stream that a user's code closed
            continue
