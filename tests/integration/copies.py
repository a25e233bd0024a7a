"""A study with trials of every kind, and what must be the same in its copy."""

import math
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from storage import attrs
from storage.rdb import SlotStorage, open_storage
from storage.slots.slots import Draw, Slot, Slots

MAXIMIZE = [StudyDirection.MAXIMIZE]
DISTRIBUTIONS: dict[str, BaseDistribution] = {
    "learning_rate": FloatDistribution(1e-5, 1e-1, log=True),
    "n_blocks": IntDistribution(1, 3),
    "optimizer": CategoricalDistribution(("sgd", "adam", None)),
}
PARAMS = {"learning_rate": 0.1 + 0.2 - 0.299, "n_blocks": 2, "optimizer": None}


def draw(slot: Slot) -> Draw:
    """Return the same params for each slot."""
    return Draw(PARAMS, DISTRIBUTIONS, {attrs.SEED: slot.slot})


def make_study(storage: SlotStorage, name: str = "digits") -> int:
    """Make a study with a trial in each state, all kinds of values, and a slot lost once."""
    study_id = storage.create_new_study(MAXIMIZE, name)
    slots = Slots(storage, study_id)
    slots.plan(6, {3: 2}, {attrs.SPEC: {"seed": 1, "name": "ü"}})
    slots.add({"n_blocks": 3})
    ends = [
        (TrialState.COMPLETE, 0.1 + 0.2),
        (TrialState.COMPLETE, math.inf),
        (TrialState.FAIL, None),
        (TrialState.PRUNED, -math.inf),
    ]
    for state, value in ends:
        claim = slots.claim("host:1", draw)
        assert claim is not None
        for step, report in enumerate((0.5, math.nan, math.inf, -math.inf)):
            slots.report(claim, step, report)
        slots.finish(claim, state, value, {attrs.INFO: {"train_s": 1.5}})
    lost = slots.claim("host:2", draw)
    assert lost is not None
    slots.release(lost)
    running = slots.claim("host:3", draw)
    assert running is not None
    slots.report(running, 0, 0.25)
    storage.set_trial_system_attr(running.trial_id, "bracket", 1)
    storage.set_study_system_attr(study_id, "dashboard:note_ver", 1)
    return study_id


def trials(storage: SlotStorage, name: str = "digits") -> list[FrozenTrial]:
    """Return the trials as Optuna reads them, through a cache that has not seen them."""
    fresh = open_storage(storage.url, create=False)
    try:
        return fresh.get_all_trials(fresh.get_study_id_from_name(name))
    finally:
        fresh.close()


def content(trial: FrozenTrial) -> dict[str, Any]:
    """Return all of a trial but its id and its times; NaN as text, to compare equal."""
    return {
        "number": trial.number,
        "state": trial.state,
        "values": trial.values,
        "params": trial.params,
        "distributions": trial.distributions,
        "reports": {step: repr(value) for step, value in trial.intermediate_values.items()},
        "user_attrs": trial.user_attrs,
        "system_attrs": trial.system_attrs,
    }
