"""What a limited time buys: draws that fit its first half, and a finalize that fits the other."""

from dataclasses import replace

import pytest

from storage.slots.rungs import Rungs
from study.run.plan import FEWEST_DRAWS, SHARE, Plan, make_plan
from study.spec.effort import QUICK, Effort
from study.spec.spec import DEFAULT_N_TRIALS, StudySpec

SPEC = StudySpec("digits-cnn", None, {}, "s", "d", [], "maximize", 0, 5, "float32", 1)
CLIMBING = replace(SPEC, rungs=[1, 3, 9], epochs=9)
TIMES = (60.0, 900.0, 3600.0, 36_000.0)


def planned(spec: StudySpec, timeout_s: float | None, trial_s: float = 60.0) -> Plan:
    """Return the plan of two workers, with a finalize."""
    return make_plan(replace(spec, timeout_s=timeout_s), trial_s, 2, finalizes=True)


@pytest.mark.parametrize("spec", [SPEC, CLIMBING], ids=["plain", "rungs"])
@pytest.mark.parametrize("timeout_s", TIMES[1:])
def test_search_and_finalize_fit_the_time(spec: StudySpec, timeout_s: float) -> None:
    """Each its half, or what the other leaves."""
    found = planned(spec, timeout_s)
    assert found.search_s <= SHARE * timeout_s
    assert found.search_s + found.finalize_s <= timeout_s
    assert found.effort is not None
    assert found.epochs == spec.epochs * found.effort.longer


@pytest.mark.parametrize("spec", [SPEC, CLIMBING], ids=["plain", "rungs"])
def test_more_time_buys_more_draws_until_the_default(spec: StudySpec) -> None:
    """A few are searched even if there is no time for them."""
    draws = [planned(spec, timeout_s).n_trials for timeout_s in TIMES]
    assert draws == sorted(draws)
    assert (draws[0], draws[-1]) == (FEWEST_DRAWS, DEFAULT_N_TRIALS)
    assert planned(spec, 60.0).effort == QUICK


def test_number_of_draws_that_is_given_is_kept() -> None:
    """Whatever the time; without a limit the default is planned."""
    for timeout_s in (60.0, None):
        spec = replace(SPEC, timeout_s=timeout_s)
        assert make_plan(spec, 60.0, 2, n_trials=17).n_trials == 17
    assert make_plan(SPEC, 60.0, 2).n_trials == DEFAULT_N_TRIALS


def test_without_a_finalize_all_of_the_time_is_searched() -> None:
    """And no effort is planned."""
    spec = replace(SPEC, timeout_s=600.0)
    found = make_plan(spec, 60.0, 2)
    assert (found.n_trials, found.search_s, found.effort) == (20, 600.0, None)


def test_rungs_are_planned_with_the_slots_that_they_will_have() -> None:
    """A rung takes as long as its slots, and never less than one of them."""
    found = make_plan(CLIMBING, 90.0, 2, n_trials=30)
    rungs = CLIMBING.promotion
    assert rungs is not None
    assert found.rungs == tuple(zip((1, 3, 9), rungs.sizes(30), strict=True))
    assert found.search_s == pytest.approx(10 * 15 + 30 * 5 + 90 * 1.5)
    assert make_plan(CLIMBING, 90.0, 64, n_trials=30).search_s == pytest.approx(10 + 30 + 90)


def test_plan_is_said_and_stored() -> None:
    """What is stored gives the same effort again; what another program wrote gives none."""
    found = planned(CLIMBING, 3600.0)
    first, second = found.lines()
    assert first.startswith("plan: 30 draws (30 x 1 epoch, then 10 x 3 epochs, then 3 x 9 epochs)")
    assert second.startswith("then the best trial on all rows")
    stored = found.to_json()
    assert Plan.stored_effort(stored) == found.effort
    assert stored["n_trials"] == 30
    for odd in (None, {}, {"effort": {"top_k": 1}}, {"effort": {**stored["effort"], "folds": "x"}}):
        assert Plan.stored_effort(odd) is None
    huge = {**stored["effort"], "folds": 10**9}
    assert Plan.stored_effort({"effort": huge}) is None


def test_no_more_folds_are_planned_than_the_data_allow() -> None:
    """As many as the smallest class has rows."""
    spec = replace(SPEC, timeout_s=36_000.0)
    found = make_plan(spec, 60.0, 2, finalizes=True, folds=4)
    assert isinstance(found.effort, Effort)
    assert found.effort.folds <= 4


def test_sizes_of_rungs_are_those_of_the_storage() -> None:
    """The plan and the promotions count alike."""
    promotion = CLIMBING.promotion
    assert isinstance(promotion, Rungs)
    assert promotion.sizes(12) == [n for _, n in make_plan(CLIMBING, 9.0, 1, n_trials=12).rungs]
