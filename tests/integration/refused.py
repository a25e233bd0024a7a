"""What a command says of a database that it cannot use, for the tests of bad ones."""

import ctypes
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from typer.testing import CliRunner, Result

from study.cli.app import app

CREATE = ("create", "--study", "s", "--objective", "synthetic", "--n-trials", "2", "--wait", "2s")
STATUS = ("status", "--study", "s")
SECRET = "s3cret"
LIMIT_S = 20.0  # far below any timeout that is not bounded by --wait 2s, also on a busy machine


def command(*arguments: str, url: str) -> Result:
    """Run a command of the program in this process."""
    level = logging.getLogger("optuna").level
    try:
        return CliRunner().invoke(app, [*arguments, "--storage", url])
    finally:
        logging.getLogger("optuna").setLevel(level)


def error_of(*arguments: str, url: str) -> tuple[str, str]:
    """Run a command, which must fail with one line and perhaps a hint; return both."""
    started = time.monotonic()
    done = command(*arguments, url=url)
    assert time.monotonic() - started < LIMIT_S
    assert done.exit_code == 1, done.output
    first, *others = done.stderr.splitlines()
    hints = [line.removeprefix("  try: ") for line in others]
    assert len(hints) <= 1, done.stderr
    assert all(line.startswith("  try: ") for line in others), done.stderr
    assert first.startswith("study: error: ")
    assert SECRET not in done.output
    assert "Traceback" not in done.output
    return first.removeprefix("study: error: "), "".join(hints)


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable"))


@contextmanager
def permissions() -> Iterator[None]:
    """Let permissions of files apply to this thread, also where it is root's."""
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = _Header(0x20080522, 0), (_Sets * 2)()
    read_or_write_anything = 0b110  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    assert libc.capget(ctypes.byref(header), sets) == 0
    had = sets[0].effective
    sets[0].effective = had & ~read_or_write_anything
    assert libc.capset(ctypes.byref(header), sets) == 0, os.strerror(ctypes.get_errno())
    try:
        yield
    finally:
        sets[0].effective = had
        assert libc.capset(ctypes.byref(header), sets) == 0


@contextmanager
def mode(path: Path, bits: int) -> Iterator[None]:
    """A file or folder with other permissions, which apply."""
    before = path.stat().st_mode
    path.chmod(bits)
    try:
        with permissions():
            yield
    finally:
        path.chmod(before)
