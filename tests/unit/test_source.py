"""A user's file is imported like any module, and an error in it is one line that says where."""

import functools
import pickle
import random
import sys
from pathlib import Path

import pytest

from objectives.errors import ModelError
from objectives.source import function_of, import_target
from tests.unit.loaded import OBJECTIVE, load, write

pytestmark = pytest.mark.usefixtures("own_path")


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


WRONG_FILES: list[tuple[str, str]] = [
    ("a = 1\ndef f(:\n", r"^bad\.py:2: syntax error: "),
    ("a = '", r"^bad\.py:1: syntax error: unterminated string"),
    ("if True:\na = 1\n", r"^bad\.py:2: syntax error: expected an indented block"),
    ("\n\n1 / 0\n", r"^bad\.py:3: ZeroDivisionError: division by zero$"),
    ("def f():\n    raise ValueError('a\\nb')\nf()\n", r"^bad\.py:2: ValueError: a b$"),
    ("import no_such_thing\n", r"^bad\.py:1: ModuleNotFoundError: No module named 'no_such"),
    ("from json import nothing\n", r"^bad\.py:1: ImportError: cannot import name 'nothing'"),
    ("import sys\nsys.exit(3)\n", r"^bad\.py:2: SystemExit: 3$"),
    ("x = 1\n", r"^bad\.py has no 'Mine'$"),
    ("Mine = 5\n", r"^bad\.py:Mine is 5: neither an objective nor a function that returns one$"),
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


def test_error_inside_a_dotted_module_names_its_line() -> None:
    """An import error inside the module is not taken for a missing module."""
    write("pkg_b/__init__.py", "")
    write("pkg_b/inner.py", "\nimport no_such_thing\n")
    with pytest.raises(ModelError, match=r"inner\.py:2: ModuleNotFoundError: .*'no_such_thing'"):
        load("pkg_b.inner:Mine")


def test_function_behind_what_is_called_is_found() -> None:
    """Behind a decorator, a partial and an object."""

    def plain(a: int) -> int:
        return a

    class Called:
        def __call__(self) -> None:
            return None

    @functools.wraps(plain)
    def wrapped(*args: int) -> int:
        return plain(*args)

    assert function_of(functools.partial(wrapped, 1)) is plain
    assert function_of(Called()) is Called.__call__
    assert function_of(3) == 3


def test_what_a_file_draws_on_import_is_the_same_everywhere(tmp_path: Path) -> None:
    """Keras draws the seed of an initializer from `random`; our own draws go on as before."""
    file = tmp_path / "drawn.py"
    file.write_text(
        "import random, sys, numpy\nA = random.random(), numpy.random.rand()\nB = sys.argv"
    )
    before = random.getstate()
    found = [import_target(str(file)) for _ in range(2)]
    assert found[0].A == found[1].A
    assert [str(file)] == found[0].B
    assert random.getstate() == before
