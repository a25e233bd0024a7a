"""scikit-learn's RandomizedSearchCV, cv=3 and n_jobs=2; with scikeras where the way is its own.

Three folds of all labelled rows: each configuration is trained three times on two thirds of them.
The winner is not trained again on all rows, as nobody else's is.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from job import Job, answer, objective, own_data, own_model, read_job
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import RandomizedSearchCV

from objectives.data.dataset import Split, load_dataset


class Same(ClassifierMixin, BaseEstimator):
    """The training function that all call, as an estimator of row numbers."""

    def __init__(self, job: Job, slot: int = 0) -> None:
        self.job, self.slot = job, slot

    def fit(self, rows: np.ndarray, labels: np.ndarray) -> "Same":
        dataset = load_dataset(Path(self.job.data))
        self.classes_ = np.unique(labels)
        self.images_ = dataset.images
        own = Split(dataset.images, dataset.labels, rows[:, 0])
        none = replace(own, rows=rows[:0, 0])
        self.objective_ = objective(self.job, 1)
        self.fitted_ = self.objective_.fit(
            self.job.params[self.slot],
            replace(dataset, train=own, valid=none),
            seed=self.job.seeds[self.slot],
            report=lambda step, value: None,
            resume_dir=None,
        )
        return self

    def predict(self, rows: np.ndarray) -> np.ndarray:
        said = self.objective_.predict(self.fitted_, self.images_[rows[:, 0]])
        return self.classes_[said.argmax(axis=1)]


def own_classifier(job: Job, n_rows: int) -> Any:
    """Return scikeras's classifier."""
    from scikeras.wrappers import KerasClassifier

    # The loss is the compiled model's own; its name makes scikeras encode the labels one-hot.
    loss = "categorical_crossentropy"
    further = {"job": job, "slot": 0, "n_rows": n_rows}
    return KerasClassifier(own_model, loss=loss, epochs=job.epochs, verbose=0, **further)


job = read_job()
slots = range(len(job.params))
if job.way == "same":
    labels = np.asarray(load_dataset(Path(job.data)).labels)
    features, estimator = np.arange(len(labels))[:, np.newaxis], Same(job)
    space = [{"slot": [slot]} for slot in slots]
else:
    features, one_hot = own_data(job)
    labels = one_hot.argmax(axis=1)
    estimator = own_classifier(job, 2 * len(labels) // 3)
    space = [{"slot": [s], "batch_size": [job.params[s]["batch_size"]]} for s in slots]
search = RandomizedSearchCV(estimator, space, n_iter=len(slots), cv=3, n_jobs=2, refit=False)
search.fit(features, labels)
found = zip(search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True)
answer({params["slot"]: value for params, value in found})
