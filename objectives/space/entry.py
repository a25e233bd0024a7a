"""Convert one entry of a search space, as a user writes it, to a distribution.

    name = 128                                  fixed
    name = [16, 32, 64]                         choices
    name = { low = 1e-4, high = 1e-2, log = true }
    name = [{ none = true }, "l2"]              None is one of the choices

Python SPACE dicts, TOML and JSON share these forms. `space.py` decides how entries depend on each
other.
"""

import json
import math
import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from objectives.errors import SpaceError
from objectives.files.limits import MOST_POINTS, MOST_SETTINGS
from objectives.files.openfile import read_file
from objectives.space.python import Distribution, distribution_table, written_form, written_value

RANGE_KEYS = ("low", "high", "log", "step", "type")
KEYS = (*RANGE_KEYS, "choices", "when")

# Optuna keeps every value as a float64, which is exact for integers up to here.
_INT_MAX = 2**53
_MOST_NAMED = 20  # choices in a message
_LONG_HEX = re.compile(r"0[xob][0-9a-fA-F_]{3000}")


def read_toml(path: Path | str) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        SpaceError: No such file, too large, not UTF-8, or not TOML; the line is named.
    """
    try:
        text = read_file(path, MOST_SETTINGS).decode().replace("\r\n", "\n").replace("\r", "\n")
        _refuse_points(path, text)
        if _LONG_HEX.search(text):
            raise ValueError  # as Python does for decimal digits
        return tomllib.loads(text)
    except FileNotFoundError:
        raise SpaceError(f"no such file: {path}") from None
    except UnicodeDecodeError as error:
        raise SpaceError(f"{path}: not UTF-8 text: {error.reason}") from None
    except OSError as error:
        raise SpaceError(f"{path}: cannot be read: {error.strerror}") from None
    except RecursionError:
        raise SpaceError(f"{path}: lists or tables are nested too deep") from None
    except tomllib.TOMLDecodeError as error:
        raise SpaceError(f"{path}: not valid TOML: {cut(str(error))}") from None
    except ValueError:  # Python converts integers of up to 4300 digits only
        raise SpaceError(f"{path}: a number has thousands of digits") from None


def _refuse_points(path: Path | str, text: str) -> None:
    """Refuse a dotted name of very many parts, as parsing it takes quadratic time."""
    for row, line in enumerate(text.split("\n"), 1):
        if any(part.count(".") > MOST_POINTS for part in line.split("=")):
            text = f"{path}: more than {MOST_POINTS} dots in one entry (at line {row})"
            raise SpaceError(text, "name = value, and a list of values in several lines")


def parse_distribution(name: str, form: Any) -> Distribution:
    """Return the distribution of an entry: a scalar, a list, a table or a Python value.

    Raises:
        SpaceError: Empty or impossible range, empty or repeated choices, unknown keys, wrong types.
    """
    form = written_form(name, form)
    if not isinstance(form, Mapping):
        return _choices(name, form if isinstance(form, list) else [form])
    _check_keys(name, form)
    if "choices" in form:
        return _choices(name, form["choices"])
    if "low" not in form or "high" not in form:
        raise _error(name, "a table needs `low` and `high`, or `choices`")
    return _range(name, form)


def override_distribution(name: str, base: Distribution, form: Any) -> Distribution:
    """Return `base` narrowed, fixed or replaced by `form`.

    A scalar fixes the entry; a list or a table with `choices` replaces it; any other table replaces
    only the keys that it names.

    Raises:
        SpaceError: As `parse_distribution`.
    """
    form = written_form(name, form)
    if not isinstance(form, Mapping) or "choices" in form:
        return parse_distribution(name, form)
    _check_keys(name, form)
    given = {key: form[key] for key in RANGE_KEYS if key in form}
    if not given:
        return base
    if isinstance(base, CategoricalDistribution):
        return parse_distribution(name, given)
    table = {**distribution_table(base), **given}
    if given.get("log") is True and "step" not in given:
        table.pop("step", None)  # a log range has no step: the new key wins over the old one
    if given.get("type") == "int" and isinstance(base, FloatDistribution):
        for key in ("low", "high"):
            if isinstance(table[key], float) and table[key].is_integer():
                table[key] = int(table[key])
    return parse_distribution(name, table)


def toml_line(name: str, distribution: Distribution, when: Mapping[str, Sequence[Any]]) -> str:
    """Return the entry as one line of TOML, in its shortest form."""
    table = distribution_table(distribution)
    table.pop("type", None)  # a float is written with a point or an exponent, and read back as one
    form: Any = {**table, "when": when} if when else table.get("choices", table)
    if isinstance(form, list) and len(form) == 1:
        form = form[0]
    return f"{_toml(name, key=True)} = {_toml(form)}"


class OutsideError(SpaceError):
    """A value that its distribution cannot draw."""


def accept(what: str, distribution: Distribution, value: Any) -> Any:
    """Return `value` as `distribution` would have drawn it: exact type, exact point of the grid.

    Raises:
        OutsideError: The distribution cannot draw it; the message starts with `what`.
    """
    value = written_value(what, value) if isinstance(value, Mapping) else value
    if isinstance(distribution, CategoricalDistribution):
        for choice in distribution.choices:
            # 1 stands for 1.0, but True does not stand for 1
            if choice == value and isinstance(choice, bool) == isinstance(value, bool):
                return choice
        choices = ", ".join(cut(repr(one)) for one in distribution.choices[:_MOST_NAMED])
        n_more = len(distribution.choices) - _MOST_NAMED
        choices += f" and {n_more} more" if n_more > 0 else ""
        raise OutsideError(f"{what}: {cut(repr(value))} is not one of {choices}")
    if not _is_number(value):
        raise OutsideError(f"{what}: {cut(repr(value))} is not a finite number")
    low, high, step = distribution.low, distribution.high, distribution.step
    if not low <= value <= high:
        raise OutsideError(f"{what}: {value!r} is outside {low!r} to {high!r}")
    if step is None:
        return float(value)
    point = grid_point(distribution, round((value - low) / step))
    if abs(value - point) > 1e-8 * step:  # Optuna's own tolerance
        raise OutsideError(f"{what}: {value!r} is not {low!r} plus a multiple of {step!r}")
    return point


def accept_exact(what: str, distributions: Sequence[Distribution], value: Any) -> Any:
    """Return `value` as drawn by the first of `distributions` that can draw it.

    Raises:
        OutsideError: None of them can draw it.
        SpaceError: One is a float range, whose values a condition cannot name exactly.
    """
    if any(isinstance(distribution, FloatDistribution) for distribution in distributions):
        raise SpaceError(f"{what}: a float range has no exact values for a condition")
    for distribution in distributions[:-1]:
        with suppress(OutsideError):
            return accept(what, distribution, value)
    return accept(what, distributions[-1], value)


def grid_point(distribution: FloatDistribution | IntDistribution, index: int) -> Any:
    """Return low + index * step in decimal arithmetic: 0.3 instead of 0.30000000000004."""
    if isinstance(distribution, IntDistribution):
        return distribution.low + index * distribution.step
    return float(Decimal(str(distribution.low)) + index * Decimal(str(distribution.step)))


def cut(text: str, most: int = 200) -> str:
    """Return a user's text for a message, cut after `most` characters."""
    return text if len(text) <= most else f"{text[:most]}..."


def _is_number(value: Any) -> bool:
    """Return whether a value is a finite number that a float can hold."""
    if isinstance(value, float):
        return math.isfinite(value)
    return type(value) is int and abs(value) <= sys.float_info.max


def _error(name: str, problem: str) -> SpaceError:
    return SpaceError(f"search space, {cut(name)}: {problem}")


def _check_keys(name: str, form: Mapping[str, Any]) -> None:
    for key in form:
        if key not in KEYS:
            raise _error(name, f"unknown key {cut(repr(key))}; a table has {', '.join(KEYS)}")
    for key in RANGE_KEYS:
        if key in form and "choices" in form:
            raise _error(name, f"`choices` and `{key}` exclude each other")


def _choices(name: str, choices: Any) -> CategoricalDistribution:
    if not isinstance(choices, list | tuple):
        raise _error(name, f"`choices` is a list, not {cut(repr(choices))}")
    if not choices:
        raise _error(name, "the list of choices is empty")
    known: dict[Any, Any] = {}
    for choice in choices:
        # Optuna finds a choice by ==: 1, 1.0 and True would be the same choice.
        if choice in known:
            earlier = known[choice]
            same = "" if type(earlier) is type(choice) else f" (equal to {earlier!r})"
            raise _error(name, f"choice {cut(repr(choice))} is repeated{same}")
        known[choice] = choice
    return CategoricalDistribution(choices)


def _range(name: str, form: Mapping[str, Any]) -> Distribution:
    low, high, step = form["low"], form["high"], form.get("step")
    for key, value in (("low", low), ("high", high), ("step", step)):
        if not _is_number(value) and not (key == "step" and value is None):
            raise _error(name, f"`{key}` is a finite number, not {cut(repr(value))}")
    log = form.get("log", False)
    if not isinstance(log, bool):
        raise _error(name, f"`log` is true or false, not {cut(repr(log))}")
    floats = isinstance(low, float) or isinstance(high, float)
    kind = form.get("type", "float" if floats else "int")
    if kind not in ("float", "int"):
        raise _error(name, f"`type` is 'float' or 'int', not {cut(repr(kind))}")
    if low > high:
        raise _error(name, f"the range is empty: low {low!r} is above high {high!r}")
    if log and low <= 0:
        raise _error(name, f"a log range starts above 0, not at low = {low!r}")
    if log and step is not None:
        raise _error(name, f"a log range has no step, and step = {step!r} was given")
    if step is not None and step <= 0:
        raise _error(name, f"`step` is above 0, not {step!r}")
    if kind == "int":
        return _int_range(name, low, high, log, step)
    if math.isinf(float(high) - float(low)):
        raise _error(name, f"the range from {low!r} to {high!r} is too wide for a float")
    if step is None:
        return FloatDistribution(low, high, log=log)
    return _stepped(name, float(low), float(high), float(step))


def _stepped(name: str, low: float, high: float, step: float) -> FloatDistribution:
    """Return the range up to its last step; Optuna would do the same with a warning."""
    if (high - low) / step > _INT_MAX:
        raise _error(name, f"`step` = {step!r} is too short for {low!r} to {high!r}")
    start, width = Decimal(str(low)), Decimal(str(step))
    end = float(start + (Decimal(str(high)) - start) // width * width)
    if (Decimal(str(end)) - start) % width:
        raise _error(name, f"`step` = {step!r} has too many digits to count from {low!r}")
    return FloatDistribution(low, end, step=step)


def _int_range(name: str, low: Any, high: Any, log: bool, step: Any) -> IntDistribution:
    for key, value in (("low", low), ("high", high), ("step", step)):
        if isinstance(value, float):
            raise _error(name, f"`{key}` of an int range is an int, not {value!r}")
        if value is not None and abs(value) > _INT_MAX:
            raise _error(name, f"`{key}` = {value} is beyond 2**53, where ints are not exact")
    step = 1 if step is None else step
    return IntDistribution(low, high - (high - low) % step, log=log, step=step)


def _toml(value: Any, key: bool = False) -> str:
    if value is None:
        return "{ none = true }"  # TOML has no null
    if isinstance(value, Mapping):
        items = (f"{_toml(name, key=True)} = {_toml(item)}" for name, item in value.items())
        return f"{{ {', '.join(items)} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if key and re.fullmatch(r"[A-Za-z0-9_-]+", value):
        return str(value)
    if isinstance(value, str):
        # A TOML string escapes what a JSON string does, and DEL besides.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
    return str(value).lower() if isinstance(value, bool) else repr(value)
