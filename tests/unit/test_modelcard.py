"""The model card: how long was trained and why, what was looked at, and no more than is there."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from study.finalize.modelcard import cost_lines, model_card, score_lines
from study.report.evidence import Evidence, Expected
from tests.unit.reported import evidence_of

DATASET = SimpleNamespace(
    side=8, n_classes=4, classes=("a|b", "c", "d", "e"), labels=np.zeros(40), valid=np.zeros(4)
)


ON_ALL, ON_FOLD = {"fold": 0, "n_folds": 2}, {"fold": 1, "n_folds": 3}
"""Params of a training on all rows, and of one without a fold."""


def card(evidence: Evidence | None = None, **more: Any) -> str:
    """The card of a finalize, without the ends of its lines."""
    facts: dict[str, Any] = {
        "trial": 3, "slot": 3, "value": 0.9, "best_value": 0.9, "params": {"x": 1},
        "epochs": 40, "stopped_after": None, "n_pruned": 0, "shifted": False,
        "members": [ON_ALL], "n_left_out": 0, "training_seeds": [1],
        "effort": {"folds": 3} if evidence else None,
        "precision": "float32", "threads": 1, "study_seed": 0, "data_sha256": "0", "versions": {},
        "cost": {
            "n_configurations": 9, "n_trials": 5, "n_refits": 7, "n_epochs": 300, "train_s": None,
            "images": None, "flop": None,
        },
        "command": "study run", "submit": "kaggle x", "outputs": {"submission.csv": "0"},
    }  # fmt: skip
    return model_card("s", facts | more, DATASET, evidence).replace("\n", " ")


@pytest.mark.parametrize(
    ("evidence", "why"),
    [
        (None, "the epoch of the weights that the trial kept"),
        (evidence_of(), "the median epoch of the weights kept in its trainings on folds"),
    ],
    ids=["quick", "folds"],
)
def test_early_stop_is_written_down_with_its_reason(evidence: Evidence | None, why: str) -> None:
    """Only where there was one."""
    found = card(evidence, stopped_after=9)
    assert f"On all rows it trained 9 of 40 epochs, {why}" in found
    assert "| 9 of 40, float32, 1 |" in found
    assert "On all rows it trained" not in card(evidence)
    assert "| 40, float32, 1 |" in card(evidence)


def lines(score: float, low: float, high: float, luck: float | None, value: float) -> str:
    """What is said of an expected score."""
    expected = Expected(score, low, high, 60, luck)
    return "; ".join(score_lines(value, replace(evidence_of(), expected=expected)))


@pytest.mark.parametrize("luck", [0.0, 1e-16, 4e-5, -1e-16, None])
def test_perfect_score_reads_as_one(luck: float | None) -> None:
    """It has an interval all the same, and luck that is none is not told of."""
    said = lines(1.0, 0.9261, 1.0, luck, 1.0)
    first = "expected score 1.0000 (95 %: 0.9261 to 1.0000, on 60 test images)"
    assert said == (first if luck is None else f"{first}; the best trial's own value is 1.0000")


def test_luck_is_told_where_it_can_be_seen() -> None:
    """To as many digits as the value that it is a part of."""
    said = lines(0.9, 0.8, 0.95, 0.0312, 0.94)
    assert said.endswith("the best trial's own value is 0.9400; 0.0312 of that is luck")


def test_pruned_trials_are_said_to_be_no_candidates() -> None:
    """With their number."""
    assert "1 pruned trial was not a candidate: it was not trained to the end" in card(n_pruned=1)
    assert "2 pruned trials were not candidates: they were not trained" in card(n_pruned=2)
    assert "pruned" not in card()


def test_card_says_what_was_looked_at_and_what_is_not_known() -> None:
    """Configurations and epochs; a cost that nobody counted is not none."""
    found = card()
    counted = "9 configurations (5 trained to the end), 7 trainings after them, 300 epochs in all"
    assert counted in found
    assert "| training time of all | not known |" in found


def test_card_says_what_the_score_was_measured_on() -> None:
    """On rows that the networks had not learned from, the gain of their average included."""
    found = card(evidence_of(), members=[ON_FOLD] * 3)
    measured = "measured on the rows that each of these networks had not learned from"
    assert measured in found
    assert "what their average adds is included" in found
    assert measured not in card()
    assert "average" not in card()


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([ON_ALL], "one network, trained on all labelled rows."),
        ([ON_ALL] * 2, "the average of 2 networks, trained on all labelled rows."),
        ([ON_FOLD], "one network, trained on 67% of the labelled rows."),
        ([ON_FOLD] * 3, "the average of 3 networks, each trained on 67% of the labelled rows."),
        (
            [ON_FOLD, ON_FOLD, ON_FOLD, ON_ALL],
            "the average of 4 networks, 3 trained on 67% of the labelled rows and 1 on all of "
            "them.",
        ),
    ],
)
def test_card_says_what_each_network_learned_from(members: list[Any], said: str) -> None:
    """How many there are, and on how many rows."""
    assert f"The submission comes from {said}" in card(evidence_of(), members=members)


def test_networks_that_came_too_late_are_counted() -> None:
    """Where there were any."""
    assert "2 networks did not vote: the time was over." in card(evidence_of(), n_left_out=2)
    assert "did not vote" not in card(evidence_of())


def test_card_has_the_line_that_submits() -> None:
    """To be pasted."""
    assert "```sh kaggle x ```" in card(submit="kaggle x")


def test_cost_is_said_as_far_as_it_is_known() -> None:
    """Nothing is said of what was not counted; a class without rows has no recall."""
    looked = {"n_configurations": 9, "n_epochs": 300}
    cost = {**looked, "train_s": 61.2, "images": 120_000, "flop": None}
    facts = {"cost": cost, "recall": {"a": 0.99, "b": 0.5, "c": None}}
    assert cost_lines(facts) == [
        "looked at 9 configurations, 300 epochs; 61 s in trainings, 1.2e+05 images",
        "class b has the lowest recall: 0.5000",
    ]
    unknown = {**looked, "train_s": None, "images": None, "flop": None}
    assert cost_lines({"cost": unknown, "recall": None}) == [
        "looked at 9 configurations, 300 epochs"
    ]


def test_model_is_explained_where_there_is_one() -> None:
    """An objective of one's own may export none."""
    assert "load_model" not in card()
    assert "load_model" in card(outputs={"model.keras": "0"})


def test_texts_stay_in_their_cells() -> None:
    """Of classes and params."""
    found = card(evidence_of(), params={"kind": "x|y"})
    assert "| kind | x\\|y |" in found
    assert "| a\\|b | 10 |" in found
