"""Export one network, or the mean of several, as one model file that takes raw uint8 images.

`predict` and the saved `model.keras` are the same graph, always in float32, so a network trained in
bfloat16 predicts the same labels on a machine without bfloat16. A saved file is loaded again to
check that it gives the same model, and which of the user's classes loading needs.
"""

import contextlib
import json
import os
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objectives.errors import ModelError
from objectives.framework.backend import compiles
from objectives.framework.sentence import one_line
from objectives.source import function_of

PREDICT_BATCH = 256

LAMBDA = "Lambda"
"""Entry in the needs of a file: it holds a Python lambda, and loads with `safe_mode=False`."""

_TOLERANCE = 1e-4

Shift = tuple[int, int]
"""A move of an image in pixels (down, right); negative numbers move it up and left."""


def serving_model(network: Any, side: int) -> Any:
    """Return a Keras model of uint8 images (n, side, side) around a network of floats in 0..1.

    The network takes float32 (n, side, side, 1), and shares its weights with the model.
    """
    import keras

    raw = keras.Input((side, side), dtype="uint8", name="images")
    scaled = keras.layers.Rescaling(1 / 255, name="scale")(raw)
    image = keras.layers.Reshape((side, side, 1), name="add_channel")(scaled)
    model = keras.Model(raw, network(image))
    model.jit_compile = compiles()  # not on TensorFlow, where it would change the last bits
    return model


def averaged_model(models: Sequence[Any], side: int, shifts: Sequence[Shift]) -> Any:
    """Return a serving model of the mean of all members' probabilities over all shifts.

    With one member and `((0, 0),)` it gives that member's probabilities, bit for bit. It consists
    of Keras layers only, and shares the members' weights.

    Args:
        models: Distinct members, from `serving_model`; their layers may have equal names.
        side: Image side in pixels.
        shifts: Moves of the image by less than `side`; the border is filled with 0.
    """
    import keras

    if not models or len({id(model) for model in models}) < len(models):
        raise ValueError(f"{len(models)} members: there must be at least one, all distinct")
    if not shifts or any(abs(pixels) >= side for shift in shifts for pixels in shift):
        raise ValueError(f"an image of {side} pixels a side cannot be moved by {list(shifts)}")
    # Networks of one build have layers with equal names, so each member becomes a separate model.
    members = [
        keras.Model(model.input, model.output, name=f"member_{number}")
        for number, model in enumerate(models)
    ]
    raw = keras.Input((side, side), dtype="uint8", name="images")
    views = _moved(raw, side, shifts)
    found = [member(view) for view in views for member in members]
    mean = keras.layers.Average(name="mean", dtype="float32")(found) if len(found) > 1 else found[0]
    model = keras.Model(raw, mean)
    model.jit_compile = compiles()
    return model


def _moved(raw: Any, side: int, shifts: Sequence[Shift]) -> list[Any]:
    """Return one tensor of raw images (n, side, side) for each shift."""
    from keras import layers

    margin = max(abs(pixels) for shift in shifts for pixels in shift)
    if not margin:
        return [raw] * len(shifts)
    form = {"data_format": "channels_last"}
    image = layers.Reshape((side, side, 1), name="add_channel")(raw)
    framed = layers.ZeroPadding2D(margin, **form, name="frame")(image)
    views = []
    for number, (down, right) in enumerate(shifts):
        window = ((margin - down, margin + down), (margin - right, margin + right))
        view = layers.Cropping2D(window, **form, name=f"shift_{number}")(framed)
        views.append(layers.Reshape((side, side), name=f"drop_channel_{number}")(view))
    return views


def predict_images(model: Any, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Predict raw images in batches of equal size; the last batch is padded.

    Equal size means one graph and one order of additions for any number of images.

    Args:
        model: From `serving_model`.
        images: uint8 of shape (n, side, side), n >= 0; may be memory-mapped.
    """
    batch = np.zeros((PREDICT_BATCH, *images.shape[1:]), np.uint8)
    parts = [np.zeros((0, model.output_shape[-1]), np.float32)]
    for start in range(0, len(images), PREDICT_BATCH):
        rows = images[start : start + PREDICT_BATCH]
        batch[: len(rows)] = rows
        parts.append(_predicted(model, batch)[: len(rows)])
    return np.concatenate(parts)


@dataclass(frozen=True)
class Needs:
    """The names that loading a `.keras` file needs in addition to Keras.

    Attributes:
        custom: Names to pass as `custom_objects`.
        registered: Names such as "package>Name", which the user's code registers.
        has_lambda: Whether the file holds a Python lambda.
    """

    custom: tuple[str, ...]
    registered: tuple[str, ...]
    has_lambda: bool

    @property
    def names(self) -> tuple[str, ...]:
        """All needs as names; empty if Keras alone loads the file."""
        return (*self.custom, *self.registered, *((LAMBDA,) if self.has_lambda else ()))


def write_model(model: Any, path: Path) -> Needs:
    """Write a serving model as one `.keras` file, atomically; return what loading needs.

    Raises:
        ModelError: Keras cannot write a part of the user's model.
    """
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        with warnings.catch_warnings():  # about a lambda: the model card says more
            warnings.simplefilter("ignore")
            model.save(temporary)
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        needs = _needs_of(temporary)
        os.replace(temporary, path)
    except OSError:  # for example a full disk
        raise
    except Exception as error:  # from the user's get_config
        raise ModelError(
            f"the model cannot be saved: {one_line(str(error)) or type(error).__name__}",
            hint="give each layer and model of your own a get_config() that returns plain "
            "numbers and text",
        ) from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
    return needs


def _needs_of(path: Path) -> Needs:
    with zipfile.ZipFile(path) as archive:
        left: list[Any] = [json.loads(archive.read("config.json"))]
    names, has_lambda = set(), False
    while left:
        item = left.pop()
        if isinstance(item, dict):
            left += item.values()
            name, module = item.get("class_name"), item.get("module")
            own = isinstance(module, str) and module.partition(".")[0] != "keras"
            if name == "__lambda__":
                has_lambda = True
            elif name == "function":  # Keras writes its own functions as text
                names.add(str(item.get("config")))
            elif name and own and module != "builtins":
                names.add(str(item.get("registered_name") or name))
        elif isinstance(item, list):
            left += item
    registered = {name for name in names if ">" in name}
    return Needs(tuple(sorted(names - registered)), tuple(sorted(registered)), has_lambda)


def check_loading(path: Path, model: Any, build: Any, images: NDArray[np.uint8]) -> None:
    """Load a file as a user would, and compare its predictions with the saved model's.

    Args:
        path: The file.
        model: The saved model, from `serving_model`.
        build: The user's function; `custom_objects` come from the top level of its file.
        images: A few raw images.

    Raises:
        ModelError: The file cannot be loaded, or its predictions differ.
    """
    import keras

    needs, namespace = _needs_of(path), getattr(function_of(build), "__globals__", {})
    missing = [name for name in needs.custom if name not in namespace]
    if missing:
        raise ModelError(
            f"it needs {', '.join(missing)}, which is not defined at the top of the model's file",
            "define or import what layers use at the top of the file, not inside build",
        )
    custom = {name: namespace[name] for name in needs.custom}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = keras.models.load_model(
                path, custom_objects=custom, compile=False, safe_mode=not needs.has_lambda
            )
            again = _predicted(loaded, images)
    except Exception as error:
        why = one_line(str(error)) or "no message"
        raise ModelError(
            f"it cannot be loaded again: {type(error).__name__}: {why}", _hint_of(needs, error)
        ) from error
    before = _predicted(model, images)
    # A model with random predictions never repeats them, and is not compared.
    if _agree(before, _predicted(model, images)) and not _agree(before, again):
        raise ModelError(
            "it predicts something else when it is loaded again",
            "store numbers of your own layers as weights, or return them from get_config()",
        )


def _hint_of(needs: Needs, error: Exception) -> str:
    if needs.has_lambda:
        return (
            "a loaded lambda has its argument only: replace it by a function with a name, at the "
            "top of the file"
        )
    if "function identifier" in str(error):  # a lambda outside of a layer is not in the config
        return "replace the lambda by a function with a name, at the top of the file"
    return "return all arguments of __init__ from get_config() of each of your own layers"


def _predicted(model: Any, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(model.predict_on_batch(images), np.float32)


def _agree(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    return one.shape == other.shape and np.allclose(one, other, atol=_TOLERANCE)
