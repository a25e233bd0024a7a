"""Commands on machines that have GPUs by their driver's word: a script instead of nvidia-smi."""

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from optuna.study import StudyDirection

from objectives.load import source_fingerprint
from storage import attrs
from storage.rdb import open_storage
from storage.slots.slots import Slots
from study.spec.spec import StudySpec
from tests.acceptance.competition import write_competition
from tests.acceptance.processes import Place

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
    assert f"-m pip install --quiet --require-hashes --requirement {lock};" in done.stdout, (
        done.stderr
    )


BLIND = "from types import SimpleNamespace as S; config = S(list_physical_devices=lambda kind: [])"
CARD = "0, GPU-00, Some Card, 81559"
SITTER = """
import json, os, time
from pathlib import Path
from objectives.base import Fitted

class Sitter:
    direction, needs_data, space = "minimize", False, {"x": [1, 2, 3, 4]}

    def __init__(self, until=""):
        self.until = until

    def load(self, data_dir):
        return None

    def fit(self, params, dataset, *, seed, report, resume_dir):
        with open("seen.jsonl", "a") as file:
            seen = [os.environ.get("CUDA_VISIBLE_DEVICES"), os.getpid(), bool(self.until)]
            print(json.dumps(seen), file=file)
        step = 0
        while self.until and not Path(self.until).exists():
            report(step := step + 1, 1.0)
            time.sleep(0.05)
        return Fitted(1.0, None)

    def predict(self, fitted, images):
        raise NotImplementedError
"""


@pytest.fixture
def with_card(place: Place) -> Place:
    """A place whose driver has one card, and locks of its own."""
    tools = place.folder.parent / "tools"
    tools.mkdir()
    environment = with_driver(tools, f'echo "{CARD}"')
    own = {"PATH": environment["PATH"], "STUDY_GPU_LOCKS": str(place.folder.parent / "locks")}
    place.environment.pop("CUDA_VISIBLE_DEVICES", None)
    return replace(place, environment=place.environment | own)


def seen(place: Place) -> list[tuple[int, bool]]:
    """The process of each fit of a `Sitter` by now, and whether it waited; all on the card."""
    file = place.folder / "seen.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    found = [json.loads(line) for line in lines]
    assert {gpu for gpu, _, _ in found} <= {"GPU-00"}
    return [(pid, waited) for _, pid, waited in found]


def test_training_on_the_cpu_by_mistake_is_refused(with_card: Place) -> None:
    """The driver sees a card and TensorFlow, which is the CPU's here, does not."""
    write_competition(with_card.folder / "data")
    done = with_card.run("run", "--data", "data", code=1)
    assert "the driver sees 1 GPU (Some Card), and TensorFlow" in done.error
    assert done.hint.startswith('pip install "tensorflow[and-cuda]==')
    assert done.hint.endswith("; or --cpu")
    assert not (with_card.folder / "study.db").exists()


@pytest.mark.parametrize("workers", ["1", "auto"])
def test_worker_on_the_cpu_by_mistake_is_refused(with_card: Place, workers: str) -> None:
    """One process as well as several; with `--cpu` it goes on, to the next thing that is wrong."""
    blind = with_card.folder.parent / "blind"
    blind.mkdir()
    (blind / "tensorflow.py").write_text(BLIND)  # quicker to load than the real one
    plan_study(with_card)
    variables = {"PYTHONPATH": f"{blind}:{with_card.environment['PYTHONPATH']}"}
    words = ["worker", "--workers", workers]
    assert "the driver sees 1 GPU" in with_card.run(*words, code=1, **variables).error
    refused = with_card.run("worker", "--workers", "1", "--cpu", code=1, **variables)
    assert "the search space is empty" in refused.error


def plan_study(place: Place) -> None:
    """Make a study that trains the default network, without training anything."""
    source = source_fingerprint("digits-cnn", None)
    spec = StudySpec("digits-cnn", None, {}, source, "d", [], "maximize", 0, 1, "float32", 1)
    storage = open_storage(f"sqlite:///{place.folder}/study.db")
    study_id = storage.create_new_study([StudyDirection.MAXIMIZE], "s")
    Slots(storage, study_id).plan(2, define={attrs.SPEC: spec.to_json(), attrs.TOKEN: "t"})
    storage.close()


def test_studies_take_turns_on_a_card(with_card: Place) -> None:
    """The second waits and says for whom; the first keeps its card while it replaces itself."""
    (with_card.folder / "sitter.py").write_text(SITTER)
    words = ["run", "--objective", "sitter.py:Sitter", "--devices", "0"]
    go = with_card.folder / "go"
    first_words = [*words, "--study", "first", "--n-trials", "3", "--recycle-after", "1"]
    second_words = [*words, "--study", "second", "--n-trials", "1"]
    with with_card.start(*first_words, "--objective-option", f"until={go}") as first:
        first.wait_until(lambda: len(seen(with_card)) > 1)
        # A database of its own, as another person has.
        with with_card.start(*second_words, "--storage", "sqlite:///other.db") as second:
            logs = with_card.folder / "second.work"
            second.wait_until(
                lambda: any("waiting" in log.read_text() for log in logs.rglob("*.log"))
            )
            assert "GPU 0 is taken by study 'first'" in second.err()
            go.write_text("")
            assert first.wait().code == 0
            assert second.wait().code == 0
    # Each was tried out by its supervisor first.
    supervisors = {first.process.pid, second.process.pid}
    found = [(pid, is_first) for pid, is_first in seen(with_card) if pid not in supervisors]
    assert [is_first for _, is_first in found] == [True, True, True, False]
    assert len({pid for pid, _ in found}) == 2


def test_card_that_is_not_there_is_one_line(with_card: Place) -> None:
    """With those that are; nothing is created."""
    words = ["--objective", "synthetic", "--study", "s", "--devices", "1"]
    done = with_card.run("run", *words, code=1)
    assert "there is no GPU 1 here; there are 0" in done.error
    assert not (with_card.folder / "study.db").exists()
