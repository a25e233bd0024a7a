"""A folder of images: which folder in it is train, valid, test or a class.

Decides by names, as people and the data sets of Kaggle give them, and by where images lie. What is
not clear is refused, with what was found. Which files are images stands in `imagefiles.py`.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from objectives.data.csv.check import label_value, shown
from objectives.data.images.files import (
    SUFFIXES,
    Leftovers,
    counted_images,
    files_in,
    folders_in,
    has_images,
    has_own_images,
    images_in,
    named,
)
from objectives.errors import DataError

TRAIN, VALID, TEST = "train", "valid", "test"
EXACT = {
    "train": TRAIN, "training": TRAIN, "test": TEST, "testing": TEST, "valid": VALID, "val": VALID,
    "validation": VALID, "dev": VALID,
}  # fmt: skip
PARTS = {
    TRAIN: re.compile(r"train(ing)?(set|data|images|imgs)?"),
    TEST: re.compile(r"test(ing)?(set|data|images|imgs)?"),
    VALID: re.compile(r"val(id(ation)?)?(set|data|images|imgs)?"),
}
LAYOUT = "a folder a class: FOLDER/cat/1.png, or FOLDER/train/cat/1.png and FOLDER/test/2.png"

Named = tuple[str | None, Path]
"""A class, where it is known, and an image of it."""


@dataclass(frozen=True)
class ImageTree:
    """The images of a folder.

    Attributes:
        base: The folder that everything lies in: the one given, or one nested in it.
        root: The folder that the class folders lie in.
        classes: The labelled images by class, those of valid after those of train.
        test_root: The folder of the test images; None where there is none.
        tests: The test images, with their class where all of them have one.
        notes: What is odd, one line each.
    """

    base: Path
    root: Path
    classes: Mapping[str, Sequence[Path]]
    test_root: Path | None
    tests: Sequence[Named]
    notes: tuple[str, ...]


def read_tree(folder: Path) -> ImageTree:
    """Find train, valid, test and the classes in a folder.

    Raises:
        DataError: There are no classes, or it is not clear which folder is what.
    """
    left = Leftovers()
    notes: list[str] = []
    base = _base(folder, left)
    roles = _roles(base)
    if base != folder:
        notes.append(f"{folder}: the images are taken from {base}")
    has_train = bool(roles[TRAIN])
    root = _unwrapped(roles[TRAIN][0], (), left) if has_train else base
    ours = [path for paths in roles.values() for path in paths]
    if has_train:
        _note_rest(base, ours, left)
    classes = _classes(root, [] if has_train else ours, left)
    if not classes or all(name.casefold() in EXACT for name in classes):
        raise _no_classes(root, base, roles, left)
    _check_names(root, classes)
    notes += _class_notes(root, classes)
    for path in roles[VALID]:
        notes.append(_join(path, classes, left))
    test_root, tests = None, list[Named]()
    if roles[TEST]:
        test_root = _unwrapped(roles[TEST][0], tuple(classes), left)
        tests = _tests(test_root, tuple(classes), left)
    return ImageTree(base, root, classes, test_root, tests, (*notes, *left.notes()))


def _base(folder: Path, left: Leftovers) -> Path:
    """Return the folder that holds train, or the classes: `folder`, or one nested in it."""
    base = folder
    while not _roles(base)[TRAIN]:
        inside = folders_in(base)
        sets = [path for path in inside if _holds_train(path)]
        others = [path for path in inside if path not in sets and has_images(path)]
        if len(sets) > 1 or (sets and others):
            raise DataError(
                f"{base}: train folders are in {named(path.name for path in sets)}"
                + (f", and images in {named(path.name for path in others)}" if others else ""),
                f"name one of them: {sets[0]}",
            )
        if sets:
            _note_rest(base, sets, left)
            base = sets[0]
        elif (
            len(inside) == 1
            and inside[0].name.casefold() not in EXACT
            and not has_own_images(base)
            and _is_wrapper(inside[0])
        ):
            files_in(base, left)
            base = inside[0]
        else:
            break
    return base


def _roles(base: Path) -> dict[str, list[Path]]:
    """Return the folders in `base` that are train, valid and test by their names.

    A name that is one of the usual ones counts before one that has such a word in it. Without a
    folder for train, the others must be named exactly so, as any folder may be a class then.

    Raises:
        DataError: Two folders are train, or two are test.
    """
    inside = folders_in(base)
    roles: dict[str, list[Path]] = {role: [] for role in PARTS}
    for path in inside:
        if role := EXACT.get(path.name.casefold()):
            roles[role].append(path)
    if not roles[TRAIN]:
        roles[TRAIN] = [p for p in inside if _role_in(p.name) == TRAIN and _has_classes(p)]
    if roles[TRAIN]:
        for role in (TEST, VALID):
            roles[role] = roles[role] or [
                path
                for path in inside
                if _role_in(path.name) == role
                and (has_images(path) if role == TEST else _has_classes(path))
            ]
    else:
        classes = {path.name for path in inside if path not in roles[TEST]}
        roles[VALID] = [
            path
            for path in roles[VALID]
            if _has_classes(path) and not classes.isdisjoint(p.name for p in folders_in(path))
        ]
    for role in (TRAIN, TEST):
        if len(roles[role]) > 1:
            raise DataError(
                f"{base}: {named(path.name for path in roles[role])} could each be {role}",
                f"name one of them '{role}', and move the others away",
            )
    return roles


def _role_in(name: str) -> str | None:
    """Return the role that one word of a name has, as in `seg_train`; None for none or several."""
    words = re.split(r"[^a-z]+", name.casefold())
    roles = {role for role, word in PARTS.items() for part in words if word.fullmatch(part)}
    return roles.pop() if len(roles) == 1 else None


def _has_classes(folder: Path) -> bool:
    return any(has_images(path) for path in folders_in(folder))


def _holds_train(folder: Path) -> bool:
    train = _roles(folder)[TRAIN]
    return bool(train) and _has_classes(train[0])


def _is_wrapper(folder: Path) -> bool:
    """Return whether the only folder there is holds the classes, rather than is one."""
    n = sum(has_images(path) for path in folders_in(folder))
    return n > 1 or (n == 1 and not has_own_images(folder))


def _unwrapped(folder: Path, classes: Sequence[str], left: Leftovers) -> Path:
    """Return the folder itself, or the one nested in it, as in `seg_train/seg_train/<class>`.

    Args:
        classes: Those of train; empty where they are what is looked for.
    """
    while not has_own_images(folder) and len(inside := folders_in(folder)) == 1:
        child = inside[0]
        is_same = child.name.casefold() == folder.name.casefold()
        below = {_name(path) for path in folders_in(child)}
        holds = not below.isdisjoint(classes) if classes else _is_wrapper(child)
        if _name(child) in classes or not (is_same or holds):
            break
        files_in(folder, left)
        folder = child
    return folder


def _note_rest(base: Path, used: Sequence[Path], left: Leftovers) -> None:
    """Take in what lies beside the folders that are used."""
    left.loose += files_in(base, left)
    for path in folders_in(base):
        if path not in used:
            left.unused.append((path, len(images_in(path, Leftovers()))))


def _name(path: Path) -> str:
    """Return a folder's name; macOS takes letters and their accents apart, others do not."""
    return unicodedata.normalize("NFC", path.name)


def _classes(root: Path, not_these: Sequence[Path], left: Leftovers) -> dict[str, list[Path]]:
    """Return the images by class folder."""
    classes: dict[str, list[Path]] = {}
    for path in folders_in(root):
        if path in not_these:
            continue
        if files := images_in(path, left):
            classes.setdefault(_name(path), []).extend(files)
        else:
            left.empty.append(path)
    left.loose += files_in(root, left)
    return classes


def _no_classes(
    root: Path, base: Path, roles: Mapping[str, Sequence[Path]], left: Leftovers
) -> DataError:
    message = f"{root}: no folders with images in them ({', '.join(sorted(SUFFIXES))})"
    beside = [path.name for path, n in left.unused if n]
    others = [path.name for path in folders_in(base) if path.name.casefold() in EXACT]
    hint = LAYOUT
    if beside and roles[TRAIN]:
        hint = (
            f"if '{roles[TRAIN][0].name}' is a class as {named(beside)}, give it another name; "
            "else sort its images into a folder a class"
        )
    elif left.formats:
        hint = "convert the images to .png"
    elif others and not roles[TRAIN]:
        message += f"; found: {named(others)}, but no folder '{TRAIN}'"
        hint = f"put the labelled images into {base / TRAIN}/<class>/"
    return DataError(message + left.found(), hint)


def _check_names(root: Path, classes: Mapping[str, object]) -> None:
    """Refuse names that cannot be labels, or that a CSV file does not tell apart.

    Raises:
        DataError: One such name, or two.
    """
    read_as: dict[int | str, str] = {}
    for name in classes:
        try:
            label = label_value(name.encode("utf-8", "surrogateescape"))
        except ValueError as reason:
            raise DataError(
                f"{root}: a folder's name cannot be a class: {reason}", "rename the folder"
            ) from None
        other = read_as.setdefault(label, name)
        if other != name:
            raise DataError(
                f"{root}: folders {shown(other)} and {shown(name)} are both class {label} in a CSV "
                "file",
                "rename one of them, or move its images into the other",
            )


def _class_notes(root: Path, classes: Mapping[str, Sequence[Path]]) -> list[str]:
    """Return what is odd in the names and the folders of the classes."""
    notes = []
    spellings: dict[str, str] = {}
    for name in classes:
        other = spellings.setdefault(name.casefold(), name)
        if other != name:
            notes.append(f"{root}: {shown(other)} and {shown(name)} are taken as two classes")
        if name.casefold() in EXACT and root.name.casefold() not in EXACT:
            notes.append(f"{root / name}: taken as a class of this name")
    padded = [
        name for name in classes if name.isascii() and name.isdecimal() and name != str(int(name))
    ]
    if padded:
        first = padded[0]
        notes.append(f"{root}: class names are numbers, so folder '{first}' is class {int(first)}")
    nested = [name for name in classes if (root / name).is_dir() and _is_nested(root / name)]
    if nested:
        below = named(path.name for path in folders_in(root / nested[0]))
        as_many = f", as in {len(nested)} of {len(classes)} folders" if len(nested) > 1 else ""
        notes.append(
            f"{root / nested[0]}: the folders in it ({below}) are taken as one class{as_many}"
        )
    return notes


def _is_nested(folder: Path) -> bool:
    return not has_own_images(folder) and sum(map(has_images, folders_in(folder))) > 1


def _join(path: Path, classes: Mapping[str, list[Path]], left: Leftovers) -> str:
    """Put the images of a folder such as valid to those of train; return a line about it.

    Raises:
        DataError: A class that train does not have.
    """
    inner = _unwrapped(path, tuple(classes), left)
    left.loose += files_in(inner, left)
    n_images = 0
    for folder in folders_in(inner):
        files = images_in(folder, left)
        if not files:
            left.empty.append(folder)
        elif _name(folder) in classes:
            classes[_name(folder)].extend(files)
            n_images += len(files)
        else:
            raise DataError(
                f"{folder}: {shown(_name(folder))} is no class of {TRAIN}, whose classes are "
                f"{named(classes)}",
                f"rename the folder, or move {path} away",
            )
    if not n_images:
        return f"{path}: no images in class folders, so not used"
    return f"{path}: {counted_images(n_images)} with labels, which join those of {TRAIN}"


def _tests(root: Path, classes: Sequence[str], left: Leftovers) -> list[Named]:
    """Return the test images, with their class where the folders of `root` are those of train.

    Raises:
        DataError: No images, or some folders are classes and others not.
    """
    own = files_in(root, left)
    below = {path: files for path in folders_in(root) if (files := images_in(path, left))}
    if not own and not below:
        raise DataError(f"{root}: no images in it{left.found()}", f"remove {root}")
    known = [path for path in below if _name(path) in classes]
    others = [path.name for path in below if path not in known]
    if known and (others or own):
        rest = f"not {named(others)}" if others else f"and {own[0].name} is in no folder"
        raise DataError(
            f"{root}: of the folders in it {named(path.name for path in known)} are classes of "
            f"{TRAIN}, {rest}, so only some answers are known",
            "put every image into a class folder; or, to predict them all, none",
        )
    folded = {name.casefold(): name for name in classes}
    for name in others:
        if meant := folded.get(unicodedata.normalize("NFC", name).casefold()):
            raise DataError(
                f"{root / name}: {TRAIN} has the class {shown(meant)}, spelled otherwise",
                f"rename the folder to {meant}, if its images are of this class",
            )
    if known:
        left.empty += [path for path in folders_in(root) if path not in below]
        return [(_name(path), file) for path, files in below.items() for file in files]
    return [(None, file) for file in [*own, *(file for files in below.values() for file in files)]]
