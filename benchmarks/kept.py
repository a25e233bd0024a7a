"""What a benchmark of hours has measured by now, so that the same command goes on from there.

A file of lines, one a result, with the sizes that it was measured with: others do not count.
"""

import json
import multiprocessing
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

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


def keep_arrays(path: Path, **arrays: Any) -> None:
    """Write the arrays of one training; the file is whole or not there."""
    aside = path.with_name(f"{path.name}.part")
    with aside.open("wb") as file:
        np.savez(file, **arrays)
    os.replace(aside, path)


def run_missing(
    train: Callable[[Any, Path, Path], str], jobs: Sequence[Any], data: Path, store: Path, n: int
) -> None:
    """Run the jobs whose file is not in the store yet, in `n` processes; print a line about each.

    Args:
        train: Called with a job, which has a `name`, the data folder and the store.
    """
    missing = [job for job in jobs if not (store / job.name).exists()]
    with multiprocessing.get_context("spawn").Pool(n) as pool:
        tasks = [pool.apply_async(train, (job, data, store)) for job in missing]
        for number, task in enumerate(tasks, 1):
            print(f"{number} of {len(tasks)}: {task.get()}", flush=True)
