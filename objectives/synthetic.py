"""An objective without training, for load tests, chaos tests and the first example.

Its value is a pure function of params and seed. Options make a trial slow or fail, or append to a
ledger outside the database, which proves which trials ran and how often.
"""

import hashlib
import json
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from objectives.base import Fitted, Params, Report
from objectives.errors import ModelError
from objectives.space.space import SearchSpace, parse_space

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SYNTHETIC_SPACE = parse_space(
    {
        "x": {"low": -1.0, "high": 1.0},
        "y": {"low": 1e-4, "high": 1e-1, "log": True},
        "n": {"low": 1, "high": 8},
        "kind": ["plain", "deep"],
        "depth": {"low": 1, "high": 4, "when": {"kind": "deep"}},
    }
)

_GAIN = 0.6  # the largest share of the final value that is missing in the first report


@dataclass(frozen=True)
class SyntheticData:
    """Stands in for a dataset."""

    fingerprint: str = "synthetic"


class SyntheticObjective:
    """Best near x = 0.2, y = 3e-3, n = 6, kind "deep", depth 3; values lie in 0..1.

    Args are options of the command line, as text:
        sleep_s: How long a trial lasts, in s, spread over its steps.
        n_steps: Reports per trial, >= 1.
        fail_rate: The share of seeds that raise, 0..1.
        ledger: A file to which the start and the end of each trial are appended as JSON lines.

    Raises:
        ModelError: An option is not a number in its range, or the ledger's folder is missing.
    """

    direction = "maximize"
    needs_data = False
    space: SearchSpace = SYNTHETIC_SPACE

    def __init__(
        self,
        sleep_s: str = "0",
        n_steps: str = "5",
        fail_rate: str = "0",
        ledger: str | None = None,
    ) -> None:
        self._sleep_s = _number("sleep_s", sleep_s, 0, math.inf)
        self._n_steps = int(_number("n_steps", n_steps, 1, 1_000_000, whole=True))
        self._fail_rate = _number("fail_rate", fail_rate, 0, 1)
        self._ledger = None if ledger is None else Path(ledger)
        self._noted: dict[str, int | None] = {"slot": None, "attempt": None, "trial": None}
        if self._ledger is not None and not self._ledger.parent.is_dir():
            raise ModelError(f"option ledger: no such folder: {self._ledger.parent}")

    def load(self, data_dir: Path | None) -> SyntheticData:
        return SyntheticData()

    def trial_run(self, dataset: SyntheticData) -> None:
        """Do nothing, as there is no user code to check."""

    def note(self, slot: int, attempt: int, trial: int) -> None:
        """Store the identity of the next `fit` for its lines in the ledger."""
        self._noted = {"slot": slot, "attempt": attempt, "trial": trial}

    def fit(
        self, params: Params, dataset: Any, *, seed: int, report: Report, resume_dir: Path | None
    ) -> Fitted:
        """Sleep, report a learning curve, and return its last value.

        The seed decides whether the trial fails, and moves its value by up to 0.01. Neither
        `dataset` nor `resume_dir` is read.

        Raises:
            RuntimeError: The seed belongs to the `fail_rate`; raised before the first report.
        """
        noted, self._noted = self._noted, dict.fromkeys(self._noted)
        outcome = "complete"
        self._record({"event": "start", "seed": seed, **noted})
        try:
            if _uniform("fail", seed) < self._fail_rate:
                raise RuntimeError("synthetic failure")
            return self._curve(params, seed, report)
        except BaseException as error:
            outcome = type(error).__name__
            raise
        finally:
            self._record({"event": "end", "seed": seed, **noted, "outcome": outcome})

    def predict(self, fitted: Fitted, images: "NDArray[np.uint8]") -> "NDArray[np.float32]":
        raise ModelError(
            "the synthetic objective trains nothing, so it has nothing to predict with",
            "--objective digits-cnn, or --model FILE.py:build",
        )

    def _curve(self, params: Params, seed: int, report: Report) -> Fitted:
        value = synthetic_value(params, seed)
        for step in range(self._n_steps):
            if self._sleep_s:
                time.sleep(self._sleep_s / self._n_steps)
            missing = 1 - (step + 1) / self._n_steps
            report(step, value * (1 - _GAIN * missing ** params["n"]))
        return Fitted(value=value, model=None)

    def _record(self, line: dict[str, Any]) -> None:
        if self._ledger is None:
            return
        text = json.dumps({**line, "pid": os.getpid(), "time": time.time()}) + "\n"
        # A single write in append mode, so that lines of several processes never mix.
        handle = os.open(self._ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(handle, text.encode())
        finally:
            os.close(handle)


def synthetic_value(params: Params, seed: int) -> float:
    """Return the final value of a trial, in 0..1: a pure function of the arguments."""
    loss = 0.2 * (params["x"] - 0.2) ** 2
    loss += 0.1 * (math.log10(params["y"]) + 2.5) ** 2
    loss += 0.005 * (params["n"] - 6) ** 2
    loss += 0.02 * (params["depth"] - 3) ** 2 if params["kind"] == "deep" else 0.1
    noise = 0.01 * (2 * _uniform("noise", seed) - 1)
    return float(min(max(0.99 - loss + noise, 0.0), 1.0))


def _uniform(what: str, seed: int) -> float:
    digest = hashlib.blake2b(f"{what}/{seed}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "little") >> 11) * 2.0**-53


def _number(name: str, text: str, low: float, high: float, whole: bool = False) -> float:
    try:
        number = int(text) if whole else float(text)
    except ValueError:
        number = math.nan
    if not low <= number <= high or math.isinf(number):
        kind = "a whole number" if whole else "a number"
        limits = f"of at least {low}" if math.isinf(high) else f"from {low} to {high}"
        raise ModelError(f"option {name}: {text!r} is not {kind} {limits}")
    return number
