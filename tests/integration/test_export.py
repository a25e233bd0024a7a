"""`model.keras` as others load it: with Keras alone, from raw images."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from objectives.network.cnn import digits_cnn
from tests.integration.trainings import (
    OPTIONS,
    PARAMS,
    fitted,
    objective_of,
    predicted_alone,
    tiny_dataset,
)

# Keras 3.15 reads TensorFlow's variables in a way that NumPy 2 deprecates.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.trains,
]


def test_exported_file_gives_the_same_labels_from_raw_images_elsewhere(tmp_path: Path) -> None:
    """One file, no project code, no custom objects; trained in bfloat16, saved in float32."""
    objective, dataset = digits_cnn(replace(OPTIONS, precision="bfloat16")), tiny_dataset()
    result = fitted(objective, PARAMS)
    assert objective.export(result, tmp_path / "model.keras") == ()
    assert [path.name for path in tmp_path.iterdir()] == ["model.keras"]
    labels = objective.predict(result, dataset.images).argmax(axis=1)
    elsewhere = predicted_alone(tmp_path / "model.keras", dataset.images)
    assert elsewhere.argmax(axis=1).tolist() == labels.tolist()


def test_export_says_which_classes_loading_needs(tmp_path: Path) -> None:
    """A user's own layer is named, so that the model card can name it."""
    import keras

    class Doubled(keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return 2.0 * x

    def build(params: Mapping[str, Any], shape: tuple[int, int, int], n_classes: int) -> Any:
        softmax = keras.layers.Dense(n_classes, activation="softmax")
        return keras.Sequential([keras.Input(shape), Doubled(), keras.layers.Flatten(), softmax])

    objective = objective_of(build)
    assert objective.export(fitted(objective, {}), tmp_path / "model.keras") == ("Doubled",)
