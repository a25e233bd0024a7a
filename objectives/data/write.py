"""Write a data set in memory as Kaggle's CSV files: all files, or none.

A file with other content is replaced only with `--overwrite`. The images come from `digits.py`,
`kaggle.py` and `images/`.
"""

import csv
import filecmp
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from objectives.data.csv.check import shown
from objectives.data.csv.table import MAX_CLASSES, MIN_CLASSES, MIN_ROWS_PER_CLASS
from objectives.data.images.files import named
from objectives.errors import DataError
from objectives.files.atomic import beside, settle

TRAIN, TEST, SAMPLE = "train.csv", "test.csv", "sample_submission.csv"
HEADER = ("ImageId", "Label")

Writer = Callable[[Path], None]


@dataclass(frozen=True, eq=False)
class Pictures:
    """A data set in memory: labelled images and test images.

    Attributes:
        images: uint8 of shape (m, side, side), 0..255.
        labels: m labels, as written into train.csv.
        test_images: uint8 of shape (k, side, side).
        test_ids: k ids, as written into sample_submission.csv.
        answers: The true labels of the test images; None if unknown.
        notes: Peculiarities, one line each.
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
        """Return the reasons by which a study would refuse the classes, one line each."""
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


def write_pictures(
    pictures: Pictures, data_dir: Path, answers: Path | None, *, overwrite: bool
) -> list[Path]:
    """Write the three files of `pictures`, and the answers if they are known.

    Args:
        data_dir: Must exist.
        answers: A file outside `data_dir`, which no search reads; None if there are no answers.

    Returns:
        The written files; files with the same content stay untouched.

    Raises:
        DataError: A file exists with other content or cannot be written; nothing was written.
    """
    pixels = [f"pixel{n}" for n in range(pictures.side**2)]
    ids, filler = pictures.test_ids, min(pictures.labels)
    labelled = zip(pictures.labels, _rows(pictures.images), strict=True)
    tables: dict[Path, tuple[Iterable[str], Iterable[Iterable[object]]]] = {
        data_dir / TRAIN: (["label", *pixels], ([label, *row] for label, row in labelled)),
        data_dir / TEST: (pixels, _rows(pictures.test_images)),
        data_dir / SAMPLE: (HEADER, ((one, filler) for one in ids)),
    }
    if answers is not None and pictures.answers is not None:
        tables[answers] = (HEADER, zip(ids, pictures.answers, strict=True))
    writers = {path: _csv_writer(*table) for path, table in tables.items()}
    return put_files(writers, overwrite=overwrite)


def put_files(writers: Mapping[Path, Writer], *, overwrite: bool) -> list[Path]:
    """Write temporary files, and rename them once all are complete and no other file exists.

    Args:
        writers: Maps a target path to a function that writes the file to a given path.
        overwrite: Whether a file with other content is replaced.

    Returns:
        The written paths; a file with the same content stays untouched.
    """
    fresh = {place: beside(place) for place in writers}
    try:
        for place, write in writers.items():
            with _writing(place):
                write(fresh[place])
        changed = [
            place
            for place in writers
            if not (place.is_file() and filecmp.cmp(place, fresh[place], shallow=False))
        ]
        for place in changed:
            _refuse_other(place, overwrite)
        for place in changed:
            with _writing(place):
                settle(fresh[place], place)
    finally:
        for temporary in fresh.values():
            temporary.unlink(missing_ok=True)
    return changed


@contextmanager
def _writing(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        text = f"cannot write {place}: {error.strerror or error}"
        raise DataError(text, _elsewhere(place)) from error


def _refuse_other(place: Path, overwrite: bool) -> None:
    packed = place.with_name(f"{place.name}.gz")
    if packed.exists():  # a study refuses a folder with both
        raise DataError(f"{packed} exists already", f"remove it, or {_elsewhere(place)}")
    if place.exists() and not (overwrite and place.is_file()):
        raise DataError(
            f"{place} exists already, with other content",
            f"{_elsewhere(place)}, or --overwrite to replace it",
        )


def _elsewhere(place: Path) -> str:
    is_data = place.name in (TRAIN, TEST, SAMPLE)
    return "another folder: --data DIR" if is_data else "another file: --answers FILE"


def _rows(images: NDArray[np.uint8]) -> Iterator[list[int]]:
    return (image.ravel().tolist() for image in images)


def _csv_writer(header: Iterable[str], rows: Iterable[Iterable[object]]) -> Writer:
    def write(path: Path) -> None:
        with path.open("x", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(header)
            writer.writerows(rows)

    return write
