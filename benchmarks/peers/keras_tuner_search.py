"""KerasTuner's RandomSearch in one process, as its documentation shows it."""

from typing import Any

import keras_tuner
import numpy as np
from job import answer, own_data, own_model, read_job, train

job = read_job()
n_slots = len(job.params)
valid = np.array(job.valid)
settings: dict[str, Any] = {
    "objective": keras_tuner.Objective("val_accuracy", "max"),
    "max_trials": n_slots,
    "directory": job.work,
    "project_name": "race",
}


class Same(keras_tuner.RandomSearch):
    """Calls the training function that all call."""

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> dict[str, float]:
        slot = trial.hyperparameters.Choice("slot", list(range(n_slots)))
        return {"val_accuracy": train(job, slot, threads=2)}


class Network(keras_tuner.HyperModel):
    """Builds and fits a slot."""

    def build(self, hp: Any) -> Any:
        labels = own_data(job)[1]
        return own_model(job, hp.Choice("slot", list(range(n_slots))), len(labels) - len(valid))

    def fit(self, hp: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
        return model.fit(*args, batch_size=job.params[hp.get("slot")]["batch_size"], **kwargs)


if job.way == "same":
    tuner = Same(**settings)
    tuner.search()
else:
    images, labels = own_data(job)
    rows = np.setdiff1d(np.arange(len(labels)), valid)
    tuner = keras_tuner.RandomSearch(Network(), **settings)
    held = (images[valid], labels[valid])
    tuner.search(images[rows], labels[rows], epochs=job.epochs, validation_data=held, verbose=0)
if len(tuner.oracle.trials) < n_slots:
    raise SystemExit("KerasTuner gave up before it had drawn every configuration; run it again")
answer({t.hyperparameters.get("slot"): t.score for t in tuner.oracle.trials.values()})
