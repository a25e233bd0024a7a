"""The random sampler: params depend only on the study's seed, the slot and the param's name.

A counter-based generator gives one uniform number for each (seed, slot, redraw, name); this module
maps that number to a value. So the number of workers, the order of draws and releases of libraries
do not change the params of a slot. A slot is redrawn if an earlier slot has the same params. The
sampler never reads the study, because Hyperband passes a proxy that raises.
"""

import json
import threading
from collections.abc import Mapping
from decimal import Context, Decimal
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.random import Philox
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import RandomSampler

from objectives.space.entry import grid_point
from objectives.space.space import SearchSpace

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

MAX_REDRAWS = 10_000
"""Redraws of a slot without new params before a space counts as exhausted."""

_WORD = 2**64 - 1

# exp and ln of the C library differ in the last bit between machines; these are correctly rounded.
_DECIMAL = Context(prec=25)


class SpaceExhausted(Exception):  # noqa: N818 - a fact about the space, not an error of the code
    """The space has no more than `n_distinct` distinct points."""

    def __init__(self, n_distinct: int) -> None:
        super().__init__(f"the search space has no more than {n_distinct} distinct points")
        self.n_distinct = n_distinct


class SlotRandomSampler(RandomSampler):
    """Random search in which a slot's params depend on the seed and the slot only.

    The slot is the trial's user attribute `slot`, else its number; the attribute `redraw` counts
    from 0, see `plan_redraws`.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed

    def sample_independent(
        self,
        study: "Study",
        trial: "FrozenTrial",
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        slot = trial.user_attrs.get("slot", trial.number)
        redraw = trial.user_attrs.get("redraw", 0)
        return draw_param(self.seed, slot, param_name, param_distribution, redraw)


def draw_params(space: SearchSpace, seed: int, slot: int, redraw: int = 0) -> dict[str, Any]:
    """Return the params of the active entries for `slot`, in the space's order."""
    return space.draw(lambda name, dist: draw_param(seed, slot, name, dist, redraw))


def draw_param(
    seed: int, slot: int, name: str, distribution: BaseDistribution, redraw: int = 0
) -> Any:
    """Return the value of one param of a slot: a pure function of the arguments.

    Args:
        seed: Any integer.
        slot: >= 0.
        name: Params of different names are independent.
        distribution: Float, Int or Categorical.
        redraw: Which of the slot's independent draws, >= 0.
    """
    uniform = _generator.uniform(_word(str(seed)), slot, _word(name), redraw)
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[_index(uniform, len(distribution.choices))]
    if isinstance(distribution, FloatDistribution):
        return _float(uniform, distribution)
    if isinstance(distribution, IntDistribution):
        return _int(uniform, distribution)
    raise TypeError(f"cannot draw {name} from {distribution!r}")


def plan_redraws(
    space: SearchSpace,
    seed: int,
    first_slot: int,
    n_slots: int,
    given: Mapping[int, Mapping[str, Any]] | None = None,
) -> dict[int, int]:
    """Return the redraw, >= 1, of each new slot whose params would equal an earlier slot's.

    Slots 0 to first_slot + n_slots - 1 each take, in order, the lowest redraw whose params no
    earlier slot has. So raising the budget later gives the same redraws as planning all at once.
    No slot needs a redraw if an entry is always drawn and continuous: its range holds more than
    2**45 floats, so that any two of 100,000 slots agree on it with a probability of 1e-4 at most.

    Args:
        given: Slot to params, for slots of `study add`.

    Raises:
        SpaceExhausted: `MAX_REDRAWS` redraws of a slot found no new params.
    """
    if any(not entry.when and _is_continuous(entry.distribution) for entry in space.entries):
        return {}
    seen: set[tuple[tuple[str, Any], ...]] = set()
    redraws: dict[int, int] = {}
    for slot in range(first_slot + n_slots):
        if given and slot in given:
            names = [entry.name for entry in space.entries if entry.name in given[slot]]
            seen.add(tuple((name, given[slot][name]) for name in names))
            continue
        for redraw in range(MAX_REDRAWS + 1):
            point = tuple(draw_params(space, seed, slot, redraw).items())
            if point not in seen:
                break
        else:
            raise SpaceExhausted(len(seen))
        seen.add(point)
        if redraw and slot >= first_slot:
            redraws[slot] = redraw
    return redraws


def training_seed(seed: int, slot: int) -> int:
    """Return the seed of a slot's training, 0 <= seed < 2**31: a pure function of both."""
    return _word(f"{seed}/{slot}", b"training") >> 33


def given_seed(seed: int, params: Mapping[str, Any]) -> int:
    """Return the seed of a training of given params in any slot, 0 <= seed < 2**31."""
    return _word(f"{seed}/{json.dumps(params, sort_keys=True)}", b"given") >> 33


@lru_cache(maxsize=1024)
def _word(text: str, person: bytes = b"") -> int:
    """Return 64 bits that stand for a text; `person` separates the uses."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8, person=person).digest(), "little")


class _Generator(threading.local):
    """One Philox for each thread: a new one for each number would take five times as long."""

    def __init__(self) -> None:
        self._philox = Philox(key=0)
        self._state = self._philox.state
        self._key = np.zeros(2, dtype=np.uint64)
        self._counter = np.zeros(4, dtype=np.uint64)
        self._state["state"] = {"key": self._key, "counter": self._counter}

    def uniform(self, seed_word: int, slot: int, name_word: int, redraw: int) -> float:
        """Return a multiple of 2**-53 in [0, 1) by key (seed, slot), counter (0, name, redraw, 0).

        It equals `Philox(key=..., counter=...).random_raw() >> 11`, scaled, on every machine.
        """
        self._key[0] = seed_word
        self._key[1] = slot & _WORD
        self._counter[1] = name_word
        self._counter[2] = redraw
        self._philox.state = self._state
        return int(self._philox.random_raw() >> 11) * 2.0**-53


_generator = _Generator()


def _index(uniform: float, n: int) -> int:
    return min(int(uniform * n), n - 1)


def _float(uniform: float, distribution: FloatDistribution) -> float:
    low, high, step = distribution.low, distribution.high, distribution.step
    if step is not None:
        n_points = round((high - low) / step) + 1
        return float(grid_point(distribution, _index(uniform, n_points)))
    value = _between_logs(uniform, low, high) if distribution.log else low + uniform * (high - low)
    return min(max(value, low), high)


def _int(uniform: float, distribution: IntDistribution) -> int:
    low, high = distribution.low, distribution.high
    if not distribution.log:
        n_points = (high - low) // distribution.step + 1
        return low + _index(uniform, n_points) * distribution.step
    # As in Optuna, each integer stands for the half units on both sides of it.
    return min(max(round(_between_logs(uniform, low - 0.5, high + 0.5)), low), high)


def _between_logs(uniform: float, low: float, high: float) -> float:
    start, width = _log_range(low, high)
    return float(_DECIMAL.exp(_DECIMAL.fma(Decimal(uniform), width, start)))


@lru_cache(maxsize=256)
def _log_range(low: float, high: float) -> tuple[Decimal, Decimal]:
    start = _DECIMAL.ln(Decimal(low))
    return start, _DECIMAL.subtract(_DECIMAL.ln(Decimal(high)), start)


def _is_continuous(distribution: BaseDistribution) -> bool:
    if not isinstance(distribution, FloatDistribution) or distribution.step is not None:
        return False
    # A range that is narrow relative to its magnitude holds too few floats.
    widest = max(abs(distribution.low), abs(distribution.high))
    return distribution.high - distribution.low >= 0.01 * widest > 0
