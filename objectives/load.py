"""Load an objective by its name: built in, dotted, or in a user's file.

The objective gets its options, its contract is checked, and its space is narrowed. An error in a
user's file becomes one line with file and line number. Keras is loaded only if the objective needs
it.
"""

import copy
import hashlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from objectives.base import PRUNED, FitOptions, Fitted, Objective
from objectives.errors import DivergedError, ModelError, Pruned, SpaceError
from objectives.framework.fitprocess import FitProcess
from objectives.framework.runtime import tensorflow_computes
from objectives.source import attribute, guess, import_target, source_bytes, user_errors
from objectives.space.space import SearchSpace, middle, parse_space


@dataclass(frozen=True)
class BuiltIn:
    """A built-in objective, before it is loaded.

    Attributes:
        version: Must be raised whenever the same study would get other results.
        file_options: Options that name files.
    """

    version: int
    file_options: tuple[str, ...] = ()


BUILT_IN = {"digits-cnn": BuiltIn(1), "synthetic": BuiltIn(1, ("ledger",))}

_MEMBERS = ("direction", "needs_data", "space", "load", "fit", "predict")


def load_objective(
    reference: str,
    *,
    fit_options: FitOptions,
    options: Mapping[str, str],
    model: str | None,
    space_overrides: Mapping[str, Any] | None,
    source: str | None = None,
) -> Objective:
    """Return an objective with its space narrowed.

    Args:
        reference: "digits-cnn", "synthetic", "package.module:attr" or "FILE.py:attr". The attr is
            an objective, or a class or function that returns one. It is called with `options`, and
            with `fit_options` and its fields where they are parameters.
        fit_options: Shared by all trainings of the study.
        options: Options of the objective, as text.
        model: "FILE.py:build": the user's network replaces `reference`.
        space_overrides: A parsed TOML table; see `SearchSpace.override`.
        source: The required `source_fingerprint` of the file that runs; None allows any.

    Raises:
        ModelError: No such file, module or name; an error inside it; a missing or wrong member of
            the contract; an unknown or missing option.
        SpaceError: The space, or its override, is wrong.
    """
    shown, option = _named(reference, model)

    def check(content: bytes) -> None:
        if source is not None and source_fingerprint(reference, model, content) != source:
            raise ModelError(f"{target}: changed while it was read", "the same command again")

    if is_built_in(reference, model):
        target = reference
        objective = _make(reference, _built_in(reference), target, fit_options, options)
    else:
        target, attr = _split(shown, option)
        _refuse_missing(target, attr, option)
        if model is not None:
            _check_options(model, options, ())
        with user_errors(target):
            module = import_target(target, None if model is None else _refuse_computing(), check)
            found = attribute(module, target, attr)
        if model is None:
            objective = _make(reference, found, target, fit_options, options)
        else:
            objective = _around_model(model, module, found, fit_options)
    space = _check(shown, objective, target)
    if space_overrides:
        space = space.override(space_overrides)
    return objective if space is objective.space else with_space(objective, space)


def source_fingerprint(reference: str, model: str | None, content: bytes | None = None) -> str:
    """Return the sha256, in hex, of the source that defines the objective.

    It covers the content of the file that `model` or `reference` names, not the file's path, and
    the attribute's name; for a dotted reference also the dotted name; for a built-in its name and
    version; for a model also the version of the built-in objective that trains it.

    Args:
        content: Content of the file, if it has been read already.

    Raises:
        ModelError: The file or module does not exist or cannot be read.
    """
    if is_built_in(reference, model):
        return hashlib.sha256(_versioned(reference)).hexdigest()
    named, option = _named(reference, model)
    target, attr = _split(named, option)
    if content is None:
        _refuse_missing(target, attr, option)
        content = source_bytes(target)
    name = (attr if target.endswith(".py") else named).encode()
    trained_by = b"" if model is None else _versioned("digits-cnn") + b"\0"
    return hashlib.sha256(trained_by + name + b"\0" + content).hexdigest()


def is_built_in(reference: str, model: str | None) -> bool:
    """Return whether the objective runs no user code."""
    return model is None and reference in BUILT_IN


def file_options(reference: str) -> tuple[str, ...]:
    """Return the options of a built-in objective that name files."""
    return BUILT_IN[reference].file_options


def _named(reference: str, model: str | None) -> tuple[str, str]:
    return (reference, "--objective") if model is None else (model, "--model")


def _versioned(name: str) -> bytes:
    return f"{name} {BUILT_IN[name].version}".encode()


def try_fit(objective: Objective, dataset: Any, shown: str) -> None:
    """Run `fit` up to its first report, for objectives without a `trial_run` of their own.

    Raises:
        ModelError: The user's code raised (on one line), or did not return a `Fitted`.
    """

    here, enough = FitProcess(), Pruned()

    def report(step: int, value: float | None) -> None:
        here.refuse_child()
        if value is not None:
            float(value)
        raise enough

    params = objective.space.draw(middle)
    with user_errors(shown.rpartition(":")[0]), suppress(*PRUNED, DivergedError), here:
        try:
            fitted = objective.fit(params, dataset, seed=0, report=report, resume_dir=None)
        except Exception as error:
            if enough in (error.__cause__, error.__context__):
                return  # the user's code wrapped the exception of the report
            raise
        as_fitted(fitted, f"{shown}: fit")


def _built_in(name: str) -> Callable[..., Any]:
    if name == "synthetic":
        from objectives.synthetic import SyntheticObjective

        return SyntheticObjective
    from objectives.network.cnn import digits_cnn

    return digits_cnn


def as_fitted(found: Any, shown: str = "fit") -> Fitted:
    """Return the result of a user's `fit` with plain floats, which any database can store.

    Raises:
        ModelError: It is not a `Fitted`, or its value or an entry of its info is not a number.
    """
    if not isinstance(found, Fitted):
        raise ModelError(f"{shown} returned {_kind(found)}, not objectives.base.Fitted")

    def number(given: Any, what: str) -> float:
        try:
            return float(given)
        except (TypeError, ValueError):
            what = f"{shown} returned the {what} {_kind(given)}"
            raise ModelError(f"{what}, which is not a number") from None

    value = None if found.value is None else number(found.value, "value")
    info = {str(name): number(one, f"info {name} =") for name, one in dict(found.info).items()}
    return Fitted(value, found.model, info, found.kept)


def _around_model(model: str, module: ModuleType, build: Any, fit_options: FitOptions) -> Objective:
    """Return the objective that tunes the user's `build` over the SPACE of its file."""
    target, _ = _split(model)
    if not callable(build):
        raise ModelError(f"{model} is {_kind(build)}, not a function that builds a model")
    _check_build(model, build)
    table = getattr(module, "SPACE", None)
    if not isinstance(table, Mapping):
        what = "has no SPACE" if table is None else f"SPACE is {_kind(table)}, not a dict"
        raise ModelError(f"{target}: {what}", 'SPACE = {"units": [64, 128]}   beside build')
    callbacks = getattr(module, "callbacks", None)
    if isinstance(callbacks, ModuleType):  # `from keras import callbacks`
        callbacks = None
    if callbacks is not None:
        hint = "def callbacks(params): return [...]"
        if not callable(callbacks):
            what = f"callbacks is {_kind(callbacks)}, not a function of params"
            raise ModelError(f"{target}: {what}", hint)
        _check_call(f"{target}: callbacks", callbacks, "params", hint=hint)
    try:
        space = parse_space(table)
    except SpaceError as error:
        raise SpaceError(f"{target}: {error}", error.hint) from None
    from objectives.network.cnn import KerasObjective

    return KerasObjective(build, space, fit_options, callbacks=callbacks)


def _refuse_computing() -> Callable[[str], None]:
    """Return a check, called after each statement of a file, that TensorFlow is not started by it.

    The number of threads must be set before TensorFlow starts. Tensors made during the import would
    also be shared by all trainings of a process.
    """
    computed = tensorflow_computes()

    def refuse(place: str) -> None:
        if not computed and tensorflow_computes():
            raise ModelError(
                f"{place}: TensorFlow begins to compute while the file is imported: a layer, an "
                "optimizer or a tensor is made here once, for all trainings",
                "move it into build, so that each call makes its own; a constant may be NumPy's",
            )

    return refuse


def _check_build(model: str, build: Any) -> None:
    """Refuse a `build` with other parameters; hint at the change from KerasTuner or Optuna."""
    try:
        _check_call(model, build, "params", "image_shape", "n_classes")
    except ModelError as error:
        own = [name for name in inspect.signature(build).parameters if name != "self"]
        hint = None
        if own in (["hp"], ["trial"]):
            call = {"hp": "hp.Int('units', 16, 64)", "trial": "trial.suggest_int('units', 16, 64)"}
            hint = (
                "def build(params, image_shape, n_classes), with "
                f'params["units"] instead of {call[own[0]]}, and '
                'SPACE = {"units": {"low": 16, "high": 64}} beside it'
            )
        raise ModelError(f"{error}; it takes ({', '.join(own)})", hint) from None


def _make(
    shown: str, found: Any, target: str, fit_options: FitOptions, options: Mapping[str, str]
) -> Objective:
    """Return `found` if it is an objective, else the result of calling it with the options."""
    if not inspect.isclass(found) and hasattr(found, "fit") and hasattr(found, "load"):
        _check_options(shown, options, ())
        return cast(Objective, found)
    if not callable(found):
        raise ModelError(
            f"{shown} is {_kind(found)}: neither an objective nor a function that returns one"
        )
    with user_errors(target):
        parameters = inspect.signature(found).parameters
    offered = {**asdict(fit_options), "fit_options": fit_options}
    named = [p for p in parameters.values() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    own = [p.name for p in named if p.name not in offered]
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    _check_options(shown, options, own, open_ended)
    needed = [name for name in own if parameters[name].default is inspect.Parameter.empty]
    missing = [name for name in needed if name not in options]
    if missing == ["trial"]:
        raise ModelError(
            f"{shown} takes a trial, as a function for Optuna's `optimize` does; an objective here "
            "has fit(params, dataset, ...)",
            "objectives/base.py has the contract; docs/objective.md an example",
        )
    if missing:
        raise ModelError(
            f"{shown} needs the option {', '.join(missing)}",
            f"--objective-option {missing[0]}=VALUE",
        )
    shared = {name: offered[name] for name in offered if name in parameters}
    with user_errors(target):
        return cast(Objective, found(**shared, **options))


def _check_options(
    shown: str, options: Mapping[str, str], known: Iterable[str], open_ended: bool = False
) -> None:
    known = list(known)
    of_the_study = {field.name for field in fields(FitOptions)}
    for name in options:
        if name in of_the_study or name == "fit_options":
            option = name.replace("_", "-")
            raise ModelError(f"{name} is not an option of the objective", f"--{option}, on its own")
        if name not in known and not open_ended:
            there = f"it takes {', '.join(known)}" if known else "it takes none"
            raise ModelError(f"{shown} has no option {name!r}; {there}", guess(name, known))


def _check(shown: str, objective: Any, target: str) -> SearchSpace:
    """Check every member of the contract; return the objective's space."""
    with user_errors(target):
        missing = [name for name in _MEMBERS if not hasattr(objective, name)]
        if missing:
            raise ModelError(
                f"{shown} is not an objective: it has no {', '.join(missing)}",
                "objectives/base.py has the contract",
            )
        direction, needs_data, space = objective.direction, objective.needs_data, objective.space
    if direction not in ("maximize", "minimize"):
        raise ModelError(f"{shown}: direction is 'maximize' or 'minimize', not {direction!r}")
    if not isinstance(needs_data, bool):
        raise ModelError(f"{shown}: needs_data is True or False, not {needs_data!r}")
    if isinstance(space, Mapping):
        space = parse_space(space)
    if not isinstance(space, SearchSpace):
        raise ModelError(f"{shown}: space is {_kind(space)}, not a SearchSpace or a dict")
    _check_call(f"{shown}: load", objective.load, "data_dir")
    _check_call(f"{shown}: predict", objective.predict, "fitted", "images")
    by_name = ("seed", "report", "resume_dir")
    _check_call(f"{shown}: fit", objective.fit, "params", "dataset", by_name=by_name)
    return space


def _check_call(
    shown: str, function: Any, *names: str, by_name: Iterable[str] = (), hint: str | None = None
) -> None:
    if not callable(function):
        raise ModelError(f"{shown} is {_kind(function)}, not a function")
    try:
        inspect.signature(function).bind(*names, **dict.fromkeys(by_name))
    except TypeError as error:
        wanted = ", ".join([*names, *(["*"] if by_name else []), *by_name])
        raise ModelError(f"{shown} must take ({wanted}): {error}", hint) from None
    except ValueError:  # a function in C without a signature
        return


def with_space(objective: Objective, space: SearchSpace) -> Objective:
    """Return a copy of the objective with another `space`, also in its own methods.

    A property of a subclass works for attributes, properties, slots and frozen classes alike.
    """
    kind = type(objective)
    body = {"space": property(lambda self: space), "__slots__": (), "__module__": kind.__module__}
    try:
        narrowed = copy.copy(objective)
        object.__setattr__(narrowed, "__class__", type(kind.__name__, (kind,), body))
    except TypeError as error:
        raise ModelError(f"the space of {kind.__name__} cannot be replaced: {error}") from None
    return narrowed


def _refuse_missing(target: str, attr: str, option: str) -> None:
    """Refuse a missing file; the hint is the option that names its new path."""
    if target.endswith(".py") and not Path(target).exists():
        raise ModelError(f"no such file: {target}", f"{option} FILE.py:{attr}, with its new path")


def _split(reference: str, option: str = "--objective") -> tuple[str, str]:
    target, _, attr = reference.rpartition(":")
    if target and attr:
        return target, attr
    if reference.rstrip(":").endswith(".py"):
        file = reference.rstrip(":")
        raise ModelError(f"{reference!r} does not say which name in the file", f"{file}:NAME")
    if option == "--model":
        raise ModelError(f"{reference!r} is not a model", "--model FILE.py:build")
    raise ModelError(
        f"no objective {reference!r}; there are {', '.join(BUILT_IN)}, package.module:attr and "
        "FILE.py:attr",
        guess(reference, BUILT_IN),
    )


def _kind(value: Any) -> str:
    return f"{value!r}" if isinstance(value, str | int | float) else f"a {type(value).__name__}"
