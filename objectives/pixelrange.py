"""The range of the pixels: which one the files have, and how it becomes 0..255.

Decides when pixels are taken for 0..1, 0..16 and the like, and when train and test do not fit
together. Both are always scaled alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from objectives.csvcheck import CsvFile, cell_error
from objectives.errors import DataError
from objectives.imagetable import Columns, ImageTable

Pixels = NDArray[np.uint8] | NDArray[np.float32]

FULL = 255.0
# The brightest pixel of ranges in use: black and white, 2 to 4 bits, scikit-learn's digits.
_LOW_TOPS = (1.0, 3.0, 7.0, 15.0, 16.0)
# Taken for the top of a range only where a pixel has just this value.
_HIGH_TOPS = (31.0, 63.0, 100.0, 127.0)
_LEAST_RATIO = 0.3  # of the tops of two files that belong together
_FEWEST_IMAGES = 5  # fewer may be dark by chance
_MOST_ODD_SHARE = 0.1  # of fractions among whole numbers: more of them are no mistake


@dataclass(frozen=True)
class Scaled:
    """The pixels of both files as uint8, 0..255, and what was made of them.

    Attributes:
        text: The range, for the user, such as `0 to 16, scaled to 0 to 255`.
        notes: What was assumed, one line each; empty for whole numbers up to 255.
    """

    train: NDArray[np.uint8]
    test: NDArray[np.uint8]
    text: str
    notes: tuple[str, ...]


def scale_pixels(
    files: tuple[CsvFile, CsvFile],
    columns: tuple[Columns, Columns],
    tables: tuple[ImageTable, ImageTable],
) -> Scaled:
    """Bring the pixels of train and test into 0..255.

    Raises:
        DataError: Train and test have different ranges, or a few pixels are fractions where all
            others are whole numbers.
    """
    found = [table.pixels for table in tables]
    tops = [_top(pixels) for pixels in found]
    _refuse_different(files, found, tops)
    for file, some, pixels in zip(files, columns, found, strict=True):
        if max(tops) > 1:
            _refuse_odd_fraction(file, some, pixels)
    top = max(tops)
    is_rounded = top > 1 and any(pixels.dtype != np.uint8 for pixels in found)
    notes, text = [], f"0 to {top:g}"
    if top < FULL:
        text += ", scaled to 0 to 255"
        notes.append(f"pixels of {files[0].name} and {files[1].name} are taken as {text}")
    elif max(int(pixels.max()) for pixels in found) < FULL / 2:
        brightest = max(float(pixels.max()) for pixels in found)
        notes.append(
            f"the brightest pixel is {brightest:g}: the images are taken for dark ones of the "
            "range 0 to 255"
        )
    if is_rounded:
        text += ", fractions rounded"
        notes.append("pixels that are no whole numbers are rounded")
    train, test = (_as_bytes(pixels, top) for pixels in found)
    return Scaled(train, test, text, tuple(notes))


def _top(pixels: Pixels) -> float:
    """Return the top of the range that pixels, 0..255, are taken to have."""
    brightest = float(pixels.max())
    for top in _LOW_TOPS:
        if brightest <= top:
            return top
    return brightest if brightest in _HIGH_TOPS else FULL


def _refuse_different(
    files: Sequence[CsvFile], found: Sequence[Pixels], tops: Sequence[float]
) -> None:
    if min(map(len, found)) < _FEWEST_IMAGES or min(tops) >= _LEAST_RATIO * max(tops):
        return
    train, test = (float(pixels.max()) for pixels in found)
    raise DataError(
        f"{files[1].name}: its pixels go up to {test:g}, but those of {files[0].name} up to "
        f"{train:g}; the files have two scales",
        hint="bring both into one range, such as 0 to 255",
    )


def _refuse_odd_fraction(file: CsvFile, columns: Columns, pixels: Pixels) -> None:
    """Refuse a file in which nearly all pixels are whole numbers and a few are not."""
    if pixels.dtype == np.uint8:
        return
    is_odd = pixels != np.rint(pixels)
    if 0 < is_odd.sum() <= _MOST_ODD_SHARE * np.count_nonzero(pixels):
        row, place = (int(n) for n in np.argwhere(is_odd)[0])
        name = columns.packed or columns.pixels[place]
        value = float(pixels[row, place])
        raise cell_error(file, row + 1, name, f"'{value:g}' is not a whole number")


def _as_bytes(pixels: Pixels, top: float) -> NDArray[np.uint8]:
    if pixels.dtype == np.uint8 and top == FULL:
        return pixels.astype(np.uint8, copy=False)
    scaled = np.multiply(pixels, np.float32(FULL / top), dtype=np.float32)
    return np.rint(scaled, out=scaled).astype(np.uint8)
