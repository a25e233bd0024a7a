"""Studies of ours as they stand in the middle of a search, for the tests of what shows them."""

from pathlib import Path

from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.study import StudyDirection
from optuna.trial import TrialState

from storage import attrs, ends
from storage.rdb import SlotStorage
from storage.slots.slots import Claim, Draw, Slot, Slots
from study.spec.open import OpenStudy, open_study
from study.spec.spec import StudySpec

EVIL = "</pre><script>alert(1)</script>\x1b[31m"
"""What an attacker would like to see run."""


def make_study(storage: SlotStorage, name: str = "digits", n_slots: int = 8) -> OpenStudy:
    """Plan a study of the synthetic objective."""
    spec = StudySpec("synthetic", None, {}, name, None, [], "maximize", 0, 1, "float32", 1)
    study_id = storage.create_new_study([StudyDirection.MAXIMIZE], name)
    define = {attrs.SPEC: spec.to_json(), attrs.TOKEN: f"token of {name}"}
    Slots(storage, study_id).plan(n_slots, define=define)
    return open_study(storage, name)


def claim(opened: OpenStudy, worker: str = "vm:ab12cd:77") -> Claim:
    """Claim the lowest slot."""

    def draw(slot: Slot) -> Draw:
        kinds = CategoricalDistribution(("=cmd()", EVIL))
        params = {"x": slot.slot / 10, "kind": kinds.choices[slot.slot % 2]}
        distributions = {"x": FloatDistribution(0, 10), "kind": kinds}
        return Draw(params, distributions, {attrs.SEED: slot.slot})

    found = opened.slots.claim(worker, draw)
    assert found is not None
    return found


def fail(opened: OpenStudy, reason: str = ends.ERROR, text: str = EVIL) -> int:
    """Let a slot fail with a text of the user's; return the trial's number."""
    found = claim(opened)
    error = {"type": "ValueError", "message": text, "traceback": text}
    log = "\n".join([*(f"line {i}" for i in range(50)), text])
    told = {attrs.REASON: reason, attrs.ERROR: error, attrs.LOG: log}
    opened.slots.finish(found, TrialState.FAIL, None, told)
    return found.slot.trial


def complete(opened: OpenStudy, value: float) -> None:
    """Let a slot complete."""
    opened.slots.finish(claim(opened), TrialState.COMPLETE, value)


def in_progress(storage: SlotStorage, name: str = "digits") -> OpenStudy:
    """Make a study with one slot complete, two failed, one in training, and others to come."""
    opened = make_study(storage, name)
    complete(opened, 0.75)
    fail(opened)
    fail(opened, ends.TIMEOUT, "too slow")
    claim(opened)
    facts = {"device": "cpu", "state": "training", "images_per_s": 1234.5}
    opened.registry().join("vm:ab12cd:77", facts)
    return opened


def url_in(folder: Path) -> str:
    """Return the URL of a database in a folder."""
    return f"sqlite:///{folder}/study.db"
