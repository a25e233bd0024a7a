"""A copy that fails leaves nothing and says why; one that is disturbed is whole none the less."""

from typing import Any

import pytest
import sqlalchemy as sa
from optuna.trial import TrialState

from storage import attrs, copying
from storage.copying import copy_study
from storage.database.tables import TRIALS
from storage.errors import StorageError
from storage.rdb import SlotStorage, open_storage
from storage.slots.slots import Slots
from tests.integration.copies import MAXIMIZE, draw, make_study, trials


def test_taken_name_is_refused(source: SlotStorage, target: SlotStorage) -> None:
    """The study of that name in the target stays as it was."""
    make_study(source)
    Slots(target, target.create_new_study(MAXIMIZE, "digits")).plan(2)
    with pytest.raises(StorageError, match=r"a study 'digits' in .* already") as caught:
        copy_study(source, target, "digits")
    assert caught.value.hint is not None
    assert len(trials(target)) == 2
    assert copy_study(source, target, "digits", "digits 2") == 8


def test_unknown_study_is_answered_with_those_there_are(
    source: SlotStorage, target: SlotStorage
) -> None:
    """So that a typo is mended at once."""
    with pytest.raises(StorageError, match="it has none"):
        copy_study(source, target, "digit")
    for name in ("digits", "fashion"):
        source.create_new_study(MAXIMIZE, name)
    with pytest.raises(StorageError, match=r"no study 'digit' in .*'digits', 'fashion'"):
        copy_study(source, target, "digit")
    assert target.get_all_studies() == []


def test_failed_copy_leaves_nothing(
    source: SlotStorage, target: SlotStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error in the last batch takes the first ones along."""
    make_study(source)
    monkeypatch.setattr(copying, "_copy_study_rows", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        copy_study(source, target, "digits")
    assert target.get_all_studies() == []
    with target.engine.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(TRIALS)).scalar() == 0


def test_copy_whose_commit_was_not_answered_is_not_refused(
    source: SlotStorage, target: SlotStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second try finds its own study under the name, and is content."""

    def write_twice(engine: sa.Engine, body: Any, **_: Any) -> int:
        for _try in range(2):
            with engine.begin() as connection:
                n_copied: int = body(connection)
        return n_copied

    make_study(source)
    monkeypatch.setattr(copying, "write", write_twice)
    assert copy_study(source, target, "digits") == 8
    assert len(trials(target)) == 8


def test_what_the_target_cannot_hold_is_a_known_failure(
    source: SlotStorage, mysql_url: str
) -> None:
    """MySQL's TEXT ends at 64 KB; SQLite's does not."""
    study_id = source.create_new_study(MAXIMIZE, "digits")
    source.set_study_user_attr(study_id, attrs.SPEC, "x" * 70_000)
    small = open_storage(mysql_url)
    try:
        with pytest.raises(StorageError, match=r"cannot copy study 'digits' .*too long"):
            copy_study(source, small, "digits")
        assert small.get_all_studies() == []
    finally:
        small.close()


def test_source_is_copied_as_it_stood_at_one_moment(
    target: SlotStorage, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that goes on in the source meanwhile does not tear the copy."""
    study_id = target.create_new_study(MAXIMIZE, "digits")
    slots = Slots(target, study_id)
    slots.plan(2)
    original = copying._copy_trials

    def finish_one_first(*arguments: Any) -> dict[int, int]:
        claim = slots.claim("host:1", draw)
        assert claim is not None
        slots.finish(claim, TrialState.COMPLETE, 0.5)
        return original(*arguments)

    monkeypatch.setattr(copying, "_copy_trials", finish_one_first)
    other = open_storage(sqlite_url.replace("study.db", "other.db"))
    try:
        copy_study(target, other, "digits")
        assert [trial.state for trial in trials(other)] == [TrialState.WAITING] * 2
    finally:
        other.close()
