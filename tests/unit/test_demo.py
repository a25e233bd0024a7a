"""The demo's digits are a sound competition, and its score tells good from bad."""

from pathlib import Path

import pytest

from study.demo import main

ANSWERS = ["ImageId,Label", *(f"{n},{n % 10}" for n in range(1, 101))]


def write(path: Path, lines: list[str]) -> str:
    """Write the lines and return the path as an argument."""
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def rated(tmp_path: Path, lines: list[str]) -> int:
    """Return the status of `score` for a submission."""
    answers = write(tmp_path / "answers.csv", ANSWERS)
    return main(["score", write(tmp_path / "submission.csv", lines), answers])


def test_data_is_a_sound_competition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """1,797 real digits, 80/20 by class, pass the checks; the answers lie outside the folder."""
    pytest.importorskip("sklearn")
    from objectives.data.dataset import check_data

    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "demo" / "data"
    assert main(["data", str(folder)]) == 0
    names = ["sample_submission.csv", "test.csv", "train.csv"]
    assert sorted(path.name for path in folder.iterdir()) == names
    report = check_data(folder)
    assert (report.n_train, report.n_test, report.side) == (1437, 360, 8)
    assert min(report.class_counts.values()) >= 139
    assert report.columns == ("ImageId", "Label")
    answers = (tmp_path / "demo" / "answers.csv").read_text().splitlines()
    sample = (folder / "sample_submission.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in answers] == [line.split(",")[0] for line in sample]
    assert report.fingerprint == check_data(folder).fingerprint


def test_second_run_writes_nothing_and_a_loss_is_mended(tmp_path: Path) -> None:
    """What is there stays untouched; a file that was removed comes back the same."""
    pytest.importorskip("sklearn")
    folder = tmp_path / "demo" / "data"
    main(["data", str(folder)])
    paths = [*folder.iterdir(), tmp_path / "demo" / "answers.csv"]
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in paths}
    assert main(["data", str(folder)]) == 0
    assert {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in paths} == before
    content = (folder / "train.csv").read_bytes()
    (folder / "train.csv").unlink()
    main(["data", str(folder)])
    assert (folder / "train.csv").read_bytes() == content
    assert {*folder.iterdir(), tmp_path / "demo" / "answers.csv"} == set(paths)


def test_good_submission_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """98 of 100 is enough, and the accuracy is printed."""
    lines = [*ANSWERS[:-2], "99,0", "100,1"]
    assert rated(tmp_path, lines) == 0
    assert capsys.readouterr().out == "accuracy 0.9800: 98 of 100 test images right\n"


def test_poor_submission_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """97 of 100 is not enough; the accuracy is printed all the same."""
    assert rated(tmp_path, [*ANSWERS[:-3], "98,0", "99,0", "100,1"]) == 1
    printed = capsys.readouterr()
    assert "accuracy 0.9700" in printed.out
    assert printed.err == "demo: error: accuracy below 0.98\n"


@pytest.mark.parametrize(
    "lines",
    [
        ["Label,ImageId", *ANSWERS[1:]],
        ANSWERS[:1],
        ANSWERS[:-1],
        [*ANSWERS, "101,1"],
        [*ANSWERS, ANSWERS[-1]],
        [*ANSWERS[:-1], "100"],
    ],
    ids=["header", "no rows", "row missing", "row more", "row twice", "no label"],
)
def test_malformed_submission_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lines: list[str]
) -> None:
    """Kaggle would refuse it; one line says what is wrong, and no accuracy is printed."""
    assert rated(tmp_path, lines) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("demo: error: ")
    assert printed.err.count("\n") == 1


def test_missing_submission_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A submission that is not there is an error, not a traceback."""
    answers = write(tmp_path / "answers.csv", ANSWERS)
    assert main(["score", str(tmp_path / "none.csv"), answers]) == 1
    assert "none.csv" in capsys.readouterr().err
