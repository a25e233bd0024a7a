"""A replay finds what is the same and names what is not; nothing of the study is touched."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from optuna.trial import TrialState

from objectives.base import Fitted, Report
from objectives.errors import DivergedError, ModelError
from objectives.synthetic import SyntheticObjective
from storage import attrs, ends
from storage.reading import read_attempts
from storage.slots.slots import Claim, Draw, Slot
from study.errors import StudyError
from study.machine.environment import read_environment
from study.run.create import Request, create_or_resume
from study.spec.draw import draw_params, training_seed
from study.spec.open import Loaded, OpenStudy, load
from study.spec.spec import Given
from study.spec.trials import find_trial
from study.worker import replay as replaying
from study.worker.replay import Replayed, replay

N_STEPS = 4


@pytest.fixture
def opened(sqlite_url: str) -> Iterator[OpenStudy]:
    """A study of five WAITING slots of the synthetic objective, four steps a trial."""
    given = Given(objective="synthetic", options={"n_steps": str(N_STEPS)})
    study = create_or_resume(Request(sqlite_url, "s", None, given, 5), lambda line: None)
    yield study
    study.storage.close()


def claim(opened: OpenStudy, environment: Mapping[str, str] | None = None) -> Claim:
    """Claim the lowest slot as a worker does."""
    space = load(opened).objective.space

    def draw(slot: Slot) -> Draw:
        params = draw_params(space, opened.spec.seed, slot.slot, slot.redraw)
        user_attrs: dict[str, Any] = {attrs.SEED: training_seed(opened.spec.seed, slot.slot)}
        if environment is not None:
            user_attrs[attrs.ENVIRONMENT] = dict(environment)
        return Draw(params, space.distributions(params), user_attrs)

    found = opened.slots.claim("host:1", draw)
    assert found is not None
    return found


def run(
    opened: OpenStudy,
    state: TrialState = TrialState.COMPLETE,
    *,
    shift: Mapping[int, float] | None = None,
    n_reports: int = N_STEPS,
    value_shift: float = 0.0,
    user_attrs: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run the lowest slot as a worker does, with reports and value moved by the shifts."""
    claimed = claim(opened, read_environment() if environment is None else environment)
    reports: dict[int, float] = {}
    fitted = load(opened).objective.fit(
        claimed.draw.params,
        None,
        seed=claimed.draw.user_attrs[attrs.SEED],
        report=lambda step, value: reports.update({step: value}),
        resume_dir=None,
    )
    for step in range(n_reports):
        opened.slots.report(claimed, step, reports[step] + (shift or {}).get(step, 0.0))
    value = None
    if state == TrialState.COMPLETE:
        assert fitted.value is not None
        value = fitted.value + value_shift
    opened.slots.finish(claimed, state, value, dict(user_attrs or {}))


def again(opened: OpenStudy, number: int = 0) -> Replayed:
    """Replay, and see that nothing was written."""
    before = stored(opened)
    found = replay(opened, number, lambda line: None)
    assert stored(opened) == before
    return found


def stored(opened: OpenStudy) -> list[str]:
    """Every trial with all that there is of it; as text, in which NaN equals NaN."""
    return [str(a) for a in read_attempts(opened.storage.engine, opened.study_id, details=True)]


def with_fit(monkeypatch: pytest.MonkeyPatch, fit: Any) -> None:
    """Let `fit` be the objective's from now on."""

    class Other(SyntheticObjective):
        def fit(self, *args: Any, **named: Any) -> Fitted:
            return fit(named["report"])  # type: ignore[no-any-return]

    def load_other(opened: OpenStudy) -> Loaded:
        return replace(load(opened), objective=Other())

    monkeypatch.setattr(replaying, "load", load_other)


def test_trial_is_the_same_again(opened: OpenStudy) -> None:
    """Value and curve, bit for bit, and the line says so."""
    run(opened)
    found = again(opened)
    assert (found.same, found.first_difference, found.environment) == (True, None, [])
    assert (found.n_compared, found.value_there) == (N_STEPS, found.value_here)
    assert found.to_line() == (
        f"trial 0 is reproduced: value {found.value_here:.5f} and 4 intermediate values, "
        "bit for bit"
    )


def test_report_without_a_value_is_no_step(
    opened: OpenStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An epoch that was not scored is none that could differ."""
    run(opened)
    real = SyntheticObjective.fit

    def fit(self: SyntheticObjective, *args: Any, **named: Any) -> Fitted:
        named["report"](N_STEPS, None)
        return real(self, *args, **named)

    monkeypatch.setattr(SyntheticObjective, "fit", fit)
    found = again(opened)
    assert (found.same, found.n_compared) == (True, N_STEPS)


@pytest.mark.parametrize("by", [1e-15, 0.25])
def test_step_that_differs_is_named_with_both_values(opened: OpenStudy, by: float) -> None:
    """The first one, however small, and that nothing else differs."""
    run(opened, shift={2: by, 3: by})
    found = again(opened)
    assert not found.same
    assert found.first_difference is not None
    assert found.first_difference.startswith("intermediate value at step 2: ")
    assert found.first_difference.endswith("); the environment is the same")
    there, here = found.first_difference.split(": ")[1].split(" here")[0].split(" there, ")
    assert there != here
    assert "trial 0 is not reproduced: intermediate value" in found.to_line()


def test_value_that_differs_is_named(opened: OpenStudy) -> None:
    """Where the whole curve is the same."""
    run(opened, value_shift=0.5)
    found = again(opened)
    assert str(found.first_difference).startswith("value: ")
    assert "(differ by 5.0e-01)" in str(found.first_difference)


def test_difference_names_what_differs_in_the_environment(opened: OpenStudy) -> None:
    """Which is mostly why; and where it was not kept, that."""
    other = {**read_environment(), "tensorflow": "1.0"}
    run(opened, value_shift=0.5, environment=other)
    found = again(opened)
    assert "; the environment differs: tensorflow 1.0 there, " in str(found.first_difference)
    found = replaying._compared(
        replace(find_trial(opened, "0"), user_attrs={}), replaying._Outcome()
    )
    assert "; its environment was not stored" in str(found.first_difference)


def test_steps_that_only_one_has_are_a_difference(opened: OpenStudy) -> None:
    """A complete trial has its whole curve."""
    run(opened, n_reports=N_STEPS - 1)
    found = again(opened)
    assert str(found.first_difference).startswith("intermediate value at step 3: none there, 0.")


@pytest.mark.parametrize(
    ("state", "reason"),
    [(TrialState.PRUNED, None), (TrialState.FAIL, "lost"), (TrialState.FAIL, "error")],
)
def test_trial_that_was_cut_short_is_compared_as_far_as_it_went(
    opened: OpenStudy, state: TrialState, reason: str | None
) -> None:
    """The replay ends there too."""
    run(opened, state, n_reports=2, user_attrs={attrs.REASON: reason} if reason else None)
    found = again(opened)
    assert (found.same, found.n_compared, found.value_here) == (True, 2, None)
    assert found.to_line() == (
        f"trial 0 ({state.name}) is reproduced as far as it went: 2 intermediate values, "
        "bit for bit"
    )
    run(opened, state, n_reports=2, shift={1: 0.5})
    assert not again(opened, 1).same


def test_params_that_diverge_again_are_the_same(
    opened: OpenStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NaN is the same as NaN; a value in the place of a divergence is none."""
    infeasible = {attrs.REASON: ends.INFEASIBLE}
    claimed = claim(opened)
    opened.slots.report(claimed, 0, math.nan)
    opened.slots.finish(claimed, TrialState.FAIL, None, infeasible)
    run(opened, TrialState.FAIL, user_attrs=infeasible)

    def diverge(report: Report) -> Fitted:
        report(0, math.nan)
        raise DivergedError("nan")

    assert not again(opened, 1).same
    assert "it diverged there, and has the value 0." in str(again(opened, 1).first_difference)
    with_fit(monkeypatch, diverge)
    assert again(opened).same


def test_failure_here_is_part_of_the_difference(
    opened: OpenStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The curve ends where it failed; a mistake in the file itself is a known failure."""
    run(opened)

    def fail(report: Report) -> Fitted:
        raise ZeroDivisionError("division by zero\nmore")

    with_fit(monkeypatch, fail)
    found = again(opened)
    assert "none here (it failed with ZeroDivisionError: division by zero); the environ" in str(
        found.first_difference
    )
    with_fit(monkeypatch, lambda report: 3)
    with pytest.raises(ModelError, match="fit returned 3, not"):
        again(opened)


def test_trial_without_anything_to_compare_is_refused(opened: OpenStudy) -> None:
    """Waiting, running, ended before its first report, or by another program."""
    run(opened, TrialState.FAIL, n_reports=0, user_attrs={attrs.REASON: ends.ERROR})
    claim(opened)
    stranger = opened.storage.create_new_trial(opened.study_id)
    opened.storage.set_trial_state_values(stranger, TrialState.COMPLETE, [0.5])
    for number, message in (
        (0, r"^trial 0 ended as FAIL before its first intermediate value: there is nothing to"),
        (1, r"^trial 1 is still RUNNING$"),
        (2, r"^trial 2 has not been run yet: it is WAITING$"),
        (5, r"^trial 5 has no seed: it was not run by this program$"),
    ):
        with pytest.raises(StudyError, match=message):
            replay(opened, number, lambda line: None)


def test_trial_is_found_by_its_number_or_its_slot(opened: OpenStudy) -> None:
    """A slot stands for its newest attempt."""
    opened.slots.release(claim(opened))
    assert find_trial(opened, "0").user_attrs[attrs.REASON] == ends.RELEASED
    assert find_trial(opened, "0").params
    assert find_trial(opened, "slot:0").trial == 5
    assert find_trial(opened, " slot:4 ").trial == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("6", r"^no trial 6 in study 's': it has trials 0 to 4$"),
        ("99999999999999999999", r"^no trial 9+ in study 's': it has trials 0 to 4$"),
        ("slot:5", r"^no slot 5 in study 's': it has slots 0 to 4$"),
        ("-1", r"^'-1' names no trial$"),
        ("", r"^'' names no trial$"),
        ("slot:", r"^'slot:' names no trial$"),
        ("best", r"^'best' names no trial$"),
    ],
)
def test_trial_that_is_not_there_is_refused(opened: OpenStudy, text: str, message: str) -> None:
    """With those that there are."""
    with pytest.raises(StudyError, match=message) as caught:
        find_trial(opened, text)
    assert caught.value.hint
