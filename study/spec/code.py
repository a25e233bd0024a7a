"""Which code a study's trials run: what this machine was told, never what the database says.

Whoever may write to the database could name any function there. So the database names built-in
objectives alone. A file or a module comes from this machine's command line or environment, and so
does an option that may name a file; what it names is compared with the hash in the spec before it
is imported. What a user has told once is remembered in a folder of that user's own, so that later
commands on this machine need not be told again.
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

Say = Callable[[str], None]

_PASSED_ON = "STUDY_CODE"


@dataclass(frozen=True)
class Code:
    """An objective that this process may import.

    Attributes:
        objective, model, options: As in the spec, with the paths that this machine has.
    """

    objective: str
    model: str | None = None
    options: dict[str, str] = field(default_factory=dict)

    def source(self) -> str:
        """Return the hash of what is there now, see `StudySpec.source`; imports nothing of it."""
        return source_fingerprint(self.objective, self.model)


def _option_words(options: Mapping[str, str]) -> str:
    flag = DEFINING["options"].flag
    return " ".join(f"{flag} {shlex.quote(f'{key}={value}')}" for key, value in options.items())


def trusted_code(name: str, spec: StudySpec, told: Told) -> Code:
    """Return the code of a study, which this machine was told now or earlier.

    Args:
        name: The study's, for messages.
        told: What this command was told.

    Raises:
        StudyError: It was told something else than the study was created with, or nothing; or what
            is there has another content.
        ModelError: There is no such file.
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
    """Return `FILE.py:attr` with the file's full path, so that it means the same in any folder."""
    file, colon, attr = reference.rpartition(":")
    return f"{Path(file).resolve()}{colon}{attr}" if file.endswith(".py") else reference


def _brought(name: str, spec: StudySpec, told: Told) -> Code | None:
    """Return the code that this command names; None where it names none.

    Raises:
        StudyError: It names something else than the study was created with.
    """
    brought: dict[str, str | None] = {"objective": spec.objective, "model": spec.model}
    given = {"objective": told.objective, "model": told.model}
    for key, reference in given.items():
        if reference is None:
            continue
        brought[key] = absolute(reference)
        # The same name in another file is the same where the content is: that is compared later.
        if not _same_attribute(reference, getattr(spec, key)):
            refuse_difference(name, spec, {key: brought[key]})
    if given["model" if spec.model is not None else "objective"] is None:
        return None
    return Code(str(brought["objective"]), brought["model"], spec.options)


def _same_attribute(reference: str, stored: str | None) -> bool:
    file, _, attr = reference.rpartition(":")
    return file.endswith(".py") and stored is not None and stored.endswith(f".py:{attr}")


def _refuse_untold(name: str, spec: StudySpec, told: Told) -> None:
    """Refuse code and options that the database alone names."""
    key = "objective" if spec.model is None else "model"
    named = getattr(spec, key)
    if not is_built_in(spec.objective, spec.model) and getattr(told, key) is None:
        raise StudyError(
            f"study '{name}' was created with --{key} {named}; this machine was not told to run "
            "it, and the word of the database is not enough",
            f"--{key} with the {_kind(named)} that you mean; the database may name anything",
        )
    risky = _risky_options(spec)
    if risky and told.options is None:
        raise StudyError(
            f"study '{name}' was created with {_option_words(risky)}; this machine was "
            "not told so, and such an option may name a file",
            f"{_option_words(spec.options)}, if you trust that",
        )


def _kind(reference: str) -> str:
    return "FILE.py:NAME" if reference.rpartition(":")[0].endswith(".py") else "module:name"


def _must_be_told(spec: StudySpec) -> bool:
    return not is_built_in(spec.objective, spec.model) or bool(_risky_options(spec))


def _risky_options(spec: StudySpec) -> dict[str, str]:
    """Return the options that may name files: of an objective of the user's, any may."""
    if is_built_in(spec.objective, spec.model):
        return {k: v for k, v in spec.options.items() if k in file_options(spec.objective)}
    return dict(spec.options)


def remember(spec: StudySpec, code: Code, say: Say = lambda line: None) -> Code:
    """Keep, for later commands of this user, that this machine was told so; return the code.

    Args:
        say: Called with one line where nothing can be kept.
    """
    if _must_be_told(spec):
        try:
            write_text(_memory(spec), json.dumps([code.objective, code.model]))
        except (FileError, OSError) as error:
            say(f"warning: later commands have to be told --model or --objective again: {error}")
    return code


def passed_on(spec: StudySpec, code: Code) -> dict[str, str]:
    """Return the variable that tells a worker process of this command the same.

    It holds for this code and these options alone: the database may have others by then.
    """
    return {_PASSED_ON: json.dumps([_key(spec), code.objective, code.model])}


def _recall(spec: StudySpec) -> Code | None:
    """Return what the command that started this process was told, or this user earlier."""
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
    """Return the name of the file that remembers a spec's code: reference, content and options."""
    facts = [spec.objective, spec.model, spec.source, sorted(_risky_options(spec).items())]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
