"""What a trial has cost, from the numbers that its training left: images, operations, seconds.

Decides which of them a cost is, and how it reads. Where they are counted, `objectives/cost.py` and
`objectives/training.py` decide; an objective of the user's may leave none, some or all of them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from storage import attrs

_KEYS = ("images", "flop", "train_s", "images_per_s")


@dataclass(frozen=True)
class Cost:
    """Of one trial, or the mean over several; None where it is not known.

    Attributes:
        images: Trained, repeated epochs included.
        flop: Floating point operations of it.
        train_s: Training steps alone.
        images_per_s: Without the first step, which builds the graph.
    """

    images: float | None
    flop: float | None
    train_s: float | None
    images_per_s: float | None

    def __str__(self) -> str:
        """Return what is known, such as `100,800 images, 3.21 TFLOP, 41.0 s in steps`."""
        parts = [
            (self.images, "{:,.0f} images", 1.0),
            (self.flop, "{:.3g} TFLOP", 1e12),
            (self.train_s, "{:.1f} s in steps", 1.0),
        ]
        return ", ".join(text.format(n / unit) for n, text, unit in parts if n is not None)


def cost_of(info: Mapping[str, Any] | None) -> Cost | None:
    """Return the cost that a trial's `info` tells of; None where it tells of none."""
    found = [attrs.number((info or {}).get(key)) for key in _KEYS]
    return Cost(*found) if any(one is not None for one in found[:-1]) else None


def mean_cost(costs: Iterable[Cost | None]) -> Cost | None:
    """Return the mean of each number over those who know it; None where nobody knows any."""
    there = [cost for cost in costs if cost is not None]
    if not there:
        return None
    means = []
    for key in _KEYS:
        known = [n for cost in there if (n := getattr(cost, key)) is not None]
        means.append(sum(known) / len(known) if known else None)
    return Cost(*means)
