"""The traced step of this process's last training, for the next one that would trace the same.

Tracing is most of what a training costs beside its steps, and a finalize trains one configuration
many times: on folds, with other seeds. Decides when a graph is taken again, and that nothing of the
training before is left in it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class _Kept:
    """A compiled Keras model and its step; `made_of` says all that they depend on, but no seed."""

    made_of: str
    network: Any
    step: Any


_last: _Kept | None = None


def last_or_new(
    network: Any, made_of: str | None, make_step: Callable[[Any], Any]
) -> tuple[Any, Any]:
    """Return the network that is to train and its step: those of the last training, or new ones.

    The last ones get the value of every variable of `network`, so the bits are those of new ones.

    Args:
        network: Compiled Keras model, made for this training.
        made_of: Equal for two trainings only if their graphs are; None: this one shares nothing.
        make_step: Returns the step of a network.
    """
    global _last
    if made_of is None:
        return network, make_step(network)
    if _last is not None and _last.made_of == made_of:
        for old, new in zip(_variables(_last.network), _variables(network), strict=True):
            old.assign(new)
        return _last.network, _last.step
    _last = None  # one graph at a time
    _last = _Kept(made_of, network, make_step(network))
    return _last.network, _last.step


def _variables(network: Any) -> Iterator[Any]:
    yield from network.variables
    yield from network.optimizer.variables
