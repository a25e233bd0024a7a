"""The params that training reads, and the optimizer, schedule and loss that they select.

A model that the user's `build` has compiled keeps its own optimizer and loss.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from optuna.distributions import CategoricalDistribution

from objectives.errors import ModelError
from objectives.framework.backend import compiles
from objectives.network.targets import refuse_other_metrics, wants_indexes
from objectives.space.python import Distribution
from objectives.space.space import SearchSpace

OPTIMIZERS = ("adam", "adamw", "nadam", "rmsprop", "sgd")
SCHEDULES = ("constant", "cosine", "one_cycle")

# A user's model gets no augmentation and no weight decay unless its space asks for them.
TRAINING_DEFAULTS: dict[str, Any] = {
    "batch_size": 128,
    "optimizer": "adam",
    "learning_rate": 1e-3,  # peak; sgd uses `sgd_learning_rate` if the space has it
    "weight_decay": 0.0,  # decoupled: each step subtracts rate * weight_decay of each kernel
    "schedule": "constant",
    "label_smoothing": 0.0,
    "shift": 0.0,  # see `objectives.network.augment.Augmentation`
    "rotation": 0.0,
    "zoom": 0.0,
}

_WARMUP = 0.3  # share of all steps, in one_cycle
_MOMENTUM = 0.9


def refuse_impossible(space: SearchSpace, *, compiled: bool) -> None:
    """Refuse impossible values of the params that training reads.

    Args:
        space: The search space of the study.
        compiled: Whether `build` compiles the model; training then ignores optimizer params.

    Raises:
        ModelError: Names the first such param and value.
    """
    for entry in space.entries:
        if entry.name not in _POSSIBLE or (compiled and entry.name not in _ALWAYS_READ):
            continue
        is_possible, what = _POSSIBLE[entry.name]
        for value in _extremes(entry.distribution):
            if not is_possible(value):
                raise ModelError(
                    f"search space, {entry.name}: training takes {what}, not {value!r}",
                    "narrow the entry, or read the param under another name in build",
                )


def _extremes(distribution: Distribution) -> Sequence[Any]:
    """Return all choices, or both ends of a range."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices
    return (distribution.low, distribution.high)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_RATE = (lambda v: _is_number(v) and v > 0, "a number above 0")
_AMOUNT = (lambda v: _is_number(v) and v >= 0, "a number of at least 0")
_SHARE = (lambda v: _is_number(v) and 0 <= v < 1, "a number from 0 to below 1")
_POSSIBLE: dict[str, tuple[Callable[[Any], bool], str]] = {
    "batch_size": (lambda v: _RATE[0](v) and v == int(v), "a whole number above 0"),
    "optimizer": (lambda v: v in OPTIMIZERS, ", ".join(OPTIMIZERS)),
    "schedule": (lambda v: v in SCHEDULES, ", ".join(SCHEDULES)),
    "learning_rate": _RATE,
    "sgd_learning_rate": _RATE,
    "weight_decay": _AMOUNT,
    "label_smoothing": _SHARE,
    "shift": _AMOUNT,
    "rotation": _AMOUNT,
    "zoom": _SHARE,
}
_ALWAYS_READ = ("batch_size", "shift", "rotation", "zoom")


def compile_network(
    network: Any, settings: Mapping[str, Any], shape: tuple[int, ...], n_classes: int, n_steps: int
) -> None:
    """Give the network an optimizer and a loss, unless `build` has compiled it.

    Args:
        network: Built Keras model.
        settings: `TRAINING_DEFAULTS`, overridden by params.
        shape: (side, side, 1).
        n_classes: Width of the network's output.
        n_steps: Number of batches of the whole training, which the schedules span.

    Raises:
        ModelError: The optimizer or schedule is unknown, or a loss or metric does not fit labels.
    """
    import keras

    if not network.compiled:
        loss = keras.losses.CategoricalCrossentropy(
            label_smoothing=float(settings["label_smoothing"])
        )
        # The metric is for users' callbacks: it tells Keras in which direction val_accuracy
        # improves.
        network.compile(
            make_optimizer(settings, n_steps), loss, metrics=["accuracy"], jit_compile=compiles()
        )
    # Create all variables before the graph is traced: otherwise TensorFlow traces twice, and never
    # frees those graphs (measured: 16 MB for each trial).
    network.optimizer.build(network.trainable_variables)
    images, outputs = np.zeros((1, *shape), np.float32), np.eye(1, n_classes, dtype=np.float32)
    sparse = wants_indexes(network, n_classes)
    refuse_other_metrics(network, sparse=sparse)
    targets = np.zeros(1, np.int64) if sparse else outputs
    tensors = map(keras.ops.convert_to_tensor, (images, targets, outputs))
    network.compute_metrics(*tensors, sample_weight=None)


def make_optimizer(settings: Mapping[str, Any], n_steps: int) -> Any:
    """Return the Keras optimizer of the settings, with its schedule over `n_steps`."""
    from keras import optimizers

    name = settings["optimizer"]
    if name not in OPTIMIZERS:
        raise ModelError(f"unknown optimizer {name!r}; there are {', '.join(OPTIMIZERS)}")
    rate = settings["learning_rate"]
    if name == "sgd":
        rate = settings.get("sgd_learning_rate", rate)
    decay = float(settings["weight_decay"]) or None
    shared = {
        "learning_rate": make_schedule(settings["schedule"], float(rate), n_steps),
        "weight_decay": decay,
    }
    if name == "sgd":
        optimizer = optimizers.SGD(momentum=_MOMENTUM, nesterov=True, **shared)
    elif name == "adamw" and decay is not None:
        optimizer = optimizers.AdamW(**shared)
    else:  # AdamW without decay is Adam
        kinds = {"nadam": optimizers.Nadam, "rmsprop": optimizers.RMSprop}
        optimizer = kinds.get(name, optimizers.Adam)(**shared)
    if decay is not None:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def make_schedule(name: str, rate: float, n_steps: int) -> Any:
    """Return a learning rate, or a Keras schedule that peaks at `rate`.

    constant: `rate`. cosine: from `rate` to 0. one_cycle: from a tenth of `rate` up to `rate` in 30
        % of the steps, then along a cosine to 0.
    """
    from keras.optimizers.schedules import CosineDecay

    if name == "constant":
        return rate
    if name == "cosine":
        return CosineDecay(rate, n_steps)
    if name == "one_cycle":
        n_warmup = max(1, round(_WARMUP * n_steps))
        n_decay = max(1, n_steps - n_warmup)
        return CosineDecay(rate / 10, n_decay, warmup_target=rate, warmup_steps=n_warmup)
    raise ModelError(f"unknown schedule {name!r}; there are {', '.join(SCHEDULES)}")
