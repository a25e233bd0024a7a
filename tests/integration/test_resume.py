"""Interrupted trainings, taken up again: the same bits as if nothing had been."""

import json
import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from objectives.errors import Pruned
from objectives.network.optimizer import OPTIMIZERS, SCHEDULES
from objectives.network.train.checkpoint import latest_epoch
from tests.conditions import OTHER_PRECISION, PRECISION
from tests.integration.resuming import (
    NEVER,
    OPTIONS,
    Outcome,
    Stop,
    died,
    files,
    finished,
    played,
)
from tests.integration.trainings import run_forked, tiny_dataset

# Keras 3.15 reads TensorFlow's variables in a way that NumPy 2 deprecates.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.trains,
]

N_STEPS = 4  # of an epoch: 60 rows in batches of 16
STOPS = [
    Stop("batch", 0),
    Stop("epoch_end", 0),
    Stop("report", 0),
    Stop("batch", 1),
    Stop("epoch_begin", 2),
    Stop("batch", 3),
    Stop("report", 3),
    Stop("train_end"),
]


def build_averaged(params: Mapping[str, Any], shape: tuple[int, int, int], n_classes: int) -> Any:
    """Return a small network as a user might compile it, with averaged weights."""
    import keras

    layers = keras.layers
    softmax = layers.Dense(n_classes, activation="softmax", dtype="float32")
    body = [layers.Conv2D(4, 3, padding="same"), layers.BatchNormalization(momentum=0.9)]
    head = [layers.Flatten(), layers.Dropout(params["dropout"]), softmax]
    network = keras.Sequential([keras.Input(shape), *body, *head])
    optimizer = keras.optimizers.AdamW(3e-3, use_ema=params["averaged"], ema_momentum=0.8)
    network.compile(optimizer, "categorical_crossentropy", metrics=["accuracy"])
    return network


def watchful() -> list[Any]:
    """Return the callbacks with a memory that users know best; each acts after every epoch."""
    import keras

    return [
        keras.callbacks.EarlyStopping(
            "val_loss", patience=3, min_delta=10.0, restore_best_weights=True
        ),
        keras.callbacks.ReduceLROnPlateau("val_loss", patience=2, factor=0.3, min_delta=10.0),
    ]


# Batch norm, dropout, shifts, rotations and zooms, averaged weights, callbacks: all at once.
PARAMS: dict[str, Any] = {
    "batch_size": 16,
    "dropout": 0.3,
    "averaged": True,
    "shift": 0.1,
    "rotation": 10.0,
    "zoom": 0.1,
}
EVERYTHING: dict[str, Any] = {"build": build_averaged, "params": PARAMS, "callbacks": watchful}


@pytest.fixture(scope="module")
def undisturbed() -> dict[str, Outcome]:
    """What the training of everything at once comes to in each precision, without checkpoints."""
    return {
        precision: finished(None, **EVERYTHING, options=replace(OPTIONS, precision=precision))
        for precision in ("float32", "bfloat16")
    }


def test_undisturbed_trainings_are_worth_comparing(undisturbed: dict[str, Outcome]) -> None:
    """Each part has a say: leaving any one out gives other weights, so losing it would too."""
    whole = undisturbed[PRECISION]
    assert whole != undisturbed[OTHER_PRECISION]
    assert [step for step, _ in whole.reports] == [0, 1, 2, 3]
    still = {"shift": 0.0, "rotation": 0.0, "zoom": 0.0}
    for without in (
        {**EVERYTHING, "params": {**PARAMS, "dropout": 0.0}},
        {**EVERYTHING, "params": {**PARAMS, **still}},
        {**EVERYTHING, "params": {**PARAMS, "averaged": False}},
        {**EVERYTHING, "callbacks": lambda: watchful()[:1]},
        {**EVERYTHING, "callbacks": lambda: watchful()[1:]},
    ):
        assert finished(None, **without).weights != whole.weights


@pytest.mark.parametrize(
    ("precision", "stop"),
    [*(("float32", stop) for stop in STOPS), *(("bfloat16", stop) for stop in STOPS[::4])],
    ids=lambda value: f"{value.event}-{value.epoch}" if isinstance(value, Stop) else value,
)
def test_an_interrupted_training_ends_as_if_it_had_not_been(
    tmp_path: Path, undisturbed: dict[str, Outcome], precision: str, stop: Stop
) -> None:
    """Wherever it dies; the next attempt finds the folder beside its own."""
    how = {**EVERYTHING, "options": replace(OPTIONS, precision=precision)}
    died(tmp_path / "trial-5", stop, **how)
    assert finished(tmp_path / "trial-9", **how) == undisturbed[precision]


def test_dying_again_and_again_costs_no_epoch_twice(
    tmp_path: Path, undisturbed: dict[str, Outcome]
) -> None:
    """Five attempts, of which each gets a little further; the last one has nothing to train."""
    stops = [Stop("epoch_end", 1), Stop("batch", 1), Stop("report", 1), Stop("train_end")]
    for number, stop in enumerate(stops):
        died(tmp_path / f"trial-{number}", stop, **EVERYTHING)
    ended = played(tmp_path / "trial-4", **EVERYTHING)
    assert ended is not None
    assert ended[0] == undisturbed[PRECISION]
    assert ended[1].info["resumed_epochs"] == 4
    assert latest_epoch(tmp_path) == 3
    written = [files(tmp_path / f"trial-{number}") for number in range(5)]
    assert written == [
        ["epoch-0000.ckpt"],
        [],
        ["epoch-0001.ckpt"],
        ["epoch-0002.ckpt", "epoch-0003.ckpt"],
        [],
    ]


# Each at least once: what a schedule keeps, the count of steps, is no optimizer's own.
@pytest.mark.parametrize(
    ("optimizer", "schedule"), list(zip(OPTIMIZERS, cycle(SCHEDULES), strict=False))
)
def test_every_optimizer_and_schedule_is_taken_up_exactly(
    tmp_path: Path, optimizer: str, schedule: str
) -> None:
    """Momenta, counts of steps and learning rates are all there; without callbacks."""
    assert len(OPTIMIZERS) >= len(SCHEDULES)
    how = {
        "params": {
            "batch_size": 16,
            "optimizer": optimizer,
            "schedule": schedule,
            "weight_decay": 0.01,
        }
    }
    died(tmp_path / "trial-1", Stop("report", 1), **how)
    assert finished(tmp_path / "trial-2", **how) == finished(None, **how)


def test_a_finished_training_is_not_trained_again(tmp_path: Path) -> None:
    """The last checkpoint has the winner's weights; an epoch would cost its time."""
    whole = played(tmp_path / "trial-1")
    (tmp_path / "trial-1" / "epoch-0002.ckpt").unlink()
    again = played(tmp_path / "trial-2")
    assert whole is not None
    assert again is not None
    assert again[0] == whole[0]
    assert "resumed_epochs" not in whole[1].info
    kept = {"n_epochs", "train_s", "images_per_s", "images", "flop", "valid_accuracy", "valid_loss"}
    assert {name: again[1].info[name] for name in kept} == {n: whole[1].info[n] for n in kept}
    assert again[1].info["resumed_epochs"] == 4
    died(tmp_path / "trial-1", Stop("train_end"), callbacks=list)


def test_time_of_all_attempts_is_counted(tmp_path: Path) -> None:
    """`train_s` is that of the training, not that of its last process."""
    died(tmp_path / "trial-1", Stop("report", 2))
    path = tmp_path / "trial-1" / "epoch-0002.ckpt"
    whole = path.read_bytes()
    header = json.loads(whole[30 : 30 + int.from_bytes(whole[22:30], "little")])
    assert header["progress"]["n_steady"] == 3 * N_STEPS - 1
    ended = played(tmp_path / "trial-2")
    assert ended is not None
    assert ended[1].info["train_s"] > header["progress"]["train_s"] > 0
    assert ended[1].info["resumed_epochs"] == 3


def test_training_on_all_rows_is_taken_up_too(tmp_path: Path) -> None:
    """Without valid rows no value is reported, and the weights are the same."""
    dataset = tiny_dataset()
    empty = replace(dataset.valid, rows=np.arange(0))
    how = {"dataset": replace(dataset, valid=empty), "callbacks": list}
    died(tmp_path / "trial-1", Stop("batch", 2), **how)
    assert latest_epoch(tmp_path) == 1
    resumed = finished(tmp_path / "trial-2", **how)
    assert resumed == finished(None, **how)
    assert resumed.value is None
    assert resumed.reports == tuple((epoch, None) for epoch in range(4))


def test_a_decision_to_prune_is_made_again_and_comes_through(tmp_path: Path) -> None:
    """Values that were reported before are reported first, and what that raises is obeyed."""

    def prune() -> None:
        raise Pruned("enough")

    how = {"callbacks": list, "options": replace(OPTIONS, epochs=3)}
    died(tmp_path / "trial-1", Stop("batch", 2), **how)
    with pytest.raises(Pruned, match="enough"):
        played(tmp_path / "trial-2", Stop("report", 1, prune), **how)
    assert files(tmp_path / "trial-2") == []


ATTEMPT = """
import json, sys
from pathlib import Path
from tests.integration.test_resume import attempt
print(json.dumps(attempt(Path(sys.argv[1]), sys.argv[2])))
"""


def attempt(folder: Path, fate: str) -> Any:
    """Run one attempt at everything in this process; JSON of its outcome, if it lives."""
    stops = {
        "in-epoch-1": Stop("batch", 1, lambda: os.kill(os.getpid(), signal.SIGKILL)),
        "unreported": Stop("report", 2, lambda: os._exit(9)),
        "lives": NEVER,
        "writing-2": NEVER,
    }
    if fate == "writing-2":
        move = os.replace

        def replace_until(one: Path | str, other: Path | str, **folders: int) -> None:
            if Path(other).name == "epoch-0002.ckpt":
                os.kill(os.getpid(), signal.SIGKILL)
            move(one, other, **folders)

        os.replace = replace_until  # type: ignore[assignment]
    return (
        repr(finished(folder, **EVERYTHING))
        if stops[fate] is NEVER
        else died(folder, stops[fate], **EVERYTHING)
    )


def test_processes_that_are_killed_one_after_another_end_as_one(
    tmp_path: Path, undisturbed: dict[str, Outcome]
) -> None:
    """SIGKILL in an epoch, SIGKILL while a checkpoint is written, death before its report.

    Fresh processes, each with a folder of its own; the last is held against this one, which has
    trained much else before.
    """
    fates = ["in-epoch-1", "writing-2", "unreported", "lives"]
    for number, fate in enumerate(fates):
        code = {"unreported": 9, "lives": 0}.get(fate, -signal.SIGKILL)
        ended = run_forked(ATTEMPT, tmp_path / f"trial-{number}", fate, expected=code)
    assert ended == repr(undisturbed[PRECISION])
    assert [files(tmp_path / f"trial-{number}") for number in range(4)] == [
        ["epoch-0000.ckpt"],
        ["epoch-0001.ckpt", "epoch-0002.ckpt.part"],
        ["epoch-0002.ckpt"],
        ["epoch-0003.ckpt"],
    ]
