"""The specification of a study: its fields, each declared with its command-line option.

A field of `StudySpec` that a user chooses is annotated with its option. The commands, the stored
JSON, the comparison with a later command and the report all read this declaration. So a new option
is one field here and the code that uses it. The spec is fixed and stored as JSON when the study is
created. The budget is not part of it, because it may be raised: see `storage.slots.slots`.
"""

import math
import os
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, make_dataclass, replace
from fractions import Fraction
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from objectives.framework.backend import FRAMEWORKS, VARIABLE
from storage.slots.rungs import Rungs
from study.errors import StudyError
from study.options import DefiningOption, epochs_of_rungs, key_values, share

DEFAULT_OBJECTIVE = "digits-cnn"
DEFAULT_N_TRIALS = 30

COMPANION = ".finalize"
"""Suffix of the name of a companion, the study that a finalize makes."""

LONGEST_NAME = 200 - len(COMPANION)
"""In bytes. File systems allow 255, and a companion's work dir has a longer name."""


def _read_space(path: Path | None) -> dict[str, Any] | None:
    from objectives.space.entry import read_toml  # Optuna takes a second to import

    return None if path is None else read_toml(path)


@dataclass(frozen=True)
class StudySpec:
    """The settings that all workers of a study share.

    Attributes:
        source: sha256 of the objective's code.
        data: Fingerprint of the data; None if the objective needs no data.
        space: The search space as JSON (see `objectives.space.space.SearchSpace.to_json`).
        epochs, precision, threads, deterministic: As in `objectives.base.FitOptions`; `epochs` are
            those of the last rung.
        rungs: Epochs of a trial on each rung, rising; empty for a study without rungs.
        keep: Share of the slots of a rung that are promoted, as a fraction.
        timeout_s: Wall time of the study in s, counted while it has workers; None for no limit.
        trial_timeout_s: Wall time of an attempt in s; None for no limit.
        refits: For a companion, the name of its search; else None. Both have the same objective,
            source and data.
        refits_token: Token of that search, as another study may get its name later.
        backend: Framework that Keras computes with, if Keras trains the trials.
    """

    objective: Annotated[
        str,
        DefiningOption("--objective", "digits-cnn, synthetic, package.module:attr or FILE.py:attr"),
    ]
    model: Annotated[
        str | None,
        DefiningOption("--model", "FILE.py:build, your own network and its SPACE"),
    ]
    options: Annotated[
        dict[str, str],
        DefiningOption(
            "--objective-option",
            "KEY=VALUE for the objective; repeatable",
            is_advanced=True,
            typed=list[str],
            read=key_values,
        ),
    ]
    source: str
    data: str | None
    space: Annotated[
        list[dict[str, Any]],
        DefiningOption(
            "--space",
            "TOML file that narrows, fixes or replaces params",
            typed=Path,
            read=_read_space,
        ),
    ]
    direction: Literal["maximize", "minimize"]
    seed: Annotated[
        int,
        DefiningOption(
            "--seed", "The same seed gives the same params and trainings", least=0, default=0
        ),
    ]
    epochs: Annotated[
        int, DefiningOption("--epochs", "Epochs of a trial; default by the data's size", least=1)
    ]
    precision: Annotated[
        str,
        DefiningOption(
            "--precision",
            "Precision of trainings; auto: chosen once, for this machine (auto)",
            typed=Literal["auto", "float32", "bfloat16"],
            read=lambda typed: None if typed == "auto" else typed,
        ),
    ]
    threads: Annotated[
        int,
        DefiningOption(
            "--threads", "Threads of a trial; the results depend on it", least=1, default=1
        ),
    ]
    deterministic: Annotated[
        bool,
        DefiningOption(
            "--no-deterministic",
            "Allow ops without a deterministic kernel",
            is_advanced=True,
            read=lambda typed: False if typed else None,
        ),
    ] = True
    sampler: Annotated[
        Literal["random", "tpe", "gp", "cmaes", "qmc"],
        DefiningOption(
            "--sampler",
            "random: params are a function of seed and slot. The others are Optuna's: they learn "
            "from finished trials, so with several workers params depend on timing and cannot be "
            "reproduced; training seeds still depend on the slot only",
        ),
    ] = "random"
    pruner: Annotated[
        Literal["none", "median", "asha", "hyperband"],
        DefiningOption(
            "--pruner",
            "Optuna's pruner ends trials early, after an epoch; which trials depends on timing. It "
            "changes no params and no training seed",
        ),
    ] = "none"
    timeout_s: Annotated[
        float | None,
        DefiningOption(
            "--timeout",
            "Wall time of the study, such as 30m, for all workers together",
            may_rise=True,
        ),
    ] = None
    grace_s: Annotated[
        float,
        DefiningOption("--grace", "Age of a heartbeat at which a worker is lost", is_advanced=True),
    ] = 60.0
    heartbeat_s: Annotated[
        float, DefiningOption("--heartbeat", "Time between heartbeats", is_advanced=True)
    ] = 15.0
    max_attempts: Annotated[
        int,
        DefiningOption(
            "--max-attempts",
            "Losses in a row without progress after which a slot is given up",
            is_advanced=True,
            least=1,
        ),
    ] = 3
    trial_timeout_s: Annotated[
        float | None,
        DefiningOption("--trial-timeout", "Wall time after which a trial fails", is_advanced=True),
    ] = None
    checkpoint_every: Annotated[
        int,
        DefiningOption(
            "--checkpoint-every", "Epochs between checkpoints", is_advanced=True, least=1
        ),
    ] = 1
    keep_checkpoints: Annotated[
        Literal["best", "all", "none"],
        DefiningOption(
            "--keep-checkpoints", "Checkpoints to keep of finished slots", is_advanced=True
        ),
    ] = "best"
    rungs: Annotated[
        list[int],
        DefiningOption(
            "--rungs",
            "Epochs of a trial on each rung, such as 1,3,9: the best share of a rung is trained "
            "again on the next one; none: a plain random search",
            typed=str,
            read=epochs_of_rungs,
        ),
    ] = field(default_factory=list)
    keep: Annotated[
        str,
        DefiningOption(
            "--keep",
            "Share of the slots of a rung that are promoted",
            is_advanced=True,
            read=share,
        ),
    ] = "1/3"
    refits: str | None = None
    refits_token: str | None = None
    metric: Annotated[
        Literal["accuracy", "log_loss"],
        DefiningOption("--metric", "Metric by which trials are judged"),
    ] = "accuracy"
    backend: str = "tensorflow"

    @property
    def trains_with_keras(self) -> bool:
        """Whether Keras trains the trials; a user's own objective may use anything."""
        return self.model is not None or self.objective == DEFAULT_OBJECTIVE

    @property
    def promotion(self) -> Rungs | None:
        """How slots are promoted; None for a study without rungs."""
        if not self.rungs:
            return None
        return Rungs(len(self.rungs), Fraction(self.keep), self.direction == "maximize")

    def epochs_on(self, rung: int) -> int:
        """Return the epochs of a trial on a rung."""
        return self.rungs[min(rung, len(self.rungs) - 1)] if self.rungs else self.epochs

    def to_json(self) -> dict[str, Any]:
        """Return a dict of JSON types; `from_json` gives an equal spec."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Any) -> "StudySpec":
        """Return the spec of a study.

        Raises:
            StudyError: A field is missing, unknown or impossible, because another version or
                another program wrote the spec.
        """
        if not isinstance(stored, dict):
            raise StudyError("the study's spec cannot be read: it is not a table of fields")
        unknown = [str(key) for key in stored if key not in _HINTS]
        if unknown:
            raise StudyError(
                f"the study's spec has {', '.join(sorted(unknown))}, which this version does not "
                "know: a newer version made the study",
                "the version of slot-study that made the study",
            )
        try:
            spec = cls(**stored)
        except TypeError as error:
            raise StudyError(f"the study's spec cannot be read: {error}") from None
        for key, value in vars(spec).items():
            if not _is_possible(key, value):
                raise StudyError(f"the study's spec cannot be read: {key} is {value!r:.60}")
        check_lease(spec.grace_s, spec.heartbeat_s)
        check_rungs(spec)
        return spec


_HINTS = get_type_hints(StudySpec)


def _declared() -> dict[str, DefiningOption]:
    hints, found = get_type_hints(StudySpec, include_extras=True), {}
    for one in fields(StudySpec):
        for option in getattr(hints[one.name], "__metadata__", ()):
            default = option.default if one.default is MISSING else one.default
            found[one.name] = replace(option, default=default)
    return found


DEFINING = _declared()
"""Maps each field of `StudySpec` that has an option to that option."""


def _is_possible(key: str, value: Any) -> bool:
    if not _fits(value, _HINTS[key]) or (key == "backend" and value not in FRAMEWORKS):
        return False
    least = DEFINING[key].least if key in DEFINING else None
    return least is None or value >= least


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value from JSON has the type of a field."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is UnionType:
        return any(_fits(value, one) for one in inner)
    if origin is Literal:
        return value in inner
    if origin is dict:
        return isinstance(value, dict) and all(_fits(one, inner[1]) for one in value.values())
    if origin is list:
        return isinstance(value, list) and all(_fits(one, inner[0]) for one in value)
    if hint is float:
        return type(value) in (int, float) and math.isfinite(value)
    return hint is Any or type(value) is hint


def _as_typed(*names: str) -> Any:
    """Return a dataclass of options for `study.options.expand`; None stands for not given."""
    return make_dataclass(
        "_AsTyped",
        [
            (
                name,
                DEFINING[name].annotation(name, _HINTS[name]),
                field(default=None, metadata={"read": DEFINING[name].read}),
            )
            for name in names
        ],
        frozen=True,
    )


_CODE: Any = _as_typed("objective", "model", "options")
_ALL: Any = _as_typed(*DEFINING)


class Told(_CODE):  # type: ignore[misc]
    """The options of a command that name the code of a study; None for an option not given.

    Names and values are as in `StudySpec`. The database alone must not decide them.
    """


class Given(_ALL):  # type: ignore[misc]
    """The options of a command that define a study; None for an option not given.

    Names and values are as in `StudySpec`, except that `space` is the content of the TOML file.
    """

    def said(self) -> dict[str, Any]:
        """Return the fields that are not None."""
        return {key: value for key, value in vars(self).items() if value is not None}


def check_name(name: str, flag: str = "--study") -> None:
    """Raise `StudyError` for a name that cannot name a folder, as the work dir has that name."""
    if name.endswith(COMPANION):
        raise StudyError(
            f"{name!r}: names that end with {COMPANION} are for the studies that finalize makes",
            f"{flag} NAME, with another ending",
        )
    n_bytes = len(name.encode(errors="replace"))
    if n_bytes > LONGEST_NAME:
        raise StudyError(
            f"{name[:30]!r}... cannot be the name of a study: it has {n_bytes} bytes, "
            f"and folders get that name",
            f"{flag} NAME, at most {LONGEST_NAME} bytes",
        )
    bad = not name.strip() or name != name.strip() or not name.isprintable()
    if bad or name.startswith(".") or any(character in name for character in "/\\"):
        raise StudyError(
            f"{name!r} cannot be the name of a study",
            f"{flag} NAME, printable, without slashes or blanks at its ends, no dot first",
        )


def check_lease(grace_s: float, heartbeat_s: float) -> None:
    """Raise `StudyError` for lease times by which a healthy worker could count as dead."""
    if heartbeat_s <= 0:
        raise StudyError(f"--heartbeat {heartbeat_s:g}s must be above 0")
    if grace_s < 3 or grace_s < 3 * heartbeat_s:
        raise StudyError(
            f"--grace {grace_s:g}s must be at least 3 s and three heartbeats of {heartbeat_s:g} s",
            f"--grace {max(3.0, 3 * heartbeat_s):g}s",
        )


def check_rungs(spec: StudySpec) -> None:
    """Raise `StudyError` for rungs that cannot be climbed, or that another option contradicts."""
    if not spec.rungs:
        return
    shown = f"--rungs {','.join(map(str, spec.rungs))}"
    try:
        keep = Fraction(spec.keep)
    except (ValueError, ZeroDivisionError):
        keep = Fraction(0)
    if not 0 < keep < 1:
        raise StudyError(f"--keep {spec.keep!r:.40} is not a share between 0 and 1", "--keep 1/3")
    if spec.rungs[0] < 1 or sorted(set(spec.rungs)) != spec.rungs:
        raise StudyError(f"{shown}: the epochs of rungs rise, from at least 1", "--rungs 1,3,9")
    if spec.epochs != spec.rungs[-1]:
        raise StudyError(
            f"{shown} ends with {spec.rungs[-1]} epochs; --epochs says {spec.epochs}",
            f"drop one of them, or give --rungs none --epochs {spec.epochs}",
        )
    for flag, value, plain in (
        ("--sampler", spec.sampler, "random"),
        ("--pruner", spec.pruner, "none"),
    ):
        if value != plain:
            raise StudyError(
                f"{flag} {value} does not go with rungs, which compare all slots of a rung",
                f"--rungs none, or drop {flag}",
            )


def refuse_difference(name: str, stored: StudySpec, wanted: Mapping[str, Any]) -> None:
    """Raise `StudyError` for the first field in which a command differs from the stored study.

    Args:
        name: Name of the study.
        wanted: Maps fields of the spec to the command's values.
    """
    for key, value in wanted.items():
        have, option = getattr(stored, key), DEFINING.get(key)
        if have == value or (option is not None and option.may_rise):
            continue
        if key in ("data", "source", "space", "direction"):
            what = "objective's code" if key == "source" else key
            same = ", by the same version of slot-study" if key == "source" else ""
            detail = _first_difference(have, value) if key == "space" else ""
            raise StudyError(
                f"study '{name}' was created with another {what}{detail}",
                f"another --study name, or the {what} it was created with{same}",
            )
        said = VARIABLE if option is None else option.variable
        if option is not None and not os.environ.get(said):
            said = option.flag
        raise StudyError(
            f"study '{name}' has {key.removesuffix('_s')} {have}; this command says {value}",
            f"another --study name, or drop {said} to continue this one",
        )


def _first_difference(have: list[dict[str, Any]], want: list[dict[str, Any]]) -> str:
    ours = {entry["name"]: entry for entry in have}
    theirs = {entry["name"]: entry for entry in want}
    for name in [*ours, *theirs]:
        if ours.get(name) != theirs.get(name):
            return f" (it differs in '{name}')"
    return " (the order of its entries differs)"


def is_for_default_network(asked: Given | StudySpec) -> bool:
    """Whether trials train the default network, as the user named no model or objective."""
    return asked.model is None and asked.objective in (None, DEFAULT_OBJECTIVE)
