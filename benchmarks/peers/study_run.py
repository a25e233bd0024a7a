"""`study run` as it comes; only what the race fixes for all is said.

Imports nothing of its own: neither time nor memory of this file is the command's.
"""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

QUERY = """
SELECT attribute.value_json, found.value FROM trials
JOIN trial_values AS found ON found.trial_id = trials.trial_id
JOIN trial_user_attributes AS attribute ON attribute.trial_id = trials.trial_id
WHERE trials.state = 'COMPLETE' AND attribute.key = 'slot'
"""

job = json.loads(Path(sys.argv[1]).read_text())
file = Path(job["work"]) / "study.db"
command = [sys.executable, "-m", "study", "run", "--data", job["data"]]
command += ["--storage", f"sqlite:///{file}", "--study", "race", "--seed", sys.argv[2]]
command += ["--n-trials", str(len(job["params"])), "--epochs", str(job["epochs"]), "--quiet"]
subprocess.run(command, check=True)
connection = sqlite3.connect(file)
print("RESULT " + json.dumps(dict(connection.execute(QUERY).fetchall())))
connection.close()
