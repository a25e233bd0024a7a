"""Which checkpoints are written and kept, which one is taken up, and which are set aside."""

import copy
import hashlib
import json
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from objectives.errors import CheckpointError
from objectives.network.cnn import KerasObjective
from objectives.network.train import checkpoint
from objectives.network.train.checkpoint import training_identity
from objectives.space.space import parse_space
from tests.conditions import OTHER_PRECISION, THREADS
from tests.integration.resuming import (
    OPTIONS,
    SMALL,
    Outcome,
    Stop,
    calm,
    died,
    files,
    finished,
    hasty,
    played,
)
from tests.integration.trainings import build_linear, tiny_dataset

# Keras 3.15 reads TensorFlow's variables in a way that NumPy 2 deprecates.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.trains,
]


def test_checkpoints_are_written_when_due_and_two_are_kept(tmp_path: Path) -> None:
    """Before the report of their epoch; the last epoch always has one."""
    folder, seen = tmp_path / "trial-1", []
    for every in (1, 3):
        objective = KerasObjective(
            build_linear,
            parse_space({"x": [1, 2]}),
            replace(OPTIONS, epochs=5, checkpoint_every=every),
        )
        objective.fit(
            SMALL,
            tiny_dataset(),
            seed=every,
            report=lambda step, value: seen.append(files(folder)),
            resume_dir=folder,
        )
        for path in folder.iterdir():
            path.unlink()
    numbers = [[int(name[6:10]) for name in names] for names in seen]
    assert numbers == [[0], [0, 1], [1, 2], [2, 3], [3, 4], [], [], [2], [2], [2, 4]]


def test_no_folder_means_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial run and a retraining leave nothing anywhere."""
    monkeypatch.chdir(tmp_path)
    finished(None)
    KerasObjective(build_linear, parse_space({"x": [1, 2]}), OPTIONS).trial_run(tiny_dataset())
    assert list(tmp_path.iterdir()) == []


def test_earlier_attempts_are_read_and_left_alone(tmp_path: Path) -> None:
    """The furthest is taken up, whichever number it has, and not a byte in it changes."""
    died(tmp_path / "trial-9", Stop("report", 2))
    died(tmp_path / "trial-30" / "apart" / "trial-1", Stop("report", 0))
    os.rename(tmp_path / "trial-30" / "apart" / "trial-1", tmp_path / "trial-10")
    (tmp_path / "trial-30" / "apart").rmdir()
    (tmp_path / "notes.txt").write_text("no attempt")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    ended = played(tmp_path / "trial-11")
    assert ended is not None
    assert ended[1].info["resumed_epochs"] == 3
    assert {path: path.read_bytes() for path in before} == before
    assert files(tmp_path / "trial-11") == ["epoch-0003.ckpt"]


def truncated(path: Path) -> None:
    """Leave the first half of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flipped(path: Path) -> None:
    """Change one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def emptied(path: Path) -> None:
    """Leave a file of no bytes, as a loss of power might."""
    path.write_bytes(b"")


def replaced_by_folder(path: Path) -> None:
    """Put something there that cannot be read at all."""
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [truncated, flipped, emptied, replaced_by_folder])
def test_a_damaged_checkpoint_is_set_aside_for_the_one_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None]
) -> None:
    """One line says so, and the result is what it would have been."""
    died(tmp_path / "trial-1", Stop("report", 2))
    damage(tmp_path / "trial-1" / "epoch-0002.ckpt")
    ended = played(tmp_path / "trial-2")
    assert ended is not None
    assert ended[1].info["resumed_epochs"] == 2
    assert files(tmp_path / "trial-1") == ["epoch-0001.ckpt", "epoch-0002.ckpt.set-aside"]
    (said,) = caplog.records
    assert (said.name, said.levelno) == ("objectives.network.train.checkpoint", logging.WARNING)
    assert "trial-1/epoch-0002.ckpt is set aside: " in said.getMessage()
    assert "\n" not in said.getMessage()
    assert ended[0] == calm()


def test_where_no_checkpoint_is_sound_training_starts_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Time is lost, and nothing else."""
    died(tmp_path / "trial-1", Stop("report", 2))
    for path in (tmp_path / "trial-1").iterdir():
        flipped(path)
    ended = played(tmp_path / "trial-2")
    assert ended is not None
    assert "resumed_epochs" not in ended[1].info
    assert len(caplog.messages) == 2
    assert ended[0] == calm()


def test_a_checkpoint_of_another_training_is_set_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The seed of another slot, say: its weights are no start for these."""
    died(tmp_path / "trial-1", Stop("report", 0))
    assert finished(tmp_path / "trial-2", seed=4) == finished(None, seed=4)
    assert files(tmp_path / "trial-1") == ["epoch-0000.ckpt.set-aside"]
    reasons = [said.partition("aside: ")[2] for said in caplog.messages]
    assert reasons == ["it is of another training"]


def parts_of(path: Path) -> tuple[Any, bytes]:
    """Return header and content of a checkpoint, as its description says."""
    whole = path.read_bytes()
    start = len(b"slot-study checkpoint\n") + 8
    end = start + int.from_bytes(whole[start - 8 : start], "little")
    return json.loads(whole[start:end]), whole[end:-32]


def forged(header: Any, path: str, value: Any) -> dict[str, Any]:
    """Return a header of ours in which one thing is another: `state.callbacks.0.1`, say."""
    whole = copy.deepcopy(header)
    place, names = whole, path.split(".")
    for name in names[:-1]:
        place = place[int(name) if isinstance(place, list) else name]
    place[int(names[-1]) if isinstance(place, list) else names[-1]] = value
    return dict(whole)


FORGED: list[tuple[str, Any]] = [
    ("progress", 5),
    ("progress", {"values": [0.5], "nonsense": 1}),
    ("progress.values", ["high"]),
    ("progress.values", [0.5] * 9),
    ("progress.stopped", "no"),
    ("progress.loss", None),
    ("progress.loss", float("inf")),
    ("progress.values", []),
    ("progress.values", [10**400]),
    ("progress.values", [float("nan")]),
    ("progress.accuracy", -1.0),
    ("progress.train_s", 10**400),
    ("progress.train_s", 1e300),
    ("progress.steady_s", float("-inf")),
    ("progress.n_steady", -1),
    ("progress.n_steady", 10**400),
    ("state", []),
    ("state.variables.0.2", [1 << 62]),
    ("state.random.python", [3, [0], None]),
    ("state.random.python.2", "gauss"),
    ("state.random.numpy.2", 1 << 30),
    ("state.random.numpy.4", "gauss"),
    ("state.keras_seed", [1, 2, 3]),
    ("state.callbacks", "none"),
    ("state.callbacks.0.1", ["object", "posix.system", {}]),
    ("state.callbacks.0.1", {"wait": ["array", False, "<f8", [1 << 62]]}),
    ("state.callbacks.0.1", {"wait": ["shared", 1 << 62]}),
    ("state.callbacks.0.2", -(1 << 62)),
    ("state.callbacks.0.2", "all"),
]


def test_whatever_lies_in_the_work_dir_is_set_aside_with_a_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Written by somebody who knows the format, or no file at all; the training is as ever."""
    how = {"callbacks": hasty}
    died(tmp_path / "trial-1", Stop("report", 0), **how)
    folder = tmp_path / "trial-1"
    sound = folder / "epoch-0000.ckpt"
    whole, (header, content) = sound.read_bytes(), parts_of(sound)
    start = len(b"slot-study checkpoint\n") + 8
    places = iter([folder / f"epoch-{n:04d}.ckpt" for n in range(1, 60)])
    for path, value in FORGED:
        checkpoint.write_checkpoint(next(places), forged(header, path, value), [content])
    for text in (b"[" * 100_000, b"[]", b"{}", b'{"format": NaN}', b"9" * 5000, b" " * (17 << 20)):
        body = whole[: start - 8] + len(text).to_bytes(8, "little") + text
        next(places).write_bytes(body + hashlib.sha256(body).digest())
    body = whole[: start - 8] + b"\xff" * 8 + whole[start:-32]  # a header of 2**64 bytes
    next(places).write_bytes(body + hashlib.sha256(body).digest())
    checkpoint.write_checkpoint(next(places), header, [content[:-8]])
    os.mkfifo(next(places))
    next(places).mkdir()
    next(places).symlink_to(sound)
    with next(places).open("wb") as file:
        file.truncate(1 << 42)
    n_bad = len(FORGED) + 12
    ended = played(tmp_path / "trial-2", **how)
    assert ended is not None
    assert ended[1].info["resumed_epochs"] == 1
    assert ended[0] == calm(hasty)
    assert len(caplog.messages) == n_bad
    assert all("is set aside: " in said and "\n" not in said for said in caplog.messages)
    assert sum(name.endswith(".set-aside") for name in files(folder)) == n_bad


def told_again(outcome: Outcome, whole: Outcome) -> bool:
    """Whether a training came to the same as another, and its last reports are those of all."""
    reports = outcome.reports[-len(whole.reports) :]
    return replace(outcome, reports=reports) == whole


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("content", float("nan")), ("state.callbacks.0.1.wait", "x"),
        ("state.callbacks.0.1.patience", None), ("state.callbacks.0.1.on_epoch_end", 5),
        ("state.callbacks.0.1._model", 5),
    ],
)  # fmt: skip
def test_what_a_checkpoint_makes_fail_later_is_not_charged_to_the_trial(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, path: str, value: Any
) -> None:
    """Training starts anew with one line, also where an epoch has been trained on it."""
    how = {"callbacks": hasty}
    died(tmp_path / "trial-1", Stop("report", 1), **how)
    last = tmp_path / "trial-1" / "epoch-0001.ckpt"
    header, content = parts_of(last)
    if path == "content":
        content = np.full(len(content) // 4, value, "f4").tobytes()
    else:
        header = forged(header, path, value)
    checkpoint.write_checkpoint(last, header, [content])
    ended = played(tmp_path / "trial-2", **how)
    assert ended is not None
    assert "resumed_epochs" not in ended[1].info
    assert told_again(ended[0], calm(hasty))
    assert caplog.messages[-1].startswith(f"training restarts: it failed after checkpoint {last}")
    assert len(caplog.messages) == 1
    assert files(tmp_path / "trial-1") == [f"epoch-000{n}.ckpt.set-aside" for n in (0, 1)]


def test_an_error_of_the_training_itself_is_raised(tmp_path: Path) -> None:
    """Once it has come again without a checkpoint."""
    import keras

    def failing() -> list[Any]:
        def fail(epoch: int, logs: Any) -> None:
            if epoch == 2:
                raise RuntimeError("mine")

        return [keras.callbacks.LambdaCallback(on_epoch_begin=fail)]

    died(tmp_path / "trial-1", Stop("report", 1), callbacks=failing)
    with pytest.raises(RuntimeError, match="mine"):
        played(tmp_path / "trial-2", callbacks=failing)


def test_no_checkpoint_is_blamed_for_what_a_report_raises(tmp_path: Path) -> None:
    """A database that is away, a worker that is to stop."""
    died(tmp_path / "trial-1", Stop("report", 1))
    n_told = 0

    def away() -> None:
        nonlocal n_told
        n_told += 1
        if n_told == 3:
            raise ConnectionError

    with pytest.raises(ConnectionError):
        played(tmp_path / "trial-2", in_report=away)
    assert n_told == 3
    assert files(tmp_path / "trial-1") == ["epoch-0000.ckpt", "epoch-0001.ckpt"]


def backed_up(folder: Path) -> list[Any]:
    """Return a callback that copies files between places of its own."""
    import keras

    return [keras.callbacks.BackupAndRestore(folder, delete_checkpoint=False)]


def test_a_checkpoint_has_no_callback_copy_files_elsewhere(tmp_path: Path) -> None:
    """Its places are those of the callback of now; all else that it says goes on."""
    how = {"callbacks": partial(backed_up, tmp_path / "own")}
    died(tmp_path / "trial-1", Stop("report", 1), **how)
    last = tmp_path / "trial-1" / "epoch-0001.ckpt"
    header, content = parts_of(last)
    (tmp_path / "evil").write_text("evil")
    (tmp_path / "mine").write_text("mine")
    tree = header["state"]["callbacks"][0][1]
    tree |= {
        "double_checkpoint": True,
        "_training_metadata_path": str(tmp_path / "evil"),
        "_prev_training_metadata_path": str(tmp_path / "mine"),
        "_weights_path": str(tmp_path / "other.weights.h5"),
    }
    checkpoint.write_checkpoint(last, header, [content])
    ended = played(tmp_path / "trial-2", **how)
    assert ended is not None
    assert ended[1].info["resumed_epochs"] == 2
    assert (tmp_path / "mine").read_text() == "mine"
    assert (tmp_path / "evil").read_text() == "evil"
    assert not (tmp_path / "other.weights.h5").exists()


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    """Not into the file that a link names, where a checkpoint is to be."""
    folder, other = tmp_path / "trial-1", tmp_path / "other"
    folder.mkdir()
    other.write_text("mine")
    for name in ("epoch-0000.ckpt", "epoch-0000.ckpt.part"):
        (folder / name).symlink_to(other)
    died(folder, Stop("report", 0))
    assert other.read_text() == "mine"
    assert (folder / "epoch-0000.ckpt").is_file()


def test_whatever_decides_the_bits_makes_another_identity() -> None:
    """How often checkpoints are written does not, and may differ from attempt to attempt."""
    data = tiny_dataset()
    fewer = replace(data.train, rows=data.train.rows[1:])
    usual: dict[str, Any] = {"params": SMALL, "seed": 3, "dataset": data, "options": OPTIONS}
    others: list[dict[str, Any]] = [
        {"params": {**SMALL, "learning_rate": 2e-3}},
        {"seed": 4},
        {"dataset": replace(data, fingerprint="1" * 64)},
        {"dataset": replace(data, train=fewer)},
        {"dataset": replace(data, valid=fewer)},
        {"dataset": replace(data, train=data.valid, valid=data.train)},
        {"options": replace(OPTIONS, epochs=5)},
        {"options": replace(OPTIONS, precision=OTHER_PRECISION)},
        {"options": replace(OPTIONS, threads=THREADS + 1)},
        {"options": replace(OPTIONS, deterministic=False)},
    ]
    identity = training_identity(**usual)
    found = [training_identity(**{**usual, **other}) for other in others]
    assert len({identity, *found}) == 1 + len(others)
    usual["params"] = dict(reversed(SMALL.items()))
    usual["options"] = replace(OPTIONS, checkpoint_every=7)
    assert training_identity(**usual) == identity


def test_a_checkpoint_of_other_versions_is_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other versions may compute other bits."""
    assert set(checkpoint._versions()) == {"keras", "tensorflow", "numpy"}
    died(tmp_path / "trial-1", Stop("report", 0))
    versions = {**checkpoint._versions(), "tensorflow": "0.1"}
    monkeypatch.setattr(checkpoint, "_versions", lambda: versions)
    ended = played(tmp_path / "trial-2")
    assert ended is not None
    assert "resumed_epochs" not in ended[1].info
    assert files(tmp_path / "trial-1") == ["epoch-0000.ckpt.set-aside"]


def build_deeper(params: Mapping[str, Any], shape: tuple[int, int, int], n_classes: int) -> Any:
    """Return a network of one layer more than it had."""
    import keras

    layers = [keras.layers.Flatten(), keras.layers.Dense(4)]
    return keras.Sequential(
        [keras.Input(shape), *layers, keras.layers.Dense(n_classes, activation="softmax")]
    )


def test_a_checkpoint_of_another_network_is_set_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A user's file that has changed is met by its variables: none is given to another."""
    died(tmp_path / "trial-1", Stop("report", 0), build=build_deeper)
    assert finished(tmp_path / "trial-2") == calm()
    assert "another network or optimizer" in caplog.messages[0]
    died(tmp_path / "trial-3", Stop("batch", 0), callbacks=hasty)
    assert "other callbacks" in caplog.messages[1]


def test_an_attempt_that_cannot_rename_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Setting aside is a courtesy to the next attempt, no need of this one."""
    died(tmp_path / "trial-1", Stop("report", 0))
    flipped(tmp_path / "trial-1" / "epoch-0000.ckpt")
    move = os.replace

    def refused(one: Any, other: Any, **where: int) -> None:
        if str(other).endswith("set-aside"):
            raise PermissionError
        move(one, other, **where)

    monkeypatch.setattr(os, "replace", refused)
    assert finished(tmp_path / "trial-2") == calm()


def test_a_file_that_an_older_attempt_clears_away_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker that was taken for dead may still be at it."""
    died(tmp_path / "trial-1", Stop("report", 2))
    read = checkpoint.read_checkpoint

    def vanishing(path: Path, expected: Any) -> Any:
        if path.name == "epoch-0002.ckpt":
            path.unlink()
        return read(path, expected)

    monkeypatch.setattr(checkpoint, "read_checkpoint", vanishing)
    ended = played(tmp_path / "trial-2")
    assert ended is not None
    assert ended[1].info["resumed_epochs"] == 2
    assert caplog.messages == []


def test_a_full_disk_ends_the_attempt_and_not_the_checkpoint_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next attempt, with room again, goes on from there."""
    sync, n_synced = os.fsync, 0

    def full(descriptor: int) -> None:
        nonlocal n_synced
        n_synced += 1
        if n_synced > 4:  # file and folder of two epochs
            raise OSError(28, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match=r"epoch-0002.ckpt: No space left on device"):
        played(tmp_path / "trial-1")
    monkeypatch.undo()
    assert files(tmp_path / "trial-1") == ["epoch-0000.ckpt", "epoch-0001.ckpt"]
    assert finished(tmp_path / "trial-2") == calm()
