"""The files below a folder: which are images, and what is left out.

Decides which endings are those of images, which files nobody asks about, and how what is left out
is said: every kind in one line, with the number and the first file. Which folder is a class stands
in `imagetree.py`.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from objectives.errors import DataError
from objectives.files.limits import DEEPEST_FOLDERS, MOST_ENTRIES, MOST_WAYS

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".gif", ".bmp"})
OTHER_IMAGES = frozenset(
    {".webp", ".tif", ".tiff", ".heic", ".heif", ".avif", ".jp2", ".jxl", ".svg", ".ico", ".psd",
     ".ppm", ".pgm", ".pbm", ".dcm", ".dng", ".cr2", ".nef"}
)  # fmt: skip
TABLES = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
SILENT = frozenset({"thumbs.db", "desktop.ini", "ehthumbs.db", "icon\r"})
SILENT_FOLDERS = frozenset({"__macosx", "@eadir", "lost+found", "$recycle.bin"})
MOST_NAMED = 3


@dataclass
class Leftovers:
    """What is in a folder and not used.

    Attributes:
        others: Files that are no images.
        tables: CSV files.
        formats: Image files that cannot be read, by their ending.
        loose: Images in no class folder.
        empty: Folders without an image that can be read.
        unused: Folders that are neither classes nor train, valid or test, and their images' number.
    """

    others: list[Path] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)
    formats: dict[str, list[Path]] = field(default_factory=dict)
    loose: list[Path] = field(default_factory=list)
    empty: list[Path] = field(default_factory=list)
    unused: list[tuple[Path, int]] = field(default_factory=list)

    def add(self, path: Path) -> None:
        """Take in a file that is no image that can be read."""
        suffix = _suffix(path.name)
        if suffix in OTHER_IMAGES:
            self.formats.setdefault(suffix, []).append(path)
        else:
            is_table = path.name.lower().endswith(TABLES)
            (self.tables if is_table else self.others).append(path)

    def notes(self) -> tuple[str, ...]:
        """Return one line for each kind, and one for each folder that is not used."""
        lines = [
            f"{path}: not used, {counted_images(n) if n else 'no images'} in it"
            for path, n in self.unused
        ]
        lines += _first_of(self.loose, "in no class folder, so not used", "image")
        for suffix, files in self.formats.items():
            lines += _first_of(
                files, f"{suffix} cannot be read, so not used; convert it to .png", f"{suffix} file"
            )
        lines += _first_of(self.empty, "no image in it that can be read, so not used", "folder")
        lines += _first_of(self.others, "no image, so not used", "file")
        lines += _first_of(self.tables, "not read, as labels are the names of folders", "CSV file")
        return tuple(lines)

    def found(self) -> str:
        """Return what there is instead of images in class folders, in a few words; or nothing."""
        parts = [counted_images(len(self.loose)) + " in no class folder"] if self.loose else []
        parts += [
            f"{len(files)} {suffix}, which cannot be read" for suffix, files in self.formats.items()
        ]
        return f"; found: {', '.join(parts)}" if parts else ""


def _names(folder: Path, *, folders: bool) -> list[str]:
    """Return the names of the folders in a folder, or of its files; hidden ones are nobody's.

    Raises:
        DataError: The folder cannot be read.
    """
    return [name for name, is_folder, _ in _entries(folder) if is_folder == folders]


def _entries(folder: Path) -> list[tuple[str, bool, bool]]:
    found, place = [], folder
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                place = folder / entry.name
                if not entry.name.startswith("."):
                    found.append((entry.name, entry.is_dir(), entry.is_symlink()))
    except OSError as error:
        raise DataError(
            f"{place}: cannot be read: {error.strerror or error}", "name another folder"
        ) from None
    return found


def check_links(folder: Path) -> None:
    """Look at all that is below a folder once, so that whoever walks through it comes to an end.

    A link may lead anywhere below the folder, and one that lies in the folder itself anywhere: that
    is how a person names data on another disk. Any other that leads out is refused: an archive that
    somebody else has made may hold it.

    Raises:
        DataError: Such a link, one that leads into a folder that it lies in, or too many folders in
            one another, or files.
    """
    above: tuple[str, ...] = (os.path.realpath(folder),)
    waiting, ways, n_entries = [(folder, above, above)], Counter[str](), 0
    while waiting:
        place, above, roots = waiting.pop()
        for name, is_folder, is_link in _entries(place):
            n_entries += 1
            path, inside, real = place / name, roots, os.path.join(above[-1], name)
            if is_link and (is_folder or _suffix(name) in SUFFIXES):
                real = os.path.realpath(real)
                if place == folder:
                    inside = (*roots, real)
                elif not any(_is_in(real, root) for root in roots):
                    text = f"{path}: a link out of {folder}, to {real}"
                    raise DataError(text, "copy what links lead to: cp -rL FOLDER OTHER_FOLDER")
            if not is_folder:
                continue
            ways[real] += 1
            if ways[real] > MOST_WAYS:
                text = f"{path}: links lead to {real} in more than {MOST_WAYS} ways"
                raise DataError(text, "remove the links")
            if is_link and any(_is_in(one, real) for one in above):
                raise DataError(f"{path}: a link to a folder that it lies in", "remove the link")
            if len(above) > DEEPEST_FOLDERS:
                text = f"{path}: more than {DEEPEST_FOLDERS} folders in one another"
                raise DataError(text, "move the images up: FOLDER/<class>/1.png")
            waiting.append((path, (*above, real), inside))
        if n_entries > MOST_ENTRIES:
            text = f"{folder}: more than {MOST_ENTRIES:,} files and folders in it"
            raise DataError(text, "take a part of them")


def _is_in(path: str, folder: str) -> bool:
    return os.path.commonpath([path, folder]) == folder


def by_value(name: str) -> tuple[Any, ...]:
    """Return the key that orders names, numbers in them by their value."""
    parts = re.split(r"([0-9]+)", name)
    return ([int(part) if n % 2 else part for n, part in enumerate(parts)], name)


def folders_in(folder: Path) -> list[Path]:
    """Return the folders directly in a folder by name, without those that systems make."""
    names = sorted(_names(folder, folders=True), key=by_value)
    return [folder / name for name in names if name.casefold() not in SILENT_FOLDERS]


def files_in(folder: Path, left: Leftovers) -> list[Path]:
    """Return the images directly in a folder by name; its other files go into `left`."""
    images = []
    for name in sorted(_names(folder, folders=False), key=by_value):
        if _suffix(name) in SUFFIXES:
            images.append(folder / name)
        elif name.casefold() not in SILENT:
            left.add(folder / name)
    return images


def images_in(folder: Path, left: Leftovers) -> list[Path]:
    """Return the images below a folder, those of its own first; other files go into `left`."""
    found = files_in(folder, left)
    for path in folders_in(folder):
        found += images_in(path, left)
    return found


def has_own_images(folder: Path) -> bool:
    """Return whether images lie directly in a folder."""
    return any(_suffix(name) in SUFFIXES for name in _names(folder, folders=False))


def has_images(folder: Path) -> bool:
    """Return whether there is an image anywhere below a folder."""
    return has_own_images(folder) or any(has_images(path) for path in folders_in(folder))


def named(names: Iterable[object]) -> str:
    """Return the first few of some names, and how many more there are."""
    some = [str(name) for name in names]
    n_more = len(some) - MOST_NAMED
    return ", ".join(some[:MOST_NAMED]) + (f" and {n_more} more" if n_more > 0 else "")


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def counted_images(n: int) -> str:
    """Return `1 image`, `2 images`."""
    return f"{n} image" if n == 1 else f"{n} images"


def _first_of(paths: list[Path], text: str, what: str) -> list[str]:
    if not paths:
        return []
    n = len(paths)
    return [f"{paths[0]}: {text}" + (f"; so are {n} {what}s in all" if n > 1 else "")]
