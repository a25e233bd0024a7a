"""Load free handwritten digits: scikit-learn's bundled digits, and MNIST through Keras.

The choice of labelled and test images is always the same. MNIST needs a network once, until Keras
has the file.
"""

import contextlib
import os
import sys

import numpy as np
from numpy.typing import NDArray

from objectives.data.write import Pictures
from objectives.errors import DataError
from objectives.framework.runtime import quiet_import

SEED = 0
BUNDLED_TEST_SHARE = 0.2
MNIST_LABELLED_SHARE = 0.6  # 42,000 of 70,000, as in Kaggle's digit-recognizer


def bundled_digits() -> Pictures:
    """Return scikit-learn's 1,797 digits of 8x8, split 80/20 by class."""
    try:
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split
    except ImportError:
        raise DataError(
            "demo: its digits come with scikit-learn, which is not installed",
            "pip install scikit-learn",
        ) from None
    flat, labels = load_digits(return_X_y=True)  # 0..16
    images = (flat * 255 / 16).round().astype("uint8").reshape(-1, 8, 8)
    train, test, train_labels, test_labels = train_test_split(
        images, labels, test_size=BUNDLED_TEST_SHARE, random_state=SEED, stratify=labels
    )
    return _pictures(train, train_labels, test, test_labels)


def mnist() -> Pictures:
    """Return MNIST's 70,000 digits of 28x28, shuffled: 60 % are labelled, as on Kaggle."""
    with quiet_import():
        from keras.datasets import mnist as found
    try:
        with contextlib.redirect_stdout(sys.stderr):  # its progress
            (first, first_labels), (second, second_labels) = found.load_data()
    except Exception as error:  # Keras raises a bare Exception for any failure
        reason = str(error).strip().splitlines() or [type(error).__name__]
        place = os.path.join(os.environ["KERAS_HOME"], "datasets")
        raise DataError(
            f"mnist: Keras cannot get it: {reason[0]}",
            f"once with a network, or put mnist.npz into {place}; 'study fetch demo' needs neither",
        ) from error
    images = np.concatenate([first, second]).astype(np.uint8)
    return deal(images, np.concatenate([first_labels, second_labels]))


def deal(images: NDArray[np.uint8], labels: NDArray[np.integer]) -> Pictures:
    """Shuffle the images, depending only on their number; the first 60 % are labelled."""
    order = np.random.Generator(np.random.Philox(SEED)).permutation(len(images))
    n_labelled = round(len(images) * MNIST_LABELLED_SHARE)
    train, test = order[:n_labelled], order[n_labelled:]
    return _pictures(images[train], labels[train], images[test], labels[test])


def _pictures(
    images: NDArray[np.uint8],
    labels: NDArray[np.integer],
    test_images: NDArray[np.uint8],
    test_labels: NDArray[np.integer],
) -> Pictures:
    """Return the data set with ids that count from 1, as on Kaggle."""
    known, answers = ([str(int(label)) for label in some] for some in (labels, test_labels))
    ids = [str(n) for n in range(1, len(test_images) + 1)]
    return Pictures(images, known, test_images, ids, answers)
