"""StudySpec: what defines a study. Fixed at `create`, stored as JSON, never derived again.

What a user gave (`Given`) is compared with what is stored; the difference is named. The budget is
not in here, because it may be raised: see `storage.slots.slots`.
"""

import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import UnionType
from typing import Any, Protocol, get_args, get_origin, get_type_hints

from objectives.framework.backend import FRAMEWORKS, VARIABLE
from study.errors import StudyError
from study.options import Kept, Metric, Pruner, Sampler

DEFAULT_OBJECTIVE = "digits-cnn"
DEFAULT_N_TRIALS = 30


COMPANION = ".finalize"
"""How the name of the study ends that a finalize makes."""

LONGEST_NAME = 200 - len(COMPANION)
"""In bytes: file systems end names at 255, and the work dir of the companion adds to it."""

MAY_CHANGE = ("timeout_s",)
"""Fields that a later command may raise; every other difference is refused."""


_CHOICES: dict[str, tuple[str, ...]] = {
    "direction": ("maximize", "minimize"),
    "sampler": get_args(Sampler),
    "pruner": get_args(Pruner),
    "metric": get_args(Metric),
    "keep_checkpoints": get_args(Kept),
    "backend": tuple(FRAMEWORKS),
}
_LEAST = {"seed": 0, "epochs": 1, "threads": 1, "max_attempts": 1, "checkpoint_every": 1}


@dataclass(frozen=True)
class StudySpec:
    """What every worker of a study agrees on.

    Attributes:
        objective: Built-in name, `package.module:attr` or `FILE.py:attr`.
        model: `FILE.py:build`, or None.
        options: Of the objective, as text.
        source: sha256 of what defines the objective's code.
        data: Fingerprint of the data; None where the objective needs none.
        space: The search space as JSON (see `objectives.space.space.SearchSpace.to_json`).
        epochs, precision, threads, deterministic: As in `objectives.base.FitOptions`.
        timeout_s: Wall time of the study, while anybody works on it, in s; None is no limit.
        trial_timeout_s: Wall time of an attempt, in s; None is no limit.
        checkpoint_every: Epochs between checkpoints.
        keep_checkpoints: Of the finished slots: "best", "all" or "none".
        grace_s, heartbeat_s: Lease times, in s.
        max_attempts: How many losses of a slot in a row without progress give it up.
        metric: What a trial is judged by, where the objective has a choice: "accuracy" or
            "log_loss".
        backend: Which framework Keras computes with, where trainings are ours.
        refits_token: Token of that study: another one of its name may come after it.
        refits: Name of the study whose configurations this one trains anew, for its finalize; None
            for a search. Objective, data and source are then that study's.
    """

    objective: str
    model: str | None
    options: dict[str, str]
    source: str
    data: str | None
    space: list[dict[str, Any]]
    direction: str
    seed: int
    epochs: int
    precision: str
    threads: int
    deterministic: bool = True
    sampler: str = "random"
    pruner: str = "none"
    timeout_s: float | None = None
    grace_s: float = 60.0
    heartbeat_s: float = 15.0
    max_attempts: int = 3
    trial_timeout_s: float | None = None
    checkpoint_every: int = 1
    keep_checkpoints: str = "best"
    refits: str | None = None
    refits_token: str | None = None
    metric: str = "accuracy"
    backend: str = "tensorflow"

    @property
    def trains_with_keras(self) -> bool:
        """Whether its trainings are ours, by Keras; an objective of the user's may use anything."""
        return self.model is not None or self.objective == "digits-cnn"

    def to_json(self) -> dict[str, Any]:
        """Return a dict of JSON types; `from_json` gives an equal spec."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Any) -> "StudySpec":
        """Return the spec of a study.

        Raises:
            StudyError: A field is missing, unknown or impossible: another version made the study,
                or something else wrote into its database.
        """
        if not isinstance(stored, dict):
            raise StudyError("the study's spec cannot be read: it is no table of fields")
        unknown = [str(key) for key in stored if key not in _HINTS]
        if unknown:
            raise StudyError(
                f"the study's spec has {', '.join(sorted(unknown))}, which this version does not "
                "know: a newer one made the study",
                "the version of slot-study that made it",
            )
        try:
            spec = cls(**stored)
        except TypeError as error:
            raise StudyError(f"the study's spec cannot be read: {error}") from None
        for key, hint in _HINTS.items():
            value = getattr(spec, key)
            is_wrong = key in _CHOICES and value not in _CHOICES[key]
            if not _fits(value, hint) or is_wrong or (key in _LEAST and value < _LEAST[key]):
                raise StudyError(f"the study's spec cannot be read: {key} is {value!r:.60}")
        check_lease(spec.grace_s, spec.heartbeat_s)
        return spec


_HINTS = get_type_hints(StudySpec)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value that was read from JSON is of a field's type."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is UnionType:
        return any(_fits(value, one) for one in inner)
    if origin is dict:
        return isinstance(value, dict) and all(_fits(one, inner[1]) for one in value.values())
    if origin is list:
        return isinstance(value, list) and all(_fits(one, inner[0]) for one in value)
    if hint is float:
        return type(value) in (int, float) and math.isfinite(value)
    return hint is Any or type(value) is hint


@dataclass(frozen=True)
class Given:
    """What a command line said; None where it said nothing. Names as in `StudySpec`."""

    objective: str | None = None
    model: str | None = None
    options: dict[str, str] | None = None
    space: dict[str, Any] | None = field(default=None)
    seed: int | None = None
    epochs: int | None = None
    precision: str | None = None
    threads: int | None = None
    deterministic: bool | None = None
    sampler: str | None = None
    pruner: str | None = None
    timeout_s: float | None = None
    grace_s: float | None = None
    heartbeat_s: float | None = None
    max_attempts: int | None = None
    trial_timeout_s: float | None = None
    checkpoint_every: int | None = None
    keep_checkpoints: str | None = None
    metric: str | None = None

    def of(self, *names: str) -> dict[str, Any]:
        """Return those of the named values that were given."""
        return {n: getattr(self, n) for n in names if getattr(self, n) is not None}


def check_name(name: str, flag: str = "--study") -> None:
    """Refuse names that cannot be a folder's: the work dir is called after the study."""
    if name.endswith(COMPANION):
        raise StudyError(
            f"{name!r}: names that end with {COMPANION} belong to the studies that finalize makes",
            f"{flag} NAME, with another end",
        )
    n_bytes = len(name.encode(errors="replace"))
    if n_bytes > LONGEST_NAME:
        raise StudyError(
            f"{name[:30]!r}... cannot be the name of a study: it has {n_bytes} bytes, "
            f"and folders are called after it",
            f"{flag} NAME, at most {LONGEST_NAME} bytes",
        )
    bad = not name.strip() or name != name.strip() or not name.isprintable()
    if bad or name.startswith(".") or any(character in name for character in "/\\"):
        raise StudyError(
            f"{name!r} cannot be the name of a study",
            f"{flag} NAME, printable, without slashes or blanks at its ends, no dot first",
        )


def check_lease(grace_s: float, heartbeat_s: float) -> None:
    """Refuse lease times under which a healthy worker could be taken for dead.

    Raises:
        StudyError: The grace period is under three heartbeats or under three seconds.
    """
    if heartbeat_s <= 0:
        raise StudyError(f"--heartbeat {heartbeat_s:g}s must be above 0")
    if grace_s < 3 or grace_s < 3 * heartbeat_s:
        raise StudyError(
            f"--grace {grace_s:g}s must be at least 3 s and three heartbeats of {heartbeat_s:g} s",
            f"--grace {max(3.0, 3 * heartbeat_s):g}s",
        )


def refuse_difference(name: str, stored: StudySpec, wanted: Mapping[str, Any]) -> None:
    """Refuse values that are not those the study was created with.

    Args:
        name: The study's, for the message.
        wanted: Field of the spec to the value that this command brings.

    Raises:
        StudyError: Names the first difference.
    """
    for key, value in wanted.items():
        have = getattr(stored, key)
        if key in MAY_CHANGE or have == value:
            continue
        flag = {"options": "objective-option", "deterministic": "no-deterministic"}.get(key, key)
        flag = "--" + flag.removesuffix("_s").replace("_", "-") if key != "backend" else VARIABLE
        if key in ("data", "source", "space", "direction"):
            what = {"source": "objective's code"}.get(key, key)
            same = ", by the same version of slot-study" if key == "source" else ""
            detail = _first_difference(have, value) if key == "space" else ""
            raise StudyError(
                f"study '{name}' was created with another {what}{detail}",
                f"another --study name, or the {what} it was created with{same}",
            )
        variable = "STUDY_" + flag.strip("-").upper().replace("-", "_")
        flag = variable if os.environ.get(variable) else flag
        raise StudyError(
            f"study '{name}' has {key.removesuffix('_s')} {have}; this command says {value}",
            f"another --study name, or drop {flag} to continue this one",
        )


def _first_difference(have: list[dict[str, Any]], want: list[dict[str, Any]]) -> str:
    ours = {entry["name"]: entry for entry in have}
    theirs = {entry["name"]: entry for entry in want}
    for name in [*ours, *theirs]:
        if ours.get(name) != theirs.get(name):
            return f" (it differs in '{name}')"
    return " (the order of its entries differs)"


class Asked(Protocol):
    """What a command line says of a study, as far as a crew depends on it; None: nothing."""

    @property
    def objective(self) -> str | None: ...

    @property
    def model(self) -> str | None: ...

    @property
    def threads(self) -> int | None: ...


def is_for_default_network(asked: Asked) -> bool:
    """Whether a command line, or what a study was created with, names no network of its own."""
    return asked.model is None and asked.objective in (None, DEFAULT_OBJECTIVE)
