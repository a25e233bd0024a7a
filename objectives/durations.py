"""Where the time of one training goes beside its steps: overhead is to be seen, not guessed.

Decides how parts are named and added up; what is a part, `training.py` decides. A reading of the
clock costs less than a microsecond. Importing this file loads nothing.
"""

import contextlib
import time
from collections.abc import Iterator


class Durations:
    """Seconds of this process by part; a part may be entered again and again, but not nested."""

    def __init__(self) -> None:
        self._spent: dict[str, float] = {}

    @contextlib.contextmanager
    def of(self, part: str) -> Iterator[None]:
        """Count what happens inside as `part`, whether it ends well or not."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._spent[part] = self._spent.get(part, 0.0) + time.perf_counter() - started

    def info(self) -> dict[str, float]:
        """Return the parts met so far, in seconds, each named with its unit."""
        return {f"{part}_s": seconds for part, seconds in self._spent.items()}
