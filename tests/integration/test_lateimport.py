"""What Keras imports and training never uses: loaded when somebody uses it, and not before."""

from tests.integration.trainings import run_python

CODE = """
import json, sys
from objectives.base import FitOptions
from objectives.framework.runtime import start_framework
start_framework(FitOptions(epochs=1, precision="float32", threads=1))
import keras
before = "sklearn" in sys.modules
name = keras.wrappers.SKLearnClassifier.__name__
print(json.dumps([before, name, "sklearn" in sys.modules]))
"""


COLLECTING = """
import gc, json
from objectives.framework.runtime import quiet_import
with quiet_import():
    during = gc.isenabled()
after = gc.isenabled()
gc.disable()
with quiet_import():
    pass
print(json.dumps([during, after, gc.isenabled()]))
"""


def test_scikit_learn_is_loaded_when_its_wrappers_are_used_and_not_before() -> None:
    """The development dependencies have it, so Keras would import it."""
    assert run_python(CODE) == [False, "SKLearnClassifier", True]


def test_garbage_is_not_collected_while_the_framework_is_imported_and_as_before_afterwards() -> (
    None
):
    """It would take a fifth of that time."""
    assert run_python(COLLECTING) == [False, True, False]
