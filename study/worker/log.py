"""The log file of an attempt: everything that the process prints while it trains one trial.

File descriptors are redirected, not only Python's streams: output of TensorFlow and of a crash of
the interpreter is in it, too.
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
    """A file that drops what it cannot write: no `print` of a user's fails on a full disk."""

    def write(self, data: Any) -> int:
        with contextlib.suppress(OSError):
            return super().write(data)
        return len(data)


class AttemptLog(AbstractContextManager["AttemptLog"]):
    """Stdout and stderr of this process go to a file, for the block.

    Args:
        path: Appended to; its folder is made.
        say: Called with one line where the file cannot be written, such as a link; the attempt then
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
        """Redirect stdout and stderr to where they went before."""
        _flush()
        if self._kept:
            sys.stdout, sys.stderr = self._streams
        for number, kept in self._kept:
            os.dup2(kept, number)
            close_withheld(kept)
        self._kept = []

    def write(self, line: str) -> None:
        """Write one line to the log; nothing where there is none."""
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
        except (OSError, ValueError):  # a full disk; closed by a user's code
            continue
