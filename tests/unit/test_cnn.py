"""What can be said of the default space and of a training's arithmetic without training."""

import math
import random
from pathlib import Path

import numpy as np
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution

from objectives.base import FitOptions
from objectives.data.dataset import Split
from objectives.errors import DataError
from objectives.framework import runtime
from objectives.network.augment import Augmentation
from objectives.network.cnn import CNN_SPACE, KerasObjective, build_cnn, digits_cnn
from objectives.network.cost import default_epochs
from objectives.network.optimizer import OPTIMIZERS, SCHEDULES, TRAINING_DEFAULTS
from objectives.network.train.scoring import score
from objectives.network.train.training import epoch_order
from objectives.space.space import SearchSpace, middle, parse_space


def drawn(seed: int) -> dict[str, object]:
    """Draw params of the default space."""
    generator = random.Random(seed)

    def suggest(name: str, distribution: BaseDistribution) -> object:
        if isinstance(distribution, CategoricalDistribution):
            return generator.choice(distribution.choices)
        return generator.uniform(distribution.low, distribution.high)  # type: ignore[attr-defined]

    return CNN_SPACE.draw(suggest)


def test_space_holds_what_the_default_objective_promises() -> None:
    """Every param that is said to be tuned stands in the space."""
    promised = {"n_blocks", "filters_1", "filters_2", "filters_3", "kernel"}
    promised |= {"dropout", "dense_units", "sgd_learning_rate", *TRAINING_DEFAULTS}
    assert set(CNN_SPACE.names) == promised


def test_space_survives_its_toml_and_json() -> None:
    """The space that is stored, printed and given back is the same."""
    assert SearchSpace.from_json(CNN_SPACE.to_json()) == CNN_SPACE


@pytest.mark.parametrize("seed", range(20))
def test_each_draw_has_the_rate_and_the_filters_it_needs(seed: int) -> None:
    """Conditions leave exactly the params that build and training read."""
    params = drawn(seed)
    assert CNN_SPACE.check(params) == params
    assert ("sgd_learning_rate" in params) == (params["optimizer"] == "sgd")
    assert ("learning_rate" in params) == (params["optimizer"] != "sgd")
    n_filters = sum(name.startswith("filters_") for name in params)
    assert n_filters == params["n_blocks"]


def test_space_names_only_optimizers_and_schedules_that_exist() -> None:
    """The choices of the space are those that training knows."""
    draws = [drawn(seed) for seed in range(60)]
    assert {params["optimizer"] for params in draws} <= set(OPTIMIZERS)
    assert {params["schedule"] for params in draws} <= set(SCHEDULES)


def test_middle_lies_inside_every_kind_of_range() -> None:
    """Trial runs use params that the space itself accepts."""
    space = parse_space(
        {
            "log": {"low": 1e-4, "high": 1e-2, "log": True},
            "int": {"low": 1, "high": 4},
            "log_int": {"low": 8, "high": 512, "log": True},
            "stepped": {"low": 0.0, "high": 1.0, "step": 0.3},
            "int_stepped": {"low": 16, "high": 64, "step": 16},
            "choice": ["a", "b", "c"],
        }
    )
    params = space.draw(middle)
    assert space.check(params) == params
    assert params["log"] == pytest.approx(1e-3)
    assert params["log_int"] == 64
    assert params["choice"] == "b"


@pytest.mark.parametrize(
    ("n_rows", "n_epochs"), [(1, 20), (1_437, 20), (42_000, 5), (60_000, 4), (1_000_000, 3)]
)
def test_few_rows_get_more_epochs(n_rows: int, n_epochs: int) -> None:
    """The default is a budget of images seen, within bounds."""
    assert default_epochs(n_rows) == n_epochs


def test_order_of_an_epoch_is_a_pure_function_of_seed_and_epoch() -> None:
    """The global generators have no say in it."""
    np.random.seed(1)
    first = epoch_order(50, 7, 3, 64)
    np.random.seed(2)
    assert np.array_equal(first, epoch_order(50, 7, 3, 64))
    assert not np.array_equal(first, epoch_order(50, 7, 4, 64))
    assert not np.array_equal(first, epoch_order(50, 8, 3, 64))


def test_order_of_an_epoch_has_each_row_before_any_twice() -> None:
    """The last batch is filled up from the front."""
    order = epoch_order(50, 7, 0, 64)
    assert sorted(order[:50]) == list(range(50))
    assert np.array_equal(order[50:], order[:14])


def split_of(labels: list[int]) -> Split:
    """Return a split of blank images with these labels, the first row left out."""
    return Split(
        np.zeros((len(labels), 2, 2), np.uint8),
        np.array(labels, np.int64),
        np.arange(1, len(labels)),
    )


def test_score_counts_exactly_and_in_nats() -> None:
    """Two of three are right; the loss is the mean of minus the log of what the truth got."""
    probabilities = np.array([[0.5, 0.5], [0.25, 0.75], [0.25, 0.75]], np.float32)
    accuracy, loss = score(probabilities, split_of([1, 0, 1, 0]))
    assert accuracy == 2 / 3
    assert loss == pytest.approx(-(math.log(0.5) + math.log(0.75) + math.log(0.25)) / 3)


def test_one_hopeless_image_leaves_the_loss_finite() -> None:
    """A probability of zero for the truth counts as 1e-7."""
    _, loss = score(np.array([[1.0, 0.0]], np.float32), split_of([0, 1]))
    assert loss == pytest.approx(-math.log(1e-7))


def test_augmentation_is_off_unless_something_moves() -> None:
    """A network without augmentation pays nothing for it."""
    assert not Augmentation().active
    assert Augmentation(zoom=0.1).active


def test_precision_is_bfloat16_only_where_the_machine_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flags of the CPU decide; without any device, float32."""
    monkeypatch.setattr(runtime, "_gpu_capability", lambda: 0.0)
    info = tmp_path / "cpuinfo"
    monkeypatch.setattr(runtime, "CPU_INFO", info)
    assert runtime.detect_precision() == "float32"
    info.write_text("flags : fpu avx512f avx512_vnni\n")
    assert runtime.detect_precision() == "float32"
    info.write_text("flags : fpu avx512_bf16 avx512f\n")
    assert runtime.detect_precision() == "bfloat16"


def test_objective_states_its_facts() -> None:
    """The built-in one is the general one around our network and space."""
    objective = digits_cnn(FitOptions(epochs=2))
    assert isinstance(objective, KerasObjective)
    assert (objective.direction, objective.needs_data) == ("maximize", True)
    assert (objective.build, objective.space) == (build_cnn, CNN_SPACE)


def test_load_without_a_folder_says_so() -> None:
    """A forgotten --data is a known failure."""
    with pytest.raises(DataError, match="needs data"):
        digits_cnn(FitOptions()).load(None)
