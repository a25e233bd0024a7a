"""Write the text of `model_card.md`: the model's expected score, origin, params and use."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from objectives.network.export import LAMBDA
from objectives.refit import ALL_ROWS
from study.report.evidence import Evidence, shown_epochs
from study.text import counted


def model_card(name: str, facts: Mapping[str, Any], dataset: Any, evidence: Evidence | None) -> str:
    """Return the text of the card.

    Args:
        name: The name of the study.
        facts: The manifest, without the hash of the card.
        dataset: The dataset of the search.
        evidence: The results on folds, if any.
    """
    parts = [
        f"# {name}: model card",
        _score(facts, evidence),
        _facts(facts, dataset),
        *([_candidates(evidence), _recall(evidence, dataset)] if evidence else []),
        "## Params\n\n" + _table("| name | value |", facts["params"].items()),
        f"## Repeat it\n\n```sh\n{facts['command']}\n```",
        f"## Submit it to Kaggle\n\nFrom this folder:\n\n```sh\n{facts['submit']}\n```",
        *_use(dataset, facts),
    ]
    return "\n\n".join(parts) + "\n"


def score_lines(value: float, evidence: Evidence | None) -> list[str]:
    """Return the expected score of the submission, for the terminal and the card."""
    if evidence is None:
        return [
            f"the trial's own value is {value:.5f}; expect worse: the best of many looks better "
            "than it is, and nothing was measured on folds"
        ]
    expected = evidence.expected
    lines = [
        f"expected score {expected.score:.4f} (95 %: {expected.low:.4f} to {expected.high:.4f}, "
        f"on {expected.n_test} test images)"
    ]
    if expected.luck is not None:
        shown = f"{expected.luck:.4f}"  # rounds to 0 for the tiny luck of a perfect score
        luck = f"; {shown} of that is luck" if float(shown) > 0 else ""
        lines.append(f"the best trial's own value is {value:.4f}{luck}")
    return lines


def cost_lines(facts: Mapping[str, Any]) -> list[str]:
    """Return the work and the lowest recall that a manifest holds, for the terminal."""
    cost = facts["cost"]
    spent = [
        f"{cost['train_s']:.0f} s in trainings" if cost["train_s"] else "",
        f"{cost['images']:.3g} images" if cost["images"] else "",
        f"{cost['flop']:.3g} FLOP" if cost["flop"] else "",
    ]
    looked = f"looked at {cost['n_configurations']} configurations, {cost['n_epochs']} epochs"
    lines = ["; ".join(filter(None, [looked, ", ".join(filter(None, spent))]))]
    known = {k: share for k, share in (facts.get("recall") or {}).items() if share is not None}
    if known:
        worst = min(known, key=lambda name: known[name])
        lines.append(f"class {worst} has the lowest recall: {known[worst]:.4f}")
    return lines


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


def _score(facts: Mapping[str, Any], evidence: Evidence | None) -> str:
    what = f"The submission comes from {_networks(facts['members'])}"
    shifts = (
        ", with predictions averaged over five small shifts of each image"
        if facts["shifted"]
        else ""
    )
    lines = [f"{what}{shifts}."]
    lines += [_sentence(line) for line in score_lines(facts["best_value"], evidence)]
    if evidence is not None:
        lines.append(
            "It was measured on the rows that each of these networks had not learned from; what "
            "their average adds is included."
        )
        lines.append(_sentence(evidence.why))
    if facts["n_left_out"]:
        lines.append(f"{counted(facts['n_left_out'], 'network')} did not vote: the time was over.")
    return "\n".join([*lines, *_epochs(facts, evidence)])


def _networks(members: Sequence[Mapping[str, Any]]) -> str:
    """Return how many networks there are, and on how many rows each kind of them trained."""
    n = len(members)
    on_folds = [member for member in members if member["fold"] != ALL_ROWS]
    who = "one network" if n == 1 else f"the average of {n} networks"
    if not on_folds:
        return f"{who}, trained on all labelled rows"
    share = f"{1 - 1 / on_folds[0]['n_folds']:.0%} of the labelled rows"
    each = "" if n == 1 else "each "
    if len(on_folds) == n:
        return f"{who}, {each}trained on {share}"
    return f"{who}, {len(on_folds)} trained on {share} and {n - len(on_folds)} on all of them"


def _epochs(facts: Mapping[str, Any], evidence: Evidence | None) -> list[str]:
    """Say how long the networks trained, and why, and how many trials were pruned."""
    lines = []
    if facts["stopped_after"]:
        shown = shown_epochs(facts["stopped_after"], facts["epochs"])
        why = (
            "the median epoch of the weights kept in its trainings on folds"
            if evidence
            else "the epoch of the weights that the trial kept"
        )
        lines.append(
            f"On all rows it trained {shown} epochs, {why}: without validation rows its callbacks "
            "cannot stop it."
        )
    if n_pruned := facts["n_pruned"]:
        one = n_pruned == 1
        who = (
            "trial was not a candidate: it was" if one else "trials were not candidates: they were"
        )
        lines.append(f"{n_pruned} pruned {who} not trained to the end.")
    return lines


def _table(header: str, rows: Iterable[Iterable[object]]) -> str:
    """Return a table in Markdown; `header` is its first line."""
    lines = [header, "|---" * (header.count("|") - 1) + "|"]
    for row in rows:
        cells = (str(value).replace("|", "\\|") for value in row)  # else it would end its cell
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _facts(facts: Mapping[str, Any], dataset: Any) -> str:
    cost = facts["cost"]
    epochs = shown_epochs(facts["stopped_after"], facts["epochs"])
    rows = {
        "trial, slot": f"{facts['trial']}, {facts['slot']}",
        "value of the trial": f"{facts['value']:.5f} on {len(dataset.valid)} validation rows",
        "looked at": f"{cost['n_configurations']} configurations ({cost['n_trials']} trained to "
        f"the end), {cost['n_refits']} trainings after them, {cost['n_epochs']} epochs in all",
        "epochs, precision, threads": f"{epochs}, {facts['precision']}, {facts['threads']}",
        "study seed": facts["study_seed"],
        "training seeds": ", ".join(str(seed) for seed in facts["training_seeds"]),
        "training time of all": f"{cost['train_s']:.0f} s" if cost["train_s"] else "not known",
        "images trained": f"{cost['images']:.3g}" if cost["images"] else "not known",
        "FLOP": f"{cost['flop']:.3g}" if cost["flop"] else "not known",
        "images": f"{dataset.side}x{dataset.side}, {dataset.n_classes} classes, "
        f"{len(dataset.labels)} labelled",
        "data sha256": facts["data_sha256"],
        "versions": ", ".join(f"{name} {number}" for name, number in facts["versions"].items()),
    }
    return _table("| | |", rows.items())


def _candidates(evidence: Evidence) -> str:
    header = "| trial | epochs | its own value | on held-out rows (95 %) | log loss | |"
    rows = (
        (
            c.trial,
            c.shown_epochs,
            f"{c.value:.5f}",
            f"{c.accuracy:.5f} ({c.low:.5f} to {c.high:.5f})",
            f"{c.log_loss:.5f}",
            c.verdict,
        )
        for c in evidence.candidates
    )
    return "## Candidates\n\n" + _table(header, rows)


def _recall(evidence: Evidence, dataset: Any) -> str:
    rows = (
        (name, (evidence.labels == number).sum(), "-" if recall is None else f"{recall:.4f}")
        for number, (name, recall) in enumerate(zip(dataset.classes, evidence.recall, strict=True))
    )
    return "## Recall by class\n\n" + _table("| class | rows | recall |", rows)


def _use(dataset: Any, facts: Mapping[str, Any]) -> list[str]:
    """Return the section on `model.keras`: its use, or why it was not written."""
    exported = facts.get("model_keras") or {}
    if "model.keras" not in facts["outputs"]:
        why_not = exported.get("why_not")
        return [f"## Use\n\n`model.keras` was not written: {why_not}."] if why_not else []
    side, n_classes = dataset.side, dataset.n_classes
    needs, load = exported.get("needs", ()), exported.get("load") or loading_lines((), "", Path())
    lines = "\n".join(f"    {line}" for line in (*load, "probabilities = model.predict(images)"))
    warnings = []
    if any(name != LAMBDA for name in needs):
        warnings.append("It needs the file that built it, which these lines run.")
    if LAMBDA in needs:
        warnings.append(
            "It holds a Python lambda: `safe_mode=False` runs that, on this Python version only."
        )
    trust = f"\n{' '.join(warnings)} The lines are for this folder:" if warnings else ""
    return [
        f"""## Use

`model.keras` takes raw uint8 images of shape (n, {side}, {side}) and gives
probabilities of shape (n, {n_classes}); the columns are the classes
{", ".join(dataset.classes)}.{trust}

{lines}"""
    ]


def loading_lines(needs: Sequence[str], reference: str, folder: Path) -> list[str]:
    """Return the lines of Python that load `model.keras`; the last one binds `model`.

    Such a model may need `safe_mode=False`, and classes and functions of the file that built it,
    which the lines run.

    Args:
        needs: As `objectives.network.export.Needs.names`.
        reference: The study's objective: "FILE.py:attr", "package.module:attr" or a name.
        folder: The folder of `model.keras`; the lines must be run there.
    """
    names = [name for name in needs if name != LAMBDA]
    given = [name for name in names if ">" not in name]  # the others are registered by their file
    lines, arguments = ["import keras"], ['"model.keras"']
    source, _, _ = reference.rpartition(":")
    if names and source.endswith(".py"):
        path = os.path.relpath(Path(source).resolve(), folder.resolve())
        lines = [
            "import runpy, sys",
            "import keras",
            f"sys.path.append({os.path.dirname(path) or '.'!r})  # for what the file imports",
            f"own = runpy.run_path({path!r})",
        ]
    elif names:
        lines = ["import importlib", *lines, f"own = vars(importlib.import_module({source!r}))"]
    if given:
        pairs = ", ".join(f'"{name}": own["{name}"]' for name in given)
        arguments.append(f"custom_objects={{{pairs}}}")
    if LAMBDA in needs:
        arguments.append("safe_mode=False")
    return [*lines, f"model = keras.models.load_model({', '.join(arguments)})"]
