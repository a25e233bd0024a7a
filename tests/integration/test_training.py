"""Real trainings, tiny ones: the same bits, the honest score, and no traces."""

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from objectives.errors import DivergedError, LeaseLost, ModelError, Pruned
from objectives.network.cnn import digits_cnn
from objectives.network.optimizer import OPTIMIZERS, SCHEDULES, make_schedule
from objectives.network.train.step import traced_step
from tests.conditions import THREADS, seeded
from tests.integration.trainings import (
    OPTIONS,
    PARAMS,
    build_linear,
    digest,
    digests,
    fitted,
    n_graphs,
    objective_of,
    run_python,
    tiny_dataset,
)

# Keras 3.15 reads TensorFlow's variables in a way that NumPy 2 deprecates.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.trains,
]

# Traced in half the time; dropout and batch norm are there.
SMALLER = {**PARAMS, "n_blocks": 1, "shift": 0.0, "rotation": 0.0, "zoom": 0.0}
FRESH_FITS = """
import json
from tests.integration.trainings import digests
print(json.dumps(digests()))
"""


def test_a_training_gives_the_same_bits_in_any_process_after_any_other() -> None:
    """Value and weights do not depend on what the process did before, in either precision.

    The fresh process must also print nothing: TensorFlow's greetings are held back.
    """
    fitted(digits_cnn(OPTIONS), {**PARAMS, "n_blocks": 1, "optimizer": "rmsprop"}, seed=9)
    np.random.seed(123)
    after_another = digests()
    assert after_another == run_python(FRESH_FITS)
    assert after_another["float32"] != after_another["bfloat16"]


def test_another_seed_gives_another_training() -> None:
    """The test above can fail."""
    first = fitted(objective_of(build_linear), {}, seed=1)
    assert digest(first) != digest(fitted(objective_of(build_linear), {}, seed=2))


def test_value_is_the_accuracy_of_what_predict_says_of_the_valid_rows() -> None:
    """The score belongs to the model that is kept, digit for digit."""
    objective, dataset = digits_cnn(OPTIONS), tiny_dataset()
    reports: list[tuple[int, float]] = []
    started = time.perf_counter()
    result = objective.fit(
        PARAMS,
        dataset,
        seed=seeded(1),
        report=lambda *report: reports.append(report),
        resume_dir=None,
    )
    took_s = time.perf_counter() - started
    valid = dataset.valid
    probabilities = objective.predict(result, valid.images[valid.rows])
    assert probabilities.dtype == np.float32
    assert probabilities.shape == (len(valid), 3)
    n_correct = (probabilities.argmax(axis=1) == valid.labels[valid.rows]).sum()
    assert result.value == n_correct / len(valid)
    assert [step for step, _ in reports] == [0, 1]
    assert reports[-1][1] == result.value
    assert set(result.info) == {
        "valid_accuracy", "valid_loss", "train_s", "images_per_s", "n_epochs", "images", "flop",
        "import_s", "build_s", "first_step_s", "first_valid_s", "valid_s", "checkpoint_s",
        "report_s", "cost_s",
    }  # fmt: skip
    parts = ("train_s", "first_valid_s", "valid_s", "checkpoint_s", "report_s", "cost_s")
    assert result.info["first_step_s"] < result.info["train_s"]
    assert sum(result.info[part] for part in (*parts, "import_s", "build_s")) < took_s


def build_descending(params: Mapping[str, Any], shape: tuple[int, int, int], n_classes: int) -> Any:
    """Return the linear network, compiled with plain gradient descent."""
    import keras

    network = build_linear(params, shape, n_classes)
    network.compile(keras.optimizers.SGD(0.5), "categorical_crossentropy")
    return network


@pytest.mark.parametrize("zoom", [0.0, 1e-9], ids=["still", "hardly-moved"])
def test_weights_descend_by_the_gradient_of_images_and_their_labels(zoom: float) -> None:
    """Scaling, labels and augmentation belong together: NumPy comes to the same weights."""
    begun: list[Any] = []

    def callbacks(params: Mapping[str, Any]) -> list[Any]:
        import keras

        class Watch(keras.callbacks.Callback):  # type: ignore[misc]
            def on_train_begin(self, logs: Any = None) -> None:
                begun.extend(self.model.get_weights())

        return [Watch()]

    options = replace(OPTIONS, epochs=5, precision="float32")
    result = fitted(objective_of(build_descending, options, callbacks), {"zoom": zoom})
    train = tiny_dataset().train
    images = train.images[train.rows].reshape(len(train), -1) / 255
    targets = np.eye(3)[train.labels[train.rows]]
    kernel, bias = (weight.astype(np.float64) for weight in begun)
    for _ in range(options.epochs):
        exponentials = np.exp(images @ kernel + bias)
        error = exponentials / exponentials.sum(axis=1, keepdims=True) - targets
        kernel = kernel - 0.5 * images.T @ error / len(train)
        bias = bias - 0.5 * error.mean(axis=0)
    for found, expected in zip(result.model.get_weights(), (kernel, bias), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)
    assert np.abs(begun[0] - kernel).max() > 0.01


def test_training_on_all_rows_has_no_value_and_reports_none() -> None:
    """The retraining of the winner leaves no row to score; its epochs are reported all the same."""
    reports: list[tuple[int, float | None]] = []
    result = objective_of(build_linear).fit(
        {},
        tiny_dataset().for_retraining(),
        seed=seeded(1),
        report=lambda *report: reports.append(report),
        resume_dir=None,
    )
    assert result.value is None
    assert reports == [(0, None), (1, None)]
    assert "valid_loss" not in result.info


def test_stop_is_heard_in_a_training_without_valid_rows() -> None:
    """A retraining that nobody wants any more ends after its epoch, and not at its end."""
    epochs: list[int] = []

    def report(step: int, value: float | None) -> None:
        epochs.append(step)
        raise LeaseLost("stop")

    with pytest.raises(LeaseLost, match="stop"):
        objective_of(build_linear, replace(OPTIONS, epochs=50)).fit(
            {}, tiny_dataset().for_retraining(), seed=seeded(1), report=report, resume_dir=None
        )
    assert epochs == [0]


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
        objective.fit({}, tiny_dataset(), seed=seeded(1), report=refuse, resume_dir=None)
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


def test_a_batch_size_above_the_rows_takes_them_all() -> None:
    """Small data is no error."""
    result = fitted(objective_of(build_linear), {"batch_size": 4096})
    assert result.info["n_epochs"] == 2


def test_an_earlier_model_still_predicts_after_a_later_training() -> None:
    """Clearing Keras's session takes nothing from a model that is still held."""
    objective, images = objective_of(build_linear), tiny_dataset().images
    first = fitted(objective, {})
    before = objective.predict(first, images)
    fitted(objective, {}, seed=2)
    np.testing.assert_array_equal(before, objective.predict(first, images))


def test_a_training_leaves_no_graph_behind() -> None:
    """A worker trains hundreds of networks in one process: its memory must not grow with them."""
    fitted(digits_cnn(OPTIONS), SMALLER)
    before = n_graphs()
    fitted(digits_cnn(OPTIONS), SMALLER, seed=2)
    assert n_graphs() == before


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The networks for which a step was made, in order."""
    networks: list[Any] = []

    def noted(network: Any, *sizes: Any) -> Any:
        networks.append(network)
        return traced_step(network, *sizes)

    monkeypatch.setattr("objectives.network.train.training.traced_step", noted)
    return networks


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_the_same_params_again_trace_nothing_and_give_the_bits_of_a_new_network(
    optimizer: str, traced: list[Any]
) -> None:
    """Whatever the training before has left in the network, one that was broken off too."""

    def refuse(step: int, value: float | None) -> None:
        raise Pruned("enough")

    objective, params = digits_cnn(OPTIONS), {**SMALLER, "optimizer": optimizer}
    fitted(objective, {**params, "dropout": 0.45})
    first = digest(fitted(objective, params, seed=1))
    with pytest.raises(Pruned):
        objective.fit(params, tiny_dataset(), seed=2, report=refuse, resume_dir=None)
    assert digest(fitted(objective, params, seed=1)) == first
    assert digest(fitted(objective, params, seed=2)) != first
    assert len(traced) == 2


def test_a_finished_training_that_is_resumed_does_not_shorten_the_next(tmp_path: Path) -> None:
    """Its network, which the next training with the same params takes over, had been stopped."""
    objective = digits_cnn(OPTIONS)
    for number in (1, 2):
        objective.fit(
            SMALLER,
            tiny_dataset(),
            seed=1,
            report=lambda step, value: None,
            resume_dir=tmp_path / f"trial-{number}",
        )
    assert fitted(objective, SMALLER, seed=2).info["n_epochs"] == OPTIONS.epochs


def test_a_users_network_is_traced_each_time(traced: list[Any]) -> None:
    """It may keep in Python what its graph has read there."""
    for _ in range(2):
        fitted(objective_of(build_linear), {})
    assert len(traced) == 2
    assert traced[0] is not traced[1]


def test_other_threads_than_the_process_has_are_refused() -> None:
    """Another number gives other weights, so it is never taken silently."""
    fitted(objective_of(build_linear), {})
    with pytest.raises(ModelError, match=f"not with --threads {THREADS + 1}"):
        fitted(objective_of(build_linear, replace(OPTIONS, threads=THREADS + 1)), {})


def test_augmentation_moves_images_a_little_and_the_same_way_again() -> None:
    """A pure function of seed and step that keeps brightness where it is."""
    import tensorflow as tf

    from objectives.network.augment import Augmentation, augmented

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
