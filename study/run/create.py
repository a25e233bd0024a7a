"""Creating a study, or going on with one: from a command line to an `OpenStudy`.

Decides what a new study is made of, which differences are refused, and when the budget is raised.
A first batch shows, before the slots are planned, that the objective works; see `tryout.py`.
"""

import getpass
import os
import secrets
import shlex
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import DuplicatedStudyError
from optuna.study import StudyDirection

from objectives.base import FitOptions
from objectives.framework.backend import backend_name
from objectives.space.space import SearchSpace
from storage import attrs
from storage.database.dialect import connecting_until
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
from study.run.prewarm import Prewarm
from study.run.tryout import expected_trial_s, warnings_of
from study.spec.code import Told, remember
from study.spec.define import code_given, define_study, make_objective, redraws_of
from study.spec.open import (
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
    Given,
    StudySpec,
    check_name,
    is_for_default_network,
    refuse_difference,
)
from study.view.status import read_status


def create_or_resume(
    storage_url: str,
    name: str | None,
    data_dir: Path | None,
    n_trials: int | None,
    given: Given,
    say: Say,
    *,
    wait_s: float = 30.0,
    finalizes: bool = False,
    placing: Placing | None = None,
    prewarm: Prewarm | None = None,
) -> OpenStudy:
    """Create the study, or go on with the one of that name; raise its budget where asked.

    The data are checked before anything is written. Then the study's row is made, one batch goes
    through the objective, and the slots are planned together with the spec: an objective that does
    not work leaves an empty study, which the next try defines anew.

    Args:
        finalizes: Whether a finalize is to follow, which needs something to predict.
        placing: Where the study is to be worked on in this command; None: not here.
        prewarm: Processes that may become workers; those that the study cannot use are ended.

    Raises:
        StudyError: The study was created with something else, or cannot be finalized.
        ObjectiveError: Data, space, model or objective are wrong.
        StorageError: The storage cannot be used, or the budget would be lowered.
    """
    if name is None:
        name = _default_name(storage_url, data_dir, given)
    existing = _existing(storage_url, name, wait_s)
    if existing is not None:
        _refuse_finalize(existing.spec, finalizes)
        if prewarm is not None:
            prewarm.keep(_n_prewarmed(existing, n_trials, placing))
        return _resume(existing, data_dir, n_trials, given, say)
    check_name(name)
    n_slots = n_trials or DEFAULT_N_TRIALS
    with Prewarm(name, given, n_slots) if prewarm is None else nullcontext(prewarm) as prewarm:
        spec, loaded = define_study(name, data_dir, given)
        _refuse_finalize(spec, finalizes)
        gpu = None if placing is None else _gpu_of(spec, placing)
        _warn(say, getattr(loaded.dataset, "warnings", ()))
        redraws = redraws_of(spec, 0, n_slots)
        make_sampler(spec.sampler, spec.seed)  # one that lacks a package fails here, once
        storage = open_storage(storage_url, wait_s=wait_s)
        params = [entry["name"] for entry in spec.space]
        study_id = create_row(storage, name, spec.direction, params, wait_s)
        trial_s = expected_trial_s(prewarm.ready, loaded, spec, data_dir, gpu)
        _warn(say, warnings_of(loaded))
        first = (storage, study_id, spec, n_slots, data_dir)
        n_new = plan_defined(*first, redraws=redraws, trial_s=trial_s, name=name)
    begun = "creating" if n_new == n_slots else "resuming"  # another command was first
    say(f"{begun} '{name}': {n_slots} slots, seed {spec.seed}, sampler {spec.sampler}")
    opened = open_study(storage, name, data_dir)
    return replace(opened, code=remember(spec, code_given(given), say))


def _gpu_of(spec: StudySpec, placing: Placing) -> Gpu | None:
    """Return the GPU for the try-out, after a check that the framework sees the GPUs."""
    allocation = allocation_of(spec, placing)
    refuse_unseen(spec, allocation)
    return own_gpu(allocation, placing)


def _warn(say: Say, warnings: Iterable[str]) -> None:
    for warning in warnings:
        say(f"warning: {warning}")


def _n_prewarmed(opened: OpenStudy, n_trials: int | None, placing: Placing | None) -> int:
    """Return how many pre-warmed processes can become workers of an existing study."""
    spec = opened.spec
    if placing is None or not is_for_default_network(spec) or spec.backend != backend_name():
        return 0
    status = read_status(opened)
    n_open = max(n_trials or 0, status.n_slots) - status.n_final
    return allocation_of(spec, placing).n_workers(n_open) if n_open else 0


def plan_defined(
    storage: SlotStorage,
    study_id: int,
    spec: StudySpec,
    n_slots: int,
    data_dir: Path | None,
    *,
    redraws: Mapping[int, int] | None = None,
    trial_s: float | None = None,
    name: str | None = None,
) -> int:
    """Plan the first slots of a study together with what defines it; return how many were new.

    Args:
        name: Of a study that another creator may define at the same moment: whoever plans first
            does, and one who wants another spec is refused. None: nobody asks.
    """

    def agree(found: Any) -> None:
        if name is not None:
            refuse_difference(name, StudySpec.from_json(found), spec.to_json())

    define = {
        attrs.SPEC: spec.to_json(),
        attrs.TOKEN: secrets.token_hex(16),
        attrs.VERSIONS: read_environment(),
        attrs.CREATED_BY: f"{_user()}@{socket.gethostname()}",
        attrs.CREATED_AT: Registry(storage, study_id, grace_s=spec.grace_s).now(),
        attrs.DATA_DIR: str(data_dir.resolve()) if data_dir else None,
        attrs.TRIAL_S: trial_s,
    }
    return Slots(storage, study_id).plan(n_slots, redraws, define, agree)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an id without a name, as containers have
        return str(os.getuid())


def space_in_force(storage_url: str, name: str | None, given: Given) -> SearchSpace:
    """Return the space of a study that is there, else that of the objective that is given."""
    if not given.of("objective", "model", "space"):
        try:
            storage = open_storage(storage_url, create=False)
        except StorageMissingError:
            storage = None
        if name is not None or (storage is not None and study_names(storage)):
            opened = open_study(storage or open_storage(storage_url, create=False), name)
            return SearchSpace.from_json(opened.spec.space)
    return make_objective(given, FitOptions()).space


def _default_name(storage_url: str, data_dir: Path | None, given: Given) -> str:
    """Return the data folder's name, the objective's, or that of the only study that there is."""
    if data_dir is not None:
        return data_dir.resolve().name
    if given.objective is not None:
        return given.objective.rpartition(":")[2]
    try:
        return find_study(open_storage(storage_url, create=False), None)[1]
    except (StorageMissingError, StudyError):
        raise StudyError("which data?", "study run --data DIR (a folder with train.csv)") from None


def _existing(storage_url: str, name: str, wait_s: float) -> OpenStudy | None:
    try:
        storage = open_storage(storage_url, create=False, wait_s=wait_s)
    except StorageMissingError:
        return None
    if name not in study_names(storage):
        return None
    study_id, _ = find_study(storage, name)
    user_attrs = storage.get_study_user_attrs(study_id)
    if attrs.SPEC in user_attrs:
        return open_study(storage, name)
    if storage.get_n_trials(study_id):
        raise StudyError(
            f"study '{name}' was made by another program and has trials already",
            "another --study name",
        )
    return None


def _resume(
    opened: OpenStudy, data_dir: Path | None, n_trials: int | None, given: Given, say: Say
) -> OpenStudy:
    spec, name, storage = opened.spec, opened.name, opened.storage
    wanted = given.of(
        "seed", "epochs", "precision", "threads", "deterministic", "sampler", "pruner",
        "grace_s", "heartbeat_s", "max_attempts", "trial_timeout_s", "checkpoint_every",
        "keep_checkpoints", "metric",
    )  # fmt: skip
    if wanted.get("precision") == "auto":
        del wanted["precision"]
    refuse_difference(name, spec, wanted)
    refuse_companion(opened)
    opened = with_code(opened, Told(given.objective, given.model, given.options))
    opened = replace(opened, data_dir=data_dir or opened.data_dir)
    if given.space is not None:
        base = make_objective(given, FitOptions(), opened.code)
        refuse_difference(name, spec, {"space": base.space.to_json()})
    if data_dir is not None:
        load(opened)
    _refuse_shorter(name, spec.timeout_s, given.timeout_s)
    if n_trials is not None:
        _raise_budget(opened, n_trials)
    if given.timeout_s is not None:
        opened = replace(opened, spec=replace(spec, timeout_s=given.timeout_s))
        storage.set_study_user_attr(opened.study_id, attrs.SPEC, opened.spec.to_json())
    status = read_status(opened)
    created_by = opened.attr(attrs.CREATED_BY) or "?"
    done = f"{status.n_final} of {status.n_slots} done"
    say(f"resuming '{name}', created by {created_by}, {done}")
    return opened


def _raise_budget(opened: OpenStudy, n_trials: int) -> None:
    """Plan further slots; those of `study add` come on top of `n_trials`."""
    have, wanted = opened.n_slots, n_trials + opened.count(attrs.N_ADDED)
    if wanted != have:
        added = read_fixed_params(opened.storage.engine, opened.study_id)
        redraws = redraws_of(opened.spec, have, wanted - have, added) if wanted > have else {}
        opened.slots.plan(wanted, redraws)


def _refuse_finalize(spec: StudySpec, finalizes: bool) -> None:
    if finalizes and spec.data is None:
        raise StudyError(f"objective {spec.objective} has no data to predict", "drop --finalize")


def _refuse_shorter(name: str, stored_s: float | None, wanted_s: float | None) -> None:
    if stored_s is not None and wanted_s is not None and wanted_s < stored_s:
        raise StudyError(
            f"study '{name}' has a timeout of {stored_s:g} s; it can be raised only",
            "drop --timeout, or give a longer one",
        )


def create_row(
    storage: SlotStorage,
    name: str,
    direction: str,
    params: Sequence[str] = (),
    wait_s: float = 30.0,
) -> int:
    """Make a study's row, or return the id of the one that an earlier try has left.

    Args:
        params: Names that the database must be able to hold, too.
        wait_s: For how long a database that takes no writes is waited for.

    Raises:
        StorageError: The database cannot hold the name, or that of one of `params`.
        StudyError: The name is another study's, or was begun with another direction.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # its lines would stand between ours
    storage.refuse_unheld(name, *params)
    try:
        with connecting_until(time.monotonic() + wait_s):
            return storage.create_new_study([StudyDirection[direction.upper()]], name)
    except DuplicatedStudyError:
        study_id = storage.get_study_id_from_name(name)
    taken = storage.get_study_name_from_id(study_id)
    if taken != name:
        # MySQL compares names without regard to case.
        raise StudyError(
            f"this database takes '{name}' for '{taken}', which is there", "another --study name"
        )
    if storage.get_study_directions(study_id) != [StudyDirection[direction.upper()]]:
        # It is empty: an earlier objective that did not work. Optuna cannot turn it round.
        raise StudyError(
            f"study '{name}' was begun with another direction than {direction}",
            f"study delete --study {shlex.quote(name)}, or another --study name",
        )
    return int(study_id)
