"""The range of the pixels: which one the files have, and how it becomes 0..255.

Decides when pixels are taken for 0..1, 0..16 and the like, and when train and test, or the rows of
one file, do not fit together. Both files are always scaled alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from objectives.data.csv.check import CsvFile, cell_error
from objectives.data.csv.table import Columns, ImageTable
from objectives.errors import DataError

Pixels = NDArray[np.uint8] | NDArray[np.float32]

FULL = 255.0
_LOW = 16.0  # scikit-learn's digits; what is no brighter is never a range of 0 to 255
# The top of a range only where a pixel has just this value: 5 to 7 bits, and percent.
_TOPS = (31.0, 63.0, 100.0, 127.0)
_ROUNDING = 1e-3  # above 1: what is left of a computation
_LEAST_RATIO = 0.6  # of how bright the images of two files of one range are
_MOST_ODD_SHARE = 0.1  # of fractions among whole numbers: more of them are no mistake
_MOST_ABOVE_ONE = 0.01  # of the pixels of a file of 0 to 1: more of them are no mistake
_ROWS_AT_ONCE = 4096
_FEWEST_DIVIDED = 2  # images of 0 to 1 in a file of 0 to 255: a single one may be black
ONE_RANGE = "bring all pixels into one range, such as 0 to 255"


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
        DataError: Train and test, or the rows of one file, have different ranges; or a few pixels
            are fractions where all others are whole numbers.
    """
    found = [_without_rounding(table.pixels) for table in tables]
    for file, some, pixels in zip(files, columns, found, strict=True):
        _refuse_outlier(file, some, pixels)
        _refuse_mixed_rows(file, pixels)
    notes = _compared(files, found)
    top = max(map(_top, found))
    if top > 1:
        for file, some, pixels in zip(files, columns, found, strict=True):
            _refuse_odd_fraction(file, some, pixels)
    text = f"0 to {top:g}"
    if top < FULL:
        text += ", scaled to 0 to 255"
        notes.append(f"pixels of {files[0].name} and {files[1].name} are taken as {text}")
    elif (brightest := max(float(pixels.max()) for pixels in found)) < FULL / 2:
        notes.append(
            f"the brightest pixel is {brightest:g}: the images are taken for dark ones of the "
            "range 0 to 255"
        )
    if top > 1 and any(pixels.dtype != np.uint8 for pixels in found):
        text += ", fractions rounded"
        notes.append("pixels that are no whole numbers are rounded")
    train, test = (_as_bytes(pixels, top) for pixels in found)
    return Scaled(train, test, text, tuple(notes))


def _without_rounding(pixels: Pixels) -> Pixels:
    """Return pixels that end at 1, and not a little above it."""
    if pixels.dtype == np.uint8 or not 1 < float(pixels.max()) <= 1 + _ROUNDING:
        return pixels
    return np.minimum(pixels, np.float32(1))


def _top(pixels: Pixels) -> float:
    """Return the top of the range that pixels, 0..255, are taken to have."""
    brightest = float(pixels.max())
    if brightest <= 1:
        return 1.0
    return brightest if brightest <= _LOW or brightest in _TOPS else FULL


def _compared(files: Sequence[CsvFile], found: Sequence[Pixels]) -> list[str]:
    """Return a note where the images of test are darker or brighter than those of train.

    Raises:
        DataError: So much that they are of another range.
    """
    usual = [_usual_brightness(pixels) for pixels in found]
    if min(usual) >= _LEAST_RATIO * max(usual) or not min(usual):
        return []
    train, test = (float(pixels.max()) for pixels in found)
    darker = min(found, key=_usual_brightness)
    if _top(darker) < FULL:
        raise DataError(
            f"{files[1].name}: its pixels go up to {test:g}, but those of {files[0].name} up to "
            f"{train:g}; the files have two scales",
            hint=ONE_RANGE,
        )
    word = "darker" if darker is found[1] else "brighter"
    return [
        f"{files[1].name}: its images are much {word} than those of {files[0].name}; both are "
        "taken for the range 0 to 255"
    ]


def _usual_brightness(pixels: Pixels) -> float:
    """Return the median over the images of their brightest pixel; black ones do not count."""
    brightest = pixels.max(axis=1)
    seen = brightest[brightest > 0]
    return float(np.median(seen)) if len(seen) else 0.0


def _refuse_outlier(file: CsvFile, columns: Columns, pixels: Pixels) -> None:
    """Refuse a file of 0 to 1 in which a few pixels are above 1."""
    if pixels.dtype == np.uint8 or pixels.max() <= 1:
        return
    above = pixels > 1
    if above.sum() <= _MOST_ABOVE_ONE * np.count_nonzero(pixels):
        row, place = (int(n) for n in np.argwhere(above)[0])
        text = f"{float(pixels[row, place]):g} is above 1, where nearly all pixels are 0 to 1"
        raise cell_error(file, row + 1, _name(columns, place), text, ONE_RANGE)


def _refuse_mixed_rows(file: CsvFile, pixels: Pixels) -> None:
    """Refuse a file of 0 to 255 in which the images of some rows were divided."""
    if pixels.dtype == np.uint8 or pixels.max() <= _LOW:
        return
    is_divided = (pixels.max(axis=1) <= 1) & (pixels != np.rint(pixels)).any(axis=1)
    rows = np.flatnonzero(is_divided)
    if len(rows) >= _FEWEST_DIVIDED:
        raise DataError(
            f"{file.name} row {rows[0] + 1}: its pixels are 0 to 1, as in {len(rows)} rows in all, "
            f"where others go up to {float(pixels.max()):g}",
            hint=ONE_RANGE,
        )


def _refuse_odd_fraction(file: CsvFile, columns: Columns, pixels: Pixels) -> None:
    """Refuse a file in which nearly all pixels are whole numbers and a few are not."""
    if pixels.dtype == np.uint8:
        return
    is_odd = pixels != np.rint(pixels)
    if 0 < is_odd.sum() <= _MOST_ODD_SHARE * np.count_nonzero(pixels):
        row, place = (int(n) for n in np.argwhere(is_odd)[0])
        text = f"'{float(pixels[row, place]):g}' is not a whole number"
        raise cell_error(file, row + 1, _name(columns, place), text, "round the pixels")


def _name(columns: Columns, place: int) -> str:
    return columns.packed or columns.pixels[place]


def _as_bytes(pixels: Pixels, top: float) -> NDArray[np.uint8]:
    if pixels.dtype == np.uint8 and top == FULL:
        return pixels.astype(np.uint8, copy=False)
    scaled = np.empty(pixels.shape, np.uint8)
    for start in range(0, len(pixels), _ROWS_AT_ONCE):  # all at once they take four times as much
        some = slice(start, start + _ROWS_AT_ONCE)
        scaled[some] = np.rint(np.multiply(pixels[some], np.float32(FULL / top), dtype=np.float32))
    return scaled
