"""The end of a study: retrain the best slot on every labelled row, predict, write the submission.

The best slot's params are replayed through the same space and the same `fit` that searched. Every
file is written aside, checked, and moved into place. Which slot is the best is decided by value
alone.
"""

import hashlib
import json
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from storage import attrs
from storage.reading import Attempt, newest_by_slot, read_attempts
from study.atomic import atomic_path, make_folder, write_text
from study.environment import read_versions
from study.errors import StudyError
from study.opening import Loaded, OpenStudy, Say, load
from study.replay import stored_params
from study.status import find_best, jsonable
from study.submission import kaggle_line, write_submission


@dataclass(frozen=True)
class Finalized:
    """What was written, and from which trial."""

    trial: int
    value: float
    submission: Path
    train_s: float


def finalize(
    opened: OpenStudy, out: Path, say: Say, competition: str = "digit-recognizer"
) -> Finalized:
    """Retrain the best slot on all labelled rows and write the four files into `out`.

    `submission.csv`, `model.keras` (where the objective can export one), `model_card.md` and
    `manifest.json`, each complete or not at all.

    Raises:
        StudyError: No trial has finished, or this objective has nothing to predict.
    """
    best, n_running = _choose(opened)
    if n_running:
        say(f"warning: {n_running} trials are still running; the best one may yet change")
    loaded = load(opened)
    dataset = loaded.dataset
    if not hasattr(dataset, "for_retraining"):
        raise StudyError(
            f"objective {opened.spec.objective} has no data to predict: there is no submission"
        )
    seed = int(best.user_attrs[attrs.SEED])
    make_folder(out, "--out")
    submission = out / "submission.csv"
    identity = _identity(opened, best, seed)
    if _is_written(out, identity):
        say(f"{submission} is that of trial {best.trial} already")
        say(kaggle_line(submission, competition))
        return Finalized(best.trial, float(best.value or 0.0), submission, 0.0)
    say(f"retraining trial {best.trial} (value {best.value:.5f}) on {len(dataset.labels)} rows")
    started = time.monotonic()
    fitted = loaded.objective.fit(
        stored_params(loaded.objective.space, best),
        dataset.for_retraining(),
        seed=seed,
        report=_no_report,
        resume_dir=None,
    )
    train_s = time.monotonic() - started
    probabilities = loaded.objective.predict(fitted, dataset.test_images)
    labels = [dataset.classes[i] for i in np.argmax(probabilities, axis=1)]
    write_submission(
        submission, labels, dataset.test_ids, dataset.id_column, dataset.label_column,
        dataset.classes,
    )  # fmt: skip
    outputs = [submission, *_export(loaded, fitted, out, say)]
    facts = _manifest(identity, train_s, outputs)
    write_text(out / "model_card.md", _model_card(opened, best, facts, dataset))
    facts["outputs"]["model_card.md"] = _sha256(out / "model_card.md")
    write_text(out / "manifest.json", json.dumps(jsonable(facts), indent=2) + "\n")
    say(f"{submission} ready: {len(labels)} rows")
    say(kaggle_line(submission, competition))
    return Finalized(best.trial, float(best.value or 0.0), submission, train_s)


def _choose(opened: OpenStudy) -> tuple[Attempt, int]:
    attempts = read_attempts(opened.storage.engine, opened.study_id)
    newest = newest_by_slot(attempts).values()
    counts = {n: sum(a.state.name == n for a in newest) for n in ("WAITING", "RUNNING", "FAIL")}
    best = find_best(newest, opened.spec.direction)
    if best is None:
        waiting, running, failed = counts.values()
        raise StudyError(
            f"no finished trial in study '{opened.name}' "
            f"({waiting} waiting, {running} running, {failed} failed)",
            f"study run --study {opened.name}   (study watch shows it)",
        )
    (detailed,) = read_attempts(
        opened.storage.engine, opened.study_id, details=True, trials=[best.trial]
    )
    return detailed, counts["RUNNING"]


def _no_report(step: int, value: float) -> None:
    """Retraining has no validation rows; there is nobody to report to."""


def _export(loaded: Loaded, fitted: Any, out: Path, say: Say) -> list[Path]:
    export = getattr(loaded.objective, "export", None)
    if export is None:
        say("this objective exports no model: model.keras is not written")
        return []
    path = out / "model.keras"
    with atomic_path(path) as aside:
        custom = export(fitted, aside)
    if custom:
        say(f"model.keras needs these classes of yours to load: {', '.join(custom)}")
    return [path]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _identity(opened: OpenStudy, best: Attempt, seed: int) -> dict[str, Any]:
    """Return what the outputs are a function of: the same identity, the same bytes."""
    spec = opened.spec
    return {
        "study": opened.name,
        "trial": best.trial,
        "slot": best.slot,
        "value": best.value,
        "params": best.params,
        "study_seed": spec.seed,
        "training_seed": seed,
        "epochs": spec.epochs,
        "precision": spec.precision,
        "threads": spec.threads,
        "deterministic": spec.deterministic,
        "objective": _shown_reference(spec.model or spec.objective),
        "source_sha256": spec.source,
        "data_sha256": spec.data,
        "machine": f"{platform.system()} {platform.machine()}",
        "versions": read_versions(),
    }


def _shown_reference(reference: str) -> str:
    """Return `FILE.py:attr` without the folders, which are one machine's."""
    return Path(reference).name if ".py:" in reference else reference


def _manifest(identity: Mapping[str, Any], train_s: float, outputs: list[Path]) -> dict[str, Any]:
    return {
        **identity,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "train_s": round(train_s, 1),
        "outputs": {path.name: _sha256(path) for path in outputs},
    }


def _is_written(out: Path, identity: Mapping[str, Any]) -> bool:
    """Whether `out` holds the outputs of this identity, whole: a second finalize has no work."""
    try:
        manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
        whole = all(_sha256(out / name) == sha for name, sha in manifest["outputs"].items())
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return False
    wanted = json.loads(json.dumps(jsonable(dict(identity))))
    return whole and all(manifest.get(key) == value for key, value in wanted.items())


def _model_card(opened: OpenStudy, best: Attempt, facts: Mapping[str, Any], dataset: Any) -> str:
    params = "\n".join(f"| {name} | {value} |" for name, value in best.params.items())
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    n_valid = len(dataset.valid)
    return f"""# {opened.name}: model card

Trial {best.trial} of {opened.n_slots} slots, the best by its value on the validation rows,
retrained on all {len(dataset.labels)} labelled rows with its own seed.

| | |
|---|---|
| value of the trial | {best.value:.5f} on {n_valid} validation rows |
| what to expect | less: the best of many looks better than it is |
| epochs, precision, threads | {facts["epochs"]}, {facts["precision"]}, {facts["threads"]} |
| study seed, training seed | {facts["study_seed"]}, {facts["training_seed"]} |
| training time | {facts["train_s"]} s |
| images | {dataset.side}x{dataset.side}, {dataset.n_classes} classes |
| data sha256 | {facts["data_sha256"]} |
| versions | {versions} |

## Params

| name | value |
|---|---|
{params}

## Use

`model.keras` takes raw uint8 images of shape (n, {dataset.side}, {dataset.side}) and gives
probabilities of shape (n, {dataset.n_classes}); the columns are the classes
{", ".join(dataset.classes)}.

    import keras
    model = keras.models.load_model("model.keras")
    probabilities = model.predict(images)
"""


if __name__ == "__main__":
    from study.cli import finalize_main

    finalize_main()
