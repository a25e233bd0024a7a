"""Images with labels and images without, as whoever finds them hands them to whoever writes them.

Decides the form alone, and whether there are too few of a class. Where they come from stands in
`digits.py` and `imagefolder.py`; what a sound set is, in the data room, which reads the files again
before anything is trained.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from objectives.data.csv.check import shown
from objectives.data.csv.table import MAX_CLASSES, MIN_CLASSES, MIN_ROWS_PER_CLASS
from objectives.data.images.files import named


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

    def class_notes(self) -> tuple[str, ...]:
        """Return what of the classes the data room will refuse, one line each."""
        counts = Counter(self.labels)
        few = [name for name, n in counts.items() if n < MIN_ROWS_PER_CLASS]
        notes = []
        if few:
            others = f"; {len(few)} classes lack some: {named(few)}" if len(few) > 1 else ""
            notes.append(
                f"class {shown(few[0])} has labelled images: {counts[few[0]]}; a study needs "
                f"{MIN_ROWS_PER_CLASS} of each class{others}"
            )
        if not MIN_CLASSES <= len(counts) <= MAX_CLASSES:
            notes.append(f"classes: {len(counts)}; a study takes {MIN_CLASSES} to {MAX_CLASSES}")
        return tuple(notes)


def counted_ids(n: int) -> list[str]:
    """Return the ids of images that have no names: from 1, as Kaggle counts."""
    return [str(number) for number in range(1, n + 1)]
