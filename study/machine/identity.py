"""Identity of a worker process (`host:key:pid`), its age, and its exit status in words.

Containers may share host name and process id, and the system reuses ids. So a random key is part of
the name. The supervisor chooses the key, and a process that replaces itself keeps it.
"""

import os
import secrets
import signal
import socket
import time
from pathlib import Path

STAT = Path("/proc/self/stat")
STARTED = 19  # field after the process name: start in clock ticks since the boot
_imported_at = time.monotonic()

KEY = "STUDY_WORKER_KEY"
"""Environment variable with a worker's key."""


def new_key() -> str:
    """Return a key that no other process has."""
    return secrets.token_hex(3)


def name_of(pid: int, key: str) -> str:
    """Return the name of a process of this machine."""
    return f"{socket.gethostname()}:{key}:{pid}"


def own_name() -> str:
    """Return the name of this process; a process that replaces it keeps the name."""
    return name_of(os.getpid(), os.environ.setdefault(KEY, new_key()))


def host_of(name: str) -> str:
    """Return the host of a worker."""
    return name.partition(":")[0]


def pid_of(name: str) -> int | None:
    """Return the process id of a worker; None if another program chose the name."""
    text = name.rpartition(":")[2]
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def process_age_s() -> float:
    """Return the age of this process in s, at most a clock tick too low."""
    try:
        ticks = int(STAT.read_text().rpartition(")")[2].split()[STARTED])
    except OSError:
        return time.monotonic() - _imported_at
    a_second = os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - (ticks + 1) / a_second


def how_it_ended(code: int) -> str:
    """Return an exit code as text: the signal's name, or the number."""
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
