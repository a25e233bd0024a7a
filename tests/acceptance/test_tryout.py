"""The first batches of the default network, which a process of their own trains."""

import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import Any

import pytest

from objectives.base import FitOptions
from objectives.cnn import digits_cnn
from study.errors import StudyError
from study.opening import Loaded
from study.spec import Given
from study.tryout import TryOut
from tests.acceptance.competition import SPACE, write_competition
from tests.acceptance.processes import POLL_S, Place, is_alive

CREATE = """
import json, sys
from pathlib import Path
from storage import attrs
from study.creating import create_or_resume
from study.spec import Given
given = Given(epochs=3)
opened = create_or_resume("sqlite:///study.db", "s", Path("data"), 2, given, lambda line: None)
told = opened.storage.get_study_user_attrs(opened.study_id)
print(json.dumps([told[attrs.TRIAL_S], [n for n in ("keras", "tensorflow") if n in sys.modules]]))
"""
LEFT_ALONE = """
import os, signal
from study.spec import Given
from study.tryout import TryOut
print(TryOut(Given()).process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command starts without the framework, whatever other tests have loaded here."""
    monkeypatch.delitem(sys.modules, "keras", raising=False)


def printed(place: Place, code: str) -> Any:
    """Run Python code in the folder of a place; return what it printed."""
    command, folder = [sys.executable, "-c", code], place.folder
    done = subprocess.run(
        command, cwd=folder, env=place.environment, stdout=subprocess.PIPE, check=False
    )
    return json.loads(done.stdout)


def test_who_creates_a_study_does_not_load_the_framework(place: Place) -> None:
    """And knows how long a trial may take."""
    write_competition(place.folder / "data")
    trial_s, loaded = printed(place, CREATE)
    assert trial_s > 0
    assert loaded == []


def test_network_that_does_not_work_is_one_line_and_plans_no_slot(place: Place) -> None:
    """The study stays undefined: the same name is free for the next try."""
    write_competition(place.folder / "data")
    (place.folder / "space.toml").write_text(SPACE)
    wild = SPACE.replace("low = 3e-3, high = 1e-2", "low = 1e30, high = 1e31")
    (place.folder / "wild.toml").write_text(wild)
    words = ["create", "--data", "data", "--epochs", 1, "--n-trials", 2]
    refused = place.run(*words, "--space", "wild.toml", code=1)
    assert refused.error.startswith("in a first batch, ")
    assert "'learning_rate': " in refused.error
    assert "2 slots" in place.run(*words, "--space", "space.toml").err


@pytest.mark.usefixtures("not_loaded")
def test_its_process_ends_with_whatever_ends_the_creation() -> None:
    """Data with a fault, or Ctrl-C."""
    with pytest.raises(ZeroDivisionError), TryOut(Given(objective="digits-cnn")) as tryout:
        raise ZeroDivisionError
    assert tryout.process is not None
    assert tryout.process.returncode == -signal.SIGKILL


def test_it_leaves_by_itself_once_nobody_asks_it_any_more(place: Place) -> None:
    """Who started it was killed."""
    pid = printed(place, LEFT_ALONE)
    while is_alive(pid):
        time.sleep(POLL_S)


@pytest.mark.usefixtures("not_loaded")
def test_its_death_is_one_line(place: Place) -> None:
    """As that by the kernel, for memory."""
    objective = digits_cnn(FitOptions())
    loaded, spec = Loaded(objective, SimpleNamespace()), SimpleNamespace()
    with TryOut(Given()) as tryout:
        assert tryout.process is not None
        os.kill(tryout.process.pid, signal.SIGKILL)
        with pytest.raises(StudyError, match="a first batch ended its process: signal SIGKILL"):
            tryout.trial_s(loaded, spec, place.folder, None)  # type: ignore[arg-type]


@pytest.mark.usefixtures("not_loaded")
def test_users_own_network_is_tried_out_where_its_file_is_loaded() -> None:
    """It has loaded the framework there."""
    assert TryOut(Given(model="mine.py:build")).process is None
    assert TryOut(Given(objective="synthetic")).process is None
