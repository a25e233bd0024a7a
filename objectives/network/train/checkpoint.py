"""Checkpoints: files from which an interrupted training goes on as if nothing had been.

Decides how a checkpoint is written so that it is there whole or not at all, when one is due, and
which one a training is taken up from. A file that is damaged, or of another training, is set aside
and never used: starting anew costs time, a wrong state would cost the truth of a value. What is in
a state, `trainstate.py` decides. Importing this file loads neither NumPy nor TensorFlow.
"""

import contextlib
import hashlib
import json
import logging
import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from objectives.errors import CheckpointError
from objectives.files.ownfile import open_folder
from objectives.framework.sentence import one_line
from objectives.network.train.state import TrainingState, UnusableError

if TYPE_CHECKING:
    from objectives.base import FitOptions
    from objectives.data.dataset import Dataset

FORMAT = 3
# Memory and time are bounded, whatever lies in the work dir.
LARGEST, LARGEST_HEADER = 2 << 30, 16 << 20  # bytes of a checkpoint, and of JSON in it
MOST_TRIED = 50  # checkpoints
HUGE = 1e15  # no loss, duration in s or number of steps comes near
UNFINISHED = ".part"
"""The suffix of a file that is being written."""

_MAGIC = b"slot-study checkpoint\n"
_LENGTH_BYTES = 8  # of the header's length, after the magic
_DIGEST_BYTES = 32  # sha256 of everything before it, at the end
_DEPTH = 4  # names of an attempt's folder below the work dir: <study>/slots/<slot>/<attempt>
_KEPT = 2  # the newest, and one before it should the newest turn out damaged
_FILE = re.compile(r"epoch-(\d{4,})\.ckpt")
_ATTEMPT = re.compile(r"trial-\d+")
_log = logging.getLogger(__name__)


@dataclass
class Progress:
    """How far a training has come.

    Attributes:
        values: What was reported of each finished epoch; None where there are no valid rows.
        accuracy: Valid accuracy of the last of them.
        loss: Its valid loss, in nats.
        stopped: Whether a callback ended the training after it.
        train_s: Training steps alone, of every process that took part.
        steady_s: Of these, without the first step of each process, which builds its graph.
        n_steady: The number of steps in `steady_s`.
        cold: Whether this process has yet to take its first step.
    """

    values: list[float | None] = field(default_factory=list)
    accuracy: float | None = None
    loss: float = float("nan")
    stopped: bool = False
    train_s: float = 0.0
    steady_s: float = 0.0
    n_steady: int = 0
    cold: bool = True

    def check(self, n_epochs: int) -> None:
        """Raise an exception unless a training of so many epochs may have come so far."""
        numbers = [*self.values, self.accuracy, self.train_s, self.steady_s]
        if self.accuracy is None:  # without valid rows
            numbers = [0.0 if one is None else one for one in numbers]
        else:
            numbers.append(self.loss)
        are_right = all(type(one) is float and 0 <= one < HUGE for one in numbers)
        counted = type(self.n_steady) is int and 0 <= self.n_steady < HUGE
        is_said = type(self.stopped) is bool and type(self.loss) is float
        if not (are_right and counted and is_said and 0 < len(self.values) <= n_epochs):
            raise UnusableError("it is not as ours are")

    def add_step(self, step_s: float) -> None:
        """Count one training step, and what it took in s."""
        self.train_s += step_s
        if not self.cold:
            self.steady_s += step_s
            self.n_steady += 1
        self.cold = False

    def info(self, n_steps: int, batch_size: int, n_resumed: int) -> dict[str, float]:
        """Return the numbers of a finished training; see `training.fit_network`.

        Args:
            n_steps: Of an epoch.
            batch_size: Of a step.
            n_resumed: The epochs that another process has trained.
        """
        n_epochs = len(self.values)
        timed, seconds = self.n_steady, self.steady_s
        if not timed:  # no process came to a second step
            timed, seconds = n_epochs * n_steps, self.train_s
        speed = timed * batch_size / max(seconds, 1e-9)
        found = {"n_epochs": float(n_epochs), "train_s": self.train_s, "images_per_s": speed}
        found["first_step_s"] = self.train_s - self.steady_s
        return found | ({"resumed_epochs": float(n_resumed)} if n_resumed else {})


class Checkpoints:
    """The checkpoints of one attempt, and those of earlier attempts that it may go on from."""

    def __init__(
        self, folder: Path | None, identity: str, options: "FitOptions", state: TrainingState
    ) -> None:
        """Keep the parts.

        Args:
            folder: The attempt's own, which need not exist yet. The folders beside it are those of
                earlier attempts. None: nothing is written, and nothing found.
            identity: From `training_identity`.
            options: Says how often a checkpoint is due.
            state: Of the training, before its first epoch.
        """
        self._folder, self._options, self._state = folder, options, state
        self._fixed = {"format": FORMAT, "versions": _versions(), "identity": identity}
        self._forgetful: bool | None = None
        self._taken: Path | None = None

    def take_up(self) -> Progress:
        """Put everything back as it was after the last epoch that any attempt has finished.

        Returns:
            That attempt's progress, or one of no epochs where there is no usable checkpoint.
        """
        for path in _candidates(self._folder)[:MOST_TRIED] if self._folder else []:
            try:
                header, content = read_checkpoint(path, self._fixed)
                progress = Progress(**header["progress"])
                progress.check(self._options.epochs)
                restore = self._state.restorer(header["state"], content)
            except FileNotFoundError:
                continue  # the older attempt is not dead yet, and has tidied up
            except Exception as error:  # anybody may have written it
                reason: Any = "it is not as ours are"
                if isinstance(error, OSError | UnusableError):
                    reason = error.strerror if isinstance(error, OSError) else error
                _log.warning("checkpoint %s is set aside: %s", path, reason)
                _set_aside(path)
            else:
                self._taken = path  # whatever fails from here on
                restore()
                self._state.network.stop_training = progress.stopped
                return progress
        return Progress()

    def blame(self, error: Exception) -> bool:
        """Set aside all checkpoints after an error, if the training has gone on from one.

        Whatever it holds, it must not charge the trial. Those after it have come of it, and those
        before it may be of the same hand.

        Returns:
            Whether the training is to be done anew.
        """
        if self._folder is None or self._taken is None:
            return False
        why = one_line(f"{type(error).__name__}: {error}")
        _log.warning("training starts anew: it failed after checkpoint %s: %s", self._taken, why)
        for path in _candidates(self._folder):
            _set_aside(path)
        return True

    def save(self, progress: Progress) -> None:
        """Write the checkpoint of the epoch just finished, if one is due, and drop old ones.

        Raises:
            CheckpointError: It cannot be written; those before it are as they were.
        """
        n_done = len(progress.values)
        due = n_done % self._options.checkpoint_every == 0 or n_done == self._options.epochs
        if self._folder is None or not (due or progress.stopped) or self._is_forgetful():
            return
        described, content = self._state.gather()
        done = asdict(replace(progress, cold=True))
        header = {**self._fixed, "progress": done, "state": described}
        write_checkpoint(self._folder / f"epoch-{n_done - 1:04d}.ckpt", header, content)
        for _, old in _epochs_in(self._folder)[:-_KEPT]:
            with contextlib.suppress(OSError):
                old.unlink()

    def _is_forgetful(self) -> bool:
        """Whether no checkpoint could hold all of the state; says so, the first time."""
        if self._forgetful is None:
            op = self._state.forgetful_op()
            self._forgetful = op is not None
            if op is not None:
                _log.warning(
                    "no checkpoints: the random state of the model's op %s cannot be saved; "
                    "that of keras.random can",
                    op,
                )
        return self._forgetful


def latest_epoch(slot_dir: Path) -> int | None:
    """Return the highest epoch of which any attempt at a slot has a checkpoint, by names alone.

    Args:
        slot_dir: The folder of the attempts' folders; it need not exist.
    """
    found = [epoch for folder in _attempts_in(slot_dir) for epoch, _ in _epochs_in(folder)]
    return max(found, default=None)


def training_identity(
    params: Mapping[str, Any], seed: int, dataset: "Dataset", options: "FitOptions"
) -> str:
    """Return the sha256 (hex) of what decides the bits of a training, but for the code."""
    import tensorflow as tf

    rows = hashlib.sha256()
    for split in (dataset.train, dataset.valid):
        rows.update(f"{len(split.rows)}:".encode() + split.rows.astype("<i8").tobytes())
    backend = ["tensorflow"]
    for device in tf.config.get_visible_devices("GPU"):  # other kernels, other last bits
        details = tf.config.experimental.get_device_details(device)
        backend.append(str(details.get("device_name", "GPU")))
    parts = {**asdict(options), "params": dict(params), "seed": seed, "backend": backend}
    parts |= {"data": dataset.fingerprint, "rows": rows.hexdigest()}
    for name in ("checkpoint_every", "stop_after"):  # no epoch's bits depend on them
        del parts[name]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=repr).encode()).hexdigest()


def write_checkpoint(path: Path, header: Mapping[str, Any], content: Sequence[bytes]) -> None:
    """Write a file that is there whole or not at all, even after a loss of power.

    Magic, length of the header, header as JSON, content, sha256 of all that.

    Raises:
        CheckpointError: The disk is full or broken; nothing of the file is left.
    """
    text = json.dumps(header).encode()
    # The folder is one attempt's own: nobody else writes under this name.
    part = f"{path.name}{UNFINISHED}"
    try:
        within = open_folder(path.parent, _DEPTH, make=True)
    except OSError as error:
        raise _unwritten(path, error) from error
    try:
        digest = hashlib.sha256()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part, dir_fd=within)
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=within)
        with open(handle, "wb") as file:  # through no link that somebody has put there
            for piece in (_MAGIC, len(text).to_bytes(_LENGTH_BYTES, "little"), text, *content):
                file.write(piece)
                digest.update(piece)
            file.write(digest.digest())
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path.name, src_dir_fd=within, dst_dir_fd=within)
        # Some network file systems sync no folders. All that could be lost is an epoch's work.
        with contextlib.suppress(OSError):
            os.fsync(within)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(part, dir_fd=within)
        if not isinstance(error, OSError):
            raise
        raise _unwritten(path, error) from error
    finally:
        os.close(within)


def _unwritten(path: Path, error: OSError) -> CheckpointError:
    return CheckpointError(
        f"cannot write the checkpoint {path}: {error.strerror or error}",
        hint="free space on that disk, or name another one with --work-dir DIR",
    )


def read_checkpoint(path: Path, expected: Mapping[str, Any]) -> tuple[dict[str, Any], memoryview]:
    """Return header and content of a file that is as it was written and says what is expected.

    Args:
        path: The file.
        expected: Its format, versions and identity, as they stand in the header.

    Raises:
        UnusableError: It is damaged, or of something else.
        OSError: It cannot be read.
        Exception: Any other: its header is not as ours are.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(handle, "rb") as file:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST:
            raise UnusableError(f"it is no file of up to {LARGEST >> 30} GB")
        whole = memoryview(file.read(found.st_size))
    body, digest = whole[:-_DIGEST_BYTES], whole[-_DIGEST_BYTES:]
    start = len(_MAGIC) + _LENGTH_BYTES
    if body[: len(_MAGIC)] != _MAGIC or hashlib.sha256(body).digest() != digest:
        raise UnusableError("it is torn or damaged")
    n_header = int.from_bytes(body[len(_MAGIC) : start], "little")
    if n_header > LARGEST_HEADER:
        raise UnusableError(f"its header has more than {LARGEST_HEADER >> 20} MB")
    end = start + n_header
    header: dict[str, Any] = json.loads(bytes(body[start:end]))
    for name, wanted in expected.items():
        if header[name] != wanted:
            what = "another training" if name == "identity" else f"{name} {header[name]!r:.200}"
            raise UnusableError(f"it is of {what}")
    return header, body[end:]


def _set_aside(path: Path) -> None:
    with contextlib.suppress(OSError):
        os.replace(path, path.with_name(f"{path.name}.set-aside"))


def _versions() -> dict[str, str]:
    import keras
    import numpy as np
    import tensorflow as tf

    return {"keras": keras.__version__, "tensorflow": tf.__version__, "numpy": np.__version__}


def _candidates(folder: Path) -> list[Path]:
    """Return the checkpoints of all attempts at a slot, that of the highest epoch first."""
    folders = {folder, *_attempts_in(folder.parent)}
    found = [pair for one in folders for pair in _epochs_in(one)]
    return [path for _, path in sorted(found, reverse=True)]


def _attempts_in(slot_dir: Path) -> list[Path]:
    return [path for path in _listed(slot_dir, _DEPTH - 1) if _ATTEMPT.fullmatch(path.name)]


def _epochs_in(folder: Path) -> list[tuple[int, Path]]:
    """Return epoch and path of each checkpoint in a folder, in rising order."""
    named = [(_FILE.fullmatch(path.name), path) for path in _listed(folder, _DEPTH)]
    return sorted((int(match[1]), path) for match, path in named if match)


def _listed(folder: Path, depth: int) -> list[Path]:
    with contextlib.suppress(OSError):
        handle = open_folder(folder, depth)
        try:
            return [folder / name for name in os.listdir(handle)]
        finally:
            os.close(handle)
    return []
