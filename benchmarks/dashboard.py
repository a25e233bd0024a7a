"""How soon dashboard and report show a large study, and how much memory the server takes.

Makes a study of finished trials, each with params, reports and what a worker writes of itself, and
some failed ones with their logs. Serves it in a process of its own and asks it as a browser does;
where there is a Chromium, it is asked too, from an empty cache until the study's name is seen.

    python benchmarks/dashboard.py [--trials 5000] [--storage URL]
"""

import argparse
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from optuna.study import StudyDirection
from optuna.trial import TrialState

from objectives.synthetic import SYNTHETIC_SPACE
from storage import attrs, ends
from storage.rdb import open_storage
from storage.slots.slots import Claim, Draw, Slot, Slots
from study.machine.environment import read_environment
from study.spec.draw import draw_params
from study.spec.spec import StudySpec
from tests.browser import find_browser, open_browser

ROOT = Path(__file__).resolve().parents[1]
NAME = "large"
N_STEPS, EVERY_FAILED, N_TIMES = 8, 50, 9
LOG = "\n".join(f"step {i}: a line of a log that is of the usual length" for i in range(200))


def make_study(url: str, n_trials: int) -> None:
    """Plan the slots and finish them, as a worker does."""
    storage = open_storage(url)
    spec = StudySpec("synthetic", None, {}, NAME, None, [], "maximize", 0, 1, "float32", 1)
    slots = Slots(storage, storage.create_new_study([StudyDirection.MAXIMIZE], NAME), token="t")
    slots.plan(n_trials, define={attrs.SPEC: spec.to_json(), attrs.TOKEN: "t"})
    own = {attrs.ENVIRONMENT: read_environment()}

    def draw(slot: Slot) -> Draw:
        params = draw_params(SYNTHETIC_SPACE, 0, slot.slot)
        distributions = SYNTHETIC_SPACE.distributions(params)
        return Draw(params, distributions, {**own, attrs.SEED: slot.slot})

    for i in range(n_trials):
        claim = slots.claim("host:ab12cd:77", draw)
        assert claim is not None
        finish(slots, claim, i)
    storage.close()


def finish(slots: Slots, claim: Claim, i: int) -> None:
    """Report and finish; one of so many fails."""
    reports = {step: (i % 97 + step) / 110 for step in range(N_STEPS)}
    if i % EVERY_FAILED == 0:
        error = {"type": "ValueError", "message": "for nothing", "traceback": LOG[:4000]}
        told = {attrs.REASON: ends.ERROR, attrs.ERROR: error, attrs.LOG: LOG}
        slots.finish(claim, TrialState.FAIL, None, told, reports)
    else:
        slots.finish(claim, TrialState.COMPLETE, reports[N_STEPS - 1], {}, reports)


@contextmanager
def served(url: str) -> Iterator[tuple[int, int]]:
    """Serve a storage; yield port and process id."""
    command = [sys.executable, "-m", "study", "dashboard", "--port", "0", "--storage", url]
    environment = {n: v for n, v in os.environ.items() if not n.startswith("STUDY_")}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            found = re.search(r"localhost:(\d+)|127\.0\.0\.1:(\d+)", line)
            assert found is not None, line
            yield int(found[1] or found[2]), process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def ask(port: int, path: str) -> int:
    """Ask for a path, which must be there; return the answer's size in bytes."""
    connection = HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
        response = connection.getresponse()
        body = response.read()
        assert response.status == 200, (path, response.status)
        return len(body)
    finally:
        connection.close()


def timed_s(call: Callable[[], object]) -> float:
    """Return how long a call takes, in s."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def peak_mib(pid: int) -> float:
    """Return the most memory that a process has held, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def in_browser_s(port: int, path: str, seen: str, folder: Path) -> float:
    """Return how long a fresh browser takes from the address to what is to be seen, in s."""
    with open_browser(folder) as driver:
        driver.get("about:blank")
        started = time.perf_counter()
        driver.get(f"http://127.0.0.1:{port}{path}")
        while seen not in driver.find_element("tag name", "body").text:
            assert time.perf_counter() - started < 120, f"{path} does not show {seen!r}"
            time.sleep(0.02)
        return time.perf_counter() - started


def report_mb(url: str, out: Path) -> float:
    """Have `study report` write its page; return the page's size in MB."""
    command = [sys.executable, "-m", "study", "report", "--storage", url, "--study", NAME]
    subprocess.run([*command, "--out", str(out)], cwd=ROOT, check=True, stderr=subprocess.DEVNULL)
    return (out / "report.html").stat().st_size / 1e6


def measure(url: str, folder: Path) -> None:
    """Print the table."""
    first = ("/dashboard", "/static/bundle.js", "/api/meta", "/api/studies")
    print("| what | took | wanted |\n|---|---:|---:|")
    with served(url) as (port, pid):
        took = timed_s(lambda: [ask(port, path) for path in first])
        print(f"| first page of the dashboard: its files and the list | {took:.2f} s | 3 s |")
        took = timed_s(lambda: ask(port, "/api/studies/1?after=0"))
        print(f"| all trials of the study, nothing cached | {took:.2f} s | - |")
        took = timed_s(lambda: ask(port, "/workers"))
        print(f"| /workers, the first time | {took:.2f} s | 0.3 s |")
        looks = []
        for _ in range(N_TIMES):
            time.sleep(1.1)  # a look serves everybody for a second
            looks.append(timed_s(lambda: ask(port, "/workers")))
        print(f"| /workers, median of {N_TIMES} | {statistics.median(looks):.2f} s | 0.3 s |")
        took = timed_s(lambda: ask(port, "/metrics"))
        print(f"| /metrics | {took:.2f} s | - |")
        if find_browser() is not None:
            pages = {"/dashboard": NAME, "/dashboard/studies/1": "Hyperparameter Importance"}
            for i, (path, seen) in enumerate(pages.items()):
                took = in_browser_s(port, path, seen, folder / f"browser-{i}")
                print(f"| Chromium, empty cache: {path} shows '{seen}' | {took:.2f} s | 3 s |")
        sizes: list[float] = []
        took = timed_s(lambda: sizes.append(report_mb(url, folder / "out")))
        print(f"| `study report`, a page of {sizes[0]:.1f} MB | {took:.1f} s | 20 s |")
        print(f"| peak memory of the server | {peak_mib(pid):.0f} MiB | 500 MB |")


def main() -> None:
    """Make the study and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=5000)
    parser.add_argument("--storage", help="an empty database; default: a SQLite file")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        url = given.storage or f"sqlite:///{name}/study.db"
        took = timed_s(lambda: make_study(url, given.trials))
        print(f"{given.trials} trials made in {took:.0f} s\n")
        measure(url, Path(name))


if __name__ == "__main__":
    main()
