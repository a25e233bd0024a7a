"""One entry of a search space in the form a person writes, and the distribution it means.

    name = 128                                  fixed
    name = [16, 32, 64]                         choices
    name = { low = 1e-4, high = 1e-2, log = true }
    name = [{ none = true }, "l2"]              None is one of the choices

The same forms hold in Python SPACE dicts, in TOML and in JSON. This file decides what each key
means and which values are legal; how entries depend on each other is `space.py`'s part.
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

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from objectives.errors import SpaceError
from objectives.files.limits import MOST_POINTS, MOST_SETTINGS
from objectives.files.openfile import read_file
from objectives.space.python import written_form, written_value

RANGE_KEYS = ("low", "high", "log", "step", "type")
KEYS = (*RANGE_KEYS, "choices", "when")

# Optuna keeps every value as a float64, which holds integers exactly up to here.
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
            raise ValueError  # as Python does of decimal digits
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
    except ValueError:  # Python reads and writes integers of up to 4300 digits alone
        raise SpaceError(f"{path}: a number has thousands of digits") from None


def _refuse_points(path: Path | str, text: str) -> None:
    """Refuse a dotted name of very many parts, as reading it takes the square of them in time."""
    for row, line in enumerate(text.split("\n"), 1):
        if any(part.count(".") > MOST_POINTS for part in line.split("=")):
            text = f"{path}: more than {MOST_POINTS} points in one entry (at line {row})"
            raise SpaceError(text, "name = value, and a list of values in several lines")


def parse_distribution(name: str, form: Any) -> BaseDistribution:
    """Return the distribution that a scalar, a list or a table stands for.

    Args:
        name: Of the entry, for messages.
        form: A written form, or what stands for one in Python; see `space_python.py`.

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


def override_distribution(name: str, base: BaseDistribution, form: Any) -> BaseDistribution:
    """Return `base` narrowed, fixed or replaced by `form`.

    A scalar fixes, a list or a table with `choices` replaces, the keys of any other table take the
    place of the entry's own; keys that it does not name (log, step, type) stay.

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
    if "type" in given and given["type"] != _type_of(base):
        table.update({key: _retyped(table[key], given["type"]) for key in ("low", "high")})
    return parse_distribution(name, table)


def distribution_table(distribution: BaseDistribution) -> dict[str, Any]:
    """Return the table that `parse_distribution` reads back to an equal distribution."""
    if isinstance(distribution, CategoricalDistribution):
        return {"choices": list(distribution.choices)}
    if not isinstance(distribution, FloatDistribution | IntDistribution):
        raise TypeError(f"not a distribution of a search space: {distribution!r}")
    table: dict[str, Any] = {
        "type": _type_of(distribution),
        "low": distribution.low,
        "high": distribution.high,
    }
    if distribution.log:
        table["log"] = True
    elif distribution.step not in (None, 1) or isinstance(distribution.step, float):
        table["step"] = distribution.step
    return table


def toml_line(name: str, distribution: BaseDistribution, when: Mapping[str, Sequence[Any]]) -> str:
    """Return the entry as one line of TOML, in its shortest form."""
    table = distribution_table(distribution)
    table.pop("type", None)  # a float is written with a point or an exponent, and read back as one
    if when:
        return f"{_toml(name, key=True)} = {_toml({**table, 'when': when})}"
    choices = table.get("choices")
    if choices is None:
        return f"{_toml(name, key=True)} = {_toml(table)}"
    return f"{_toml(name, key=True)} = {_toml(choices[0] if len(choices) == 1 else choices)}"


class OutsideError(SpaceError):
    """A value that its distribution cannot draw."""


def accept(what: str, distribution: BaseDistribution, value: Any) -> Any:
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
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_scalar(value):
        raise OutsideError(f"{what}: {cut(repr(value))} is not a finite number")
    if not isinstance(distribution, FloatDistribution | IntDistribution):
        raise TypeError(f"not a distribution of a search space: {distribution!r}")
    low, high, step = distribution.low, distribution.high, distribution.step
    if not low <= value <= high:
        raise OutsideError(f"{what}: {value!r} is outside {low!r} to {high!r}")
    if step is None:
        return float(value)
    index = round((value - low) / step)
    point = grid_point(distribution, index)
    if abs(value - point) > 1e-8 * step:  # Optuna's own tolerance
        raise OutsideError(f"{what}: {value!r} is not {low!r} plus a multiple of {step!r}")
    return point


def accept_exact(what: str, distributions: Sequence[BaseDistribution], value: Any) -> Any:
    """Return `value` as the first of `distributions` that can draw it does.

    Raises:
        OutsideError: None of them can draw it.
        SpaceError: One is a float range, whose values cannot be waited for.
    """
    if any(isinstance(distribution, FloatDistribution) for distribution in distributions):
        raise SpaceError(f"{what}: a float range has no exact values to wait for")
    for distribution in distributions[:-1]:
        with suppress(OutsideError):
            return accept(what, distribution, value)
    return accept(what, distributions[-1], value)


def grid_point(distribution: FloatDistribution | IntDistribution, index: int) -> Any:
    """Return low + index * step, as the float that is written so in decimal (0.3, not 0.30..04)."""
    if isinstance(distribution, IntDistribution):
        return distribution.low + index * distribution.step
    return float(Decimal(str(distribution.low)) + index * Decimal(str(distribution.step)))


def _is_scalar(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if type(value) is int:  # one of 400 digits is no float
        return abs(value) <= sys.float_info.max
    return type(value) in (bool, str)


def cut(text: str, most: int = 200) -> str:
    """Return what somebody wrote as it stands in a message: cut after so many characters."""
    return text if len(text) <= most else f"{text[:most]}..."


def _error(name: str, problem: str) -> SpaceError:
    return SpaceError(f"search space, {cut(name)}: {problem}")


def _check_keys(name: str, form: Mapping[str, Any]) -> None:
    for key in form:
        if key not in KEYS:
            raise _error(name, f"unknown key {cut(repr(key))}; a table has {', '.join(KEYS)}")
    if "choices" in form:
        for key in RANGE_KEYS:
            if key in form:
                raise _error(name, f"`choices` and `{key}` exclude each other")


def _choices(name: str, choices: Any) -> CategoricalDistribution:
    if not isinstance(choices, list | tuple):
        raise _error(name, f"`choices` is a list, not {cut(repr(choices))}")
    if not choices:
        raise _error(name, "the list of choices is empty")
    known: dict[Any, Any] = {}
    for choice in choices:
        # Optuna finds a choice by ==, so that 1, 1.0 and True would be one and the same.
        if choice in known:
            earlier = known[choice]
            same = "" if type(earlier) is type(choice) else f" (equal to {earlier!r})"
            raise _error(name, f"choice {cut(repr(choice))} is repeated{same}")
        known[choice] = choice
    return CategoricalDistribution(choices)


def _range(name: str, form: Mapping[str, Any]) -> BaseDistribution:
    low, high, step = (_number(name, key, form.get(key)) for key in ("low", "high", "step"))
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
    """Return the range, ended at its last step as Optuna does, which would warn about it."""
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


def _number(name: str, key: str, value: Any) -> Any:
    if value is None and key == "step":
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_scalar(value):
        raise _error(name, f"`{key}` is a finite number, not {cut(repr(value))}")
    return value


def _type_of(distribution: BaseDistribution) -> str:
    return "float" if isinstance(distribution, FloatDistribution) else "int"


def _retyped(value: Any, kind: Any) -> Any:
    if kind == "int" and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _toml(value: Any, key: bool = False) -> str:
    if value is None:
        return "{ none = true }"  # TOML has no null
    if isinstance(value, Mapping):
        inner = ", ".join(
            f"{_toml(name, key=True)} = {_toml(item)}" for name, item in value.items()
        )
        return f"{{ {inner} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if key and re.fullmatch(r"[A-Za-z0-9_-]+", value):
        return str(value)
    if isinstance(value, str):
        # A TOML string escapes what a JSON string does, and DEL besides.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value)
