"""From a reference to an objective: both doors, what each is made with, and fingerprints."""

import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from objectives.base import FitOptions
from objectives.errors import ModelError, ObjectiveError
from objectives.load import BUILT_IN, BuiltIn, load_objective, source_fingerprint
from objectives.synthetic import SYNTHETIC_SPACE, SyntheticObjective
from tests.unit.loaded import MODEL, OBJECTIVE, load, write

pytestmark = pytest.mark.usefixtures("own_path")


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


@pytest.mark.parametrize(
    ("head", "hint"),
    [
        ("build(hp)", 'params["units"] instead of hp.Int('),
        ("build(trial)", 'params["units"] instead of trial.suggest_int('),
    ],
)
def test_build_of_another_tuner_comes_with_what_to_change(head: str, hint: str) -> None:
    """KerasTuner's and Optuna's forms are known."""
    write("net.py", f"SPACE = {{'a': 1}}\ndef {head}: ...\n")
    with pytest.raises(ModelError, match=r"must take \(params, image_shape, n_classes\)") as caught:
        load(model="net.py:build")
    assert caught.value.hint is not None
    assert hint in caught.value.hint


def test_model_that_computes_on_import_is_refused_with_the_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Threads can be set before that alone; the statement that starts it is named."""
    monkeypatch.setattr("objectives.load.tensorflow_computes", lambda: "begun" in sys.modules)
    begin = "sys.modules[\n    'begun'] = None"
    write(
        "net.py", f'"""A net."""\nfrom __future__ import annotations\nimport sys\n{begin}\n{MODEL}'
    )
    monkeypatch.delitem(sys.modules, "begun", raising=False)
    with pytest.raises(ModelError, match=r"^net\.py:4: TensorFlow begins to compute") as caught:
        load(model="net.py:build")
    assert caught.value.hint is not None
    load(model="net.py:build")  # it computes already: whatever began it, this file did not
    del sys.modules["begun"]


def test_model_file_is_run_as_a_whole_module() -> None:
    """Statement by statement, with its docstring and what it takes from the future."""
    future = "from __future__ import annotations"
    text = f'"""A net."""\n{future}\n{MODEL}\ndef later(x: Nothing): ...\n"text"\n'
    build = load(model=f"{write('net.py', text)}:build").build
    module = sys.modules[build.__module__]
    assert module.__doc__ == "A net."
    assert build.__globals__ is vars(module)


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
    assert source_fingerprint("digits-cnn", f"{one}:other") != same
    write("a/net.py", MODEL + "\n")
    assert source_fingerprint("digits-cnn", f"{one}:build") != same


def test_fingerprint_of_a_built_in_objective_rises_with_its_version(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """That of a model too, which the built-in objective trains; not that of one's own objective."""
    net = write("net.py", MODEL)
    found = [("digits-cnn", None), ("digits-cnn", f"{net}:build"), (f"{net}:build", None)]
    before = [source_fingerprint(*one) for one in found]
    monkeypatch.setitem(BUILT_IN, "digits-cnn", BuiltIn(BUILT_IN["digits-cnn"].version + 1))
    after = [source_fingerprint(*one) for one in found]
    assert [one == two for one, two in zip(before, after, strict=True)] == [False, False, True]


def test_fingerprint_of_a_dotted_name_runs_nothing() -> None:
    """Neither the module nor the packages around it: it may not be the code that is trusted."""
    write("pkg_trap/__init__.py", "raise SystemExit('it ran')")
    write("pkg_trap/inner/__init__.py", "raise SystemExit('it ran')")
    module = write("pkg_trap/inner/module.py", OBJECTIVE)
    before = source_fingerprint("pkg_trap.inner.module:Mine", None)
    assert "pkg_trap" not in sys.modules
    Path(module).write_text(OBJECTIVE + "\n")
    assert source_fingerprint("pkg_trap.inner.module:Mine", None) != before


def test_module_whose_source_is_not_there_has_no_fingerprint() -> None:
    """An empty one would be that of any other content."""
    for name in ("no_such_module", "json.no_such_module", "sys"):
        with pytest.raises(ModelError, match=r"no module|cannot be read"):
            source_fingerprint(f"{name}:Mine", None)


def test_module_in_an_archive_has_the_fingerprint_of_its_source() -> None:
    """Exchanged in the archive, it is another."""
    found = []
    for number, text in enumerate([OBJECTIVE, OBJECTIVE + "\n"]):
        archive = str(Path(f"archive_{number}.zip").resolve())
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("zipped_a.py", text)
        sys.path.insert(0, archive)
        found.append(source_fingerprint("zipped_a:Mine", None))
    assert found[0] != found[1]


def test_file_that_is_exchanged_after_its_hash_is_not_run() -> None:
    """What is run is what was compared, to the byte."""
    net = write("net.py", MODEL)
    spec = source_fingerprint("digits-cnn", f"{net}:build")
    write("net.py", "raise SystemExit('it ran')\n" + MODEL)
    with pytest.raises(ModelError, match="changed while it was read"):
        load_objective(
            "digits-cnn",
            fit_options=FitOptions(),
            options={},
            model=f"{net}:build",
            space_overrides=None,
            source=spec,
        )


def test_fingerprints_of_names_differ() -> None:
    """Built-in and dotted references each have their own, 64 hex digits long."""
    write("pkg_c/__init__.py", "")
    module = write("pkg_c/module.py", OBJECTIVE)
    dotted = source_fingerprint("pkg_c.module:Mine", None)
    names = ["digits-cnn", "synthetic", "pkg_c.module:mine"]
    found = [dotted, *(source_fingerprint(name, None) for name in names)]
    assert len(set(found)) == 4
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
    as_objective = "--objective FILE.py:Mine, with its new path"
    as_model = "--model FILE.py:build, with its new path"
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
