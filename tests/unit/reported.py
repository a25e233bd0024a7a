"""Studies and evidence to be reported, made without a database."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import numpy as np
from optuna.trial import TrialState

from storage import attrs
from storage.reading import Attempt
from study.report.evidence import Candidate, Evidence, Expected
from study.report.snapshot import Snapshot
from study.spec.spec import StudySpec

START = datetime(2026, 1, 2, 3, 4, 5)
SPACE = [
    {"name": "rate", "low": 1e-4, "high": 1e-1, "log": True},
    {"name": "kind", "choices": ["plain", "deep"]},
    {"name": "depth", "low": 1, "high": 4, "when": {"kind": ["deep"]}},
    {"name": "fixed", "choices": [3]},
]


def params_of(slot: int) -> dict[str, Any]:
    """Return params of `SPACE`, one of them drawn in every second slot only."""
    deep = slot % 2 == 1
    given = {"rate": 10 ** (-4 + 3 * (slot % 7) / 7), "kind": "deep" if deep else "plain"}
    return {**given, **({"depth": 1 + slot % 4} if deep else {}), "fixed": 3}


def attempt(slot: int, state: TrialState = TrialState.COMPLETE, **more: Any) -> Attempt:
    """Return an attempt that was ended by us; `trial`, `value`, `params` and so on by keyword."""
    user_attrs = {attrs.SLOT: slot, attrs.WORKER: "host:1", **more.pop("user_attrs", {})}
    finished = state.is_finished()
    if finished:
        user_attrs[attrs.ENDED] = "token"
    value = 0.5 + 0.4 * (slot * 37 % 101) / 101 if state == TrialState.COMPLETE else None
    given: dict[str, Any] = {
        "trial": slot,
        "trial_id": slot,
        "state": state,
        "started_at": START + timedelta(seconds=slot) if state != TrialState.WAITING else None,
        "finished_at": START + timedelta(seconds=slot + 9) if finished else None,
        "value": value,
        "user_attrs": user_attrs,
        "params": params_of(slot),
        "reports": {} if value is None else {0: value / 2, 1: value * 0.9, 2: value},
    }
    return Attempt(**{**given, **more})


def spec_of(**more: Any) -> StudySpec:
    """Return a spec of `SPACE`."""
    given: dict[str, Any] = {
        "objective": "synthetic", "model": None, "options": {}, "source": "s", "data": None,
        "space": SPACE, "direction": "maximize", "seed": 0, "epochs": 3, "precision": "float32",
        "threads": 1,
    }  # fmt: skip
    return StudySpec(**{**given, **more})


def snapshot_of(attempts: Sequence[Attempt], name: str = "s", **spec: Any) -> Snapshot:
    """Return a study of these attempts."""
    versions = {"python": "3.11.7"}
    at = datetime(2026, 1, 2, 4, tzinfo=UTC)
    return Snapshot(name, spec_of(**spec), "digits", 0, versions, list(attempts), at)


def evidence_of(n: int = 40, n_classes: int = 4, why: str = "It is the best.") -> Evidence:
    """Return evidence in which each fifth row is told wrong, later ones more surely."""
    labels = np.arange(n) % n_classes
    said = np.where(np.arange(n) % 5 == 0, (labels + 1) % n_classes, labels)
    probabilities = np.full((n, n_classes), 0.0, np.float32)
    sureness = np.linspace(0.6, 0.9, n)
    probabilities[:] = ((1 - sureness) / (n_classes - 1))[:, None]
    probabilities[np.arange(n), said] = sureness
    first = Candidate(3, 3, 9, 0, 0.9, 0.8 * n, n, 0.65, 0.9, 0.4, 1e9, "chosen")
    second = Candidate(5, 5, 9, 4, 0.91, 0.75 * n, n, 0.6, 0.86, 0.5, None, "worse")
    expected = Expected(0.8, 0.7, 0.88, 60, 0.1)
    return Evidence(
        (first, second), first, why, np.arange(n), labels, probabilities, expected
    )  # fmt: skip


class Page(HTMLParser):
    """What a browser would make of a page: its elements, and the text of some."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))
        self._open.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "script" in self._open:
            self.scripts[-1] += data
        elif "style" not in self._open:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of each element of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def words(self) -> str:
        """The text with single spaces."""
        return re.sub(r"\s+", " ", self.text)
