"""Which names of columns are pixels, and in which order they make an image.

Decides it by the numbers in the names: `pixel0`, `pixel_00`, `1x1`, `col3_row2`. Nothing here looks
at values.
"""

import math
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

from objectives.data.csv.check import Named, column_error, shown
from objectives.errors import DataError

_DIGITS = re.compile(r"[0-9]+")
_MOST_DIGITS = 9  # a longer number is no number of a pixel
_FEWEST = 4  # names that are pixels by their number alone; fewer must be called pixel
_COLUMN_FIRST = re.compile(r"(?i)(.*[^a-z])?(c|col|column|x)\W*_?#.*(r|row|y)\W*_?#\W*")
NAMES_HINT = "write a first line with the names: label,pixel0,pixel1,..."
WHOLE_HINT = "export all pixels of an image, numbered from 0 or 1"
SQUARE_HINT = "bring square images: as many rows as columns of pixels"
COLOUR_HINT = "only grey images are taken: one value a pixel"

Numbers = tuple[int, ...]


def is_square(n: int) -> bool:
    """Whether so many pixels make a square image."""
    return n > 0 and math.isqrt(n) ** 2 == n


def numbers_of(name: str) -> Numbers:
    """Return the numbers in a name, zero-padded or not; none where one is too long."""
    found = _DIGITS.findall(name)
    return tuple(map(int, found)) if all(len(one) <= _MOST_DIGITS for one in found) else ()


def kind_of(name: str) -> str:
    """Return a name with its numbers taken out: equal for the pixels of one file."""
    return _DIGITS.sub("#", name)


def largest_group(names: Sequence[str]) -> int:
    """Return how many names there are of one kind with numbers."""
    return max((len(group) for group in _groups(names).values()), default=0)


def find_pixels(file: Named, names: Sequence[str]) -> tuple[str, ...]:
    """Return the names that are pixels, row by row of the image.

    They are the largest group of names that differ in one number, or in two: row and column.

    Raises:
        DataError: There is no such group or more than one, numbers are missing in it, or it makes
            no square.
    """
    groups = _groups(names)
    sizes = sorted((len(group) for group in groups.values()), reverse=True)
    if not sizes or (sizes[0] < _FEWEST and not any(_is_pixel(kind) for kind in groups)):
        first = f"the first column is {shown(names[0])}" if names else "there is no column"
        raise DataError(
            f"{file.name}: no pixel columns; pixel0, pixel1, ... are expected, and {first}",
            hint="number them: pixel0, pixel1, ..., or 1x1, 1x2, ... by row and column",
        )
    largest = [group for group in groups.values() if len(group) == sizes[0]]
    if len(largest) > 1 and sizes[0] >= _FEWEST:
        _refuse_several(file, largest)
    group = _by_number(file, largest[0])
    _check_numbers(file, group)
    if not is_square(len(group)):
        first, last = group[min(group)], group[max(group)]
        raise DataError(
            f"{file.name}: {len(group)} pixel columns, {first} to {last}, make no square image",
            hint=_colour_hint(len(group))
            or (SQUARE_HINT if kind_of(first).strip("#") else NAMES_HINT),
        )
    return tuple(group[numbers] for numbers in sorted(group))


def _is_pixel(kind: str) -> bool:
    return re.fullmatch(r"(?i)pi?x(el)?s?[_ .-]?#.*", kind) is not None


def _groups(names: Sequence[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name in names:
        if numbers_of(name):
            groups.setdefault(kind_of(name), []).append(name)
    return groups


def _refuse_several(file: Named, groups: Sequence[Sequence[str]]) -> None:
    some = ", ".join(group[0] for group in groups[:4])
    if len(groups) in (3, 4) and is_square(len(groups[0])):
        raise DataError(
            f"{file.name}: {len(groups)} columns a pixel ({some}, ...), as of colour images",
            hint=COLOUR_HINT,
        )
    raise DataError(
        f"{file.name}: the columns like {groups[0][0]} or those like {groups[1][0]} could be the "
        "pixels",
        hint="keep one kind of them",
    )


def _by_number(file: Named, names: Sequence[str]) -> dict[Numbers, str]:
    """Return the names by those of their numbers that differ, the row before the column."""
    all_numbers = [numbers_of(name) for name in names]
    n_numbers = len(all_numbers[0])
    differ = [n for n in range(n_numbers) if len({numbers[n] for numbers in all_numbers}) > 1]
    differ = differ or [n_numbers - 1]
    if len(differ) > 2:
        raise DataError(
            f"{file.name}: the names of the pixel columns, {names[0]} to {names[-1]}, have more "
            "than a row and a column",
            hint=COLOUR_HINT,
        )
    if len(differ) == 2 and _COLUMN_FIRST.fullmatch(kind_of(names[0])):
        differ.reverse()
    group: dict[Numbers, str] = {}
    for name, numbers in zip(names, all_numbers, strict=True):
        own = tuple(numbers[n] for n in differ)
        if own in group:
            text = f"has the number of {group[own]}"
            raise column_error(file, name, text, "give each pixel a number of its own")
        group[own] = name
    return group


def _check_numbers(file: Named, group: Mapping[Numbers, str]) -> None:
    """Refuse pixels whose numbers have gaps, or begin with another than 0 or 1."""
    if len(min(group)) == 2:
        _check_grid(file, group)
        return
    numbers = sorted(group)
    first = group[numbers[0]]
    if numbers[0][0] > 1:
        ones = [_with_last(first, number) for number in (0, 1)]
        text = f"the first pixel should be {ones[0]} or {ones[1]}"
        raise column_error(file, first, text, WHOLE_HINT)
    for (before,), (after,) in pairwise(numbers):
        if after != before + 1:
            missing = _with_last(group[(after,)], before + 1)
            text = f"{missing} is missing before it"
            raise column_error(file, group[(after,)], text, WHOLE_HINT)


def _with_last(name: str, number: int) -> str:
    """Return a name with another last number."""
    return re.sub(r"[0-9]+(?=[^0-9]*$)", str(number), name)


def _check_grid(file: Named, group: Mapping[Numbers, str]) -> None:
    rows, columns = ({numbers[n] for numbers in group} for n in (0, 1))
    n_whole = (max(rows) - min(rows) + 1) * (max(columns) - min(columns) + 1)
    if len(group) < n_whole:
        row, column = next(
            (row, column)
            for row in range(min(rows), max(rows) + 1)
            for column in range(min(columns), max(columns) + 1)
            if (row, column) not in group
        )
        raise DataError(
            f"{file.name}: the pixel columns go from {group[min(group)]} to {group[max(group)]}, "
            f"but that of row {row}, column {column} is missing",
            hint=WHOLE_HINT,
        )
    if len(rows) != len(columns):
        raise DataError(
            f"{file.name}: images of {len(rows)} rows and {len(columns)} columns are no squares",
            hint=SQUARE_HINT,
        )


def _colour_hint(n_pixels: int) -> str | None:
    """Return a hint where so many values are squares of several channels."""
    for n_channels in (3, 4):
        if n_pixels % n_channels == 0 and is_square(n_pixels // n_channels):
            side = math.isqrt(n_pixels // n_channels)
            return f"are these colour images, {side} x {side} x {n_channels}? {COLOUR_HINT}"
    return None
