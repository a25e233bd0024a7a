"""How numbers read in a sentence: `1 worker`, `2 workers`, `3m 20s`."""

import math


def counted(n: int, what: str) -> str:
    """Return `1 worker`, `2 workers`; `what` is a word whose plural ends with s."""
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def duration(seconds: float | None) -> str:
    """Return `1h 05m`, `3m 20s`, `12s`; `-` where it is not known."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    whole = max(0, round(seconds))  # less than nothing is a clock that was set back
    hours, minutes = divmod(whole // 60, 60)
    if hours:
        return f"{hours}h {minutes:02d}m"
    return f"{minutes}m {whole % 60:02d}s" if minutes else f"{whole}s"
