"""Call a user's `build`, and check the input, output and precision of its network."""

import contextlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from objectives.data.dataset import Dataset
from objectives.errors import ModelError
from objectives.source import function_of

Build = Callable[[Mapping[str, Any], tuple[int, int, int], int], Any]

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}
"""Keras's dtype policy for each precision."""

_DROP = "remove that from the file; --precision bfloat16 trains with less precision"


def build_network(
    build: Build, params: Mapping[str, Any], dataset: Dataset, precision: str = "float32"
) -> Any:
    """Call `build` and check its network, whose input and output follow from the dataset.

    Sets Keras's dtype policy for `precision`, "float32" or "bfloat16".

    Raises:
        ModelError: `build` did not return a Keras model, or its model takes other images, has an
            output other than (n, n_classes), or computes in another precision than the study.
    """
    import keras

    shape, n_classes = (dataset.side, dataset.side, 1), dataset.n_classes
    keras.config.set_dtype_policy(POLICIES[precision])
    with keras_quiet():
        network = build(dict(params), shape, n_classes)  # a copy: build may remove params
        if not isinstance(network, keras.Model):
            raise ModelError(f"build returned {network!r:.60}, not a keras.Model")
        refuse_policy(keras.config.dtype_policy().name, precision, "build")
        _refuse_float16(network)
        _refuse_other_input(network, shape, build)
        output = only_output(network(keras.Input(shape)))  # also creates its weights
    # Keras would warn at each trace if the model's single input is in a dict.
    warnings.filterwarnings("ignore", "The structure of `inputs` doesn't match", UserWarning)
    found = getattr(output, "shape", None)
    if found != (None, n_classes):
        what = f"of shape {found}" if found else "more than one tensor"
        last = "end build with keras.layers.Dense(n_classes, activation='softmax')"
        flat = "put keras.layers.Flatten() before the last Dense layers"
        raise ModelError(
            f"the model's output is {what}, not probabilities of shape (None, {n_classes})",
            hint=flat if found and len(found) > 2 and found[-1] == n_classes else last,
        )
    return network


def only_output(found: Any) -> Any:
    """Return the only tensor of a list, tuple or dict; return other values unchanged."""
    while isinstance(found, list | tuple | dict) and len(found) == 1:
        found = next(iter(found.values() if isinstance(found, dict) else found))
    return found


def refuse_policy(name: str, precision: str, where: str) -> None:
    """Refuse a Keras dtype policy set by `where`, except float32 and the one of the precision."""
    if name not in ("float32", POLICIES[precision]):
        is_half = name in ("mixed_float16", "float16")
        why = "float16 is not supported" if is_half else "the study sets the precision"
        raise ModelError(f"{where} sets Keras's dtype policy to {name}: {why}", hint=_DROP)


def _refuse_float16(network: Any) -> None:
    import keras

    for layer in network._flatten_layers():
        if getattr(layer, "compute_dtype", None) == "float16":
            policy = layer.dtype_policy.name
            why = "float16 is not supported"
            raise ModelError(f"layer {layer.name} has the dtype policy {policy}: {why}", hint=_DROP)
    optimizer = getattr(network, "optimizer", None)
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        inner = type(optimizer.inner_optimizer).__name__
        raise ModelError(
            "the model is compiled with a LossScaleOptimizer, which is for float16, and float16 "
            "is not supported",
            hint=f"compile it with {inner} itself; --precision bfloat16 trains with less precision",
        )


def _refuse_other_input(network: Any, shape: tuple[int, int, int], build: Build) -> None:
    """Refuse a network whose declared input is not one image."""
    inputs = getattr(network, "inputs", None)
    if not inputs:  # a subclassed model, or a Sequential one without an Input
        return
    if len(inputs) > 1:
        raise ModelError(
            f"the model takes {len(inputs)} inputs, but there is one image{_place(build)}",
            hint="build it with one keras.Input(image_shape)",
        )
    found = tuple(inputs[0].shape[1:])
    side = shape[0]
    fits = len(found) == 3 and all(a in (None, b) for a, b in zip(found, shape, strict=True))
    # Keras adds or removes the channel axis by itself.
    if fits or found == (side, side):
        return
    if len(found) == 1:
        what, hint = f"flat rows of {found[0]} numbers", ", then keras.layers.Flatten()"
    elif found[:2] == shape[:2]:
        what = f"images of {found[-1]} channels"
        hint = "; keras.layers.Concatenate()([image] * 3) makes three channels of one"
    else:
        what, hint = f"inputs of shape {found}", ""
    raise ModelError(
        f"the model takes {what}, but the images have shape {shape}{_place(build)}",
        hint=f"start it with keras.Input(image_shape){hint}",
    )


def _place(build: Build) -> str:
    code = getattr(function_of(build), "__code__", None)
    if code is None:
        return ""
    return f" ({Path(code.co_filename).name}, line {code.co_firstlineno}, in {code.co_name})"


@contextlib.contextmanager
def keras_quiet() -> Iterator[None]:
    """Hide Keras's warnings about the style of layers."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module=r"keras\.")
        yield
