"""`study from-images`: sound files from folders of images of any size and colour, in one order."""

import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from objectives.data.dataset import check_data
from objectives.data.images.folder import read_image_folder
from objectives.errors import DataError
from objectives.files import limits
from objectives.framework.runtime import start_framework
from study.cli.data import from_images_command
from study.report.gallery import encode_png
from tests.integration.trainings import OPTIONS


@pytest.fixture(autouse=True, scope="module")
def framework() -> None:
    """Start TensorFlow as the trainings do that may follow in this process."""
    start_framework(OPTIONS)


def encode(image: Any, kind: str = "png") -> bytes:
    """Return the bytes of an image file; `image` is uint8 of shape (h, w, channels)."""
    import tensorflow as tf

    made: bytes = getattr(tf.io, f"encode_{kind}")(np.asarray(image, np.uint8)).numpy()
    return made


def flat(value: int | list[int], height: int = 8, width: int = 8) -> Any:
    """Return an image of one colour."""
    channels = [value] if isinstance(value, int) else value
    return np.full((height, width, len(channels)), channels, np.uint8)


def folder_of(root: Path, files: dict[str, bytes]) -> Path:
    """Write files below `root`."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the parsed files out of the user's cache."""
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "cache"))


def test_class_folders_become_sound_files(tmp_path: Path, cache: None) -> None:
    """Names are labels and ids, numbers in them count by value; strangers' files are left out."""
    files = {f"train/{name}/{n}.png": encode_png(np.full((8, 8), n, np.uint8)) for n in range(12)
             for name in ("cat", "dog, wild")}  # fmt: skip
    files |= {f"test/{n}.png": encode_png(np.full((8, 8), n, np.uint8)) for n in (10, 9)}
    files |= {"train/cat/.DS_Store": b"x", "train/cat/notes.txt": b"x", "train/empty/x.txt": b""}
    root = folder_of(tmp_path / "pets", files)
    data = tmp_path / "csv"
    assert from_images_command(root, data=data, side=8) == 0
    report = check_data(data)
    assert (report.n_train, report.n_test, report.side) == (24, 2, 8)
    assert report.class_counts == {"cat": 12, "dog, wild": 12}
    sample = (data / "sample_submission.csv").read_text().splitlines()
    assert sample == ["ImageId,Label", "9.png,cat", "10.png,cat"]
    rows = (data / "train.csv").read_text().splitlines()[1:]
    assert [row.split(",")[-1] for row in rows[:12]] == [str(n) for n in range(12)]
    before = (data / "train.csv").stat().st_ino
    from_images_command(root, data=data, side=8)
    assert (data / "train.csv").stat().st_ino == before
    assert not (tmp_path / "csv-answers.csv").exists()


def test_without_test_images_a_fifth_is_held_back(tmp_path: Path, cache: None) -> None:
    """Of each class, the same each time; its labels are the answers."""
    files = {f"{name}/{n}.png": encode_png(np.full((4, 4), n, np.uint8)) for n in range(20)
             for name in ("a", "b")}  # fmt: skip
    root = folder_of(tmp_path / "images", files)
    from_images_command(root, data=tmp_path / "csv", side=4)
    report = check_data(tmp_path / "csv")
    assert (report.n_train, report.n_test) == (32, 8)
    answers = (tmp_path / "csv-answers.csv").read_text().splitlines()[1:]
    assert [answer.split(",")[1] for answer in answers] == ["a"] * 4 + ["b"] * 4
    assert all(answer.split("/")[0] == answer[-1] for answer in answers)
    first, second = (read_image_folder(root, 4) for _ in range(2))
    assert first.test_ids == second.test_ids
    assert np.array_equal(first.images, second.images)
    assert "8 labelled images are the test images" in first.notes[0]


def test_any_colour_and_size_becomes_a_grey_square(tmp_path: Path) -> None:
    """By brightness; what is transparent lies on white; what is not square is stretched."""
    files = {
        "train/a/1.png": encode(flat([255, 0, 0])),
        "train/a/2.png": encode(flat([0, 0, 0, 0])),
        "train/a/3.png": encode(flat([0, 128])),
        "train/a/4.jpg": encode(flat([90, 90, 90], 31, 17), "jpeg"),
        "train/b/1.PNG": encode(flat(7, 56, 56)),
        "test/1.png": encode(flat(9)),
    }
    found = read_image_folder(folder_of(tmp_path / "x", files), 28)
    assert found.images.shape == (5, 28, 28)
    assert found.labels == ["a"] * 4 + ["b"]
    values = [int(image[14, 14]) for image in found.images]
    assert values[:3] == [76, 255, 127]
    assert abs(values[3] - 90) <= 1
    assert values[4] == 7
    assert found.notes == (
        f"{tmp_path}/x/train/a/4.jpg: not square, so stretched, as 1 of 6 images",
    )
    assert found.answers is None


def test_file_that_is_no_image_is_named(tmp_path: Path) -> None:
    """With how many more there are; nothing is written."""
    good = encode_png(np.zeros((4, 4), np.uint8))
    files = {"a/1.png": good, "a/2.png": b"text", "a/3.png": good[:40], "b/1.png": good}
    root = folder_of(tmp_path / "x", files)
    with pytest.raises(DataError, match=r"a/2\.png: no PNG.*; 1 more cannot be read \(.*a/3\.png"):
        from_images_command(root, data=tmp_path / "csv", side=4)
    assert not (tmp_path / "csv").exists()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"1.png": b"x"}, "no folders with images"),
        ({"a/readme.txt": b"x"}, "no folders with images"),
        ({"test/1.png": b"x"}, "no folders with images"),
        ({"train/a/1.png": b"x", "test/x.txt": b""}, "test: no images in it"),
    ],
)
def test_folder_without_classes_is_refused(
    tmp_path: Path, files: dict[str, bytes], message: str
) -> None:
    """By its name, with what is expected."""
    with pytest.raises(DataError, match=message):
        read_image_folder(folder_of(tmp_path / "x", files), 4)
    with pytest.raises(DataError, match=r"nowhere: cannot be read: No such file"):
        read_image_folder(tmp_path / "nowhere", 4)


def png(values: Any, depth: int, kind: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """Return a PNG of one row; `values` are its bytes, `kind` its colour type."""
    width = len(values) * 8 // (depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[kind])
    header = struct.pack(">IIBBBBB", width, 1, depth, kind, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(b"\0" + bytes(values)))]
    packed = [
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in [*parts, (b"IEND", b"")]
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def bmp(bits: int, palette: bytes, pixel: bytes, packing: int = 0) -> bytes:
    """Return a BMP of one pixel."""
    start = 54 + len(palette)
    head = struct.pack("<IiiHHIIiiII", 40, 1, 1, 1, bits, packing, 4, 0, 0, len(palette) // 4, 0)
    body = head + palette + pixel.ljust(4, b"\0")
    return b"BM" + struct.pack("<IHHI", 14 + len(body), 0, 0, start) + body


def gif(n_pictures: int, is_transparent: bool) -> bytes:
    """Return a GIF of one pixel, of the colour 200."""
    control = bytes([0x21, 0xF9, 4, is_transparent, 0, 0, 1, 0])
    picture = bytes([0x2C, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 2, 0x44, 1, 0])
    head = b"GIF89a" + bytes([1, 0, 1, 0, 0x80, 0, 0, 200, 200, 200, 0, 0, 0])
    return head + (control + picture) * n_pictures + b";"


HUGE = "20000x20000 pixels, but at most 200 million are read"


def huge(kind: str) -> bytes:
    """Return a file of some bytes that says it has 20000x20000 pixels."""
    side, small = 20_000, struct.pack("<HH", 1, 1)
    if kind == "png":
        return png([1], 8, 0).replace(struct.pack(">II", 1, 1), struct.pack(">II", side, side))
    if kind == "jpeg":
        return encode(flat(1), "jpeg").replace(b"\x08\0\x08\0\x08", b"\x08\x4e\x20\x4e\x20", 1)
    if kind == "bmp":
        sizes = struct.pack("<ii", 1, 1), struct.pack("<ii", side, -side)
        return bmp(24, b"", b"\0").replace(*sizes, 1)
    content = gif(1, False)
    at = content.index(small) if kind == "gif" else content.rindex(small)
    return content[:at] + struct.pack("<HH", side, side) + content[at + 4 :]


def turned(orientation: int) -> bytes:
    """Return a JPEG with EXIF, white above black before it is turned."""
    image = np.zeros((16, 16, 3), np.uint8)
    image[:8] = 255
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    body = b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 1) + entry + bytes(4)
    plain = encode(image, "jpeg")
    return plain[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + plain[2:]


KINDS = {
    "16 bits": (png([0x80, 0x40], 16, 0), 128),
    "16 bits and alpha": (png([0, 0, 0x80, 0], 16, 4), 127),
    "palette": (png([1], 8, 3, (b"PLTE", bytes([9, 9, 9, 200, 0, 0]))), 60),
    "palette with a hole": (png([0], 8, 3, (b"PLTE", bytes(3)), (b"tRNS", b"\0")), 255),
    "grey that is transparent": (png([0], 8, 0, (b"tRNS", bytes(2))), 255),
    "another grey than that": (png([7], 8, 0, (b"tRNS", bytes(2))), 7),
    "RGB that is transparent": (png([1, 2, 3], 8, 2, (b"tRNS", bytes([0, 1, 0, 2, 0, 3]))), 255),
    "BMP with a palette": (bmp(8, bytes([9, 9, 9, 0, 0, 0, 200, 0]), b"\1"), 60),
    "BMP of 24 bits": (bmp(24, b"", bytes([0, 0, 200])), 60),
    "BMP of 32 bits without alpha": (bmp(32, b"", bytes([0, 0, 200, 0])), 60),
}


def test_every_kind_of_file_has_the_right_brightness(tmp_path: Path) -> None:
    """Depths, palettes and transparency, where TensorFlow alone gives other values or none."""
    files = {f"train/a/{n}.png": content for n, (content, _) in enumerate(KINDS.values())}
    files |= {"train/b/1.png": encode(flat(9)), "test/1.png": encode(flat(8))}
    found = read_image_folder(folder_of(tmp_path / "x", files), 2)
    values = [int(image[0, 0]) for image in found.images[: len(KINDS)]]
    assert dict(zip(KINDS, values, strict=True)) == {name: value for name, (_, value) in
                                                     KINDS.items()}  # fmt: skip


def test_photos_stand_upright(tmp_path: Path) -> None:
    """All eight orientations of EXIF; where the white half comes to lie."""
    files = {f"train/a/{n}.jpg": turned(n) for n in range(1, 9)}
    files |= {"train/b/1.png": encode(flat(9)), "test/1.png": encode(flat(8))}
    images = read_image_folder(folder_of(tmp_path / "x", files), 16).images[:8].astype(int)
    halves = {"top": np.s_[:8], "bottom": np.s_[8:], "left": np.s_[:, :8], "right": np.s_[:, 8:]}
    lies = [max(halves, key=lambda half: image[halves[half]].mean()) for image in images]
    assert lies == ["top", "top", "bottom", "bottom", "left", "right", "right", "left"]


def test_what_a_file_loses_is_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Pictures of an animation, transparency of a GIF, few bits of 16; and damage that decodes."""
    jpeg = encode(flat([90, 90, 90]), "jpeg")
    at = jpeg.index(b"\xff\xdb")
    files = {
        "train/a/1.gif": gif(1, False),
        "train/a/2.gif": gif(3, False),
        "train/a/3.gif": gif(1, True),
        "train/a/4.png": png([0x0F, 0xFF], 16, 0),
        "train/a/5.jpg": jpeg[:at] + bytes(4) + jpeg[at:],
        "train/b/1.png": encode(flat(9)),
        "test/1.png": encode(flat(8)),
    }
    found = read_image_folder(folder_of(tmp_path / "x", files), 8)
    a = f"{tmp_path}/x/train/a"
    assert found.notes == (
        f"{a}/2.gif: animated, so its first picture is taken, as 1 of 7 images",
        f"{a}/3.gif: has transparent parts, which become black; convert it to .png for white, as 1 "
        "of 7 images",
        f"{a}/4.png: 16 bits a pixel, but no value above 4095, so nearly black, as 1 of 7 images",
        f"{a}/5.jpg: partly damaged, decoded as far as possible, as 1 of 7 images",
    )
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (bmp(4, bytes(8), b"\0"), "an old or compressed kind of BMP; convert it to .png"),
        (bmp(8, bytes(8), b"\0", 1), "an old or compressed kind of BMP; convert it to .png"),
        (bmp(8, bytes(8), b"\0")[:40], "no PNG, JPEG, GIF or BMP image, or damaged"),
        (bmp(8, bytes(8), b"\7"), "no PNG, JPEG, GIF or BMP image, or damaged"),
        (b"BM", "no PNG, JPEG, GIF or BMP image, or damaged"),
        (b"\x89PNG\r\n\x1a\n", "no PNG, JPEG, GIF or BMP image, or damaged"),
        (gif(1, False)[:8], "no PNG, JPEG, GIF or BMP image, or damaged"),
        (b"\xff\xd8\xff\xe1", "no PNG, JPEG, GIF or BMP image, or damaged"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "no PNG, JPEG, GIF or BMP image, or damaged"),
    ],
)
def test_broken_file_is_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], content: bytes, reason: str
) -> None:
    """What a decoder prints by itself is not another one."""
    files = {"a/1.png": content, "b/1.png": encode(flat(9)), "b/2.png": encode(flat(8))}
    with pytest.raises(DataError) as caught:
        read_image_folder(folder_of(tmp_path / "x", files), 4)
    assert str(caught.value) == f"{tmp_path}/x/a/1.png: {reason}"
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("kind", ["png", "gif", "picture of a gif", "jpeg", "bmp"])
def test_image_of_huge_sides_is_one_line(tmp_path: Path, kind: str) -> None:
    """By what its header says, before anything of it is decoded."""
    files = {"a/1.png": huge(kind), "b/1.png": encode(flat(9)), "b/2.png": encode(flat(8))}
    with pytest.raises(DataError, match=f"a/1.png: {HUGE}"):
        read_image_folder(folder_of(tmp_path / "x", files), 8)


@pytest.mark.parametrize("kind", ["a pipe", "a text of 40 MB", "30,000 pictures"])
def test_file_with_more_in_it_than_an_image(tmp_path: Path, kind: str) -> None:
    """No pipe is waited for; neither a text beside the pixels nor later pictures are in the way."""
    files = {f"{name}/{n}.png": encode(flat(9 * n)) for name in "ab" for n in (1, 2)}
    root, path = folder_of(tmp_path / "x", files), tmp_path / "x/a/3.png"
    if kind == "a pipe":
        os.mkfifo(path)
        with pytest.raises(DataError, match=r"a/3\.png: a pipe, where a file should be$"):
            read_image_folder(root, 8)
        return
    text = png([200], 8, 0, (b"tEXt", b"a\0" + b"x" * 40_000_000))
    path.write_bytes(text if kind == "a text of 40 MB" else gif(30_000, False))
    found = read_image_folder(root, 8)
    assert 200 in (*found.images.max((1, 2)), *found.test_images.max((1, 2)))


def test_images_that_do_not_fit_into_memory_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is large, and all of them together."""
    files = {f"{name}/{n}.png": encode(flat(9 * n)) for name in "ab" for n in (1, 2)}
    root = folder_of(tmp_path / "x", files)
    monkeypatch.setattr(limits, "_left", lambda: iter([65 << 20]))
    with pytest.raises(
        DataError, match=r"^4 images of 1000x1000 pixels: the next step needs 68 MiB"
    ):
        read_image_folder(root, 1000)
    (root / "a/1.png").write_bytes(encode(flat(9, 400, 400)))
    with pytest.raises(
        DataError, match=r"a/1\.png: 400x400 pixels: the next step needs 66 MiB of mem"
    ):
        read_image_folder(root, 8)


def test_answers_are_those_of_the_test_folders(tmp_path: Path, cache: None) -> None:
    """Valid joins train and no test image does; names with commas and quotes stay whole."""
    names = ["1 of 'x'", 'Größe, "x"']
    files = {f"{part}/{name}/{n}.png": encode_png(np.full((4, 4), k * 50 + m * 25 + n, np.uint8))
             for k, part in enumerate(("train", "val", "test")) for m, name in enumerate(names)
             for n in range(6)}  # fmt: skip
    root = folder_of(tmp_path / "x", files)
    from_images_command(root, data=tmp_path / "csv", side=4)
    assert check_data(tmp_path / "csv").class_counts == dict.fromkeys(names, 12)
    sample = (tmp_path / "csv/sample_submission.csv").read_text().splitlines()
    answers = (tmp_path / "csv-answers.csv").read_text().splitlines()
    assert answers[1] == "1 of 'x'/0.png,1 of 'x'"
    assert answers[12] == '"Größe, ""x""/5.png","Größe, ""x"""'
    assert len(sample) == len(answers) == 13


def test_copies_are_named(tmp_path: Path) -> None:
    """Between train and test, and between classes; not those of one class."""
    files = {f"train/a/{n}.png": encode(flat(n)) for n in (1, 2, 3)}
    files |= {"train/a/4.png": encode(flat(3)), "train/b/1.png": encode(flat(2)),
              "test/1.png": encode(flat(9)), "test/2.png": encode(flat([1, 1, 1]))}  # fmt: skip
    root = folder_of(tmp_path / "x", files)
    assert read_image_folder(root, 8).notes == (
        f"{root}/test/2.png: at 8x8 in grey the same image as {root}/train/a/1.png, which is in "
        "train, as 1 of 2 test images are",
        f"{root}/train/b/1.png: at 8x8 in grey the same image as {root}/train/a/2.png, but in "
        "class 'b', not 'a', as 1 of 5 are",
    )


def test_classes_that_a_study_refuses_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Too few images of a class, and a single class, before a study is made of them."""
    files = {f"train/a/{n}.png": encode(flat(n)) for n in range(4)}
    root = folder_of(tmp_path / "x", files | {"test/1.png": encode(flat(9))})
    from_images_command(root, data=tmp_path / "csv", side=4)
    said = capsys.readouterr().err
    assert "warning: class 'a' has labelled images: 4; a study needs 5 of each class\n" in said
    assert "warning: classes: 1; a study takes 2 to 100\n" in said


def test_images_held_back_of_valid_have_ids_of_their_own(tmp_path: Path) -> None:
    """Two files of one name in train and in valid do not get one id; a single image stays."""
    parts = enumerate(("train", "val"))
    files = {f"{part}/a/{n}.png": encode(flat(10 * k + n)) for k, part in parts for n in range(8)}
    files["train/b/1.png"] = encode(flat(99))
    found = read_image_folder(folder_of(tmp_path / "x", files), 4)
    assert (len(found.test_ids), len(set(found.test_ids))) == (3, 3)
    assert {name.removeprefix("val/").split("/")[0] for name in found.test_ids} == {"a"}
    assert list(found.labels).count("b") == 1
    with pytest.raises(DataError, match="one image a class, and no test images"):
        read_image_folder(folder_of(tmp_path / "y", {"a/1.png": b"", "b/1.png": b""}), 4)


def test_file_name_that_no_csv_holds_is_refused(tmp_path: Path) -> None:
    """A line end in it would end the row; the narrow blank of macOS is no fault."""
    files = {"train/a/1.png": encode(flat(1)), "test/1 \u202fPM.png": encode(flat(2))}
    root = folder_of(tmp_path / "x", files)
    assert read_image_folder(root, 4).test_ids == ["1 \u202fPM.png"]
    folder_of(root, {"test/a\nb.png": encode(flat(3))})
    with pytest.raises(DataError, match=r"x/test: 'a\\nb\.png' cannot be an id"):
        read_image_folder(root, 4)
