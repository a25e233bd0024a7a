"""What a finalize does next follows from the trainings it has, and from nothing else."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
from optuna.trial import TrialState

from objectives.refit import ALL_ROWS
from storage import attrs
from storage.reading import Attempt
from study.errors import StudyError
from study.finalize.choose import AVERAGED, on_more_rows, predicted
from study.finalize.companion import Training
from study.finalize.stages import Decider, Ending, Stage, UntrainableError
from study.report.evidence import Evidence
from study.spec.effort import QUICK, Effort
from study.spec.open import Loaded
from tests.unit.evidence import EPOCHS, LABELS, N_ROWS, N_TEST, Dataset, World, drive

EFFORT = Effort(top_k=2, folds=3, repeats=1, longer=1, seeds=2)
LONGER = replace(EFFORT, longer=2)
VALUES = {7: 0.99, 3: 0.98, 5: 0.5}
"""Of the search's slots: 7 is on top, and 5 is never looked at again."""

WRONG = {(7, EPOCHS): range(30), (3, EPOCHS): range(10, 25)}
"""On folds 3 is the better one, clearly."""

LONG = {(slot, 2 * EPOCHS): rows for (slot, _), rows in WRONG.items()}
"""The same with twice the epochs."""

CHANCE, SHARE = 1 / 3, 2 / 3
"""Three classes alike; a fold's network learned from two folds of three."""


def of_a_vote(single: float, n_networks: int) -> float:
    """What a vote is expected to reach, where no row shows what averaging adds."""
    return single + AVERAGED * (1 - single) * (1 - 1 / n_networks)


def evidence_of(world: World, effort: Effort = EFFORT) -> Evidence:
    """What it ends with."""
    return evidence_of_search(world, VALUES, effort)


def evidence_of_search(world: World, values: Mapping[int, float], effort: Effort) -> Evidence:
    """What it ends with, for a search with these values."""
    evidence = drive(world, values, effort)[1].evidence
    assert evidence is not None
    return evidence


def test_stages_come_in_order() -> None:
    """A race by folds, the winner's other folds, its networks on all rows; all of them vote."""
    stages, ending = drive(World(LONG), VALUES, LONGER)
    assert [(stage.what, len(stage.trainings)) for stage in stages] == [
        ("2 configurations on fold 1 of 3", 2),
        ("the best of them on 3 folds", 3),
        ("2 networks on all rows", 2),
    ]
    folds = [Training(3, 8, fold, 3) for fold in (1, 2, 3)]
    assert list(stages[0].trainings) == [Training(7, 8, 1, 3), folds[0]]
    assert list(stages[1].trainings) == folds
    assert list(stages[2].trainings) == [Training(3, 8), Training(3, 8, member=1)]
    assert list(ending.members) == [*folds, *stages[2].trainings]
    assert (ending.n_lost, ending.n_late) == (0, 0)


def test_networks_on_folds_vote_alone_where_no_others_are_asked_for() -> None:
    """As the budget has it: what measures also counts."""
    stages, ending = drive(World(LONG), VALUES, replace(LONGER, seeds=0))
    assert len(stages) == 2
    assert list(ending.members) == [Training(3, 8, fold, 3) for fold in (1, 2, 3)]


FOUR = {7: 0.99, 3: 0.98, 5: 0.97, 9: 0.96}
RACE = Effort(top_k=4, folds=6, repeats=1, longer=1, seeds=0)
ALIKE = {(7, EPOCHS): range(30), (3, EPOCHS): range(1, 31), (5, EPOCHS): range(2, 32),
         (9, EPOCHS): range(3, 33)}  # fmt: skip


def raced(stages: list[Stage]) -> list[set[int]]:
    """Who was in the race, fold by fold."""
    return [
        {training.candidate for training in stage.trainings}
        for stage in stages
        if "configurations on fold" in stage.what
    ]


def test_one_that_is_behind_gets_no_further_fold() -> None:
    """By more than one standard error: two leave at once, the close ones go on."""
    wrong = {**ALIKE, (5, EPOCHS): range(150), (9, EPOCHS): range(150)}
    stages, ending = drive(World(wrong), FOUR, RACE)
    assert raced(stages) == [{7, 3, 5, 9}, {7, 3}]
    assert {t.fold for stage in stages for t in stage.trainings if t.candidate == 9} == {1}
    assert ending.evidence is not None
    verdicts = {one.slot: one.verdict for one in ending.evidence.candidates}
    assert verdicts[5].endswith("standard errors behind the best after 1 fold")
    assert verdicts[9].endswith("standard errors behind the best after 1 fold")
    assert "did not differ measurably" in verdicts[({7, 3} - {ending.evidence.choice.slot}).pop()]


def test_each_fold_leaves_at_least_one_behind() -> None:
    """Also where none can be told from another: a race has an end."""
    stages, ending = drive(World(ALIKE), FOUR, RACE)
    assert list(map(len, raced(stages))) == [4, 3, 2]
    assert {training.candidate for training in ending.members} <= set(FOUR)
    assert len(ending.members) == RACE.folds
    assert ending.evidence is not None
    assert [one.n for one in ending.evidence.candidates] == [300, 150, 100, 50]
    why = [one.verdict for one in ending.evidence.candidates]
    alike = "it did not differ measurably from the chosen one"
    assert why == [
        "chosen", f"after 3 folds {alike}", f"after 2 folds {alike}", f"after 1 fold {alike}",
    ]  # fmt: skip


def test_best_trial_alone_has_no_race() -> None:
    """All its folds are one stage."""
    stages, ending = drive(World(WRONG), VALUES, replace(EFFORT, top_k=1, seeds=0))
    assert [(stage.what, len(stage.trainings)) for stage in stages] == [
        ("the best trial on 3 folds", 3)
    ]
    assert {training.candidate for training in ending.members} == {7}


def test_race_that_runs_out_of_folds_is_decided_by_all_of_them() -> None:
    """With fewer folds than it would need: each candidate is in the evidence."""
    stages, ending = drive(World(ALIKE), FOUR, replace(RACE, folds=2))
    assert list(map(len, raced(stages))) == [4, 3]
    assert ending.evidence is not None
    assert {one.slot for one in ending.evidence.candidates} == set(FOUR)
    assert len(ending.members) == 2


@pytest.mark.parametrize(
    "effort",
    [
        RACE, QUICK, replace(RACE, top_k=1), replace(RACE, ensemble=2, seeds=3), LONGER,
        replace(RACE, folds=2, seeds=1), replace(RACE, repeats=3, ensemble=9),
    ],
)  # fmt: skip
@pytest.mark.parametrize("is_close", [True, False])
def test_units_are_the_most_that_one_worker_trains(effort: Effort, is_close: bool) -> None:
    """Nearly all of it in a close race, less where one is clearly behind."""
    last = range(30) if is_close else range(150)
    wrong = {
        (slot, epochs): rows if slot == 7 else last
        for (slot, _), rows in ALIKE.items()
        for epochs in (EPOCHS, 2 * EPOCHS)
    }
    world = World(wrong)
    drive(world, FOUR, effort)
    spent = sum(training.n_units(EPOCHS) for training in world.finished)
    assert 0 < spent <= effort.n_units + 1e-9
    if is_close:  # with as many epochs the first network is one of those on all rows, too
        is_first_again = effort.top_k and effort.seeds and effort.longer == 1
        assert spent + bool(is_first_again) == pytest.approx(effort.n_units)


@pytest.mark.parametrize("effort", [EFFORT, LONGER])
def test_other_workers_do_not_wait_for_the_first_network(effort: Effort) -> None:
    """They train folds of the same configuration, and the end is the same."""
    epochs = EPOCHS * effort.longer
    first, folds = Training(7, EPOCHS), [Training(7, epochs, fold, 3) for fold in (1, 2, 3)]
    undisturbed = drive(World(WRONG | LONG), VALUES, effort)[1]
    for n_workers in (1, 2, 3, 64):
        world = World(WRONG | LONG)
        opening = world.decider(VALUES, effort).opening(n_workers)
        assert list(opening.trainings) == [first, *folds][:n_workers]
        world.train(opening.trainings)
        ending = drive(world, VALUES, effort)[1]
        assert (ending.members, ending.shifted) == (undisturbed.members, undisturbed.shifted)


def test_fold_that_failed_beside_the_first_network_changes_nothing() -> None:
    """It would not have been trained with fewer workers: the end is the same."""
    failing = [Training(7, EPOCHS, 3, 3)]
    calm = drive(World(WRONG, failing=failing), VALUES, EFFORT)[1]
    world = World(WRONG, failing=failing)
    world.train(world.decider(VALUES, EFFORT).opening(64).trainings)
    busy = drive(world, VALUES, EFFORT)[1]
    assert busy.members == calm.members
    assert busy.evidence is not None
    assert calm.evidence is not None
    assert busy.evidence.candidates == calm.evidence.candidates
    assert [one.slot for one in busy.evidence.candidates] == [3, 7]


def test_first_network_is_trained_alone_where_nothing_follows() -> None:
    """As under `--quick`."""
    opening = World(WRONG).decider(VALUES, QUICK).opening(64)
    assert opening.trainings == (Training(7, EPOCHS),)


def test_repeats_are_partitions_of_their_own() -> None:
    """Each holds every row out once; right is averaged over them. The race is on the first."""
    world = World(WRONG)
    stages, ending = drive(world, VALUES, replace(EFFORT, repeats=2))
    assert {(t.fold, t.split) for t in stages[0].trainings} == {(1, 0)}
    assert {(t.fold, t.split) for t in stages[1].trainings} == {
        (fold, split) for fold in (1, 2, 3) for split in (0, 1)
    }
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
    right = found.probabilities.argmax(axis=1) == LABELS
    assert np.flatnonzero(~right).tolist() == list(range(10, 25))
    first, second = found.candidates
    assert (first.trial, first.slot, first.epochs, first.n_right, first.n) == (30, 3, 4, 285, 300)
    # The other one raced on one fold of three.
    rows = Dataset().for_fold(0, 3, 0).valid.rows
    assert (second.trial, second.n_right) == (70, np.sum(rows >= 30))
    assert second.n == len(rows) == 100
    assert first.low < first.accuracy < first.high
    assert found.choice is first
    assert first.flop is None


def test_score_is_expected_of_the_vote() -> None:
    """Its networks learned from as many rows as those that were measured; a vote adds to them."""
    alone = replace(EFFORT, top_k=1, seeds=0)
    expected, tenths = (
        evidence_of(World(WRONG), replace(alone, folds=n)).expected for n in (3, 10)
    )
    assert expected.score == pytest.approx(of_a_vote(0.9, 3))
    assert tenths.score == pytest.approx(of_a_vote(0.9, 10))
    assert 0.9 < expected.score < tenths.score < 0.93
    low, high = predicted(0.9, N_ROWS, N_TEST)
    assert low == expected.low < expected.score < high < expected.high
    voters = evidence_of(World(WRONG), replace(alone, seeds=7)).expected
    assert voters.score == tenths.score


def test_what_the_report_reads_later_is_what_the_submission_had() -> None:
    """Also the score of a vote with networks on all rows."""
    world = World(WRONG)
    _, ending = drive(world, VALUES, EFFORT)
    again = world.decider(VALUES, EFFORT).evidence(world.finished, world.settled)
    assert again is not None
    assert ending.evidence is not None
    assert (again.expected, again.candidates) == (
        ending.evidence.expected,
        ending.evidence.candidates,
    )


@pytest.mark.parametrize("fold", [1, 2])
def test_candidate_with_a_failed_fold_is_dropped(fold: int) -> None:
    """It cannot be compared on all rows; the others can, in a race without it."""
    found = evidence_of(World(WRONG, failing=[Training(3, EPOCHS, fold, 3)]))
    assert [one.slot for one in found.candidates] == [7]
    assert "trial 70 with 4 epochs is chosen" in found.why
    assert found.expected.score == pytest.approx(of_a_vote(found.choice.accuracy, 5))


def test_longer_training_that_fails_is_dropped() -> None:
    """And the best of the others is taken, trained as long."""
    found = evidence_of(World(LONG, failing=[Training(3, 8, 3, 3)]), LONGER)
    assert [(one.slot, one.epochs) for one in found.candidates] == [(7, 8)]


def test_one_that_had_left_comes_back_where_the_winners_fail() -> None:
    """The race is run again among those that can be measured."""
    wrong = {**ALIKE, (5, EPOCHS): range(60), (9, EPOCHS): range(150)}
    failing = [Training(slot, EPOCHS, 2, 6) for slot in (7, 3)]
    stages, ending = drive(World(wrong, failing=failing), FOUR, RACE)
    assert {training.candidate for training in ending.members} == {5}
    assert len(ending.members) == RACE.folds
    assert len(stages) < 20


def test_best_trial_is_taken_where_every_candidate_failed_on_folds() -> None:
    """Its network is there already."""
    failing = [Training(slot, 8, 1, 3) for slot in (3, 7)]
    stages, ending = drive(World(LONG, failing=failing), VALUES, LONGER)
    assert len(stages) == 1
    assert ending == Ending((Training(7, EPOCHS),))


def test_network_that_failed_on_all_rows_is_left_out() -> None:
    """The submission is of those that are there; without any there is none."""
    members = [Training(3, EPOCHS, member=n) for n in (0, 1)]
    folds = tuple(Training(3, EPOCHS, fold, 3) for fold in (1, 2, 3))
    _, ending = drive(World(WRONG, failing=members[:1]), VALUES, EFFORT)
    assert (ending.members, ending.n_lost) == ((*folds, members[1]), 1)
    failing = [*(Training(n, EPOCHS, 1, 3) for n in (3, 7)), Training(7, EPOCHS)]
    with pytest.raises(StudyError, match="could not be trained on all rows") as error:
        drive(World(WRONG, failing=failing), VALUES, EFFORT)
    assert "--study s.finalize" in (error.value.hint or "")


def partly(n_folds: Mapping[int, int], failing: Collection[Training] = ()) -> World:
    """A world in which the first network and some folds of each slot are trained."""
    world = World(LONG, failing=failing)
    first = world.decider(VALUES, LONGER).first.members
    folds = [Training(n, 8, fold + 1, 3) for n, last in n_folds.items() for fold in range(last)]
    world.train([*first, *folds])
    return world


def test_late_the_networks_that_are_there_vote() -> None:
    """Of the configuration with the most folds; the evidence is on their rows."""
    world = partly({7: 1, 3: 2})
    ending = world.decider(VALUES, LONGER).late(world.finished)
    assert list(ending.members) == [Training(3, 8, fold, 3) for fold in (1, 2)]
    assert ending.n_late == 1 + LONGER.seeds
    rows = np.sort(np.concatenate([Dataset().for_fold(n, 3, 0).valid.rows for n in (0, 1)]))
    found = ending.evidence
    assert found is not None
    assert found.rows.tolist() == rows.tolist()
    assert found.labels.tolist() == LABELS[rows].tolist()
    assert found.probabilities.shape == (len(rows), 3)
    (only,) = found.candidates
    right = np.sum((rows < 10) | (rows >= 25))
    assert (only.n, only.n_right) == (len(rows), right)
    assert found.expected.score == pytest.approx(of_a_vote(right / len(rows), 2))


def test_late_the_higher_of_two_that_are_as_far_is_taken() -> None:
    """By the search's values, as nothing else is known of them."""
    world = partly({7: 1, 3: 1})
    ending = world.decider(VALUES, LONGER).late(world.finished)
    assert list(ending.members) == [Training(7, 8, 1, 3)]


def test_late_without_a_fold_the_first_network_is_the_submission() -> None:
    """Without that one, too, there is none, and one line says so."""
    world = partly({})
    decider = world.decider(VALUES, LONGER)
    assert decider.late(world.finished) == decider.first
    world = partly({}, failing=[Training(7, EPOCHS)])
    with pytest.raises(UntrainableError, match="could not be trained"):
        world.decider(VALUES, LONGER).late(world.finished)
    world = partly({3: 1}, failing=[Training(7, EPOCHS)])
    ending = world.decider(VALUES, LONGER).late(world.finished)
    assert list(ending.members) == [Training(3, 8, 1, 3)]


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
            {(7, 4): range(9), (3, 4): range(30)},
            {},
            "trial 70 with 4 epochs is chosen: no other is measurably better on folds",
        ),
        (
            {(7, 4): range(9), (3, 4): range(1, 11)},
            {7: 2e6, 3: 1e6},
            "trial 30 with 4 epochs is chosen and not trial 70, which is on top of the search",
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
    """Its own, though another one is chosen; not known where there are no folds of it."""
    found = evidence_of(World(WRONG)).expected
    share = np.mean(Dataset().for_fold(0, 3, 0).valid.rows >= 30)  # all that was asked of it
    worth = on_more_rows(float(share), CHANCE, SHARE / 0.9)  # a trial learned from nine tenths
    assert share < worth
    assert found.luck == pytest.approx(0.99 - worth)
    assert (found.n_test, found.low < found.score < found.high) == (N_TEST, True)
    dropped = evidence_of(World(WRONG, failing=[Training(7, EPOCHS, 1, 3)])).expected
    assert dropped.luck is None


def test_luck_is_not_known_of_a_value_that_is_no_accuracy() -> None:
    """A loss, say: it is not to be compared with the share of rows that are right."""
    assert evidence_of(World(WRONG, offset=0.05)).expected.luck is None


def test_luck_is_not_known_where_the_trainings_on_folds_are_longer() -> None:
    """They say nothing of a trial with fewer epochs."""
    assert evidence_of(World(LONG), LONGER).expected.luck is None


def test_expected_score_is_not_lifted_by_the_luck_of_the_race() -> None:
    """The one with the most right of several that are as good is expected to do as they do."""
    n_drawn, effort = 8, replace(RACE, top_k=8, folds=3)
    values = {slot: 0.9 - slot / 100 for slot in range(n_drawn)}
    gaps = []
    for seed in range(20):
        drawn = np.random.Generator(np.random.Philox(seed)).random((n_drawn, N_ROWS)) < 0.15
        wrong = {(slot, EPOCHS): np.flatnonzero(drawn[slot]).tolist() for slot in values}
        found = evidence_of_search(World(wrong), values, effort)
        first = found.choice.n_right / found.choice.n
        truth = of_a_vote(0.85, 3)
        gaps.append((found.expected.score - truth, of_a_vote(first, 3) - truth))
    ours, naive = np.mean(gaps, axis=0)
    assert naive > 0.02
    assert abs(ours) < naive / 2


def test_shifts_are_used_where_they_help() -> None:
    """What was said over shifts is the evidence then, and the score to expect rises."""
    plain, shifts = World(WRONG), World(WRONG, shifted={(3, 4): range(10, 20), (7, 4): range(30)})
    _, ending = drive(shifts, VALUES, EFFORT)
    assert ending.shifted
    assert ending.evidence is not None
    wrong = ending.evidence.probabilities.argmax(axis=1) != LABELS
    assert np.flatnonzero(wrong).tolist() == list(range(10, 20))
    folds = 1 - 15 / N_ROWS  # there is no doubt about which is better
    assert evidence_of(plain).expected.score == pytest.approx(of_a_vote(folds, 5), abs=1e-3)
    after = of_a_vote(folds + 5 / N_ROWS, 5)
    assert ending.evidence.expected.score == pytest.approx(after, abs=1e-3)


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
    assert found.choice.slot == 3
    assert 0.95 < found.expected.score <= 1.0
    assert 0 < found.expected.low < found.expected.high <= 1


def test_ensemble_takes_the_next_best_too() -> None:
    """Each with every seed, the chosen one first; never more than there are candidates."""
    wrong = {**ALIKE, (5, EPOCHS): range(20), (9, EPOCHS): range(150)}
    stages, ending = drive(World(wrong), FOUR, replace(RACE, ensemble=2, seeds=2))
    assert stages[-1].what == "4 networks on all rows"
    winners = list(dict.fromkeys(training.candidate for training in ending.members))
    assert len(winners) == 2
    assert 9 not in winners
    on_folds = [(n, fold) for n in winners for fold in range(1, 7)]
    assert [(t.candidate, t.fold) for t in ending.members[:12]] == on_folds
    order = [(t.candidate, t.member) for t in ending.members[12:]]
    assert order == [(n, member) for n in winners for member in (0, 1)]
    assert ending.evidence is not None
    assert ending.evidence.choice.slot == winners[0]
    assert [one.verdict for one in ending.evidence.candidates].count("chosen") == 2
    _, ending = drive(World(WRONG), VALUES, replace(EFFORT, ensemble=9))
    assert [t.candidate for t in ending.members] == [7] * 3 + [3] * 3 + [7, 7, 3, 3]
    assert ending.n_lost == 0


def test_what_stopped_early_on_folds_runs_as_long_on_all_rows() -> None:
    """The median over its folds; each configuration by its own."""
    kept = {(3, EPOCHS): (1, 3, 2), (7, EPOCHS): (4, 4, 3)}
    world = World(WRONG, kept_epochs=kept)
    stages, ending = drive(world, VALUES, replace(EFFORT, ensemble=2))
    on_all = [(t.candidate, t.stop) for t in ending.members if t.fold == ALL_ROWS]
    assert on_all == [(7, 0), (7, 0), (3, 2), (3, 2)]
    assert {t.stop for t in stages[0].trainings} == {0}
    assert ending.evidence is not None
    assert [c.shown_epochs for c in ending.evidence.candidates] == ["4", "2 of 4"]


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
