"""Attempts at a training that die where they are told to, for the tests of checkpoints.

Attempts of one slot are folders side by side, as in a study; each test compares the last attempt
with a training that nobody interrupted.
"""

import functools
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from objectives.base import FitOptions, Fitted
from objectives.data.dataset import Dataset
from objectives.network.cnn import KerasObjective
from objectives.space.space import parse_space
from tests.conditions import PRECISION, THREADS, seeded
from tests.integration.trainings import build_linear, tiny_dataset

OPTIONS = FitOptions(epochs=4, precision=PRECISION, threads=THREADS)
SMALL: dict[str, Any] = {"batch_size": 16, "optimizer": "adam"}


class Killed(BaseException):
    """Stands in for the death of the process: nothing of ours may catch it."""


@dataclass(frozen=True)
class Stop:
    """The point at which an attempt dies.

    Attributes:
        event: "batch" (after the second of the epoch), "epoch_end" (scored, not yet written),
            "report" (written, not yet reported), "epoch_begin" (reported) or "train_end".
        epoch: The epoch of the event.
        die: What is done there.
    """

    event: str
    epoch: int = 0
    die: Callable[[], Any] | None = None

    def reached(self, event: str, epoch: int) -> None:
        """Die, if this is the point."""
        if (event, epoch) == (self.event, self.epoch):
            if self.die is not None:
                self.die()
            raise Killed


NEVER = Stop("never")
Callbacks = Callable[[], list[Any]]


def stopper(stop: Stop) -> Any:
    """Return a callback that dies where it is told to, and does nothing else."""
    import keras

    epochs = [0]

    def begin(epoch: int, logs: Any) -> None:
        epochs[0] = epoch
        stop.reached("epoch_begin", epoch)

    return keras.callbacks.LambdaCallback(
        on_epoch_begin=begin,
        on_train_batch_end=lambda batch, logs: batch == 1 and stop.reached("batch", epochs[0]),
        on_epoch_end=lambda epoch, logs: stop.reached("epoch_end", epoch),
        on_train_end=lambda logs: stop.reached("train_end", 0),
    )


@dataclass(frozen=True)
class Outcome:
    """What must not differ by a bit: value, loss, all reports, and the kept weights."""

    value: float | None
    valid_loss: float | None
    n_epochs: float
    reports: tuple[tuple[int, float | None], ...]
    weights: str


def played(
    folder: Path | None,
    stop: Stop = NEVER,
    *,
    build: Any = build_linear,
    params: Mapping[str, Any] = SMALL,
    options: FitOptions = OPTIONS,
    callbacks: Callbacks | None = None,
    dataset: Dataset | None = None,
    seed: int = 3,
    in_report: Callable[[], Any] = lambda: None,
) -> tuple[Outcome, Fitted] | None:
    """Run one attempt and return what came of it, or None if it died."""
    reports: list[tuple[int, float | None]] = []

    def report(step: int, value: float | None) -> None:
        stop.reached("report", step)
        in_report()
        reports.append((step, value))

    def made(_: Mapping[str, Any]) -> list[Any]:
        # Without callbacks, training goes another way at its end: that is tried out too.
        return [*callbacks(), stopper(stop)] if callbacks else []

    objective = KerasObjective(build, parse_space({"x": [1, 2]}), options, callbacks=made)
    data = tiny_dataset() if dataset is None else dataset
    try:
        fitted = objective.fit(params, data, seed=seeded(seed), report=report, resume_dir=folder)
    except Killed:
        return None
    weights = b"".join(weight.tobytes() for weight in fitted.model.get_weights())
    loss, n_epochs = fitted.info.get("valid_loss"), fitted.info["n_epochs"]
    digest = hashlib.sha256(weights).hexdigest()
    return Outcome(fitted.value, loss, n_epochs, tuple(reports), digest), fitted


def finished(folder: Path | None, **how: Any) -> Outcome:
    """Run an attempt that nothing interrupts."""
    ended = played(folder, **how)
    assert ended is not None
    return ended[0]


@functools.cache
def calm(callbacks: Callbacks | None = None) -> Outcome:
    """Return what the smallest training comes to without checkpoints; trained once a process."""
    return finished(None, callbacks=callbacks)


def died(folder: Path, stop: Stop, **how: Any) -> None:
    """Run an attempt that must die."""
    assert played(folder, stop, **how) is None


def files(folder: Path) -> list[str]:
    """The names in an attempt's folder, sorted."""
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def hasty() -> list[Any]:
    """Return a callback that runs out of patience after the third epoch."""
    import keras

    return [keras.callbacks.EarlyStopping("val_loss", patience=2, min_delta=10.0)]
