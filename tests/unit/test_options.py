"""The options: durations, pairs, environment variables, and what a wrong one ends in."""

import re
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
import typer

from objectives.base import METRICS
from study.cli import app
from study.options import key_values, seconds
from study.spec.spec import DEFINING, StudySpec

COMMAND = typer.main.get_command(app.app)
COMMANDS: dict[str, Any] = COMMAND.commands  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("30", 30), ("90s", 90), ("30m", 1800), ("1h30m", 5400), ("2d", 172800), ("1.5h", 5400)],
)
def test_duration_is_read(text: str, wanted: float) -> None:
    """With a unit, several, or none for seconds."""
    assert seconds(text) == wanted


@pytest.mark.parametrize("text", ["", "soon", "1x", "-5s", "1h 30m", "m", "nan", "1e3", "5s!"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """As wrong usage, with the text."""
    with pytest.raises(typer.BadParameter, match=re.escape(repr(text))):
        seconds(text)


def test_pairs_are_read() -> None:
    """Of several values, or of one with several lines; a value may hold `=` and spaces."""
    assert key_values(None) is None
    assert key_values([]) is None
    assert key_values(["a=1", "b= x = y "]) == {"a": "1", "b": " x = y "}
    assert key_values(["a=1\n\n b=2\n"]) == {"a": "1", "b": "2"}


@pytest.mark.parametrize("pair", ["a", "=1", " =1"])
def test_what_is_no_pair_is_refused(pair: str) -> None:
    """A key and an equals sign there must be."""
    with pytest.raises(typer.BadParameter, match="is not KEY=VALUE"):
        key_values([pair])


# Every option of every command, as the parameters of a test.
OPTIONS = [
    pytest.param(name, option, id=f"{name}-{option.name}")
    for name, command in COMMANDS.items()
    for option in command.params
    if option.name != "help" and option.param_type_name == "option"
]


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_every_option_has_its_environment_variable_and_help_shows_it(
    name: str, option: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """STUDY_NAME for --study, else STUDY_ and the option's own name."""
    long = next(flag for flag in option.opts if flag.startswith("--"))
    wanted = "STUDY_NAME" if long == "--study" else "STUDY_" + long[2:].replace("-", "_").upper()
    assert option.envvar == wanted
    assert option.help
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit):
        COMMAND.main([name, "--help"], prog_name="study")
    assert f"[env var: {wanted}]" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_every_option_takes_its_environment_variable(
    name: str, option: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its value gets to the command as if it had been given."""
    others = [p for p in COMMANDS[name].params if p.required and p is not option]
    given = [word for p in others for word in words_of(p)]
    text, wanted = {
        bool: ("true", True),
        int: ("3", 3),
        list[str]: ("a=1\nb= 2 3\n", ["a=1", "b= 2 3"]),
        Path: ("some/where", Path("some/where")),
        float: ("1h30m", 5400.0),
    }.get(kind := kind_of(name, option.name), ("3", "3"))
    if get_origin(kind) is Literal:
        text = wanted = get_args(kind)[-1]
    monkeypatch.setenv(option.envvar, text)
    context = COMMANDS[name].make_context(name, given)
    assert context.params[option.name] == wanted


def words_of(parameter: Any) -> list[str]:
    """A value for an option or an argument, as it is typed."""
    return ["x"] if parameter.param_type_name == "argument" else [parameter.opts[-1], "x"]


def kind_of(name: str, parameter: str) -> Any:
    """The type of a command's parameter, without None."""
    function: Any = COMMANDS[name].callback
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    kind = get_type_hints(function)[parameter]
    if get_origin(kind) is Literal:
        return kind
    return next((part for part in get_args(kind) if part is not type(None)), kind)


def test_the_defining_options_are_those_of_run_create_and_space() -> None:
    """One definition each, spread over three commands."""
    wanted = {*DEFINING, "n_trials"}
    for name in ("run", "create", "space"):
        assert wanted <= {option.name for option in COMMANDS[name].params}


def test_metrics_are_those_of_the_objectives() -> None:
    """Written down twice, as `study --help` must not load the objectives."""
    assert get_args(get_type_hints(StudySpec)["metric"]) == METRICS


def ended(arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[Any, str, str]:
    """Run a command in this process; return its exit code, stdout and stderr."""
    with pytest.raises(SystemExit) as left:
        COMMAND.main(arguments.split(), prog_name="study")
    captured = capsys.readouterr()
    return left.value.code, captured.out, captured.err


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


USAGE = [
    ("run --no-such-option", "--no-such-option"),
    ("no-such-command", "'no-such-command'"),
    ("run --n-trials 0", "--n-trials"),
    ("run --n-trials many", "--n-trials"),
    ("run --workers 0", "--workers"),
    ("run --workers few", "--workers"),
    ("run --seed -1", "--seed"),
    ("run --sampler bogus", "--sampler"),
    ("run --pruner bogus", "--pruner"),
    ("run --precision float16", "--precision"),
    ("run --metric f1", "--metric"),
    ("run --timeout soon", "--timeout"),
    ("run --trial-timeout soon", "--trial-timeout"),
    ("run --budget soon", "--budget"),
    ("run --keep-checkpoints some", "--keep-checkpoints"),
    ("run --checkpoint-every 0", "--checkpoint-every"),
    ("run --objective synthetic --drain-timeout soon", "--drain-timeout"),
    ("run --objective synthetic --wait soon", "--wait"),
    ("worker --recycle-after 0", "--recycle-after"),
    ("retry", "--failed"),
    ("retry 1 --failed", "--failed"),
    ("logs", "'trial'"),
    ("replay", "'trial'"),
    ("run --grace 10parsecs", "--grace"),
    ("run --objective synthetic --objective-option sleep_s", "--objective-option"),
    ("add", "--params"),
    ("copy", "--to"),
    ("check", "--data"),
    ("score", "'file'"),
    ("score submission.csv", "--answers"),
]


@pytest.mark.parametrize(("arguments", "named"), USAGE)
def test_wrong_usage_is_named_exits_2_and_writes_nothing(
    empty: Path, arguments: str, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether the parser or a command finds it."""
    code, out, err = ended(arguments, capsys)
    assert (code, out) == (2, "")
    assert named in err
    assert list(empty.iterdir()) == []


KNOWN = [
    ("run", "which data?"),
    ("run --objective synthtic", "no objective 'synthtic'"),
    ("run --objective synthetic --objective-option sleeps=1", "synthetic has no option 'sleeps'"),
    ("run --objective synthetic --grace 2s", "--grace 2s must be at least 3 s"),
    ("run --objective synthetic --heartbeat 0", "--heartbeat 0s must be above 0"),
    ("run --objective synthetic --model net.py:build", "--model and --objective exclude"),
    ("run --objective synthetic --finalize", "objective synthetic has no data to predict"),
    ("run --objective digits-cnn", "this objective needs data"),
    ("run --data nowhere", "nowhere"),
    ("check --data nowhere", "nowhere"),
    ("run --data here --model net", "'net' is not a model"),
    ("score none.csv --answers none.csv", "none.csv: cannot be read: No such file"),
    ("status", "study.db"),
    ("status --storage nonsense", "storage 'nonsense' is not a database URL"),
    ("status --storage oracle://u:secret@h/d", "storage 'oracle://u:***@h/d' is "),
    ("status --storage sqlite://", "database in memory cannot be shared"),
    ("dashboard --host 0.0.0.0", "a dashboard without a login is for this machine only"),
    ("dashboard --password-file none", "--password-file none cannot be read"),
    ("dashboard --port 0", "there is no storage at sqlite:///study.db"),
]


@pytest.mark.parametrize(("arguments", "message"), KNOWN)
def test_known_failure_is_one_line_with_exit_1(
    empty: Path, arguments: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """No traceback, no password, and nothing is written."""
    code, out, err = ended(arguments, capsys)
    assert (code, out) == (1, "")
    first, *hints = err.splitlines()
    assert first.startswith("study: error: ")
    assert message in first
    assert all(line.startswith("  try: ") for line in hints)
    assert len(hints) <= 1
    assert "secret" not in err
    assert list(empty.iterdir()) == []
