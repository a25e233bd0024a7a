"""Messages of other libraries on one line, never cut within a sentence."""

import pytest

from objectives.framework.sentence import LONGEST, one_line

NET = """
Object Net was created by passing
non-serializable argument values in `__init__()`,
and therefore the object must override `get_config()` in
order to be serializable. Please implement `get_config()`.

Example:

class CustomLayer(keras.layers.Layer):
"""
LAYER = (
    "Exception encountered when calling Lambda.call().\n\n"
    "\x1b[1mname 'tf' is not defined\x1b[0m\n\nArguments received by Lambda.call():\n  • a=3"
)
LOADING = (
    "Error when deserializing class 'Scale' using config={'name': 'a. b'}.\n\n"
    "Exception encountered: Scale.__init__() missing 1 required positional argument: 'factor'"
)
LOCATING = "Could not locate class 'Net'. Make sure of it. Full object config: {'a': 1}"
IN_CODE = (
    'in user code:\n\n    File "m.py", line 3, in call  *\n        y = f\n\n    KeyError: bad\n'
)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", ""),
        ("one\ntwo.\nthree", "one two."),
        (LAYER, "name 'tf' is not defined"),
        (LOADING, "Scale.__init__() missing 1 required positional argument: 'factor'"),
        (LOCATING, "Could not locate class 'Net'. Make sure of it."),
        (IN_CODE, "KeyError: bad"),
        ("Received:\n  x=3", "Received: x=3"),
    ],
)
def test_telling_part_is_found(text: str, line: str) -> None:
    """Frames, examples, arguments and configs are left out."""
    assert one_line(text) == line


def test_wrapped_sentence_is_whole() -> None:
    """Its lines are joined."""
    assert one_line(NET).endswith("Please implement `get_config()`.")
    assert "passing non-serializable" in one_line(NET)


def test_long_message_ends_with_a_sentence() -> None:
    """A sentence that is longer than a message may be stays whole as well."""
    found = one_line("All of this is one sentence. " * 50)
    assert len(found) <= LONGEST
    assert found.endswith("sentence.")
    long = f"It {'really ' * 100}goes on."
    assert one_line(f"{long} And another.") == long
