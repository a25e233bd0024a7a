"""Data classes of a claim: the slot, its sampled params, and the claim itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from optuna.distributions import BaseDistribution

from storage import attrs
from storage.database.cells import whole


@dataclass(frozen=True)
class Slot:
    """A slot as a claiming worker gets it, before the claim is committed.

    Attributes:
        trial: Number of the trial, as optuna-dashboard shows it.
        alone: Whether nothing else may train on the device, because memory ran out before.
        fixed_params: Params from `study add` or of the lower rung; empty if they are drawn.
        rung: The rung of the study, from 0.
    """

    slot: int
    attempt: int
    redraw: int
    trial: int
    trial_id: int
    fixed_params: dict[str, Any]
    alone: bool = False
    rung: int = 0

    @classmethod
    def of(cls, trial_id: int, number: int, found: Mapping[str, Any]) -> "Slot":
        """Return the slot of a row and its attributes, as `attempt.read_attrs` returns them.

        Raises:
            StorageError: The slot is not a number, or the given params are not a dict.
        """
        slot: Any = found.get(attrs.SLOT)
        given = found.get(attrs.FIXED_PARAMS, {})
        if attrs.known(attrs.SLOT, slot) is None:
            raise attrs.odd(number, attrs.SLOT, slot)
        if not isinstance(given, dict):
            raise attrs.odd(number, attrs.FIXED_PARAMS, given)
        return cls(
            slot=slot,
            attempt=attrs.known(attrs.ATTEMPT, found.get(attrs.ATTEMPT)) or 1,
            redraw=attrs.known(attrs.REDRAW, found.get(attrs.REDRAW)) or 0,
            trial=whole(number),
            trial_id=trial_id,
            fixed_params=given,
            alone=found.get(attrs.ALONE) is True,
            rung=attrs.known(attrs.RUNG, found.get(attrs.RUNG)) or 0,
        )


@dataclass(frozen=True)
class Draw:
    """Params and attributes that a worker writes together with its claim."""

    params: Mapping[str, Any] = field(default_factory=dict)
    distributions: Mapping[str, BaseDistribution] = field(default_factory=dict)
    user_attrs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Claim:
    """A trial that this worker holds as long as its row is RUNNING under this token."""

    slot: Slot
    token: str
    draw: Draw

    @property
    def trial_id(self) -> int:
        """The row's id, which is not its number."""
        return self.slot.trial_id
