"""Images with labels and images without, as whoever finds them hands them to whoever writes them.

Decides nothing but the form. Where they come from stands in `digits.py` and `imagefolder.py`; what
a sound set is, in the data room, which reads the files again before anything is trained.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Pictures:
    """A data set in memory.

    Attributes:
        images: uint8 of shape (m, side, side), 0..255.
        labels: m labels, as they are to stand in train.csv.
        test_images: uint8 of shape (k, side, side).
        test_ids: k ids, as they are to stand in sample_submission.csv.
        answers: The true labels of the test images; None where nobody knows them.
        notes: What is odd, one line each.
    """

    images: NDArray[np.uint8]
    labels: Sequence[str]
    test_images: NDArray[np.uint8]
    test_ids: Sequence[str]
    answers: Sequence[str] | None = None
    notes: tuple[str, ...] = ()

    @property
    def side(self) -> int:
        """Height and width of an image in pixels."""
        return int(self.images.shape[1])


def counted_ids(n: int) -> list[str]:
    """Return the ids of images that have no names: from 1, as Kaggle counts."""
    return [str(number) for number in range(1, n + 1)]
