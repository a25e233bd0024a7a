"""What Optuna's samplers and pruners say when they are made."""

import warnings

from optuna.exceptions import ExperimentalWarning
from optuna.samplers import QMCSampler

from study.suggesting import make_sampler


def test_qmc_says_nothing_when_it_is_made() -> None:
    """Every worker would print that it is experimental; other warnings are still seen."""
    with warnings.catch_warnings(record=True, action="always") as seen:
        assert isinstance(make_sampler("qmc", 1), QMCSampler)
        assert seen == []
        warnings.warn("something else is experimental", ExperimentalWarning, stacklevel=1)
        assert len(seen) == 1
