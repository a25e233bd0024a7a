"""A compose project of a test's own: started, looked at, and removed with its volumes.

What the study holds is read from this process, through the port that the database publishes, with
the same functions as the other tests. Nothing waits for a fixed time.
"""

import json
import os
import secrets
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from study.view.status import StudyStatus
from tests.acceptance.synthetic import Rows, look, rows_of

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 600.0
POLL_S = 0.5
PASSWORD = "p@ss:w/rd%#?"
"""One that a URL could not hold as it is."""

IMAGE_VARIABLE = "STUDY_TEST_IMAGE"
"""Names an image to test, which then is not built."""


def engine_missing() -> str | None:
    """Return why no stack can be started here, or None."""
    for command in (["docker", "compose", "version"], ["docker", "info"]):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{' '.join(command)}: {error}"
        if done.returncode:
            return f"{' '.join(command)}: {done.stderr.strip()}"
    return None


def docker(*arguments: str, code: int | None = 0) -> str:
    """Run docker; return its stdout."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=LIMIT_S)
    if code is not None and done.returncode != code:
        raise AssertionError(f"docker {' '.join(arguments)}: {done.stdout}{done.stderr}")
    return done.stdout


def build_image(*options: str) -> None:
    """Build `slot-study` as a user does, by compose."""
    environment = {**os.environ, "POSTGRES_PASSWORD": "-", "STUDY_DASHBOARD_PASSWORD": "-"}
    command = ["docker", "compose", "build", *options, "worker"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)


class Stack:
    """A project on the repository's own compose files.

    Args:
        folder: Holds its `.env`, and `out/`.
        data: The folder with the competition.
        files: Names of compose files in the repository.
        settings: What its `.env` holds beside the passwords.
    """

    def __init__(
        self, folder: Path, data: Path, *files: str, name: str = "digits", **settings: object
    ) -> None:
        self.project = f"study-test-{secrets.token_hex(4)}"
        self.name, self.folder, self.files = name, folder, files or ("docker-compose.yml",)
        self.environment = {
            "COMPOSE_PROJECT_NAME": self.project,
            "POSTGRES_PASSWORD": PASSWORD,
            "STUDY_DASHBOARD_PASSWORD": secrets.token_hex(8),
            "DASHBOARD_PORT": "0",  # any free one
            "STUDY_NAME": name,
            "STUDY_DATA": str(data),
            "STUDY_OUT": str(folder / "out"),
            **{key: str(value) for key, value in settings.items()},
        }
        folder.mkdir(parents=True, exist_ok=True)
        lines = [f"{key}='{value}'\n" for key, value in self.environment.items()]
        (folder / ".env").write_text("".join(lines))

    def __enter__(self) -> "Stack":
        return self

    def __exit__(self, *error: object) -> None:
        self.compose("--profile", "*", "down", "--volumes", "--timeout", "30", "--remove-orphans")

    def _run(self, arguments: Sequence[str], **streams: Any) -> "subprocess.CompletedProcess[Any]":
        command = ["docker", "compose", "--env-file", str(self.folder / ".env")]
        for file in self.files:
            command += ["--file", str(ROOT / file)]
        kept = ("PATH", "HOME", "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG")
        environment = {key: os.environ[key] for key in kept if key in os.environ}
        streams = {"stdin": subprocess.DEVNULL, **streams}
        return subprocess.run([*command, *arguments], env=environment, timeout=LIMIT_S, **streams)

    def compose(self, *arguments: str, code: int | None = 0) -> str:
        """Run docker compose on the project; return what it printed, on both streams."""
        both = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        done = self._run(arguments, text=True, **both)
        if code is not None and done.returncode != code:
            raise AssertionError(f"{arguments} ended with {done.returncode}: {done.stdout}")
        return str(done.stdout)

    def piped(self, *arguments: str, **streams: IO[bytes]) -> None:
        """Run docker compose with `stdin` or `stdout` from or to a file, as `<` and `>` do."""
        done = self._run(arguments, stderr=subprocess.PIPE, **streams)
        if done.returncode:
            raise AssertionError(f"{arguments} ended with {done.returncode}: {done.stderr!r}")

    def up(self, *services: str, workers: int = 1) -> str:
        """Bring services up in the background; all of them but those with a profile by default."""
        scale = () if services else ("--scale", f"worker={workers}")
        return self.compose("up", "--detach", *scale, *services)

    def containers(self, service: str) -> list[dict[str, Any]]:
        """Return what the engine knows of a service's containers, stopped ones too."""
        found = self.compose("ps", "--all", "--quiet", service).split()
        inspected: list[dict[str, Any]] = json.loads(docker("inspect", *found)) if found else []
        return inspected

    def states(self, service: str) -> list[tuple[str, int]]:
        """Return state and exit code of each container of a service."""
        states = [container["State"] for container in self.containers(service)]
        return [(state["Status"], state["ExitCode"]) for state in states]

    def kill_inside(self, container: dict[str, Any]) -> None:
        """Send `kill -9` to all that runs in a container but its init, which dies of it."""
        docker("exec", container["Id"], "sh", "-c", "kill -9 -1", code=None)  # it dies of it, too

    @property
    def url(self) -> str:
        """The database, from here."""
        published = self.compose("port", "db", "5432").strip()
        return f"postgresql://study:{quote(PASSWORD, safe='')}@{published}/study"

    def status(self, name: str | None = None) -> StudyStatus:
        """Return how its study stands."""
        return look(self.url, name or self.name)

    def rows(self, name: str | None = None) -> Rows:
        """Return its attempts."""
        return rows_of(self.url, name or self.name)

    def wait_until(self, condition: Callable[[], Any], what: str) -> Any:
        """Return the condition's value once it is true; after a limit, fail with the logs."""
        deadline = time.monotonic() + LIMIT_S
        while not (value := condition()):
            if time.monotonic() > deadline:
                logs = self.compose("logs", "--tail", "40", code=None)
                raise AssertionError(f"{what} did not come in {LIMIT_S:g} s\n{logs}")
            time.sleep(POLL_S)
        return value

    def wait_done(self, name: str | None = None) -> StudyStatus:
        """Return the status of the study once every slot is final."""
        self.wait_until(lambda: self.status(name).done, "the end of the study")
        return self.status(name)

    def wait_left(self, service: str = "worker") -> None:
        """Wait until no container of a service runs any more."""
        self.wait_until(
            lambda: all(state == "exited" for state, _ in self.states(service)),
            f"the end of {service}",
        )
