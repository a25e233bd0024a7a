"""What a cell of the database may hold; anything else is one line, wherever it is read.

SQLite keeps text in a column of numbers, and bytes in one of text. Optuna's tables also allow NULL
where Optuna never writes one.
"""

from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from optuna.distributions import json_to_distribution
from optuna.storages._rdb import models
from sqlalchemy import event
from sqlalchemy.dialects.sqlite import DATETIME
from sqlalchemy.engine import Dialect

from storage.errors import StorageBrokenError

LONGEST_SHOWN = 60


def odd_cell(value: Any, wanted: str) -> StorageBrokenError:
    """Return the error of a cell that somebody has changed."""
    return StorageBrokenError(
        f"somebody has changed the database: it has {repr(value)[:LONGEST_SHOWN]} in place of "
        f"{wanted}",
        "put the value back, or copy the study from a backup: study copy",
    )


def whole(value: Any) -> int:
    """Return a number of a trial, of which there are no others.

    Raises:
        StorageBrokenError: It is something else.
    """
    if type(value) is not int:
        raise odd_cell(value, "the number of a trial or a step")
    return value


def param(text: Any, value: Any) -> Any:
    """Return a param from its distribution as JSON and Optuna's number for it.

    Raises:
        StorageBrokenError: They are none.
    """
    try:
        return _distribution(text).to_external_repr(float(value))
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError):
        raise odd_cell(text, "the distribution of a param, or the value is none of it") from None


_distribution = lru_cache(maxsize=256)(json_to_distribution)


def _checked(base: type[Any], kinds: tuple[type, ...], wanted: str) -> type[Any]:
    """Return the type with a check of what it reads."""

    def result_processor(self: Any, dialect: Dialect, coltype: object) -> Any:
        read = base.result_processor(self, dialect, coltype)

        def process(value: Any) -> Any:
            try:
                found = value if value is None or read is None else read(value)
            except (LookupError, TypeError, ValueError):
                raise odd_cell(value, wanted) from None
            if found is not None and not isinstance(found, kinds):
                raise odd_cell(value, wanted)
            return found

        return process

    return type(base.__name__, (base,), {"result_processor": result_processor, "cache_ok": True})


CHECKED = {
    sa.Integer: _checked(sa.Integer, (int,), "a whole number"),
    sa.Float: _checked(sa.Float, (float, int), "a number"),
    sa.String: _checked(sa.String, (str,), "text"),
    sa.Text: _checked(sa.Text, (str,), "text"),
    sa.DateTime: _checked(DATETIME, (object,), "a time"),
    sa.Enum: _checked(sa.Enum, (object,), "a state or another of Optuna's names"),
}
"""What an SQLite engine reads these types as."""


def refuse_no_value(value: float | None, kind: Any) -> None:
    """Refuse a finite value that is not there.

    Raises:
        StorageBrokenError: It is one.
    """
    if value is None and kind is not None and kind.name == "FINITE":
        raise odd_cell(None, "a finite value")


def _refuse_odd_report(row: Any, _: Any) -> None:
    whole(row.step)
    refuse_no_value(row.intermediate_value, row.intermediate_value_type)


# What Optuna itself takes for granted. Not as a row is refreshed: a trial that is being made has
# no number for a moment.
for _model, _refuse in (
    (models.TrialModel, lambda row, _: whole(row.number)),
    (models.TrialParamModel, lambda row, _: param(row.distribution_json, row.param_value)),
    (models.TrialValueModel, lambda row, _: refuse_no_value(row.value, row.value_type)),
    (models.TrialIntermediateValueModel, _refuse_odd_report),
):
    event.listen(_model, "load", _refuse)
