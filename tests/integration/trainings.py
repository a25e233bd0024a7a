"""Tiny trainings for the tests: a dataset, a network, and what tells two results apart."""

import gc
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objectives.base import FitOptions, Fitted
from objectives.data.dataset import Dataset, Split
from objectives.network.cnn import KerasObjective, digits_cnn
from objectives.space.space import parse_space
from tests.acceptance.processes import Place
from tests.conditions import PRECISION, THREADS, seeded

ROOT = Path(__file__).parents[2]
OPTIONS = FitOptions(epochs=2, precision=PRECISION, threads=THREADS)

# Everything random at once: dropout, shuffling, augmentation; and batch norm's own averages.
PARAMS: dict[str, Any] = {
    "n_blocks": 2,
    "filters_1": 4,
    "filters_2": 8,
    "kernel": 3,
    "batch_norm": True,
    "dropout": 0.3,
    "dense_units": 16,
    "optimizer": "adamw",
    "learning_rate": 3e-3,
    "weight_decay": 1e-2,
    "schedule": "one_cycle",
    "batch_size": 16,
    "label_smoothing": 0.05,
    "shift": 0.1,
    "rotation": 10.0,
    "zoom": 0.1,
}

LOADED = """
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import json, sys, numpy as np
import keras, tensorflow
{settings}
model = keras.models.load_model({model!r})
images = np.load({images!r})
assert images.dtype == np.uint8 and not model.compiled
print(json.dumps(model.predict(images, batch_size=256, verbose=0).tolist()))
"""
ALONE = """
assert not {"objectives", "study", "storage"} & set(sys.modules)
"""
AS_HERE = f"""
tensorflow.config.threading.set_intra_op_parallelism_threads({THREADS})
tensorflow.config.threading.set_inter_op_parallelism_threads(1)
tensorflow.config.experimental.enable_op_determinism()
"""


def tiny_dataset(n_rows: int = 75) -> Dataset:
    """Return 8x8 images of three classes, told apart by the brightest third of their rows."""
    generator = np.random.default_rng(5)
    labels = np.arange(n_rows, dtype=np.int64) % 3
    images = generator.integers(0, 120, (n_rows, 8, 8), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[2 * label + 1 : 2 * label + 3] += 130
    rows = np.arange(n_rows)
    return Dataset(
        images=images,
        labels=labels,
        classes=("0", "1", "2"),
        test_images=images[:20],
        test_ids=tuple(str(number) for number in range(1, 21)),
        id_column="ImageId",
        label_column="Label",
        fingerprint="0" * 64,
        train=Split(images, labels, rows[rows % 5 != 0]),
        valid=Split(images, labels, rows[rows % 5 == 0]),
    )


def build_linear(params: Mapping[str, Any], shape: tuple[int, int, int], n_classes: int) -> Any:
    """Return the smallest network there is: it trains in a fraction of a second."""
    import keras

    softmax = keras.layers.Dense(n_classes, activation="softmax")
    return keras.Sequential([keras.Input(shape), keras.layers.Flatten(), softmax])


def objective_of(
    build: Any, options: FitOptions = OPTIONS, callbacks: Any = None
) -> KerasObjective:
    """Return an objective around `build` with a space of one param."""
    return KerasObjective(build, parse_space({"units": [4, 8]}), options, callbacks=callbacks)


def fitted(objective: KerasObjective, params: Mapping[str, Any], seed: int = 1) -> Fitted:
    """Fit on the tiny dataset and forget the reports."""
    return objective.fit(
        params, tiny_dataset(), seed=seeded(seed), report=lambda step, value: None, resume_dir=None
    )


def digest(result: Fitted) -> str:
    """Return the hash of all weights, batch norm's averages among them, and of the score."""
    content = b"".join(weight.tobytes() for weight in result.model.get_weights())
    return hashlib.sha256(content + repr(result.value).encode()).hexdigest()


def run_python(code: str) -> Any:
    """Run code in a fresh interpreter, which must print one JSON value and nothing else."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


def run_forked(code: str, *arguments: object, expected: int = 0) -> Any:
    """Run code in a process that is forked where Keras is loaded and has computed nothing yet.

    It must end with the exit code `expected`, and print one JSON value where that is 0.
    """
    place = Place(ROOT, ROOT / "no ledger", dict(os.environ), trains=True)
    done = place.run(*arguments, python=("-c", code), anew=False, code=expected)
    assert done.err == ""
    return None if expected else json.loads(done.out)


def loading(model: Path, images: NDArray[np.uint8], settings: str = "") -> str:
    """Return code that prints what the file predicts, with Keras and TensorFlow alone.

    Args:
        model: The file.
        images: Raw.
        settings: Code that runs before the file is loaded; `AS_HERE` for as many threads as here.
    """
    saved = model.with_suffix(".npy")
    np.save(saved, images)
    return LOADED.format(model=str(model), images=str(saved), settings=settings)


def predicted_alone(model: Path, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return what the file predicts in a fresh process without this project."""
    code = loading(model, images) + ALONE
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return np.array(json.loads(done.stdout), np.float32)


def n_graphs() -> int:
    """Return the number of TensorFlow graphs that are alive once Keras has let go of all it can."""
    import keras

    keras.utils.clear_session()
    return sum(type(thing).__name__ == "FuncGraph" for thing in gc.get_objects())


def digests() -> dict[str, str]:
    """Return what one training gives in each precision, as the first of this process or not."""
    found = {}
    for precision in ("bfloat16", "float32"):
        objective = digits_cnn(replace(OPTIONS, precision=precision))
        found[precision] = digest(fitted(objective, PARAMS))
    return found
