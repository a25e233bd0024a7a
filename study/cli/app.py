"""The command line: the table of commands, and the only place that prints errors and exits.

A known failure is printed as one line and a hint. Heavy imports wait until a command runs.
"""

import functools
import logging
import os
import re
import sys
from collections.abc import Callable
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from study.cli import dashboard, data, finish, look, steer
from study.cli import run as commands
from study.errors import StudyError
from study.text import harmless_lines

KNOWN_FAILURE = 1
ROOMS = ("study", "storage", "objectives")
_URL = re.compile(r"[^\s'\"()]*(?:://|@)[^\s'\"()]*")


class _Commands(TyperGroup):
    """The commands; usage errors show URLs without passwords."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            message = getattr(error, "message", None)  # of a usage error
            if isinstance(message, str):
                error.message = _URL.sub(_redacted, message)  # type: ignore[attr-defined]
            raise


def _redacted(word: re.Match[str]) -> str:
    from storage.database.password import redact

    return redact(word[0])


app = typer.Typer(
    name="study",
    cls=_Commands,
    help="Randomized search over a Keras CNN, shared by any number of workers: from labelled "
    "images in CSV files to submission.csv. Every option has an environment variable.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if not wanted:
        return
    from study.machine.environment import read_versions

    found = read_versions().get("slot-study")
    print(f"study {found}" if found else "study, not installed")  # run from its sources
    raise typer.Exit


@app.callback()
def _whole(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Accept the options before the command; their callbacks do everything."""


def bounded(command: Callable[..., int]) -> Callable[..., NoReturn]:
    """Return the command so that it exits with its code, and known failures with a line."""

    @functools.wraps(command)
    def run(**values: Any) -> NoReturn:
        # Optuna's log lines would mix with the command's output.
        logging.getLogger("optuna").setLevel(logging.WARNING)
        try:
            code = command(**values)
        except MemoryError:  # in a trial, only the trial ends
            hint = "a machine or a container with more memory, or a higher limit: ulimit -v"
            print_error(StudyError("the system gives this process no more memory", hint))
            code = KNOWN_FAILURE
        except Exception as error:
            known = error if is_known(error) else as_storage_error(error)
            if known is None:
                raise
            print_error(known)
            code = KNOWN_FAILURE
        raise typer.Exit(code)

    return run


COMMANDS: dict[str, dict[str, Callable[..., int]]] = {
    "Start": {
        "run": commands.run_command,
        "plan": commands.plan_command,
        "status": look.status_command,
        "watch": look.watch_command,
        "logs": look.logs_command,
        "finalize": finish.finalize_command,
        "report": finish.report_command,
        "dashboard": dashboard.dashboard_command,
    },
    "Team": {
        "create": commands.create_command,
        "worker": commands.worker_command,
        "stop": steer.stop_command,
        "pause": steer.pause_command,
        "resume": steer.resume_command,
        "list": look.list_command,
        "delete": steer.delete_command,
        "copy": commands.copy_command,
    },
    "More": {
        "trials": look.trials_command,
        "retry": steer.retry_command,
        "replay": look.replay_command,
        "add": commands.add_command,
        "fetch": data.fetch_command,
        "from-images": data.from_images_command,
        "check": look.check_command,
        "score": look.score_command,
        "space": look.space_command,
    },
}

for panel, members in COMMANDS.items():
    for name, command in members.items():
        app.command(name, rich_help_panel=panel)(bounded(command))


def main() -> NoReturn:
    """Run the command line and exit with its code."""
    try:
        try:
            app(prog_name="study")
        finally:
            sys.stdout.flush()
    except OSError as error:
        if _can_write():
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python flushes once more at its end
        if not isinstance(error, BrokenPipeError):  # a closed pipe, as with `| head`, is no error
            print_error(StudyError(f"cannot write to stdout: {error.strerror}"))
        raise SystemExit(KNOWN_FAILURE) from None
    raise SystemExit(0)


def _can_write() -> bool:
    """Whether stdout accepts a byte."""
    try:
        return os.write(1, b"\n") == 1
    except OSError:
        return False


def is_known(error: Exception) -> bool:
    """Whether this program raised the error for the user, perhaps with a hint."""
    return type(error).__module__.partition(".")[0] in ROOMS and hasattr(error, "hint")


def as_storage_error(error: Exception) -> Exception | None:
    """Return a database driver's error as an error of `storage`; None for any other error.

    Optuna wraps such errors in a `StorageInternalError` where it commits.
    """
    cause = error.__cause__ if type(error).__name__ == "StorageInternalError" else error
    if type(cause).__module__ != "sqlalchemy.exc" or getattr(cause, "orig", None) is None:
        return None
    from storage.database.failures import first_line, how_to_mend
    from storage.errors import StorageBrokenError, StorageUnavailableError

    said, hint = f"the database failed: {first_line(cause)}", how_to_mend(cause)
    if hint is not None:
        return StorageBrokenError(said, hint)
    return StorageUnavailableError(said, "the same command, once the database is up")


def print_error(error: Any) -> None:
    """Print `study: error: ...` and, if the error has a hint, `  try: ...`."""
    print(f"study: error: {harmless_lines(str(error))}", file=sys.stderr)
    if error.hint:
        print(f"  try: {harmless_lines(error.hint)}", file=sys.stderr)
