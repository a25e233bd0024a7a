"""What a finalize does next follows from the trainings it has, and from nothing else."""

from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
from optuna.trial import TrialState

from storage import attrs
from storage.reading import Attempt
from study.errors import StudyError
from study.finalize.choose import on_more_rows, predicted
from study.finalize.companion import Training
from study.finalize.stages import Decider, Ending
from study.report.evidence import Evidence
from study.spec.effort import QUICK, Effort
from study.spec.open import Loaded
from tests.unit.evidence import EPOCHS, LABELS, N_ROWS, N_TEST, Dataset, World, drive

EFFORT = Effort(top_k=2, folds=3, repeats=1, longer=1, seeds=0)
LONGER = replace(EFFORT, longer=2)
VALUES = {7: 0.99, 3: 0.98, 5: 0.5}
"""Of the search's slots: 7 is on top, and 5 is never looked at again."""

WRONG = {(7, EPOCHS): range(60), (3, EPOCHS): range(10, 25)}
"""On folds 3 is the better one, clearly."""

LONG = {(slot, 2 * EPOCHS): wrong for (slot, _), wrong in WRONG.items()}
ALIKE = dict.fromkeys(WRONG, range(20))

CHANCE, SHARE = 1 / 3, 2 / 3
"""Three classes alike; a fold's network learned from two folds of three."""


def folds_of(slot: int, epochs: int = EPOCHS, *folds: int) -> list[Training]:
    """Return the trainings of a configuration on folds, by default on all three."""
    return [Training(slot, epochs, fold, 3) for fold in folds or (1, 2, 3)]


def evidence_of(world: World, effort: Effort = EFFORT) -> Evidence:
    """What it ends with."""
    evidence = drive(world, VALUES, effort)[1].evidence
    assert evidence is not None
    return evidence


def test_stages_come_in_order() -> None:
    """The best few on a fold, the winner on the others; all its networks vote."""
    stages, ending = drive(World(LONG), VALUES, LONGER)
    assert [(stage.what, len(stage.trainings)) for stage in stages] == [
        ("2 configurations on fold 1 of 3", 2),
        ("the best of them on 3 folds", 3),
    ]
    assert list(stages[0].trainings) == [Training(slot, 8, 1, 3) for slot in (7, 3)]
    assert list(ending.members) == list(stages[1].trainings) == folds_of(3, 8)


def test_single_candidate_does_not_race() -> None:
    """All its folds are trained at once."""
    stages, ending = drive(World(WRONG), VALUES, replace(EFFORT, top_k=1))
    assert [stage.what for stage in stages] == ["the best trial on 3 folds"]
    assert list(ending.members) == folds_of(7)


def test_race_leaves_one_behind_on_each_fold() -> None:
    """One that is clearly behind goes at once; of those alike the last goes."""
    values = {slot: 1 - slot / 100 for slot in range(4)}
    alike = World({(slot, EPOCHS): range(20) for slot in values})
    stages, _ = drive(alike, values, replace(EFFORT, top_k=4))
    trained = [sorted({t.candidate for t in stage.trainings}) for stage in stages]
    assert trained == [[0, 1, 2, 3], [0, 1, 2], [0, 1]]  # then the winner has all its folds
    clear = World({(slot, EPOCHS): range(80 if slot > 1 else 20) for slot in values})
    stages, _ = drive(clear, values, replace(EFFORT, top_k=4))
    trained = [sorted({t.candidate for t in stage.trainings}) for stage in stages]
    assert trained == [[0, 1, 2, 3], [0, 1], [0]]


@pytest.mark.parametrize("effort", [EFFORT, LONGER])
def test_other_workers_do_not_wait_for_the_first_network(effort: Effort) -> None:
    """They train folds of the same configuration, and the end is the same."""
    first = Training(7, EPOCHS)
    undisturbed = drive(World({**WRONG, **LONG}), VALUES, effort)[1]
    for n_workers in (1, 2, 3, 64):
        world = World({**WRONG, **LONG})
        opening = world.decider(VALUES, effort).opening(n_workers)
        folds = folds_of(7, EPOCHS * effort.longer)
        assert list(opening.trainings) == [first, *folds][:n_workers]
        world.train(opening.trainings)
        ending = drive(world, VALUES, effort)[1]
        assert (ending.members, ending.shifted) == (undisturbed.members, undisturbed.shifted)


def test_first_network_is_trained_alone_where_nothing_follows() -> None:
    """As under `--quick`."""
    opening = World(WRONG).decider(VALUES, QUICK).opening(64)
    assert opening.trainings == (Training(7, EPOCHS),)


def test_repeats_are_partitions_of_their_own() -> None:
    """Each holds every row out once; right is averaged over them, and all networks vote."""
    world = World(WRONG)
    stages, ending = drive(world, VALUES, replace(EFFORT, repeats=2))
    wanted = {(fold, split) for fold in (1, 2, 3) for split in (0, 1)}
    assert {(t.fold, t.split) for t in stages[-1].trainings} == wanted
    assert {(t.fold, t.split) for t in ending.members} == wanted
    assert ending.evidence is not None
    assert ending.evidence.choice.n_right == N_ROWS - 15


def test_quick_ends_with_the_first() -> None:
    """Nothing was compared, so nothing is said of it."""
    stages, ending = drive(World(WRONG), VALUES, QUICK)
    assert (stages, ending) == ([], Ending((Training(7, EPOCHS),)))


def test_evidence_is_what_was_said_of_each_row() -> None:
    """Rows, labels and probabilities together, in the order of train.csv."""
    found = evidence_of(World(WRONG))
    assert found.rows.tolist() == list(range(N_ROWS))
    assert found.labels.tolist() == LABELS.tolist()
    right = found.probabilities.argmax(axis=1) == LABELS
    assert np.flatnonzero(~right).tolist() == list(range(10, 25))
    first, second = found.candidates
    assert (first.trial, first.slot, first.epochs, first.n_right, first.n) == (30, 3, 4, 285, 300)
    assert (second.trial, second.n) == (70, 100)
    assert "standard errors behind the best after 1 fold" in second.verdict
    assert first.low < first.accuracy < first.high
    assert found.choice is first
    assert first.flop is None


def test_score_is_expected_of_networks_like_those_on_folds() -> None:
    """They vote themselves: nothing is added for more rows, a little for their average."""
    alone = replace(EFFORT, top_k=1)
    world = World({(7, EPOCHS): range(30)})
    expected = drive(world, VALUES, alone)[1].evidence
    assert expected is not None
    low, _ = predicted(0.9, N_ROWS, N_TEST)
    assert low == expected.expected.low < 0.9 < expected.expected.score < expected.expected.high


def test_candidate_with_a_failed_fold_is_dropped() -> None:
    """It cannot be compared on all rows; the others can."""
    found = evidence_of(World(WRONG, failing=[Training(3, EPOCHS, 2, 3)]))
    assert [one.slot for one in found.candidates] == [7]
    assert "trial 70 with 4 epochs is chosen" in found.why


def test_winner_that_fails_on_a_later_fold_is_dropped() -> None:
    """And the next one is taken, with its folds."""
    _, ending = drive(World(WRONG, failing=folds_of(3, EPOCHS, 3)), VALUES, EFFORT)
    assert list(ending.members) == folds_of(7)


def test_best_trial_is_taken_where_every_candidate_failed_on_folds() -> None:
    """Its network is there already."""
    failing = [Training(slot, EPOCHS, 1, 3) for slot in (3, 7)]
    stages, ending = drive(World(WRONG, failing=failing), VALUES, EFFORT)
    assert len(stages) == 1
    assert ending == Ending((Training(7, EPOCHS),))


def test_network_that_failed_on_all_rows_is_left_out() -> None:
    """The submission is of those that are there; without any there is none."""
    members = [Training(3, EPOCHS, member=n) for n in (0, 1)]
    with_seeds = replace(EFFORT, seeds=2)
    _, ending = drive(World(WRONG, failing=members[:1]), VALUES, with_seeds)
    assert (list(ending.members), ending.n_lost) == ([*folds_of(3), members[1]], 1)
    with pytest.raises(StudyError, match="could not be trained on all rows") as error:
        drive(World(WRONG, failing=[Training(7, EPOCHS)]), VALUES, QUICK)
    assert "--study s.finalize" in (error.value.hint or "")


@pytest.mark.parametrize("n_trained", [1, 2, 3, 4])
def test_networks_that_are_there_vote_when_the_time_is_over(n_trained: int) -> None:
    """Of the configuration with the most folds; what was measured is of the rows of these."""
    world = World({(7, EPOCHS): range(0, 300, 10)})
    effort = replace(EFFORT, top_k=1, repeats=2)
    wanted = [t for split in (0, 1) for t in (replace(t, split=split) for t in folds_of(7))]
    world.train([Training(7, EPOCHS), *wanted[:n_trained]])
    ending = world.decider(VALUES, effort).late(world.finished)
    assert (list(ending.members), ending.n_late) == (wanted[:n_trained], 6 - n_trained)
    assert ending.evidence is not None
    assert len(ending.evidence.rows) == min(3, n_trained) * N_ROWS // 3
    assert ending.evidence.choice.n == len(ending.evidence.rows)


def test_first_network_is_the_submission_where_the_time_allowed_no_other() -> None:
    """As it was written before."""
    world = World(WRONG)
    decider = world.decider(VALUES, EFFORT)
    world.train(decider.first.members)
    assert decider.late(world.finished) == decider.first


def test_failed_first_network_is_no_end_where_there_is_more_to_do() -> None:
    """The first submission is missing then, and the last is not."""
    _, ending = drive(World(WRONG, failing=[Training(7, EPOCHS)]), VALUES, EFFORT)
    assert {training.candidate for training in ending.members} == {3}
    with pytest.raises(StudyError, match="could not be trained"):
        drive(World(WRONG, failing=[Training(7, EPOCHS)]), VALUES, QUICK)


@pytest.mark.parametrize(
    ("wrong", "flop", "why"),
    [
        (
            WRONG,
            {},
            "not trial 70, which is on top of the search: on folds it is right on 0.9500",
        ),
        (
            {(7, 4): range(9), (3, 4): range(90)},
            {},
            "trial 70 with 4 epochs is chosen: no other is measurably better",
        ),
        (
            {(7, 4): range(9), (3, 4): range(5, 14)},
            {7: 2e6, 3: 1e6},
            "trial 30 with 4 epochs is chosen and not trial 70",
        ),
    ],
    ids=["another", "the top one", "a cheaper one"],
)
def test_choice_is_explained(
    wrong: dict[tuple[int, int], range], flop: dict[int, float], why: str
) -> None:
    """In one sentence; each candidate has a verdict, and one is chosen."""
    found = evidence_of(World(wrong, flop=flop))
    assert why in found.why
    assert [one.verdict for one in found.candidates].count("chosen") == 1
    assert found.choice.verdict == "chosen"
    assert all(one.flop == (4 * flop[one.slot] if flop else None) for one in found.candidates)


def test_luck_is_what_the_top_trial_said_above_its_worth() -> None:
    """Of its own configuration, with as many epochs; not known where there are no folds of it."""
    found = evidence_of(World(ALIKE)).expected
    measured = evidence_of(World(ALIKE)).choice
    assert measured.slot == 7
    worth = on_more_rows(measured.accuracy, CHANCE, SHARE / 0.9)  # a trial had nine tenths
    assert found.luck == pytest.approx(0.99 - worth)
    assert (found.n_test, found.low < found.score < found.high) == (N_TEST, True)
    dropped = evidence_of(World(WRONG, failing=[Training(7, EPOCHS, 1, 3)])).expected
    assert dropped.luck is None
    assert evidence_of(World(LONG), LONGER).expected.luck is None


def test_luck_is_not_known_of_a_value_that_is_no_accuracy() -> None:
    """A loss, say: it is not to be compared with the share of rows that are right."""
    assert evidence_of(World(WRONG, offset=0.05)).expected.luck is None


def test_shifts_are_used_where_they_help() -> None:
    """What was said over shifts is the evidence then, and the score to expect rises."""
    plain = World(WRONG)
    shifts = World(WRONG, shifted={(3, 4): range(10, 20), (7, 4): range(60)})
    _, ending = drive(shifts, VALUES, EFFORT)
    assert ending.shifted
    assert ending.evidence is not None
    wrong = ending.evidence.probabilities.argmax(axis=1) != LABELS
    assert np.flatnonzero(wrong).tolist() == list(range(10, 20))
    before = evidence_of(plain).expected
    assert ending.evidence.expected.score > before.score
    assert ending.evidence.expected.low > before.low


def test_shifts_are_not_used_where_fewer_rows_are_right() -> None:
    """Nor where they help another candidate alone."""
    worse = {(3, 4): range(10, 26), (7, 4): range(1)}
    _, ending = drive(World(WRONG, shifted=worse), VALUES, EFFORT)
    assert not ending.shifted
    assert evidence_of(World(WRONG, shifted=worse)).candidates[0].n_right == N_ROWS - 15


def test_expected_score_is_a_share() -> None:
    """Also where shifts lift a chosen one above what a resample expects of the best."""
    wrong = {(7, 4): range(12), (3, 4): range(12, 29)}
    world = World(wrong, shifted={(7, 4): (), (3, 4): ()}, flop={7: 9.0, 3: 1.0})
    found = evidence_of(world)
    assert 0 < found.expected.low < found.expected.score <= found.expected.high <= 1


def test_ensemble_keeps_the_next_best_too() -> None:
    """Each with all its networks, the chosen one first; never more than there are candidates."""
    stages, ending = drive(World(WRONG), VALUES, replace(EFFORT, top_k=2, ensemble=2, seeds=1))
    assert stages[-1].what == "2 networks on all rows"
    assert [(t.candidate, t.fold) for t in ending.members] == [
        *((7, fold) for fold in (1, 2, 3)),
        *((3, fold) for fold in (1, 2, 3)),
        (7, 0),
        (3, 0),
    ]
    _, ending = drive(World(WRONG), VALUES, replace(EFFORT, ensemble=9))
    assert {t.candidate for t in ending.members} == {7, 3}
    assert ending.n_lost == 0


def test_what_stopped_early_on_folds_runs_as_long_on_all_rows() -> None:
    """The median over its folds; each configuration by its own."""
    kept = {(3, EPOCHS): (1, 3, 2), (7, EPOCHS): (4, 4, 3)}
    world = World(WRONG, kept_epochs=kept)
    stages, ending = drive(world, VALUES, replace(EFFORT, seeds=2))
    on_all = [t for t in ending.members if not t.fold]
    assert [(t.candidate, t.stop) for t in on_all] == [(3, 2), (3, 2)]
    assert {t.stop for t in stages[0].trainings} == {0}
    assert ending.evidence is not None
    assert [c.shown_epochs for c in ending.evidence.candidates] == ["2 of 4", "4"]


def test_first_network_runs_as_long_as_its_trial_did() -> None:
    """Nothing was trained on folds yet."""
    info = {attrs.INFO: {"n_epochs": 3.0}, attrs.SLOT: 7}
    best = Attempt(70, 7, TrialState.COMPLETE, None, None, 0.9, None, info)
    loaded = Loaded(cast(Any, None), Dataset())
    decider = Decider(cast(Any, World(WRONG)), loaded, [best], QUICK)
    assert decider.first.members == (Training(7, EPOCHS, stop=3),)


def test_same_evidence_in_another_order_gives_the_same_decision() -> None:
    """Another machine finished the trainings in another order: nothing tells the two apart."""
    shifted = dict.fromkeys(LONG, range(12, 20))
    one, other = World(LONG, shifted), World(LONG, shifted, first_id=9000)
    stages, ending = drive(one, VALUES, LONGER)
    other.train([t for stage in stages[::-1] for t in stage.trainings[::-1]])
    other.finished = dict(reversed(other.finished.items()))
    again = drive(other, dict(reversed(VALUES.items())), LONGER)
    assert again[0] == []
    theirs, ours = again[1].evidence, ending.evidence
    assert theirs is not None
    assert ours is not None
    assert (again[1].members, again[1].shifted) == (ending.members, ending.shifted)
    assert (theirs.candidates, theirs.why, theirs.expected) == (
        ours.candidates,
        ours.why,
        ours.expected,
    )
    np.testing.assert_array_equal(theirs.probabilities, ours.probabilities)
