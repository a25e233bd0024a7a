"""A trained network as a model of its own: raw uint8 images in, probabilities out, in one file.

Decides what leaves the training: how raw images are scaled, how they are predicted, and how
`model.keras` is written. `predict` and the saved file are the same graph, and always float32, so
that a file trained in bfloat16 gives the same labels on a machine without it.
"""

import contextlib
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objectives.errors import ModelError
from objectives.framework.backend import compiles
from objectives.framework.sentence import one_line
from objectives.network.reloading import needs_of

PREDICT_BATCH = 256


def serving_model(network: Any, side: int) -> Any:
    """Return a Keras model around a network that takes floats in 0..1.

    Args:
        network: Keras model of input (n, side, side, 1), float32.
        side: Image side in pixels.

    Returns:
        Keras model of input (n, side, side), uint8 0..255; it shares the network's weights.
    """
    import keras

    raw = keras.Input((side, side), dtype="uint8", name="images")
    scaled = keras.layers.Rescaling(1 / 255, name="scale")(raw)
    image = keras.layers.Reshape((side, side, 1), name="add_channel")(scaled)
    model = keras.Model(raw, network(image))
    model.jit_compile = compiles()  # on TensorFlow: other kernels, other last bits
    return model


def predict_images(model: Any, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Predict raw images in batches of one size, the last one padded.

    One size means one graph and one order of additions, whatever the number of images.

    Args:
        model: From `serving_model`.
        images: uint8 of shape (n, side, side), n >= 0; may be memory-mapped.

    Returns:
        Probabilities, float32 of shape (n, n_classes).
    """
    batch = np.zeros((PREDICT_BATCH, *images.shape[1:]), np.uint8)
    parts = []
    for start in range(0, len(images), PREDICT_BATCH):
        rows = images[start : start + PREDICT_BATCH]
        batch[: len(rows)] = rows
        parts.append(np.asarray(model.predict_on_batch(batch), np.float32)[: len(rows)])
    return np.concatenate(parts) if parts else np.zeros((0, model.output_shape[-1]), np.float32)


def write_model(model: Any, path: Path) -> tuple[str, ...]:
    """Write the model as one `.keras` file, beside its place and then moved.

    Args:
        model: From `serving_model`.
        path: Ends in ".keras".

    Returns:
        What loading the file needs beyond Keras and TensorFlow, as `reloading.Needs.names`; empty
        for built-in layers.

    Raises:
        ModelError: The user's model holds something that Keras cannot write.
    """
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        try:
            with warnings.catch_warnings():  # a lambda's, which the model card tells better
                warnings.simplefilter("ignore")
                model.save(temporary)
        except OSError:  # the disk is full, say
            raise
        except Exception as error:  # of the user's get_config, whatever it is
            raise ModelError(
                f"the model cannot be saved: {one_line(str(error)) or type(error).__name__}",
                hint="give each layer and model of your own a get_config() that returns plain "
                "numbers and text",
            ) from error
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        needs = needs_of(temporary).names
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
    return needs
