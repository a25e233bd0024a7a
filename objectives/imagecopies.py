"""Images that are there more than once, once they are small and grey.

Decides which of them are worth a line: one of test that is in train too, and one that two classes
have. What is the same is what a network sees, so two files of other formats or sizes may be.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from objectives.csvcheck import shown


def copy_notes(
    images: NDArray[np.uint8], classes: Sequence[str], files: Sequence[Path]
) -> tuple[str, ...]:
    """Return one line for copies between train and test, and one for those between classes.

    Args:
        images: Of shape (n, side, side): those of train first, those of test behind them.
        classes: The class of each image of train.
        files: The file of each image.
    """
    first_of: dict[bytes, int] = {}
    twins: list[tuple[int, int]] = []
    tests: list[tuple[int, int]] = []
    for n, image in enumerate(images):
        key = hashlib.blake2b(image.tobytes(), digest_size=16).digest()
        if n < len(classes):
            first = first_of.setdefault(key, n)
            if classes[first] != classes[n]:
                twins.append((first, n))
        elif key in first_of:
            tests.append((first_of[key], n))
    size = f"{images.shape[2]}x{images.shape[1]}"
    lines = []
    if tests:
        a, b = tests[0]
        n_tests = len(images) - len(classes)
        lines.append(
            f"{files[b]}: at {size} in grey the same image as {files[a]}, which is in train, as "
            f"{len(tests)} of {n_tests} test images are"
        )
    if twins:
        a, b = twins[0]
        lines.append(
            f"{files[b]}: at {size} in grey the same image as {files[a]}, but in class "
            f"{shown(classes[b])}, not {shown(classes[a])}, as {len(twins)} of {len(classes)} are"
        )
    return tuple(lines)
