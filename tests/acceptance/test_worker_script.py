"""What a worker container runs: the exit codes that Docker sees, the signal that it passes on."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "docker" / "worker"
DRAINS = """
trap 'echo drained "$@"; exit 0' TERM
echo ready
for turn in $(seq 600); do sleep 0.05; done
exit 9
"""


def started(folder: Path, study: str) -> subprocess.Popen[str]:
    """The script, with a `study` on its path that does this."""
    program = folder / "study"
    program.write_text(f"#!/bin/sh\n{study}\n")
    program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    command = [str(SCRIPT), "--workers", "1"]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    ("study", "code"),
    [("exit 0", 0), ("exit 3", 0), ("exit 1", 1), ("kill -KILL $$", 128 + signal.SIGKILL)],
)
def test_end_of_the_study_is_no_reason_to_start_again(
    tmp_path: Path, study: str, code: int
) -> None:
    """Some slots failed (3) is an end as well; known failures and deaths are not."""
    with started(tmp_path, study) as process:
        assert process.wait() == code


def test_sigterm_reaches_the_worker_and_its_end_is_waited_for(tmp_path: Path) -> None:
    """The code is the worker's, not that of the interrupted wait; options are passed on."""
    with started(tmp_path, DRAINS) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        assert process.communicate()[0] == "drained worker --workers 1\n"
        assert process.returncode == 0
