"""Read the CSV files of one Kaggle image competition, and check them against each other.

Decides how train, test and the sample submission must fit together, and what deserves a warning.
The other modules of this folder decide about single files, columns, ranges and ids.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from objectives.data.csv.check import CsvFile, cell_error, label_value
from objectives.data.csv.columns import Resolved, resolve_columns
from objectives.data.csv.folder import Files
from objectives.data.csv.ids import Sample, SubmissionIds, read_sample, submission_ids
from objectives.data.csv.pixelrange import Scaled, scale_pixels
from objectives.data.csv.table import (
    MIN_ROWS_PER_CLASS,
    ImageTable,
    odd_classes,
    read_classes,
    read_table,
)
from objectives.data.splits import first_copies, image_digests, n_different
from objectives.errors import DataError


@dataclass(frozen=True, eq=False)
class Competition:
    """The checked content of the files.

    Attributes:
        images: uint8 of shape (m, side, side), 0..255, in train's order.
        labels: int64 of shape (m,), indexes into `classes`.
        classes: The labels as written; integers in rising order, otherwise sorted as text.
        test_images: uint8 of shape (k, side, side), in the order of the submission.
        test_ids: The k ids, in the order of the submission.
        id_column, label_column: Names of the submission's two columns.
        fingerprint: sha256 (hex) of all of the above, independent of the files' compression.
        copies: int64 of shape (m,): for each row the first row with the same image, which may be
            the row itself. None: all images differ.
        facts: How the files were interpreted, one line each.
        warnings: Peculiarities, dropped columns and assumptions, one line each.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    test_images: NDArray[np.uint8]
    test_ids: tuple[str, ...]
    id_column: str
    label_column: str
    fingerprint: str
    copies: NDArray[np.int64] | None = None
    facts: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answers:
    """The labels in the test file.

    Attributes:
        path: Path of the test file, or of its archive.
        header: Names of the id and label columns, as in a submission.
        labels: Label by id, in the order of the submission.
    """

    path: Path
    header: tuple[str, str]
    labels: dict[str, int | str]


def read_competition(files: Files) -> Competition:
    """Read and check all files; nothing is written."""
    sample, resolved = _resolved(files)
    train = read_table(resolved.train)
    label = resolved.train.label or ""
    classes, labels = read_classes(files.train, label, train.labels, train.spelled())
    test = read_table(resolved.test)
    pixels = scale_pixels(train, test)
    ids = submission_ids(test, sample, resolved.label_name)
    side = math.isqrt(pixels.train.shape[1])
    images = pixels.train.reshape(-1, side, side)
    test_images = pixels.test.reshape(-1, side, side)
    # Test images come last, so that a copy of a labelled image points to the labelled one.
    first = first_copies([*image_digests(images), *image_digests(test_images)])
    copies, test_copies = first[: len(images)], first[len(images) :]
    warnings = [
        *resolved.notes,
        *pixels.notes,
        *(sample.notes if sample else ()),
        *ids.notes,
        *_unread(files),
        *_answered(files, resolved, train),
        *_spellings(train),
        *odd_classes(files.train, label, train.labels),
        *_constant(files.train, images),
        *_constant(files.test, test_images),
        *_copied(files, copies, train.labels),
        *_leaked(files, test_copies, len(images)),
        *_of_few_images(files, classes, labels, copies),
    ]
    if ids.order is not None:
        test_images = test_images[ids.order]
    digest = hashlib.sha256()
    shapes = [list(images.shape), list(test_images.shape)]
    digest.update(json.dumps([classes, *shapes, ids.ids, *ids.header]).encode())
    for array in (images, labels, test_images):
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        digest.update(np.ascontiguousarray(little).data)
    return Competition(
        images,
        labels,
        classes,
        test_images,
        ids.ids,
        *ids.header,
        fingerprint=digest.hexdigest(),
        copies=copies,
        facts=_facts(files, resolved, pixels, ids, copies),
        warnings=tuple(warnings),
    )


def read_answers(files: Files) -> Answers | None:
    """Return the labels of the test file; None if it has none."""
    sample, resolved = _resolved(files)
    if resolved.answers is None:
        return None
    labels = resolved.test.form.column(resolved.answers, label_value)
    ids = submission_ids(read_table(resolved.test), sample, resolved.label_name)
    order = range(len(labels)) if ids.order is None else ids.order.tolist()
    by_id = dict(zip(ids.ids, (labels[n] for n in order), strict=True))
    return Answers(files.test.path, ids.header, by_id)


def _resolved(files: Files) -> tuple[Sample | None, Resolved]:
    if files.sample is None:
        return None, resolve_columns(files.train, files.test, None)
    sample = read_sample(files.sample)
    return sample, resolve_columns(files.train, files.test, sample.id_column, sample.ids)


def _facts(
    files: Files, resolved: Resolved, pixels: Scaled, ids: SubmissionIds, copies: NDArray[np.int64]
) -> tuple[str, ...]:
    """Return how the files were interpreted, for `study check`."""
    columns = resolved.train
    where = f"columns {columns.pixels[0]} to {columns.pixels[-1]}"
    if columns.packed is not None:
        where = f"column {columns.packed}"
    n_copies = len(copies) - n_different(copies)
    copied = f"{n_copies} labelled images are copies of earlier ones" if n_copies else "none"
    dropped = [f"{name} of {files.train.name}" for name in columns.dropped]
    dropped += [
        f"{name} of {files.test.name}" for name in resolved.test.dropped if name != resolved.answers
    ]
    return (
        f"files: {', '.join(file.name for file in files.present())}",
        *([f"not read: {', '.join(files.unread)}"] if files.unread else []),
        f"pixels: {where}, {pixels.text}",
        f"labels: column {columns.label} of {files.train.name}",
        f"ids: {ids.text}",
        f"copies: {copied}",
        f"dropped: {'column ' + ', '.join(dropped) if dropped else 'nothing'}",
    )


def _unread(files: Files) -> list[str]:
    """Name a file that may be the sample submission, but has another name."""
    if files.sample is not None:
        return []
    return [
        f"{name} is not read; if it is the sample, call it sample_submission.csv"
        for name in files.unread
        if "submission" in name.lower()
    ]


def _answered(files: Files, resolved: Resolved, train: ImageTable) -> list[str]:
    """Warn of labels in test that cannot be answers; nothing else reads them here."""
    if resolved.answers is None:
        return []
    where = f"{files.test.name} column {resolved.answers}"
    try:
        labels = set(resolved.test.form.column(resolved.answers, label_value))
    except DataError as error:
        return [f"{where}: `study score` cannot use it: {error}"]
    strange = labels - set(train.labels)
    if strange:
        return [f"{where}: {min(map(str, strange))} is not a label of {files.train.name}"]
    return [f"{where}: every row has one label, so it holds no answers"] if len(labels) == 1 else []


def _spellings(train: ImageTable) -> list[str]:
    """Warn of classes with several spellings."""
    several = {value: len(texts) for value, texts in train.spellings.items() if len(texts) > 1}
    if not several:
        return []
    value, n = next(iter(several.items()))
    more = f", and {len(several) - 1} more classes alike" if len(several) > 1 else ""
    return [
        f"{train.file.name} column {train.columns.label}: class {value} is written in {n} ways"
        f"{more}; all are one class, written as {train.spelled()[value]}"
    ]


def _constant(file: CsvFile, images: NDArray[np.uint8]) -> list[str]:
    constant = np.flatnonzero(images.max((1, 2)) == images.min((1, 2)))
    if not len(constant):
        return []
    as_in = f"as in {len(constant)} rows in all"
    return [f"{file.name} row {constant[0] + 1}: every pixel has one value, {as_in}"]


def _copied(files: Files, copies: NDArray[np.int64], labels: Sequence[int | str]) -> list[str]:
    """Report equal labelled images, and equal images with different labels."""
    rows = np.flatnonzero(copies != np.arange(len(copies))).tolist()
    if not rows:
        return []
    first_labels = {labels[row] for row in np.unique(copies).tolist()}
    if n_different(copies) <= len(first_labels):
        row, other = rows[0] + 1, copies[rows[0]] + 1
        text = f"the image of row {other}; all images of each class are the same"
        raise cell_error(files.train, row, "pixels", text, "bring different images")
    found = [
        f"{files.train.name}: {len(rows)} of {len(copies)} images are equal to an earlier one; "
        "copies are never on two sides of a split, and the expected score counts them once"
    ]
    differing = [(copies[row], row) for row in rows if labels[copies[row]] != labels[row]]
    if differing:
        other, row = differing[0]
        found.append(
            f"{files.train.name} row {row + 1}: the image of row {other + 1} with another label "
            f"({labels[row]}, not {labels[other]}), as in {len(differing)} rows in all"
        )
    return found


def _of_few_images(
    files: Files, classes: Sequence[str], labels: NDArray[np.int64], copies: NDArray[np.int64]
) -> list[str]:
    """Name the classes that have too few different images."""
    counts = np.bincount(labels[np.unique(copies)], minlength=len(classes)).tolist()
    counted = zip(classes, counts, strict=True)
    few = ", ".join(f"{name} ({n})" for name, n in counted if n < MIN_ROWS_PER_CLASS)
    why = "a fold may hold all of them, and nothing to learn the class from"
    return [f"{files.train.name}: different images of class {few}: {why}"] if few else []


def _leaked(files: Files, test_copies: NDArray[np.int64], n_train: int) -> list[str]:
    """Warn of test images that are also in train, with the first pair of rows."""
    repeated = [(row, first) for row, first in enumerate(test_copies.tolist()) if first < n_train]
    if not repeated:
        return []
    row, other = repeated[0]
    return [
        f"{files.test.name} row {row + 1}: the image of {files.train.name} row {other + 1}, as "
        f"in {len(repeated)} rows in all"
    ]
