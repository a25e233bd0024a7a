"""Find the image files below a folder, and report unused files.

Decides which suffixes are images, which files are ignored silently, and which links are followed.
Other unused files are reported with one line for each kind: their number and the first of them.
"""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
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
    """The unused content of a folder.

    Attributes:
        others: Files that are not images.
        tables: CSV files.
        formats: Image files of unsupported formats, by suffix.
        loose: Images outside class folders.
        empty: Folders without a readable image.
        unused: Folders that are neither classes nor train, valid or test, with numbers of images.
    """

    others: list[Path] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)
    formats: dict[str, list[Path]] = field(default_factory=dict)
    loose: list[Path] = field(default_factory=list)
    empty: list[Path] = field(default_factory=list)
    unused: list[tuple[Path, int]] = field(default_factory=list)

    def add(self, path: Path) -> None:
        """Add a file that is not a readable image."""
        suffix = _suffix(path.name)
        if suffix in OTHER_IMAGES:
            self.formats.setdefault(suffix, []).append(path)
        else:
            is_table = path.name.lower().endswith(TABLES)
            (self.tables if is_table else self.others).append(path)

    def notes(self) -> tuple[str, ...]:
        """Return one line for each kind, and one for each unused folder."""
        lines = [
            f"{path}: not used, {counted_images(n) if n else 'no images'} in it"
            for path, n in self.unused
        ]
        unreadable = "cannot be read, so not used; convert it to .png"
        kinds = [
            (self.loose, "in no class folder, so not used", "image"),
            *((paths, f"{end} {unreadable}", f"{end} file") for end, paths in self.formats.items()),
            (self.empty, "without a readable image, so not used", "folder"),
            (self.others, "not an image, so not used", "file"),
            (self.tables, "not read, as labels are the names of folders", "CSV file"),
        ]
        for paths, text, what in kinds:
            more = f"; so are {len(paths)} {what}s in all" if len(paths) > 1 else ""
            lines += [f"{paths[0]}: {text}{more}"] if paths else []
        return tuple(lines)

    def found(self) -> str:
        """Return text about images outside class folders or unreadable; empty without any."""
        parts = [counted_images(len(self.loose)) + " in no class folder"] if self.loose else []
        for end, paths in self.formats.items():
            parts.append(f"{len(paths)} {end}, which cannot be read")
        return f"; found: {', '.join(parts)}" if parts else ""


@dataclass(eq=False)
class Folder:
    """A folder and everything below it, sorted by name; numbers in names by value.

    Attributes:
        folders: Subfolders, except hidden and system ones.
        images, others: Files directly in the folder.
    """

    path: Path
    folders: list["Folder"] = field(default_factory=list)
    images: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Its name in normal form NFC, because macOS separates letters and accents."""
        return unicodedata.normalize("NFC", self.path.name)

    def below(self) -> Iterator["Folder"]:
        """Yield the folder and all folders below it."""
        yield self
        for folder in self.folders:
            yield from folder.below()

    def has_images(self) -> bool:
        """Whether there is an image anywhere below."""
        return any(folder.images for folder in self.below())

    def own_images(self, left: Leftovers) -> list[Path]:
        """Return the images directly in the folder; add its other files to `left`."""
        for path in self.others:
            left.add(path)
        return self.images

    def all_images(self, left: Leftovers) -> list[Path]:
        """Return all images below, the folder's own first; add other files to `left`."""
        return [path for folder in self.below() for path in folder.own_images(left)]


def scan_folder(path: Path) -> Folder:
    """Find everything below a folder.

    Links to targets below the folder are followed. Links directly in the folder may lead anywhere,
    as users point to data on another disk that way. Any other link that leads out of the folder is
    refused: it may come from a foreign archive.

    Raises:
        DataError: A refused link, a link to a folder that contains it, too many nested folders, or
            too many files.
    """
    root, real = Folder(path), os.path.realpath(path)
    waiting: list[tuple[Folder, tuple[str, ...], tuple[str, ...]]] = [(root, (real,), (real,))]
    ways, n_entries = Counter[str](), 0
    while waiting:
        folder, above, roots = waiting.pop()
        for place, is_folder, is_link in _entries(folder.path):
            n_entries += 1
            is_image, inside = _suffix(place.name) in SUFFIXES, roots
            real = os.path.join(above[-1], place.name)
            if is_link and (is_folder or is_image):
                real = os.path.realpath(real)
                if folder is root:
                    inside = (*roots, real)
                elif not any(_is_in(real, one) for one in roots):
                    text = f"{place}: a link out of {path}, to {real}"
                    raise DataError(text, "copy the targets of links: cp -rL FOLDER OTHER_FOLDER")
            if is_folder:
                ways[real] += 1
                if ways[real] > MOST_WAYS:
                    text = f"{place}: links lead to {real} in more than {MOST_WAYS} ways"
                    raise DataError(text, "remove the links")
                if is_link and any(_is_in(one, real) for one in above):
                    text = f"{place}: a link to a folder that contains it"
                    raise DataError(text, "remove the link")
                if len(above) > DEEPEST_FOLDERS:
                    text = f"{place}: more than {DEEPEST_FOLDERS} nested folders"
                    raise DataError(text, "move the images up: FOLDER/<class>/1.png")
                inner = Folder(place)
                waiting.append((inner, (*above, real), inside))
                if place.name.casefold() not in SILENT_FOLDERS:
                    folder.folders.append(inner)
            elif is_image:
                folder.images.append(place)
            elif place.name.casefold() not in SILENT:
                folder.others.append(place)
        if n_entries > MOST_ENTRIES:
            text = f"{path}: more than {MOST_ENTRIES:,} files and folders in it"
            raise DataError(text, "use a part of them")
    return root


def _entries(folder: Path) -> list[tuple[Path, bool, bool]]:
    """Return (path, is folder, is link) of all entries except hidden ones, sorted."""
    found, place = [], folder
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                place = folder / entry.name
                if not entry.name.startswith("."):
                    found.append((place, entry.is_dir(), entry.is_symlink()))
    except OSError as error:
        text = f"{place}: cannot be read: {error.strerror or error}"
        raise DataError(text, "name another folder") from None
    return sorted(found, key=lambda one: _by_value(one[0].name))


def _is_in(path: str, folder: str) -> bool:
    return os.path.commonpath([path, folder]) == folder


def _by_value(name: str) -> tuple[Any, ...]:
    """Return a sort key for names that compares numbers in them by value."""
    parts = re.split(r"([0-9]+)", name)
    return ([int(part) if n % 2 else part for n, part in enumerate(parts)], name)


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def named(names: Iterable[object]) -> str:
    """Return the first few names, and the number of the others."""
    some = [str(name) for name in names]
    n_more = len(some) - MOST_NAMED
    return ", ".join(some[:MOST_NAMED]) + (f" and {n_more} more" if n_more > 0 else "")


def counted_images(n: int) -> str:
    """Return `1 image`, `2 images`."""
    return f"{n} image" if n == 1 else f"{n} images"
