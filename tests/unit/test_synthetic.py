"""The synthetic objective: pure, in range, and honest in its ledger."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution

from objectives.errors import LeaseLost, ModelError, Pruned
from objectives.synthetic import SYNTHETIC_SPACE, SyntheticObjective, synthetic_value

PLAIN = {"x": 0.5, "y": 1e-3, "n": 3, "kind": "plain"}
DEEP = {"x": 0.2, "y": 3e-3, "n": 6, "kind": "deep", "depth": 3}


def fit(
    objective: SyntheticObjective, params: dict[str, Any], seed: int
) -> tuple[Any, list[float]]:
    """Return what a fit gives and what it reported, steps checked."""
    reports: list[float] = []

    def report(step: int, value: float) -> None:
        assert step == len(reports)
        reports.append(value)

    fitted = objective.fit(params, objective.load(None), seed=seed, report=report, resume_dir=None)
    return fitted, reports


def lines(ledger: Path) -> list[dict[str, Any]]:
    """Return the ledger's lines, each one of JSON."""
    return [json.loads(line) for line in ledger.read_text().splitlines()]


def test_value_is_a_pure_function_of_params_and_seed() -> None:
    """Two objectives agree bit for bit; another seed or another param gives another value."""
    first, reports = fit(SyntheticObjective(), PLAIN, 7)
    again, reports_again = fit(SyntheticObjective(n_steps="5"), dict(reversed(PLAIN.items())), 7)
    assert first.value == again.value == synthetic_value(PLAIN, 7)
    assert reports == reports_again
    assert fit(SyntheticObjective(), PLAIN, 8)[0].value != first.value
    assert fit(SyntheticObjective(), DEEP, 7)[0].value > first.value


@pytest.mark.parametrize("n_steps", [1, 2, 5, 50])
def test_reports_rise_to_the_final_value(n_steps: int) -> None:
    """A trial reports `n_steps` times, never falls, and ends at its value."""
    fitted, reports = fit(SyntheticObjective(n_steps=str(n_steps)), PLAIN, 0)
    assert len(reports) == n_steps
    assert reports == sorted(reports)
    assert reports[-1] == fitted.value


def test_values_stay_between_0_and_1() -> None:
    """Every corner of the space has a value in 0..1."""

    def corner(last: bool) -> Any:
        def suggest(name: str, distribution: Any) -> Any:
            if isinstance(distribution, CategoricalDistribution):
                return distribution.choices[-1 if last else 0]
            return distribution.high if last else distribution.low

        return suggest

    for last in (False, True):
        params = SYNTHETIC_SPACE.draw(corner(last))
        assert ("depth" in params) == last
        assert all(0 < synthetic_value(params, seed) < 1 for seed in range(100))


def test_which_seeds_fail_is_a_function_of_the_seed() -> None:
    """About `fail_rate` of the seeds raise, always the same ones, and before any report."""
    objective = SyntheticObjective(fail_rate="0.3")
    reported: set[int] = set()

    def fails(seed: int) -> bool:
        try:
            objective.fit(
                PLAIN, None, seed=seed, report=lambda *_: reported.add(seed), resume_dir=None
            )
        except RuntimeError:
            return True
        return False

    failed = [fails(seed) for seed in range(1000)]
    assert 250 < sum(failed) < 350
    assert failed == [fails(seed) for seed in range(1000)]
    assert reported == {seed for seed in range(1000) if not failed[seed]}


@pytest.mark.parametrize(("rate", "n_failed"), [("0", 0), ("1", 20)])
def test_fail_rate_0_and_1_are_exact(rate: str, n_failed: int) -> None:
    """None or all fail, without exception."""
    objective, n = SyntheticObjective(fail_rate=rate), 0
    for seed in range(20):
        try:
            fit(objective, PLAIN, seed)
        except RuntimeError:
            n += 1
    assert n == n_failed


def test_ledger_names_slot_attempt_and_trial(tmp_path: Path) -> None:
    """Start and end of a trial are two lines with what `note` said; the next fit starts afresh."""
    ledger = tmp_path / "ledger"
    objective = SyntheticObjective(ledger=str(ledger))
    objective.note(slot=4, attempt=2, trial=9)
    fit(objective, PLAIN, 3)
    fit(objective, PLAIN, 5)
    start, end, *rest = lines(ledger)
    assert (start["event"], end["event"], end["outcome"]) == ("start", "end", "complete")
    for line in (start, end):
        assert (line["slot"], line["attempt"], line["trial"], line["seed"]) == (4, 2, 9, 3)
        assert isinstance(line["pid"], int)
    assert start["time"] <= end["time"]
    assert [(line["slot"], line["seed"]) for line in rest] == [(None, 5), (None, 5)]


@pytest.mark.parametrize("error", [Pruned, LeaseLost, KeyboardInterrupt])
def test_what_report_raises_passes_and_is_in_the_ledger(
    tmp_path: Path, error: type[BaseException]
) -> None:
    """A pruned, lost or interrupted trial ends there, and its line says how."""
    ledger = tmp_path / "ledger"
    objective = SyntheticObjective(ledger=str(ledger))

    def report(step: int, value: float) -> None:
        raise error

    with pytest.raises(error):
        objective.fit(PLAIN, None, seed=0, report=report, resume_dir=None)
    assert [line.get("outcome") for line in lines(ledger)] == [None, error.__name__]


def test_failed_trial_has_both_lines(tmp_path: Path) -> None:
    """A raising trial is in the ledger like any other."""
    ledger = tmp_path / "ledger"
    with pytest.raises(RuntimeError, match="synthetic failure"):
        fit(SyntheticObjective(fail_rate="1", ledger=str(ledger)), PLAIN, 0)
    assert [line.get("outcome") for line in lines(ledger)] == [None, "RuntimeError"]


def test_lines_of_many_writers_never_mix(tmp_path: Path) -> None:
    """Eight writers at once leave whole lines, none missing."""
    ledger = tmp_path / "ledger"

    def work(worker: int) -> None:
        objective = SyntheticObjective(ledger=str(ledger))
        for slot in range(50):
            objective.note(slot=slot, attempt=1, trial=worker)
            fit(objective, PLAIN, slot)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    found = [(line["event"], line["trial"], line["slot"]) for line in lines(ledger)]
    assert len(found) == len(set(found)) == 8 * 50 * 2


def test_sleep_is_spread_over_the_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial sleeps `sleep_s` in all, a part before each report."""
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    fit(SyntheticObjective(sleep_s="2", n_steps="4"), PLAIN, 0)
    assert slept == [0.5] * 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sleep_s": "-1"}, r"option sleep_s: '-1' is not a number of at least 0$"),
        ({"sleep_s": "inf"}, r"option sleep_s: 'inf' is not a number of at least 0$"),
        ({"sleep_s": "nan"}, r"option sleep_s: 'nan' is not a number of at least 0$"),
        ({"sleep_s": "1s"}, r"option sleep_s: '1s' is not a number of at least 0$"),
        ({"n_steps": "0"}, r"option n_steps: '0' is not a whole number from 1 to 1000000$"),
        ({"n_steps": "2.5"}, r"option n_steps: '2\.5' is not a whole number from 1 to 1000000$"),
        ({"fail_rate": "1.1"}, r"option fail_rate: '1\.1' is not a number from 0 to 1$"),
        ({"ledger": "/no/such/folder/l"}, r"option ledger: no such folder: /no/such/folder$"),
    ],
)
def test_wrong_option_is_refused(options: dict[str, str], message: str) -> None:
    """An option that is out of range is named with its value."""
    with pytest.raises(ModelError, match=message):
        SyntheticObjective(**options)


def test_there_is_nothing_to_predict() -> None:
    """Finalize gets one line and the next command."""
    objective = SyntheticObjective()
    fitted, _ = fit(objective, PLAIN, 0)
    with pytest.raises(ModelError, match="nothing to predict") as caught:
        objective.predict(fitted, np.zeros((1, 8, 8), dtype=np.uint8))
    assert caught.value.hint
    assert objective.load(None).fingerprint == "synthetic"


def test_worker_of_synthetic_loads_no_training_library() -> None:
    """A fresh process that fits has neither Keras nor TensorFlow in it."""
    code = (
        "import sys; from objectives.base import FitOptions; "
        "from objectives.load import load_objective; "
        "o = load_objective('synthetic', fit_options=FitOptions(), options={}, model=None, "
        "space_overrides={'n': 2}); "
        f"o.fit({PLAIN!r}, o.load(None), seed=0, report=lambda s, v: None, resume_dir=None); "
        "print(sorted({'keras', 'tensorflow', 'sklearn', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
