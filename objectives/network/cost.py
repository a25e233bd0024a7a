"""Count the cost of a training, without timing: epochs, images, floating point operations.

Convolutions and matrix products are counted, nearly all operations of a network, in TensorFlow's
graph of one image. TensorFlow's own profiler counts the same, but ignores loops and einsums, and
prints its output.
"""

import contextlib
import math
from collections.abc import Callable, Sequence
from typing import Any

from objectives.framework.backend import on_tensorflow

_IMAGES_SEEN = 210_000
_FEWEST_EPOCHS, _MOST_EPOCHS = 3, 20
_PASSES = 3  # backward costs two forward passes: gradients of weights and of inputs


def default_epochs(n_rows: int) -> int:
    """Return the default epochs of a trial on `n_rows` labelled rows, validation rows included.

    The budget is about 210,000 images, because fewer rows need more passes: 5 epochs for 42,000
        rows, 4 for 60,000, and always 3 to 20 (20 for the 1,437 rows of the 8x8 digits).
    """
    return min(_MOST_EPOCHS, max(_FEWEST_EPOCHS, round(_IMAGES_SEEN / max(1, n_rows))))


def training_cost(model: Any, side: int, n_images: int) -> dict[str, float]:
    """Return the cost of training on `n_images`: `images`, and `flop` if it is known.

    A training counts three forward passes per image. Validation, augmentation and the optimizer are
    left out.
    """
    flop = forward_flop(model, side)
    found = {"images": float(n_images)}
    return found if flop is None else {**found, "flop": _PASSES * flop * n_images}


def forward_flop(model: Any, side: int) -> float | None:
    """Return the floating point operations of one prediction; a multiply-add counts as two.

    The number is the same on every machine and in every precision. No prediction is computed.

    Args:
        model: From `serving_model` or `averaged_model`.
        side: Image side in pixels.

    Returns:
        None on backends other than TensorFlow, and if the graph does not show the operations: in
        loops (recurrent layers), in functions (grouped convolutions), and with unknown shapes.
    """
    if not on_tensorflow():
        return None
    import tensorflow as tf

    # A model that cannot take a single image may still train; its cost is unknown.
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


def _spread(op: Any, tensor: Any, n_last: int) -> int:
    """Return the operations if each number of `tensor` takes a kernel without `n_last` axes."""
    return _size(tensor) * math.prod(_shape(op.inputs[1])[:-n_last])


def _product(op: Any) -> int:
    name = "transpose_a" if op.type == "MatMul" else "adj_x"
    return _size(op.outputs[0]) * _shape(op.inputs[0])[-2 if op.get_attr(name) else -1]


def _einsum(op: Any) -> int:
    """Return the operations of an einsum: each output number sums over the missing labels."""
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


# Number of multiply-adds of each kind of op. A transposed convolution spreads each number of its
# input over the kernel; a depthwise one stays in one channel.
_COUNTS: dict[str, Callable[[Any], int]] = {
    "Conv2D": lambda op: _spread(op, op.outputs[0], 1),
    "Conv3D": lambda op: _spread(op, op.outputs[0], 1),
    "DepthwiseConv2dNative": lambda op: _spread(op, op.outputs[0], 2),
    "Conv2DBackpropInput": lambda op: _spread(op, op.inputs[2], 1),
    "Conv3DBackpropInputV2": lambda op: _spread(op, op.inputs[2], 1),
    "MatMul": _product,
    "BatchMatMulV2": _product,
    "BatchMatMulV3": _product,
    "Einsum": _einsum,
}
