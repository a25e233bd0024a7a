"""The rows of one file, its columns being known: pixels, labels and ids.

Decides what a row must hold beyond sound cells: ids that stand once, and no more classes than an
image classifier is meant for. Which column is what is `competition.py`'s decision.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from objectives.csvcheck import (
    CellTable,
    cell_error,
    id_value,
    label_value,
    pixel_value,
    read_rows,
    shown,
)

MAX_CLASSES = 100
T = TypeVar("T")


@dataclass(frozen=True)
class Columns:
    """What the columns of one file are; those that are neither `label` nor `identifier` are pixels.

    Attributes:
        header: Every name, in the file's order.
        pixels: The pixels' names, in the file's order.
        label: The label's name; None where the file has none.
        identifier: The id's name; None where the file has none.
    """

    header: tuple[str, ...]
    pixels: tuple[str, ...]
    label: str | None = None
    identifier: str | None = None


@dataclass
class ImageTable:
    """The rows of one file; `labels` and `ids` are empty where it has no such column."""

    pixels: bytearray = field(default_factory=bytearray)
    labels: list[int | str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)

    def images(self, side: int) -> NDArray[np.uint8]:
        """Return the pixels as shape (n, side, side), without a copy."""
        return np.frombuffer(self.pixels, np.uint8).reshape(-1, side, side)


def read_table(path: Path, columns: Columns) -> ImageTable:
    """Read every row.

    Raises:
        DataError: The first fault, with its row and column.
    """
    table, known_ids, classes = ImageTable(), dict[str, int](), set[int | str]()
    pixel, label = CellTable(pixel_value), CellTable(label_value)
    special = [name for name in (columns.label, columns.identifier) if name is not None]
    places = {name: columns.header.index(name) for name in special}
    from_right = sorted(special, key=lambda name: -places[name])  # pop moves what is right of it
    for row, cells in read_rows(path, columns.header):
        for name in from_right:
            cell = cells.pop(places[name])
            if name == columns.label:
                value = _parsed(path, row, name, cell, label.__getitem__)
                table.labels.append(value)
                classes.add(value)
                if len(classes) > MAX_CLASSES:
                    text = f"{shown(cell)} is one class more than the {MAX_CLASSES} there may be"
                    raise cell_error(path, row, name, text)
            else:
                table.ids.append(_new_id(path, row, name, cell, known_ids))
        try:  # one call in C for the whole row; 33 million cells go through here
            table.pixels += bytes(map(pixel.__getitem__, cells))
        except ValueError:
            for name, cell in zip(columns.pixels, cells, strict=True):
                _parsed(path, row, name, cell, pixel.__getitem__)
            raise
    return table


def read_ids(path: Path, header: tuple[str, ...]) -> list[str]:
    """Return the first column of a file, of which every value stands there once.

    Raises:
        DataError: The first fault, with its row and column.
    """
    known: dict[str, int] = {}
    rows = read_rows(path, header)
    return [_new_id(path, row, header[0], cells[0], known) for row, cells in rows]


def read_labels(path: Path, header: tuple[str, str]) -> dict[str, int | str]:
    """Return the rows of a file of ids and labels, in its order; every id stands there once.

    Raises:
        DataError: The first fault, with its row and column.
    """
    known: dict[str, int] = {}
    labels: dict[str, int | str] = {}
    for row, (cell, label) in read_rows(path, header):
        name = _new_id(path, row, header[0], cell, known)
        labels[name] = _parsed(path, row, header[1], label, label_value)
    return labels


def _new_id(path: Path, row: int, column: str, cell: bytes, known: dict[str, int]) -> str:
    value = _parsed(path, row, column, cell, id_value)
    if known.setdefault(value, row) != row:
        text = f"{shown(value)} stands in row {known[value]} already"
        raise cell_error(path, row, column, text)
    return value


def _parsed(path: Path, row: int, column: str, cell: bytes, parse: Callable[[bytes], T]) -> T:
    try:
        return parse(cell)
    except ValueError as reason:
        raise cell_error(path, row, column, str(reason)) from None
