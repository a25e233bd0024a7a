"""A plain Optuna script, as its documentation shows it; a second argument is a storage to share."""

import sys

import optuna
from job import Job, answer, read_job, train
from optuna.distributions import CategoricalDistribution, FloatDistribution

from objectives.network.cnn import CNN_SPACE

job: Job = read_job()
storage = sys.argv[2] if len(sys.argv) > 2 else None
n_processes = 2 if storage else 1


def objective(trial: optuna.Trial) -> float:
    def suggest(name: str, kind: object) -> object:
        if isinstance(kind, CategoricalDistribution):
            return trial.suggest_categorical(name, kind.choices)
        assert isinstance(kind, FloatDistribution)
        return trial.suggest_float(name, kind.low, kind.high, log=kind.log)

    CNN_SPACE.draw(suggest)
    if job.way == "own":
        import keras

        keras.backend.clear_session()
    return train(job, trial.user_attrs["slot"], threads=2 // n_processes)


study = optuna.create_study(
    study_name="race",
    direction="maximize",
    storage=storage,
    load_if_exists=True,
    sampler=optuna.samplers.RandomSampler(),
)
if storage is None or sys.argv[3] == "first":
    for slot, params in enumerate(job.params):
        study.enqueue_trial(params, user_attrs={"slot": slot})
if storage is None or sys.argv[3] == "worker":
    study.optimize(objective, n_trials=len(job.params) // n_processes)
    answer({t.user_attrs["slot"]: t.value for t in study.trials if t.value is not None})
