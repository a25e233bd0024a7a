"""Train or test one batch: by a TensorFlow graph, or by Keras's own step on other backends.

On TensorFlow the whole step is one graph, and results are promised to the bit. On JAX and PyTorch
images are augmented outside of the network's step, with equal draws for each batch; neither bits
nor checkpoints are promised there.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objectives.errors import ModelError
from objectives.framework.backend import on_tensorflow
from objectives.network.augment import Augmentation, augmented, transforms
from objectives.network.targets import wants_indexes

Step = Callable[[NDArray[np.uint8], NDArray[np.int64], np.int64, np.int64], Mapping[str, Any]]
"""Called with images, labels, seed and batch number; returns the logs of Keras's step."""

Test = Callable[[NDArray[np.uint8], NDArray[np.int64]], Mapping[str, Any]]
"""Called with images and labels; returns the logs of Keras's `test_step`."""


def traced_step(
    network: Any, batch_size: int, side: int, n_classes: int, augmentation: Augmentation
) -> Any:
    """Return the graph of one batch: scale, augment, forward, backward, update."""
    import tensorflow as tf

    sparse = wants_indexes(network, n_classes)
    images = tf.TensorSpec((batch_size, side, side), tf.uint8)
    labels = tf.TensorSpec((batch_size,), tf.int64)
    number = tf.TensorSpec((), tf.int64)

    @tf.function(input_signature=[images, labels, number, number], autograph=False)  # type: ignore[untyped-decorator]
    def step(images: Any, labels: Any, seed: Any, number: Any) -> Any:
        floats = tf.cast(images, tf.float32)[..., tf.newaxis] * (1 / 255)
        if augmentation.active:
            floats = augmented(floats, seed, number, augmentation)
        targets = labels if sparse else tf.one_hot(labels, n_classes)
        # In a replica context, also the default one, Keras sums gradients over all replicas by a
        # custom gradient. TensorFlow never frees this gradient and its graph (8 MB for each
        # trial). A merge call leaves the context; there is only one replica to sum over.
        replica = tf.distribute.get_replica_context()
        return _refuse_no_logs(
            replica.merge_call(lambda _, data: network.train_step(data), ((floats, targets),))
        )

    return step


def portable_step(network: Any, n_classes: int, n_steps: int, augmentation: Augmentation) -> Step:
    """Return a step for any backend, by `train_on_batch`; metrics restart every `n_steps`."""
    import keras

    sparse = wants_indexes(network, n_classes)

    def step(
        images: NDArray[np.uint8], labels: NDArray[np.int64], seed: np.int64, number: np.int64
    ) -> Mapping[str, Any]:
        floats: Any = _floats(images)
        if augmentation.active:
            generator = np.random.Generator(np.random.Philox(key=[int(seed), int(number)]))
            draws = generator.uniform(-1.0, 1.0, (5, len(images))).astype(np.float32)
            moved = transforms(draws, floats.shape[1], augmentation, np.cos, np.sin)
            table = np.stack([*moved, *np.zeros((2, len(images)))], axis=1).astype(np.float32)
            floats = keras.ops.image.affine_transform(
                floats, table, interpolation="bilinear", fill_mode="constant",
                data_format="channels_last",
            )  # fmt: skip
        targets = _targets(labels, n_classes, sparse)
        if not int(number) % n_steps:
            network.reset_metrics()
        with _metrics_kept(network):
            return _refuse_no_logs(network.train_on_batch(floats, targets, return_dict=True))

    return step


def test_step(network: Any, side: int, n_classes: int) -> Test:
    """Return the test of one batch of any size, by the network's own `test_step`."""
    sparse = wants_indexes(network, n_classes)
    if not on_tensorflow():

        def portable(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> Mapping[str, Any]:
            targets = _targets(labels, n_classes, sparse)
            with _metrics_kept(network):
                found = network.test_on_batch(_floats(images), targets, return_dict=True)
            return _refuse_no_logs(found)

        return portable

    import tensorflow as tf

    specs = [tf.TensorSpec((None, side, side), tf.uint8), tf.TensorSpec((None,), tf.int64)]

    @tf.function(input_signature=specs, autograph=False)  # type: ignore[untyped-decorator]
    def traced(images: Any, labels: Any) -> Any:
        floats = tf.cast(images, tf.float32)[..., tf.newaxis] * (1 / 255)
        targets = labels if sparse else tf.one_hot(labels, n_classes)
        return _refuse_no_logs(network.test_step((floats, targets)))

    return traced  # type: ignore[no-any-return]


def _floats(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return images.astype(np.float32)[..., np.newaxis] * np.float32(1 / 255)


def _targets(labels: NDArray[np.int64], n_classes: int, sparse: bool) -> NDArray[Any]:
    return labels if sparse else np.eye(n_classes, dtype=np.float32)[labels]


def _refuse_no_logs(found: Any) -> Mapping[str, Any]:
    if isinstance(found, Mapping):
        return found
    raise ModelError(
        f"the model's own step returned {type(found).__name__}, not a dict of names and values",
        hint="return {metric.name: metric.result() for metric in self.metrics}",
    )


@contextlib.contextmanager
def _metrics_kept(network: Any) -> Iterator[None]:
    """Keep `train_on_batch` from resetting the metrics before each batch."""
    network.reset_metrics = lambda: None
    try:
        yield
    finally:
        del network.reset_metrics


_last: tuple[str, Any, Any] | None = None  # made_of, network and step of the last training


def last_or_new(
    network: Any, made_of: str | None, make_step: Callable[[Any], Any]
) -> tuple[Any, Any]:
    """Return network and step of the last training if they are equal, or new ones.

    The last network gets the value of every variable of `network`, so the bits are the same.

    Args:
        network: Compiled Keras model, made for this training.
        made_of: Equal for two trainings only if their graphs are equal; None: never share.
        make_step: Returns the step of a network.
    """
    global _last
    if made_of is None:
        return network, make_step(network)
    if _last is None or _last[0] != made_of:
        _last = None  # one graph at a time
        _last = (made_of, network, make_step(network))
    else:
        for old, new in zip(_variables(_last[1]), _variables(network), strict=True):
            old.assign(new)
    return _last[1:]


def _variables(network: Any) -> Iterator[Any]:
    yield from network.variables
    yield from network.optimizer.variables
