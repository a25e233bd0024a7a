"""A database is described in one file, the reason why a trial failed in one table."""

import re
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from storage import ends
from storage.database.engine import DATABASES
from storage.ends import End, Opener
from storage.rdb import open_storage
from storage.reading import failed_numbers, read_attempts
from storage.registry import NO_STOP
from study.errors import StudyError
from study.report.run import render_failures
from study.spec.open import OpenStudy
from study.spec.orders import retry_failed, retry_trial
from study.view.status import read_status
from study.worker.breaker import N_ERRORS, break_circuit
from study.worker.main import SOME_FAILED, exit_code
from tests.integration.dashboards import OPEN, served
from tests.integration.ourstudies import fail, make_study, url_in
from tests.unit.reported import snapshot_of

ROOT = Path(__file__).resolve().parents[2]


def named(words: Collection[str], rooms: tuple[str, ...], places: set[str]) -> list[str]:
    """Return the lines outside `places` that hold one of the words in quotes."""
    pattern = re.compile(rf"""["']({"|".join(map(re.escape, words))})["']""")
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for room in rooms
        for path in sorted((ROOT / room).rglob("*.py"))
        if path.relative_to(ROOT).as_posix() not in places
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if pattern.search(line)
    ]


def test_no_database_is_named_outside_its_file() -> None:
    """What depends on a database asks its class, so that another one is one file and one line."""
    places = {f"storage/database/{name}.py" for name in DATABASES}
    words = ("mariadb", *DATABASES)
    assert named(words, ("storage",), places) == []
    assert len(named(words, ("storage",), set())) >= len(DATABASES)


def test_no_reason_is_named_outside_the_table() -> None:
    """Whatever depends on a reason asks the table; `error` and `timeout` are words as others."""
    words = set(ends.ENDS) - {"error", "timeout"}
    assert named(words, ("storage", "study"), {"storage/ends.py"}) == []
    assert len(named(words, ("storage",), set())) == len(words)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[OpenStudy]:
    """A study of eight slots."""
    with closing(open_storage(url_in(tmp_path))) as storage:
        yield make_study(storage)


@pytest.mark.parametrize("opener", [Opener.PERSON, Opener.NOBODY, Opener.ANYONE])
@pytest.mark.parametrize("is_failure", [True, False])
def test_made_up_reason_is_known_to_every_command(
    opened: OpenStudy, monkeypatch: pytest.MonkeyPatch, opener: Opener, is_failure: bool
) -> None:
    """Status, exit code, report, dashboard and `study retry` know it from its row alone."""
    made_up = End("quota", "the quota was used up", opener, is_failure=is_failure)
    monkeypatch.setitem(ends.ENDS, made_up.reason, made_up)
    trial = fail(opened, made_up.reason)

    status = read_status(opened)
    assert status.reasons == status.ends == {"quota": 1}
    assert status.attempts == is_failure
    assert exit_code(status) == (0 if made_up.is_final else SOME_FAILED)

    engine, study_id = opened.storage.engine, opened.study_id
    attempts = read_attempts(engine, study_id, details=True, trials=[trial])
    assert made_up.meaning in render_failures(snapshot_of(attempts))
    assert failed_numbers(engine, study_id, 5) == [trial] * is_failure

    with served(opened.storage.url, OPEN) as client:
        page = client.ask("/workers").text
    assert ("quota" in page) == is_failure
    assert ('name="trial"' in page) == (is_failure and made_up.is_retried_by_hand)

    if made_up.is_final:
        assert retry_failed(opened) == []
        with pytest.raises(StudyError, match="its params would fail again"):
            retry_trial(opened, str(trial))
    else:
        assert len(retry_failed(opened)) == 1


@pytest.mark.parametrize("stops_study", [True, False])
def test_made_up_reason_may_stop_the_study(
    opened: OpenStudy, monkeypatch: pytest.MonkeyPatch, stops_study: bool
) -> None:
    """Three failures alike do, if its row says so."""
    made_up = End("quota", "the quota was used up", Opener.PERSON, stops_study=stops_study)
    monkeypatch.setitem(ends.ENDS, made_up.reason, made_up)
    trials = [fail(opened, made_up.reason) for _ in range(N_ERRORS)]
    assert break_circuit(opened, trials[-1], NO_STOP) == stops_study
