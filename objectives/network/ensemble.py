"""Several serving models as one: the mean of their probabilities, over the image moved a little.

Decides how networks of several seeds or folds vote, and what is averaged when a single one sees an
image at several places. What is made is again a serving model, of Keras's own layers alone: it
predicts and is saved as `export.py` does with any other.
"""

from collections.abc import Sequence
from typing import Any

from objectives.framework.backend import compiles

Shift = tuple[int, int]
"""Pixels that an image is moved (down, right); negative numbers move it up and left."""


def averaged_model(models: Sequence[Any], side: int, shifts: Sequence[Shift]) -> Any:
    """Return a Keras model that gives the mean of all members' probabilities over all shifts.

    With one member and `((0, 0),)` it gives that member's probabilities, bit for bit.

    Args:
        models: Members, from `serving_model`, no one twice; layers of two may have one name. The
            result shares their weights.
        side: Image side in pixels.
        shifts: Where each member sees the image. What comes in at the border is 0; nothing is
            moved by `side` or more.

    Returns:
        Keras model of input (n, side, side), uint8 0..255, and output (n, n_classes), float32.

    Raises:
        ValueError: No members, one twice, no shifts, or one that moves the image out of sight.
    """
    import keras

    if not models or len({id(model) for model in models}) < len(models):
        raise ValueError(f"{len(models)} members: each must be there once, and one at least")
    if not shifts or any(abs(pixels) >= side for shift in shifts for pixels in shift):
        raise ValueError(f"an image of {side} pixels a side cannot be moved by {list(shifts)}")
    # Networks of one build have layers of the same names: each member is a model of its own.
    members = [
        keras.Model(model.input, model.output, name=f"member_{number}")
        for number, model in enumerate(models)
    ]
    raw = keras.Input((side, side), dtype="uint8", name="images")
    views = _moved(raw, side, shifts)
    found = [member(view) for view in views for member in members]
    mean = keras.layers.Average(name="mean", dtype="float32")(found) if len(found) > 1 else found[0]
    model = keras.Model(raw, mean)
    model.jit_compile = compiles()  # on TensorFlow: other kernels, other last bits
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
