"""The spec: stored and read back, compared with what a command says, differences named."""

import json
import os
from dataclasses import fields, replace
from typing import Any

import pytest

from study.errors import StudyError
from study.spec.open import keep_to_backend
from study.spec.spec import (
    COMPANION,
    DEFINING,
    LONGEST_NAME,
    Given,
    StudySpec,
    check_lease,
    check_name,
    refuse_difference,
)
from study.spec.workdir import folder_name

SPEC = StudySpec(
    objective="digits-cnn",
    model=None,
    options={"a": "1"},
    source="s",
    data="d",
    space=[{"name": "x", "low": 0, "high": 1}, {"name": "y", "choices": [1, 2]}],
    direction="maximize",
    seed=7,
    epochs=3,
    precision="float32",
    threads=1,
)


def test_spec_goes_through_json_and_back() -> None:
    """Every field, whatever its value."""
    full = replace(SPEC, model="/a/net.py:build", timeout_s=60.5, deterministic=False)
    for spec in (SPEC, full):
        assert StudySpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_spec_of_a_newer_version_is_refused() -> None:
    """What it says might change what a trial computes; the unknown field is named."""
    with pytest.raises(StudyError, match="spec has class_weights, which this version does not"):
        StudySpec.from_json({**SPEC.to_json(), "class_weights": "balanced"})


ODD_FIELDS: list[tuple[str, Any]] = [
    ("objective", None), ("objective", ["synthetic"]), ("model", 3), ("options", {"a": 1}),
    ("options", []), ("space", {}), ("space", [1]), ("direction", "up"), ("seed", -1),
    ("seed", "7"), ("seed", True), ("epochs", 0), ("epochs", 2.5), ("threads", 0),
    ("deterministic", "no"), ("sampler", "os:system"), ("pruner", None), ("timeout_s", "1h"),
    ("timeout_s", float("nan")), ("grace_s", float("inf")), ("grace_s", 1.0),
    ("heartbeat_s", 0), ("max_attempts", 0), ("checkpoint_every", 0), ("metric", "loss"),
    ("keep_checkpoints", "some"), ("backend", "evil"), ("refits", 1),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value"), ODD_FIELDS, ids=lambda value: repr(value))
def test_spec_with_an_impossible_field_is_refused(field: str, value: Any) -> None:
    """Whoever writes to the database may write anything there."""
    with pytest.raises(StudyError, match=field.removesuffix("_s")):
        StudySpec.from_json({**SPEC.to_json(), field: value})


@pytest.mark.parametrize("stored", [None, [], "spec", 3])
def test_spec_that_is_no_table_is_refused(stored: object) -> None:
    """The reason is one line."""
    with pytest.raises(StudyError, match="spec cannot be read"):
        StudySpec.from_json(stored)


def test_spec_of_another_program_is_refused() -> None:
    """The missing key is named."""
    stored = SPEC.to_json()
    del stored["seed"]
    with pytest.raises(StudyError, match=r"spec cannot be read: .*'seed'"):
        StudySpec.from_json(stored)


def test_every_field_a_user_can_give_is_one_of_the_spec() -> None:
    """Given and StudySpec name the same things alike."""
    assert {f.name for f in fields(Given)} <= {f.name for f in fields(StudySpec)}


def test_what_was_not_given_is_not_compared() -> None:
    """None is nothing said; False and 0 are."""
    given = Given(seed=0, deterministic=False, epochs=None)
    assert given.said() == {"seed": 0, "deterministic": False}


def test_the_same_again_is_no_difference() -> None:
    """A spec agrees with itself, and a timeout may be another."""
    refuse_difference("s", SPEC, SPEC.to_json())
    refuse_difference("s", SPEC, {"timeout_s": 5.0})
    assert [key for key, option in DEFINING.items() if option.may_rise] == ["timeout_s"]


DIFFERENCES: list[tuple[str, Any, str, str]] = [
    ("seed", 8, "has seed 7; this command says 8", "--seed"),
    ("epochs", 9, "has epochs 3; this command says 9", "--epochs"),
    ("threads", 2, "has threads 1; this command says 2", "--threads"),
    ("precision", "bfloat16", "has precision float32", "--precision"),
    ("sampler", "tpe", "has sampler random; this command says tpe", "--sampler"),
    ("pruner", "median", "has pruner none; this command says median", "--pruner"),
    ("grace_s", 90.0, "has grace 60.0; this command says 90.0", "--grace"),
    ("heartbeat_s", 1.0, "has heartbeat 15.0; this command says 1.0", "--heartbeat"),
    ("max_attempts", 9, "has max_attempts 3; this command says 9", "--max-attempts"),
    ("deterministic", False, "has deterministic True", "--no-deterministic"),
    ("objective", "synthetic", "has objective digits-cnn", "--objective"),
    ("model", "/a/net.py:build", "has model None", "--model"),
    ("options", {"a": "2"}, "has options {'a': '1'}", "--objective-option"),
]


@pytest.mark.parametrize(("key", "value", "message", "flag"), DIFFERENCES)
def test_difference_is_named_with_the_option_to_drop(
    key: str, value: Any, message: str, flag: str
) -> None:
    """What the study has, what the command says, and what to do."""
    with pytest.raises(StudyError, match="study 's' has") as refused:
        refuse_difference("s", SPEC, {key: value})
    assert str(refused.value).startswith(f"study 's' {message}")
    assert f"drop {flag} " in str(refused.value.hint)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("data", "other", "another data"),
        ("source", "other", "another objective's code"),
        ("direction", "minimize", "another direction"),
        ("space", [SPEC.space[0], {"name": "y", "choices": [1]}], r"another space .*in 'y'\)"),
        ("space", [SPEC.space[0]], r"another space .*in 'y'\)"),
        ("space", [*SPEC.space, {"name": "z", "choices": [1]}], r"another space .*in 'z'\)"),
        ("space", SPEC.space[::-1], r"another space \(the order of its entries differs\)"),
    ],
)
def test_hashes_and_spaces_are_not_printed(key: str, value: Any, message: str) -> None:
    """Only what differs in them is."""
    with pytest.raises(StudyError, match=f"study 's' was created with {message}"):
        refuse_difference("s", SPEC, {key: value})


def test_lease_times_that_a_healthy_worker_keeps_are_taken() -> None:
    """Three heartbeats and three seconds are enough."""
    check_lease(60.0, 15.0)
    check_lease(3.0, 1.0)
    check_lease(3.0, 0.5)


@pytest.mark.parametrize(
    ("grace_s", "heartbeat_s", "message"),
    [
        (2.9, 0.5, "--grace 2.9s must be at least 3 s"),
        (10.0, 4.0, "three heartbeats of 4 s"),
        (60.0, 0.0, "--heartbeat 0s must be above 0"),
        (60.0, -1.0, "--heartbeat -1s must be above 0"),
    ],
)
def test_lease_times_that_would_lose_a_healthy_worker_are_refused(
    grace_s: float, heartbeat_s: float, message: str
) -> None:
    """The hint is a grace period that is long enough."""
    with pytest.raises(StudyError, match=message):
        check_lease(grace_s, heartbeat_s)


@pytest.mark.parametrize(
    "name",
    [
        *("../x", "/etc/x", "a/../../x", "..", ".hidden", "a\\b", "", "x" * 500),
        *("a\nb", "a\x1b[31mb", "a\x00b"),
    ],
)
def test_name_that_leads_out_of_a_folder_is_refused(name: str) -> None:
    """At creation; what another program has called a study is `folder_name`'s."""
    with pytest.raises(StudyError, match="cannot be the name of a study"):
        check_name(name)


@pytest.mark.parametrize("character", ["x", "ö", "学", "😀"])
def test_name_is_limited_in_bytes(character: str) -> None:
    """File systems count bytes; the longest one fits with all that is put behind it."""
    n = LONGEST_NAME // len(character.encode())
    check_name(character * n)
    behind = f"{folder_name(character * n + COMPANION)}.work"
    assert len(behind.encode()) <= 255
    with pytest.raises(StudyError, match=r"has \d+ bytes") as refused:
        check_name(character * (n + 1))
    assert f"at most {LONGEST_NAME} bytes" in str(refused.value.hint)


@pytest.mark.parametrize("name", [" ", " a", "a ", "a\u200bb", "a\u202eb", "\udcff", "a\u00a0b"])
def test_name_that_cannot_be_read_off_a_screen_is_refused(name: str) -> None:
    """Blanks at the ends, what is not seen, and bytes that are no text."""
    with pytest.raises(StudyError, match="cannot be the name of a study"):
        check_name(name)


def test_backend_of_a_study_is_that_of_all_who_work_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is set where nothing was said, and another one is refused; others' objectives are free."""
    ours = replace(SPEC, objective="digits-cnn", model=None, backend="jax")
    monkeypatch.setenv("KERAS_BACKEND", "")
    keep_to_backend("s", ours)
    assert os.environ["KERAS_BACKEND"] == "jax"
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    with pytest.raises(StudyError, match="has backend jax; this command says torch") as refused:
        keep_to_backend("s", ours)
    assert "drop KERAS_BACKEND" in str(refused.value.hint)
    keep_to_backend("s", replace(ours, objective="synthetic"))
    assert os.environ["KERAS_BACKEND"] == "torch"
