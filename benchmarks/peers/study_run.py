"""`study run` as it comes; only what the race fixes for all is said."""

import subprocess
import sys
from pathlib import Path

from job import answer, read_job

from storage.rdb import open_storage
from storage.reading import read_attempts
from study.opening import open_study

job = read_job()
url = f"sqlite:///{Path(job.work) / 'study.db'}"
command = [sys.executable, "-m", "study", "run", "--data", job.data, "--storage", url]
command += ["--study", "race", "--n-trials", str(len(job.params)), "--epochs", str(job.epochs)]
command += ["--seed", sys.argv[2], "--quiet"]
subprocess.run(command, check=True)
opened = open_study(open_storage(url, create=False), "race")
done = read_attempts(opened.storage.engine, opened.study_id)
answer({one.slot: one.value for one in done if one.slot is not None and one.value is not None})
