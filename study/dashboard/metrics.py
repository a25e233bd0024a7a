"""`/metrics`: the studies as numbers, in Prometheus' text format."""

import math
from collections.abc import Iterable, Iterator

from study.dashboard.exchange import Answer
from study.dashboard.overview import Look

KIND = "text/plain; version=0.0.4; charset=utf-8"
HELP = {
    "slots": "Slots of a study by state.",
    "workers": "Registered workers by state; gone ones were not heard of for the grace period.",
    "images_per_second": "Images that the workers in training learn from, together.",
    "worker_heartbeat_age_seconds": "Age of a worker's newest heartbeat.",
    "attempts": "Started attempts by how they ended.",
    "best_value": "The best value so far.",
    "eta_seconds": "Expected time to the end of the last slot.",
    "paused": "Whether workers are told to claim nothing.",
}
Sample = tuple[dict[str, str], float]


def metrics_text(looks: Iterable[Look]) -> Answer:
    """Return the metrics of the studies; what is unknown is left out."""
    samples: dict[str, list[Sample]] = {name: [] for name in HELP}
    for look in looks:
        for name, labels, value in _of(look):
            samples[name].append(({"study": look.status.study, **labels}, value))
    lines: list[str] = []
    for name, found in samples.items():
        lines += [f"# HELP study_{name} {HELP[name]}", f"# TYPE study_{name} gauge"]
        lines += [f"study_{name}{_labels(labels)} {_number(value)}" for labels, value in found]
    return Answer(200, "\n".join(lines) + "\n", KIND)


def _of(look: Look) -> Iterator[tuple[str, dict[str, str], float]]:
    status = look.status
    for state in ("waiting", "running", "complete", "pruned", "failed"):
        yield "slots", {"state": state}, getattr(status, state)
    states: dict[str, int] = {"training": 0, "waiting": 0, "gone": 0}
    for worker in status.workers:
        states[worker.state] = states.get(worker.state, 0) + 1
        if worker.seen_s is not None:
            yield "worker_heartbeat_age_seconds", {"worker": worker.id}, worker.seen_s
    for state, n in states.items():
        yield "workers", {"state": state}, n
    speeds = [w.images_per_s for w in status.workers if w.state == "training"]
    known = [speed for speed in speeds if speed is not None]
    if known or not speeds:  # a finalize trains, and does not know how fast: that is not 0
        yield "images_per_second", {}, sum(known)
    for end, n in sorted(status.ends.items()):
        yield "attempts", {"reason": end}, n
    if status.best is not None:
        yield "best_value", {}, status.best.value
    if status.eta_s is not None:
        yield "eta_seconds", {}, status.eta_s
    yield "paused", {}, status.seen.paused


def _labels(labels: dict[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items()) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return "NaN" if math.isnan(value) else f"{float(value):.10g}"
