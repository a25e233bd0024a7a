"""One batch of a training, as something to call: TensorFlow's graph, or what Keras has elsewhere.

Decides how a batch of raw images becomes an update of the network. On TensorFlow all of it is one
graph, whose bits are promised. On JAX and PyTorch the images are moved beside the network's own
step, with the same draws for each batch; no bits are promised there, and no checkpoints are kept.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objectives.augment import Augmentation, augmented, transforms
from objectives.optimizer import wants_indexes

Step = Callable[[NDArray[np.uint8], NDArray[np.int64], np.int64, np.int64], Mapping[str, Any]]
"""Called with images, labels, seed and number of the batch; returns Keras's running means."""


def traced_step(
    network: Any, batch_size: int, side: int, n_classes: int, augmentation: Augmentation
) -> Any:
    """Return the graph of one batch: scale, augment, forward, backward, update."""
    import tensorflow as tf

    sparse = wants_indexes(network)
    images = tf.TensorSpec((batch_size, side, side), tf.uint8)
    labels = tf.TensorSpec((batch_size,), tf.int64)
    number = tf.TensorSpec((), tf.int64)

    @tf.function(input_signature=[images, labels, number, number], autograph=False)  # type: ignore[untyped-decorator]
    def step(images: Any, labels: Any, seed: Any, number: Any) -> Any:
        floats = tf.cast(images, tf.float32)[..., tf.newaxis] * (1 / 255)
        if augmentation.active:
            floats = augmented(floats, seed, number, augmentation)
        targets = labels if sparse else tf.one_hot(labels, n_classes)
        # In a replica context, the default one too, Keras sums the gradients over all replicas
        # by a custom gradient. TensorFlow registers that for good, and the graph with it (8 MB
        # a trial); a merge call leaves the context, and there is but one replica to sum over.
        replica = tf.distribute.get_replica_context()
        return replica.merge_call(lambda _, data: network.train_step(data), ((floats, targets),))

    return step


def portable_step(network: Any, n_classes: int, n_steps: int, augmentation: Augmentation) -> Step:
    """Return the same for any backend of Keras, by its `train_on_batch`.

    Args:
        n_steps: Batches of an epoch: the means start anew with the first of them.
    """
    import keras

    sparse = wants_indexes(network)
    means: dict[str, float] = {}

    def step(
        images: NDArray[np.uint8], labels: NDArray[np.int64], seed: np.int64, number: np.int64
    ) -> Mapping[str, Any]:
        floats: Any = images.astype(np.float32)[..., np.newaxis] * np.float32(1 / 255)
        if augmentation.active:
            generator = np.random.Generator(np.random.Philox(key=[int(seed), int(number)]))
            draws = generator.uniform(-1.0, 1.0, (5, len(images))).astype(np.float32)
            moved = transforms(draws, floats.shape[1], augmentation, np.cos, np.sin)
            table = np.stack([*moved, *np.zeros((2, len(images)))], axis=1).astype(np.float32)
            floats = keras.ops.image.affine_transform(
                floats, table, interpolation="bilinear", fill_mode="constant",
                data_format="channels_last",
            )  # fmt: skip
        targets = labels if sparse else np.eye(n_classes, dtype=np.float32)[labels]
        n_before = int(number) % n_steps
        for name, value in network.train_on_batch(floats, targets, return_dict=True).items():
            # It forgets the batches before; all of them are of one size.
            before = means.get(name, 0.0) if n_before else 0.0
            means[name] = before + (float(value) - before) / (n_before + 1)
        return {name: np.asarray(mean) for name, mean in means.items()}

    return step
