"""The companion of a search is made once, whoever begins it, and is never taken for a search."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from optuna.study import StudyDirection
from optuna.trial import TrialState

from storage import attrs
from storage.copying import copy_study
from storage.rdb import SlotStorage, open_storage
from storage.reading import Attempt
from storage.slots.slots import Draw, Slots
from study.errors import StudyError
from study.finalize.companion import Companion, Training, stop_of
from study.spec.code import Code
from study.spec.draw import given_seed
from study.spec.open import OpenStudy, companion_of, find_study, open_study, refuse_companion
from study.spec.spec import StudySpec, check_name

SPEC = StudySpec(
    "synthetic", None, {}, "s", "d", [], "minimize", 3, 9, "float32", 1,
    sampler="tpe", pruner="asha", timeout_s=60.0, trial_timeout_s=5.0, keep_checkpoints="none",
)  # fmt: skip
FOLDS = [Training(7, 4, fold, 3) for fold in (1, 2, 3)]


def make_search(storage: SlotStorage, name: str = "s") -> OpenStudy:
    """A search of one slot."""
    study_id = storage.create_new_study([StudyDirection.MINIMIZE], name)
    Slots(storage, study_id).plan(1, define={attrs.SPEC: SPEC.to_json(), attrs.TOKEN: "t"})
    return open_study(storage, name)


@pytest.fixture
def search(sqlite_url: str) -> Iterator[OpenStudy]:
    """A search of one slot, which nobody has finalized."""
    storage = open_storage(sqlite_url)
    yield make_search(storage)
    storage.close()


def test_companion_shares_what_a_training_depends_on(search: OpenStudy) -> None:
    """Not the sampler, nor limits: its params are given, and its trainings longer."""
    assert companion_of(search) is None
    code = Code("digits-cnn", "here/net.py:build")
    opened = Companion(replace(search, code=code)).opened
    assert (opened.name, opened.code, opened.n_slots) == ("s.finalize", code, 0)
    changed: dict[str, Any] = {
        "refits": "s", "refits_token": "t", "space": opened.spec.space,
        "sampler": "random", "pruner": "none",
        "timeout_s": None, "trial_timeout_s": None, "keep_checkpoints": "best",
    }  # fmt: skip
    assert opened.spec == replace(SPEC, **changed)
    assert opened.token not in (None, search.token)
    found = companion_of(search)
    assert found is not None
    assert found.token == opened.token


def test_companion_that_was_begun_and_no_more_is_made_anew(search: OpenStudy) -> None:
    """Killed between its row and its definition: the next finalize does both."""
    search.storage.create_new_study([StudyDirection.MINIMIZE], "s.finalize")
    assert companion_of(search) is None
    companion = Companion(search)
    companion.ensure(FOLDS)
    assert (companion.opened.spec.refits, companion.opened.n_slots) == ("s", 3)


def test_companion_is_made_once_by_many_machines(sqlite_url: str, search: OpenStudy) -> None:
    """They agree on its token, or each would take the others' for a deleted study."""
    n_machines = 6
    barrier = Barrier(n_machines, timeout=60)
    storages = [open_storage(sqlite_url) for _ in range(n_machines)]

    def begin(storage: SlotStorage) -> str | None:
        mine = open_study(storage, "s")
        barrier.wait()
        companion = Companion(mine)
        companion.ensure(FOLDS)
        return companion.opened.token

    with ThreadPoolExecutor(n_machines) as pool:
        tokens = set(pool.map(begin, storages))
    for storage in storages:
        storage.close()
    assert len(tokens) == 1
    found = companion_of(search)
    assert found is not None
    assert found.token in tokens
    assert found.n_slots == len(FOLDS)


def test_companion_of_an_earlier_study_of_that_name_is_refused(search: OpenStudy) -> None:
    """The dashboard deletes a search alone; what its companion trained says nothing of the next."""
    Companion(search)
    with pytest.raises(StudyError, match="is not the finalize of this 's'"):
        companion_of(replace(search, token="another"))


@pytest.mark.parametrize("names", [("s", "s.finalize"), ("s.finalize", "s")])
def test_copies_of_a_search_and_its_companion_belong_together(
    search: OpenStudy, tmp_path: Path, names: tuple[str, str]
) -> None:
    """In whichever order they were copied, and copied again: so a backup is made and restored."""
    Companion(search).ensure(FOLDS)
    source = search.storage
    for place in ("backup", "restored"):
        target = open_storage(f"sqlite:///{tmp_path / place}.db")
        for name in names:
            copy_study(source, target, name)
        copied = open_study(target, "s")
        found = companion_of(copied)
        assert found is not None
        assert found.n_slots == len(FOLDS)
        assert len({copied.token, found.token, search.token}) == 3
        source.close()
        source = target
    source.close()


def test_own_study_that_is_called_so_is_no_companion(search: OpenStudy) -> None:
    """It gets no slots and is not deleted with the search; new ones may not be called so."""
    make_search(search.storage, "s.finalize")
    with pytest.raises(StudyError, match="is not the finalize of this 's'"):
        Companion(search)
    with pytest.raises(StudyError, match="names that end with"):
        check_name("s.finalize")


def test_look_knows_complete_and_final_trainings(search: OpenStudy) -> None:
    """One that failed is settled; one that was released or that waits is neither."""
    companion = Companion(search)
    companion.ensure(FOLDS)
    slots = companion.opened.slots
    for state, kept in ((TrialState.COMPLETE, b"said"), (TrialState.FAIL, None)):
        claim = slots.claim("host:1", lambda slot: Draw())
        assert claim is not None
        slots.finish(claim, state, 0.5 if kept else None, kept=kept)
    claim = slots.claim("host:1", lambda slot: Draw())
    assert claim is not None
    slots.release(claim)
    finished, settled = companion.look()
    assert set(finished) == {FOLDS[0]}
    assert settled == set(FOLDS[:2])
    attempt = finished[FOLDS[0]]
    assert companion.kept([attempt]) == {attempt.trial_id: b"said"}


def test_name_may_be_left_out_where_there_is_one_search(search: OpenStudy) -> None:
    """Its companion is no second one; a companion whose search is gone is a study as any."""
    Companion(search)
    assert find_study(search.storage, None)[1] == "s"
    assert find_study(search.storage, "s.finalize")[1] == "s.finalize"
    search.storage.delete_study(search.study_id)
    assert find_study(search.storage, None)[1] == "s.finalize"


def test_companion_is_refused_as_a_search(search: OpenStudy) -> None:
    """With the command that is meant."""
    refuse_companion(search)
    with pytest.raises(StudyError, match=r"'s.finalize' is the finalize of 's'") as error:
        refuse_companion(Companion(search).opened)
    assert error.value.hint == "study finalize --study s"


def test_seed_of_a_training_depends_on_its_params_and_not_on_their_order() -> None:
    """A larger finalize goes on with what a smaller one trained, in whichever slot it stands."""
    params = {"candidate": 7, "fold": 1, "epochs": 4}
    assert given_seed(0, params) == given_seed(0, dict(reversed(params.items()))) == 1957595662
    seeds = {given_seed(seed, {**params, "fold": n}) for seed in (0, 1) for n in range(50)}
    assert len(seeds) == 100
    assert all(0 <= seed < 2**31 for seed in seeds)


@pytest.mark.parametrize(
    ("infos", "stop"),
    [
        ([{}], 0),
        ([{"n_epochs": 10.0}], 0),
        ([{"n_epochs": 6.0}], 6),
        ([{"n_epochs": 6.0, "kept_epochs": 4.0}], 4),
        ([{"n_epochs": 10.0, "kept_epochs": 4.0}], 4),
        ([{"n_epochs": 3.0}, {"n_epochs": 10.0}, {"n_epochs": 10.0}], 0),
        ([{"n_epochs": 3.0}, {"n_epochs": 5.0}, {"n_epochs": 9.0}], 5),
        ([{"n_epochs": 3.0}, {"n_epochs": 5.0}], 5),
    ],
)
def test_stop_is_the_median_of_the_epochs_that_were_kept(
    infos: list[dict[str, float]], stop: int
) -> None:
    """Not of those that ran, where a callback puts earlier weights back; 0 is all of them."""
    state = TrialState.COMPLETE
    attempts = [
        Attempt(n, n, state, None, None, 0.5, None, {attrs.INFO: info})
        for n, info in enumerate(infos)
    ]
    assert stop_of(attempts, 10) == stop
