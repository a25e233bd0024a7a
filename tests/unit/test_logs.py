"""What is shown of a trial's log: the file, its end in the database, reports, or why nothing."""

import io
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import FloatDistribution
from optuna.study import StudyDirection
from optuna.trial import TrialState

from storage import attrs, ends
from storage.rdb import open_storage
from storage.slots.slots import Claim, Draw, Slots
from study.errors import StudyError
from study.spec.open import OpenStudy, open_study
from study.spec.spec import StudySpec
from study.spec.trials import find_trial
from study.spec.workdir import WorkDir
from study.view import logs
from study.view.logs import last_lines, show_logs

LIMIT_S = 60.0


@pytest.fixture
def opened(sqlite_url: str) -> Iterator[OpenStudy]:
    """A study of three WAITING slots."""
    storage = open_storage(sqlite_url)
    spec = StudySpec("synthetic", None, {}, "s", None, [], "maximize", 0, 1, "float32", 1)
    study_id = storage.create_new_study([StudyDirection.MAXIMIZE], "s")
    Slots(storage, study_id).plan(3, define={attrs.SPEC: spec.to_json()})
    yield open_study(storage, "s")
    storage.close()


@pytest.fixture
def work(tmp_path: Path) -> WorkDir:
    """A work dir that is empty."""
    return WorkDir(tmp_path / "s.work", "0123456789abcdef")


def claim(opened: OpenStudy) -> Claim:
    """Claim the lowest slot."""
    found = opened.slots.claim(
        "far:12", lambda slot: Draw({"x": 1.0}, {"x": FloatDistribution(0, 1)}, {attrs.SEED: 1})
    )
    assert found is not None
    return found


def write(work: WorkDir, trial: int, text: bytes) -> None:
    """Append to an attempt's log."""
    path = work.attempt_log(trial)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(text)


def shown(opened: OpenStudy, work: WorkDir, text: str = "0") -> str:
    """What `study logs` prints."""
    out = io.StringIO()
    show_logs(opened, find_trial(opened, text), work, out, follow=False)
    return out.getvalue()


class Followed:
    """`study logs --follow` in a thread, looking without a pause."""

    def __init__(self, opened: OpenStudy, work: WorkDir, pool: ThreadPoolExecutor) -> None:
        self.out = io.StringIO()
        trial = find_trial(opened, "0")
        self._done: Future[Any] = pool.submit(show_logs, opened, trial, work, self.out, follow=True)

    def wait_for(self, text: str) -> None:
        """Wait until it is printed."""
        self._until(lambda: text in self.out.getvalue())

    def end(self) -> str:
        """Wait for its end, and return what it printed."""
        self._done.result(LIMIT_S)
        return self.out.getvalue()

    def _until(self, condition: Callable[[], bool]) -> None:
        poll, waited_s = threading.Event(), 0.0
        while not condition():
            assert not self._done.done() or condition(), self._done.result()
            assert waited_s < LIMIT_S, self.out.getvalue()
            poll.wait(0.01)
            waited_s += 0.01


@pytest.fixture
def follow(
    opened: OpenStudy, work: WorkDir, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], Followed]]:
    """Start following trial 0."""
    monkeypatch.setattr(logs, "POLL_S", 0.01)
    with ThreadPoolExecutor(1) as pool:
        yield lambda: Followed(opened, work, pool)


def test_log_file_is_shown_as_it_is(opened: OpenStudy, work: WorkDir) -> None:
    """Whole, in any state, with what is no UTF-8 replaced."""
    claim(opened)
    write(work, 0, "hällo\n".encode() * 20_000 + b"\xff no newline")
    assert shown(opened, work) == "hällo\n" * 20_000 + "\ufffd no newline"
    assert shown(opened, work, "slot:0") == shown(opened, work)


def test_end_of_a_log_is_shown_from_the_database(opened: OpenStudy, work: WorkDir) -> None:
    """Where the file is not seen; where it is, the file has more."""
    failed = {attrs.REASON: ends.ERROR, attrs.LOG: "one\ntwo"}
    opened.slots.finish(claim(opened), TrialState.FAIL, None, failed)
    assert shown(opened, work) == "one\ntwo\n"
    write(work, 0, b"zero\none\ntwo\n")
    assert shown(opened, work) == "zero\none\ntwo\n"


def test_nothing_to_show_says_why_and_where_to_look(opened: OpenStudy, work: WorkDir) -> None:
    """Another machine has it, or nobody has run the trial."""
    opened.slots.finish(claim(opened), TrialState.COMPLETE, 0.5)
    with pytest.raises(
        StudyError, match=r"no log of trial 0 of study 's' here, in .*: it is COM"
    ) as caught:
        shown(opened, work)
    assert "ran on far" in str(caught.value)
    assert caught.value.hint == "--work-dir DIR, or on far: study logs 0 --study s"
    with pytest.raises(StudyError, match=r"it is WAITING, and no worker of this program ran it$"):
        shown(opened, work, "1")


def test_following_prints_what_is_added_until_the_trial_ends(
    opened: OpenStudy, work: WorkDir, follow: Callable[[], Followed]
) -> None:
    """Also a letter that comes in two halves, and what was written last."""
    claimed = claim(opened)
    write(work, 0, b"begin\n\xc3")
    followed = follow()
    followed.wait_for("begin\n")
    write(work, 0, b"\xa4 more\n")
    followed.wait_for("ä more\n")
    write(work, 0, b"last\n")
    opened.slots.finish(claimed, TrialState.COMPLETE, 0.5)
    assert followed.end() == "begin\nä more\nlast\n"


def test_following_a_waiting_trial_waits_for_it(
    opened: OpenStudy, work: WorkDir, follow: Callable[[], Followed]
) -> None:
    """Its log is printed from the start."""
    followed = follow()
    claimed = claim(opened)
    write(work, 0, b"begin\n")
    followed.wait_for("begin\n")
    opened.slots.release(claimed)
    assert followed.end() == "begin\n"


def test_following_from_another_machine_prints_reports(
    opened: OpenStudy, work: WorkDir, follow: Callable[[], Followed]
) -> None:
    """As they come into the database; in the end what the database kept of the log."""
    claimed = claim(opened)
    followed = follow()
    opened.slots.report(claimed, 0, 0.25)
    followed.wait_for("0 0.25\n")
    opened.slots.report(claimed, 1, 0.5)
    followed.wait_for("1 0.5\n")
    opened.slots.report(claimed, 2, 0.75)
    failed = {attrs.REASON: ends.ERROR, attrs.LOG: "what was wrong"}
    opened.slots.finish(claimed, TrialState.FAIL, None, failed)
    assert followed.end() == ("0 0.25\n1 0.5\n2 0.75\nwhat was wrong\ntrial 0 has ended: error\n")


def test_following_a_trial_that_has_ended_shows_its_log(
    opened: OpenStudy, work: WorkDir, follow: Callable[[], Followed]
) -> None:
    """There is nothing to wait for."""
    opened.slots.finish(claim(opened), TrialState.COMPLETE, 0.5)
    write(work, 0, b"all of it\n")
    assert follow().end() == "all of it\n"


def test_last_lines_are_the_end_of_a_file(tmp_path: Path) -> None:
    """Whole lines; all of a short file; nothing of one that is not there."""
    path = tmp_path / "log"
    assert last_lines(path) == ""
    path.write_text("")
    assert last_lines(path) == ""
    path.write_text("one\ntwo\n\nthree")
    assert last_lines(path) == "one\ntwo\n\nthree"
    assert last_lines(path, 2) == "\nthree"
    path.write_text("".join(f"line {i}\n" for i in range(100_000)))
    found = last_lines(path).split("\n")
    assert found == [f"line {i}" for i in range(99_800, 100_000)]
    few = last_lines(path, 200, 100).split("\n")
    assert few[-1] == "line 99999"
    assert all(line.startswith("line 99") for line in few)


@pytest.mark.parametrize("text", ["x" * 99, "ä", "\x1b[31m", "\ufffd\n", "a\nb\n", "\n"])
def test_last_lines_fit_into_the_database(tmp_path: Path, text: str) -> None:
    """As JSON, which writes some characters as six; of one endless line its end is kept."""
    path = tmp_path / "log"
    path.write_text(text * 50_000 + "END", encoding="utf-8")
    found = last_lines(path, 10_000, 1000)
    assert found.endswith("END")
    assert 500 < len(json.dumps(found)) <= 1000


def test_bytes_that_are_no_text_are_replaced(tmp_path: Path) -> None:
    """A crash may print anything."""
    path = tmp_path / "log"
    path.write_bytes(b"fine\n\xff\xfe\x00")
    assert last_lines(path) == "fine\n\ufffd\ufffd\x00"
