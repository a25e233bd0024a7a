"""Results of the built-in objectives, as they were when their version was last raised.

Where one of these tests fails, the same study would now get other results. That may be meant: then
raise the version in `objectives/load.py` and write the new numbers here. Workers of older versions
are refused from then on, so that one study never mixes the two.
"""

from dataclasses import replace
from typing import Any

import pytest

from objectives.base import FitOptions
from objectives.load import BUILT_IN
from objectives.network.cnn import digits_cnn
from objectives.synthetic import synthetic_value
from tests.conditions import THREADS
from tests.integration.trainings import PARAMS, tiny_dataset

SGD = {
    **{name: PARAMS[name] for name in PARAMS if name not in ("learning_rate", "weight_decay")},
    "optimizer": "sgd", "sgd_learning_rate": 0.02, "schedule": "cosine", "kernel": 5,
}  # fmt: skip
SMALL = {
    **{name: SGD[name] for name in SGD if name not in ("filters_2", "batch_norm")},
    "n_blocks": 1, "optimizer": "rmsprop", "learning_rate": 2e-3, "dropout": 0.0,
}  # fmt: skip

TRAININGS: dict[int, list[tuple[dict[str, Any], list[float]]]] = {
    1: [
        (PARAMS, [0.719788, 0.222518, 0.182004]),
        (SGD, [0.292652, 0.0597, 0.0377988]),
        (SMALL, [0.749191, 0.380586, 0.304305]),
    ],
}
"""Version of digits-cnn to params and the log loss after each of three epochs."""

VALUES: dict[int, list[tuple[dict[str, Any], int, float]]] = {
    1: [
        ({"x": 0.5, "y": 1e-3, "n": 3, "kind": "plain"}, 7, 0.8108361606338259),
        ({"x": 0.2, "y": 3e-3, "n": 6, "kind": "deep", "depth": 3}, 11, 0.9972157187399332),
    ],
}
"""Version of synthetic to params, seed and value."""


@pytest.mark.parametrize("number", range(3))
def test_default_network_trains_as_this_version_does(number: int) -> None:
    """Initial weights, order, augmentation, schedule and optimizer all come into the log loss.

    Kernels of other machines round otherwise, by a hundredth of the tolerance.
    """
    params, wanted = TRAININGS[BUILT_IN["digits-cnn"].version][number]
    options = FitOptions(epochs=3, precision="float32", threads=THREADS, metric="log_loss")
    found: list[float] = []

    def report(step: int, value: float | None) -> None:
        assert value is not None
        found.append(value)

    dataset = replace(tiny_dataset(300), test_ids=(), test_images=tiny_dataset(3).images[:0])
    digits_cnn(fit_options=options).fit(params, dataset, seed=5, report=report, resume_dir=None)
    assert found == pytest.approx(wanted, rel=1e-4), found


@pytest.mark.parametrize("number", range(2))
def test_synthetic_values_are_those_of_this_version(number: int) -> None:
    """To the last bit: nothing in them depends on a machine."""
    params, seed, wanted = VALUES[BUILT_IN["synthetic"].version][number]
    assert synthetic_value(params, seed) == wanted
