"""The text of `/metrics`: the studies as numbers, in the format of Prometheus."""

import math
from collections.abc import Iterable, Iterator

from study.dashboard.overview import Look

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
HELP = {
    "slots": "Slots of a study by state.",
    "workers": "Registered workers by state; gone: no heartbeat for the grace period.",
    "images_per_second": "Training speed of all workers together.",
    "worker_heartbeat_age_seconds": "Age of a worker's newest heartbeat.",
    "attempts": "Started attempts by how they ended.",
    "best_value": "The best value so far.",
    "eta_seconds": "Expected time to the end of the last slot.",
    "paused": "Whether workers are told to claim no trials.",
}
ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


def metrics_text(looks: Iterable[Look]) -> str:
    """Return the metrics of the studies; unknown numbers are left out."""
    lines: dict[str, list[str]] = {
        name: [f"# HELP study_{name} {text}", f"# TYPE study_{name} gauge"]
        for name, text in HELP.items()
    }
    for look in looks:
        for name, labels, value in _samples(look):
            named = {"study": look.status.study, **labels}.items()
            shown = ",".join(f'{key}="{text.translate(ESCAPES)}"' for key, text in named)
            lines[name].append(f"study_{name}{{{shown}}} {_number(value)}")
    return "".join(f"{line}\n" for found in lines.values() for line in found)


def _samples(look: Look) -> Iterator[tuple[str, dict[str, str], float]]:
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
    speeds = [worker.images_per_s for worker in status.workers if worker.state == "training"]
    known = [speed for speed in speeds if speed is not None]
    if known or not speeds:  # the trainings of a finalize have no known speed, which is not 0
        yield "images_per_second", {}, sum(known)
    for end, n in sorted(status.ends.items()):
        yield "attempts", {"reason": end}, n
    if status.best is not None:
        yield "best_value", {}, status.best.value
    if status.eta_s is not None:
        yield "eta_seconds", {}, status.eta_s
    yield "paused", {}, status.seen.paused


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return "NaN" if math.isnan(value) else f"{float(value):.10g}"
