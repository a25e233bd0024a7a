"""The slot-keyed sampler: pure, exact in its bounds, uniform, and at home in stock Optuna."""

import random
import warnings
from collections import Counter
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
from optuna.samplers import RandomSampler

from objectives.space import SearchSpace, parse_space
from study import sampler
from study.sampler import (
    SlotRandomSampler,
    SpaceExhausted,
    draw_param,
    draw_params,
    plan_redraws,
    training_seed,
)

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

DISTRIBUTIONS: list[BaseDistribution] = [
    FloatDistribution(-3.0, 5.0),
    FloatDistribution(1e-5, 1e2, log=True),
    FloatDistribution(0.1, 0.8, step=0.1),
    IntDistribution(-2, 3),
    IntDistribution(16, 256, step=16),
    IntDistribution(1, 12, log=True),
    CategoricalDistribution(["a", "b", "c"]),
]


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
        assert sampler._generator.uniform(seed, slot, name, redraw) == expected


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


@pytest.mark.parametrize("uniform", [0.0, 0.5, 1 - 2.0**-53])
@pytest.mark.parametrize(
    "distribution",
    [
        *DISTRIBUTIONS,
        FloatDistribution(0.1, 0.3),
        FloatDistribution(1e-300, 1e300, log=True),
        FloatDistribution(0.1, 0.1),
        FloatDistribution(0.1, 0.1, log=True),
        FloatDistribution(0.05, 0.95, step=0.15),
        IntDistribution(7, 7),
        IntDistribution(1, 1, log=True),
        IntDistribution(-(2**53), 2**53),
        IntDistribution(1, 2**53, log=True),
    ],
)
def test_every_value_is_in_bounds(
    monkeypatch: pytest.MonkeyPatch, distribution: BaseDistribution, uniform: float
) -> None:
    """The first, the middle and the last uniform give values that the distribution contains."""
    monkeypatch.setattr(sampler._Generator, "uniform", lambda *_: uniform)
    value = draw_param(0, 0, "x", distribution)
    assert distribution._contains(distribution.to_internal_repr(value))


@pytest.mark.parametrize("distribution", DISTRIBUTIONS[2:])
def test_both_ends_are_reached(
    monkeypatch: pytest.MonkeyPatch, distribution: BaseDistribution
) -> None:
    """Ends are inclusive: the least uniform gives the first value, the greatest the last."""
    monkeypatch.setattr(sampler._Generator, "uniform", lambda *_: 0.0)
    first = draw_param(0, 0, "x", distribution)
    monkeypatch.setattr(sampler._Generator, "uniform", lambda *_: 1 - 2.0**-53)
    last = draw_param(0, 0, "x", distribution)
    if isinstance(distribution, CategoricalDistribution):
        assert (first, last) == (distribution.choices[0], distribution.choices[-1])
    else:
        assert (first, last) == (distribution.low, distribution.high)  # type: ignore[attr-defined]


def test_stepped_floats_are_written_short() -> None:
    """A stepped float is 0.3 and not 0.30000000000000004."""
    drawn = {draw_param(0, s, "x", FloatDistribution(0.1, 0.8, step=0.1)) for s in range(300)}
    assert drawn == {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8}


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_values_are_distributed_as_optunas(distribution: BaseDistribution) -> None:
    """Kolmogorov-Smirnov over 4,000 draws each finds no difference from Optuna's RandomSampler."""
    n = 4000
    ours = [draw_param(11, slot, "x", distribution) for slot in range(n)]
    stock, study = RandomSampler(seed=0), optuna.create_study()
    trial = optuna.trial.create_trial(value=0.0)
    theirs = [stock.sample_independent(study, trial, "x", distribution) for _ in range(n)]
    # Optuna's steps carry the noise of floats: 0.30000000000000004 is its 0.3.
    left, right = (
        np.sort([round(distribution.to_internal_repr(v), 9) for v in vs]) for vs in (ours, theirs)
    )
    points = np.concatenate([left, right])
    gap = np.abs(
        np.searchsorted(left, points, "right") - np.searchsorted(right, points, "right")
    ).max()
    assert gap / n < 1.95 * (2 / n) ** 0.5  # the 0.1 % point of the two-sample statistic


@pytest.mark.parametrize("distribution", DISTRIBUTIONS[2:5] + DISTRIBUTIONS[6:])
def test_grids_and_choices_are_uniform(distribution: BaseDistribution) -> None:
    """Each of k values comes up equally often, over slots and over redraws alike."""
    n = 6000
    for drawn in (
        Counter(draw_param(2, slot, "x", distribution) for slot in range(n)),
        Counter(draw_param(2, 0, "x", distribution, redraw) for redraw in range(n)),
    ):
        expected = n / len(drawn)
        chi2 = sum((count - expected) ** 2 / expected for count in drawn.values())
        k = len(drawn) - 1
        assert chi2 < k + 4 * (2 * k) ** 0.5 + 6  # beyond the 0.1 % point for every k here


def test_names_slots_and_seeds_are_independent() -> None:
    """Neighbouring slots, names, seeds and redraws are not correlated."""
    d, n = FloatDistribution(0.0, 1.0), 4000
    base = [draw_param(0, s, "x", d) for s in range(n)]
    others = [
        [draw_param(0, s + 1, "x", d) for s in range(n)],
        [draw_param(0, s, "y", d) for s in range(n)],
        [draw_param(1, s, "x", d) for s in range(n)],
        [draw_param(0, s, "x", d, 1) for s in range(n)],
    ]
    for other in others:
        assert abs(np.corrcoef(base, other)[0, 1]) < 4 / n**0.5


def test_unknown_distribution_is_refused() -> None:
    """A kind of distribution that is not known is not guessed at."""
    with pytest.raises(TypeError, match="cannot draw x from"):
        draw_param(0, 0, "x", object())  # type: ignore[arg-type]


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


def points(space: SearchSpace, seed: int, n_slots: int) -> list[dict[str, Any]]:
    """Return the params of each slot, as redrawn."""
    redraws = plan_redraws(space, seed, 0, n_slots)
    return [draw_params(space, seed, slot, redraws.get(slot, 0)) for slot in range(n_slots)]


SMALL = parse_space(
    {
        "a": [1, 2, 3],
        "b": {"low": 0.0, "high": 1.0, "step": 0.5},
        "c": {"choices": ["x", "y"], "when": {"a": 3}},
    }
)  # 3 + 3 + 3 * 2 = 12 points


@pytest.mark.parametrize("seed", range(5))
def test_redraws_make_every_point_distinct(seed: int) -> None:
    """As many slots as the space has points get all of them, each once."""
    drawn = points(SMALL, seed, 12)
    assert len({repr(params) for params in drawn}) == 12


@pytest.mark.parametrize("seed", range(5))
def test_redraws_do_not_depend_on_how_slots_are_added(seed: int) -> None:
    """A budget raised in steps gives the redraws of the budget planned at once."""
    at_once = plan_redraws(SMALL, seed, 0, 12)
    in_steps: dict[int, int] = {}
    for first, n in ((0, 1), (1, 4), (5, 0), (5, 7)):
        added = plan_redraws(SMALL, seed, first, n)
        assert all(first <= slot < first + n and redraw >= 1 for slot, redraw in added.items())
        in_steps |= added
    assert in_steps == at_once


def test_each_redraw_is_the_lowest_that_is_new() -> None:
    """No smaller redraw of a slot would have done."""
    redraws = plan_redraws(SMALL, 0, 0, 12)
    drawn = points(SMALL, 0, 12)
    assert redraws
    for slot, redraw in redraws.items():
        for lower in range(redraw):
            assert draw_params(SMALL, 0, slot, lower) in drawn[:slot]


def test_exhausted_space_says_how_many_points_it_has() -> None:
    """One slot more than points ends in the number of points."""
    with pytest.raises(SpaceExhausted, match="no more than 12 distinct points") as caught:
        plan_redraws(SMALL, 0, 0, 13)
    assert caught.value.n_distinct == 12


def test_continuous_space_is_not_walked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A float that is always drawn makes slots distinct by itself, at no cost."""
    monkeypatch.setattr(sampler, "draw_params", None)
    assert plan_redraws(SPACE, 0, 0, 10**9) == {}


@pytest.mark.parametrize(
    "form",
    [
        {"low": 0.5, "high": 0.5},
        {"low": 0.0, "high": 0.0},
        {"low": 1.0, "high": 1.0000000000000002},
        {"low": 0.0, "high": 0.5, "step": 0.5},
    ],
)
def test_float_without_room_is_walked(form: dict[str, Any]) -> None:
    """A float range of one or two values is exhausted like any other."""
    with pytest.raises(SpaceExhausted):
        plan_redraws(parse_space({"x": form}), 0, 0, 3)


def test_conditional_float_is_walked() -> None:
    """A float that is not always drawn leaves points that can repeat."""
    table = {"a": [1, 2], "x": {"low": 0.0, "high": 1.0, "when": {"a": 1}}}
    drawn = points(parse_space(table), 0, 10)
    assert [params["a"] for params in drawn].count(2) == 1


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


def test_slot_that_would_repeat_an_added_one_is_redrawn() -> None:
    """Params that a person gave count as an earlier slot's."""
    space = parse_space({"a": [1, 2, 3, 4], "b": ["x", "y", "z"]})
    repeated = draw_params(space, 0, 5)
    redraws = plan_redraws(space, 0, 5, 1, {4: repeated})
    assert redraws[5] >= 1
    assert draw_params(space, 0, 5, redraws[5]) != repeated
