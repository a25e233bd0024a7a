"""Plain Optuna processes that work on our studies as if they were their own.

They are forked from a server that has done the imports. One that is to hang stays in its first
trial until it is killed; the others do a few trials of their own.
"""

import contextlib
import multiprocessing
import threading
import warnings
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback

from tests.integration.crowd import CONTEXT

KINDS = ("plain", "heartbeat", "retry")
BEATS: dict[str, Any] = {"heartbeat_interval": 1, "grace_period": 3}


def stock_storage(url: str, kind: str) -> RDBStorage:
    """Optuna's own storage: without a heartbeat, with one, or with one and its retry."""
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    warnings.simplefilter("ignore", ExperimentalWarning)
    if kind == "plain":
        return RDBStorage(url)
    callback = RetryHeartbeatStaleTrialCallback() if kind == "retry" else None
    return RDBStorage(url, **BEATS, heartbeat_stale_trial_callback=callback)


def optimize(url: str, kind: str, n_trials: int, in_trial: Any) -> None:
    """Run trials of the study 's' as any Optuna script does; hang in the first where asked to."""
    study = optuna.load_study(study_name="s", storage=stock_storage(url, kind))

    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", -1.0, 1.0)
        trial.report(x, 0)
        if in_trial is not None:
            in_trial.set()
            threading.Event().wait()
        return x

    for _ in range(n_trials):
        # A plain script dies of a trial that another one has ended; here it goes on.
        with contextlib.suppress(UpdateFinishedTrialError, ValueError):
            study.optimize(objective, n_trials=1, catch=(Exception,))


def start(url: str, kind: str, n_trials: int = 5, in_trial: Any = None) -> multiprocessing.Process:
    """Start such a process."""
    process = CONTEXT.Process(target=optimize, args=(url, kind, n_trials, in_trial))
    process.start()
    return process  # type: ignore[return-value]


def kill_in_a_trial(url: str) -> None:
    """Start one of each kind, and kill all of them in the middle of their first trials."""
    hanging = []
    try:
        for kind in KINDS:
            in_trial = CONTEXT.Event()
            hanging.append(start(url, kind, in_trial=in_trial))
            assert in_trial.wait(120)
    finally:
        for process in hanging:
            process.kill()
            process.join(60)
