"""The process in which the default network is tried out, and the worker that it becomes."""

import json
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from objectives.base import FitOptions
from objectives.network.cnn import digits_cnn
from study.errors import StudyError
from study.machine.placing import Placing
from study.run.prewarm import Prewarm, Prewarmed
from study.run.tryout import expected_trial_s
from study.spec.open import Loaded
from study.spec.spec import Given, StudySpec
from study.worker.told import AT_ONCE, PROGRAM
from tests.acceptance.competition import SPACE, write_competition
from tests.acceptance.processes import POLL_S, Place, is_alive

pytestmark = pytest.mark.trains

CREATE = """
import json, sys
from pathlib import Path
from storage import attrs
from study.run.create import Request, create_or_resume
from study.run.prewarm import Prewarm
from study.spec.spec import Given
request = Request("sqlite:///study.db", "s", Path("data"), Given(epochs=3), 2)
with Prewarm("s", request.given, 2) as prewarm:
    opened = create_or_resume(request, lambda line: None, prewarm)
told = opened.storage.get_study_user_attrs(opened.study_id)
print(json.dumps([told[attrs.TRIAL_S], [n for n in ("keras", "tensorflow") if n in sys.modules]]))
"""
LEFT_ALONE = """
import os, signal
from study.run.prewarm import Prewarmed
from study.worker.told import AT_ONCE
print(Prewarmed("s", AT_ONCE).process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
LOADED = """
import sys
from objectives.network.tryout.firstbatches import load_framework
load_framework()
print(sorted({"tensorflow", "pandas"} & set(sys.modules)))
import pandas
print(pandas.Series([7]).sum())
"""
HERE = Placing(workers="2", cpu=True)
STUDY = StudySpec("digits-cnn", None, {}, "s", None, [], "maximize", 0, 1, "float32", 1)


@pytest.fixture
def not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command starts without the framework, whatever other tests have loaded here."""
    monkeypatch.delitem(sys.modules, "keras", raising=False)


def test_who_creates_a_study_does_not_load_the_framework(place: Place) -> None:
    """And knows how long a trial may take."""
    write_competition(place.folder / "data")
    trial_s, loaded = json.loads(place.run(python=("-c", CREATE)).out)
    assert trial_s > 0
    assert loaded == []


def test_network_that_does_not_work_is_one_line_and_plans_no_slot(place: Place) -> None:
    """The study stays undefined: the same name is free for the next try."""
    write_competition(place.folder / "data")
    (place.folder / "space.toml").write_text(SPACE)
    wild = SPACE.replace("low = 3e-3, high = 1e-2", "low = 1e30, high = 1e31")
    (place.folder / "wild.toml").write_text(wild)
    words = ["--data", "data", "--epochs", 1, "--n-trials", 2]
    refused = place.run("run", *words, "--space", "wild.toml", code=1)
    assert refused.error.startswith("in a first batch, ")
    assert "'learning_rate': " in refused.error
    assert "2 slots" in place.run("create", *words, "--space", "space.toml").err


def test_pandas_is_not_loaded_with_the_framework(place: Place) -> None:
    """It would take half a second and 30 MiB of each worker; who wants it there may have it."""
    assert place.run(python=("-c", LOADED)).out.splitlines() == ["['tensorflow']", "7"]


@pytest.mark.usefixtures("not_loaded")
@pytest.mark.parametrize(("placing", "n"), [(None, 1), (HERE, 2)])
def test_its_processes_end_with_whatever_ends_the_creation(placing: Placing | None, n: int) -> None:
    """Data with a fault, or Ctrl-C."""
    prewarm = Prewarm("s", Given(objective="digits-cnn"), 9, placing)
    ready = list(prewarm.ready)
    with pytest.raises(ZeroDivisionError), prewarm:
        raise ZeroDivisionError
    assert [one.process.returncode for one in ready] == [-signal.SIGKILL] * n


@pytest.mark.usefixtures("not_loaded")
def test_none_of_them_becomes_a_worker_where_the_study_is_only_created() -> None:
    """There are as many as workers of a study that is worked on here, and no more than slots."""
    for placing, n_slots, n in ((None, 9, 0), (HERE, 9, 2), (Placing(cpu=True), 1, 1)):
        with Prewarm("s", Given(), n_slots, placing) as prewarm:
            prewarm.keep_workers(STUDY, 9)
            assert [one.process.poll() for one in prewarm.ready] == [None] * n


@pytest.mark.usefixtures("not_loaded")
def test_they_work_on_a_study_that_is_there_if_it_is_for_them() -> None:
    """A command that goes on with a study does not know of its objective when it starts them."""
    for objective, n in (("digits-cnn", 2), ("synthetic", 0)):
        with Prewarm("s", Given(), None, HERE) as prewarm:
            began = list(prewarm.ready)
            prewarm.keep_workers(replace(STUDY, objective=objective), 2)
            assert prewarm.ready == began[:n]
            assert [one.process.poll() for one in began[n:]] == [-signal.SIGKILL] * (2 - n)


def test_it_leaves_by_itself_once_nobody_asks_it_any_more(place: Place) -> None:
    """Who started it was killed."""
    pid = int(place.run(python=("-c", LEFT_ALONE), code=-signal.SIGKILL).out)
    while is_alive(pid):
        time.sleep(POLL_S)


@pytest.mark.usefixtures("not_loaded")
@pytest.mark.parametrize("which", [0, 1])
def test_death_of_one_is_one_line(place: Place, which: int) -> None:
    """As that by the kernel, for memory; each of them tries the network out."""
    data = place.folder / "data"
    write_competition(data)
    objective = digits_cnn(FitOptions(epochs=1))
    loaded, spec = Loaded(objective, SimpleNamespace()), SimpleNamespace()
    with Prewarm("s", Given(), 9, HERE) as prewarm:
        os.kill(prewarm.ready[which].process.pid, signal.SIGKILL)
        with pytest.raises(StudyError, match="a first batch ended its process: signal SIGKILL"):
            expected_trial_s(prewarm.ready, loaded, spec, data, None)  # type: ignore[arg-type]


def test_it_becomes_what_its_command_says(tmp_path: Path) -> None:
    """The rest of the command line, the variables and the log are those that it is told."""
    log = tmp_path / "log"
    command = [*PROGRAM, "worker", "--help"]
    process = Prewarmed("s", AT_ONCE).become(command, {"COLUMNS": "50", "NO_COLOR": "1"}, log)
    assert process is not None
    assert process.wait() == 0
    lines = log.read_text("utf-8").splitlines()
    assert any("study worker" in line for line in lines)
    assert max(map(len, lines)) == 50


def test_one_that_died_becomes_nothing(tmp_path: Path) -> None:
    """A worker is started anew then."""
    ready = Prewarmed("s", AT_ONCE)
    ready.process.kill()
    ready.process.wait()
    assert ready.become([*PROGRAM, "worker"], {}, tmp_path / "log") is None


@pytest.mark.usefixtures("not_loaded")
def test_users_own_network_is_tried_out_where_its_file_is_loaded() -> None:
    """It has loaded the framework there."""
    assert Prewarm("s", Given(model="mine.py:build"), 9, HERE).ready == []
    assert Prewarm("s", Given(objective="synthetic"), 9, HERE).ready == []
