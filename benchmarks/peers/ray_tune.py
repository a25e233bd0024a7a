"""Ray Tune with two trials at a time, one core each; actors are used again, which it leaves off."""

import os
from pathlib import Path

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import ray
from job import answer, read_job, train
from ray import tune

job = read_job()


def trainable(config: dict[str, int]) -> dict[str, float]:
    return {"accuracy": train(job, config["slot"], threads=1)}


ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
tuner = tune.Tuner(
    trainable,
    param_space={"slot": tune.grid_search(list(range(len(job.params))))},
    tune_config=tune.TuneConfig(
        metric="accuracy", mode="max", max_concurrent_trials=2, reuse_actors=True
    ),
    run_config=tune.RunConfig(storage_path=str(Path(job.work).resolve()), verbose=0),
)
answer({one.config["slot"]: one.metrics["accuracy"] for one in tuner.fit()})
