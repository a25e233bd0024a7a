"""Images that are there more than once, once they are small and grey.

Decides which of them are worth a line: one of test that is in train too, and one that two classes
have. What is the same is what a network sees, so two files of other formats or sizes may be.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from objectives.data.copies import first_copies, image_digests
from objectives.data.csv.check import shown


def copy_notes(
    images: NDArray[np.uint8], classes: Sequence[str], files: Sequence[Path]
) -> tuple[str, ...]:
    """Return one line for copies between train and test, and one for those between classes.

    Args:
        images: Of shape (n, side, side): those of train first, those of test behind them.
        classes: The class of each image of train.
        files: The file of each image.
    """
    n_train = len(classes)
    pairs = list(enumerate(first_copies(image_digests(images)).tolist()))
    twins = [(first, n) for n, first in pairs[:n_train] if classes[first] != classes[n]]
    tests = [(first, n) for n, first in pairs[n_train:] if first < n_train]
    size = f"{images.shape[2]}x{images.shape[1]}"
    lines = []
    if tests:
        a, b = tests[0]
        n_tests = len(images) - n_train
        lines.append(
            f"{files[b]}: at {size} in grey the same image as {files[a]}, which is in train, as "
            f"{len(tests)} of {n_tests} test images are"
        )
    if twins:
        a, b = twins[0]
        lines.append(
            f"{files[b]}: at {size} in grey the same image as {files[a]}, but in class "
            f"{shown(classes[b])}, not {shown(classes[a])}, as {len(twins)} of {n_train} are"
        )
    return tuple(lines)
