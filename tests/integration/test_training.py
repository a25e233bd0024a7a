"""Real trainings, tiny ones: the same bits, the honest score, and what happens to users' models."""

import gc
import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from objectives.base import FitOptions, Fitted
from objectives.cnn import KerasObjective, build_cnn, digits_cnn
from objectives.errors import DivergedError, LeaseLost, ModelError, ObjectiveError, Pruned
from objectives.kaggle import Dataset, Split
from objectives.optimizer import OPTIMIZERS, SCHEDULES, make_schedule
from objectives.space import parse_space

# Keras 3.15 reads TensorFlow's variables in a way that NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

ROOT = Path(__file__).parents[2]
OPTIONS = FitOptions(epochs=2, precision="float32", threads=1)

# Everything random at once: dropout, shuffling, augmentation; and batch norm's own averages.
PARAMS: dict[str, Any] = {
    "n_blocks": 2,
    "filters_1": 4,
    "filters_2": 8,
    "kernel": 3,
    "batch_norm": True,
    "dropout": 0.3,
    "dense_units": 16,
    "optimizer": "adamw",
    "learning_rate": 3e-3,
    "weight_decay": 1e-2,
    "schedule": "one_cycle",
    "batch_size": 16,
    "label_smoothing": 0.05,
    "shift": 0.1,
    "rotation": 10.0,
    "zoom": 0.1,
}


def tiny_dataset(n_rows: int = 75) -> Dataset:
    """Return 8x8 images of three classes, told apart by the brightest third of their rows."""
    generator = np.random.default_rng(5)
    labels = np.arange(n_rows, dtype=np.int64) % 3
    images = generator.integers(0, 120, (n_rows, 8, 8), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[2 * label + 1 : 2 * label + 3] += 130
    rows = np.arange(n_rows)
    return Dataset(
        images=images,
        labels=labels,
        classes=("0", "1", "2"),
        test_images=images[:20],
        test_ids=tuple(str(number) for number in range(1, 21)),
        id_column="ImageId",
        label_column="Label",
        fingerprint="0" * 64,
        train=Split(images, labels, rows[rows % 5 != 0]),
        valid=Split(images, labels, rows[rows % 5 == 0]),
    )


def build_linear(params: Mapping[str, Any], shape: tuple[int, int, int], n_classes: int) -> Any:
    """Return the smallest network there is: it trains in a fraction of a second."""
    import keras

    softmax = keras.layers.Dense(n_classes, activation="softmax")
    return keras.Sequential([keras.Input(shape), keras.layers.Flatten(), softmax])


def objective_of(
    build: Any, options: FitOptions = OPTIONS, callbacks: Any = None
) -> KerasObjective:
    """Return an objective around `build` with a space of one param."""
    return KerasObjective(build, parse_space({"units": [4, 8]}), options, callbacks=callbacks)


def fitted(objective: KerasObjective, params: Mapping[str, Any], seed: int = 1) -> Fitted:
    """Fit on the tiny dataset and forget the reports."""
    return objective.fit(
        params, tiny_dataset(), seed=seed, report=lambda step, value: None, resume_dir=None
    )


def digest(result: Fitted) -> str:
    """Return the hash of all weights, batch norm's averages among them, and of the score."""
    content = b"".join(weight.tobytes() for weight in result.model.get_weights())
    return hashlib.sha256(content + repr(result.value).encode()).hexdigest()


def run_python(code: str) -> Any:
    """Run code in a fresh interpreter, which must print one JSON value and nothing else."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


FRESH_FITS = """
import importlib.util, json
spec = importlib.util.spec_from_file_location("trainings", {file!r})
trainings = importlib.util.module_from_spec(spec)
spec.loader.exec_module(trainings)
print(json.dumps(trainings.digests()))
"""


def digests() -> dict[str, str]:
    """Return what one training gives in each precision, as the first of this process or not."""
    found = {}
    for precision in ("bfloat16", "float32"):
        objective = digits_cnn(replace(OPTIONS, precision=precision))
        found[precision] = digest(fitted(objective, PARAMS))
    return found


def test_a_training_gives_the_same_bits_in_any_process_after_any_other() -> None:
    """Value and weights do not depend on what the process did before, in either precision.

    The fresh process must also print nothing: TensorFlow's greetings are held back.
    """
    fitted(digits_cnn(OPTIONS), {**PARAMS, "n_blocks": 1, "optimizer": "rmsprop"}, seed=9)
    np.random.seed(123)
    after_another = digests()
    assert after_another == run_python(FRESH_FITS.format(file=__file__))
    assert after_another["float32"] != after_another["bfloat16"]


def test_another_seed_gives_another_training() -> None:
    """The test above can fail."""
    first = fitted(objective_of(build_linear), {}, seed=1)
    assert digest(first) != digest(fitted(objective_of(build_linear), {}, seed=2))


def test_value_is_the_accuracy_of_what_predict_says_of_the_valid_rows() -> None:
    """The score belongs to the model that is kept, digit for digit."""
    objective, dataset = digits_cnn(OPTIONS), tiny_dataset()
    reports: list[tuple[int, float]] = []
    result = objective.fit(
        PARAMS, dataset, seed=1, report=lambda *report: reports.append(report), resume_dir=None
    )
    valid = dataset.valid
    probabilities = objective.predict(result, valid.images[valid.rows])
    assert probabilities.dtype == np.float32
    assert probabilities.shape == (len(valid), 3)
    n_correct = (probabilities.argmax(axis=1) == valid.labels[valid.rows]).sum()
    assert result.value == n_correct / len(valid)
    assert [step for step, _ in reports] == [0, 1]
    assert reports[-1][1] == result.value
    assert set(result.info) == {"valid_loss", "train_s", "images_per_s", "n_epochs"}


def test_the_tiny_images_are_learned() -> None:
    """Scaling, labels and augmentation belong together: ten epochs get nearly all right."""
    params = {**PARAMS, "dropout": 0.0, "label_smoothing": 0.0, "learning_rate": 1e-2}
    result = fitted(digits_cnn(replace(OPTIONS, epochs=10)), params)
    assert result.value is not None
    assert result.value >= 0.9


def test_training_on_all_rows_has_no_value_and_reports_nothing() -> None:
    """The retraining of the winner leaves no row to score."""
    dataset = tiny_dataset()
    every = replace(dataset.train, rows=np.arange(75))
    none = replace(dataset.valid, rows=np.arange(0))
    reports: list[float] = []
    result = objective_of(build_linear).fit(
        {},
        replace(dataset, train=every, valid=none),
        seed=1,
        report=lambda step, value: reports.append(value),
        resume_dir=None,
    )
    assert result.value is None
    assert reports == []
    assert "valid_loss" not in result.info


def test_a_loss_that_is_no_number_ends_the_trial_as_diverged() -> None:
    """The params are infeasible; that is no failure of the program."""
    with pytest.raises(DivergedError, match=r"loss became (nan|inf)"):
        fitted(objective_of(build_linear), {"optimizer": "sgd", "learning_rate": 1e38})


@pytest.mark.parametrize("decision", [Pruned, LeaseLost])
def test_what_report_raises_comes_through_and_leaves_no_mess(decision: type[Exception]) -> None:
    """Callbacks close their runs, and the next training is as if nothing had been."""
    ended: list[bool] = []

    def callbacks(params: Mapping[str, Any]) -> list[Any]:
        import keras

        return [keras.callbacks.LambdaCallback(on_train_end=lambda logs: ended.append(True))]

    def refuse(step: int, value: float) -> None:
        raise decision("enough")

    undisturbed = digest(fitted(objective_of(build_linear), {}))
    objective = objective_of(build_linear, callbacks=callbacks)
    with pytest.raises(decision, match="enough"):
        objective.fit({}, tiny_dataset(), seed=1, report=refuse, resume_dir=None)
    assert ended == [True]
    assert digest(fitted(objective_of(build_linear), {})) == undisturbed


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_trains_with_weight_decay_and_schedule(name: str) -> None:
    """Each choice of a space works with the others, and moves the weights."""
    schedule = SCHEDULES[OPTIMIZERS.index(name) % len(SCHEDULES)]
    params = {"optimizer": name, "weight_decay": 0.01, "schedule": schedule}
    still = fitted(objective_of(build_linear), {**params, "learning_rate": 1e-30})
    assert digest(still) != digest(fitted(objective_of(build_linear), params))


def test_schedules_start_peak_and_end_where_they_say() -> None:
    """cosine falls from the rate to 0; one_cycle rises from a tenth of it within 30 %."""
    assert make_schedule("constant", 0.5, 100) == 0.5
    cosine, cycle = make_schedule("cosine", 0.5, 100), make_schedule("one_cycle", 0.5, 100)
    assert [float(cosine(step)) for step in (0, 50, 100)] == pytest.approx([0.5, 0.25, 0.0])
    assert [float(cycle(step)) for step in (0, 30, 65, 100)] == pytest.approx(
        [0.05, 0.5, 0.25, 0.0], abs=1e-7
    )


@pytest.mark.parametrize("name", ["optimizer", "schedule"])
def test_an_unknown_choice_is_named(name: str) -> None:
    """A user's space may hold what training does not know."""
    with pytest.raises(ModelError, match=f"unknown {name} 'magic'; there are"):
        fitted(objective_of(build_linear), {name: "magic"})


@pytest.mark.parametrize("loss", ["sparse_categorical_crossentropy", "categorical_crossentropy"])
def test_a_compiled_model_keeps_its_optimizer_and_loss(loss: str) -> None:
    """Labels come as that loss wants them, and our params have no say."""
    optimizers = []

    def build(params: Mapping[str, Any], shape: tuple[int, int, int], n_classes: int) -> Any:
        import keras

        network = build_linear(params, shape, n_classes)
        network.compile(keras.optimizers.SGD(0.25), loss, metrics=["accuracy"])
        optimizers.append(network.optimizer)
        return network

    result = fitted(objective_of(build), {"optimizer": "magic"})
    assert float(optimizers[0].learning_rate) == 0.25
    assert int(optimizers[0].iterations) == 2 * 1
    assert result.value is not None


def test_sparse_and_one_hot_losses_train_alike() -> None:
    """They are one loss in two spellings."""
    weights = []
    for loss in ("SparseCategoricalCrossentropy", "CategoricalCrossentropy"):

        def build(
            params: Mapping[str, Any], shape: tuple[int, int, int], n_classes: int, loss: str = loss
        ) -> Any:
            import keras

            network = build_linear(params, shape, n_classes)
            network.compile("adam", getattr(keras.losses, loss)())
            return network

        weights.append(fitted(objective_of(build), {}).model.get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_averaged_weights_are_scored_and_kept() -> None:
    """With `use_ema` the model that is kept holds the averages, not the last weights."""
    networks = []

    def build(params: Mapping[str, Any], shape: tuple[int, int, int], n_classes: int) -> Any:
        import keras

        network = build_linear(params, shape, n_classes)
        optimizer = keras.optimizers.Adam(0.1, use_ema=True, ema_momentum=0.9)
        network.compile(optimizer, "categorical_crossentropy")
        networks.append(network)
        return network

    result = fitted(objective_of(build), {})
    last = networks[0].get_weights()[0]
    assert not np.allclose(last, result.model.get_weights()[0])
    averages = [variable.numpy() for variable in networks[0].optimizer.variables]
    assert any(np.array_equal(result.model.get_weights()[0], average) for average in averages)


def test_callbacks_may_stop_and_put_the_best_weights_back() -> None:
    """The value is that of the weights that are kept."""

    def callbacks(params: Mapping[str, Any]) -> list[Any]:
        import keras

        assert params == {"learning_rate": 0.0}
        return [keras.callbacks.EarlyStopping("val_accuracy", restore_best_weights=True)]

    objective = objective_of(build_linear, replace(OPTIONS, epochs=9), callbacks)
    result = fitted(objective, {"learning_rate": 0.0})
    assert result.info["n_epochs"] == 2
    assert result.value is not None


def test_a_batch_size_above_the_rows_takes_them_all() -> None:
    """Small data is no error."""
    result = fitted(objective_of(build_linear), {"batch_size": 4096})
    assert result.info["n_epochs"] == 2


def broken_build(params: Mapping[str, Any], shape: tuple[int, int, int], n_classes: int) -> Any:
    """Fail like a user's typo does."""
    return params["unitz"]


def deep_build(params: Mapping[str, Any], shape: tuple[int, int, int], n_classes: int) -> Any:
    """Pool a small image away, which Keras itself refuses."""
    import keras

    pools = [keras.layers.MaxPooling2D(4) for _ in range(3)]
    return keras.Sequential([keras.Input(shape), *pools])


def logits_build(params: Mapping[str, Any], shape: tuple[int, int, int], n_classes: int) -> Any:
    """Forget the softmax."""
    import keras

    head = [keras.layers.Flatten(), keras.layers.Dense(n_classes)]
    return keras.Sequential([keras.Input(shape), *head])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (broken_build, r"^KeyError: 'unitz' \(test_training.py, line \d+, in broken_build\)$"),
        (deep_build, r"^ValueError: .*negative.*\(test_training.py, line \d+, in deep_build\)$"),
        (logits_build, "no probabilities: a row sums to"),
        (lambda *_: "model", "build returned 'model', not a keras.Model"),
        (lambda p, s, n: build_linear(p, s, n + 1), r"of shape \(None, 4\), not .*\(None, 3\)"),
    ],
    ids=["typo", "too-deep", "logits", "no-model", "wrong-classes"],
)
def test_a_trial_run_turns_a_mistake_into_one_line(build: Any, message: str) -> None:
    """A typo costs a second and names its file and line, before any slot is planned."""
    with pytest.raises(ObjectiveError, match=message) as caught:
        objective_of(build).trial_run(tiny_dataset())
    assert isinstance(caught.value, ModelError)
    assert "\n" not in str(caught.value)


def test_a_trial_run_of_the_default_objective_passes() -> None:
    """One batch goes through build, training and predict."""
    digits_cnn(OPTIONS).trial_run(tiny_dataset())


def test_the_default_network_fits_images_of_any_size() -> None:
    """Pooling never shrinks an image below one pixel."""
    params = {**PARAMS, "n_blocks": 3, "filters_3": 8, "kernel": 5}
    for side in (1, 5, 8, 29):
        network = build_cnn(params, (side, side, 1), 7)
        assert network.output_shape == (None, 7)


LOADED = """
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import json, sys, numpy as np
import keras, tensorflow
model = keras.models.load_model({model!r})
images = np.load({images!r})
assert images.dtype == np.uint8 and not model.compiled
print(json.dumps(model.predict(images, verbose=0).argmax(axis=1).tolist()))
"""


def load_elsewhere(model: Path, images: NDArray[np.uint8]) -> list[int]:
    """Return the labels that the file gives in a process with Keras and TensorFlow alone."""
    np.save(model.with_suffix(".npy"), images)
    code = LOADED.format(model=str(model), images=str(model.with_suffix(".npy")))
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    labels: list[int] = json.loads(done.stdout)
    return labels


def test_exported_file_gives_the_same_labels_from_raw_images_elsewhere(tmp_path: Path) -> None:
    """One file, no project code, no custom objects; trained in bfloat16, saved in float32."""
    objective, dataset = digits_cnn(replace(OPTIONS, precision="bfloat16")), tiny_dataset()
    result = fitted(objective, PARAMS)
    assert objective.export(result, tmp_path / "model.keras") == ()
    assert [path.name for path in tmp_path.iterdir()] == ["model.keras"]
    labels = objective.predict(result, dataset.images).argmax(axis=1)
    assert load_elsewhere(tmp_path / "model.keras", dataset.images) == labels.tolist()


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


def test_an_earlier_model_still_predicts_after_a_later_training() -> None:
    """Clearing Keras's session takes nothing from a model that is still held."""
    objective, images = objective_of(build_linear), tiny_dataset().images
    first = fitted(objective, {})
    before = objective.predict(first, images)
    fitted(objective, {}, seed=2)
    np.testing.assert_array_equal(before, objective.predict(first, images))


def n_graphs() -> int:
    """Return the number of TensorFlow graphs that are alive once Keras has let go of all it can."""
    import keras

    keras.utils.clear_session()
    return sum(type(thing).__name__ == "FuncGraph" for thing in gc.get_objects())


def test_a_training_leaves_no_graph_behind() -> None:
    """A worker trains hundreds of networks in one process: its memory must not grow with them."""
    fitted(digits_cnn(OPTIONS), PARAMS)
    before = n_graphs()
    fitted(digits_cnn(OPTIONS), PARAMS, seed=2)
    assert n_graphs() == before


def test_other_threads_than_the_process_has_are_refused() -> None:
    """Another number gives other weights, so it is never taken silently."""
    fitted(objective_of(build_linear), {})
    with pytest.raises(ModelError, match="not with --threads 2"):
        fitted(objective_of(build_linear, replace(OPTIONS, threads=2)), {})


def test_augmentation_moves_images_a_little_and_the_same_way_again() -> None:
    """A pure function of seed and step that keeps brightness where it is."""
    import tensorflow as tf

    from objectives.augment import Augmentation, augmented

    blob = np.zeros((64, 9, 9, 1), np.float32)
    blob[:, 3:6, 3:6] = 1.0
    images, (seed, step) = tf.constant(blob), tf.constant([3, 4], tf.int64)
    ranges = Augmentation(shift=0.1, rotation=15.0, zoom=0.1)
    moved = augmented(images, seed, step, ranges).numpy()
    np.testing.assert_array_equal(moved, augmented(images, seed, step, ranges).numpy())
    assert not np.array_equal(moved, augmented(images, seed, step + 1, ranges).numpy())
    assert not np.array_equal(moved[0], moved[1])
    place = np.arange(9)[None, :, None, None]
    rows = (moved * place).sum((1, 2, 3)) / moved.sum((1, 2, 3))
    assert np.abs(rows - 4).max() < 1.2
    assert abs(rows.mean() - 4) < 0.2
    spun = augmented(images, seed, step, Augmentation(rotation=90.0)).numpy()
    rows = (spun * place).sum((1, 2, 3)) / spun.sum((1, 2, 3))
    np.testing.assert_allclose(rows, 4.0, atol=1e-3)
