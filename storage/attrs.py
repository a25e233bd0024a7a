"""Every attribute key that is written to a study or a trial.

Facts are Optuna user attributes, so that optuna-dashboard shows them and plain scripts read them.
Values are JSON. This file decides the names; who may write when is decided in `slots.py`.

Trial attributes:

| key       | type | written by                  | read by                                |
|-----------|------|-----------------------------|----------------------------------------|
| `slot`    | int  | plan, add, requeue          | everybody                              |
| `attempt` | int  | plan, add, requeue (from 1) | claim, status                          |
| `redraw`  | int  | plan, requeue (absent = 0)  | the sampler                            |
| `worker`  | str  | claim: `host:pid`           | status                                 |
| `claim`   | str  | claim: a random token       | the fence of every write of an attempt |
| `ended`   | str  | finish, release: the token  | whether it was ended by us             |
| `seed`    | int  | claim                       | training, trials                       |
| `reason`  | str  | finish, release, requeue    | status, trials                         |
| `error`   | dict | finish                      | trials: type, message, traceback       |
| `info`    | dict | finish                      | status: numbers named with their unit  |
"""

SLOT = "slot"
ATTEMPT = "attempt"
REDRAW = "redraw"
WORKER = "worker"
CLAIM = "claim"
ENDED = "ended"
SEED = "seed"
REASON = "reason"
ERROR = "error"
INFO = "info"

CARRIED = (SLOT, ATTEMPT, REDRAW)
"""What a new row for a slot takes over from the row before it."""

SPEC = "spec"
"""Study attribute: what defines the study, as JSON (see `study/spec.py`)."""

N_SLOTS = "n_slots"
"""Study attribute: the budget; only `plan` and `add` write it."""

N_ADDED = "n_added"
"""Study attribute: how many of the slots came by `add`; only `add` writes it."""

CREATED_BY = "created_by"
"""Study attribute: `user@host` of the first `create`."""

DATA_DIR = "data_dir"
"""Study attribute: where the data lay for the creator; a worker may bring another folder."""

TRIAL_S = "expected_trial_s"
"""Study attribute: how long a trial was expected to take when the study was created, in s."""

FIXED_PARAMS = "fixed_params"
"""Trial *system* attribute, Optuna's own: params that are given, not drawn."""


class Reason:
    """Why a trial of ours ended as FAIL."""

    LOST = "lost"
    RELEASED = "released"
    CRASHED = "crashed"
    OUT_OF_MEMORY = "out_of_memory"
    INFEASIBLE = "infeasible"
    ERROR = "error"
    TIMEOUT = "timeout"
