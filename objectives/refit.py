"""Objective that retrains configurations of a search, on the rows outside a fold or on all rows.

It is the objective of a companion, the study of a finalize. Its params name configuration, rows and
seed. Each training on folds stores its predictions for the held-out rows.
"""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objectives.base import Fitted, Objective, Params, Report, refuse_unfinite_predictions
from objectives.errors import DivergedError
from objectives.space.space import SearchSpace, parse_space

ALL_ROWS = 0
"""The `fold` of a training on every labelled row; folds to hold out count from 1."""

SHIFTS = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))
"""Shifts in pixels (down, right) over which predictions may be averaged; the first is zero."""

REFIT_SPACE: SearchSpace = parse_space(
    {
        "candidate": {"low": 0, "high": 100_000_000},  # slot of the search
        "epochs": {"low": 1, "high": 1_000_000},
        "n_folds": {"low": 2, "high": 1000},
        "split": {"low": 0, "high": 1_000_000},  # which partition into folds
        "fold": {"low": ALL_ROWS, "high": 1000},
        "member": {"low": 0, "high": 1_000_000},  # on all rows: each member has another seed
        # Epochs after which a training on all rows ends, without valid rows to stop it; 0: never.
        "stop": {"low": 0, "high": 1_000_000, "when": {"fold": [ALL_ROWS]}},
    }
)

_MOST_CHECKED = 1000  # training rows on which a network of all rows is checked


class Refit:
    """See `objectives.base`; `dataset` must have `for_fold` and `for_retraining`.

    Args:
        make: Returns the search's objective for numbers of epochs, and of epochs to stop after.
        params_of: Returns the params of a slot of the search.
        direction: Direction of the search.
    """

    needs_data = True
    space = REFIT_SPACE

    def __init__(
        self,
        make: Callable[[int, int | None], Objective],
        params_of: Callable[[int], dict[str, Any]],
        direction: str,
    ) -> None:
        self._make, self._params_of = make, params_of
        self.direction = direction

    def load(self, data_dir: Path | None) -> Any:
        """Return the search's dataset."""
        return self._make(1, None).load(data_dir)

    def fit(
        self, params: Params, dataset: Any, *, seed: int, report: Report, resume_dir: Path | None
    ) -> Fitted:
        """Retrain one configuration.

        Returns:
            With a fold held out: the value on the fold, and its predictions in `kept`. On all rows:
            accuracy on a few training rows, which only shows that the network learned.

        Raises:
            DivergedError: The network is not finite, or predicts NaN for one of these rows.
        """
        how: dict[str, Any] = {"seed": seed, "report": report, "resume_dir": resume_dir}
        objective, fitted = self._trained(params, dataset, **how)
        if params["fold"] == ALL_ROWS:
            return replace(fitted, value=_own_accuracy(objective, fitted, dataset))
        valid = _rows_of(params, dataset).valid
        images = valid.images[valid.rows]
        plain = refuse_unfinite_predictions(objective.predict(fitted, images))
        return replace(fitted, kept=pack(plain, _shifted(objective, fitted, images)))

    def network(
        self, params: Params, dataset: Any, *, seed: int, report: Report, resume_dir: Path | None
    ) -> Fitted:
        """Retrain as `fit` does, without predictions for the held-out rows."""
        how: dict[str, Any] = {"seed": seed, "report": report, "resume_dir": resume_dir}
        return self._trained(params, dataset, **how)[1]

    def _trained(self, params: Params, dataset: Any, **how: Any) -> tuple[Objective, Fitted]:
        objective = self._make(int(params["epochs"]), int(params.get("stop", 0)) or None)
        config = self._params_of(int(params["candidate"]))
        return objective, objective.fit(config, _rows_of(params, dataset), **how)

    def predict(self, fitted: Fitted, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Predict as the search's objective does."""
        return self._make(1, None).predict(fitted, images)


def _rows_of(params: Params, dataset: Any) -> Any:
    if params["fold"] == ALL_ROWS:
        return dataset.for_retraining()
    fold, n_folds = int(params["fold"]) - 1, int(params["n_folds"])
    return dataset.for_fold(fold, n_folds, int(params["split"]))


def can_average(objective: Objective) -> bool:
    """Return whether the objective can average several models and shifts."""
    return hasattr(objective, "combine")


def _shifted(
    objective: Any, fitted: Fitted, images: NDArray[np.uint8]
) -> NDArray[np.float32] | None:
    if not can_average(objective):
        return None
    averaged = objective.combine([fitted], SHIFTS)
    try:
        predicted = objective.predict(averaged, images)
        return refuse_unfinite_predictions(np.asarray(predicted, np.float32))
    except DivergedError:  # a shifted image may be empty: then no shifts are used
        return None


def _own_accuracy(objective: Objective, fitted: Fitted, dataset: Any) -> float:
    rows = slice(0, _MOST_CHECKED)
    predicted = refuse_unfinite_predictions(objective.predict(fitted, dataset.images[rows]))
    return float((np.argmax(predicted, axis=1) == dataset.labels[rows]).mean())


def pack(plain: NDArray[np.float32], shifted: NDArray[np.float32] | None) -> bytes:
    """Return predictions of shape (n, n_classes), to three digits, as compressed bytes."""
    arrays = {"plain": plain.astype(np.float16)}
    if shifted is not None:
        arrays["shifted"] = shifted.astype(np.float16)
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **arrays)
    return file.getvalue()


def unpack(kept: bytes) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Return the arguments of `pack`, as float32."""
    with np.load(io.BytesIO(kept), allow_pickle=False) as arrays:
        shifted = arrays["shifted"].astype(np.float32) if "shifted" in arrays else None
        return arrays["plain"].astype(np.float32), shifted
