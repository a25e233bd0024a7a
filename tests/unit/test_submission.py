"""A submission is in place only when it is valid, and a file as a whole or not at all."""

import shlex
from collections.abc import Sequence
from pathlib import Path

import pytest

from objectives.files.atomic import atomic_path, write_text
from study.finalize.submission import SubmissionError, kaggle_line, write_submission

CLASSES = ("0", "1", "7")


def write(path: Path, labels: Sequence[str], ids: Sequence[str]) -> None:
    """Write a submission with the digits' header."""
    write_submission(path, labels, ids, "ImageId", "Label", CLASSES)


def names(folder: Path) -> list[str]:
    """Return what is in the folder, hidden files too."""
    return sorted(path.name for path in folder.iterdir())


def test_submission_has_the_samples_header_and_order(tmp_path: Path) -> None:
    """Plain CSV with LF, the sample's columns, one row an id in the sample's order."""
    path = tmp_path / "submission.csv"
    write(path, ["7", "0", "7"], ["3", "1", "2"])
    assert path.read_bytes() == b"ImageId,Label\n3,7\n1,0\n2,7\n"
    assert names(tmp_path) == ["submission.csv"]


def test_odd_names_survive_the_way_through_csv(tmp_path: Path) -> None:
    """Commas, quotes, line ends and other alphabets in columns, ids and labels are kept."""
    path = tmp_path / "submission.csv"
    write_submission(path, ["a,b", "ಠ"], ['x"1"', "y\nz"], "id, of image", "label", ["a,b", "ಠ"])
    text = path.read_bytes().decode()
    assert text == '"id, of image",label\n"x""1""","a,b"\n"y\nz",ಠ\n'


@pytest.mark.parametrize(
    ("labels", "ids", "message"),
    [
        (["1"], ["1", "2"], "1 predictions for 2 test images"),
        ([], [], "submission.csv: 0 rows for 0 test images"),
        (["1", "8"], ["1", "2"], "row 2: the label '8' is none of the classes 0, 1, 7"),
        (["1", ""], ["1", "2"], "row 2: the label '' is none of the classes"),
        (["1", "1", "0"], ["5", "6", "5"], "the id '5' occurs 2 times"),
    ],
)
def test_invalid_submission_is_refused(
    tmp_path: Path, labels: list[str], ids: list[str], message: str
) -> None:
    """Whatever is wrong is named, and an earlier submission stays as it was."""
    path = tmp_path / "submission.csv"
    path.write_text("the earlier one")
    with pytest.raises(SubmissionError, match=message):
        write(path, labels, ids)
    assert path.read_text() == "the earlier one"
    assert names(tmp_path) == ["submission.csv"]


def test_what_reads_back_otherwise_is_refused(tmp_path: Path) -> None:
    """The check looks at the file, not at what was to be written: here an id is no text."""
    path = tmp_path / "submission.csv"
    with pytest.raises(SubmissionError, match="row 1: the id is '1', not '1'"):
        write(path, ["1"], [1])  # type: ignore[list-item]
    assert not names(tmp_path)


def test_submission_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    """A folder that is not there is a known failure with a next step."""
    with pytest.raises(SubmissionError, match=r"cannot write .*gone.* No such file") as caught:
        write(tmp_path / "gone" / "submission.csv", ["1"], ["1"])
    assert caught.value.hint == "name another folder: --out DIR"


def test_many_classes_are_cut_in_the_message(tmp_path: Path) -> None:
    """One line stays one line with a hundred classes."""
    classes = [str(n) for n in range(100)]
    with pytest.raises(SubmissionError, match=r"18, 19 and 80 more$"):
        write_submission(tmp_path / "s.csv", ["x"], ["1"], "ImageId", "Label", classes)


def test_kaggle_line_survives_the_shell() -> None:
    """A path with spaces and quotes arrives at Kaggle's program as one argument."""
    path = Path("/tmp/it's mine/out dir/submission.csv")
    words = shlex.split(kaggle_line(path, "kannada-mnist"))
    assert words[:5] == ["kaggle", "competitions", "submit", "-c", "kannada-mnist"]
    assert words[5:] == ["-f", str(path), "-m", "found with slot-study"]


def test_kaggle_line_is_plain_where_it_can_be() -> None:
    """No quotes around a path that needs none."""
    line = kaggle_line(Path("out/submission.csv"))
    start = "kaggle competitions submit -c digit-recognizer -f out/submission.csv -m "
    assert line == f'{start}"found with slot-study"'


def test_atomic_path_keeps_the_suffixes_beside_its_place(tmp_path: Path) -> None:
    """Writers that choose the format by the suffix, such as Keras, see the right one."""
    with atomic_path(tmp_path / "model.csv.gz") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffixes == [".csv", ".gz"]
        assert temporary.name.startswith(".")
        assert not temporary.exists()
        temporary.write_bytes(b"whole")
    assert (tmp_path / "model.csv.gz").read_bytes() == b"whole"
    assert names(tmp_path) == ["model.csv.gz"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_failed_write_leaves_the_earlier_file(tmp_path: Path, error: type[BaseException]) -> None:
    """After an error or Ctrl-C there is the old file and no rest of the new one."""
    path = tmp_path / "model.keras"
    path.write_bytes(b"old")

    def write_half() -> None:
        with atomic_path(path) as temporary:
            temporary.write_bytes(b"ne")
            raise error

    with pytest.raises(error):
        write_half()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["model.keras"]


def test_block_that_writes_nothing_is_an_error(tmp_path: Path) -> None:
    """A writer that forgot to write does not pass for one that did."""

    def write_nothing() -> None:
        with atomic_path(tmp_path / "model.keras"):
            pass

    with pytest.raises(FileNotFoundError):
        write_nothing()
    assert not names(tmp_path)


def test_file_is_synced_before_it_takes_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a power loss could leave an empty file under the final name."""
    path = tmp_path / "card.md"
    was_there: list[bool] = []
    monkeypatch.setattr(
        "objectives.files.atomic.os.fsync", lambda _: was_there.append(path.exists())
    )
    write_text(path, "x")
    assert was_there == [False, True]


def test_write_text_keeps_line_ends(tmp_path: Path) -> None:
    """The same bytes on every system."""
    write_text(tmp_path / "card.md", "ä\r\nb\n")
    assert (tmp_path / "card.md").read_bytes() == b"\xc3\xa4\r\nb\n"
