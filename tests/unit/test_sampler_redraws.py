"""Redraws: every slot a point of its own, however slots are added, until the space is used up."""

from typing import Any

import pytest

from objectives.space.space import SearchSpace, parse_space
from study.spec import draw
from study.spec.draw import SpaceExhausted, draw_params, plan_redraws
from tests.unit.spaces import SPACE


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
    monkeypatch.setattr(draw, "draw_params", None)
    assert plan_redraws(parse_space(SPACE), 0, 0, 10**9) == {}


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


def test_slot_that_would_repeat_an_added_one_is_redrawn() -> None:
    """Params that a person gave count as an earlier slot's."""
    space = parse_space({"a": [1, 2, 3, 4], "b": ["x", "y", "z"]})
    repeated = draw_params(space, 0, 5)
    redraws = plan_redraws(space, 0, 5, 1, {4: repeated})
    assert redraws[5] >= 1
    assert draw_params(space, 0, 5, redraws[5]) != repeated
