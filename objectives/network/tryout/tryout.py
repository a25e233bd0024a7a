"""Check a user's `build` while its first batches train.

Some findings are refused (state shared by trainings, misnamed params), others are warnings (unread
params, images scaled twice, a `model.keras` that needs more than Keras).
"""

import functools
import random
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import CategoricalDistribution

from objectives.errors import ModelError
from objectives.network.building import keras_quiet
from objectives.network.export import PREDICT_BATCH, check_loading, predict_images, write_model
from objectives.network.optimizer import refuse_impossible
from objectives.network.train.callbacks import as_callbacks
from objectives.network.tryout.scaledtwice import scaled_twice
from objectives.network.tryout.sharedstate import refuse_layers_of_file, refuse_shared
from objectives.network.tryout.unread import (
    NotedParams,
    draw_where_active,
    refuse_known,
    unread,
    warning_of,
)
from objectives.space.python import Distribution
from objectives.space.space import SearchSpace, middle

_FILES = ("filepath", "backup_dir", "_backup_dir")  # of callbacks that read their own files
_SAME = 1e-4
_N_DRAWS = 4  # further configurations to build before a param counts as unread


class Watched:
    """A user's `build` and callbacks, wrapped to note their calls.

    Attributes:
        build: The wrapped `build`; `original` is the user's.
        networks: The networks that `build` returned, in order.
        made: The callbacks that were returned last.
        read: Names of params that `build` or `callbacks` read.
        compiled: Whether `build` has compiled a network.
    """

    def __init__(self, build: Callable[..., Any], callbacks: Callable[..., Any] | None) -> None:
        self.original, self._callbacks = build, callbacks

        @functools.wraps(build)  # so that messages name the user's function
        def watched(params: Mapping[str, Any], image_shape: Any, n_classes: int) -> Any:
            return self._build(params, image_shape, n_classes)

        self.build: Callable[..., Any] = watched
        self.networks: list[Any] = []
        self.read: set[str] = set()
        self.compiled = False
        self.made: list[Any] = []

    def _build(self, params: Mapping[str, Any], image_shape: Any, n_classes: int) -> Any:
        """Call the user's `build`, and compare its network with the previous one."""
        import keras

        try:
            network = self.original(NotedParams(params, self.read), image_shape, n_classes)
        except ValueError as error:
            # Keras restarts its counters of names with each training; older layers keep their
            # names.
            if "names should be unique" in str(error):
                refuse_layers_of_file(self.original)
            raise
        if isinstance(network, keras.Model):
            if self.networks:
                refuse_shared(self.networks[-1], network, self.original)
            self.networks.append(network)
            self.compiled = self.compiled or bool(network.compiled)
        return network

    def callbacks(self, params: Mapping[str, Any]) -> Any:
        """Call the user's `callbacks`, if there are any."""
        if self._callbacks is None:
            return []
        returned = self._callbacks(NotedParams(params, self.read))
        self.made = as_callbacks(returned)
        return self.made

    def unread(self, space: SearchSpace, image_shape: Any, n_classes: int) -> list[str]:
        """Return the params that no code reads, also in a few more configurations."""
        names = self._unread(space)
        generator = random.Random(0)
        for number in range(_N_DRAWS if names else 0):
            wanted = names[number % len(names)]
            params = draw_where_active(space, wanted, _draw(generator) if number else middle)
            try:
                with keras_quiet():
                    self.original(NotedParams(params, self.read), image_shape, n_classes)
                self.callbacks(params)
            except Exception:  # the code may read more params after that line
                return []
            names = self._unread(space)
            if not names:
                break
        return names

    def _unread(self, space: SearchSpace) -> list[str]:
        return unread(space, self.read, self.original, compiled=self.compiled)


def look_at(
    watched: Watched, space: SearchSpace, model: Any, images: NDArray[np.uint8], precision: str
) -> list[str]:
    """Return warnings about a model that has trained a few batches.

    Args:
        watched: The functions that made the model.
        space: The search space of the study.
        model: The serving model; unusable afterwards.
        images: At least two raw images.
        precision: The precision of the study.

    Raises:
        ModelError: A param has a wrong name, or a value that training does not accept.
    """
    side, n_classes = images.shape[1], model.output_shape[-1]
    refuse_impossible(space, compiled=watched.compiled)
    names = watched.unread(space, (side, side, 1), n_classes)
    refuse_known(names, space, compiled=watched.compiled)
    found = [
        warning_of(names, watched.read, compiled=watched.compiled),
        _about_predictions(model, images),
        _about_precision(watched.networks[:1], precision),
        _about_files(watched.made),
        _about_saving(model, watched.original, images),
        scaled_twice(watched.networks[-1], side) if watched.networks else None,
    ]
    return [warning for warning in found if warning is not None]


def _about_predictions(model: Any, images: NDArray[np.uint8]) -> str | None:
    """Return one line if a prediction depends on anything except its image."""
    first, again = (predict_images(model, images) for _ in range(2))
    if not np.allclose(first, again, atol=_SAME):
        return (
            "the model's predictions for an image differ each time: a layer also draws random "
            "numbers in predictions"
        )
    beside_white = np.full((PREDICT_BATCH, *images.shape[1:]), 255, np.uint8)
    beside_white[0] = images[0]
    if not np.allclose(first[:1], predict_images(model, beside_white)[:1], atol=_SAME):
        return (
            "the prediction for an image depends on the other images in its batch: scores and "
            "submission will depend on the batches"
        )
    return None


def _about_precision(networks: Sequence[Any], precision: str) -> str | None:
    """Return one line if layers compute in float32 in a study of bfloat16."""
    if precision != "bfloat16":
        return None
    for network in networks:
        learned = [layer for layer in network._flatten_layers() if layer.weights and layer.built]
        if learned and all(getattr(one, "compute_dtype", "") == "float32" for one in learned):
            return (
                "build works in float32, though the study trains in bfloat16: does it call "
                "clear_session()? --precision float32 says the same in the study"
            )
    return None


def _about_files(callbacks: Sequence[Any]) -> str | None:
    """Return one line if callbacks of concurrent trials would write to the same file."""
    for one in callbacks:
        for name in _FILES:
            path = getattr(one, name, None)
            if isinstance(path, str | Path) and not Path(path).is_absolute():
                return (
                    f"the callback {type(one).__name__} writes to {str(path)!r}: trials run at the "
                    "same time, so give each a file of its own, such as in tempfile.mkdtemp()"
                )
    return None


def _about_saving(model: Any, build: Callable[..., Any], images: NDArray[np.uint8]) -> str | None:
    """Return one line about `model.keras`; None if Keras alone can load it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        try:
            needs = write_model(model, path)
            check_loading(path, model, build, images)
        except ModelError as error:
            why = str(error).rstrip(".")
            return f"finalize will write all but model.keras: {why}; {error.hint}"
    if not needs.names:
        return None
    parts = [f"your {name}" for name in (*needs.custom, *needs.registered)]
    parts += ["safe_mode=False for its Python lambda"] if needs.has_lambda else []
    return f"model.keras will need {' and '.join(parts)} to load; the model card will say how"


def _draw(generator: random.Random) -> Callable[[str, Distribution], Any]:
    def suggest(name: str, distribution: Distribution) -> Any:
        if isinstance(distribution, CategoricalDistribution):
            return generator.choice(distribution.choices)
        return middle(name, distribution)

    return suggest
