"""Makes the spec of a new study from the options of a command.

The defaults that depend on the objective and the data are decided here. `study/run/create.py`
stores the spec.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from objectives.base import FitOptions, Objective
from objectives.framework.backend import backend_name
from objectives.load import load_objective
from objectives.space.space import SearchSpace
from study.errors import StudyError
from study.spec.code import Code, absolute
from study.spec.draw import SpaceExhausted, plan_redraws
from study.spec.open import Loaded, fingerprint_of, fit_options, load_data
from study.spec.spec import (
    DEFAULT_OBJECTIVE,
    DEFINING,
    Given,
    StudySpec,
    check_lease,
    check_rungs,
)


def define_study(data_dir: Path | None, given: Given) -> tuple[StudySpec, Loaded]:
    """Return the spec of a new study, with its objective and data loaded in this process."""
    defaults = {key: option.default for key, option in DEFINING.items()}
    values = {k: v for k, v in {**defaults, **given.said()}.items() if v is not None}
    check_lease(values["grace_s"], values["heartbeat_s"])
    probe = make_objective(given, FitOptions())
    dataset = load_data(probe, data_dir)
    if "rungs" not in values and _leaves_rungs_open(given):
        choose = getattr(probe, "default_rungs", None)
        values["rungs"] = [] if choose is None else list(choose(dataset))
    if "epochs" not in values and values.get("rungs"):
        values["epochs"] = values["rungs"][-1]
    if "epochs" not in values:
        choose = getattr(probe, "default_epochs", None)
        values["epochs"] = FitOptions.epochs if choose is None else int(choose(dataset))
    if "precision" not in values:
        detect = getattr(probe, "detect_precision", None)
        values["precision"] = FitOptions.precision if detect is None else str(detect())
    objective = make_objective(given, fit_options(values))
    if given.metric is not None and given.metric not in getattr(objective, "metrics", ()):
        raise StudyError(f"this objective cannot be judged by {given.metric}", "drop --metric")
    code = code_given(given)
    values |= {
        "objective": code.objective,
        "model": code.model,
        "options": code.options,
        "source": code.source(),
        "data": fingerprint_of(dataset) if objective.needs_data else None,
        "space": objective.space.to_json(),
        "direction": objective.direction,
    }
    spec = StudySpec(**values)
    if spec.trains_with_keras:
        spec = replace(spec, backend=backend_name())
    check_rungs(spec)
    return spec, Loaded(objective, dataset)


def _leaves_rungs_open(given: Given) -> bool:
    """Whether no option asks for trials of one length, or for another way to end bad ones early."""
    return given.epochs is None and given.sampler in (None, "random") and not given.pruner


def make_objective(given: Given, options: FitOptions, code: Code | None = None) -> Objective:
    """Return the objective that a command line names, or the one of `code` for a stored study."""
    code = code or code_given(given)
    return load_objective(
        code.objective,
        fit_options=options,
        options=code.options,
        model=code.model,
        space_overrides=given.space,
    )


def code_given(given: Given) -> Code:
    """Return the code that a command names, or the default; refuse a model with an objective."""
    if given.model is not None and given.objective is not None:
        raise StudyError("--model and --objective exclude each other", "drop one of them")
    model = None if given.model is None else absolute(given.model)
    return Code(absolute(given.objective or DEFAULT_OBJECTIVE), model, given.options or {})


def redraws_of(
    spec: StudySpec,
    first_slot: int,
    n_slots: int,
    given: Mapping[int, Mapping[str, Any]] | None = None,
) -> dict[int, int]:
    """Return the redraws of new slots; raise `StudyError` if the space has too few points."""
    if spec.sampler != "random":
        return {}
    space = SearchSpace.from_json(spec.space)
    try:
        return plan_redraws(space, spec.seed, first_slot, n_slots, given)
    except SpaceExhausted as error:
        raise StudyError(
            f"the search space is exhausted: {error.n_distinct} distinct draws were found; "
            f"{first_slot + n_slots} slots were asked for",
            f"--n-trials {error.n_distinct}, or a wider --space",
        ) from None
