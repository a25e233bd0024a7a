"""Every attribute key that is written to a study or a trial.

Facts are Optuna user attributes, so that optuna-dashboard shows them and plain scripts read them.
Values are JSON. This file decides the names; who may write when is decided in `slots.py`.

Trial attributes:

| key           | type | written by                  | read by                                |
|---------------|------|-----------------------------|----------------------------------------|
| `slot`        | int  | plan, add, requeue          | everybody                              |
| `attempt`     | int  | plan, add, requeue (from 1) | claim, status                          |
| `redraw`      | int  | plan, requeue (absent = 0)  | the sampler                            |
| `losses`      | int  | requeue (absent = 0)        | requeue: losses in a row, no progress  |
| `reached`     | int  | requeue (absent = -1)       | requeue: the highest step reported     |
| `alone`       | bool | requeue after out of memory | the worker: nothing else on its device |
| `worker`      | str  | claim: `host:key:pid`       | status, the supervisor                 |
| `claim`       | str  | claim: a random token       | the fence of every write of an attempt |
| `environment` | dict | claim                       | replay: machine and versions           |
| `ended`       | str  | finish, release: the token  | whether it was ended by us             |
| `seed`        | int  | claim                       | training, trials                       |
| `reason`      | str  | finish, release, requeue    | status, trials                         |
| `error`       | dict | finish, requeue             | trials: type, message, traceback       |
| `log`         | str  | finish, requeue             | logs: the last lines of a failed one   |
| `info`        | dict | finish                      | status: numbers named with their unit  |
"""

SLOT = "slot"
ATTEMPT = "attempt"
REDRAW = "redraw"
LOSSES = "losses"
REACHED = "reached"
ALONE = "alone"
WORKER = "worker"
CLAIM = "claim"
ENVIRONMENT = "environment"
ENDED = "ended"
SEED = "seed"
REASON = "reason"
ERROR = "error"
LOG = "log"
INFO = "info"

CARRIED = (SLOT, ATTEMPT, REDRAW, LOSSES, REACHED, ALONE)
"""What a new row for a slot takes over from the row before it."""

SPEC = "spec"
"""Study attribute: what defines the study, as JSON (see `study/spec.py`)."""

N_SLOTS = "n_slots"
"""Study attribute: the budget; only `plan` and `add` write it."""

N_ADDED = "n_added"
"""Study attribute: how many of the slots came by `add`; only `add` writes it."""

CREATED_BY = "created_by"
"""Study attribute: `user@host` of the first `create`."""

CREATED_AT = "created_at"
"""Study attribute: when it was created, by the database's clock, as ISO 8601 in UTC."""

DATA_DIR = "data_dir"
"""Study attribute: where the data lay for the creator; a worker may bring another folder."""

TRIAL_S = "expected_trial_s"
"""Study attribute: how long a trial was expected to take when the study was created, in s."""

TOKEN = "token"
"""Study attribute: random, made with the study: SQLite gives a deleted study's id to another."""

VERSIONS = "versions"
"""Study attribute: the creator's Python and packages; a worker with others warns."""

STOP = "stop"
"""Study attribute: the newest request to stop: id, now, why, detail (see `storage/registry.py`)."""

PAUSED = "paused"
"""Study attribute: whether workers are to claim nothing until it is false."""

USED = "used"
"""Study attribute: for how long workers were at work: used_s, and when that was written."""

WORKERS = "worker:"
"""Study attributes that begin so hold a worker each: what it is, what it does, when it was seen."""

MARKER = "work_dir"
"""Study attribute: what the marker file says in the work dir that the study began with."""

FIXED_PARAMS = "fixed_params"
"""Trial *system* attribute, Optuna's own: params that are given, not drawn."""


EFFORT = "effort"
"""Study attribute of a finalize's study: how much work it was asked for (see `study/effort.py`)."""

KEPT = "kept:"
"""Trial *system* attributes that begin so hold a piece each of what is kept of it, as base 85."""


class Reason:
    """Why a trial of ours ended as FAIL."""

    LOST = "lost"
    RELEASED = "released"
    CRASHED = "crashed"
    OUT_OF_MEMORY = "out_of_memory"
    INFEASIBLE = "infeasible"
    ERROR = "error"
    TIMEOUT = "timeout"
