"""The command line's options: one definition each, with its environment variable and help.

Options that mean the same everywhere are defined once here; those that define a study are bundled
in `Defining`, those that say where it is worked on in `placing.Placing`. `expand` spreads a bundle
over the signature of a command.
"""

import functools
import inspect
import os
import re
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import typer

Sampler = Literal["random", "tpe", "gp", "cmaes", "qmc"]
Pruner = Literal["none", "median", "asha", "hyperband"]
Metric = Literal["accuracy", "log_loss"]
Kept = Literal["best", "all", "none"]


DEFAULT_STORAGE = "sqlite:///study.db"
AS_VARIABLE = "with a password, by the variable: all users of a machine see its command lines"
DEFAULT_RECYCLE_AFTER = 1000
DEFAULT_DRAIN_S, DEFAULT_WAIT_S = 8.0, 30.0
ADVANCED = "Advanced"
MINUTE_S, HOUR_S, DAY_S = 60.0, 3600.0, 86400.0
_UNITS_S = {"": 1.0, "s": 1.0, "m": MINUTE_S, "h": HOUR_S, "d": DAY_S}


def seconds(text: str | float) -> float:
    """Return `30`, `30s`, `30m`, `1h30m`, `2d` in seconds; a default is a number already.

    Raises:
        typer.BadParameter: It is none of these.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd]?)", str(text))
    if not parts or "".join(n + u for n, u in parts) != str(text):
        raise typer.BadParameter(f"{text!r} is no duration; write 90s, 30m or 1h30m")
    return sum(float(number) * _UNITS_S[unit] for number, unit in parts)


def by_lines(
    context: typer.Context, param: typer.CallbackParam, value: list[str] | None
) -> list[str] | None:
    """Split an environment variable at newlines; Typer would do it at spaces, which paths hold."""
    source = context.get_parameter_source(str(param.name))
    if source is not None and source.name == "ENVIRONMENT":
        return os.environ[str(param.envvar)].splitlines()
    return value


def option(flag: str, help_text: str, panel: str | None = None, **more: Any) -> Any:
    variable = "STUDY_NAME" if flag == "--study" else "STUDY_" + flag[2:].replace("-", "_").upper()
    return typer.Option(flag, envvar=variable, help=help_text, rich_help_panel=panel, **more)


def _duration(flag: str, help_text: str, panel: str | None = None, **more: Any) -> Any:
    # As a parser, so that a wrong one is refused with the option's name.
    return option(flag, help_text, panel, parser=seconds, metavar="<duration>", **more)


Storage = Annotated[
    str,
    option(
        "--storage",
        f"Database URL: sqlite:///FILE, postgresql://..., mysql://...; {AS_VARIABLE}",
    ),
]
Study = Annotated[
    str | None, option("--study", "Name of the study; may be left out where there is one only")
]
Data = Annotated[Path | None, option("--data", "Folder with train.csv and test.csv, plain or .gz")]
Out = Annotated[Path, option("--out", "Folder for submission.csv, model.keras and their papers")]
Objective = Annotated[
    str | None,
    option("--objective", "digits-cnn, synthetic, package.module:attr or FILE.py:attr"),
]
Model = Annotated[str | None, option("--model", "FILE.py:build, your own network with its SPACE")]
ObjectiveOption = Annotated[
    list[str] | None,
    option(
        "--objective-option",
        "KEY=VALUE for the objective; repeatable",
        ADVANCED,
        callback=by_lines,
    ),
]
Competition = Annotated[
    str, option("--competition", "Kaggle's name of it, for the line that submits")
]
Quick = Annotated[bool, option("--quick", "Finalize: the best trial on all rows, no more")]
Budget = Annotated[
    float | None,
    _duration("--budget", "Finalize: time to improve in, like 30m; default: what the search took"),
]
TopK = Annotated[int | None, option("--top-k", "Configurations compared on folds", ADVANCED, min=1)]
Folds = Annotated[
    int | None, option("--folds", "Folds of the labelled rows", ADVANCED, min=2, max=100)
]
Repeats = Annotated[
    int | None, option("--repeats", "Partitions of the rows into folds", ADVANCED, min=1)
]
Longer = Annotated[
    int | None,
    option("--longer", "The best is also tried with so many times the epochs", ADVANCED, min=1),
]
Seeds = Annotated[
    int | None, option("--seeds", "Networks of a configuration, averaged", ADVANCED, min=1)
]
Ensemble = Annotated[
    int | None, option("--ensemble", "Configurations that are averaged (1)", ADVANCED, min=1)
]
RecycleAfter = Annotated[
    int,
    option(
        "--recycle-after",
        "Trials after which a worker process replaces itself; it also does when it grew by 1 GiB",
        ADVANCED,
        min=1,
    ),
]
DrainTimeout = Annotated[
    float,
    _duration(
        "--drain-timeout",
        "How long a stopped worker may take to end its epoch",
        ADVANCED,
        show_default=f"{DEFAULT_DRAIN_S:g}s",
    ),
]
Wait = Annotated[
    float,
    _duration(
        "--wait",
        "How long a database that does not answer is waited for",
        ADVANCED,
        show_default=f"{DEFAULT_WAIT_S:g}s",
    ),
]
WorkDir = Annotated[Path | None, option("--work-dir", "Logs and checkpoints; default <study>.work")]
Json = Annotated[bool, option("--json", "Print JSON on stdout")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", envvar="STUDY_QUIET", help="Errors only")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", envvar="STUDY_VERBOSE", help="Say more")]
Yes = Annotated[bool, typer.Option("-y", "--yes", envvar="STUDY_YES", help="Do not ask")]

Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True)
class Naming:
    """The options that say which code a study runs: what the database says is not enough."""

    objective: Objective = None
    model: Model = None
    objective_option: ObjectiveOption = None


@dataclass(frozen=True)
class Defining:
    """The options that define a study: given once, stored with it, refused where they differ."""

    objective: Objective = None
    model: Model = None
    space: Annotated[
        Path | None, option("--space", "TOML file that narrows, fixes or replaces params")
    ] = None
    n_trials: Annotated[
        int | None,
        option(
            "--n-trials", "Budget: slots of the study (30); may be raised", min=1, max=1_000_000
        ),
    ] = None
    timeout_s: Annotated[
        float | None,
        _duration("--timeout", "Wall time of the study, such as 30m, for all workers together"),
    ] = None
    seed: Annotated[
        int | None, option("--seed", "Same seed, same params and trainings (0)", min=0)
    ] = None
    epochs: Annotated[
        int | None, option("--epochs", "Epochs of a trial; default by the data's size", min=1)
    ] = None
    threads: Annotated[
        int | None, option("--threads", "Threads of a trial (1); part of what it computes", min=1)
    ] = None
    precision: Annotated[
        Precision | None, option("--precision", "Of a trial; auto asks the machine once (auto)")
    ] = None
    metric: Annotated[Metric | None, option("--metric", "What trials are judged by (accuracy)")] = (
        None
    )
    sampler: Annotated[
        Sampler | None,
        option(
            "--sampler",
            "random: params are a function of seed and slot. The others are Optuna's: they look "
            "at what is finished, so params depend on timing and cannot be made again with several "
            "workers; training seeds stay the slots' own (random)",
        ),
    ] = None
    pruner: Annotated[
        Pruner | None,
        option(
            "--pruner",
            "Optuna's: ends trials early, after an epoch; which ones depends on timing. Touches no "
            "trial's params or training seed (none)",
        ),
    ] = None
    objective_option: ObjectiveOption = None
    grace_s: Annotated[
        float | None, _duration("--grace", "Age of a heartbeat that means dead (60s)", ADVANCED)
    ] = None
    heartbeat_s: Annotated[
        float | None, _duration("--heartbeat", "Time between heartbeats (15s)", ADVANCED)
    ] = None
    max_attempts: Annotated[
        int | None,
        option(
            "--max-attempts",
            "Losses in a row without progress that give a slot up (3)",
            ADVANCED,
            min=1,
        ),
    ] = None
    trial_timeout_s: Annotated[
        float | None, _duration("--trial-timeout", "Wall time of a trial, then it failed", ADVANCED)
    ] = None
    checkpoint_every: Annotated[
        int | None,
        option("--checkpoint-every", "Epochs between checkpoints (1)", ADVANCED, min=1),
    ] = None
    keep_checkpoints: Annotated[
        Kept | None, option("--keep-checkpoints", "Of finished slots (best)", ADVANCED)
    ] = None
    no_deterministic: Annotated[
        bool,
        option("--no-deterministic", "Allow ops without a deterministic kernel", ADVANCED),
    ] = False


def expand(command: Callable[..., int]) -> Callable[..., int]:
    """Return `command` with each parameter that is a bundle spread into options of its own."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    own = get_type_hints(command, include_extras=True)
    parameters: list[inspect.Parameter] = []
    bundles: dict[str, type[Any]] = {}
    for name, parameter in inspect.signature(command).parameters.items():
        if is_dataclass(own[name]):
            bundles[name] = own[name]
            parameters += _options_of(own[name])
        else:
            parameters.append(parameter.replace(kind=keyword, annotation=own[name]))

    @functools.wraps(command)
    def expanded(**values: Any) -> int:
        for name, bundle in bundles.items():
            values[name] = bundle(**{f.name: values.pop(f.name) for f in fields(bundle)})
        return command(**values)

    expanded.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    expanded.__annotations__ = {p.name: p.annotation for p in parameters}
    del expanded.__wrapped__
    return expanded


def _options_of(bundle: type[Any]) -> list[inspect.Parameter]:
    hints = get_type_hints(bundle, include_extras=True)
    return [
        inspect.Parameter(
            f.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None if f.default is MISSING else f.default,
            annotation=hints[f.name],
        )
        for f in fields(bundle)
    ]


def key_values(pairs: list[str] | None) -> dict[str, str] | None:
    """Return `KEY=VALUE` pairs as a dict; one value may hold several lines of them.

    Raises:
        typer.BadParameter: A pair has no `=`.
    """
    if not pairs:
        return None
    found = {}
    for pair in [line for item in pairs for line in item.splitlines() if line.strip()]:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise typer.BadParameter(f"--objective-option {pair!r} is not KEY=VALUE")
        found[key.strip()] = value
    return found
