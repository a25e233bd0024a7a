"""`model_card.md`: what a person should know of the model before they use or submit it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from objectives.network.export import LAMBDA
from study.finalize.choose import LEAST_EXPONENT, MOST_EXPONENT, ROWS_EXPONENT
from study.finalize.usage import loading_lines
from study.report.evidence import Evidence, shown_epochs


def model_card(name: str, facts: Mapping[str, Any], dataset: Any, evidence: Evidence | None) -> str:
    """Return the text of the card.

    Args:
        name: Of the study.
        facts: The manifest, without the card's own hash.
        dataset: The search's.
        evidence: Of the folds, where there is any.
    """
    parts = [
        f"# {name}: model card",
        _score(facts, evidence),
        _table(facts, dataset),
        *([_candidates(evidence), _recall(evidence, dataset)] if evidence else []),
        _params(facts),
        f"## The same again\n\n```sh\n{facts['command']}\n```",
        f"## To Kaggle\n\nFrom this folder:\n\n```sh\n{facts['submit']}\n```",
        *_use(dataset, facts),
    ]
    return "\n\n".join(parts) + "\n"


def score_lines(value: float, evidence: Evidence | None) -> list[str]:
    """Return what to expect of the submission, for the terminal and the card alike."""
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
        said = f"the best trial said {value:.4f}"
        shown = f"{expected.luck:.4f}"  # a perfect score may have some left by rounding
        luck = f"; {shown} of that is luck" if float(shown) > 0 else ""
        lines.append(said + luck)
    return lines


def cost_lines(facts: Mapping[str, Any]) -> list[str]:
    """Return what was looked at and what it has cost, for the terminal.

    Args:
        facts: A manifest.
    """
    cost = facts["cost"]
    spent = [
        f"{cost['train_s']:.0f} s in trainings" if cost["train_s"] else "",
        f"{cost['images']:.3g} images" if cost["images"] else "",
        f"{cost['flop']:.3g} FLOP" if cost["flop"] else "",
    ]
    looked = f"looked at {cost['n_configurations']} configurations, {cost['n_epochs']} epochs"
    lines = ["; ".join(filter(None, [looked, ", ".join(filter(None, spent))]))]
    known = {
        name: share for name, share in (facts.get("recall") or {}).items() if share is not None
    }
    if known:
        worst = min(known, key=lambda name: known[name])
        lines.append(f"the lowest recall is that of class {worst}: {known[worst]:.4f}")
    return lines


def _score(facts: Mapping[str, Any], evidence: Evidence | None) -> str:
    n = len(facts["members"])
    networks = "one network" if n == 1 else f"the average of {n} networks"
    what = f"The submission is that of {networks}, trained on all labelled rows"
    shifts = ", each asked about five small shifts of an image" if facts["shifted"] else ""
    lines = [
        line[0].upper() + line[1:] + "." for line in score_lines(facts["best_value"], evidence)
    ]
    if evidence is not None:
        share = 1 - 1 / facts["effort"]["folds"]
        averaged = " What averaging several adds is not in it." if n > 1 else ""
        lines.append(
            f"It was measured on networks that had learned from {share:.0%} of the rows, and "
            f"raised to what one of all rows should reach: errors fall as rows^-{ROWS_EXPONENT:g}, "
            f"and the interval leaves room for rows^-{LEAST_EXPONENT:g} to "
            f"rows^-{MOST_EXPONENT:g}.{averaged}"
        )
    why = [evidence.why[0].upper() + evidence.why[1:] + "."] if evidence else []
    return "\n".join([f"{what}{shifts}.", *lines, *why, *_epochs(facts, evidence)])


def _epochs(facts: Mapping[str, Any], evidence: Evidence | None) -> list[str]:
    """Say what decided how long the networks trained, and what became of pruned trials."""
    lines = []
    if facts["stopped_after"]:
        shown = shown_epochs(facts["stopped_after"], facts["epochs"])
        kept = (
            "the median of those whose weights its trainings on folds kept"
            if evidence
            else "those whose weights the trial kept"
        )
        lines.append(
            f"On all rows it trained {shown} epochs, {kept}: without validation rows its callbacks "
            "have nothing to stop it by."
        )
    if n_pruned := facts["n_pruned"]:
        one = n_pruned == 1
        who = "trial was no candidate: it was" if one else "trials were no candidates: they were"
        lines.append(f"{n_pruned} pruned {who} not trained to the end.")
    return lines


def _table(facts: Mapping[str, Any], dataset: Any) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    cost = facts["cost"]
    rows = {
        "trial, slot": f"{facts['trial']}, {facts['slot']}",
        "value of the trial": f"{facts['value']:.5f} on {len(dataset.valid)} validation rows",
        "looked at": f"{cost['n_configurations']} configurations ({cost['n_trials']} trained to "
        f"the end), {cost['n_refits']} trainings after them, {cost['n_epochs']} epochs in all",
        "epochs, precision, threads": f"{shown_epochs(facts['stopped_after'], facts['epochs'])}, "
        f"{facts['precision']}, {facts['threads']}",
        "study seed": facts["study_seed"],
        "training seeds": ", ".join(str(seed) for seed in facts["training_seeds"]),
        "training time of all": f"{cost['train_s']:.0f} s" if cost["train_s"] else "not known",
        "images trained": f"{cost['images']:.3g}" if cost["images"] else "not known",
        "FLOP": f"{cost['flop']:.3g}" if cost["flop"] else "not known",
        "images": f"{dataset.side}x{dataset.side}, {dataset.n_classes} classes, "
        f"{len(dataset.labels)} labelled",
        "data sha256": facts["data_sha256"],
        "versions": versions,
    }
    lines = [f"| {key} | {value} |" for key, value in rows.items()]
    return "\n".join(["| | |", "|---|---|", *lines])


def _candidates(evidence: Evidence) -> str:
    lines = [
        "## Candidates",
        "",
        "| trial | epochs | its own value | on rows it had not learned from (95 %) | log loss | |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {c.trial} | {c.shown_epochs} | {c.value:.5f} "
        f"| {c.accuracy:.5f} ({c.low:.5f} to {c.high:.5f}) | {c.log_loss:.5f} | {c.verdict} |"
        for c in evidence.candidates
    ]
    return "\n".join(lines)


def _recall(evidence: Evidence, dataset: Any) -> str:
    lines = ["## Recall by class", "", "| class | rows | recall |", "|---|---|---|"]
    for number, (name, recall) in enumerate(zip(dataset.classes, evidence.recall, strict=True)):
        n_rows = int((evidence.labels == number).sum())
        lines.append(f"| {_cell(name)} | {n_rows} | {'-' if recall is None else f'{recall:.4f}'} |")
    return "\n".join(lines)


def _params(facts: Mapping[str, Any]) -> str:
    lines = [f"| {name} | {_cell(value)} |" for name, value in facts["params"].items()]
    return "\n".join(["## Params", "", "| name | value |", "|---|---|", *lines])


def _cell(value: object) -> str:
    """Return a text that does not end its cell of a table."""
    return str(value).replace("|", "\\|")


def _use(dataset: Any, facts: Mapping[str, Any]) -> list[str]:
    """Return the section on `model.keras`: how it is used, or why it is not there."""
    exported = facts.get("model_keras") or {}
    if "model.keras" not in facts["outputs"]:
        why_not = exported.get("why_not")
        return [f"## Use\n\n`model.keras` was not written: {why_not}."] if why_not else []
    side, n_classes = dataset.side, dataset.n_classes
    needs, load = exported.get("needs", ()), exported.get("load") or loading_lines((), "", Path())
    lines = "\n".join(f"    {line}" for line in (*load, "probabilities = model.predict(images)"))
    return [
        f"""## Use

`model.keras` takes raw uint8 images of shape (n, {side}, {side}) and gives
probabilities of shape (n, {n_classes}); the columns are the classes
{", ".join(dataset.classes)}.{_trust(needs)}

{lines}"""
    ]


def _trust(needs: Sequence[str]) -> str:
    """Return what a person should know before they load a model that needs more than Keras."""
    said = []
    if any(name != LAMBDA for name in needs):
        said.append("It needs the file that built it, which these lines run.")
    if LAMBDA in needs:
        said.append("It holds a Python lambda: `safe_mode=False` runs that, on this Python alone.")
    return f"\n{' '.join(said)} The lines are for this folder:" if said else ""
