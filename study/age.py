"""How long ago this process began: starting takes seconds, in which a study may be told something.

Exact where there is /proc; elsewhere it counts from when this file was imported.
"""

import os
import time
from pathlib import Path

STAT = Path("/proc/self/stat")
STARTED = 19  # field behind the name: clock ticks since the machine's boot
_imported_at = time.monotonic()


def process_age_s() -> float:
    """Return the age of this process in s, rather a clock tick too little than too much."""
    try:
        ticks = int(STAT.read_text().rpartition(")")[2].split()[STARTED])
    except OSError:
        return time.monotonic() - _imported_at
    a_second = os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - (ticks + 1) / a_second
