"""Decide which subfolder of an image folder is train, valid, test or a class.

Names of folders decide, in common spellings, and where the images are. An unclear case is refused,
with the names of the folders.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from objectives.data.csv.check import label_value, shown
from objectives.data.images.files import (
    SUFFIXES,
    Folder,
    Leftovers,
    counted_images,
    named,
    scan_folder,
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
"""A class (None if unknown), and the file of an image."""


@dataclass(frozen=True)
class ImageTree:
    """The images of a folder.

    Attributes:
        base: The folder that contains everything: the given folder, or one nested in it.
        root: The folder that contains the class folders.
        classes: The labelled images by class, train before valid.
        test_root: The folder of the test images; None if there is none.
        tests: The test images, with their classes if all of them have one.
        notes: Peculiarities, one line each.
    """

    base: Path
    root: Path
    classes: Mapping[str, Sequence[Path]]
    test_root: Path | None
    tests: Sequence[Named]
    notes: tuple[str, ...]


def read_tree(path: Path) -> ImageTree:
    """Find train, valid, test and the classes in a folder."""
    left, folder = Leftovers(), scan_folder(path)
    notes: list[str] = []
    base = _base(folder, left)
    roles = _roles(base)
    if base is not folder:
        notes.append(f"{path}: the images are taken from {base.path}")
    has_train = bool(roles[TRAIN])
    root = _unwrapped(roles[TRAIN][0], (), left) if has_train else base
    ours = [one for folders in roles.values() for one in folders]
    if has_train:
        _note_rest(base, ours, left)
    classes: dict[str, list[Path]] = {}
    for one in root.folders:
        if has_train or one not in ours:
            if files := one.all_images(left):
                classes.setdefault(one.name, []).extend(files)
            else:
                left.empty.append(one.path)
    left.loose += root.own_images(left)
    if not classes or all(name.casefold() in EXACT for name in classes):
        raise _no_classes(root, base, roles, left)
    _check_names(root, classes)
    notes += _class_notes(root, classes)
    for one in roles[VALID]:
        notes.append(_join(one, classes, left))
    test_root, tests = None, list[Named]()
    if roles[TEST]:
        test = _unwrapped(roles[TEST][0], tuple(classes), left)
        test_root, tests = test.path, _tests(test, tuple(classes), left)
    return ImageTree(base.path, root.path, classes, test_root, tests, (*notes, *left.notes()))


def _base(folder: Folder, left: Leftovers) -> Folder:
    """Return the folder that contains train or the classes: `folder`, or one nested in it."""
    base = folder
    while not _roles(base)[TRAIN]:
        inside = base.folders
        sets = [one for one in inside if any(map(_has_classes, _roles(one)[TRAIN][:1]))]
        others = [one for one in inside if one not in sets and one.has_images()]
        if len(sets) > 1 or (sets and others):
            text = f"{base.path}: train folders are in {_named(sets)}"
            text += f", and images in {_named(others)}" if others else ""
            raise DataError(text, f"name one of them: {sets[0].path}")
        if sets:
            _note_rest(base, sets, left)
            base = sets[0]
        elif (
            len(inside) == 1
            and inside[0].path.name.casefold() not in EXACT
            and not base.images
            and _is_wrapper(inside[0])
        ):
            base.own_images(left)
            base = inside[0]
        else:
            break
    return base


def _roles(base: Folder) -> dict[str, list[Folder]]:
    """Return the folders in `base` that are train, valid and test, by name.

    An exact name wins over a name that only contains such a word. Without a train folder, valid and
    test need exact names, because any other folder may be a class then.
    """
    inside = base.folders
    roles: dict[str, list[Folder]] = {role: [] for role in PARTS}
    for one in inside:
        if role := EXACT.get(one.path.name.casefold()):
            roles[role].append(one)
    is_like = {TRAIN: _has_classes, VALID: _has_classes, TEST: Folder.has_images}
    by_word = {
        role: [one for one in inside if _role_in(one.path.name) == role and is_like[role](one)]
        for role in roles
    }
    roles[TRAIN] = roles[TRAIN] or by_word[TRAIN]
    if roles[TRAIN]:
        roles = {role: roles[role] or by_word[role] for role in roles}
    else:
        classes = {one.path.name for one in inside if one not in roles[TEST]}
        roles[VALID] = [
            one
            for one in roles[VALID]
            if _has_classes(one) and not classes.isdisjoint(c.path.name for c in one.folders)
        ]
    for role in (TRAIN, TEST):
        if len(roles[role]) > 1:
            raise DataError(
                f"{base.path}: {_named(roles[role])} could each be {role}",
                f"name one of them '{role}', and move the others away",
            )
    return roles


def _role_in(name: str) -> str | None:
    """Return the role named by a word in a name, as in `seg_train`; None for none or several."""
    words = re.split(r"[^a-z]+", name.casefold())
    roles = {role for role, word in PARTS.items() for part in words if word.fullmatch(part)}
    return roles.pop() if len(roles) == 1 else None


def _named(folders: Sequence[Folder]) -> str:
    return named(one.path.name for one in folders)


def _has_classes(folder: Folder) -> bool:
    return any(one.has_images() for one in folder.folders)


def _is_wrapper(folder: Folder) -> bool:
    """Return whether a folder without siblings contains the classes rather than being one."""
    n = sum(one.has_images() for one in folder.folders)
    return n > 1 or (n == 1 and not folder.images)


def _unwrapped(folder: Folder, classes: Sequence[str], left: Leftovers) -> Folder:
    """Return the folder, or the folder nested in it, as in `seg_train/seg_train/<class>`.

    Args:
        classes: Classes of train; empty if they are not known yet.
    """
    while not folder.images and len(folder.folders) == 1:
        child = folder.folders[0]
        is_same = child.path.name.casefold() == folder.path.name.casefold()
        below = {one.name for one in child.folders}
        holds = not below.isdisjoint(classes) if classes else _is_wrapper(child)
        if child.name in classes or not (is_same or holds):
            break
        folder.own_images(left)
        folder = child
    return folder


def _note_rest(base: Folder, used: Sequence[Folder], left: Leftovers) -> None:
    """Add everything beside the used folders to `left`."""
    left.loose += base.own_images(left)
    for one in base.folders:
        if one not in used:
            left.unused.append((one.path, len(one.all_images(Leftovers()))))


def _no_classes(
    root: Folder, base: Folder, roles: Mapping[str, Sequence[Folder]], left: Leftovers
) -> DataError:
    message = f"{root.path}: no folders with images in them ({', '.join(sorted(SUFFIXES))})"
    beside = [path.name for path, n in left.unused if n]
    others = [one for one in base.folders if one.path.name.casefold() in EXACT]
    hint = LAYOUT
    if beside and roles[TRAIN]:
        hint = (
            f"if '{roles[TRAIN][0].path.name}' is a class as {named(beside)}, give it another "
            "name; else sort its images into a folder a class"
        )
    elif left.formats:
        hint = "convert the images to .png"
    elif others and not roles[TRAIN]:
        message += f"; found: {_named(others)}, but no folder '{TRAIN}'"
        hint = f"put the labelled images into {base.path / TRAIN}/<class>/"
    return DataError(message + left.found(), hint)


def _check_names(root: Folder, classes: Mapping[str, object]) -> None:
    """Refuse names that cannot be labels, or that are equal labels in a CSV file."""
    read_as: dict[int | str, str] = {}
    for name in classes:
        try:
            label = label_value(name.encode("utf-8", "surrogateescape"))
        except ValueError as reason:
            text = f"{root.path}: a folder's name cannot be a class: {reason}"
            raise DataError(text, "rename the folder") from None
        other = read_as.setdefault(label, name)
        if other != name:
            both = f"{shown(other)} and {shown(name)} are both class {label} in a CSV file"
            hint = "rename one of them, or move its images into the other"
            raise DataError(f"{root.path}: folders {both}", hint)


def _class_notes(root: Folder, classes: Mapping[str, Sequence[Path]]) -> list[str]:
    """Return peculiarities of the class folders and their names."""
    notes, path = [], root.path
    spellings: dict[str, str] = {}
    for name in classes:
        other = spellings.setdefault(name.casefold(), name)
        if other != name:
            notes.append(f"{path}: {shown(other)} and {shown(name)} are taken as two classes")
        if name.casefold() in EXACT and path.name.casefold() not in EXACT:
            notes.append(f"{path / name}: taken as a class of this name")
    for name in classes:
        if name.isascii() and name.isdecimal() and name != str(int(name)):
            as_numbers = f"class names are numbers, so folder '{name}' is class {int(name)}"
            notes.append(f"{path}: {as_numbers}")
            break
    many = [one for one in root.folders if sum(inner.has_images() for inner in one.folders) > 1]
    nested = [one for one in many if one.name in classes and not one.images]
    if nested:
        first = f"{nested[0].path}: the folders in it ({_named(nested[0].folders)})"
        as_many = f", as in {len(nested)} of {len(classes)} folders" if len(nested) > 1 else ""
        notes.append(f"{first} are taken as one class{as_many}")
    return notes


def _join(folder: Folder, classes: Mapping[str, list[Path]], left: Leftovers) -> str:
    """Add the images of a folder such as valid to train; return a line about it."""
    inner = _unwrapped(folder, tuple(classes), left)
    left.loose += inner.own_images(left)
    n_images = 0
    for one in inner.folders:
        files = one.all_images(left)
        if not files:
            left.empty.append(one.path)
        elif one.name in classes:
            classes[one.name].extend(files)
            n_images += len(files)
        else:
            raise DataError(
                f"{one.path}: {shown(one.name)} is not a class of {TRAIN}, whose classes are "
                f"{named(classes)}",
                f"rename the folder, or move {folder.path} away",
            )
    if not n_images:
        return f"{folder.path}: no images in class folders, so not used"
    return f"{folder.path}: {counted_images(n_images)} with labels, which join those of {TRAIN}"


def _tests(root: Folder, classes: Sequence[str], left: Leftovers) -> list[Named]:
    """Return the test images, with classes if the folders of `root` are classes of train."""
    own = root.own_images(left)
    below = [(one, files) for one in root.folders if (files := one.all_images(left))]
    if not own and not below:
        raise DataError(f"{root.path}: no images in it{left.found()}", f"remove {root.path}")
    known = [one for one, _ in below if one.name in classes]
    others = [one for one, _ in below if one not in known]
    if known and (others or own):
        rest = f"not {_named(others)}" if others else f"and {own[0].name} is in no folder"
        raise DataError(
            f"{root.path}: of the folders in it {_named(known)} are classes of {TRAIN}, {rest}, "
            "so only some answers are known",
            "put every image into a class folder; or, to predict them all, none",
        )
    folded = {name.casefold(): name for name in classes}
    for one in others:
        if meant := folded.get(one.name.casefold()):
            raise DataError(
                f"{one.path}: {TRAIN} has the class {shown(meant)}, spelled otherwise",
                f"rename the folder to {meant}, if its images are of this class",
            )
    if known:
        left.empty += [one.path for one in root.folders if not one.has_images()]
        return [(one.name, file) for one, files in below for file in files]
    return [(None, file) for file in [*own, *(file for _, files in below for file in files)]]
