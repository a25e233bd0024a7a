"""Two processes of the plain Optuna script on one SQLite file, as its documentation shows it."""

import subprocess
import sys
from pathlib import Path

from job import read_job

storage = f"sqlite:///{Path(read_job().work) / 'optuna.db'}"
command = [sys.executable, str(Path(__file__).with_name("optuna_script.py")), sys.argv[1], storage]
subprocess.run([*command, "first"], check=True)
workers = [subprocess.Popen([*command, "worker"]) for _ in range(2)]
raise SystemExit(max(worker.wait() for worker in workers))
