"""Params that nothing reads: found where that is sure, and called by their right names."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from objectives.errors import ModelError
from objectives.network.tryout.unread import draw_where_active, refuse_known, unread, warning_of
from objectives.source import import_target
from objectives.space.space import middle, parse_space
from tests.unit.loaded import write

pytestmark = pytest.mark.usefixtures("own_path")

SPACE = parse_space({name: [1, 2] for name in ("units", "foo", "learning_rate", "batch_size")})


def build_in(text: str) -> Callable[..., Any]:
    """Return `build` of a file with this text in the function."""
    file = write("net.py", f"SPACE = {{'foo': [1]}}\ndef build(params, s, n):\n    {text}\n")
    found: Callable[..., Any] = import_target(file).build
    return found


def test_what_training_or_build_reads_is_not_named() -> None:
    """The optimizer's params are training's where build does not compile."""
    build = build_in("pass")
    assert unread(SPACE, {"units"}, build, compiled=False) == ["foo"]
    assert unread(SPACE, {"units"}, build, compiled=True) == ["foo", "learning_rate"]


@pytest.mark.parametrize(
    "text",
    [
        "return params['foo'] if n > 9 else 0",
        "return params[f'f{n}'] if n > 9 else 0",
        "return params['f' + n] if n > 9 else 0",
        "return params['f%s' % n] if n > 9 else 0",
        "return params['{}oo'.format(n)] if n > 9 else 0",
    ],
)
def test_name_that_a_function_mentions_is_not_named(text: str) -> None:
    """It may be read in a branch that was not taken."""
    assert unread(SPACE, {"units"}, build_in(text), compiled=False) == []


def test_text_that_may_be_anything_mentions_nothing() -> None:
    """Such as that of a log line."""
    build = build_in("return f'{params}', f'units {n}'")
    assert unread(SPACE, {"units"}, build, compiled=False) == ["foo"]


def test_imported_file_beside_it_is_searched_too() -> None:
    """A helper may read what build does not."""
    write("beside_it.py", "def width(params):\n    return params['foo']\n")
    file = write("net.py", "import beside_it\ndef build(params, s, n):\n    pass\n")
    build = import_target(file).build
    assert Path(str(sys.modules["beside_it"].__file__)).name == "beside_it.py"
    assert unread(SPACE, {"units"}, build, compiled=False) == []
    del sys.modules["beside_it"]


def test_param_that_others_wait_for_is_not_named() -> None:
    """It decides what is drawn."""
    space = parse_space({"deep": [True, False], "n": {"choices": [1, 2], "when": {"deep": True}}})
    assert unread(space, {"n"}, build_in("pass"), compiled=False) == []


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("lr", "training reads it as learning_rate"),
        ("LearningRate", "training reads it as learning_rate"),
        ("batchsize", "training reads it as batch_size"),
        ("batch", "training reads it as batch_size"),
        ("optim", "training reads it as optimizer"),
        ("wd", "training reads it as weight_decay"),
        ("epochs", "the option --epochs sets it"),
        ("num_epochs", "the option --epochs sets it"),
    ],
)
def test_known_name_is_refused_with_the_right_one(name: str, what: str) -> None:
    """On one line."""
    with pytest.raises(ModelError, match=what) as caught:
        refuse_known([name], parse_space({name: [1]}), compiled=False)
    assert f"'{name}'" in str(caught.value)
    assert caught.value.hint is not None


def test_rate_of_a_compiled_model_is_a_warning() -> None:
    """No other name would make training read it; build may."""
    refuse_known(["lr", "foo"], parse_space({"lr": [1], "foo": [1]}), compiled=True)
    warning = warning_of(["lr"], set(), compiled=True)
    assert warning is not None
    assert "build compiles the model" in warning
    assert warning_of([], set(), compiled=True) is None


def test_slip_of_the_pen_comes_with_the_nearest_name() -> None:
    """Of those that are read."""
    warning = warning_of(["unit"], {"units"}, compiled=False)
    assert warning is not None
    assert "'unit' (did you mean units?)" in warning


def test_conditional_param_is_drawn_where_it_is_asked_for() -> None:
    """Its parents get values in which it is."""
    space = parse_space(
        {
            "kind": ["a", "b", "c"],
            "deep": {"choices": [1, 2], "when": {"kind": "a"}},
            "leaf": {"low": 1, "high": 5, "when": {"deep": 1}},
        }
    )
    assert draw_where_active(space, "leaf", middle) == {"kind": "a", "deep": 1, "leaf": 3}
    assert draw_where_active(space, "kind", middle) == {"kind": "b"}
