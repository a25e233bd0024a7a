"""The commands that repeat a study and its submission, with all defining options.

They leave out folders, which belong to one machine, and name a new storage: with the old storage
the command would resume the study.
"""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from objectives.space.space import SearchSpace
from study.report.snapshot import Snapshot
from study.spec.spec import DEFINING, StudySpec

FRESH = "sqlite:///again.db"
SPACE_FILE = "space.toml"


def run_command_of(snapshot: Snapshot) -> str:
    """Return `study run ...` with one option per line."""
    lines = [
        "study run",
        *([f"--data {shlex.quote(snapshot.data or 'DIR')}"] if snapshot.spec.data else []),
        f"--storage {FRESH}",
        f"--study {shlex.quote(snapshot.name)}",
        f"--n-trials {snapshot.n_drawn}",
    ]
    for field in DEFINING:
        lines += _options_for(snapshot.spec, field)
    return " \\\n  ".join(lines)


def _options_for(spec: StudySpec, field: str) -> list[str]:
    """Return the options of a field: none, one, or one for each pair."""
    flag, value = DEFINING[field].flag, getattr(spec, field)
    if value is None or (field == "objective" and spec.model is not None):
        return []
    # An objective without a choice of metrics refuses the option.
    if value == DEFINING[field].default and field in ("metric", "deterministic"):
        return []
    if isinstance(value, bool):
        return [flag]
    if isinstance(value, dict):
        return [f"{flag} {shlex.quote(f'{key}={text}')}" for key, text in value.items()]
    if field == "keep" and not spec.rungs:
        return []
    if field == "rungs":
        return [f"{flag} {','.join(map(str, value)) or 'none'}"]
    if isinstance(value, list):
        return [f"{flag} {SPACE_FILE}"] if value else []
    if field in ("objective", "model"):
        value = shown(value)
    elif field.endswith("_s"):
        value = f"{value:.10g}s"
    return [f"{flag} {shlex.quote(str(value))}"]


def finalize_command_of(snapshot: Snapshot, effort: Mapping[str, Any] | None = None) -> str:
    """Return `study finalize ...` with one option per line.

    Args:
        effort: The sizes of the finalize, as in its manifest; None if it was quick.
    """
    name = shlex.quote(snapshot.name)
    data = shlex.quote(snapshot.data or "DIR")
    where = [f"--data {data}", f"--storage {FRESH}", f"--study {name}", "--out out"]
    sizes = {key.replace("_", "-"): value for key, value in (effort or {}).items()}
    options = [*where, *(f"--{key} {value}" for key, value in sizes.items())]
    return " \\\n  ".join(["study finalize", *options])


def space_toml(snapshot: Snapshot) -> str:
    """Return the content of `space.toml`; empty if the study has no stored space."""
    stored = snapshot.spec.space
    return SearchSpace.from_json(stored).to_toml() if stored else ""


def shown(reference: str | None) -> str:
    """Return `FILE.py:attr` without its folders; any other reference as it is."""
    text = reference or ""
    return Path(text).name if ".py:" in text else text


def caveats(snapshot: Snapshot) -> list[str]:
    """Return sentences on the parts of the study that the commands cannot reproduce."""
    spec, found = snapshot.spec, []
    if spec.sampler != "random":
        found.append("The sampler depends on timing: another run draws other params.")
    if spec.pruner != "none":
        found.append("The pruner depends on timing: another run ends other trials early.")
    if snapshot.n_added:
        found.append(f"{snapshot.n_added} slots came from study add; add them again.")
    if not spec.deterministic:
        found.append("Trainings are not bit for bit the same: determinism was off.")
    if spec.timeout_s is not None:
        found.append("The time limit may end another run after another number of slots.")
    return found
