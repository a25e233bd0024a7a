"""The user's code that a study runs, and the check that this machine's user named that code.

Anybody who can write to the database could name any function there. So the database may name
built-in objectives only. Files, modules and options that may name files come from this machine's
command line or environment. Their content is compared with the hash in the spec before the import.
A private folder of the user remembers them for later commands.
"""

import hashlib
import json
import os
import shlex
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from objectives.errors import FileError
from objectives.files.atomic import write_text
from objectives.files.userfolder import private_folder, state_folder
from objectives.load import file_options, is_built_in, source_fingerprint
from study.errors import StudyError
from study.spec.spec import DEFINING, StudySpec, Told, refuse_difference

_PASSED_ON = "STUDY_CODE"


@dataclass(frozen=True)
class Code:
    """An objective that this process may import: the spec's, with paths of this machine."""

    objective: str
    model: str | None = None
    options: dict[str, str] = field(default_factory=dict)

    def source(self) -> str:
        """Return the hash of the current content, as in `StudySpec.source`; imports nothing."""
        return source_fingerprint(self.objective, self.model)


def _option_words(options: Mapping[str, str]) -> str:
    flag = DEFINING["options"].flag
    return " ".join(f"{flag} {shlex.quote(f'{key}={value}')}" for key, value in options.items())


def trusted_code(name: str, spec: StudySpec, told: Told) -> Code:
    """Return the code of a study, as named on this machine by this command or an earlier one.

    Raises:
        StudyError: No command of this machine named it, this command names other code than the
            study's, or the content has changed.
        ModelError: The file does not exist.
    """
    named = _brought(name, spec, told)
    if told.options is not None:
        refuse_difference(name, spec, {"options": told.options})
    remembered = _recall(spec) if _must_be_told(spec) else None
    if remembered is None:
        _refuse_untold(name, spec, told)
    code = named or remembered or Code(spec.objective, spec.model, spec.options)
    refuse_difference(name, spec, {"source": code.source()})
    return remember(spec, code) if told != Told() else code


def absolute(reference: str) -> str:
    """Return `FILE.py:attr` with the file's full path, so that it is valid in any folder."""
    file, colon, attr = reference.rpartition(":")
    return f"{Path(file).resolve()}{colon}{attr}" if file.endswith(".py") else reference


def _brought(name: str, spec: StudySpec, told: Told) -> Code | None:
    """Return the code that this command names, checked to be the study's; None if it names none."""
    brought: dict[str, str | None] = {"objective": spec.objective, "model": spec.model}
    given = {"objective": told.objective, "model": told.model}
    for key, reference in given.items():
        if reference is None:
            continue
        brought[key] = absolute(reference)
        # A file may have moved: the same attribute is enough, as the content is compared later.
        file, _, attr = reference.rpartition(":")
        stored = getattr(spec, key) or ""
        if not (file.endswith(".py") and stored.endswith(f".py:{attr}")):
            refuse_difference(name, spec, {key: brought[key]})
    if given["model" if spec.model is not None else "objective"] is None:
        return None
    return Code(str(brought["objective"]), brought["model"], spec.options)


def _refuse_untold(name: str, spec: StudySpec, told: Told) -> None:
    """Refuse code and options that only the database names."""
    key = "objective" if spec.model is None else "model"
    named = getattr(spec, key)
    if not is_built_in(spec.objective, spec.model) and getattr(told, key) is None:
        kind = "FILE.py:NAME" if named.rpartition(":")[0].endswith(".py") else "module:name"
        raise StudyError(
            f"study '{name}' was created with --{key} {named}; this machine was not told to run "
            "it, and code that only the database names is not run",
            f"--{key} with the {kind} that you mean; the database may name anything",
        )
    risky = _risky_options(spec)
    if risky and told.options is None:
        raise StudyError(
            f"study '{name}' was created with {_option_words(risky)}; this machine was "
            "not told so, and such an option may name a file",
            f"{_option_words(spec.options)}, if you trust that",
        )


def _must_be_told(spec: StudySpec) -> bool:
    return not is_built_in(spec.objective, spec.model) or bool(_risky_options(spec))


def _risky_options(spec: StudySpec) -> dict[str, str]:
    """Return the options that may name files: any option of a user's own objective."""
    if is_built_in(spec.objective, spec.model):
        return {k: v for k, v in spec.options.items() if k in file_options(spec.objective)}
    return dict(spec.options)


def remember(spec: StudySpec, code: Code, say: Callable[[str], None] = lambda line: None) -> Code:
    """Keep the code for later commands of this user, or `say` why it cannot be kept; return it."""
    if _must_be_told(spec):
        try:
            write_text(_memory(spec), json.dumps([code.objective, code.model]))
        except (FileError, OSError) as error:
            say(f"warning: later commands need --model or --objective again: {error}")
    return code


def passed_on(spec: StudySpec, code: Code) -> dict[str, str]:
    """Return the environment variable that names the code for a worker process.

    The variable is valid for this spec's code and options only, as the database may change them.
    """
    return {_PASSED_ON: json.dumps([_key(spec), code.objective, code.model])}


def _recall(spec: StudySpec) -> Code | None:
    """Return the code that the parent process passed on, or that an earlier command named."""
    with suppress(FileError, OSError, ValueError, TypeError):
        key, *named = json.loads(os.environ.get(_PASSED_ON, "[null]"))
        if key != _key(spec):
            named = json.loads(_memory(spec).read_text(encoding="utf-8"))
        objective, model = named
        return Code(str(objective), None if model is None else str(model), spec.options)
    return None


def _memory(spec: StudySpec) -> Path:
    return private_folder(state_folder() / "code") / _key(spec)


def _key(spec: StudySpec) -> str:
    """Return a file name made from the hash of a spec's reference, content and options."""
    facts = [spec.objective, spec.model, spec.source, sorted(_risky_options(spec).items())]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
