"""Numbers and times as the documented JSON has them: scripts rely on this form."""

import math
from datetime import UTC, datetime
from typing import Any


def jsonable(value: Any) -> Any:
    """Return `value` with NaN and infinities as "nan", "inf", "-inf"."""
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if isinstance(value, dict):
        return {key: jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    return value


def iso_utc(moment: datetime | None) -> str | None:
    """Return a naive UTC time as ISO 8601 with `Z`."""
    if moment is None:
        return None
    return moment.replace(tzinfo=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
