"""Loading an objective: both doors, options, the narrowed space, and every way to get it wrong."""

import pickle
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from objectives.base import FitOptions, Fitted
from objectives.errors import ModelError, ObjectiveError, SpaceError
from objectives.load import as_fitted, load_objective, source_fingerprint, try_fit
from objectives.space import SearchSpace, parse_space
from objectives.synthetic import SYNTHETIC_SPACE, SyntheticObjective

OBJECTIVE = """
from objectives.space import parse_space


class Mine:
    direction = "minimize"
    needs_data = False
    space = parse_space({"a": [1, 2, 3]})

    def __init__(self, rate="0.5", *, epochs=0, precision=None, threads=None, deterministic=None):
        self.got = (rate, epochs, precision, threads, deterministic)

    def load(self, data_dir):
        return None

    def fit(self, params, dataset, *, seed, report, resume_dir):
        return self.space

    def predict(self, fitted, images):
        return None


mine = Mine("made")
"""

MODEL = """
SPACE = {"units": [16, 32], "lr": {"low": 1e-4, "high": 1e-2, "log": True}}


def build(params, image_shape, n_classes):
    raise NotImplementedError
"""


@pytest.fixture(autouse=True)
def _own_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Work in an empty folder, and leave `sys.path` and `sys.modules` as they were."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith(("user_", "pkg", "sibling")):
            del sys.modules[name]


def load(
    reference: str = "digits-cnn",
    options: dict[str, str] | None = None,
    model: str | None = None,
    space: dict[str, Any] | None = None,
) -> Any:
    """Load with fit options of our own."""
    return load_objective(
        reference,
        fit_options=FitOptions(epochs=3, precision="bfloat16", threads=2, deterministic=False),
        options=options or {},
        model=model,
        space_overrides=space,
    )


def write(name: str, text: str) -> str:
    """Write a file into the current folder and return its name."""
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text)
    return name


def test_synthetic_takes_its_options() -> None:
    """A built-in objective is made with its options, and keeps its space without overrides."""
    objective = load("synthetic", {"n_steps": "2"})
    assert type(objective) is SyntheticObjective
    assert objective._n_steps == 2
    assert objective.space is SYNTHETIC_SPACE


def test_digits_cnn_is_made_without_loading_tensorflow() -> None:
    """The default objective is there at once; Keras comes when it trains."""
    objective = load()
    assert objective.direction == "maximize"
    assert objective.needs_data is True
    assert "filters_3" not in load(space={"n_blocks": 1}).space.names
    assert "filters_3" in objective.space.names


@pytest.mark.parametrize("folder", ["", "deep/er/", "with space/"])
def test_file_objective_gets_the_options_it_names(folder: str) -> None:
    """Options come as text, fit options with their types; a class is called for them."""
    file = write(f"{folder}mine.py", OBJECTIVE)
    assert load(f"{file}:Mine", {"rate": "2"}).got == ("2", 3, "bfloat16", 2, False)
    assert load(f"{Path(file).resolve()}:mine").got[0] == "made"


def test_dotted_objective_is_found_from_the_current_folder() -> None:
    """`package.module:attr` works without an installation, and names a factory too."""
    write("pkg_a/__init__.py", "")
    write(
        "pkg_a/module.py",
        OBJECTIVE + "\ndef make(threads, **options):\n    return Mine(**options)\n",
    )
    assert load("pkg_a.module:Mine").got[1] == 3
    assert load("pkg_a.module:make", {"rate": "7"}).got[0] == "7"


def test_siblings_import_at_load_and_later() -> None:
    """A file's neighbours can be imported at its top and inside its functions."""
    write("there/sibling_a.py", "A = 1")
    write("there/sibling_b.py", "B = 2")
    late = "\n    def load(self, data_dir):\n        import sibling_b\n        return sibling_b.B\n"
    file = write("there/mine.py", f"from sibling_a import A\n{OBJECTIVE}\nclass Late(Mine):{late}")
    before = sys.path[0]
    assert load(f"{file}:Late").load(None) == 2
    assert sys.path[0] == before


def test_users_folder_cannot_hide_the_programs_modules() -> None:
    """Once a file is loaded its folder stands last, so that its names hide nothing."""
    file = write("there/mine.py", OBJECTIVE)
    write("there/wave.py", "raise SystemExit('hidden')")
    load(f"{file}:Mine")
    import wave

    assert hasattr(wave, "open")


def test_classes_of_a_file_can_be_pickled() -> None:
    """The file is a module that is registered, as pickle and Keras need it."""
    objective = load(f"{write('mine.py', OBJECTIVE)}:Mine")
    assert pickle.loads(pickle.dumps(objective)).got == objective.got


def test_edited_file_is_read_again_and_no_cache_is_left() -> None:
    """An edit in the same second counts, and nothing is written beside the user's file."""
    for rate in ("1", "2", "3"):
        file = write("mine.py", OBJECTIVE.replace("0.5", rate))
        assert load(f"{file}:Mine").got[0] == rate
    assert [path.name for path in Path().iterdir()] == ["mine.py"]


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


WRONG_FILES: list[tuple[str, str]] = [
    ("a = 1\ndef f(:\n", r"^bad\.py:2: syntax error: "),
    ("a = '", r"^bad\.py:1: syntax error: unterminated string"),
    ("if True:\na = 1\n", r"^bad\.py:2: syntax error: expected an indented block"),
    ("\n\n1 / 0\n", r"^bad\.py:3: ZeroDivisionError: division by zero$"),
    ("def f():\n    raise ValueError('a\\nb')\nf()\n", r"^bad\.py:2: ValueError: a$"),
    ("import no_such_thing\n", r"^bad\.py:1: ModuleNotFoundError: No module named 'no_such"),
    ("from json import nothing\n", r"^bad\.py:1: ImportError: cannot import name 'nothing'"),
    ("import sys\nsys.exit(3)\n", r"^bad\.py:2: SystemExit: 3$"),
    ("x = 1\n", r"^bad\.py has no 'Mine'$"),
    ("Mine = 5\n", r"^bad\.py:Mine is 5: neither an objective nor what makes one$"),
    ("Mine = dict\n", r"^bad\.py(:Mine)?: (ValueError: no signature|is not an objective)"),
    ("class Mine:\n    pass\n", r"^bad\.py:Mine is not an objective: it has no direction, needs"),
    ("def Mine():\n    raise KeyError('k')\n", r"^bad\.py:2: KeyError: 'k'$"),
    ("def Mine(must):\n    pass\n", r"^bad\.py:Mine needs the option must$"),
]


@pytest.mark.parametrize(("text", "message"), WRONG_FILES)
def test_wrong_file_is_refused_with_its_line(text: str, message: str) -> None:
    """What fails in a user's file is one line with file, line, kind and text."""
    write("bad.py", text)
    with pytest.raises(ModelError, match=message) as caught:
        load("bad.py:Mine")
    assert "\n" not in str(caught.value)


def test_file_that_failed_leaves_no_module() -> None:
    """Half a module would be found by the next import."""
    write("bad.py", "a = 1\n1 / 0\n")
    with pytest.raises(ModelError):
        load("bad.py:Mine")
    assert not [name for name in sys.modules if name.startswith("user_bad")]


def test_error_in_a_sibling_names_the_sibling() -> None:
    """A syntax error one import further is found where it is."""
    write("sibling_c.py", "x = = 1\n")
    write("bad.py", "import sibling_c\n")
    with pytest.raises(ModelError, match=r"sibling_c\.py:1: syntax error: "):
        load("bad.py:Mine")


def test_missing_module_comes_with_a_hint() -> None:
    """An import that is not installed says what to install."""
    write("bad.py", "import no_such_thing\n")
    with pytest.raises(ModelError) as caught:
        load("bad.py:Mine")
    assert caught.value.hint == "install no_such_thing where study runs"


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("digit-cnn", r"^no objective 'digit-cnn'; there are digits-cnn, synthetic, "),
        ("", r"^no objective ''; "),
        ("missing.py:Mine", r"^no such file: missing\.py$"),
        ("missing.py", r"^'missing\.py' does not say which name in the file$"),
        ("no_such_module:Mine", r"^no module 'no_such_module'$"),
        ("json.no_such_part:Mine", r"^no module 'json\.no_such_part'$"),
        ("../up:Mine", r"^'\.\./up' is neither a FILE\.py nor a package\.module$"),
        ("objectives.synthetic:Synthetic", r"^objectives\.synthetic has no 'Synthetic'$"),
    ],
)
def test_reference_to_nothing_is_refused(reference: str, message: str) -> None:
    """A name, file or module that does not exist is said to be missing, with the nearest."""
    with pytest.raises(ModelError, match=message):
        load(reference)


def test_slip_of_the_pen_comes_with_the_nearest_name() -> None:
    """A name that is nearly right is answered with the right one."""
    with pytest.raises(ModelError) as caught:
        load("digit-cnn")
    assert caught.value.hint == "did you mean digits-cnn?"


def test_error_inside_a_dotted_module_names_its_line() -> None:
    """An import error inside the module is not taken for a missing module."""
    write("pkg_b/__init__.py", "")
    write("pkg_b/inner.py", "\nimport no_such_thing\n")
    with pytest.raises(ModelError, match=r"inner\.py:2: ModuleNotFoundError: .*'no_such_thing'"):
        load("pkg_b.inner:Mine")


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


def test_model_becomes_an_objective_with_its_space() -> None:
    """`build` and SPACE in one file are all that is needed, and `--space` narrows it."""
    file = write("there/net.py", MODEL)
    objective = load(model=f"{file}:build", space={"units": 16})
    assert objective.direction == "maximize"
    assert objective.needs_data is True
    assert objective.space.names == ("units", "lr")
    assert objective.space.entries[0].distribution.choices == (16,)


WRONG_MODELS: list[tuple[str, str]] = [
    ("def build(p, s, n): ...\n", r"^net\.py: has no SPACE$"),
    ("SPACE = 3\ndef build(p, s, n): ...\n", r"^net\.py: SPACE is 3, not a dict$"),
    ("SPACE = {'a': []}\ndef build(p, s, n): ...\n", r"^net\.py: search space, a: the list of ch"),
    ("SPACE = {'a': 1}\n", r"^net\.py has no 'build'$"),
    ("SPACE = {'a': 1}\nbuild = 3\n", r"^net\.py:build is 3, not a function that builds a model$"),
    ("SPACE = {'a': 1}\ndef build(p): ...\n", r"^net\.py:build must take \(params, image_shape, "),
    (f"{MODEL}\ncallbacks = []\n", r"^net\.py: callbacks is a list, not a function of params$"),
    ("import no_such_thing\n", r"^net\.py:1: ModuleNotFoundError: "),
]


@pytest.mark.parametrize(("text", "message"), WRONG_MODELS)
def test_wrong_model_is_refused(text: str, message: str) -> None:
    """What is missing or wrong in a model file is one line."""
    write("net.py", text)
    with pytest.raises(ObjectiveError, match=message) as caught:
        load(model="net.py:build")
    assert "\n" not in str(caught.value)


def test_model_takes_no_options() -> None:
    """There is nobody to take an objective's option, so it is refused."""
    write("net.py", MODEL)
    with pytest.raises(ModelError, match=r"^net\.py:build has no option 'a'; it takes none$"):
        load(model="net.py:build", options={"a": "1"})


def test_fingerprint_follows_the_source_and_not_the_place() -> None:
    """The same file elsewhere is the same objective; another content or name is another."""
    one, two = write("a/net.py", MODEL), write("b/net.py", MODEL)
    same = source_fingerprint("digits-cnn", f"{one}:build")
    assert source_fingerprint("digits-cnn", f"{two}:build") == same
    assert source_fingerprint(f"{one}:build", None) == same
    assert source_fingerprint("digits-cnn", f"{one}:other") != same
    write("a/net.py", MODEL + "\n")
    assert source_fingerprint("digits-cnn", f"{one}:build") != same


def test_fingerprints_of_names_differ() -> None:
    """Built-in, dotted and unfindable references each have their own, 64 hex digits long."""
    write("pkg_c/__init__.py", "")
    module = write("pkg_c/module.py", OBJECTIVE)
    dotted = source_fingerprint("pkg_c.module:Mine", None)
    names = ["digits-cnn", "synthetic", "no_such_module:Mine", "pkg_c.module:mine"]
    found = [dotted, *(source_fingerprint(name, None) for name in names)]
    assert len(set(found)) == 5
    assert {len(value) for value in found} == {64}
    write(module, OBJECTIVE + "\n")
    assert source_fingerprint("pkg_c.module:Mine", None) != dotted


def test_fingerprint_of_a_missing_file_is_refused() -> None:
    """There is no fingerprint of nothing."""
    with pytest.raises(ModelError, match=r"^no such file: gone\.py$"):
        source_fingerprint("gone.py:Mine", None)


def test_missing_file_comes_with_the_option_that_says_where_it_lies() -> None:
    """A file may have been moved since the study was created; the hint is whole but for its place.

    Both doors, and the fingerprint that joining looks at first.
    """
    as_objective = "--objective FILE.py:Mine, where it lies now"
    as_model = "--model FILE.py:build, where it lies now"
    calls: list[tuple[str, Any]] = [
        (as_objective, lambda: load("gone.py:Mine")),
        (as_objective, lambda: source_fingerprint("gone.py:Mine", None)),
        (as_model, lambda: load(model="gone.py:build")),
        (as_model, lambda: source_fingerprint("digits-cnn", "gone.py:build")),
    ]
    for hint, call in calls:
        with pytest.raises(ModelError, match=r"^no such file: gone\.py$") as caught:
            call()
        assert caught.value.hint == hint


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
        (Fitted("high", None), r"^fit returned the value 'high', which is no number$"),  # type: ignore[arg-type]
        (Fitted([0.5], None), r"^fit returned the value a list, which is no number$"),  # type: ignore[arg-type]
        (Fitted(0.5, None, {"s": None}), r"^fit returned the info s = a NoneType, which is no n"),  # type: ignore[dict-item]
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
