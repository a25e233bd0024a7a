"""The slot-keyed sampler: a pure function of seed, slot and name, and at home in stock Optuna."""

import random
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import optuna
import pytest
from numpy.random import Philox
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from objectives.space.space import SearchSpace, parse_space
from study.spec import draw
from study.spec.draw import SlotRandomSampler, draw_params, training_seed

SPACE = parse_space(
    {
        "blocks": {"low": 1, "high": 3},
        "filters_2": {"choices": [32, 64], "when": {"blocks": [2, 3]}},
        "filters_3": {"choices": [64, 128], "when": {"blocks": 3}},
        "lr": {"low": 1e-4, "high": 1e-2, "log": True},
        "dropout": {"low": 0.0, "high": 0.5, "step": 0.1},
        "units": {"low": 16, "high": 256, "step": 16},
        "epochs": {"low": 1, "high": 50, "log": True},
        "optimizer": ["sgd", "adam"],
        "momentum": {"low": 0.0, "high": 0.99, "when": {"optimizer": "sgd"}},
        "batch": 128,
    }
)

PINNED_SLOT_0 = {
    "blocks": 1,
    "lr": 0.0012250663299165194,
    "dropout": 0.1,
    "units": 208,
    "epochs": 6,
    "optimizer": "sgd",
    "momentum": 0.7036578565695035,
    "batch": 128,
}
PINNED_SLOT_3 = {
    "blocks": 3,
    "filters_2": 64,
    "filters_3": 64,
    "lr": 0.00037733166211087075,
    "dropout": 0.1,
    "units": 192,
    "epochs": 26,
    "optimizer": "adam",
    "batch": 128,
}
PINNED_SEED = 39375490


def objective(trial: optuna.Trial) -> float:
    """Walk SPACE through Optuna's own suggest methods, and report a few steps."""
    params = SPACE.draw(lambda name, dist: suggest(trial, name, dist))
    for step in range(9):
        trial.report(params["lr"] * step, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return float(params["lr"])


def suggest(trial: optuna.Trial, name: str, distribution: BaseDistribution) -> Any:
    """Call the public suggest method of a distribution."""
    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(name, distribution.choices)
    if isinstance(distribution, FloatDistribution):
        low, high, log = distribution.low, distribution.high, distribution.log
        return trial.suggest_float(name, low, high, step=distribution.step, log=log)
    assert isinstance(distribution, IntDistribution)
    low, high, log = distribution.low, distribution.high, distribution.log
    return trial.suggest_int(name, low, high, step=distribution.step, log=log)


def test_params_are_those_of_every_release() -> None:
    """These values stand in users' studies: a change of them is a break of the promise."""
    assert draw_params(SPACE, 1, 0) == PINNED_SLOT_0
    assert draw_params(SPACE, 1, 3) == PINNED_SLOT_3
    assert training_seed(1, 0) == PINNED_SEED


def test_uniform_is_a_fresh_philox() -> None:
    """The generator that is used again gives what a new one with that key and counter gives."""
    rng = random.Random(0)
    for _ in range(100):
        seed, slot, name, redraw = (rng.getrandbits(bits) for bits in (64, 40, 64, 14))
        fresh = Philox(
            key=np.array([seed, slot], dtype=np.uint64),
            counter=np.array([0, name, redraw, 0], dtype=np.uint64),
        )
        expected = int(fresh.random_raw() >> 11) * 2.0**-53
        assert draw._generator.uniform(seed, slot, name, redraw) == expected


def test_any_order_and_number_of_workers_give_one_map() -> None:
    """1, 2 and 5 workers that take slots as they come agree on the params of each."""
    alone = {slot: draw_params(SPACE, 5, slot) for slot in range(60)}
    for n_workers in (2, 5):
        order = random.Random(n_workers).sample(range(60), 60)
        with ThreadPoolExecutor(n_workers) as pool:
            together = dict(
                zip(order, pool.map(lambda s: draw_params(SPACE, 5, s), order), strict=True)
            )
        assert together == alone


def test_params_of_other_names_do_not_move() -> None:
    """An entry that is added, dropped or renamed leaves the draws of the others alone."""
    fewer = SearchSpace(tuple(entry for entry in SPACE.entries if entry.name != "dropout"))
    for slot in range(20):
        whole = draw_params(SPACE, 3, slot)
        assert draw_params(fewer, 3, slot) == {k: v for k, v in whole.items() if k != "dropout"}


@pytest.mark.parametrize("seed", [0, -1, 2**31, 2**64 + 1, 10**40])
def test_any_integer_is_a_seed(seed: int) -> None:
    """Seeds of any size and sign give params, and not those of their neighbour."""
    assert draw_params(SPACE, seed, 0) == draw_params(SPACE, seed, 0)
    assert draw_params(SPACE, seed, 0) != draw_params(SPACE, seed + 1, 0)


def test_stock_optuna_gives_the_same_params() -> None:
    """`study.optimize` with this sampler gives slot = number, whatever runs beside it."""
    for n_jobs in (1, 3):
        study = optuna.create_study(sampler=SlotRandomSampler(seed=9))
        study.optimize(objective, n_trials=12, n_jobs=n_jobs)
        for trial in study.trials:
            assert trial.params == draw_params(SPACE, 9, trial.number)


def test_slot_and_redraw_are_read_from_the_trial() -> None:
    """A row that says which slot it is gets that slot's params, by its number of redraws."""
    study = optuna.create_study(sampler=SlotRandomSampler(seed=9))
    study.enqueue_trial({}, user_attrs={"slot": 40})
    study.enqueue_trial({}, user_attrs={"slot": 41, "redraw": 3})
    study.optimize(objective, n_trials=2)
    drawn = [trial.params for trial in study.trials]
    assert drawn == [draw_params(SPACE, 9, 40), draw_params(SPACE, 9, 41, 3)]
    assert drawn[1] != draw_params(SPACE, 9, 41)


@pytest.mark.parametrize(
    "pruner",
    [
        optuna.pruners.MedianPruner(n_startup_trials=2),
        optuna.pruners.SuccessiveHalvingPruner(),
        optuna.pruners.HyperbandPruner(min_resource=1, max_resource=9),
    ],
)
def test_pruners_do_not_change_the_params(pruner: optuna.pruners.BasePruner) -> None:
    """Pruners, Hyperband's proxy of the study included, leave each slot its params."""
    study = optuna.create_study(sampler=SlotRandomSampler(seed=4), pruner=pruner)
    study.optimize(objective, n_trials=20)
    assert [t.params for t in study.trials] == [draw_params(SPACE, 4, s) for s in range(20)]


def test_training_seed_is_pure_and_31_bits_wide() -> None:
    """Seeds of slots and of studies differ, and each fits a signed 32-bit integer."""
    seeds = [training_seed(seed, slot) for seed in range(50) for slot in range(50)]
    assert len(set(seeds)) == len(seeds)
    assert 0 <= min(seeds) < 2**25
    assert 2**31 - 2**25 < max(seeds) < 2**31
    assert training_seed(1, 11) != training_seed(11, 1)


def test_no_warning_is_given() -> None:
    """Drawing and planning are silent."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SlotRandomSampler(seed=0).reseed_rng()
        draw_params(SPACE, 0, 0)
