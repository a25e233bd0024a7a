"""One drawn value: exact in its bounds, distributed as Optuna's, independent of its neighbours."""

from collections import Counter

import numpy as np
import optuna
import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import RandomSampler

from study.spec import draw
from study.spec.draw import draw_param

DISTRIBUTIONS: list[BaseDistribution] = [
    FloatDistribution(-3.0, 5.0),
    FloatDistribution(1e-5, 1e2, log=True),
    FloatDistribution(0.1, 0.8, step=0.1),
    IntDistribution(-2, 3),
    IntDistribution(16, 256, step=16),
    IntDistribution(1, 12, log=True),
    CategoricalDistribution(["a", "b", "c"]),
]


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
    monkeypatch.setattr(draw._Generator, "uniform", lambda *_: uniform)
    value = draw_param(0, 0, "x", distribution)
    assert distribution._contains(distribution.to_internal_repr(value))


@pytest.mark.parametrize("distribution", DISTRIBUTIONS[2:])
def test_both_ends_are_reached(
    monkeypatch: pytest.MonkeyPatch, distribution: BaseDistribution
) -> None:
    """Ends are inclusive: the least uniform gives the first value, the greatest the last."""
    monkeypatch.setattr(draw._Generator, "uniform", lambda *_: 0.0)
    first = draw_param(0, 0, "x", distribution)
    monkeypatch.setattr(draw._Generator, "uniform", lambda *_: 1 - 2.0**-53)
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
