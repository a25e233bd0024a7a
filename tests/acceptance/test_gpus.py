"""Commands on machines that have GPUs by their driver's word: a script instead of nvidia-smi."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LISTED = "GPU 0: Some Card (UUID: GPU-00)"


def with_driver(folder: Path, script: str) -> dict[str, str]:
    """This environment, with an `nvidia-smi` that runs `script`."""
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}


@pytest.mark.parametrize(
    ("script", "lock"),
    [
        (f'echo "{LISTED}"', "requirements-gpu.lock"),
        ("echo No devices were found; exit 6", "requirements.lock"),
        ("exit 9", "requirements.lock"),
    ],
)
def test_make_installs_cuda_where_the_driver_answers(
    tmp_path: Path, script: str, lock: str
) -> None:
    """And where it does not, two gigabytes less."""
    command = ["make", "--dry-run", "install", f"VENV={tmp_path}/venv"]
    done = subprocess.run(
        command, cwd=ROOT, env=with_driver(tmp_path, script), capture_output=True, text=True
    )
    assert f"-m pip install --quiet --requirement {lock};" in done.stdout, done.stderr
