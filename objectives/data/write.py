"""The CSV files of a data set, written as Kaggle has them: all of them, or none.

Decides their names, that nothing that is there with other content is replaced unasked, and that
what is there already is left alone. Which images they hold is their source's decision.
"""

import csv
import filecmp
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from objectives.data.pictures import Pictures
from objectives.errors import DataError
from objectives.files.atomic import beside, settle

TRAIN, TEST, SAMPLE = "train.csv", "test.csv", "sample_submission.csv"
HEADER = ("ImageId", "Label")

Writer = Callable[[Path], None]


def write_pictures(
    pictures: Pictures, data_dir: Path, answers: Path | None, *, overwrite: bool
) -> list[Path]:
    """Write the three files of `pictures`, and the answers where they are known.

    Args:
        data_dir: Must exist.
        answers: A file outside `data_dir`, where no search looks; None where there are none.

    Returns:
        What was written; not what was there already, with the same content.

    Raises:
        DataError: A file is there with other content, or cannot be written; nothing was.
    """
    pixels = [f"pixel{n}" for n in range(pictures.side**2)]
    ids, filler = pictures.test_ids, min(pictures.labels)
    tables: dict[Path, tuple[Iterable[str], Iterable[Iterable[object]]]] = {
        data_dir / TRAIN: (
            ["label", *pixels],
            (
                [label, *row]
                for label, row in zip(pictures.labels, _rows(pictures.images), strict=True)
            ),
        ),
        data_dir / TEST: (pixels, _rows(pictures.test_images)),
        data_dir / SAMPLE: (HEADER, ((one, filler) for one in ids)),
    }
    if answers is not None and pictures.answers is not None:
        tables[answers] = (HEADER, zip(ids, pictures.answers, strict=True))
    return put_files(
        {path: _csv_writer(*table) for path, table in tables.items()}, overwrite=overwrite
    )


def put_files(writers: Mapping[Path, Writer], *, overwrite: bool) -> list[Path]:
    """Write files beside their places, and move them once all are whole and none is in the way.

    Args:
        writers: Place of a file to what writes it to the path that it is given.
        overwrite: Whether a file with other content is replaced.

    Returns:
        The places that were written; one that has the same content stays untouched.

    Raises:
        DataError: A file is in the way, or cannot be written.
    """
    with _fresh(writers) as fresh:
        for place, temporary in fresh.items():
            try:
                writers[place](temporary)
            except OSError as error:
                raise _unwritable(place, error) from error
        changed = [place for place in writers if not _is_there(place, fresh[place])]
        for place in changed:
            _refuse_other(place, overwrite)
        for place in changed:
            try:
                settle(fresh[place], place)
            except OSError as error:
                raise _unwritable(place, error) from error
    return changed


@contextmanager
def _fresh(places: Iterable[Path]) -> Iterator[dict[Path, Path]]:
    """Yield a path beside each place; what is left there in the end is removed."""
    fresh = {place: beside(place) for place in places}
    try:
        yield fresh
    finally:
        for temporary in fresh.values():
            temporary.unlink(missing_ok=True)


def _is_there(place: Path, fresh: Path) -> bool:
    return place.is_file() and filecmp.cmp(place, fresh, shallow=False)


def _refuse_other(place: Path, overwrite: bool) -> None:
    packed = place.with_name(f"{place.name}.gz")
    if packed.exists():  # one name twice is refused by whoever reads the folder
        raise DataError(f"{packed} is there already", f"remove it, or {_elsewhere(place)}")
    if place.exists() and not (overwrite and place.is_file()):
        raise DataError(
            f"{place} is there already, with other content",
            f"{_elsewhere(place)}, or --overwrite to replace it",
        )


def _elsewhere(place: Path) -> str:
    is_data = place.name in (TRAIN, TEST, SAMPLE)
    return "another folder: --data DIR" if is_data else "another file: --answers FILE"


def _unwritable(place: Path, error: OSError) -> DataError:
    return DataError(f"cannot write {place}: {error.strerror or error}", _elsewhere(place))


def _rows(images: NDArray[np.uint8]) -> Iterator[list[int]]:
    return (image.ravel().tolist() for image in images)


def _csv_writer(header: Iterable[str], rows: Iterable[Iterable[object]]) -> Writer:
    def write(path: Path) -> None:
        with path.open("x", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(header)
            writer.writerows(rows)

    return write
