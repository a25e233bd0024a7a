"""What a benchmark of hours has measured by now, so that the same command goes on from there.

A file of lines, one a result, with the sizes that it was measured with: others do not count.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

HELP = "keep every result in this file, and go on from those that are there"


class Kept:
    """Results by key; measured where they are not there yet.

    Args:
        path: The file; None keeps nothing.
        sizes: What a result depends on beside its key.
    """

    def __init__(self, path: Path | None, sizes: dict[str, Any]) -> None:
        self._path, self._sizes = path, sizes
        lines = path.read_text().splitlines() if path is not None and path.exists() else []
        found = [one for one in map(json.loads, lines) if one["sizes"] == sizes]
        self._there = {tuple(one["key"]): one["result"] for one in found}

    def get(self, key: tuple[Any, ...], measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return a result, measured now if need be, and print it."""
        if key in self._there:
            return self._there[key]
        result = measure()
        line = json.dumps({"key": key, "sizes": self._sizes, "result": result})
        print(line, flush=True)
        if self._path is not None:
            with self._path.open("a") as file:
                file.write(f"{line}\n")
        self._there[key] = result
        return result
