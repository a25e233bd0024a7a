"""Detect the range of the pixels, and scale them to 0..255.

Pixels may be 0..1, 0..16 and the like. Train and test are always scaled alike. Files, or rows of a
file, with different ranges are refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from objectives.data.csv.check import cell_error
from objectives.data.csv.table import ImageTable
from objectives.errors import DataError

Pixels = NDArray[np.uint8] | NDArray[np.float32]

FULL = 255.0
_LOW = 16.0  # as in scikit-learn's digits; images of 0 to 255 are never so dark
# Tops of ranges, if the brightest pixel has exactly this value: 5 to 7 bits, and percent.
_TOPS = (31.0, 63.0, 100.0, 127.0)
_ROUNDING = 1e-3  # rounding errors above 1
_LEAST_RATIO = 0.6  # of the brightness of two files with one range
_MOST_ODD_SHARE = 0.1  # share of fractions among whole numbers that is a mistake; more is not
_MOST_ABOVE_ONE = 0.01  # share of pixels above 1 in a file of 0 to 1 that is a mistake; more is not
_ROWS_AT_ONCE = 4096
_FEWEST_DIVIDED = 2  # images of 0 to 1 in a file of 0 to 255; a single one may be black
ONE_RANGE = "bring all pixels into one range, such as 0 to 255"


@dataclass(frozen=True)
class Scaled:
    """The pixels of both files as uint8, 0..255.

    Attributes:
        text: The range, for the user, such as `0 to 16, scaled to 0 to 255`.
        notes: Assumptions, one line each; empty for whole numbers up to 255.
    """

    train: NDArray[np.uint8]
    test: NDArray[np.uint8]
    text: str
    notes: tuple[str, ...]


def scale_pixels(train: ImageTable, test: ImageTable) -> Scaled:
    """Scale the pixels of train and test to 0..255.

    Raises:
        DataError: Train and test, or the rows of one file, have different ranges; or a few pixels
            are fractions and all others are whole numbers.
    """
    tables = (train, test)
    found = [_without_rounding(table.pixels) for table in tables]
    for table, pixels in zip(tables, found, strict=True):
        _refuse_mixed(table, pixels)
    notes = _compared(tables, found)
    top = max(map(_top, found))
    if top > 1:
        for table, pixels in zip(tables, found, strict=True):
            if pixels.dtype == np.uint8:
                continue
            is_odd = _fractions(pixels)
            if 0 < is_odd.sum() <= _MOST_ODD_SHARE * np.count_nonzero(pixels):
                text = "'{:g}' is not a whole number"
                raise _odd_pixel(table, pixels, is_odd, text, "round the pixels")
    text = f"0 to {top:g}"
    if top < FULL:
        text += ", scaled to 0 to 255"
        notes.append(f"pixels of {train.file.name} and {test.file.name} are taken as {text}")
    elif (brightest := max(float(pixels.max()) for pixels in found)) < FULL / 2:
        notes.append(
            f"the brightest pixel is {brightest:g}: the images are taken for dark ones of the "
            "range 0 to 255"
        )
    if top > 1 and any(pixels.dtype != np.uint8 for pixels in found):
        text += ", fractions rounded"
        notes.append("pixels that are not whole numbers are rounded")
    return Scaled(_as_bytes(found[0], top), _as_bytes(found[1], top), text, tuple(notes))


def _without_rounding(pixels: Pixels) -> Pixels:
    """Return the pixels without rounding errors above 1."""
    if pixels.dtype == np.uint8 or not 1 < float(pixels.max()) <= 1 + _ROUNDING:
        return pixels
    return np.minimum(pixels, np.float32(1))


def _top(pixels: Pixels) -> float:
    """Return the assumed top of the range of pixels, at most 255."""
    brightest = float(pixels.max())
    if brightest <= 1:
        return 1.0
    return brightest if brightest <= _LOW or brightest in _TOPS else FULL


def _compared(tables: Sequence[ImageTable], found: Sequence[Pixels]) -> list[str]:
    """Return a note if test images are much darker or brighter than train images."""
    train, test = map(_usual_brightness, found)
    darker, brighter = sorted((train, test))
    if darker >= _LEAST_RATIO * brighter or not darker:
        return []
    names = [table.file.name for table in tables]
    if _top(found[1] if test < train else found[0]) < FULL:
        tops = [f"{float(pixels.max()):g}" for pixels in found]
        raise DataError(
            f"{names[1]}: its pixels go up to {tops[1]}, but those of {names[0]} up to {tops[0]}; "
            "the files have two scales",
            ONE_RANGE,
        )
    word = "darker" if test < train else "brighter"
    return [
        f"{names[1]}: its images are much {word} than those of {names[0]}; both are taken for the "
        "range 0 to 255"
    ]


def _usual_brightness(pixels: Pixels) -> float:
    """Return the median of the images' brightest pixels; black images do not count."""
    brightest = pixels.max(axis=1)
    seen = brightest[brightest > 0]
    return float(np.median(seen)) if len(seen) else 0.0


def _fractions(pixels: Pixels) -> NDArray[np.bool_]:
    return np.not_equal(pixels, np.rint(pixels))


def _refuse_mixed(table: ImageTable, pixels: Pixels) -> None:
    """Refuse a file of 0 to 1 with a few pixels above 1, or a file with only some rows divided."""
    if pixels.dtype == np.uint8 or (brightest := float(pixels.max())) <= 1:
        return
    above = pixels > 1
    if above.sum() <= _MOST_ABOVE_ONE * np.count_nonzero(pixels):
        text = "{:g} is above 1, but nearly all pixels are 0 to 1"
        raise _odd_pixel(table, pixels, above, text, ONE_RANGE)
    if brightest > _LOW:
        rows = np.flatnonzero((pixels.max(axis=1) <= 1) & _fractions(pixels).any(axis=1))
        if len(rows) >= _FEWEST_DIVIDED:
            raise DataError(
                f"{table.file.name} row {rows[0] + 1}: its pixels are 0 to 1, as in {len(rows)} "
                f"rows in all, but others go up to {brightest:g}",
                ONE_RANGE,
            )


def _odd_pixel(
    table: ImageTable, pixels: Pixels, is_odd: NDArray[np.bool_], text: str, hint: str
) -> DataError:
    """Return the error for the first odd pixel."""
    row, place = (int(n) for n in np.argwhere(is_odd)[0])
    column = table.columns.packed or table.columns.pixels[place]
    return cell_error(table.file, row + 1, column, text.format(float(pixels[row, place])), hint)


def _as_bytes(pixels: Pixels, top: float) -> NDArray[np.uint8]:
    if pixels.dtype == np.uint8 and top == FULL:
        return pixels.astype(np.uint8, copy=False)
    scaled = np.empty(pixels.shape, np.uint8)
    for start in range(0, len(pixels), _ROWS_AT_ONCE):  # all at once take four times the memory
        some = slice(start, start + _ROWS_AT_ONCE)
        scaled[some] = np.rint(np.multiply(pixels[some], np.float32(FULL / top), dtype=np.float32))
    return scaled
