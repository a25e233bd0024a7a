"""docs/notebook.ipynb runs from its first cell to its last, as in a fresh kernel.

No Jupyter is needed for that: its cells are plain Python, which one process runs in one namespace,
in their order, and shows what each ends with as a notebook would. It is forked, and so are the
commands of its cells.
"""

import ast
import json
from typing import Any

import pytest

from tests.acceptance.processes import ROOT, Place
from tests.acceptance.test_readme import write_competition

NOTEBOOK = ROOT / "docs" / "notebook.ipynb"
BOOK: dict[str, Any] = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
KERNEL = """
import ast, json, sys
names = {"__name__": "__main__"}
for cell in json.load(open(sys.argv[1], encoding="utf-8"))["cells"]:
    if cell["cell_type"] != "code":
        continue
    tree, last = ast.parse("".join(cell["source"])), None
    if isinstance(tree.body[-1], ast.Expr):
        last = ast.Expression(tree.body.pop().value)
    exec(compile(tree, cell["id"], "exec"), names)
    if last is not None:
        value = eval(compile(last, cell["id"], "eval"), names)
        shown = getattr(value, "_repr_html_", None)
        print(cell["id"], type(value).__name__, len(shown()) if shown else repr(value)[:80])
print("ran to the end")
"""


def test_notebook_is_small_and_has_no_outputs() -> None:
    """As it is stored: nothing of one person's run is in it, and every cell is plain Python."""
    assert (BOOK["nbformat"], NOTEBOOK.stat().st_size < 20_000) == (4, True)
    assert len({cell["id"] for cell in BOOK["cells"]}) == len(BOOK["cells"])
    for cell in BOOK["cells"]:
        assert cell["metadata"] == {}
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)
            ast.parse("".join(cell["source"]))


@pytest.mark.trains
@pytest.mark.timeout(700)
def test_notebook_runs_to_its_end(place: Place) -> None:
    """On a reader's own small data: workers, table, plots, and the model's own predictions."""
    write_competition(place.folder / "digits")
    own = {"STUDY_N_TRIALS": "2", "STUDY_EPOCHS": "1", "STUDY_WORKERS": "1"}
    own["STUDY_MODEL"] = f"{ROOT / 'examples' / 'mlp.py'}:build"  # which trains at once
    with place.start(NOTEBOOK, python=("-c", KERNEL), anew=False, **own) as running:
        done = running.wait(680)
        assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == "ran to the end"
    kinds = [line.split()[1] for line in done.out.splitlines()[:-1] if line.startswith("cell-")]
    assert kinds.count("Figure") == 3
    assert kinds.count("DataFrame") == 2
    assert (place.folder / "out" / "submission.csv").is_file()
