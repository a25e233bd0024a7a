"""Rungs: which slots are promoted, as a pure function of the final slots below.

A study with rungs draws its slots on rung 0. Once all slots of the study are final, the best share
of a rung get a slot each on the next one, with the same params and more epochs. So promotions never
depend on timing, on the number of workers or on crashes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Rungs:
    """The rungs of a study.

    Attributes:
        n: Number of rungs, >= 1; 1 promotes nothing.
        keep: The share of the slots of a rung that are promoted, between 0 and 1.
        maximize: Whether a higher value is better.
    """

    n: int
    keep: Fraction
    maximize: bool

    def n_promoted(self, n_slots: int) -> int:
        """Return how many slots of a rung of `n_slots` are promoted: the share, at least one."""
        return max(1, int(n_slots * self.keep)) if n_slots else 0

    def sizes(self, n_slots: int) -> list[int]:
        """Return how many slots each rung will have if `n_slots` are drawn and all get a value."""
        found = [n_slots]
        while len(found) < self.n:
            found.append(self.n_promoted(found[-1]))
        return found


@dataclass(frozen=True)
class Final:
    """A final slot; `value` is None if it has no value, `from_slot` on rung 0."""

    slot: int
    rung: int
    value: float | None
    from_slot: int | None = None


def due(slots: Sequence[Final], rungs: Rungs) -> list[Final]:
    """Return the slots to promote now, the best first; ties are broken by slot.

    Args:
        slots: All slots of the study, which must all be final.

    Returns:
        Those of the lowest rung from which a slot is due: higher rungs wait for them. Slots that
        were promoted before are left out, so that a raised budget only adds.
    """
    promoted = {one.from_slot for one in slots}
    sign = -1.0 if rungs.maximize else 1.0
    for rung in range(rungs.n - 1):
        on_rung = [one for one in slots if one.rung == rung]
        with_value = [(sign * one.value, one.slot, one) for one in on_rung if one.value is not None]
        best = sorted(with_value, key=lambda item: item[:2])[: rungs.n_promoted(len(on_rung))]
        found = [one for *_, one in best if one.slot not in promoted]
        if found:
            return found
    return []
