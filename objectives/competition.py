"""The files of one Kaggle image competition, read and held against one another.

Decides which columns are label, id and pixels, what train, test and sample_submission must be to
one another, and what is odd enough for a warning. What a sound file, row and cell is stands in
`csvcheck.py` and `imagetable.py`, what the labels may be in `classes.py`; caching and splitting are
`datacache.py`'s and `kaggle.py`'s.
"""

import hashlib
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from objectives.classes import mixed_classes, read_classes
from objectives.csvcheck import cell_error, find_csv, read_header, shown
from objectives.errors import DataError
from objectives.imagetable import Columns, ImageTable, read_ids, read_table

_PIXEL = re.compile(r"pixel([0-9]{1,7})")
_ID_NAMES = frozenset({"id", "imageid"})


@dataclass(frozen=True)
class Files:
    """The paths of a competition; `sample` is None where there is no sample_submission."""

    train: Path
    test: Path
    sample: Path | None

    def present(self) -> tuple[Path, ...]:
        """Return the paths that there are."""
        return tuple(path for path in (self.train, self.test, self.sample) if path)


@dataclass(frozen=True, eq=False)
class Competition:
    """What the files hold, checked.

    Attributes:
        images: uint8 of shape (m, side, side), in train's order.
        labels: int64 of shape (m,), indexes into `classes`.
        classes: The labels as text; integers in rising order, anything else sorted as text.
        test_images: uint8 of shape (k, side, side), in test's order.
        test_ids: The k ids, in test's order.
        id_column: Name of the submission's first column.
        label_column: Name of the submission's second column.
        fingerprint: sha256 (hex) of all of the above, however the files are packed.
        warnings: One line each.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    test_images: NDArray[np.uint8]
    test_ids: tuple[str, ...]
    id_column: str
    label_column: str
    fingerprint: str
    warnings: tuple[str, ...]


def find_files(data_dir: Path) -> Files:
    """Return the paths in `data_dir`.

    Raises:
        DataError: No such folder, train or test missing, or a file there twice.
    """
    hint = "--data DIR, a folder with train.csv and test.csv in it, plain or .gz"
    try:
        if not data_dir.exists():
            raise DataError(f"{data_dir}: no such folder", hint)
        if not data_dir.is_dir():
            raise DataError(f"{data_dir}: a file, where a folder should be", hint)
        train, test = find_csv(data_dir, "train"), find_csv(data_dir, "test")
        sample = find_csv(data_dir, "sample_submission")
    except OSError as error:
        raise DataError(f"{data_dir}: cannot be read: {error.strerror or error}") from None
    if train is None or test is None:
        name = "test.csv" if train else "train.csv"
        raise DataError(f"{name}: neither it nor {name}.gz is in {data_dir}", hint)
    return Files(train, test, sample)


def read_competition(files: Files) -> Competition:
    """Read and check all files; nothing is written.

    Raises:
        DataError: The first fault, on one line.
    """
    columns, test_columns = _resolve_columns(files)
    sample_header = _sample_header(files)
    train = read_table(files.train, columns)
    classes, labels = read_classes(files.train, columns.label or "", train.labels)
    test = read_table(files.test, test_columns)
    side = math.isqrt(len(columns.pixels))
    images, test_images = train.images(side), test.images(side)
    ids = _submission_ids(files, sample_header, test_columns, test, len(test_images))
    if sample_header is not None:
        id_column, label_column = sample_header
    elif test_columns.identifier is not None:
        id_column, label_column = test_columns.identifier, columns.label or ""
    else:
        id_column, label_column = "ImageId", "Label"
    odd = mixed_classes(files.train, columns.label or "", train.labels)
    facts = [classes, list(images.shape), list(test_images.shape), ids, id_column, label_column]
    return Competition(
        images,
        labels,
        classes,
        test_images,
        ids,
        id_column,
        label_column,
        fingerprint=_fingerprint(facts, images, labels, test_images),
        warnings=tuple(odd + _warnings(files, train.labels, images, test_images)),
    )


def _resolve_columns(files: Files) -> tuple[Columns, Columns]:
    train, test = read_header(files.train), read_header(files.test)
    pixels, test_pixels = _pixel_names(files.train, train), _pixel_names(files.test, test)
    extra = [name for name in train if not _PIXEL.fullmatch(name)]
    test_extra = [name for name in test if not _PIXEL.fullmatch(name)]
    label = _label_name(files, extra, test_extra)
    if label in test_extra:
        text = f"the label of {files.train.name}; the test file must not have it"
        raise _column_error(files.test, label, text, "is this a second train file?")
    if len(test_extra) > 1:
        text = f"neither a pixel nor the id, which is {test_extra[0]}"
        raise _column_error(files.test, test_extra[1], text)
    _check_same_pixels(files, pixels, test_pixels)
    rest = [name for name in extra if name != label]
    ids = [name for name in rest if name in test_extra or name.lower() in _ID_NAMES][:1]
    for name in rest:
        if name not in ids:
            raise _column_error(files.train, name, f"neither a pixel nor the label, {label}")
    return (
        Columns(train, pixels, label=label, identifier=next(iter(ids), None)),
        Columns(test, pixels, identifier=next(iter(test_extra), None)),
    )


def _column_error(path: Path, column: str, text: str, hint: str | None = None) -> DataError:
    return DataError(f"{path.name} column {column}: {text}", hint)


def _pixel_names(path: Path, header: tuple[str, ...]) -> tuple[str, ...]:
    names = tuple(name for name in header if _PIXEL.fullmatch(name))
    if not names:
        raise DataError(
            f"{path.name}: no pixel columns; pixel0, pixel1, ... are expected, and the first "
            f"column is {shown(header[0])}"
        )
    first = int(names[0].removeprefix("pixel"))
    if first > 1:
        raise _column_error(path, names[0], "the first pixel should be pixel0 or pixel1")
    for number, name in enumerate(names, first):
        expected = f"pixel{number}"
        if name != expected:
            why = "stands further on" if expected in names else "is missing"
            raise _column_error(path, name, f"{expected} should stand here, but {why}")
    if math.isqrt(len(names)) ** 2 != len(names):
        raise DataError(
            f"{path.name}: {len(names)} pixel columns, {names[0]} to {names[-1]}, make no square "
            "image"
        )
    return names


def _label_name(files: Files, extra: list[str], test_extra: list[str]) -> str:
    if "label" in extra:
        return "label"
    lacking = [name for name in extra if name not in test_extra and name.lower() not in _ID_NAMES]
    if len(lacking) == 1:
        return lacking[0]
    if lacking:
        text = f"it or {lacking[0]} could be the label; {files.test.name} has neither"
        raise _column_error(files.train, lacking[1], text, "call the right one 'label'")
    raise DataError(
        f"{files.train.name}: no label column; none is called 'label', and {files.test.name} lacks "
        "none of its columns",
        hint="is this a second test file?",
    )


def _check_same_pixels(files: Files, train: tuple[str, ...], test: tuple[str, ...]) -> None:
    if len(train) != len(test):
        side, test_side = math.isqrt(len(train)), math.isqrt(len(test))
        raise DataError(
            f"{files.test.name}: {len(test)} pixel columns ({test_side}x{test_side}), where "
            f"{files.train.name} has {len(train)} ({side}x{side})"
        )
    if train != test:
        raise _column_error(files.test, test[0], f"{files.train.name} starts with {train[0]}")


def _sample_header(files: Files) -> tuple[str, str] | None:
    if files.sample is None:
        return None
    header = read_header(files.sample)
    if len(header) != 2:
        names = ", ".join(header[:4]) + (", ..." if len(header) > 4 else "")
        raise DataError(
            f"{files.sample.name}: {len(header)} columns ({names}); an id and a label are expected"
        )
    return header[0], header[1]


def _submission_ids(
    files: Files,
    sample_header: tuple[str, str] | None,
    test_columns: Columns,
    test: ImageTable,
    n_test: int,
) -> tuple[str, ...]:
    """Return the ids in test's order, from the sample, else the test file, else 1 to n."""
    if files.sample is None or sample_header is None:
        return tuple(test.ids) or tuple(str(n) for n in range(1, n_test + 1))
    ids = read_ids(files.sample, sample_header)
    if len(ids) != n_test:
        raise DataError(
            f"{files.sample.name}: {len(ids)} rows, where {files.test.name} has {n_test}"
        )
    for row, (mine, theirs) in enumerate(zip(ids, test.ids, strict=False), 1):
        if mine != theirs:
            where = f"{files.test.name} row {row}, column {test_columns.identifier}"
            text = f"{shown(mine)}, but {where} is {shown(theirs)}"
            raise cell_error(files.sample, row, sample_header[0], text)
    return tuple(ids)


def _fingerprint(facts: Sequence[object], *arrays: NDArray[np.generic]) -> str:
    digest = hashlib.sha256(json.dumps(facts).encode())
    for array in arrays:
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        digest.update(np.ascontiguousarray(little).data)
    return digest.hexdigest()


def _warnings(
    files: Files,
    labels: list[int | str],
    images: NDArray[np.uint8],
    test_images: NDArray[np.uint8],
) -> list[str]:
    """Return what is odd but no fault; images are compared by 64-bit hash."""
    found = []
    for path, some in ((files.train, images), (files.test, test_images)):
        constant = np.flatnonzero(some.max((1, 2)) == some.min((1, 2)))
        if len(constant):
            found.append(
                f"{path.name} row {constant[0] + 1}: every pixel has one value, as in "
                f"{len(constant)} rows in all"
            )
    first: dict[int, int] = {}
    differing = []
    for row, image in enumerate(images):
        other = first.setdefault(hash(image.tobytes()), row)
        if labels[other] != labels[row]:
            differing.append((other, row))
    if differing:
        other, row = differing[0]
        found.append(
            f"{files.train.name} row {row + 1}: the image of row {other + 1} with another label "
            f"({labels[row]}, not {labels[other]}), as in {len(differing)} rows in all"
        )
    hashes = (hash(image.tobytes()) for image in test_images)
    repeated = [(row, first[value]) for row, value in enumerate(hashes) if value in first]
    if repeated:
        row, other = repeated[0]
        found.append(
            f"{files.test.name} row {row + 1}: the image of {files.train.name} row {other + 1}, as "
            f"in {len(repeated)} rows in all"
        )
    return found
