"""Opens an existing study, and loads its objective and data into this process.

Refuses an objective, data or a space that differ from those at the study's creation.
`study/run/create.py` creates studies.
"""

import os
import shlex
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from objectives.base import FitOptions, Objective
from objectives.framework.backend import VARIABLE, use_backend
from objectives.load import load_objective, with_space
from objectives.refit import Refit
from objectives.space.space import SearchSpace
from storage import attrs
from storage.database.url import parse_url, sqlite_path
from storage.rdb import SlotStorage
from storage.reading import Attempt, newest_by_slot, read_attempts
from storage.registry import Registry
from storage.slots.slots import Slots
from study.errors import StudyError
from study.spec.code import Code, trusted_code
from study.spec.spec import COMPANION, StudySpec, Told, refuse_difference
from study.spec.workdir import WorkDir, folder_name

Say = Callable[[str], None]


@dataclass(frozen=True)
class OpenStudy:
    """A study in its storage.

    Attributes:
        token: Random and unique to the study, in any database.
        data_dir: The data's folder on this machine; None if unknown.
        code: The code that this machine runs for the study; None before `with_code`.
    """

    storage: SlotStorage
    study_id: int
    name: str
    spec: StudySpec
    data_dir: Path | None
    token: str | None = None
    code: Code | None = None

    @property
    def reference(self) -> str:
        """The model or objective, with its path on this machine."""
        code = self.code or self.spec
        return code.model or code.objective

    @property
    def slots(self) -> Slots:
        """The study's slots."""
        return self.patient_slots(60.0)

    def patient_slots(self, wait_s: float) -> Slots:
        """The study's slots; calls wait up to `wait_s` for an unreachable database."""
        return Slots(self.storage, self.study_id, token=self.token, wait_s=wait_s)

    def registry(self, wait_s: float = 60.0) -> Registry:
        """The study's workers."""
        return Registry(self.storage, self.study_id, grace_s=self.spec.grace_s, wait_s=wait_s)

    def work_dir(self, given: Path | None) -> WorkDir:
        """Return the given work dir, else `<study>.work` beside the SQLite file, else here."""
        beside = sqlite_path(parse_url(self.storage.url))
        default = (beside.parent if beside else Path()) / f"{folder_name(self.name)}.work"
        return WorkDir(given or default, self.token or f"study-{self.study_id}")

    def attr(self, key: str) -> Any:
        """Return an attribute of the study; None if it is missing or malformed."""
        return attrs.known(key, self.storage.get_study_user_attrs(self.study_id).get(key))

    def count(self, key: str) -> int:
        """Return a count of slots; raise `StorageError` where the attribute holds no count."""
        return attrs.count(key, self.storage.get_study_user_attrs(self.study_id))

    @property
    def n_slots(self) -> int:
        """The number of slots: the budget."""
        return self.count(attrs.N_SLOTS)


@dataclass(frozen=True)
class Loaded:
    """The objective and the data of a study, in this process.

    Attributes:
        on_rungs: The objectives of the rungs below the last, with their epochs.
    """

    objective: Objective
    dataset: Any
    on_rungs: tuple[Objective, ...] = ()

    def on_rung(self, rung: int) -> Objective:
        """Return the objective of the trials on a rung."""
        return self.on_rungs[rung] if rung < len(self.on_rungs) else self.objective


def study_names(storage: SlotStorage) -> list[str]:
    """Return the names of the studies in a storage, in order of creation."""
    return [study.study_name for study in storage.get_all_studies()]


def is_companion(name: str, names: Container[str]) -> bool:
    """Whether a name is that of the companion (the finalize) of another study in `names`."""
    return name.endswith(COMPANION) and name.removesuffix(COMPANION) in names


def refuse_companion(opened: OpenStudy) -> None:
    """Raise `StudyError` if a finalize made the study: it cannot be used as a search."""
    search = opened.spec.refits
    if search is not None:
        raise StudyError(
            f"study '{opened.name}' is the finalize of '{search}', which plans its slots",
            f"study finalize --study {shlex.quote(search)}",
        )


def find_study(storage: SlotStorage, name: str | None) -> tuple[int, str]:
    """Return id and name of a study; the name may be left out if there is only one.

    Raises:
        StudyError: The storage has no study or none of that name, or the name is left out and
    """
    names = study_names(storage)
    searches = [one for one in names if not is_companion(one, names)]
    if name is None and len(searches) == 1:
        name = searches[0]
    if name is None or name not in names:
        there = f"there are: {', '.join(searches)}" if names else "the storage holds none"
        what = "which study?" if name is None else f"no study '{name}';"
        hint = f"--study {shlex.quote(searches[0])}" if names else "study run --data DIR"
        raise StudyError(f"{what} {there}", hint)
    return int(storage.get_study_id_from_name(name)), name


def read_spec(storage: SlotStorage, study_id: int, name: str) -> StudySpec:
    """Return the stored spec.

    Raises:
        StudyError: The study was made by plain Optuna, or its creation was interrupted.
    """
    stored = storage.get_study_user_attrs(study_id).get(attrs.SPEC)
    if stored is None:
        raise StudyError(
            f"study '{name}' has no slots: another program created it, or its creation was stopped",
            f"study run --study {shlex.quote(name)} --data DIR",
        )
    return StudySpec.from_json(stored)


def open_study(storage: SlotStorage, name: str | None, data_dir: Path | None = None) -> OpenStudy:
    """Open an existing study; raise `StudyError` if it does not exist."""
    study_id, found = find_study(storage, name)
    spec = read_spec(storage, study_id, found)
    user_attrs = storage.get_study_user_attrs(study_id)
    stored, token = (attrs.known(k, user_attrs.get(k)) for k in (attrs.DATA_DIR, attrs.TOKEN))
    folder = data_dir or (Path(stored) if stored else None)
    return OpenStudy(storage, study_id, found, spec, folder, token)


def stored_versions(opened: OpenStudy) -> dict[str, str]:
    """Return machine and versions at the study's creation; empty if they were not recorded."""
    return dict(opened.attr(attrs.VERSIONS) or {})


def load(opened: OpenStudy) -> Loaded:
    """Load objective and data of a study.

    Raises:
        StudyError: Data, space or objective differ from those at the study's creation.
    """
    opened = opened if opened.code is not None else with_code(opened, Told())
    spec = opened.spec
    keep_to_backend(opened.name, spec)
    search = opened if spec.refits is None else search_of(opened)
    objective = _objective_of(search, search.spec.epochs)
    dataset = load_data(objective, opened.data_dir)
    data = fingerprint_of(dataset) if objective.needs_data else None
    refuse_difference(opened.name, spec, {"data": data})
    if spec.refits is not None:
        return Loaded(_refit_of(search), dataset)
    return Loaded(objective, dataset, tuple(_objective_of(opened, n) for n in spec.rungs[:-1]))


def keep_to_backend(name: str, spec: StudySpec) -> None:
    """Choose the study's backend before Keras is loaded; refuse a different KERAS_BACKEND."""
    if spec.trains_with_keras:
        if os.environ.get(VARIABLE):
            refuse_difference(name, spec, {"backend": os.environ[VARIABLE]})
        use_backend(spec.backend)


def _objective_of(opened: OpenStudy, epochs: int, stop_after: int | None = None) -> Objective:
    spec, code = opened.spec, opened.code
    if code is None:
        raise ValueError("the study was opened without `with_code`")
    objective = load_objective(
        code.objective,
        fit_options=replace(fit_options(vars(spec)), epochs=epochs, stop_after=stop_after),
        options=code.options,
        model=code.model,
        space_overrides=None,
        source=spec.source,
    )
    return with_space(objective, SearchSpace.from_json(spec.space))


def fit_options(found: Mapping[str, Any]) -> FitOptions:
    """Return the options of a training from the fields of a spec."""
    return FitOptions(**{f.name: found[f.name] for f in fields(FitOptions) if f.name in found})


def search_of(companion: OpenStudy) -> OpenStudy:
    """Return the search that a companion belongs to, with the companion's code."""
    search = open_study(companion.storage, companion.spec.refits, companion.data_dir)
    if companion.code is not None:
        refuse_difference(companion.name, search.spec, {"source": companion.spec.source})
    return replace(search, code=companion.code)


def _refit_of(search: OpenStudy) -> Objective:
    """Return the objective that retrains configurations of a search."""
    space = SearchSpace.from_json(search.spec.space)

    def params_of(slot: int) -> dict[str, Any]:
        engine, study_id = search.storage.engine, search.study_id
        number = newest_by_slot(read_attempts(engine, study_id))[slot].trial
        (trial,) = read_attempts(engine, study_id, details=True, trials=[number])
        return stored_params(space, trial)

    return Refit(partial(_objective_of, search), params_of, search.spec.direction)


def stored_params(space: SearchSpace, trial: Attempt) -> dict[str, Any]:
    """Return a trial's active params, in the space's order.

    Raises:
        StudyError: The trial ended before all params were drawn.
    """

    def stored(name: str, _distribution: object) -> Any:
        if name not in trial.params:
            raise StudyError(f"trial {trial.trial} ended before its param {name} was drawn")
        return trial.params[name]

    return space.draw(stored)


def with_code(opened: OpenStudy, told: Told) -> OpenStudy:
    """Return the study with its code; raises as `trusted_code`."""
    return replace(opened, code=trusted_code(opened.name, opened.spec, told))


def load_data(objective: Objective, data_dir: Path | None) -> Any:
    """Return the objective's dataset; raise `StudyError` if it needs a folder and has none."""
    if objective.needs_data and data_dir is None:
        raise StudyError("this objective needs data", "--data DIR (a folder with train.csv)")
    return objective.load(data_dir)


def fingerprint_of(dataset: Any) -> str | None:
    """Return the dataset's fingerprint; None if it has none."""
    found = getattr(dataset, "fingerprint", None)
    return None if found is None else str(found)


def companion_of(search: OpenStudy) -> OpenStudy | None:
    """Return the companion, the study that a finalize of the search made; None if there is none.

    Raises:
        StudyError: A study of that name belongs to another search.
    """
    name = search.name + COMPANION
    if name not in study_names(search.storage):
        return None
    study_id = search.storage.get_study_id_from_name(name)
    if attrs.SPEC not in search.storage.get_study_user_attrs(study_id):
        return None  # its creation was interrupted
    found = open_study(search.storage, name, search.data_dir)
    # A copied companion still has the token of the original search.
    tokens = (search.token, *(search.attr(attrs.COPIED_FROM) or []))
    if found.spec.refits != search.name or found.spec.refits_token not in tokens:
        raise StudyError(
            f"study '{name}' exists already and is not the finalize of this '{search.name}', "
            "but of another or earlier study",
            f"study delete --study {shlex.quote(name)}",
        )
    return replace(found, code=search.code)
