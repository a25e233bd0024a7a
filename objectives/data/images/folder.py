"""Read an image folder, with one folder for each class, as arrays.

Decides which images are held out as test images, and how an image of any size becomes a square.
"""

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from objectives.data.csv.check import shown
from objectives.data.images.decode import decode_grey
from objectives.data.images.files import MOST_NAMED
from objectives.data.images.tree import TEST, Named, read_tree
from objectives.data.splits import first_copies, image_digests
from objectives.data.write import Pictures
from objectives.errors import DataError
from objectives.files.limits import MOST_IMAGE_BYTES, refuse_memory
from objectives.files.openfile import read_file
from objectives.framework.runtime import quiet_import

SEED, HELD_SHARE = 0, 0.2
NO_ID = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
"""Control characters, and bytes of a file's name that are not UTF-8."""
STRETCHED = "not square, so stretched"
DAMAGED = "partly damaged, decoded as far as possible"


def read_image_folder(folder: Path, side: int) -> Pictures:
    """Return the images below `folder`, grey and square.

    Labelled images are in `folder/train/<class>/*` or `folder/<class>/*`; those in
    `folder/valid/<class>/*` join them. Images to predict are in `folder/test/*` or, with known
    answers, in `folder/test/<class>/*`. Without a test folder, a fifth of each class becomes test
    images with answers, the same each time. Classes and files are sorted by name, numbers in names
    by value.

    Args:
        side: Height and width in pixels to which every image is resized. Other shapes are
            stretched.

    Raises:
        DataError: No classes or no images, folders with an unclear meaning, or a file (named in
            the message) that is not an image.
    """
    tree = read_tree(folder)
    trains: list[Named] = [(name, file) for name, files in tree.classes.items() for file in files]
    tests, test_root, notes = list(tree.tests), tree.test_root, list(tree.notes)
    if test_root is None:
        test_root, trains = tree.root, []
        generator = np.random.Generator(np.random.Philox(SEED))
        for name, files in tree.classes.items():
            n_held = max(1, round(len(files) * HELD_SHARE)) if len(files) > 1 else 0
            held = set(generator.permutation(len(files))[:n_held].tolist())
            for n, file in enumerate(files):
                (tests if n in held else trains).append((name, file))
        if not tests:
            raise DataError(f"{tree.root}: one image a class, and no test images", "add images")
        held_back = f"so {len(tests)} labelled images are the test images"
        notes.insert(0, f"{folder}: no folder '{TEST}' in it, {held_back}")
    all_files = [file for _, file in [*trains, *tests]]
    ids = [_id(file, test_root, tree.base) for _, file in tests]
    images, remarks = _read_all(all_files, side)
    labels = [str(name) for name, _ in trains]
    answers = [name for name, _ in tests if name is not None]
    notes += [*remarks, *_copy_notes(images, labels, all_files)]
    n_train = len(trains)
    return Pictures(images[:n_train], labels, images[n_train:], ids, answers or None, tuple(notes))


def _id(file: Path, root: Path, base: Path) -> str:
    """Return a test image's id: its path relative to `root`, or to `base` if outside of `root`."""
    name = file.relative_to(root if file.is_relative_to(root) else base).as_posix()
    if NO_ID.search(name):
        raise DataError(f"{file.parent}: {name!a} cannot be an id in a CSV file", "rename it")
    return name


def _read_all(files: Sequence[Path], side: int) -> tuple[NDArray[np.uint8], list[str]]:
    """Return the images, and one line for each kind of remark."""
    with quiet_import():
        import tensorflow as tf
    refuse_memory(f"{len(files)} images of {side}x{side} pixels", len(files) * side**2)
    images = np.empty((len(files), side, side), np.uint8)
    bad: list[str] = []
    remarked: dict[str, list[Path]] = {}
    with tf.device("CPU"), _complaints() as complains:
        for n, file in enumerate(files):
            try:
                grey, remarks = decode_grey(read_file(file, MOST_IMAGE_BYTES), tf)
                height, width = grey.shape
                if (height, width) != (side, side):
                    resized = tf.image.resize(grey[..., None], (side, side), antialias=True)
                    grey = resized.numpy()[..., 0]
                images[n] = np.clip(np.rint(grey), 0, 255)
            except (OSError, ValueError, DataError) as error:
                bad.append(f"{file}: {getattr(error, 'strerror', None) or error}")
                complains()  # reset, so that the next file is not blamed
                continue
            remarks += () if height == width else (STRETCHED,)
            for remark in (*remarks, *((DAMAGED,) if complains() else ())):
                remarked.setdefault(remark, []).append(file)
    if bad:
        more = f"; {len(bad) - 1} more cannot be read" if len(bad) > 1 else ""
        others = ", ".join(line.partition(": ")[0] for line in bad[1:MOST_NAMED])
        raise DataError(
            f"{bad[0]}{more}{f' ({others})' if others else ''}", "fix or remove the files"
        )
    return images, [
        f"{found[0]}: {remark}, as {len(found)} of {len(files)} images"
        for remark, found in remarked.items()
    ]


@contextlib.contextmanager
def _complaints() -> Iterator[Callable[[], bool]]:
    """Yield a function that returns whether libjpeg has complained since its last call.

    libjpeg writes to file descriptor 2, without the file's name.
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


def _copy_notes(
    images: NDArray[np.uint8], classes: Sequence[str], files: Sequence[Path]
) -> list[str]:
    """Return a line on test images that are also in train, and one on images with two classes.

    Images are compared as a network gets them: resized and grey, independent of the file's format.

    Args:
        images: Shape (n, side, side): train images first, then test images.
        classes: The class of each train image.
        files: The file of each image.
    """
    n_train, n_test = len(classes), len(images) - len(classes)
    pairs = list(enumerate(first_copies(image_digests(images)).tolist()))
    twins = [(a, b) for b, a in pairs[:n_train] if classes[a] != classes[b]]
    tests = [(a, b) for b, a in pairs[n_train:] if a < n_train]
    same = f"at {images.shape[2]}x{images.shape[1]} in grey the same image as"
    lines = []
    if tests:
        a, b = tests[0]
        n_of = f"{len(tests)} of {n_test} test images"
        lines.append(f"{files[b]}: {same} {files[a]}, which is in train, as {n_of} are")
    if twins:
        a, b = twins[0]
        but = f"but in class {shown(classes[b])}, not {shown(classes[a])}"
        lines.append(f"{files[b]}: {same} {files[a]}, {but}, as {len(twins)} of {n_train} are")
    return lines
