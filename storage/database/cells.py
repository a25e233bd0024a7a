"""Validate values read from the database; an invalid value is a one-line error.

Optuna's tables allow NULL where Optuna never writes NULL, and attributes that are not JSON.
`storage/attrs.py` validates this program's attributes, `sqlite.py` the columns of SQLite.
"""

import json
from functools import lru_cache
from typing import Any

from optuna.distributions import json_to_distribution
from optuna.storages._rdb import models
from sqlalchemy import event
from sqlalchemy.orm.attributes import set_committed_value

from storage import attrs
from storage.errors import StorageBrokenError

LONGEST_SHOWN = 60


def odd_cell(value: Any, wanted: str) -> StorageBrokenError:
    """Return the error for a cell that another program changed."""
    return StorageBrokenError(
        f"somebody has changed the database: it has {repr(value)[:LONGEST_SHOWN]} in place of "
        f"{wanted}",
        "put the value back, or copy the study from a backup: study copy",
    )


def whole(value: Any) -> int:
    """Return the number of a trial or a step.

    Raises:
        StorageBrokenError: The value is not a whole number.
    """
    if type(value) is not int:
        raise odd_cell(value, "the number of a trial or a step")
    return value


def param(text: Any, value: Any) -> Any:
    """Return a param from its distribution as JSON and Optuna's internal value.

    Raises:
        StorageBrokenError: The distribution cannot be read, or the value is not in it.
    """
    try:
        return _distribution(text).to_external_repr(float(value))
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError):
        raise odd_cell(text, "the distribution of a param, or the value is not in it") from None


_distribution = lru_cache(maxsize=256)(json_to_distribution)


def trial_value(value: float | None, kind: Any) -> float:
    """Return the value of a trial from its two columns.

    Raises:
        StorageBrokenError: The value is marked as finite but missing.
    """
    _refuse_missing(value, kind)
    return models.TrialValueModel.stored_repr_to_value(value, kind)


def reported(value: float | None, kind: Any) -> float:
    """Return an intermediate value from its two columns; raises as `trial_value`."""
    _refuse_missing(value, kind)
    return models.TrialIntermediateValueModel.stored_repr_to_intermediate_value(value, kind)


def _refuse_missing(value: float | None, kind: Any) -> None:
    if value is None and kind is not None and kind.name == "FINITE":
        raise odd_cell(None, "a finite value")


def _check_report(row: Any) -> None:
    whole(row.step)
    _refuse_missing(row.intermediate_value, row.intermediate_value_type)


def _fix_attribute(row: Any) -> None:
    """Make Optuna read an attribute that is not JSON as text; otherwise it could read no study."""
    text = row.value_json
    value = attrs.decode(text)
    if row.key == attrs.FIXED_PARAMS and not isinstance(value, dict):
        set_committed_value(row, "value_json", "{}")  # Optuna expects a dict
    elif value is text:
        set_committed_value(row, "value_json", json.dumps(text))


# Optuna's own reads pass the same checks. Only attributes are checked again when a row is
# refreshed, because a trial that is being created has no number for a moment.
for _model, _check in (
    (models.TrialModel, lambda row: whole(row.number)),
    (models.TrialParamModel, lambda row: param(row.distribution_json, row.param_value)),
    (models.TrialValueModel, lambda row: _refuse_missing(row.value, row.value_type)),
    (models.TrialIntermediateValueModel, _check_report),
    (models.StudyUserAttributeModel, _fix_attribute),
    (models.StudySystemAttributeModel, _fix_attribute),
    (models.TrialUserAttributeModel, _fix_attribute),
    (models.TrialSystemAttributeModel, _fix_attribute),
):
    for _moment in ("load", "refresh") if _check is _fix_attribute else ("load",):
        event.listen(_model, _moment, lambda row, *_, check=_check: check(row))
