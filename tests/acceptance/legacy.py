"""What the last version has left in `tests/legacy`: put into a folder, and compared there.

Nothing of ours is imported but `storage.rdb`: the rest may move. How all of it was made, and how it
is made anew, says `tests/legacy/make.py`.
"""

import hashlib
import json
import platform
import shutil
import sqlite3
import zipfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from storage.rdb import open_storage
from tests.acceptance.processes import ROOT, Done, Place

STORED = ROOT / "tests" / "legacy"
FOLDER = "@FOLDER@"
"""Stands in a stored database for the folder in which it was made."""

WHERE = ["--storage", "sqlite:///study.db", "--study", "digits", "--work-dir", "work"]
CALM = ["--workers", 1, "--cpu", "--drain-timeout", "60s"]
EFFORT = ["--top-k", 2, "--folds", 2, "--repeats", 1, "--longer", 1, "--seeds", 1]
REFITS = "digits.finalize"
_MAGIC = b"slot-study checkpoint\n"

# A training by Keras alone. Where its weights have the same bits, so have all trainings.
PROBE = """
import hashlib, json, os, sys
os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"} | json.loads(sys.argv[1])
import keras, numpy, tensorflow
tensorflow.config.threading.set_intra_op_parallelism_threads(1)
tensorflow.config.threading.set_inter_op_parallelism_threads(1)
tensorflow.config.experimental.enable_op_determinism()
keras.utils.set_random_seed(0)
layers = keras.layers
model = keras.Sequential([
    keras.Input((8, 8, 1)),
    layers.Conv2D(4, 3, padding="same"), layers.MaxPooling2D(2), layers.BatchNormalization(),
    layers.Activation("relu"), layers.Conv2D(4, 3, padding="same"), layers.Flatten(),
    layers.Dense(16, activation="relu"), layers.Dense(4, activation="softmax"),
])
model.compile("adam", "categorical_crossentropy", jit_compile=False)
images = numpy.sin(numpy.arange(16 * 64, dtype="f4") ** 2).reshape(16, 8, 8, 1)
for _ in range(5):
    model.train_on_batch(images, numpy.eye(4, dtype="f4")[numpy.arange(16) % 4])
digest = hashlib.sha256(b"".join(one.tobytes() for one in model.get_weights())).hexdigest()
versions = {one.__name__: one.__version__ for one in (keras, numpy, tensorflow)}
print(json.dumps({"probe": digest, "versions": versions}))
"""


def probed(place: Place) -> dict[str, Any]:
    """What the kernels of this machine make of a training, and the versions of what trains."""
    kernels = {"TF_ENABLE_ONEDNN_OPTS": "1"} if platform.machine() in ("x86_64", "AMD64") else {}
    done = place.run(json.dumps(kernels), python=("-c", PROBE), CUDA_VISIBLE_DEVICES="")
    found: dict[str, Any] = json.loads(done.out)
    return found


def put(name: str, place: Place) -> None:
    """Put the data, and the stored database and files of this name, into the place's folder."""
    shutil.copytree(STORED / "data", place.folder / "data")
    for folder in ("work", "out"):
        if (STORED / name / folder).exists():
            shutil.copytree(STORED / name / folder, place.folder / folder)
    text = (STORED / name / "study.sql").read_text("utf-8").replace(FOLDER, str(place.folder))
    with closing(sqlite3.connect(place.folder / "study.db")) as database:
        database.executescript(text)


def go_on(name: str, place: Place) -> Done:
    """Go on with the search, or with its finalize."""
    place = replace(place, trains=True)
    if name == "study":
        return place.run("run", *WHERE, *CALM)
    return place.run(*WHERE, *EFFORT, *CALM, "--out", "out", python=("-m", "study.finalize"))


def trials(place: Place, study: str = "digits") -> list[dict[str, Any]]:
    """The trials as `study trials --json` has them."""
    found: list[dict[str, Any]] = place.json("trials", *WHERE[:2], "--study", study)
    return found


def resumed(place: Place, study: str = "digits") -> dict[int, float]:
    """Trial to the epochs that it has not trained itself, of those that went on from any."""
    storage = open_storage(f"sqlite:///{place.folder}/study.db", create=False)
    try:
        found = storage.get_all_trials(storage.get_study_id_from_name(study))
    finally:
        storage.close()
    infos = {one.number: one.user_attrs.get("info", {}) for one in found}
    return {n: info["resumed_epochs"] for n, info in infos.items() if "resumed_epochs" in info}


def checkpoints(place: Place) -> dict[str, Path]:
    """The files of all slots, by their paths in the work dir."""
    work = place.folder / "work"
    files = [path for path in work.glob("*/slots/**/*") if path.is_file()]
    return {path.relative_to(work).as_posix(): path for path in sorted(files)}


def state_in(path: Path) -> dict[str, Any]:
    """What of a checkpoint no time and no kernel moves, and the sha256 of all the numbers in it."""
    whole = path.read_bytes()
    start = len(_MAGIC) + 8
    end = start + int.from_bytes(whole[len(_MAGIC) : start], "little")
    header, content = json.loads(whole[start:end]), whole[end:-32]
    found, place = {}, 0
    for name, kind, shape in header["state"]["variables"]:
        array: Any = np.ndarray(shape, kind, content, place)
        place += array.nbytes
        if array.dtype.kind in "iu":  # steps, and the states of generators
            found[name] = array.tolist()
    steady = {"integers": found, **{k: header["state"][k] for k in ("random", "keras_seed")}}
    names = [name for name, *_ in header["state"]["variables"]]
    digest = hashlib.sha256(json.dumps(steady).encode()).hexdigest()
    return {"names": names, "steady": digest, "bits": hashlib.sha256(content).hexdigest()}


def outputs(place: Place) -> dict[str, str]:
    """The sha256 of the submission and of the weights; what is around these tells times and ids."""
    out = place.folder / "out"
    with zipfile.ZipFile(out / "model.keras") as model:
        weights = model.read("model.weights.h5")
    found = {"submission.csv": (out / "submission.csv").read_bytes(), "model.weights.h5": weights}
    return {name: hashlib.sha256(content).hexdigest() for name, content in found.items()}


def summary(name: str, place: Place) -> dict[str, Any]:
    """All of a place that is compared."""
    names = ["digits", REFITS] if name == "finalize" else ["digits"]
    found: dict[str, Any] = {"trials": {study: trials(place, study) for study in names}}
    found["resumed"] = {study: resumed(place, study) for study in names}
    found["states"] = {path: state_in(file) for path, file in checkpoints(place).items()}
    if name == "finalize":
        found["outputs"] = outputs(place)
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]
