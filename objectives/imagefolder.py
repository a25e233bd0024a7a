"""A folder of class folders with image files in them, as arrays.

Decides which folder is a class and which file an image, in which order they come, and how a file of
any size and colour becomes a small grey square. TensorFlow decodes: PNG, JPEG, GIF and BMP.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objectives.errors import DataError
from objectives.pictures import Pictures
from objectives.runtime import quiet_import

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".gif", ".bmp"})
TRAIN, TEST = "train", "test"
LUMINANCE = (0.299, 0.587, 0.114)  # of red, green and blue: ITU-R BT.601
WHITE = 255.0
MOST_NAMED = 3
SEED, HELD_SHARE = 0, 0.2

Named = tuple[str | None, Path]
"""A class, where it is known, and an image of it."""


def read_image_folder(folder: Path, side: int) -> Pictures:
    """Return the images below `folder`, grey and square.

    Either `folder/train/<class>/*`, or `folder/<class>/*`; and what is to be predicted in
    `folder/test/*`. Without that, a fifth of each class is held back, the same each time, and
    its labels are the answers. Classes and files come by name, numbers in names by their value.

    Args:
        side: Height and width that every image gets, in pixels. One that is not square is
            stretched.

    Raises:
        DataError: No classes or no images, or a file that is no image; it is named.
    """
    has_train = (folder / TRAIN).is_dir()
    root = folder / TRAIN if has_train else folder
    folders = [path for path in _listed(root) if path.is_dir() and path != folder / TEST]
    classes = {path.name: files for path in folders if (files := _images_in(path))}
    if not classes:
        raise DataError(
            f"{root}: no folders with images in them ({', '.join(sorted(SUFFIXES))})",
            "a folder a class: FOLDER/cat/1.png, or FOLDER/train/cat/1.png and FOLDER/test/2.png",
        )
    if (folder / TEST).is_dir():
        tests: list[Named] = [(None, file) for file in _images_in(folder / TEST)]
        if not tests:
            raise DataError(f"{folder / TEST}: no images in it", f"remove {folder / TEST}")
        trains: list[Named] = [(name, file) for name, files in classes.items() for file in files]
        return _pictures(trains, tests, folder / TEST, side, ())
    trains, held = _hold_back(classes)
    note = f"{folder}: no folder '{TEST}' in it, so {len(held)} labelled images are the test images"
    return _pictures(trains, held, root, side, (note,))


def _hold_back(classes: Mapping[str, Sequence[Path]]) -> tuple[list[Named], list[Named]]:
    """Return what stays and what is held back: of each class a fifth, at least one image."""
    stays: list[Named] = []
    held: list[Named] = []
    generator = np.random.Generator(np.random.Philox(SEED))
    for name, files in classes.items():
        n_held = max(1, round(len(files) * HELD_SHARE))
        chosen = set(generator.permutation(len(files))[:n_held].tolist())
        for n, file in enumerate(files):
            (held if n in chosen else stays).append((name, file))
    return stays, held


def _pictures(
    trains: Sequence[Named],
    tests: Sequence[Named],
    test_root: Path,
    side: int,
    notes: tuple[str, ...],
) -> Pictures:
    """Read the files; an id is a file's path below `test_root`."""
    files = [file for _, file in [*trains, *tests]]
    images, stretched = _read_all(files, side)
    answers = [name for name, _ in tests if name is not None]
    return Pictures(
        images[: len(trains)],
        [str(name) for name, _ in trains],
        images[len(trains) :],
        [file.relative_to(test_root).as_posix() for _, file in tests],
        answers or None,
        notes + _notes(stretched, len(images)),
    )


def _listed(folder: Path) -> list[Path]:
    """Return what is in a folder by name, numbers by value; hidden ones are nobody's images."""
    try:
        found = [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be read: {error.strerror or error}", "name another folder"
        ) from None
    return sorted(found, key=lambda path: _by_value(path.name))


def _by_value(name: str) -> tuple[Any, ...]:
    parts = re.split(r"([0-9]+)", name)
    return ([int(part) if n % 2 else part for n, part in enumerate(parts)], name)


def _images_in(folder: Path) -> list[Path]:
    """Return the image files below a folder, those of the folder itself and of those in it."""
    found: list[Path] = []
    for path in _listed(folder):
        if path.is_dir():
            found += _images_in(path)
        elif path.suffix.lower() in SUFFIXES:
            found.append(path)
    return found


def _read_all(files: Sequence[Path], side: int) -> tuple[NDArray[np.uint8], list[Path]]:
    """Return the images, and the files that had to be stretched.

    Raises:
        DataError: Files cannot be read; the first few are named.
    """
    decode = _decoder(side)
    images = np.empty((len(files), side, side), np.uint8)
    stretched, bad = [], []
    for n, file in enumerate(files):
        try:
            images[n], is_square = decode(file.read_bytes())
        except (OSError, ValueError) as error:
            bad.append(f"{file}: {_reason(error)}")
            continue
        if not is_square:
            stretched.append(file)
    if bad:
        more = f"; {len(bad) - 1} more cannot be read" if len(bad) > 1 else ""
        others = ", ".join(line.partition(": ")[0] for line in bad[1:MOST_NAMED])
        raise DataError(
            f"{bad[0]}{more}{f' ({others})' if others else ''}", "mend or remove the files"
        )
    return images, stretched


def _decoder(side: int) -> Callable[[bytes], tuple[NDArray[np.uint8], bool]]:
    """Return what makes a square of grey from the bytes of a file, and says whether it was one."""
    with quiet_import():
        import tensorflow as tf

    def decode(content: bytes) -> tuple[NDArray[np.uint8], bool]:
        with tf.device("CPU"):
            try:
                found = tf.io.decode_image(content, expand_animations=False).numpy()
            except tf.errors.InvalidArgumentError:
                raise ValueError("no PNG, JPEG, GIF or BMP image, or damaged") from None
            grey = _grey(found.astype(np.float32))
            height, width = grey.shape
            if (height, width) != (side, side):
                resized = tf.image.resize(grey[..., None], (side, side), antialias=True)
                grey = resized.numpy()[..., 0]
            return np.clip(np.rint(grey), 0, 255).astype(np.uint8), height == width

    return decode


def _grey(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return brightness, 0..255, of shape (height, width); what is transparent lies on white.

    Args:
        image: Of shape (height, width, channels): grey, grey and alpha, RGB or RGBA.
    """
    channels = image.shape[-1]
    colours = image[..., :3] if channels >= 3 else image[..., :1]
    weights = np.array(LUMINANCE if channels >= 3 else (1.0,), np.float32)
    grey: NDArray[np.float32] = colours @ weights
    if channels in (2, 4):
        alpha = image[..., -1] / np.float32(255)
        grey = grey * alpha + np.float32(WHITE) * (1 - alpha)
    return grey


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def _notes(stretched: Sequence[Path], n_images: int) -> tuple[str, ...]:
    if not stretched:
        return ()
    n = len(stretched)
    return (f"{stretched[0]}: not square, so stretched, as {n} of {n_images} images",)
