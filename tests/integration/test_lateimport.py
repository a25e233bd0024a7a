"""What Keras imports and training never uses: loaded when somebody uses it, and not before."""

from tests.integration.trainings import run_python

CODE = """
import json, sys
from objectives.base import FitOptions
from objectives.runtime import start_framework
start_framework(FitOptions(epochs=1, precision="float32", threads=1))
import keras
before = "sklearn" in sys.modules
name = keras.wrappers.SKLearnClassifier.__name__
print(json.dumps([before, name, "sklearn" in sys.modules]))
"""


def test_scikit_learn_is_loaded_when_its_wrappers_are_used_and_not_before() -> None:
    """The development dependencies have it, so Keras would import it."""
    assert run_python(CODE) == [False, "SKLearnClassifier", True]
