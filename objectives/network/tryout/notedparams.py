"""Params that note which of them were asked for.

Whoever takes them as a whole, by iteration, `**params` or a copy, has asked for all: nobody is told
that a param is not read unless that is sure.
"""

from collections.abc import Iterable, Mapping
from typing import Any


class NotedParams(dict[str, Any]):
    """A dict that adds the names that are asked for to a set that somebody else holds."""

    def __init__(self, params: Mapping[str, Any], read: set[str]) -> None:
        """Keep the params.

        Args:
            params: Of one training.
            read: Gets the names.
        """
        super().__init__(params)
        self._read = read

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"params is a dict and has no {name!r}: write params['units'] and so on"
        )

    def _note_all(self) -> None:
        self._read.update(dict.keys(self))

    def _plain(self) -> dict[str, Any]:
        self._note_all()
        return dict(dict.items(self))

    def __getitem__(self, name: str) -> Any:
        self._read.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self._read.add(name)
        return super().get(name, default)

    def pop(self, name: str, *default: Any) -> Any:
        self._read.add(name)
        return super().pop(name, *default)

    def setdefault(self, name: str, default: Any = None) -> Any:
        self._read.add(name)
        return super().setdefault(name, default)

    def __contains__(self, name: object) -> bool:
        # Whether a conditional param was drawn may be all that a build wants to know of it.
        self._read.add(str(name))
        return super().__contains__(name)

    def __iter__(self) -> Any:
        self._note_all()
        return super().__iter__()

    def __reversed__(self) -> Any:
        self._note_all()
        return super().__reversed__()

    def __len__(self) -> int:
        self._note_all()
        return super().__len__()

    def __eq__(self, other: object) -> bool:
        self._note_all()
        return super().__eq__(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None

    def keys(self) -> Any:
        self._note_all()
        return super().keys()

    def values(self) -> Any:
        self._note_all()
        return super().values()

    def items(self) -> Any:
        self._note_all()
        return super().items()

    def popitem(self) -> tuple[str, Any]:
        self._note_all()
        return super().popitem()

    def copy(self) -> dict[str, Any]:
        return self._plain()

    def __or__(self, other: Any) -> Any:
        return self._plain() | other

    def __ror__(self, other: Any) -> Any:
        return other | self._plain()

    def __reduce__(self) -> tuple[type[dict[str, Any]], Iterable[Any]]:
        return dict, (self._plain(),)
