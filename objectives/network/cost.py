"""What a training costs, counted and not timed: images and floating point operations.

Decides how long a trial is where the user does not say, and how the operations of a network are
counted: those of convolutions and matrix products, which are nearly all, in TensorFlow's graph of
one image. Its own profiler counts the same, but takes loops and einsums for nothing and prints.
"""

import contextlib
import math
from collections.abc import Callable, Sequence
from typing import Any

from objectives.framework.backend import on_tensorflow

_IMAGES_SEEN = 210_000
_FEWEST_EPOCHS, _MOST_EPOCHS = 3, 20
_PASSES = 3  # backward costs two forward passes: gradients of the weights and of the inputs


def default_epochs(n_rows: int) -> int:
    """Return the epochs of a trial where the user names none.

    A budget of about 210,000 images seen, because few rows need more passes: 5 epochs for 42,000
    rows, 4 for 60,000, never fewer than 3 nor more than 20 (1,437 rows of the 8x8 digits).

    Args:
        n_rows: Labelled rows, those of the valid split included.
    """
    return min(_MOST_EPOCHS, max(_FEWEST_EPOCHS, round(_IMAGES_SEEN / max(1, n_rows))))


def training_cost(model: Any, side: int, n_images: int) -> dict[str, float]:
    """Return what a training has cost: `images`, and `flop` where it can be told.

    Floating point operations are counted as three times those of a forward pass, for each image.
    The valid rows, augmentation and the optimizer are left out.

    Args:
        model: From `serving_model`.
        side: Image side in pixels.
        n_images: Images trained: n_epochs x steps x batch size.
    """
    flop = forward_flop(model, side)
    found = {"images": float(n_images)}
    return found if flop is None else {**found, "flop": _PASSES * flop * n_images}


def forward_flop(model: Any, side: int) -> float | None:
    """Return the floating point operations in which a model predicts one image.

    A multiplication and an addition are two. Deterministic, the same on every machine and in every
    precision; nothing is computed, printed or kept.

    Args:
        model: From `serving_model` or `averaged_model`.
        side: Image side in pixels.

    Returns:
        None on other backends than TensorFlow, and where its graph does not tell: in loops, such as
        those of recurrent layers, in functions of its own, such as those of grouped convolutions,
        and where shapes are open.
    """
    if not on_tensorflow():
        return None
    import tensorflow as tf

    # A model that cannot take a single image still trains: its cost is unknown, and no error.
    with contextlib.suppress(Exception):
        image = tf.TensorSpec((1, side, side), tf.uint8)
        traced = tf.function(
            lambda images: model(images, training=False), input_signature=[image], autograph=False
        )
        graph = traced.get_concrete_function().graph
        bodies = graph.as_graph_def().library.function
        if not any(node.op in _COUNTS for body in bodies for node in body.node_def):
            ops = [op for op in graph.get_operations() if op.type in _COUNTS]
            return float(sum(2 * _COUNTS[op.type](op) for op in ops))
    return None


def _convolution(op: Any) -> int:
    """Each number that comes out is a sum over the kernel and the channels that go in."""
    return _size(op.outputs[0]) * math.prod(_shape(op.inputs[1])[:-1])


def _depthwise(op: Any) -> int:
    """Each number that comes out is a sum over the kernel, in one channel."""
    return _size(op.outputs[0]) * math.prod(_shape(op.inputs[1])[:-2])


def _transposed(op: Any) -> int:
    """Each number that goes in is spread over the kernel and the channels that come out."""
    return _size(op.inputs[2]) * math.prod(_shape(op.inputs[1])[:-1])


def _product(op: Any) -> int:
    name = "transpose_a" if op.type == "MatMul" else "adj_x"
    return _size(op.outputs[0]) * _shape(op.inputs[0])[-2 if op.get_attr(name) else -1]


def _einsum(op: Any) -> int:
    """Each number that comes out is a sum over the labels that do not."""
    terms, _, result = op.get_attr("equation").decode().partition("->")
    sizes: dict[str, int] = {}
    for term, tensor in zip(terms.split(","), op.inputs, strict=True):
        left, _, right = term.partition("...")
        shape = _shape(tensor)
        sizes |= zip(left, shape, strict=False)
        sizes |= zip(reversed(right), reversed(shape), strict=False)
    return _size(op.outputs[0]) * math.prod(sizes[label] for label in sizes if label not in result)


def _shape(tensor: Any) -> Sequence[int]:
    found: Sequence[int] = tensor.shape.as_list()
    return found


def _size(tensor: Any) -> int:
    return math.prod(_shape(tensor))


# Multiplications of each kind of op, each with its addition.
_COUNTS: dict[str, Callable[[Any], int]] = {
    "Conv2D": _convolution,
    "Conv3D": _convolution,
    "DepthwiseConv2dNative": _depthwise,
    "Conv2DBackpropInput": _transposed,
    "Conv3DBackpropInputV2": _transposed,
    "MatMul": _product,
    "BatchMatMulV2": _product,
    "BatchMatMulV3": _product,
    "Einsum": _einsum,
}
