"""Creates a study, or resumes an existing one, as a command asks.

Decides which differences from an existing study are refused, and when the budget is raised. Before
the slots are planned, `tryout.py` checks the objective on a few batches.
"""

import getpass
import os
import secrets
import shlex
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import DuplicatedStudyError
from optuna.study import StudyDirection

from objectives.base import FitOptions
from objectives.space.space import SearchSpace
from storage import attrs
from storage.database.engine import connecting_until
from storage.database.tables import read_fixed_params
from storage.errors import StorageMissingError
from storage.rdb import SlotStorage, open_storage
from storage.registry import Registry
from storage.slots.slots import Slots
from study.errors import StudyError
from study.machine.environment import read_environment
from study.machine.gpus import Gpu
from study.machine.pin import allocation_of, own_gpu, refuse_unseen
from study.machine.placing import Placing
from study.run.plan import Plan, make_plan, most_folds
from study.run.prewarm import Prewarm
from study.run.tryout import expected_trial_s, warnings_of
from study.spec.code import remember
from study.spec.define import code_given, define_study, make_objective, redraws_of
from study.spec.open import (
    Loaded,
    OpenStudy,
    Say,
    find_study,
    load,
    open_study,
    refuse_companion,
    study_names,
    with_code,
)
from study.spec.samplers import make_sampler
from study.spec.spec import (
    DEFAULT_N_TRIALS,
    DEFINING,
    Given,
    StudySpec,
    Told,
    check_name,
    refuse_difference,
)
from study.view.status import read_status


@dataclass(frozen=True)
class Request:
    """The study that a command asks for, and the options that define it.

    Attributes:
        name: Name of the study; None: that of the data folder, the objective, or the only study.
        n_trials: Budget; None: the default for a new study, else the current budget.
        wait_s: Time to wait for an unreachable database.
        finalizes: Whether a finalize follows, which needs data to predict.
        placing: Where this command runs workers for the study; None: it runs none.
    """

    storage_url: str
    name: str | None
    data_dir: Path | None
    given: Given
    n_trials: int | None = None
    wait_s: float = 30.0
    finalizes: bool = False
    placing: Placing | None = None


def create_or_resume(request: Request, say: Say, prewarm: Prewarm | None = None) -> OpenStudy:
    """Create the study, or resume the existing one of that name; raise its budget if asked.

    The data are checked before anything is written. Then the study's row is inserted, the objective
    is tried on a few batches, and slots and spec are stored together. An objective that does not
    work leaves an empty study, which the next command defines again.

    Args:
        prewarm: Processes that try out the default network and may become workers; without them
            this process tries it out.

    Raises:
        StudyError: The study was created with other settings, or cannot be finalized.
        ObjectiveError: Data, space, model or objective are invalid.
        StorageError: The storage cannot be used, or the budget would be lowered.
    """
    name = _default_name(request) if request.name is None else request.name
    found = _find(request, name)
    if found is not None:
        return _resume(found, request, say)
    new, loaded, gpu = _define(request, name, say)
    ready = () if prewarm is None else prewarm.ready
    trial_s = expected_trial_s(ready, loaded, new.spec, new.data_dir, gpu)
    _warn(say, warnings_of(loaded))
    if new.spec.timeout_s is not None:
        new = _with_plan(new, _plan_of(request, new.spec, loaded, trial_s), say)
    begun = "creating" if plan(new, trial_s) == new.n_slots else "resuming"  # created meanwhile
    say(f"{begun} '{name}': {new.n_slots} slots, seed {new.spec.seed}, sampler {new.spec.sampler}")
    opened = open_study(new.storage, name, new.data_dir)
    return replace(opened, code=remember(new.spec, code_given(request.given), say))


@dataclass(frozen=True)
class NewStudy:
    """A study that has a row in its storage and no slots yet.

    Attributes:
        n_slots: Number of slots to plan.
        redraws: Redraws of these slots; see `study.spec.draw.plan_redraws`.
        plan: What its time buys; None if its time is not limited, or nothing is known.
    """

    storage: SlotStorage
    study_id: int
    name: str
    spec: StudySpec
    data_dir: Path | None
    n_slots: int = 0
    redraws: Mapping[int, int] | None = None
    plan: Plan | None = None


def _define(request: Request, name: str, say: Say) -> tuple[NewStudy, Loaded, Gpu | None]:
    """Insert the study's row after all checks; return study, objective and data, and GPU."""
    check_name(name)
    n_slots = request.n_trials or DEFAULT_N_TRIALS
    spec, loaded = define_study(request.data_dir, request.given)
    _refuse_finalize(spec, request)
    gpu = None if request.placing is None else _gpu_of(spec, request.placing)
    _warn(say, getattr(loaded.dataset, "warnings", ()))
    redraws = redraws_of(spec, 0, n_slots)
    make_sampler(spec.sampler, spec.seed)  # reports a missing package before anything is written
    storage = open_storage(request.storage_url, wait_s=request.wait_s)
    params = [entry["name"] for entry in spec.space]
    study_id = create_row(storage, name, spec.direction, params, request.wait_s)
    new = NewStudy(storage, study_id, name, spec, request.data_dir, n_slots, redraws)
    return new, loaded, gpu


def what_time_buys(request: Request, say: Say, prewarm: Prewarm) -> Plan:
    """Return the plan of a new study, from the speed of a few batches; create nothing.

    Raises:
        StudyError: The objective does not tell its speed, or the command cannot work here.
    """
    if request.placing is None:
        raise ValueError("a plan needs a place for its workers")
    spec, loaded = define_study(request.data_dir, request.given)
    _warn(say, getattr(loaded.dataset, "warnings", ()))
    gpu = _gpu_of(spec, request.placing)
    trial_s = expected_trial_s(prewarm.ready, loaded, spec, request.data_dir, gpu)
    found = _plan_of(request, spec, loaded, trial_s)
    if found is None:
        raise StudyError(f"objective {spec.objective} does not tell how fast it trains")
    return found


def _plan_of(
    request: Request, spec: StudySpec, loaded: Loaded, trial_s: float | None
) -> Plan | None:
    if trial_s is None or request.placing is None:
        return None
    n_draws = request.n_trials or DEFAULT_N_TRIALS
    can_vote = request.finalizes and hasattr(loaded.dataset, "for_fold")
    return make_plan(
        spec,
        trial_s,
        allocation_of(spec, request.placing).n_workers(n_draws),
        n_trials=request.n_trials,
        finalizes=can_vote,
        folds=most_folds(loaded.dataset) if can_vote else None,
    )


def _with_plan(new: NewStudy, found: Plan | None, say: Say) -> NewStudy:
    if found is None:
        return new
    for line in found.lines():
        say(line)
    redraws = redraws_of(new.spec, 0, found.n_trials)
    return replace(new, n_slots=found.n_trials, redraws=redraws, plan=found)


def _gpu_of(spec: StudySpec, placing: Placing) -> Gpu | None:
    """Return the GPU for the try-out, after a check that the framework sees the GPUs."""
    allocation = allocation_of(spec, placing)
    refuse_unseen(spec, allocation)
    return own_gpu(allocation, placing)


def _warn(say: Say, warnings: Iterable[str]) -> None:
    for warning in warnings:
        say(f"warning: {warning}")


def plan(new: NewStudy, trial_s: float | None = None) -> int:
    """Plan the slots of a study and store its spec; return the number of new slots.

    Raises:
        StudyError: Another command has defined the study meanwhile, with another spec.
    """
    storage, study_id, spec = new.storage, new.study_id, new.spec
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in containers
        user = str(os.getuid())
    define = {
        attrs.SPEC: spec.to_json(),
        attrs.TOKEN: secrets.token_hex(16),
        attrs.VERSIONS: read_environment(),
        attrs.CREATED_BY: f"{user}@{socket.gethostname()}",
        attrs.CREATED_AT: Registry(storage, study_id, grace_s=spec.grace_s).now(),
        attrs.DATA_DIR: str(new.data_dir.resolve()) if new.data_dir else None,
        attrs.TRIAL_S: trial_s,
        attrs.PLAN: new.plan and new.plan.to_json(),
    }

    def agree(found: Any) -> None:
        refuse_difference(new.name, StudySpec.from_json(found), spec.to_json())

    return Slots(storage, study_id).plan(new.n_slots, new.redraws, define, agree)


def space_in_force(storage_url: str, name: str | None, given: Given) -> SearchSpace:
    """Return the space of an existing study, else of the given objective."""
    if not {"objective", "model", "space"} & given.said().keys():
        try:
            storage = open_storage(storage_url, create=False)
        except StorageMissingError:
            storage = None
        if name is not None or (storage is not None and study_names(storage)):
            opened = open_study(storage or open_storage(storage_url, create=False), name)
            return SearchSpace.from_json(opened.spec.space)
    return make_objective(given, FitOptions()).space


def _default_name(request: Request) -> str:
    """Return the name of the data folder, of the objective, or of the only study."""
    if request.data_dir is not None:
        return request.data_dir.resolve().name
    if request.given.objective is not None:
        return str(request.given.objective).rpartition(":")[2]
    try:
        return find_study(open_storage(request.storage_url, create=False), None)[1]
    except (StorageMissingError, StudyError):
        raise StudyError("which data?", "study run --data DIR (a folder with train.csv)") from None


def _find(request: Request, name: str) -> OpenStudy | None:
    """Return the study of that name; None if it does not exist or has no slots yet."""
    try:
        storage = open_storage(request.storage_url, create=False, wait_s=request.wait_s)
    except StorageMissingError:
        return None
    if name not in study_names(storage):
        return None
    study_id, _ = find_study(storage, name)
    if attrs.SPEC in storage.get_study_user_attrs(study_id):
        return open_study(storage, name)
    if storage.get_n_trials(study_id):
        raise StudyError(
            f"study '{name}' was made by another program and has trials already",
            "another --study name",
        )
    return None


def _resume(opened: OpenStudy, request: Request, say: Say) -> OpenStudy:
    spec, name, given = opened.spec, opened.name, request.given
    _refuse_finalize(spec, request)
    said = given.said()
    compared_by_content = ("objective", "model", "options", "space")
    refuse_difference(name, spec, {k: v for k, v in said.items() if k not in compared_by_content})
    refuse_companion(opened)
    opened = with_code(opened, Told(given.objective, given.model, given.options))
    opened = replace(opened, data_dir=request.data_dir or opened.data_dir)
    if given.space is not None:
        base = make_objective(given, FitOptions(), opened.code)
        refuse_difference(name, spec, {"space": base.space.to_json()})
    if request.data_dir is not None:
        load(opened)
    raised = {key: value for key, value in said.items() if DEFINING[key].may_rise}
    _refuse_lower(name, spec, raised)
    if request.n_trials is not None:
        _raise_budget(opened, request.n_trials)
    if raised:
        opened = replace(opened, spec=replace(spec, **raised))
        opened.storage.set_study_user_attr(opened.study_id, attrs.SPEC, opened.spec.to_json())
    status = read_status(opened)
    created_by = opened.attr(attrs.CREATED_BY) or "?"
    say(f"resuming '{name}', created by {created_by}, {status.n_final} of {status.n_slots} done")
    return opened


def _raise_budget(opened: OpenStudy, n_trials: int) -> None:
    """Plan further slots; slots of `study add` and of higher rungs come on top."""
    on_top = opened.count(attrs.N_ADDED) + opened.count(attrs.N_PROMOTED)
    have, wanted = opened.n_slots, n_trials + on_top
    if wanted != have:
        added = read_fixed_params(opened.storage.engine, opened.study_id)
        redraws = redraws_of(opened.spec, have, wanted - have, added) if wanted > have else {}
        opened.slots.plan(wanted, redraws)


def _refuse_finalize(spec: StudySpec, request: Request) -> None:
    if request.finalizes and spec.data is None:
        raise StudyError(f"objective {spec.objective} has no data to predict", "drop --finalize")


def _refuse_lower(name: str, stored: StudySpec, raised: Mapping[str, Any]) -> None:
    for key, value in raised.items():
        have, flag = getattr(stored, key), DEFINING[key].flag
        if have is not None and value < have:
            what = f"{key.removesuffix('_s')} of {have:g}{' s' if key.endswith('_s') else ''}"
            raise StudyError(
                f"study '{name}' has a {what}; it can only be raised",
                f"drop {flag}, or give a higher value",
            )


def create_row(
    storage: SlotStorage,
    name: str,
    direction: str,
    params: Sequence[str] = (),
    wait_s: float = 30.0,
) -> int:
    """Insert a study's row; return its id, or the id of the row that an earlier try left.

    Args:
        params: Param names, which the database must be able to store, too.
        wait_s: Time to wait for a database that accepts no writes.

    Raises:
        StorageError: The database cannot store the name of the study or of a param.
        StudyError: Another study has the name, or an earlier try had another direction.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage.refuse_unheld(name, *params)
    try:
        with connecting_until(time.monotonic() + wait_s):
            return storage.create_new_study([StudyDirection[direction.upper()]], name)
    except DuplicatedStudyError:
        study_id = storage.get_study_id_from_name(name)
    taken = storage.get_study_name_from_id(study_id)  # MySQL ignores case
    if taken != name:
        raise StudyError(
            f"this database does not distinguish '{name}' from the existing '{taken}'",
            "another --study name",
        )
    if storage.get_study_directions(study_id) != [StudyDirection[direction.upper()]]:
        # An earlier objective failed its try-out, and Optuna cannot change a direction.
        raise StudyError(
            f"study '{name}' was begun with another direction than {direction}",
            f"study delete --study {shlex.quote(name)}, or another --study name",
        )
    return int(study_id)
