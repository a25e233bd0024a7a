"""Find the pixel columns by their names, and their order in the image.

Numbers in the names decide: `pixel0`, `pixel_00`, `1x1`, `col3_row2`. No values are read.
"""

import math
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise, product

from objectives.data.csv.check import Named, column_error, shown
from objectives.errors import DataError

_DIGITS = re.compile(r"[0-9]+")
_MOST_DIGITS = 9  # a longer number cannot number a pixel
_FEWEST = 4  # columns that are pixels by their numbers alone; fewer must be called pixel
_IS_PIXEL = re.compile(r"(?i)pi?x(el)?s?[_ .-]?#.*")
_COLUMN_FIRST = re.compile(r"(?i)(.*[^a-z])?(c|col|column|x)\W*_?#.*(r|row|y)\W*_?#\W*")
NAMES_HINT = "write a first line with the names: label,pixel0,pixel1,..."
WHOLE_HINT = "export all pixels of an image, numbered from 0 or 1"
SQUARE_HINT = "bring square images: as many rows as columns of pixels"
COLOUR_HINT = "only grey images are accepted: one value for each pixel"

Numbers = tuple[int, ...]


def is_square(n: int) -> bool:
    """Whether `n` pixels make a square image."""
    return n > 0 and math.isqrt(n) ** 2 == n


def numbers_of(name: str) -> Numbers:
    """Return the numbers in a name, zero-padded or not; none if one is too long."""
    found = _DIGITS.findall(name)
    return tuple(map(int, found)) if all(len(one) <= _MOST_DIGITS for one in found) else ()


def kind_of(name: str) -> str:
    """Return a name with its numbers replaced: equal for all pixels of a file."""
    return _DIGITS.sub("#", name)


def largest_group(names: Sequence[str]) -> int:
    """Return the size of the largest group of names that differ only in numbers."""
    return max(map(len, _groups(names).values()), default=0)


def find_pixels(file: Named, names: Sequence[str]) -> tuple[str, ...]:
    """Return the names that are pixels, row by row of the image.

    They are the largest group of names that differ in one number, or in two (row and column).

    Raises:
        DataError: There is no such group or more than one, numbers are missing, or it makes no
            square.
    """
    groups = _groups(names)
    n_pixels = max(map(len, groups.values()), default=0)
    if n_pixels < _FEWEST and not any(map(_IS_PIXEL.fullmatch, groups)):
        first = f"the first column is {shown(names[0])}" if names else "there is no column"
        raise DataError(
            f"{file.name}: no pixel columns; pixel0, pixel1, ... are expected, and {first}",
            "number them: pixel0, pixel1, ..., or 1x1, 1x2, ... by row and column",
        )
    largest = [group for group in groups.values() if len(group) == n_pixels]
    if len(largest) > 1 and n_pixels >= _FEWEST:
        raise _several(file, largest)
    group = _by_number(file, largest[0])
    if len(min(group)) == 2:
        _check_grid(file, group)
    else:
        _check_sequence(file, group)
    if not is_square(n_pixels):
        first, last = group[min(group)], group[max(group)]
        hint = SQUARE_HINT if kind_of(first).strip("#") else NAMES_HINT
        for n_channels in (3, 4):
            if n_pixels % n_channels == 0 and is_square(n_pixels // n_channels):
                side = math.isqrt(n_pixels // n_channels)
                hint = f"are these colour images, {side} x {side} x {n_channels}? {COLOUR_HINT}"
                break
        text = f"{n_pixels} pixel columns, {first} to {last}, make no square image"
        raise DataError(f"{file.name}: {text}", hint)
    return tuple(group[numbers] for numbers in sorted(group))


def _groups(names: Sequence[str]) -> dict[str, list[str]]:
    """Return the names that have numbers, grouped by kind."""
    groups: dict[str, list[str]] = {}
    for name in names:
        if numbers_of(name):
            groups.setdefault(kind_of(name), []).append(name)
    return groups


def _several(file: Named, groups: Sequence[Sequence[str]]) -> DataError:
    firsts = [group[0] for group in groups]
    if len(groups) in (3, 4) and is_square(len(groups[0])):
        text = (
            f"{len(groups)} columns for each pixel ({', '.join(firsts)}, ...), as in colour images"
        )
        return DataError(f"{file.name}: {text}", COLOUR_HINT)
    text = f"the columns like {firsts[0]} or those like {firsts[1]} could be the pixels"
    return DataError(f"{file.name}: {text}", "keep one kind of them")


def _by_number(file: Named, names: Sequence[str]) -> dict[Numbers, str]:
    """Return the names by their differing numbers, row before column."""
    all_numbers = [numbers_of(name) for name in names]
    columns = [set(column) for column in zip(*all_numbers, strict=True)]
    differ = [n for n, numbers in enumerate(columns) if len(numbers) > 1] or [len(columns) - 1]
    if len(differ) > 2:
        raise DataError(
            f"{file.name}: the names of the pixel columns, {names[0]} to {names[-1]}, have more "
            "than a row and a column",
            COLOUR_HINT,
        )
    if len(differ) == 2 and _COLUMN_FIRST.fullmatch(kind_of(names[0])):
        differ.reverse()
    group: dict[Numbers, str] = {}
    for name, numbers in zip(names, all_numbers, strict=True):
        other = group.setdefault(tuple(numbers[n] for n in differ), name)
        if other is not name:
            text = f"has the number of {other}"
            raise column_error(file, name, text, "give each pixel a number of its own")
    return group


def _check_sequence(file: Named, group: Mapping[Numbers, str]) -> None:
    """Refuse pixels whose numbers have gaps, or do not start at 0 or 1."""
    numbers = sorted(number for (number,) in group)
    first = group[numbers[0],]
    if numbers[0] > 1:
        text = f"the first pixel should be {_with_last(first, 0)} or {_with_last(first, 1)}"
        raise column_error(file, first, text, WHOLE_HINT)
    for before, after in pairwise(numbers):
        if after != before + 1:
            name = group[after,]
            text = f"{_with_last(name, before + 1)} is missing before it"
            raise column_error(file, name, text, WHOLE_HINT)


def _with_last(name: str, number: int) -> str:
    """Return a name with another last number."""
    return re.sub(r"[0-9]+(?=[^0-9]*$)", str(number), name)


def _check_grid(file: Named, group: Mapping[Numbers, str]) -> None:
    rows, columns = ({numbers[n] for numbers in group} for n in (0, 1))
    spans = [range(min(numbers), max(numbers) + 1) for numbers in (rows, columns)]
    if len(group) < len(spans[0]) * len(spans[1]):
        row, column = next(place for place in product(*spans) if place not in group)
        raise DataError(
            f"{file.name}: the pixel columns go from {group[min(group)]} to {group[max(group)]}, "
            f"but row {row}, column {column} is missing",
            WHOLE_HINT,
        )
    if len(rows) != len(columns):
        text = f"images of {len(rows)} rows and {len(columns)} columns are not square"
        raise DataError(f"{file.name}: {text}", SQUARE_HINT)
