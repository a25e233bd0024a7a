"""Show a trial's output: its log file, the end of its log in the database, or its reports.

A log file can be read on machines that have the work dir. The database keeps the end of a failed
attempt's log for any machine. `workdir.py` decides the path of a log.
"""

import codecs
import io
import json
import os
import shlex
import time
from pathlib import Path
from typing import TextIO

from objectives.files.ownfile import open_file
from storage import attrs
from storage.database.tables import UNFINISHED
from storage.reading import Attempt
from study.errors import StudyError
from study.machine.identity import host_of
from study.spec.open import OpenStudy
from study.spec.trials import find_trial
from study.spec.workdir import WorkDir
from study.text import harmless, harmless_lines

POLL_S = 1.0
CHUNK_BYTES = 1 << 16
DEPTH = 2  # folders below the work dir in the path of a log


def show_logs(
    opened: OpenStudy, trial: Attempt, work: WorkDir, out: TextIO, *, follow: bool
) -> None:
    """Print a trial's log.

    Args:
        trial: The trial, with details.
        follow: Go on to print new output until the trial has ended.

    Raises:
        StudyError: There is nothing to show; the error says where the log may be.
    """
    path = work.attempt_log(trial.trial)
    if follow and trial.state in UNFINISHED:
        _follow(opened, trial, path, out)
    elif not _Tail(path, out).copy():
        if not trial.user_attrs.get(attrs.LOG):
            raise _nothing(opened, trial, work)
        out.write(_with_end(str(trial.user_attrs[attrs.LOG])))
    out.flush()


def last_lines(path: Path, n: int = 200, most_bytes: int = 24_000) -> str:
    """Return the end of a log, or an empty text if the file cannot be read.

    Args:
        n: Largest number of lines.
        most_bytes: Largest size of the text as JSON; a longer line loses its start.
    """
    try:
        with open(open_file(path, DEPTH, os.O_RDONLY), "rb") as file:
            size = file.seek(0, os.SEEK_END)
            start = max(0, size - most_bytes)
            file.seek(start)
            text = file.read(most_bytes).decode("utf-8", errors="replace")
    except OSError:
        return ""
    lines = text.removesuffix("\n").split("\n")
    if start > 0 and len(lines) > 1:
        del lines[0]  # its start was not read
    lines = lines[-n:]
    while len(lines) > 1 and _json_bytes(lines) > most_bytes:
        del lines[: max(1, len(lines) // 8)]
    while _json_bytes(lines) > most_bytes:
        lines = [lines[0][len(lines[0]) // 8 + 1 :]]
    return "\n".join(lines)


def _json_bytes(lines: list[str]) -> int:
    return len(json.dumps("\n".join(lines)))


class _Tail:
    """Copies a file that may grow, or not exist yet, to `out`."""

    def __init__(self, path: Path, out: TextIO) -> None:
        self._path, self._out = path, out
        self._position = 0
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        # Each state of a progress bar becomes a line, so a carriage return cannot hide text.
        self._decoder = io.IncrementalNewlineDecoder(decoder, translate=True)

    def copy(self) -> bool:
        """Copy new text; return whether the file can be read."""
        while True:
            try:
                with open(open_file(self._path, DEPTH, os.O_RDONLY), "rb") as file:
                    file.seek(self._position)
                    chunk = file.read(CHUNK_BYTES)
            except OSError:
                return False
            if not chunk:
                return True
            self._position += len(chunk)
            self._out.write(harmless_lines(self._decoder.decode(chunk)))
            self._out.flush()


def _follow(opened: OpenStudy, trial: Attempt, path: Path, out: TextIO) -> None:
    """Print the log as it grows, or the reports if this machine does not have the log."""
    tail, n_shown, is_seen = _Tail(path, out), 0, False
    while trial.state in UNFINISHED:
        is_seen = tail.copy()
        if not is_seen:
            n_shown = _show_reports(trial, n_shown, out)
        time.sleep(POLL_S)
        trial = find_trial(opened, str(trial.trial))
    if tail.copy() or is_seen:
        return
    _show_reports(trial, n_shown, out)
    out.write(_with_end(str(trial.user_attrs.get(attrs.LOG, ""))))
    value = "" if trial.value is None else f", value {trial.value}"
    how = harmless(str(trial.user_attrs.get(attrs.REASON) or trial.state.name))
    out.write(f"trial {trial.trial} has ended: {how}{value}\n")


def _show_reports(trial: Attempt, n_shown: int, out: TextIO) -> int:
    """Print the reports after the first `n_shown`; return the number of all reports."""
    for step in sorted(trial.reports)[n_shown:]:
        out.write(f"{step} {trial.reports[step]}\n")
    out.flush()
    return len(trial.reports)


def _with_end(text: str) -> str:
    shown = harmless_lines(text.replace("\r\n", "\n").replace("\r", "\n"))
    return shown if not shown or shown.endswith("\n") else f"{shown}\n"


def _nothing(opened: OpenStudy, trial: Attempt, work: WorkDir) -> StudyError:
    what = f"trial {trial.trial} of study '{opened.name}'"
    worker, of_study = trial.user_attrs.get(attrs.WORKER), f"--study {shlex.quote(opened.name)}"
    if worker is None:
        return StudyError(
            f"no log of {what}: it is {trial.state.name}, and no worker of this program ran it",
            f"study status {of_study}",
        )
    host = host_of(str(worker))
    return StudyError(
        f"no log of {what} here, in {work.own}: it is {trial.state.name} and ran on {host}",
        f"--work-dir DIR, or on {host}: study logs {trial.trial} {of_study}",
    )
