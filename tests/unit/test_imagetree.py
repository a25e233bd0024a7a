"""Folders of images as people have them: train, valid, test and the classes are found, or named."""

from pathlib import Path

import pytest

from objectives.data.images.tree import ImageTree, read_tree
from objectives.errors import DataError


def made(root: Path, *names: str) -> Path:
    """Make empty files below `root`; a name that ends with / is a folder."""
    for name in names:
        path = root / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.touch()
    return root


def tree_of(root: Path, *names: str) -> ImageTree:
    """Return the tree of a folder with these files, beside two classes of two images in train."""
    cats = [f"train/{name}/{n}.png" for name in ("cat", "dog") for n in (1, 2)]
    return read_tree(made(root, *cats, *names))


def counts(tree: ImageTree) -> dict[str, int]:
    """Return the number of labelled images by class."""
    return {name: len(files) for name, files in tree.classes.items()}


def test_folders_of_test_that_are_classes_give_answers(tmp_path: Path) -> None:
    """Not all classes need to be there; nothing of them is learned from."""
    tree = tree_of(tmp_path, "test/dog/1.png", "test/dog/2.png", "test/cat/")
    assert tree.tests == [("dog", tmp_path / f"test/dog/{n}.png") for n in (1, 2)]
    assert counts(tree) == {"cat": 2, "dog": 2}
    assert tree.notes == (f"{tmp_path}/test/cat: without a readable image, so not used",)


@pytest.mark.parametrize("name", ["unknown/1.png", "images/1.png", "0001/1.png", "1.png"])
def test_other_folders_of_test_are_only_folders(tmp_path: Path, name: str) -> None:
    """Their images are predicted, and nobody knows the answers."""
    tree = tree_of(tmp_path, f"test/{name}")
    assert tree.tests == [(None, tmp_path / "test" / name)]
    assert tree.notes == ()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["test/cat/1.png", "test/emu/1.png"], r"test: of the .* cat are classes.*, not emu, so"),
        (["test/cat/1.png", "test/7.png"], r"cat are classes of train, and 7\.png is in no folder"),
        (["test/Cat/1.png"], "test/Cat: train has the class 'cat', spelled otherwise"),
        (["test/notes.txt", "test/1.webp"], r"test: no images in it; found: 1 \.webp"),
        (["valid/cat/1.png", "valid/emu/1.png"], "valid/emu: 'emu' is not a class of train"),
        (["training/cat/1.png"], "train, training could each be train"),
        (["test/1.png", "Testing/1.png"], "Testing, test could each be test"),
        (["train/1/1.png", "train/01/1.png"], "'01' and '1' are both class 1 in a CSV file"),
        (["train/cat /1.png"], "'cat' and 'cat ' are both class cat"),
        (["train/nan/1.png"], "name cannot be a class: 'nan' is not a finite number"),
    ],
)
def test_unclear_folder_is_refused(tmp_path: Path, names: list[str], message: str) -> None:
    """With its name, and a hint."""
    with pytest.raises(DataError, match=message) as caught:
        tree_of(tmp_path, *names)
    assert caught.value.hint


@pytest.mark.parametrize("name", ["valid", "val", "Validation", "dev", "my_val_set", "ValidData"])
def test_valid_joins_train(tmp_path: Path, name: str) -> None:
    """A line says how many images; a class folder of it that is no class is refused."""
    tree = tree_of(tmp_path, f"{name}/cat/8.png", f"{name}/dog/9.png", "test/1.png")
    assert counts(tree) == {"cat": 3, "dog": 3}
    assert tree.notes == (f"{tmp_path}/{name}: 2 images with labels, which join those of train",)


def test_valid_without_classes_is_said(tmp_path: Path) -> None:
    """Nobody knows their labels."""
    notes = tree_of(tmp_path, "dev/1.png", "dev/2.png").notes
    assert notes == (
        f"{tmp_path}/dev: no images in class folders, so not used",
        f"{tmp_path}/dev/1.png: in no class folder, so not used; so are 2 images in all",
    )


LAYOUTS = {
    "MNIST": ("mnist_png/training/{}/1.png", "mnist_png/testing/{}/1.png"),
    "capitals": ("Train/{}/1.png", "TEST/{}/1.png"),
    "Intel": ("seg_train/seg_train/{}/1.png", "seg_test/seg_test/{}/1.png"),
    "ASL": ("asl_alphabet_train/asl_alphabet_train/{}/1.png", "asl_alphabet_test/{}/1.png"),
    "sets": ("training_set/training_set/{}/1.png", "test_set/test_set/{}/1.png"),
    "words": ("a/b/Training Data/{}/1.png", "a/b/Testing Data/{}/1.png"),
    "nested": ("x/y/train/{}/1.png", "x/y/test/images/{}/1.png"),
}


@pytest.mark.parametrize(("train", "test"), LAYOUTS.values(), ids=list(LAYOUTS))
def test_usual_layouts_are_found(tmp_path: Path, train: str, test: str) -> None:
    """The classes, and the answers."""
    for name in ("a", "b"):
        made(tmp_path, train.format(name), test.format(name))
    tree = read_tree(tmp_path)
    assert counts(tree) == {"a": 1, "b": 1}
    assert [name for name, _ in tree.tests] == ["a", "b"]


@pytest.mark.parametrize("inside", ["animals", "x/animals"])
def test_nested_classes_are_found_and_said(tmp_path: Path, inside: str) -> None:
    """A single folder in a folder is opened; a single class is not."""
    tree = read_tree(made(tmp_path, f"{inside}/cat/1.png", f"{inside}/dog/1.png", "read.me"))
    assert counts(tree) == {"cat": 1, "dog": 1}
    assert tree.notes == (
        f"{tmp_path}: the images are taken from {tmp_path}/{inside}",
        f"{tmp_path}/read.me: not an image, so not used",
    )
    assert counts(read_tree(made(tmp_path / "one", "cat/1.png"))) == {"cat": 1}


@pytest.mark.parametrize(
    ("names", "message", "hint"),
    [
        (["a/train/x/1.png", "b/train/x/1.png"], "train folders are in a, b", "/a"),
        (["a/train/x/1.png", "b/1.png"], "are in a, and images in b", "/a"),
        (["bus/1.png", "train/1.png"], "no folders with images", "if 'train' is a class as bus"),
        (["test/cat/1.png", "val/cat/1.png"], "found: test, val, but no folder 'train'", "train"),
        (["cat/1.webp", "dog/1.webp"], r"found: 2 \.webp", r"convert the images to \.png"),
        (["1.png", "2.png"], "found: 2 images in no class folder", "a folder a class"),
    ],
)
def test_what_holds_no_classes_says_what_was_found(
    tmp_path: Path, names: list[str], message: str, hint: str
) -> None:
    """And which folder to give, where there is one."""
    with pytest.raises(DataError, match=message) as caught:
        read_tree(made(tmp_path, *names))
    assert hint.replace("\\", "") in str(caught.value.hint)


def test_what_is_not_used_is_said_once_a_kind(tmp_path: Path) -> None:
    """With the first name and the number; what systems leave in folders is not."""
    tree = tree_of(
        tmp_path,
        *["train/cat/.DS_Store", "train/cat/Thumbs.db", "desktop.ini", "__MACOSX/train/cat/1.png"],
        *["train/cat/a.txt", "train/dog/b.xml", "train/9.png", "train/10.png", "train/emu/"],
        *["train/cat/a.webp", "train/dog/b.WEBP", "train/cat/c.tif", "meta/1.png", "labels.csv"],
        *["test/1.png", "train/.ipynb_checkpoints/1.png"],
    )
    assert tree.notes == (
        f"{tmp_path}/meta: not used, 1 image in it",
        f"{tmp_path}/train/9.png: in no class folder, so not used; so are 2 images in all",
        f"{tmp_path}/train/cat/a.webp: .webp cannot be read, so not used; convert it to .png; so "
        "are 2 .webp files in all",
        f"{tmp_path}/train/cat/c.tif: .tif cannot be read, so not used; convert it to .png",
        f"{tmp_path}/train/emu: without a readable image, so not used",
        f"{tmp_path}/train/cat/a.txt: not an image, so not used; so are 2 files in all",
        f"{tmp_path}/labels.csv: not read, as labels are the names of folders",
    )


def test_odd_class_names_are_said(tmp_path: Path) -> None:
    """Two spellings stay two classes; padded numbers are numbers; a nested folder is no class."""
    tree = tree_of(tmp_path, "train/Cat/1.png", "train/007/1.png", "train/e/a/1.png",
                   "train/e/b/1.png")  # fmt: skip
    assert tree.notes == (
        f"{tmp_path}/train: 'Cat' and 'cat' are taken as two classes",
        f"{tmp_path}/train: class names are numbers, so folder '007' is class 7",
        f"{tmp_path}/train/e: the folders in it (a, b) are taken as one class",
    )
    assert list(tree.classes) == ["007", "Cat", "cat", "dog", "e"]


def test_accents_of_macos_are_those_of_others(tmp_path: Path) -> None:
    """An umlaut in one character and in two is the same class."""
    tree = tree_of(tmp_path, "train/Gr\u00f6\u00dfe/1.png", "test/Gro\u0308\u00dfe/1.png")
    assert tree.tests[0][0] == "Gr\u00f6\u00dfe"


def test_vehicles_may_be_trains(tmp_path: Path) -> None:
    """Inside train and test, a class may have any name."""
    names = [f"{part}/{name}/1.png" for part in ("train", "test") for name in ("bus", "train")]
    tree = read_tree(made(tmp_path, *names))
    assert counts(tree) == {"bus": 1, "train": 1}
    assert [name for name, _ in tree.tests] == ["bus", "train"]
