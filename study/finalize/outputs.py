"""Write the output files of a finalize, each atomically, and a manifest with their hashes.

The files are `submission.csv`, `model.keras` if the objective can export it, `model_card.md` and
`report.html`. `manifest.json` is written last, and again after the report. A file that differs from
its hash in the manifest is unfinished.
"""

import contextlib
import hashlib
import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from objectives.base import Fitted, refuse_unfinite_predictions
from objectives.errors import ObjectiveError
from objectives.files.atomic import atomic_path, write_text
from objectives.framework.sentence import one_line
from objectives.refit import SHIFTS, can_average
from study.errors import StudyError
from study.finalize.modelcard import loading_lines, model_card
from study.finalize.outfolder import MANIFEST, read_manifest
from study.finalize.stages import Ending
from study.finalize.submission import kaggle_line, write_submission
from study.machine.environment import read_versions
from study.report.evidence import Evidence
from study.report.reproduce import finalize_command_of, run_command_of, shown
from study.report.snapshot import read_snapshot
from study.spec.open import Loaded, OpenStudy, Say
from study.text import jsonable

_SAME = ("study", "study_seed", "data_sha256", "source_sha256")  # equal in outputs of one study
_N_CHECKED = 8  # images on which a written model is compared with the model in memory


@dataclass(frozen=True)
class Exported:
    """The result of exporting `model.keras`, as stored in the manifest.

    Attributes:
        needs: Names that loading needs beyond Keras, from the objective's `export`.
        load: The lines of Python that load the model; empty if it was not written.
        why_not: Why it was not written; None if it was.
    """

    needs: tuple[str, ...] = ()
    load: tuple[str, ...] = ()
    why_not: str | None = None


class Outputs:
    """The outputs of one search in one folder, which must exist."""

    def __init__(
        self, out: Path, search: OpenStudy, say: Say, competition: str = "digit-recognizer"
    ) -> None:
        self.submission, self.report = out / "submission.csv", out / "report.html"
        self.card = out / "model_card.md"
        self._model = out / "model.keras"
        self._out, self._search, self._say = out, search, say
        self._said: set[str] = set()
        self._competition = competition

    def origin(self) -> dict[str, Any]:
        """Return everything that the bytes of the outputs depend on, except the trials."""
        spec = self._search.spec
        return {
            "study_seed": spec.seed,
            "precision": spec.precision,
            "threads": spec.threads,
            "deterministic": spec.deterministic,
            "objective": shown(spec.model or spec.objective),
            "source_sha256": spec.source,
            "data_sha256": spec.data,
            "machine": f"{platform.system()} {platform.machine()}",
            "versions": read_versions(),
        }

    def are_of(self, identity: Mapping[str, Any]) -> bool:
        """Whether the folder holds the complete outputs of this identity."""
        wanted = json.loads(json.dumps(jsonable(dict(identity))))
        return bool(wanted.items() <= self.manifest().items())

    def are_better(self, first: Mapping[str, Any]) -> bool:
        """Whether an earlier finalize of the same study has written better outputs."""
        manifest = self.manifest()
        return bool(manifest.get("effort")) and all(manifest.get(k) == first[k] for k in _SAME)

    def say_what_is_replaced(self) -> None:
        """Report outputs of an earlier study of the same name."""
        found, now = read_manifest(self._out), {"study": self._search.name, **self.origin()}
        if found and any(found.get(key) != now[key] for key in _SAME):
            self._say(f"the outputs in {self._out} are of another study and will be replaced")

    def manifest(self) -> dict[str, Any]:
        """Return the manifest; empty if a file differs from its hash.

        The report is not checked: `study report` may write it again at any time.
        """
        manifest = read_manifest(self._out)
        try:
            files = manifest["outputs"].items()
            whole = all(_sha256(self._out, n) == sha for n, sha in files if n != self.report.name)
            whole = whole and self.submission.name in manifest["outputs"]
        except (OSError, ValueError, KeyError, AttributeError, TypeError):
            return {}
        return manifest if whole else {}

    def has_report(self) -> bool:
        """Whether the report has its hash in the manifest."""
        name = self.report.name
        sha256 = self.manifest().get("outputs", {}).get(name)
        return sha256 is not None and self.report.is_file() and sha256 == _sha256(self._out, name)

    def write(
        self,
        identity: Mapping[str, Any],
        ending: Ending,
        fitted: Sequence[Fitted],
        loaded: Loaded,
        cost: Mapping[str, Any],
    ) -> None:
        """Predict with the average of the networks and write all files."""
        objective: Any = loaded.objective
        dataset, evidence = loaded.dataset, ending.evidence
        model: Fitted | None = None
        if len(fitted) == 1 and not ending.shifted:
            (model,) = fitted
        elif can_average(objective):
            model = objective.combine(list(fitted), SHIFTS if ending.shifted else SHIFTS[:1])
        models = fitted if model is None else [model]
        predictions = [objective.predict(one, dataset.test_images) for one in models]
        probabilities = np.mean(predictions, axis=0)
        refuse_unfinite_predictions(probabilities)
        labels = [dataset.classes[i] for i in np.argmax(probabilities, axis=1)]
        hashes = {}
        hashes[self.submission.name] = write_submission(
            self.submission, labels, dataset.test_ids, dataset.id_column, dataset.label_column,
            dataset.classes,
        )  # fmt: skip
        with _known_errors(self._out):
            exported = self._export(objective, model, dataset, hashes)
        facts: dict[str, Any] = {
            **identity,
            "model_keras": asdict(exported),
            "classes": list(dataset.classes),
            "created_at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            "cost": dict(cost),
            "command": self._command(identity),
            # Without the folder's path, so that outputs are equal in any folder.
            "submit": kaggle_line(Path(self.submission.name), self._competition),
            "expected": evidence and asdict(evidence.expected),
            "recall": evidence and dict(zip(dataset.classes, evidence.recall, strict=True)),
            "outputs": hashes,
        }
        with _known_errors(self._out):
            card = model_card(self._search.name, facts, dataset, evidence)
            hashes[self.card.name] = write_text(self.card, card)
            self._write_manifest(facts)

    def _write_manifest(self, facts: Mapping[str, Any]) -> None:
        write_text(self._out / MANIFEST, json.dumps(jsonable(dict(facts)), indent=2) + "\n")

    def _command(self, identity: Mapping[str, Any]) -> str:
        snapshot = read_snapshot(self._search)
        again = finalize_command_of(snapshot, identity["effort"])
        return f"{run_command_of(snapshot)}\n{again}{'' if identity['effort'] else ' --quick'}"

    def write_report(self, evidence: Evidence | None, dataset: Any) -> None:
        """Write `report.html` for the study's current state."""
        from study.report.build import write_report  # Plotly's import is slow

        facts = self.manifest()
        with _known_errors(self._out):
            sha256 = write_report(self._search, self.report, evidence, dataset, facts or None)
            if facts:
                facts["outputs"][self.report.name] = sha256
                self._write_manifest(facts)

    def _export(
        self, objective: Any, model: Fitted | None, dataset: Any, hashes: dict[str, str]
    ) -> Exported:
        """Write `model.keras` and add its hash; if that fails, remove an old file and say why."""
        export = getattr(objective, "export", None)
        if export is None or model is None:
            return self._left_out("this objective exports no model")
        check = getattr(objective, "check_export", None)
        try:
            with atomic_path(self._model) as aside:
                needs = tuple(export(model, aside) or ())
                if check is not None:
                    check(model, aside, dataset.test_images[:_N_CHECKED])
                sha256 = _sha256(self._out, aside.name)
        except OSError:  # such as a full disk: nothing else can be written either
            raise
        except ObjectiveError as error:
            return self._left_out(str(error), error.hint)
        except Exception as error:  # raised by the user's export
            return self._left_out(f"{type(error).__name__}: {one_line(str(error))}")
        hashes[self._model.name] = sha256
        if needs:
            self._say_once(f"model.keras needs more than Keras to load: {self.card} has the lines")
        return Exported(needs, tuple(loading_lines(needs, self._search.reference, self._out)))

    def _left_out(self, why: str, hint: str | None = None) -> Exported:
        self._model.unlink(missing_ok=True)  # a file of an earlier submission would mislead
        why_not = f"{why.rstrip('.')}{f'; {hint}' if hint else ''}"
        self._say_once(f"model.keras is not written: {why_not}")
        return Exported(why_not=why_not)

    def _say_once(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            self._say(line)


@contextlib.contextmanager
def _known_errors(out: Path) -> Iterator[None]:
    """Turn an `OSError` into a `StudyError` with a hint."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise StudyError(
            f"cannot write into {out}: {reason}", "free space there, or name another: --out DIR"
        ) from error


def _sha256(folder: Path, name: str) -> str:
    path = folder / name
    if path.name != name or not path.is_file():  # else a manifest could name any file, or a pipe
        raise ValueError(f"{name} is not a file of the folder")
    return hashlib.sha256(path.read_bytes()).hexdigest()
