"""Convert Python values of a SPACE dict to the form of TOML entries.

A SPACE dict may hold `None`, `range`, NumPy's numbers and arrays, and Optuna's distributions. For
any other value, the error says what to write. TOML has no null: `{ none = true }` is `None`.
"""

import inspect
import math
from collections.abc import Iterable, Mapping
from collections.abc import Set as AnySet
from typing import Any

import numpy as np
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from objectives.errors import SpaceError

Distribution = CategoricalDistribution | FloatDistribution | IntDistribution

_FORMS = '[16, 32] (choices), {"low": 1e-4, "high": 1e-2, "log": True} (a range) or 128 (fixed)'


def distribution_table(distribution: Distribution) -> dict[str, Any]:
    """Return the table that `entry.parse_distribution` converts back to an equal distribution."""
    if isinstance(distribution, CategoricalDistribution):
        return {"choices": list(distribution.choices)}
    kind = "float" if isinstance(distribution, FloatDistribution) else "int"
    table: dict[str, Any] = {"type": kind, "low": distribution.low, "high": distribution.high}
    if distribution.log:
        table["log"] = True
    elif distribution.step not in (None, 1) or isinstance(distribution.step, float):
        table["step"] = distribution.step
    return table


def written_form(name: str, form: Any) -> Any:
    """Return an entry of a SPACE dict as a scalar, list or table.

    Args:
        name: Name of the entry, for messages.
        form: Any value; a written form is returned unchanged.

    Raises:
        SpaceError: The value has no such form; the hint says what to write.
    """
    if isinstance(form, CategoricalDistribution):
        return written_list(name, form.choices)
    if isinstance(form, FloatDistribution | IntDistribution):
        return distribution_table(form)
    if isinstance(form, range):
        if not form:
            raise SpaceError(f"search space, {name}: {form!r} is empty")
        if len(form) == 1:
            return form[0]
        # A range that counts down has the same values.
        return {"low": min(form), "high": max(form), "step": abs(form.step)}
    if isinstance(form, Mapping) and not _is_none(form):
        return _table(name, form)
    if isinstance(form, list | tuple) or (isinstance(form, np.ndarray) and form.ndim):
        return written_list(name, form)
    return written_value(name, form)


def written_list(name: str, values: Iterable[Any]) -> list[Any]:
    """Return choices as a list of written values; raises as `written_value`."""
    values = list(values)
    return [written_value(name, value, values) for value in values]


def written_value(name: str, value: Any, among: Iterable[Any] = ()) -> Any:
    """Return one value as a str, bool, finite number or None.

    Args:
        name: Name of the entry, for messages.
        value: A value of any type.
        among: All choices of the entry, for the hint.

    Raises:
        SpaceError: The value has no such form; the hint says what to write.
    """
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and not value.ndim):
        value = value.item()
    if _is_none(value):
        return None
    if type(value) in (bool, int, str) or (type(value) is float and math.isfinite(value)):
        return value
    raise SpaceError(
        f"search space, {name}: a choice is a str, bool, None or finite number, "
        f"not {_shown(value)}",
        _what_to_write(name, value, list(among) or [value]),
    )


def _is_none(value: Any) -> bool:
    return value is None or (isinstance(value, Mapping) and dict(value) == {"none": True})


def _table(name: str, form: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return a table with plain numbers; `entry.py` checks the rest."""
    table = dict(form)
    choices = table.get("choices")
    if isinstance(choices, list | tuple | range) or (
        isinstance(choices, np.ndarray) and choices.ndim
    ):
        table["choices"] = written_list(name, choices)
    for key in ("low", "high", "step"):
        if isinstance(table.get(key), np.generic):
            table[key] = table[key].item()
    return table


def _shown(value: Any) -> str:
    if inspect.isclass(value) or inspect.isroutine(value):
        kind = "class" if inspect.isclass(value) else "function"
        return f"the {kind} {getattr(value, '__name__', '?')}"
    text = " ".join(repr(value).split())
    # The repr of most other objects is an address, or as long as a screen.
    plain = isinstance(value, list | tuple | AnySet | Mapping | range | float | complex)
    return text if plain and len(text) <= 80 else f"a {type(value).__name__}"


def _what_to_write(name: str, value: Any, among: list[Any]) -> str:
    """Return the hint: a form to write instead of the value."""
    if isinstance(value, list | tuple | np.ndarray):
        return _instead_of_lists(name, among)
    if isinstance(value, AnySet):
        members = sorted(value, key=repr)
        return f'"{name}": {members!r}   as a set has no order'
    if isinstance(value, Mapping):
        return (
            f'"{name}": ["small", "large"]   and in build a dict of your own: '
            f'{{"small": ..., "large": ...}}[params["{name}"]]'
        )
    if isinstance(value, range):
        return f'"{name}": {value!r}   on its own, or its numbers one by one'
    if isinstance(value, float):
        return "finite numbers only"
    if isinstance(value, Iterable) and not (inspect.isclass(value) or isinstance(value, bytes)):
        return f'"{name}": list(...)   around it'
    if frozen := _instead_of_scipy(name, value):
        return frozen
    if inspect.isclass(value) or inspect.isroutine(value):
        called = getattr(value, "__name__", "name")
        return f'"{name}": ["{called}", ...]   its name as text, which build looks up'
    return f'"{name}": {_FORMS}'


def _instead_of_lists(name: str, among: list[Any]) -> str:
    """Return the hint for choices such as (3, 3) and (5, 5): numbers or texts."""
    rows = [list(one) for one in among if isinstance(one, list | tuple)]
    numbers = all(row and all(type(one) is int for one in row) for row in rows)
    if len(rows) < len(among) or not numbers:
        table = '{"first": ..., "second": ...}'
        return f'"{name}": ["first", "second"]   and in build: {table}[params["{name}"]]'
    if all(len(set(row)) == 1 for row in rows) and len({len(row) for row in rows}) == 1:
        singles = list(dict.fromkeys(row[0] for row in rows))
        return f'"{name}": {singles!r}   and in build: (params["{name}"],) * {len(rows[0])}'
    texts = ", ".join(f'"{"x".join(map(str, row))}"' for row in rows)
    return f'"{name}": [{texts}]   and in build: tuple(map(int, params["{name}"].split("x")))'


def _instead_of_scipy(name: str, value: Any) -> str | None:
    """Return the hint for a SciPy distribution, which is recognized by name, without the import."""
    kind = getattr(getattr(value, "dist", None), "name", None)
    args = [*getattr(value, "args", ()), *getattr(value, "kwds", {}).values()]
    if not isinstance(kind, str) or not all(isinstance(one, int | float) for one in args):
        return None
    low, high = [*args, 0, 1][:2]
    if kind in ("loguniform", "reciprocal"):
        return f'"{name}": {{"low": {low!r}, "high": {high!r}, "log": True}}'
    if kind == "uniform":  # loc and scale
        return f'"{name}": {{"low": {float(low)!r}, "high": {float(low + high)!r}}}'
    if kind == "randint":  # without its end
        return f'"{name}": {{"low": {low!r}, "high": {high - 1!r}}}'
    return f'"{name}": {_FORMS}'
