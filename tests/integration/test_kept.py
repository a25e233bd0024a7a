"""Bytes kept with a finish, and slots with given params: on each database, from many machines."""

import random
from collections import Counter
from typing import Any

import pytest
from optuna.trial import TrialState

from storage import attrs
from storage.copying import copy_study
from storage.database.tables import read_fixed_params
from storage.errors import ClaimLostError
from storage.rdb import SlotStorage, open_storage
from storage.slots.attempt import PIECE, read_kept
from storage.slots.slots import Slots
from tests.integration.copies import MAXIMIZE, draw
from tests.integration.planned import (
    age_heartbeat,
    another,
    attempts,
    claimed,
    in_threads,
    planned,
    rows_of_all_tables,
)

LARGE = random.Random(0).randbytes(200_000)  # five pieces in base 85
WANTED: list[dict[str, Any]] = [{"fold": n, "candidate": 7, "epochs": 2} for n in range(5)]


def keep(slots: Slots, content: bytes | None) -> int:
    """Finish a slot, of which there must be one, with what is kept of it; return the trial's id."""
    claim = claimed(slots)
    slots.finish(claim, TrialState.COMPLETE, 0.5, kept=content)
    return claim.trial_id


@pytest.mark.parametrize("content", [b"", b"\0", b"\0\xff\"\\'%_ \n" * 9, LARGE], ids=len)
def test_kept_bytes_come_back_on_another_machine(storage_url: str, content: bytes) -> None:
    """Through a storage of its own, whatever they are and also in many pieces."""
    slots = planned(storage_url, 1)
    trial_id = keep(slots, content)
    engine = another(slots).storage.engine
    assert read_kept(engine, [trial_id]) == {trial_id: content}


def test_pieces_are_put_together_in_order_and_by_trial(storage_url: str) -> None:
    """Of several trials at once; one of which nothing was kept is left out."""
    assert len(LARGE) > 3 * PIECE
    slots = planned(storage_url, 4)
    small = b"small" * 20_000
    ids = [keep(slots, content) for content in (LARGE, None, small, LARGE[::-1])]
    found = read_kept(another(slots).storage.engine, ids)
    assert found == {ids[0]: LARGE, ids[2]: small, ids[3]: LARGE[::-1]}
    assert read_kept(slots.storage.engine, []) == {}


def test_what_is_kept_is_no_attribute_that_a_person_reads(storage_url: str) -> None:
    """Dashboards list user attributes: none of them holds it."""
    slots = planned(storage_url, 1)
    keep(slots, LARGE)
    (attempt,) = attempts(another(slots))
    assert set(attempt.user_attrs) == {
        attrs.SLOT, attrs.ATTEMPT, attrs.WORKER, attrs.CLAIM, attrs.SEED, attrs.ENDED,
    }  # fmt: skip
    assert attempt.is_final


def test_nothing_is_kept_under_a_lost_claim(storage_url: str) -> None:
    """Whoever lost a trial writes nothing; what its successor keeps is all that there is."""
    slots = planned(storage_url, 1)
    claim = claimed(slots)
    age_heartbeat(slots, claim, 100)
    slots.requeue_lost(50)
    before = rows_of_all_tables(slots.storage)
    with pytest.raises(ClaimLostError):
        slots.finish(claim, TrialState.COMPLETE, 0.5, kept=LARGE)
    assert rows_of_all_tables(slots.storage) == before
    successor = keep(slots, b"mine")
    assert read_kept(slots.storage.engine, [claim.trial_id, successor]) == {successor: b"mine"}


def test_kept_bytes_are_copied_with_their_study(source: SlotStorage, target: SlotStorage) -> None:
    """A companion that goes to another database goes on there with its predictions."""
    slots = Slots(source, source.create_new_study(MAXIMIZE, "digits"))
    slots.ensure(WANTED[:2])
    for content in (LARGE, b"small"):
        claim = slots.claim("host:1", draw)
        assert claim is not None
        slots.finish(claim, TrialState.COMPLETE, 0.5, kept=content)
    copy_study(source, target, "digits")
    fresh = open_storage(target.url, create=False)
    there = Slots(fresh, fresh.get_study_id_from_name("digits"))
    ids = [attempt.trial_id for attempt in attempts(there)]
    assert read_kept(fresh.engine, ids) == dict(zip(ids, (LARGE, b"small"), strict=True))
    assert there.ensure(WANTED[:2]) == 0
    fresh.close()


def test_ensure_keeps_the_order_and_is_safe_to_call_again(storage_url: str) -> None:
    """Slots rise as the params were named; those that are there already stay where they are."""
    slots = planned(storage_url)
    assert slots.ensure(WANTED[1:3]) == 2
    assert another(slots).ensure(WANTED) == 3
    assert slots.ensure(WANTED[::-1]) == slots.ensure([]) == 0
    order = [WANTED[n] for n in (1, 2, 0, 3, 4)]
    assert read_fixed_params(slots.storage.engine, slots.study_id) == dict(enumerate(order))
    user_attrs = another(slots).storage.get_study_user_attrs(slots.study_id)
    assert (user_attrs[attrs.N_SLOTS], user_attrs[attrs.N_ADDED]) == (5, 5)
    assert [claimed(slots).slot.fixed_params for _ in order] == order


def test_ensure_knows_params_whatever_their_order_and_whoever_has_them(storage_url: str) -> None:
    """A slot that runs, that is done or that was opened again is there."""
    slots = planned(storage_url)
    slots.ensure(WANTED[:3])
    keep(slots, None)
    slots.release(claimed(slots))
    claimed(slots)
    turned = [dict(reversed(params.items())) for params in WANTED[:3]]
    assert slots.ensure(turned) == 0
    assert len(attempts(slots)) == 4  # three slots, one of them released


def test_ensure_comes_after_planned_slots(storage_url: str) -> None:
    """Slots without given params are none of those that are wanted."""
    slots = planned(storage_url, 2)
    assert slots.ensure(WANTED[:1]) == 1
    assert read_fixed_params(slots.storage.engine, slots.study_id) == {2: WANTED[0]}


def test_ensure_at_once_gives_each_params_one_slot(storage_url: str) -> None:
    """Eight machines want the same five and some more, in other orders."""
    slots = planned(storage_url)
    machines = [another(slots) for _ in range(8)]
    own = [{"fold": n % 3, "candidate": 8, "epochs": 2} for n in range(8)]
    turned = [[*WANTED[i % 5 :], own[i], *WANTED[: i % 5]] for i in range(8)]
    n_added = in_threads(8, lambda i: machines[i].ensure(turned[i]))
    given = read_fixed_params(slots.storage.engine, slots.study_id)
    found = Counter(tuple(sorted(params.items())) for params in given.values())
    wanted = {tuple(sorted(params.items())) for params in [*WANTED, *own]}
    assert found == Counter(wanted)
    assert sum(n_added) == len(wanted) == len(attempts(slots))
    assert sorted(given) == list(range(len(wanted)))
    assert machines[0].storage.get_study_user_attrs(slots.study_id)[attrs.N_SLOTS] == len(wanted)
