"""What a few batches of a user's model show before its slots are planned."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from objectives.base import FitOptions
from objectives.errors import ModelError
from objectives.framework.runtime import start_framework
from objectives.load import load_objective
from objectives.network.cnn import KerasObjective, digits_cnn
from objectives.network.tryout.scaledtwice import scaled_twice
from objectives.space.space import parse_space
from study.finalize.modelcard import loading_lines
from tests.integration.trainings import OPTIONS, fitted, objective_of, run_forked, tiny_dataset

# Keras 3.15 reads TensorFlow's variables in a way that NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

NET = """
import keras
from keras import layers, ops

SPACE = {space}

{top}

def build(params, image_shape, n_classes):
    images = keras.Input(image_shape)
    x = images
    {line}
    x = layers.Dense(params["units"], activation="relu")(layers.Flatten()(x))
    return keras.Model(images, layers.Dense(n_classes, activation="softmax")(x))
"""
SCALE = """
class Scale(layers.Layer):
    def __init__(self, factor{default}, **others):
        super().__init__(**others)
        self.factor = factor

    def call(self, x):
        return x * self.factor

    def get_config(self):
        return {{**super().get_config(), {config}}}
"""
GOOD = SCALE.format(default="", config='"factor": self.factor')
PREDICTING = """
import json, os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.chdir({folder!r})
{lines}
import numpy
images = numpy.load("images.npy")
found = model.predict(images, verbose=0)
numpy.save("found.npy", found)
"""


@pytest.fixture(autouse=True)
def started() -> None:
    """The framework has its threads, as files of these tests may make it compute."""
    start_framework(OPTIONS)


@pytest.fixture
def tried(tmp_path: Path, own_modules: None) -> Callable[..., KerasObjective]:
    """A function that tries out a network with a line of its own."""

    def try_out(
        line: str = "",
        top: str = "",
        space: str = '{"units": [4, 8]}',
        options: FitOptions = OPTIONS,
    ) -> KerasObjective:
        file = tmp_path / "net.py"
        file.write_text(NET.format(line=line, top=top, space=space))
        objective = load_objective(
            "digits-cnn",
            fit_options=options,
            options={},
            model=f"{file}:build",
            space_overrides=None,
        )
        assert isinstance(objective, KerasObjective)
        objective.trial_run(tiny_dataset())
        return objective

    return try_out


@pytest.fixture
def own_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a file adds to the path and to the modules is gone after the test."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("user_"):
            del sys.modules[name]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "x = x - 0.5",
        "x = (x - 0.13) / 0.31",
        "x = layers.Rescaling(255)(x)",
        "x = layers.Rescaling(1 / 255)(layers.Rescaling(255)(x))",
        "x = layers.BatchNormalization()(layers.Conv2D(2, 3)(x))",
        "x = layers.Normalization(mean=0.5 / 255, variance=1e-6)(layers.Rescaling(1 / 255)(x))",
        "x = layers.GlobalAveragePooling2D()(x)",
        "x = layers.LSTM(4)(layers.Reshape(image_shape[:2])(x))",
    ],
)
def test_nothing_is_said_of_a_network_without_a_fault(
    tried: Callable[..., KerasObjective], line: str
) -> None:
    """A warning that is not true would be the last that is read."""
    assert tried(line).warnings == []


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("x = layers.Rescaling(1 / 255)(x)", "(Rescaling) makes them 0 to 0.00"),
        ("x = layers.Rescaling(1 / 127.5, offset=-1)(x)", "(Rescaling) makes them -1 to -0.99"),
        ("x = keras.Sequential([layers.Rescaling(1 / 255)])(x)", "(Rescaling) makes them"),
        ("x = x / 255.0", "they are 0 to 0.00"),
        ("x = x * 1.0 - 117.0", "they are -117 to -116"),
        ("x = layers.BatchNormalization()(x / 255.0)", "they are 0 to 0.00"),
    ],
)
def test_images_that_are_scaled_again_are_a_warning(
    tried: Callable[..., KerasObjective], line: str, named: str
) -> None:
    """At any depth, by a layer or between the layers."""
    (warning,) = tried(line).warnings
    assert named in warning
    assert "scaled twice" in warning
    assert "\n" not in warning


def test_network_that_cannot_be_looked_at_is_not_judged() -> None:
    """What it raises is no matter of the images' scale."""

    class Odd:
        def _flatten_layers(self, **_: Any) -> list[Any]:
            raise ZeroDivisionError

    assert scaled_twice(Odd(), 8) is None


@pytest.mark.parametrize(
    ("top", "line", "what"),
    [
        ("hidden = layers.Dense(4)", "x = hidden(x)", r"net\.py:7: .* is 'hidden', which"),
        ("STEM = [layers.Conv2D(2, 3)]", "x = STEM[0](x)", r"net\.py:7: .* part of 'STEM', which"),
        (
            "core = keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(2, 3)])",
            "x = core(x)",
            r"net\.py:7: .* is 'core', which",
        ),
        (
            "class A:\n    enc = layers.Dense(4)",
            "x = A.enc(x)",
            r"net\.py:7: .* part of 'A', which",
        ),
        (
            "import functools\n@functools.cache\ndef core():\n    return layers.Dense(4)",
            "x = core()(x)",
            r"net\.py: .* not in each call",
        ),
    ],
)
def test_state_that_two_networks_share_is_refused(
    tried: Callable[..., KerasObjective], top: str, line: str, what: str
) -> None:
    """With the line that makes it."""
    with pytest.raises(ModelError, match=what) as caught:
        tried(line, top)
    assert caught.value.hint == "move it into build, so that each call makes its own"


def test_shared_model_and_optimizer_are_refused() -> None:
    """Though Keras would train with them."""
    import keras

    adam = keras.optimizers.Adam()
    same = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3, "softmax")]
    )

    def one_model(params: Mapping[str, Any], shape: Any, n_classes: int) -> Any:
        return same

    def one_optimizer(params: Mapping[str, Any], shape: Any, n_classes: int) -> Any:
        network = keras.models.clone_model(same)
        network.compile(adam, "categorical_crossentropy")
        return network

    for build, what in ((one_model, "the model"), (one_optimizer, "the optimizer")):
        with pytest.raises(ModelError, match=f"share {what}: it is made once"):
            objective_of(build).trial_run(tiny_dataset())


def test_stateless_layer_and_loss_may_be_shared(tried: Callable[..., KerasObjective]) -> None:
    """They keep nothing of a training."""
    assert tried("x = flat(x)", "flat = layers.Flatten(name='flat')").warnings == []


def test_unread_params_are_found(tried: Callable[..., KerasObjective]) -> None:
    """Known ones are refused, and others a warning; conditional ones are drawn first."""
    with pytest.raises(ModelError, match=r"'lr' .training reads it as learning_rate"):
        tried(space='{"units": [4], "lr": [0.1]}')
    (warning,) = tried(space='{"units": [4], "foo": [1, 2]}').warnings
    assert "the param 'foo' of" in warning
    conditional = '{"units": [4], "k": [1, 2], "w": {"choices": [1, 2], "when": {"k": 1}}}'
    assert tried("x = x * params.get('w', 1)", space=conditional).warnings == []


def test_param_that_a_callback_reads_is_read(tried: Callable[..., KerasObjective]) -> None:
    """It goes through the same params."""
    top = "def callbacks(params):\n    return [keras.callbacks.EarlyStopping(patience=params[KEY])]"
    space = '{"units": [4], "patience": [1, 2]}\nKEY = "patience"'
    assert tried(top=top, space=space).warnings == []


@pytest.mark.parametrize(
    ("top", "line", "why"),
    [
        (SCALE.format(default="", config=""), "x = Scale(2.0)(x)", "missing 1 required"),
        (SCALE.format(default="=1.0", config=""), "x = Scale(0.1)(x)", "predicts something else"),
        (SCALE.format(default="", config='"a": self.no'), "x = Scale(2.0)(x)", "no attribute 'no'"),
        (
            "",
            "x = layers.Lambda(lambda t: ops.flip(t, 1))(x)",
            "a loaded lambda has its argument only",
        ),
        (
            "",
            "class Own(layers.Layer):\n        def call(self, x):\n            return x\n"
            "    x = Own()(x)",
            "needs Own, which is not defined at the top",
        ),
        (
            "",
            "x = layers.Dense(4, activation=lambda t: t * 2)(x)",
            "replace the lambda by a function",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:The object being serialized includes a .lambda.:UserWarning")
def test_what_cannot_be_saved_and_loaded_is_a_warning(
    tried: Callable[..., KerasObjective], top: str, line: str, why: str
) -> None:
    """The search may go on: all but one file is written at its end."""
    (warning,) = tried(line, top).warnings
    assert warning.startswith("finalize will write all but model.keras: ")
    assert why in warning
    assert "\n" not in warning


@pytest.mark.parametrize(
    ("top", "line", "needs", "anew"),
    [
        (
            f"{GOOD}\ndef half(t):\n    return ops.multiply(t, 0.5)",
            "x = layers.Lambda(half)(Scale(0.5)(x))",
            ("Scale", "half"),
            True,
        ),
        (
            f"@keras.saving.register_keras_serializable('mine'){GOOD}",
            "x = layers.Lambda(lambda t: t * 0.5)(Scale(0.5)(x))",
            ("mine>Scale", "Lambda"),
            False,
        ),
    ],
)
def test_lines_of_the_card_load_the_file_elsewhere(
    tried: Callable[..., KerasObjective],
    tmp_path: Path,
    top: str,
    line: str,
    needs: tuple[str, ...],
    anew: bool,
) -> None:
    """In a process that knows nothing of this program; and in one that has Keras already."""
    objective, dataset = tried(line, top), tiny_dataset()
    (warning,) = objective.warnings
    assert warning.startswith("model.keras will need ")
    folder = tmp_path / "out"
    folder.mkdir()
    result = fitted(objective, {"units": 4})
    assert objective.export(result, folder / "model.keras") == needs
    objective.check_export(result, folder / "model.keras", dataset.test_images[:4])
    np.save(folder / "images.npy", dataset.test_images)
    lines = "\n".join(loading_lines(needs, f"{tmp_path / 'net.py'}:build", folder))
    code = PREDICTING.format(folder=str(folder), lines=lines)
    if anew:
        done = subprocess.run(
            [sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
    else:
        run_forked(code + "print(len(found))")
    expected = objective.predict(result, dataset.test_images)
    np.testing.assert_allclose(np.load(folder / "found.npy"), expected, atol=1e-5)


def test_default_network_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is known, and somebody waits."""
    monkeypatch.setattr("objectives.network.cnn.look_at", None)
    monkeypatch.setattr("objectives.network.cnn.Watched", None)
    assert digits_cnn(OPTIONS).trial_run(tiny_dataset()) > 0


def test_mistake_in_the_input_names_the_users_function() -> None:
    """Not the function that stands in its place while it is tried out."""

    def build(params: Any, image_shape: Any, n_classes: int) -> Any:
        import keras

        flat = keras.Input((64,))
        return keras.Model(flat, keras.layers.Dense(n_classes, activation="softmax")(flat))

    objective = KerasObjective(build, parse_space({"units": [8]}), FitOptions(epochs=1))
    with pytest.raises(ModelError, match=r"test_tryout\.py, line \d+, in build\)$"):
        objective.trial_run(tiny_dataset())


def test_build_may_take_params_out_of_its_own_copy(tried: Callable[..., KerasObjective]) -> None:
    """The network that is scored is built of the same params as the one that is trained."""
    take = 'scale = params.pop("units"); params["units"] = 7; x = layers.Rescaling(scale)(x)'
    objective = tried(take)
    result = fitted(objective, {"units": 4})
    scales = [layer.scale for layer in result.model._flatten_layers() if hasattr(layer, "scale")]
    assert scales == [pytest.approx(1 / 255), 4]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("x = x - ops.mean(x, axis=0)", "depends on the other images in its batch"),
        (
            "x = layers.Lambda(lambda t: t * keras.random.uniform(ops.shape(t)))(x)",
            "for an image differ each time",
        ),
    ],
)
def test_predictions_that_are_no_function_of_the_image_are_a_warning(
    tried: Callable[..., KerasObjective], line: str, said: str
) -> None:
    """A submission would depend on how its images are put together, or on chance."""
    assert said in "\n".join(tried(line).warnings)


def test_policy_that_build_forgets_is_a_warning(tried: Callable[..., KerasObjective]) -> None:
    """`clear_session()` in build takes the study's bfloat16 away."""
    options = replace(OPTIONS, precision="bfloat16")
    build = "keras.utils.clear_session(); images = keras.Input(image_shape); x = images"
    assert "build works in float32" in "\n".join(tried(build, options=options).warnings)
    assert tried("", options=options).warnings == []


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ('"batch_size": [32, 0]', "batch_size: training takes a whole number above 0, not 0"),
        ('"batch_size": [32, "64", 32.5]', "batch_size: training takes a whole number above 0"),
        ('"learning_rate": [None, 1e-3]', "learning_rate: training takes a number above 0, not"),
        ('"label_smoothing": {"low": 0.0, "high": 2.0}', "label_smoothing: .* not 2.0"),
        ('"optimizer": ["ftrl", "adam", "sgd"]', "optimizer: training takes adam, .* not 'ftrl'"),
        ('"zoom": {"low": -0.5, "high": 0.5}', "zoom: .* not -0.5"),
    ],
)
def test_values_that_no_training_takes_are_refused(
    tried: Callable[..., KerasObjective], space: str, said: str
) -> None:
    """Each choice and both ends of a range, not those alone that are drawn first."""
    with pytest.raises(ModelError, match=said):
        tried(space=f'{{"units": [4, 8], {space}}}')


CHECKPOINT = """
def callbacks(params):
    import os, tempfile
    folder = {folder}
    return keras.callbacks.ModelCheckpoint(folder + "best.weights.h5", save_weights_only=True)
"""


@pytest.mark.parametrize(
    ("folder", "is_shared"), [('""', True), ('tempfile.mkdtemp() + "/"', False)]
)
def test_file_that_trials_would_share_is_a_warning(
    tried: Callable[..., KerasObjective],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    folder: str,
    is_shared: bool,
) -> None:
    """One trial would load the weights of another that runs beside it."""
    monkeypatch.chdir(tmp_path)
    warnings = "\n".join(tried(top=CHECKPOINT.format(folder=folder)).warnings)
    assert ("trials run at the same time" in warnings) is is_shared


def test_module_called_callbacks_is_no_function_of_ours(
    tried: Callable[..., KerasObjective],
) -> None:
    """`from keras import callbacks` is in every second notebook."""
    assert tried(top="from keras import callbacks").callbacks is None


SUBCLASSED = """
class Net(keras.Model):
    def __init__(self, units, n_classes):
        super().__init__()
        self.inner = keras.Sequential([layers.Flatten(), layers.Dense(n_classes, "softmax")])
        self.loss_fn = keras.losses.SparseCategoricalCrossentropy()

    def call(self, x):
        return self.inner(x)

    def train_step(self, data):
        import tensorflow as tf

        x, y = data
        with tf.GradientTape() as tape:
            loss = self.loss_fn(y, self(x, training=True))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
        return {"loss": loss}


def build(params, image_shape, n_classes):
    net = Net(params["units"], n_classes)
    net.compile(optimizer="adam")
    return net
"""


def test_subclassed_network_with_its_own_step_gets_the_labels_that_it_takes(
    tmp_path: Path, own_modules: None
) -> None:
    """Class indexes, as its loss is sparse; it has no `inputs` to look at."""
    file = tmp_path / "net.py"
    head = 'import keras\nfrom keras import layers\n\nSPACE = {"units": [4]}\n'
    file.write_text(head + SUBCLASSED)
    objective = load_objective(
        "digits-cnn", fit_options=OPTIONS, options={}, model=f"{file}:build", space_overrides=None
    )
    assert objective.trial_run(tiny_dataset()) > 0
