"""What every peer of the race is given, and the two training functions that they call.

`same`: this project's own training, for all, so that only the harness differs. `own`: Keras's
`compile` and `fit` in float32, as each peer's documentation shows it, on the same network with
Keras's own layers for augmentation. The configurations are those that `study run` draws, for all:
luck in drawing is not what is compared, and a slot's number stands for its params.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from objectives.base import FitOptions
from objectives.data.dataset import load_dataset
from objectives.framework.runtime import detect_precision, start_framework
from objectives.network.cnn import build_cnn, digits_cnn
from objectives.network.optimizer import make_optimizer

MARK = "RESULT "


@dataclass(frozen=True)
class Job:
    """One run of one peer.

    Attributes:
        way: "same" or "own".
        data: Folder with train.csv.
        work: An empty folder, for whatever the peer writes.
        valid: Rows of train.csv that are scored and not learned from.
        params, seeds: Of each slot.
        augment: Whether `own` moves the images as the params say.
    """

    way: str
    data: str
    work: str
    epochs: int
    valid: tuple[int, ...]
    params: tuple[dict[str, Any], ...]
    seeds: tuple[int, ...]
    augment: bool

    def __hash__(self) -> int:
        return hash(self.work)


def read_job() -> Job:
    """Return the job whose file is the command line's first argument."""
    found = json.loads(Path(sys.argv[1]).read_text())
    return Job(**{key: tuple(v) if isinstance(v, list) else v for key, v in found.items()})


def answer(values: Mapping[int, float]) -> None:
    """Print the value of each slot, for the race to read."""
    print(MARK + json.dumps({str(slot): float(value) for slot, value in values.items()}))


def train(job: Job, slot: int, threads: int) -> float:
    """Train a slot by the job's way and return its valid accuracy.

    Args:
        job: The job.
        slot: Which configuration.
        threads: Of one training, in `same`; in `own` TensorFlow's own choice is left alone.
    """
    if job.way == "same":
        found = objective(job, threads).fit(
            job.params[slot],
            load_dataset(Path(job.data)),
            seed=job.seeds[slot],
            report=lambda step, value: None,
            resume_dir=None,
        )
        return float(found.value)
    images, labels = own_data(job)
    valid = np.array(job.valid)
    train_rows = np.setdiff1d(np.arange(len(labels)), valid)
    model = own_model(job, slot, len(train_rows))
    history = model.fit(
        images[train_rows],
        labels[train_rows],
        batch_size=job.params[slot]["batch_size"],
        epochs=job.epochs,
        validation_data=(images[valid], labels[valid]),
        verbose=0,
    )
    return float(history.history["val_accuracy"][-1])


def objective(job: Job, threads: int) -> Any:
    """Return this project's objective, with what `study run` would fix for the job."""
    options = FitOptions(epochs=job.epochs, precision=detect_precision(), threads=threads)
    start_framework(options)
    return digits_cnn(options)


@cache
def own_data(job: Job) -> tuple[np.ndarray, np.ndarray]:
    """Return all labelled images, float32 (n, side, side, 1) in 0..1, and one-hot labels."""
    import keras
    import pandas as pd

    table = pd.read_csv(Path(job.data) / "train.csv")
    labels = table.pop("label").to_numpy()
    side = round(len(table.columns) ** 0.5)
    images = table.to_numpy("float32").reshape(-1, side, side, 1) / 255
    return images, keras.utils.to_categorical(labels)


def own_model(job: Job, slot: int, n_rows: int) -> Any:
    """Return a slot's network as a Keras user builds and compiles it."""
    import keras

    params = {"weight_decay": 0.0, "learning_rate": 1e-3, **job.params[slot]}
    images, labels = own_data(job)
    keras.utils.set_random_seed(job.seeds[slot] % 2**32)
    network = build_cnn(params, images.shape[1:], labels.shape[1])
    if job.augment:
        turn, shift, zoom = params["rotation"] / 360, params["shift"], params["zoom"]
        moved = [
            keras.layers.RandomTranslation(shift, shift, fill_mode="constant"),
            keras.layers.RandomRotation(turn, fill_mode="constant"),
            keras.layers.RandomZoom((-zoom, zoom), fill_mode="constant"),
        ]
        network = keras.Sequential([keras.Input(images.shape[1:]), *moved, network])
    n_steps = job.epochs * -(-n_rows // params["batch_size"])
    smoothing = params["label_smoothing"]
    network.compile(
        optimizer=make_optimizer(params, n_steps),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=smoothing),
        metrics=["accuracy"],
    )
    return network
