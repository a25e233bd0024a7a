"""Detect a network that scales pixels again although they are already in 0..1.

The network is called with a few random images, and the inputs of its layers are recorded up to the
first layer with weights to learn. So a `Rescaling` is found at any depth, and also a division in a
`Lambda`, in a custom layer or between layers.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_N_IMAGES = 4
_LEAST_SPREAD = 0.05  # of the values in a channel; images have 1, and standardised ones more
_NO_SPREAD = 1e-5  # rounding errors of a constant; images divided by 255 have 0.004
_FARTHEST = 20.0  # spreads away from 0: subtracting the mean of 0..255 gives 100


class _Seen(BaseException):
    """Ends the call at the first layer with weights; a BaseException, as Keras rewrites others."""


@dataclass
class _Look:
    """Input and output of one layer."""

    layer: Any
    got: NDArray[np.float64] | None
    gave: NDArray[np.float64] | None = None


def scaled_twice(network: Any, side: int) -> str | None:
    """Return one line about a network that scales images again; None if it does not.

    `network` is a Keras model of images (n, side, side, 1) in 0..1, and unusable afterwards.
    """
    looks: list[_Look] = []
    with suppress(Exception, _Seen):  # the training had no such failure
        import keras

        for layer in network._flatten_layers(include_self=False, recursive=True):
            # Bypasses Keras's __setattr__, which tracks attributes.
            object.__setattr__(layer, "call", _watched(layer, layer.call, looks))
        network(keras.ops.convert_to_tensor(_images(side)), training=False)
    wrong = next((n for n, look in enumerate(looks) if _is_wrong(look.got)), None)
    if wrong is None:
        return None
    # A normalization fitted to data scaled this way corrects the range.
    rest = looks[wrong:]
    if any(_normalizes(look.layer) and not _is_wrong(look.gave) for look in rest):
        return None
    makers = [look for look in looks[:wrong] if not _is_wrong(look.got) and _is_wrong(look.gave)]
    found = looks[wrong]
    layer = makers[-1].layer if makers else found.layer
    if makers and _normalizes(layer):  # such as UnitNormalization
        return None
    who = f"they are {_range(found.got)} when they reach the layer '{layer.name}'"
    if makers:
        who = f"the layer '{layer.name}' ({type(layer).__name__}) makes them {_range(found.got)}"
    return (
        f"images reach the model in 0..1, not 0..255, and {who}: scaled twice, they are useless "
        "for training; drop that scaling, or put keras.layers.Rescaling(255) before it"
    )


def _images(side: int) -> NDArray[np.float32]:
    """Return images of noise from dark to bright, so that their means differ."""
    noise = np.random.default_rng(0).random((_N_IMAGES, side, side, 1), np.float32)
    brightness = np.linspace(0.25, 1.0, _N_IMAGES, dtype=np.float32)
    return noise * brightness[:, np.newaxis, np.newaxis, np.newaxis]


def _watched(layer: Any, call: Callable[..., Any], looks: list[_Look]) -> Callable[..., Any]:
    is_leaf = not list(layer._flatten_layers(include_self=False, recursive=True))
    learns = is_leaf and bool(layer.weights) and not _normalizes(layer)

    def watched(*args: Any, **kwargs: Any) -> Any:
        look = _Look(layer, _values(args[0] if args else next(iter(kwargs.values()), None)))
        looks.append(look)
        if learns:
            raise _Seen
        outputs = call(*args, **kwargs)
        look.gave = _values(outputs)
        return outputs

    return watched


def _values(found: Any) -> NDArray[np.float64] | None:
    """Return the numbers of a tensor as (values, channels); None if it has no channels."""
    import keras

    if not keras.ops.is_tensor(found):
        return None
    values = keras.ops.convert_to_numpy(keras.ops.cast(found, "float32"))
    if values.ndim < 2 or not values.size:
        return None
    # If the image is flat, or its rows are tokens, each column is a pixel.
    return np.asarray(values, np.float64).reshape(-1, values.shape[-1])


def _is_wrong(values: NDArray[np.float64] | None) -> bool:
    if values is None or not np.isfinite(values).all():
        return False
    low, high = values.min(axis=0), values.max(axis=0)
    spread = float((high - low).max())
    if spread < _NO_SPREAD:  # a constant such as a mask, not the image
        return False
    away = float(np.abs((high + low) / 2).min())
    return spread < _LEAST_SPREAD or away > _FARTHEST * spread


def _normalizes(layer: Any) -> bool:
    return "Normalization" in type(layer).__name__


def _range(values: NDArray[np.float64] | None) -> str:
    if values is None:
        return "out of range"
    low, high = values.min(), values.max()
    low = 0.0 if abs(low) < (high - low) / 100 else low
    return f"{low:.3g} to {high:.3g}"
