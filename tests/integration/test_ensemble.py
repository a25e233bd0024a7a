"""Several trainings as one model, averaged over shifts: here, in NumPy, and from its file."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from objectives.base import Fitted
from objectives.network.cnn import KerasObjective, digits_cnn
from tests.integration.trainings import (
    AS_HERE,
    OPTIONS,
    PARAMS,
    build_linear,
    digest,
    fitted,
    loading,
    n_graphs,
    objective_of,
    run_forked,
    tiny_dataset,
)

# Keras 3.15 reads TensorFlow's variables in a way that NumPy 2 deprecates.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.trains,
]

SHIFTS = [(0, 0), (1, -2), (-2, 1)]
ARCHITECTURES: list[dict[str, Any]] = [{}, {"n_blocks": 1, "kernel": 5}, {"dense_units": 8}]
PRECISIONS = ("bfloat16", "float32", "bfloat16")


def members() -> list[Fitted]:
    """Return trainings of three architectures and both precisions, each with its own seed."""
    return [
        fitted(digits_cnn(replace(OPTIONS, precision=precision)), {**PARAMS, **own}, seed)
        for seed, (precision, own) in enumerate(zip(PRECISIONS, ARCHITECTURES, strict=True))
    ]


def moved(images: NDArray[np.uint8], down: int, right: int) -> NDArray[np.uint8]:
    """Return the images moved, with zeros where nothing was."""
    side = images.shape[1]
    framed = np.pad(images, ((0, 0), (side, side), (side, side)))
    return framed[:, side - down : 2 * side - down, side - right : 2 * side - right]


def mean_of(
    objective: KerasObjective, trained: list[Fitted], images: NDArray[np.uint8]
) -> NDArray[np.float64]:
    """Return the mean over members and shifts, by NumPy and in 64 bits."""
    found = [
        objective.predict(one, moved(images, *shift)).astype(np.float64)
        for one in trained
        for shift in SHIFTS
    ]
    return np.mean(found, axis=0)


ON_MORE_CORES = """
import json
from objectives.framework.runtime import overlap_ops
from tests.integration.test_ensemble import averaged_digest
overlap_ops(4)
print(json.dumps(averaged_digest()))
"""


def averaged_digest() -> str:
    """Return the hash of two trainings and of what their average says of the tiny images."""
    objective = digits_cnn(OPTIONS)
    trained = [fitted(objective, PARAMS, seed) for seed in (1, 2)]
    said = objective.predict(objective.combine(trained, SHIFTS), tiny_dataset().images)
    return " ".join([*map(digest, trained), hashlib.sha256(said.tobytes()).hexdigest()])


def test_a_process_that_uses_more_cores_gives_the_same_bits() -> None:
    """Members and shifts are predicted at once where workers have nothing to do."""
    assert run_forked(ON_MORE_CORES) == averaged_digest()


def test_average_is_that_of_its_members_here_and_from_its_file(tmp_path: Path) -> None:
    """Three architectures, three shifts; from the file, by Keras, the same bits."""
    objective, images = digits_cnn(OPTIONS), tiny_dataset(256).images
    trained = members()
    combined = objective.combine(trained, SHIFTS)
    assert combined.value is None
    assert combined.info == {"n_members": 3.0, "n_shifts": 3.0}
    found = objective.predict(combined, images)
    assert (found.shape, found.dtype) == ((256, 3), np.float32)
    np.testing.assert_allclose(found, mean_of(objective, trained, images), rtol=0, atol=1e-6)
    assert objective.export(combined, tmp_path / "model.keras") == ()
    elsewhere = run_forked(loading(tmp_path / "model.keras", images, AS_HERE))
    np.testing.assert_array_equal(found, np.array(elsewhere, np.float32))


def test_each_shift_and_each_member_has_a_say() -> None:
    """The test above can fail: without any of them, the mean is another."""
    objective, images = objective_of(build_linear), tiny_dataset().images
    trained = [fitted(objective, {}, seed) for seed in (1, 2)]
    whole = objective.predict(objective.combine(trained, SHIFTS), images)
    for some, shifts in ((trained, SHIFTS[:-1]), (trained, SHIFTS[1:]), (trained[:1], SHIFTS)):
        fewer = objective.predict(objective.combine(some, shifts), images)
        assert not np.allclose(whole, fewer, rtol=0, atol=1e-4)


def test_one_member_that_stays_in_place_predicts_the_same_bits() -> None:
    """The average of one is that one; averaging costs nothing where nothing is averaged."""
    objective, images = digits_cnn(OPTIONS), tiny_dataset(300).images
    one = fitted(objective, PARAMS)
    before = objective.predict(one, images)
    alone = objective.combine([one], [(0, 0)])
    np.testing.assert_array_equal(objective.predict(alone, images), before)
    assert len(alone.model.get_weights()) == len(one.model.get_weights())
    objective.combine([one], SHIFTS)
    np.testing.assert_array_equal(objective.predict(one, images), before)


def test_members_of_a_users_build_may_have_layers_of_the_same_names(tmp_path: Path) -> None:
    """Names that the user gave are those of every member, and its file is loaded with them."""
    import keras

    def build(params: Mapping[str, Any], shape: tuple[int, int, int], n_classes: int) -> Any:
        pixels = keras.Input(shape, name="pixels")
        flat = keras.layers.Flatten(name="flat")(pixels)
        classes = keras.layers.Dense(n_classes, activation="softmax", name="classes")(flat)
        return keras.Model(pixels, classes, name="mine")

    objective, images = objective_of(build), tiny_dataset().images
    trained = [fitted(objective, {}, seed) for seed in (1, 2)]
    combined = objective.combine(trained, SHIFTS)
    found = objective.predict(combined, images)
    np.testing.assert_allclose(found, mean_of(objective, trained, images), rtol=0, atol=1e-6)
    assert objective.export(combined, tmp_path / "model.keras") == ()
    loaded = keras.models.load_model(tmp_path / "model.keras").predict(images, verbose=0)
    np.testing.assert_allclose(found, loaded, rtol=0, atol=1e-6)
    assert found.argmax(axis=1).tolist() == loaded.argmax(axis=1).tolist()


def test_average_leaves_no_graph_behind() -> None:
    """A worker averages over shifts after each training: its memory must not grow with them."""
    objective, images = objective_of(build_linear), tiny_dataset().images

    def once() -> int:
        objective.predict(objective.combine([fitted(objective, {})], SHIFTS), images)
        return n_graphs()

    assert once() == once()


def test_what_cannot_be_averaged_is_refused() -> None:
    """No member, one member twice, no shift, and a shift that leaves nothing to see."""
    objective = objective_of(build_linear)
    one = fitted(objective, {})
    for trained in ([], [one, one]):
        with pytest.raises(ValueError, match=f"{len(trained)} members"):
            objective.combine(trained, [(0, 0)])
    for shifts in ([], [(0, 0), (0, -8)]):
        with pytest.raises(ValueError, match="cannot be moved"):
            objective.combine([one], shifts)
