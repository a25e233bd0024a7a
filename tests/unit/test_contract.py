"""The contract of an objective: its members, its space, its options, and what `fit` returns."""

import pickle
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from objectives.base import Fitted
from objectives.errors import ModelError, SpaceError
from objectives.load import as_fitted, try_fit
from objectives.space.space import SearchSpace, parse_space
from tests.unit.loaded import OBJECTIVE, load, write

pytestmark = pytest.mark.usefixtures("own_path")


def test_narrowed_space_is_seen_by_the_objective_itself() -> None:
    """Its own methods see the space in force; the object that was named keeps its own."""
    objective = load(f"{write('mine.py', OBJECTIVE)}:mine", space={"a": 2})
    assert objective.space.to_json() == [{"name": "a", "choices": [2]}]
    assert objective.fit({}, None, seed=0, report=None, resume_dir=None) is objective.space
    original = sys.modules[type(objective).__mro__[1].__module__].mine  # type: ignore[attr-defined]
    assert len(original.space.to_json()[0]["choices"]) == 3


class Whole:
    """A whole objective, for others to spoil."""

    direction: Any = "maximize"
    needs_data: Any = False
    space: Any = parse_space({"a": [1, 2, 3]})

    def load(self, data_dir: Any) -> Any: ...

    def fit(self, params: Any, dataset: Any, *, seed: Any, report: Any, resume_dir: Any) -> Any: ...

    def predict(self, fitted: Any, images: Any) -> Any: ...


class AsProperty(Whole):
    """Its space is a property that cannot be set."""

    @property
    def space(self) -> SearchSpace:  # type: ignore[override]
        return parse_space({"a": [1, 2, 3]})


class AsDict(Whole):
    """Its space is a plain dict."""

    space = {"a": [1, 2, 3]}  # noqa: RUF012


@dataclass(frozen=True)
class AsFrozen(Whole):
    """It cannot be written to."""

    other: int = 1


class AsSlots(Whole):
    """It has no room for attributes."""

    __slots__ = ("other",)


@pytest.mark.parametrize("kind", [Whole, AsProperty, AsDict, AsFrozen, AsSlots])
def test_space_is_narrowed_however_it_is_kept(kind: type[Whole]) -> None:
    """Attribute, property, dict, frozen class: `--space` works on all of them."""
    objective = load(f"{__name__}:{kind.__name__}", space={"a": [1, 2]})
    assert isinstance(objective, kind)
    assert objective.space == parse_space({"a": [1, 2]})
    assert load(f"{__name__}:{kind.__name__}").space == parse_space({"a": [1, 2, 3]})


def test_unknown_name_in_the_space_is_refused() -> None:
    """An override of what is not there is an error and not ignored."""
    with pytest.raises(SpaceError, match=r"^unknown param 'b'; there are a$"):
        load(f"{__name__}:Whole", space={"b": 1})


SPOILED: list[tuple[dict[str, Any], str]] = [
    ({"direction": "max"}, r"direction is 'maximize' or 'minimize', not 'max'$"),
    ({"needs_data": 1}, r"needs_data is True or False, not 1$"),
    ({"space": [1]}, r"space is a list, not a SearchSpace or a dict$"),
    ({"predict": 5}, r"predict is 5, not a function$"),
    ({"load": lambda self: None}, r"load must take \(data_dir\): too many positional"),
    (
        {"fit": lambda self, params, dataset, seed: None},
        r"fit must take \(params, dataset, \*, seed, report, resume_dir\): got an unexpected",
    ),
    ({"space": property(lambda self: 1 / 0)}, r"ZeroDivisionError: division by zero$"),
]


@pytest.mark.parametrize(("member", "message"), SPOILED)
def test_wrong_member_is_named(
    monkeypatch: pytest.MonkeyPatch, member: dict[str, Any], message: str
) -> None:
    """A member of the contract that is there but wrong is named with its value."""
    for name, value in member.items():
        monkeypatch.setattr(Whole, name, value)
    with pytest.raises(ModelError, match=message) as caught:
        load(f"{__name__}:Whole")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("reference", "options", "message"),
    [
        ("synthetic", {"steps": "1"}, r"^synthetic has no option 'steps'; it takes sleep_s, n_st"),
        ("digits-cnn", {"depth": "1"}, r"^digits-cnn has no option 'depth'; it takes none$"),
        ("synthetic", {"epochs": "1"}, r"^epochs is not an option of the objective$"),
        ("synthetic", {"n_steps": "x"}, r"^option n_steps: 'x' is not a whole number"),
        (f"{__name__}:Whole", {"a": "1"}, r":Whole has no option 'a'; it takes none$"),
        (f"{__name__}:WHOLE", {"a": "1"}, r":WHOLE has no option 'a'; it takes none$"),
    ],
)
def test_wrong_option_is_refused(reference: str, options: dict[str, str], message: str) -> None:
    """An option that the objective does not have is named, with those that it has."""
    with pytest.raises(ModelError, match=message):
        load(reference, options)


WHOLE = Whole()


def test_what_fit_returned_becomes_plain_numbers() -> None:
    """NumPy's numbers and text that is a number are stored like any other."""
    found = as_fitted(Fitted(np.float32(0.5), "model", {"train_s": np.int64(3), "loss": "0.25"}))  # type: ignore[arg-type, dict-item]
    assert found == Fitted(0.5, "model", {"train_s": 3.0, "loss": 0.25})
    assert {type(number) for number in (found.value, *found.info.values())} == {float}
    assert as_fitted(Fitted(None, None)).value is None


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (None, r"^fit returned a NoneType, not objectives\.base\.Fitted$"),
        (0.5, r"^fit returned 0\.5, not objectives\.base\.Fitted$"),
        (Fitted("high", None), r"^fit returned the value 'high', which is not a number$"),  # type: ignore[arg-type]
        (Fitted([0.5], None), r"^fit returned the value a list, which is not a number$"),  # type: ignore[arg-type]
        (Fitted(0.5, None, {"s": None}), r"^fit returned the info s = a NoneType, which is no"),  # type: ignore[dict-item]
    ],
)
def test_what_is_no_fitted_is_refused(found: Any, message: str) -> None:
    """What a user's `fit` returned is named, before any database sees it."""
    with pytest.raises(ModelError, match=message):
        as_fitted(found)


def test_fit_is_tried_out_before_a_slot_is_planned() -> None:
    """An objective whose `fit` returns something else is refused under its own name."""
    write("mine.py", OBJECTIVE)
    with pytest.raises(ModelError, match=r"^mine\.py:Mine: fit returned a SearchSpace, not object"):
        try_fit(load("mine.py:Mine"), None, "mine.py:Mine")


@pytest.mark.parametrize("error", ["optuna.TrialPruned", "optuna.exceptions.TrialPruned('no')"])
def test_fit_that_prunes_itself_is_tried_out_without_an_error(error: str) -> None:
    """It is a decision on the params of the try-out, and not on those of the study."""
    write("mine.py", "import optuna\n" + OBJECTIVE.replace("return self.space", f"raise {error}"))
    try_fit(load("mine.py:Mine"), None, "mine.py:Mine")


def test_fit_that_wraps_what_a_report_raises_is_tried_out_without_an_error() -> None:
    """Any report may raise that the trial is to end; an error of its own is still one."""
    body = """try:
            {}
        except Exception as error:
            raise ValueError("a callback failed") from error"""
    write("mine.py", OBJECTIVE.replace("return self.space", body.format("report(0, 0.5)")))
    try_fit(load("mine.py:Mine"), None, "mine.py:Mine")
    write("other.py", OBJECTIVE.replace("return self.space", body.format("params['none']")))
    with pytest.raises(ModelError, match="a callback failed"):
        try_fit(load("other.py:Mine"), None, "other.py:Mine")


def test_processes_that_are_started_get_plain_folders() -> None:
    """The entry of `sys.path` that brings a user's file along is a plain one where it arrives."""
    write("mine.py", OBJECTIVE)
    load("mine.py:Mine")
    arrived = pickle.loads(pickle.dumps(sys.path))
    assert arrived == sys.path
    assert {type(entry) for entry in arrived} == {str}
    assert {type(entry) for entry in sys.path} != {str}


def test_fit_that_reports_no_value_is_tried_out_too() -> None:
    """Without valid rows there is none, and the first report ends the try all the same."""
    reports = OBJECTIVE.replace("return self.space", "report(0, None)\n        return self.space")
    write("mine.py", reports)
    try_fit(load("mine.py:Mine"), None, "mine.py:Mine")
