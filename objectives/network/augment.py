"""Random shifts, rotations and zooms of a batch of images, as one affine transform in the graph.

Params give the ranges. The draw is a pure function of (seed, step), so a repeated trial gets the
same images.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the moves; each image draws its moves uniformly and symmetrically.

    Attributes:
        shift: Largest shift along each axis, as a fraction of the image side, >= 0.
        rotation: Largest rotation in degrees, >= 0.
        zoom: Largest relative change of size along each axis, 0 <= zoom < 1.
    """

    shift: float = 0.0
    rotation: float = 0.0
    zoom: float = 0.0

    @property
    def active(self) -> bool:
        """Whether any image is changed."""
        return any(amount != 0 for amount in (self.shift, self.rotation, self.zoom))


def augmented(images: Any, seed: Any, step: Any, augmentation: Augmentation) -> Any:
    """Return float images (n, side, side, 1), moved at random; the border is filled with zeros.

    One bilinear resampling does all three moves, because each resampling costs time and blurs.
    `seed` and `step` are int64 scalar tensors.
    """
    import tensorflow as tf

    n, side = images.shape[0], images.shape[1]
    draws = tf.random.stateless_uniform(
        [5, n], seed=tf.stack([seed, step]), minval=-1.0, maxval=1.0
    )
    moved = transforms(draws, side, augmentation, tf.cos, tf.sin)
    zeros = tf.zeros_like(moved[0])
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack([*moved, zeros, zeros], axis=1),
        output_shape=[side, side],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )


def transforms(
    draws: Any,
    side: int,
    augmentation: Augmentation,
    cos: Callable[[Any], Any],
    sin: Callable[[Any], Any],
) -> list[Any]:
    """Return the affine maps from output pixels to input pixels.

    Args:
        draws: Tensor or array of shape (5, n), uniform in -1..1; `cos` and `sin` take its rows.

    Returns:
        xx, xy, x0, yx, yy, y0, each of shape (n,): x' = xx * x + xy * y + x0, and likewise for y'.
    """
    angle = draws[0] * math.radians(augmentation.rotation)
    scale_x = 1.0 + draws[1] * augmentation.zoom
    scale_y = 1.0 + draws[2] * augmentation.zoom
    shift_x = draws[3] * (augmentation.shift * side)
    shift_y = draws[4] * (augmentation.shift * side)
    xx, xy = cos(angle) * scale_x, -sin(angle) * scale_y
    yx, yy = sin(angle) * scale_x, cos(angle) * scale_y
    middle = (side - 1) / 2  # the fixed pixel, apart from the shift
    x0 = middle - (xx + xy) * middle + shift_x
    y0 = middle - (yx + yy) * middle + shift_y
    return [xx, xy, x0, yx, yy, y0]
