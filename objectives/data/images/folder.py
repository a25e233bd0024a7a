"""A folder of class folders with image files in them, as arrays.

Decides what is learned from and what is predicted, and how a file of any size becomes a square.
Which folder is what stands in `imagetree.py`, which files are images in `imagefiles.py`, how they
are decoded in `imagebytes.py`.
"""

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from objectives.data.images.decode import decode_grey
from objectives.data.images.duplicates import copy_notes
from objectives.data.images.files import MOST_NAMED, check_links
from objectives.data.images.tree import TEST, ImageTree, Named, read_tree
from objectives.data.pictures import Pictures
from objectives.errors import DataError
from objectives.files.limits import MOST_IMAGE_BYTES, refuse_memory
from objectives.files.openfile import read_file
from objectives.framework.runtime import quiet_import

SEED, HELD_SHARE = 0, 0.2
NO_ID = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
"""Line ends and their like, and bytes of a file's name that are not UTF-8."""
STRETCHED = "not square, so stretched"
DAMAGED = "damaged in part, of which its decoder made what it could"

Square = tuple[NDArray[np.uint8], tuple[str, ...]]
"""An image of the wanted size, and remarks."""


def read_image_folder(folder: Path, side: int) -> Pictures:
    """Return the images below `folder`, grey and square.

    Either `folder/train/<class>/*`, or `folder/<class>/*`; and what is to be predicted in
    `folder/test/*`, or, with labels that are the answers, in `folder/test/<class>/*`. Without that,
    a fifth of each class is held back, the same each time, and its labels are the answers. Images
    of `folder/valid/<class>/*` join those of train. Classes and files come by name, numbers in
    names by their value.

    Args:
        side: Height and width that every image gets, in pixels. One that is not square is
            stretched.

    Raises:
        DataError: No classes or no images, folders whose meaning is unclear, or a file that is no
            image; it is named.
    """
    check_links(folder)
    tree = read_tree(folder)
    trains: list[Named] = [(name, file) for name, files in tree.classes.items() for file in files]
    if tree.test_root is not None:
        return _pictures(tree, trains, tree.tests, tree.test_root, side, ())
    trains, held = _hold_back(tree.classes)
    if not held:
        raise DataError(f"{tree.root}: one image a class, and no test images", "add images")
    note = f"{folder}: no folder '{TEST}' in it, so {len(held)} labelled images are the test images"
    return _pictures(tree, trains, held, tree.root, side, (note,))


def _hold_back(classes: Mapping[str, Sequence[Path]]) -> tuple[list[Named], list[Named]]:
    """Return what stays and what is held back: of each class a fifth, at least one of several."""
    stays: list[Named] = []
    held: list[Named] = []
    generator = np.random.Generator(np.random.Philox(SEED))
    for name, files in classes.items():
        n_held = max(1, round(len(files) * HELD_SHARE)) if len(files) > 1 else 0
        chosen = set(generator.permutation(len(files))[:n_held].tolist())
        for n, file in enumerate(files):
            (held if n in chosen else stays).append((name, file))
    return stays, held


def _pictures(
    tree: ImageTree,
    trains: Sequence[Named],
    tests: Sequence[Named],
    test_root: Path,
    side: int,
    notes: tuple[str, ...],
) -> Pictures:
    """Read the files; an id is a file's path below `test_root`."""
    files = [file for _, file in [*trains, *tests]]
    ids = [_id(file, test_root, tree.base) for _, file in tests]
    images, remarks = _read_all(files, side)
    labels = [str(name) for name, _ in trains]
    answers = [name for name, _ in tests if name is not None]
    return Pictures(
        images[: len(trains)],
        labels,
        images[len(trains) :],
        ids,
        answers or None,
        (*notes, *tree.notes, *remarks, *copy_notes(images, labels, files)),
    )


def _id(file: Path, root: Path, base: Path) -> str:
    """Return a test image's id: its path below `root`; of one that is held back of valid, `base`.

    Raises:
        DataError: A CSV file cannot hold it.
    """
    name = file.relative_to(root if file.is_relative_to(root) else base).as_posix()
    if NO_ID.search(name):
        raise DataError(f"{file.parent}: {name!a} cannot be an id in a CSV file", "rename it")
    return name


def _read_all(files: Sequence[Path], side: int) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Return the images, and one line for each kind of remark.

    Raises:
        DataError: Files cannot be read; the first few are named.
    """
    decode = _decoder(side)
    refuse_memory(f"{len(files)} images of {side}x{side} pixels", len(files) * side**2)
    images = np.empty((len(files), side, side), np.uint8)
    bad: list[str] = []
    remarked: dict[str, list[Path]] = {}
    with _complaints() as complains:
        for n, file in enumerate(files):
            try:
                images[n], remarks = decode(read_file(file, MOST_IMAGE_BYTES))
            except (OSError, ValueError, DataError) as error:
                bad.append(f"{file}: {_reason(error)}")
                complains()  # about this file, not about the next
                continue
            for remark in (*remarks, *((DAMAGED,) if complains() else ())):
                remarked.setdefault(remark, []).append(file)
    if bad:
        more = f"; {len(bad) - 1} more cannot be read" if len(bad) > 1 else ""
        others = ", ".join(line.partition(": ")[0] for line in bad[1:MOST_NAMED])
        raise DataError(
            f"{bad[0]}{more}{f' ({others})' if others else ''}", "mend or remove the files"
        )
    return images, tuple(
        f"{found[0]}: {remark}, as {len(found)} of {len(files)} images"
        for remark, found in remarked.items()
    )


def _decoder(side: int) -> Callable[[bytes], Square]:
    """Return what makes a square of grey from the bytes of a file, with remarks."""
    with quiet_import():
        import tensorflow as tf

    def decode(content: bytes) -> Square:
        with tf.device("CPU"):
            grey, remarks = decode_grey(content, tf)
            height, width = grey.shape
            if (height, width) != (side, side):
                resized = tf.image.resize(grey[..., None], (side, side), antialias=True)
                grey = resized.numpy()[..., 0]
            remarks += () if height == width else (STRETCHED,)
            return np.clip(np.rint(grey), 0, 255).astype(np.uint8), remarks

    return decode


@contextlib.contextmanager
def _complaints() -> Iterator[Callable[[], bool]]:
    """Yield what tells whether libjpeg has complained since it was last asked.

    It writes to file descriptor 2 itself, without the file's name. Here each file has its line.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)

        def complains() -> bool:
            n = held.seek(0, os.SEEK_END)
            held.seek(0)
            said = held.read(n)
            held.seek(0)
            held.truncate()
            return b"JPEG" in said

        try:
            yield complains
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
