"""Output of a trial: its log file, the log's end in the database, or its reports.

Decides which of these is shown. A log file is seen where the work dir is; the end of a failed
attempt's log is in the database, where any machine sees it. The path is decided in `workdir.py`,
and what is printed into it in `attemptlog.py`.
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
from study.machine.process import host_of
from study.spec.open import OpenStudy
from study.spec.trials import find_trial
from study.spec.workdir import WorkDir
from study.text import harmless, harmless_lines

POLL_S = 1.0
CHUNK_BYTES = 1 << 16
DEPTH = 2  # names of a log's folder below the work dir


def show_logs(
    opened: OpenStudy, trial: Attempt, work: WorkDir, out: TextIO, *, follow: bool
) -> None:
    """Print what there is of a trial's log.

    Args:
        trial: With details.
        work: Where its log lies, if this machine sees it.
        follow: Whether to print what is added, until the trial has ended.

    Raises:
        StudyError: There is nothing to show; says why, and where it may be seen.
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
    """Return the end of a log, to be kept in the database; empty where it cannot be read.

    Args:
        path: Of a file of any size: only its end is read.
        n: Lines at most.
        most_bytes: Of the text as JSON, at most; of a longer line its end is kept.
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
        del lines[0]  # its beginning is missing
    lines = lines[-n:]
    while len(lines) > 1 and _json_bytes(lines) > most_bytes:
        del lines[: max(1, len(lines) // 8)]
    while _json_bytes(lines) > most_bytes:
        lines = [lines[0][len(lines[0]) // 8 + 1 :]]
    return "\n".join(lines)


def _json_bytes(lines: list[str]) -> int:
    return len(json.dumps("\n".join(lines)))


class _Tail:
    """Copies to `out` what a file has and is given later; nothing while it is not there."""

    def __init__(self, path: Path, out: TextIO) -> None:
        self._path, self._out = path, out
        self._position = 0
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        # A bar that draws over itself becomes a line each time: nothing hides what stood there.
        self._decoder = io.IncrementalNewlineDecoder(decoder, translate=True)

    def copy(self) -> bool:
        """Copy what is new; return whether the file can be read."""
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
    """Print the log as it grows; where it is not seen from here, the reports as they come."""
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
    reason = trial.user_attrs.get(attrs.REASON)
    how = harmless(str(reason or trial.state.name))
    out.write(f"trial {trial.trial} has ended: {how}{value}\n")


def _show_reports(trial: Attempt, n_shown: int, out: TextIO) -> int:
    """Print the reports after the first `n_shown`, as `step value`; return how many there are."""
    for step in sorted(trial.reports)[n_shown:]:
        out.write(f"{step} {trial.reports[step]}\n")
    out.flush()
    return len(trial.reports)


def _with_end(text: str) -> str:
    shown = harmless_lines(text.replace("\r\n", "\n").replace("\r", "\n"))
    return shown if not shown or shown.endswith("\n") else f"{shown}\n"


def _nothing(opened: OpenStudy, trial: Attempt, work: WorkDir) -> StudyError:
    what = f"trial {trial.trial} of study '{opened.name}'"
    worker = trial.user_attrs.get(attrs.WORKER)
    if worker is None:
        return StudyError(
            f"no log of {what}: it is {trial.state.name}, and no worker of ours has had it",
            f"study status --study {shlex.quote(opened.name)}",
        )
    host = host_of(str(worker))
    there = f"study logs {trial.trial} --study {shlex.quote(opened.name)}"
    return StudyError(
        f"no log of {what} here, in {work.own}: it is {trial.state.name} and ran on {host}",
        f"--work-dir DIR, or on {host}: {there}",
    )
