"""The search space: all entries, the conditions between them, and how params are drawn and checked.

Search, replay and finalize all use `SearchSpace.draw`; the sampler decides each value. `entry.py`
has the written form of one entry.
"""

import difflib
import hashlib
import json
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from optuna.distributions import CategoricalDistribution, FloatDistribution

from objectives.errors import SpaceError
from objectives.space.entry import (
    OutsideError,
    accept,
    accept_exact,
    cut,
    override_distribution,
    parse_distribution,
    read_toml,
    toml_line,
)
from objectives.space.python import Distribution, distribution_table, written_form

__all__ = ["Entry", "SearchSpace", "parse_space", "read_toml"]

Condition = tuple[tuple[str, tuple[Any, ...]], ...]

_NAME_MAX = 512  # characters of a param's name in Optuna's schema

_TOML_HEADER = """\
# name = 128 (fixed), [16, 32] (choices) or { low = 1, high = 3 } (a range; also log, step, type).
# `when`: drawn only where the earlier entry has one of the values. Edit and give back with --space.
"""


@dataclass(frozen=True)
class Entry:
    """One param of a space.

    Attributes:
        name: Name of the param, as in Optuna.
        distribution: A fixed entry has a single choice.
        when: Drawn only if each named earlier param was drawn and has one of the values.
    """

    name: str
    distribution: Distribution
    when: Condition = ()

    def is_active(self, params: Mapping[str, Any]) -> bool:
        """Return whether the entry is drawn, given the params drawn before it."""
        return all(name in params and params[name] in values for name, values in self.when)


@dataclass(frozen=True)
class SearchSpace:
    """Entries in the order of drawing: a parent comes before its children."""

    entries: tuple[Entry, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(entry.name for entry in self.entries)

    @property
    def fingerprint(self) -> str:
        """The sha256 of the canonical JSON, in hex."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def draw(self, suggest: Callable[[str, Distribution], Any]) -> dict[str, Any]:
        """Return the params that `suggest` gives for the active entries, called in order."""
        params: dict[str, Any] = {}
        for entry in self.entries:
            if entry.is_active(params):
                params[entry.name] = suggest(entry.name, entry.distribution)
        return params

    def distributions(self, params: Mapping[str, Any]) -> dict[str, Distribution]:
        """Return the distributions of the active params, in the space's order."""
        active: dict[str, Any] = {}
        found: dict[str, Distribution] = {}
        for entry in self.entries:
            if entry.name in params and entry.is_active(active):
                active[entry.name] = params[entry.name]
                found[entry.name] = entry.distribution
        return found

    def check(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return params given by a user, in the space's order and with its exact types.

        Raises:
            SpaceError: A param is missing, unknown, not active given the others, or out of range.
        """
        for name in params:
            if name not in self.names:
                raise _unknown(name, self.names)
        checked: dict[str, Any] = {}
        missing: list[str] = []
        for entry in self.entries:
            if not entry.is_active(checked):
                if entry.name in params:
                    raise SpaceError(f"param {entry.name}: only drawn where {_where(entry.when)}")
            elif entry.name not in params:
                missing.append(entry.name)
            else:
                value = params[entry.name]
                checked[entry.name] = accept(f"param {entry.name}", entry.distribution, value)
        if missing:
            raise SpaceError(f"missing params: {', '.join(missing)}")
        return checked

    def override(self, table: Mapping[str, Any]) -> "SearchSpace":
        """Return the space with the named entries narrowed, fixed or replaced.

        An entry keeps its `when` unless the table gives another. Values of a `when` that the parent
        can no longer take are dropped, and so is an entry whose `when` has no value left. The
        result prints and reads back to itself.

        Raises:
            SpaceError: An unknown name, or an entry that `parse_space` would refuse.
        """
        for name in table:
            if name not in self.names:
                raise _unknown(name, self.names)
        before = {entry.name: entry.distribution for entry in self.entries}
        kept: dict[str, Entry] = {}
        for entry in self.entries:
            form = table.get(entry.name, {})
            distribution = override_distribution(entry.name, entry.distribution, form)
            when = entry.when
            if isinstance(form, Mapping) and "when" in form:
                earlier = dict(list(before.items())[: self.names.index(entry.name)])
                now = {name: kept[name].distribution for name in earlier if name in kept}
                when = _condition(entry.name, form["when"], (now, earlier), self.names)
            when = tuple(
                (parent, _possible(entry.name, kept.get(parent), values)) for parent, values in when
            )
            if all(values for _, values in when):
                kept[entry.name] = Entry(entry.name, distribution, when)
        return SearchSpace(tuple(kept.values()))

    def to_toml(self) -> str:
        """Return the space as TOML, which a user can edit and `parse_space` reads."""
        lines = [toml_line(e.name, e.distribution, dict(e.when)) for e in self.entries]
        return _TOML_HEADER + "\n".join(lines) + "\n"

    def to_json(self) -> list[dict[str, Any]]:
        """Return the space as plain JSON values, one object per entry, in order."""
        items = []
        for entry in self.entries:
            item = {"name": entry.name, **distribution_table(entry.distribution)}
            if entry.when:
                item["when"] = {name: list(values) for name, values in entry.when}
            items.append(item)
        return items

    @classmethod
    def from_json(cls, items: list[dict[str, Any]]) -> "SearchSpace":
        """Return the space that `to_json` wrote.

        Raises:
            SpaceError: The items are not such a list.
        """
        if not isinstance(items, list) or not all(
            isinstance(item, dict) and "name" in item for item in items
        ):
            raise SpaceError(f"not a stored search space: {items!r}")
        return _build(
            (item["name"], {k: v for k, v in item.items() if k != "name"}) for item in items
        )


def parse_space(table: Mapping[str, Any]) -> SearchSpace:
    """Return the space that a SPACE dict or a parsed TOML file describes, in its order.

    Raises:
        SpaceError: An empty range, empty or repeated choices, an unknown key, a wrong type, or a
            `when` that names an unknown param or value, or a later param.
    """
    if not isinstance(table, Mapping):
        raise SpaceError(f"a search space is a table of entries, not {table!r}")
    return _build(table.items())


def middle(name: str, distribution: Distribution) -> Any:
    """Return the value in the middle of a distribution, for `SearchSpace.draw`."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[len(distribution.choices) // 2]
    low, high, step = distribution.low, distribution.high, distribution.step
    centre = (low * high) ** 0.5 if distribution.log else (low + high) / 2
    if step:
        centre = low + (centre - low) // step * step
    return float(centre) if isinstance(distribution, FloatDistribution) else int(centre)


def _build(forms: Iterable[tuple[Any, Any]]) -> SearchSpace:
    forms = list(forms)
    names = tuple(name for name, _ in forms)
    known: dict[str, Distribution] = {}
    alike: dict[str, str] = {}
    entries = []
    for name, form in forms:
        if not isinstance(name, str) or not 0 < len(name) <= _NAME_MAX:
            raise SpaceError(
                f"search space: a name has 1 to {_NAME_MAX} characters, not {cut(repr(name))}"
            )
        if name in known:
            raise SpaceError(f"search space, {name}: occurs twice")
        other = alike.setdefault(_as_mysql_compares(name), name)
        if other != name:
            raise SpaceError(
                f"search space: {other!r} and {name!r} are one name to MySQL and MariaDB",
                f"rename {name!r}",
            )
        distribution = parse_distribution(name, form)
        when: Condition = ()
        if isinstance(form, Mapping) and "when" in form:
            when = _condition(name, form["when"], (known,), names)
        known[name] = distribution
        entries.append(Entry(name, distribution, when))
    if not entries:
        raise SpaceError("the search space is empty")
    return SearchSpace(tuple(entries))


def _as_mysql_compares(name: str) -> str:
    """Return the name without case, accents and last spaces, which MySQL's collations ignore.

    Checked on every database, because a study may move between databases.
    """
    letters = unicodedata.normalize("NFKD", name.casefold())
    return "".join(c for c in letters if not unicodedata.combining(c)).rstrip(" ")


def _condition(
    name: str, when: Any, parents: tuple[Mapping[str, Distribution], ...], names: tuple[str, ...]
) -> Condition:
    """Return `when` in canonical form; each value must be possible in one of `parents`."""
    if not isinstance(when, Mapping) or not when:
        raise SpaceError(
            f"search space, {name}: `when` is a table of names and values, not {cut(repr(when))}"
        )
    condition = []
    for parent, given in when.items():
        found = [known[parent] for known in parents if parent in known]
        if not found:
            if parent in names:
                raise SpaceError(
                    f"search space, {name}: `when` needs {parent}, which must come before {name}"
                )
            raise _unknown(parent, names, f"search space, {name}: `when` names ")
        given = list(given) if isinstance(given, range) else given
        form = written_form(f"{name}, `when` {parent}", given)
        values = form if isinstance(form, list) else [form]
        if not values:
            raise SpaceError(f"search space, {name}: `when` gives no value for {parent}")
        exact = [accept_exact(f"search space, {name}: `when` {parent}", found, v) for v in values]
        condition.append((parent, tuple(dict.fromkeys(exact))))
    return tuple(condition)


def _possible(name: str, parent: Entry | None, values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the values of a `when` that the parent's current distribution can take."""
    found: list[Any] = []
    if parent is not None:
        what = f"search space, {name}: `when` {parent.name}"
        for value in values:
            with suppress(OutsideError):
                found.append(accept_exact(what, [parent.distribution], value))
    return tuple(found)


def _unknown(name: Any, names: tuple[str, ...], before: str = "") -> SpaceError:
    close = difflib.get_close_matches(str(name), names, n=1)
    guess = f"did you mean {close[0]}?" if close else None
    there = f"there are {cut(', '.join(names), 1000)}"
    return SpaceError(f"{before}unknown param {cut(repr(name))}; {there}", guess)


def _where(when: Condition) -> str:
    return " and ".join(f"{name} is {' or '.join(map(repr, values))}" for name, values in when)
