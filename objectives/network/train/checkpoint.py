"""Checkpoint files, from which an interrupted training resumes with the same bits.

Files are written atomically. A damaged file, or a file of another training, is renamed and never
used: a restart only costs time, but a wrong state would give a wrong value. `state.py` decides the
content. Importing this file loads neither NumPy nor TensorFlow.
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
from functools import cached_property
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
# Limits of memory and time, as any file may be in the work dir.
LARGEST, LARGEST_HEADER = 2 << 30, 16 << 20  # bytes of a checkpoint, and of JSON in it
MOST_TRIED = 50  # checkpoints
HUGE = 1e15  # above any loss, duration in s or number of steps
UNFINISHED = ".part"
"""The suffix of a file that is being written."""

_MAGIC = b"slot-study checkpoint\n"
_LENGTH_BYTES = 8  # of the header's length, after the magic
_DIGEST_BYTES = 32  # sha256 of all other bytes, at the end
_DEPTH = 4  # of an attempt's folder below the work dir: <study>/slots/<slot>/<attempt>
_KEPT = 2  # the newest, and the previous one in case the newest is damaged
_FILE = re.compile(r"epoch-(\d{4,})\.ckpt")
_ATTEMPT = re.compile(r"trial-\d+")
_log = logging.getLogger(__name__)


@dataclass
class Progress:
    """The progress of a training.

    Attributes:
        values: Reported values of the finished epochs; None without validation rows.
        accuracy: Validation accuracy of the last finished epoch.
        loss: Its validation loss, in nats.
        stopped: Whether a callback ended the training after this epoch.
        train_s: Time in training steps, in all processes.
        steady_s: The same without the first step of each process, which builds its graph.
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
        """Raise an exception unless this is possible in a training of `n_epochs`."""
        numbers = [*self.values, self.accuracy, self.train_s, self.steady_s]
        if self.accuracy is None:  # without validation rows
            numbers = [0.0 if one is None else one for one in numbers]
        else:
            numbers.append(self.loss)
        are_right = all(type(one) is float and 0 <= one < HUGE for one in numbers)
        counted = type(self.n_steady) is int and 0 <= self.n_steady < HUGE
        typed = type(self.stopped) is bool and type(self.loss) is float
        if not (are_right and counted and typed and 0 < len(self.values) <= n_epochs):
            raise UnusableError("its content is not valid")

    def add_step(self, step_s: float) -> None:
        """Count one training step of `step_s` seconds."""
        self.train_s += step_s
        if not self.cold:
            self.steady_s += step_s
            self.n_steady += 1
        self.cold = False

    def info(self, n_steps: int, batch_size: int, n_resumed: int) -> dict[str, float]:
        """Return the numbers of a finished training; see `training.fit_network`.

        `n_steps` is the number of steps of an epoch; other processes trained `n_resumed` epochs.
        """
        n_epochs = len(self.values)
        timed, seconds = self.n_steady, self.steady_s
        if not timed:  # no process took a second step
            timed, seconds = n_epochs * n_steps, self.train_s
        speed = timed * batch_size / max(seconds, 1e-9)
        found = {"n_epochs": float(n_epochs), "train_s": self.train_s, "images_per_s": speed}
        found["first_step_s"] = self.train_s - self.steady_s
        return found | ({"resumed_epochs": float(n_resumed)} if n_resumed else {})


class Checkpoints:
    """The checkpoints of one attempt, and those of earlier attempts to resume from.

    Args:
        folder: The attempt's folder, which need not exist yet, beside those of earlier attempts.
            None: no checkpoint is written or read.
        identity: From `training_identity`.
        options: Decide how often a checkpoint is due.
        state: State of the training, before its first epoch.
    """

    def __init__(
        self, folder: Path | None, identity: str, options: "FitOptions", state: TrainingState
    ) -> None:
        self._folder, self._options, self._state = folder, options, state
        self._fixed = {"format": FORMAT, "versions": _versions(), "identity": identity}
        self._resumed: Path | None = None

    def resume(self) -> Progress:
        """Restore the state after the last epoch that any attempt finished.

        Returns:
            That attempt's progress, or an empty progress without a usable checkpoint.
        """
        for path in _candidates(self._folder)[:MOST_TRIED] if self._folder else []:
            try:
                header, content = read_checkpoint(path, self._fixed)
                progress = Progress(**header["progress"])
                progress.check(self._options.epochs)
                restore = self._state.restorer(header["state"], content)
            except FileNotFoundError:
                continue  # the older attempt still runs, and removed the file
            except Exception as error:  # another user may have written the file
                reason: Any = "its content is not valid"
                if isinstance(error, OSError | UnusableError):
                    reason = error.strerror if isinstance(error, OSError) else error
                _log.warning("checkpoint %s is set aside: %s", path, reason)
                _set_aside(path)
            else:
                self._resumed = path
                restore()
                self._state.network.stop_training = progress.stopped
                return progress
        return Progress()

    def set_all_aside(self, error: Exception) -> bool:
        """Rename all checkpoints after an error, if the training was resumed from one.

        The content of a checkpoint must not fail the trial. Later checkpoints follow from it, and
        earlier ones may have the same author.

        Returns:
            Whether to restart the training.
        """
        if self._folder is None or self._resumed is None:
            return False
        why = one_line(f"{type(error).__name__}: {error}")
        _log.warning("training restarts: it failed after checkpoint %s: %s", self._resumed, why)
        for path in _candidates(self._folder):
            _set_aside(path)
        return True

    def save(self, progress: Progress) -> None:
        """Write the checkpoint of the finished epoch, if it is due, and remove old ones.

        Raises:
            CheckpointError: The file cannot be written; earlier files are unchanged.
        """
        n_done = len(progress.values)
        due = n_done % self._options.checkpoint_every == 0 or n_done == self._options.epochs
        if self._folder is None or not (due or progress.stopped) or self._has_unsaved_op:
            return
        described, content = self._state.gather()
        done = asdict(replace(progress, cold=True))
        header = {**self._fixed, "progress": done, "state": described}
        write_checkpoint(self._folder / f"epoch-{n_done - 1:04d}.ckpt", header, content)
        for _, old in _epochs_in(self._folder)[:-_KEPT]:
            with contextlib.suppress(OSError):
                old.unlink()

    @cached_property
    def _has_unsaved_op(self) -> bool:
        """Whether the model has random state that cannot be saved; warns if so."""
        op = self._state.unsaved_op()
        if op is not None:
            _log.warning(
                "no checkpoints: the random state of the model's op %s cannot be saved; "
                "the state of keras.random can",
                op,
            )
        return op is not None


def latest_epoch(slot_dir: Path) -> int | None:
    """Return the highest epoch that has a checkpoint in any attempt at a slot, by file names.

    `slot_dir` holds the attempts' folders; it need not exist.
    """
    found = [epoch for folder in _attempts_in(slot_dir) for epoch, _ in _epochs_in(folder)]
    return max(found, default=None)


def training_identity(
    params: Mapping[str, Any], seed: int, dataset: "Dataset", options: "FitOptions"
) -> str:
    """Return the sha256 (hex) of all inputs, except code, that decide a training's bits."""
    import tensorflow as tf

    rows = hashlib.sha256()
    for split in (dataset.train, dataset.valid):
        rows.update(f"{len(split.rows)}:".encode() + split.rows.astype("<i8").tobytes())
    backend = ["tensorflow"]
    for device in tf.config.get_visible_devices("GPU"):  # its kernels decide the last bits
        details = tf.config.experimental.get_device_details(device)
        backend.append(str(details.get("device_name", "GPU")))
    parts = {**asdict(options), "params": dict(params), "seed": seed, "backend": backend}
    parts |= {"data": dataset.fingerprint, "rows": rows.hexdigest()}
    for name in ("checkpoint_every", "stop_after"):  # no epoch's bits depend on them
        del parts[name]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=repr).encode()).hexdigest()


def write_checkpoint(path: Path, header: Mapping[str, Any], content: Sequence[bytes]) -> None:
    """Write a file atomically: it is complete or missing, even after power loss.

    It holds a magic, the length of the header, the header as JSON, the content, and a sha256 of
    all.

    Raises:
        CheckpointError: The disk is full or broken; the partial file is removed.
    """
    text = json.dumps(header).encode()
    part = f"{path.name}{UNFINISHED}"  # no other process writes into the attempt's folder
    within = -1
    try:
        within = open_folder(path.parent, _DEPTH, make=True)
        digest = hashlib.sha256()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part, dir_fd=within)
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=within)
        with open(handle, "wb") as file:  # O_EXCL: never through a link
            for piece in (_MAGIC, len(text).to_bytes(_LENGTH_BYTES, "little"), text, *content):
                file.write(piece)
                digest.update(piece)
            file.write(digest.digest())
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path.name, src_dir_fd=within, dst_dir_fd=within)
        # Some network file systems cannot sync folders. At most an epoch's work could be lost.
        with contextlib.suppress(OSError):
            os.fsync(within)
    except BaseException as error:
        if within >= 0:
            with contextlib.suppress(OSError):
                os.unlink(part, dir_fd=within)
        if not isinstance(error, OSError):
            raise
        raise CheckpointError(
            f"cannot write the checkpoint {path}: {error.strerror or error}",
            hint="free space on that disk, or use another one with --work-dir DIR",
        ) from error
    finally:
        if within >= 0:
            os.close(within)


def read_checkpoint(path: Path, expected: Mapping[str, Any]) -> tuple[dict[str, Any], memoryview]:
    """Return header and content of an undamaged file with the expected header fields.

    Raises:
        UnusableError: The file is damaged, or has another format, version or identity.
        OSError: The file cannot be read.
        Exception: The header is malformed.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(handle, "rb") as file:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST:
            raise UnusableError(f"it is not a regular file of up to {LARGEST >> 30} GB")
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
    """Return the checkpoints of all attempts at a slot, highest epoch first."""
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
