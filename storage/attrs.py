"""The keys of all attributes of studies and trials, and the types of their values.

Facts are Optuna user attributes in JSON, so optuna-dashboard and plain scripts can read them. A
value of another type, written by another program, counts as missing. It is an error only if a
missing value would give a wrong answer.

Trial attributes:

| key           | type | written by                  | read by                                |
|---------------|------|-----------------------------|----------------------------------------|
| `slot`        | int  | plan, add, requeue          | all commands                           |
| `attempt`     | int  | plan, add, requeue (from 1) | claim, status                          |
| `redraw`      | int  | plan, requeue (absent = 0)  | the sampler                            |
| `losses`      | int  | requeue (absent = 0)        | requeue: losses in a row, no progress  |
| `reached`     | int  | requeue (absent = -1)       | requeue: the highest step reported     |
| `alone`       | bool | requeue after out of memory | the worker: nothing else on its device |
| `rung`        | int  | promote, claim (absent = 0) | the best trial, status, finalize       |
| `from_slot`   | int  | promote                     | promote: the slot on the lower rung    |
| `epochs`      | int  | claim, in a study of rungs  | trials, replay                         |
| `worker`      | str  | claim: `host:key:pid`       | status, the supervisor                 |
| `claim`       | str  | claim: a random token       | the fence of every write of an attempt |
| `environment` | dict | claim                       | replay: machine and versions           |
| `ended`       | str  | finish, release: the token  | whether this program ended the trial   |
| `seed`        | int  | claim                       | training, trials                       |
| `reason`      | str  | finish, release, requeue    | status, trials                         |
| `error`       | dict | finish, requeue             | trials: type, message, traceback       |
| `log`         | str  | finish, requeue             | logs: the last lines of a failed trial |
| `info`        | dict | finish                      | status: numbers named with their unit  |
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from storage.errors import StorageError

T = TypeVar("T")

SLOT = "slot"
ATTEMPT = "attempt"
REDRAW = "redraw"
LOSSES = "losses"
REACHED = "reached"
ALONE = "alone"
RUNG = "rung"
FROM_SLOT = "from_slot"
EPOCHS = "epochs"
WORKER = "worker"
CLAIM = "claim"
ENVIRONMENT = "environment"
ENDED = "ended"
SEED = "seed"
REASON = "reason"
ERROR = "error"
LOG = "log"
INFO = "info"

CARRIED = (SLOT, ATTEMPT, REDRAW, LOSSES, REACHED, ALONE, RUNG, FROM_SLOT)
"""Attributes that a new row for a slot copies from the previous row."""

# Attributes of a study.
SPEC = "spec"  # what defines it, as JSON; see `study/spec/spec.py`
N_SLOTS = "n_slots"  # the budget; only `plan` and `add` write it
N_ADDED = "n_added"  # how many of the slots came by `add`; only `add` writes it
N_PROMOTED = "n_promoted"  # how many of the slots are on higher rungs; only `promote` writes it
CREATED_BY = "created_by"  # `user@host` of the first `create`
CREATED_AT = "created_at"  # by the database's clock, as ISO 8601 in UTC
DATA_DIR = "data_dir"  # the creator's data folder; a worker may bring another one
TRIAL_S = "expected_trial_s"  # how long a trial was expected to take at creation, in s
TOKEN = "token"  # random: SQLite gives the id of a deleted study to a new one
COPIED_FROM = "copied_from"  # tokens of the studies from which it was copied, the newest first
VERSIONS = "versions"  # the creator's Python and packages; a worker with others warns
STOP = "stop"  # the newest request to stop; see `storage/registry.py`
PAUSED = "paused"  # whether workers must not claim trials
USED = "used"  # time with workers: used_s, and when it was written
WORKERS = "worker:"  # prefix of the key of each worker: its facts, and when it was last seen
MARKER = "work_dir"  # text of the marker file in the work dir in which the study began
EFFORT = "effort"  # of a companion: the size of the finalize
PLAN = "plan"  # what a limited time buys; see `study/run/plan.py`

# *System* attributes of a trial.
FIXED_PARAMS = "fixed_params"  # Optuna's own: params that are given, not drawn
KEPT = "kept:"  # prefix of the key of each piece of a trial's stored bytes, in base 85

LONGEST_NAME = 1_000  # characters of text that is shown on one line
DEEPEST = 50
_DECODE = json.JSONDecoder().raw_decode


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < 2**63 else None


def _is(kind: type[T]) -> Callable[[Any], T | None]:
    return lambda value: value if isinstance(value, kind) else None


def _name(value: Any) -> str | None:
    return value if isinstance(value, str) and len(value) <= LONGEST_NAME else None


def number(value: Any) -> float | None:
    """Return a number that is safe for arithmetic: not NaN, infinite or a huge integer; or None."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) < 1e300 else None


def _names(value: Any) -> list[str] | None:
    return [one for one in value if _name(one)] if isinstance(value, list) else None


def _of_each(read: Callable[[Any], Any]) -> Callable[[Any], dict[str, Any] | None]:
    def of_dict(value: Any) -> dict[str, Any] | None:
        if not isinstance(value, dict):
            return None
        return {key: one for key, item in value.items() if (one := read(item)) is not None}

    return of_dict


_READ: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys((SLOT, ATTEMPT, REDRAW, LOSSES, REACHED, RUNG, FROM_SLOT, EPOCHS), _count),
    **dict.fromkeys((SEED, N_SLOTS, N_ADDED, N_PROMOTED), _count),
    **dict.fromkeys((WORKER, CLAIM, ENDED, REASON, CREATED_BY, CREATED_AT, TOKEN, MARKER), _name),
    **dict.fromkeys((ALONE, PAUSED), _is(bool)),
    **dict.fromkeys((ENVIRONMENT, VERSIONS), _of_each(_name)),
    EFFORT: _of_each(_count),
    PLAN: _is(dict),
    ERROR: _of_each(_is(str)),
    INFO: _of_each(number),
    LOG: _is(str),
    COPIED_FROM: _names,
    DATA_DIR: lambda value: None if "\0" in str(value) else _name(value),
    TRIAL_S: number,
}


def known(key: str, value: Any) -> Any:
    """Return a value; None if its type is wrong for a key of this module. Other keys take any."""
    read = _READ.get(key)
    return value if read is None else read(value)


def decode(text: Any) -> Any:
    """Return the value of an attribute's JSON, or the text itself if the value is unusable.

    Unusable are invalid JSON, deep nesting, and lone surrogates, which no page or file can hold.
    """
    if not isinstance(text, str):  # NULL, or bytes in a column of SQLite's
        return None
    try:
        value, end = _DECODE(text)
        if end != len(text):  # such as a date, which begins with a number
            return text
        nested = text.count("[") + text.count("{")
        if nested > DEEPEST and _is_deep(value):
            return text
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):  # of which a UnicodeEncodeError is one
        return text
    return value


def read(key: str, text: str) -> Any:
    """Return the value of an attribute of this module from its JSON; None if its type is wrong."""
    return known(key, decode(text))


def count(key: str, found: Mapping[str, Any]) -> int:
    """Return a count of a study; 0 if it is missing.

    Raises:
        StorageError: The value is not a count, so no slots can be planned.
    """
    value = found.get(key, 0)
    if _count(value) is None:
        raise StorageError(
            f"the study's attribute '{key}' is not a count of slots but {_shown(value)}",
            f"set '{key}' back with Optuna's set_user_attr, or give another --study",
        )
    return int(value)


def odd(trial: int, key: str, value: Any) -> StorageError:
    """Return the error of a trial that cannot run because another program changed an attribute."""
    return StorageError(
        f"trial {trial} waits, and no worker can run it: its attribute '{key}' is {_shown(value)}",
        f"set '{key}' of trial {trial} back, or delete the study",
    )


def moment(value: Any) -> datetime | None:
    """Return a time in UTC, without a zone, from ISO 8601; None if it is not a time."""
    try:
        found = datetime.fromisoformat(value)
        return found if found.tzinfo is None else found.astimezone(UTC).replace(tzinfo=None)
    except (TypeError, ValueError, OverflowError):
        return None


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEEPEST):
        inner = [list(v.values()) if isinstance(v, dict) else v for v in level]
        level = [item for v in inner if isinstance(v, list) for item in v]
    return bool(level)
