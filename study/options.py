"""The command line's options: one definition each, with its environment variable and help.

Two groups are declared elsewhere: options that define a study in `spec.spec.StudySpec`, and options
that place workers on this machine in `machine.placing.Placing`. `expand` turns a dataclass of
options into parameters of a command.
"""

import functools
import inspect
import os
import re
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

DEFAULT_STORAGE = "sqlite:///study.db"
AS_VARIABLE = "with a password, by the variable: all users of a machine see command lines"
DEFAULT_RECYCLE_AFTER = 1000
DEFAULT_DRAIN_S, DEFAULT_WAIT_S = 8.0, 30.0
ADVANCED = "Advanced"
MINUTE_S, HOUR_S, DAY_S = 60.0, 3600.0, 86400.0
_UNITS_S = {"": 1.0, "s": 1.0, "m": MINUTE_S, "h": HOUR_S, "d": DAY_S}


def seconds(text: str | float) -> float:
    """Return a duration such as `30`, `30s` or `1h30m` in s; raise `BadParameter` otherwise."""
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd]?)", str(text))
    if not parts or "".join(n + u for n, u in parts) != str(text):
        raise typer.BadParameter(f"{text!r} is not a duration; write 90s, 30m or 1h30m")
    return sum(float(number) * _UNITS_S[unit] for number, unit in parts)


def by_lines(
    context: typer.Context, param: typer.CallbackParam, value: list[str] | None
) -> list[str] | None:
    """Split an environment variable at newlines; Typer would split it at spaces, also in paths."""
    source = context.get_parameter_source(str(param.name))
    if source is not None and source.name == "ENVIRONMENT":
        return os.environ[str(param.envvar)].splitlines()
    return value


def option(flag: str, help_text: str, panel: str | None = None, **more: Any) -> Any:
    """Return an option with its environment variable, for `Annotated`."""
    return typer.Option(flag, envvar=_variable(flag), help=help_text, rich_help_panel=panel, **more)


def _variable(flag: str) -> str:
    return "STUDY_NAME" if flag == "--study" else "STUDY_" + flag[2:].replace("-", "_").upper()


def duration(flag: str, help_text: str, panel: str | None = None, **more: Any) -> Any:
    """Return an option that takes a duration such as `30m`; its value is in seconds."""
    # A parser, so that the error for a bad duration names the option.
    return option(flag, help_text, panel, parser=seconds, metavar="<duration>", **more)


def _as_typed(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class DefiningOption:
    """An option that defines a study: the metadata of a field of `spec.spec.StudySpec`.

    Attributes:
        help: Text of `--help`, without the default, which is added.
        is_advanced: Whether `--help` shows the option under "Advanced".
        least: The lowest allowed value.
        default: For a new study, if the field has no default and the data do not decide it.
        typed: Type of the value on the command line, if it is not the field's type.
        read: Converts the value on the command line to the field's; None means not given.
        may_rise: Whether a later command may raise the value. Any other change is refused.
    """

    flag: str
    help: str
    is_advanced: bool = False
    least: int | None = None
    default: Any = None
    typed: Any = None
    read: Callable[[Any], Any] = _as_typed
    may_rise: bool = False

    @property
    def variable(self) -> str:
        """The environment variable."""
        return _variable(self.flag)

    def annotation(self, name: str, stored: Any) -> Any:
        """Return the annotation of a command's parameter, for a field of this name and type."""
        make, kind = duration if name.endswith("_s") else option, self.typed or stored
        default = f"{self.default:g}s" if isinstance(self.default, float) else self.default
        shown = "" if default is None or stored is bool else f" ({default})"
        panel = ADVANCED if self.is_advanced else None
        callback = by_lines if kind == list[str] else None
        made = make(self.flag, self.help + shown, panel, min=self.least, callback=callback)
        return Annotated[kind | None, made]


Storage = Annotated[
    str,
    option(
        "--storage",
        f"Database URL: sqlite:///FILE, postgresql://..., mysql://...; {AS_VARIABLE}",
    ),
]
Study = Annotated[str | None, option("--study", "Name of the study; optional if there is only one")]
Data = Annotated[Path | None, option("--data", "Folder with train.csv and test.csv, plain or .gz")]
Out = Annotated[Path, option("--out", "Output folder: submission.csv, model.keras, report.html")]
NTrials = Annotated[
    int | None,
    option("--n-trials", "Budget: slots of the study (30); may be raised", min=1, max=1_000_000),
]
Competition = Annotated[
    str, option("--competition", "Kaggle's name of the competition, for the command that submits")
]
Quick = Annotated[bool, option("--quick", "Finalize: only train the best trial on all rows")]
Budget = Annotated[
    float | None,
    duration(
        "--budget", "Finalize: time for improvements, such as 30m; default: as long as the search"
    ),
]
TopK = Annotated[int | None, option("--top-k", "Configurations that race", ADVANCED, min=1)]
Folds = Annotated[
    int | None, option("--folds", "Folds of the labelled rows", ADVANCED, min=2, max=100)
]
Repeats = Annotated[
    int | None, option("--repeats", "Partitions of the rows into folds", ADVANCED, min=1)
]
Longer = Annotated[
    int | None,
    option("--longer", "Epochs on folds, as a multiple of the study's", ADVANCED, min=1),
]
Seeds = Annotated[
    int | None, option("--seeds", "Networks of all rows that vote, too", ADVANCED, min=0)
]
Ensemble = Annotated[
    int | None, option("--ensemble", "Configurations whose networks vote (1)", ADVANCED, min=1)
]
RecycleAfter = Annotated[
    int,
    option(
        "--recycle-after",
        "Trials after which a worker process replaces itself; growth by 1 GiB has the same effect",
        ADVANCED,
        min=1,
    ),
]
DrainTimeout = Annotated[
    float,
    duration(
        "--drain-timeout",
        "Time for a stopped worker to finish its epoch",
        ADVANCED,
        show_default=f"{DEFAULT_DRAIN_S:g}s",
    ),
]
Wait = Annotated[
    float,
    duration(
        "--wait",
        "Time to wait for an unreachable database",
        ADVANCED,
        show_default=f"{DEFAULT_WAIT_S:g}s",
    ),
]
WorkDir = Annotated[Path | None, option("--work-dir", "Logs and checkpoints; default <study>.work")]
Json = Annotated[bool, option("--json", "Print JSON on stdout")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", envvar="STUDY_QUIET", help="Errors only")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", envvar="STUDY_VERBOSE", help="Say more")]
Yes = Annotated[bool, typer.Option("-y", "--yes", envvar="STUDY_YES", help="Do not ask")]


def expand(command: Callable[..., int]) -> Callable[..., int]:
    """Return `command` with each dataclass parameter replaced by one option for each field.

    A field whose metadata have `read` gets `read(value)` of the value on the command line.
    """
    parameters: list[inspect.Parameter] = []
    bundles: dict[str, type[Any]] = {}
    hints = get_type_hints(command, include_extras=True)
    for name, parameter in inspect.signature(command).parameters.items():
        if is_dataclass(hints[name]):
            bundles[name] = hints[name]
            parameters += _options_of(hints[name])
        else:
            keyword = inspect.Parameter.KEYWORD_ONLY
            parameters.append(parameter.replace(kind=keyword, annotation=hints[name]))

    @functools.wraps(command)
    def expanded(**values: Any) -> int:
        made = {}
        for name, bundle in bundles.items():
            readers = {f.name: f.metadata.get("read", _as_typed) for f in fields(bundle)}
            made[name] = bundle(**{key: read(values.pop(key)) for key, read in readers.items()})
        return command(**values, **made)

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


def epochs_of_rungs(text: str | None) -> list[int] | None:
    """Return the epochs of `1,3,9`, or none for `none`; raise `BadParameter` for other text."""
    if text is None or text.strip() == "none":
        return None if text is None else []
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdecimal() and len(part) < 7 for part in parts):
        raise typer.BadParameter(f"{text!r} is not a list of epochs; write 1,3,9 or none")
    return [int(part) for part in parts]


def share(text: str | None) -> str | None:
    """Return a share such as `1/3` or `0.25` as a fraction; raise `BadParameter` otherwise."""
    if text is None:
        return None
    try:
        found = Fraction(text.strip())
    except (ValueError, ZeroDivisionError):
        found = Fraction(0)
    if not 0 < found < 1 or found.denominator > 1_000_000:
        raise typer.BadParameter(f"{text!r} is not a share between 0 and 1; write 1/3")
    return str(found)


def key_values(pairs: list[str] | None) -> dict[str, str] | None:
    """Return `KEY=VALUE` pairs, one or more lines each; raise `BadParameter` without `=`."""
    if not pairs:
        return None
    found = {}
    for pair in [line for item in pairs for line in item.splitlines() if line.strip()]:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise typer.BadParameter(f"--objective-option {pair!r} is not KEY=VALUE")
        found[key.strip()] = value
    return found
