"""The page as a whole: it stands alone, is in order, and nobody's text becomes code."""

import base64
import hashlib
import json
import math
from pathlib import Path
from typing import Any

import pytest
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from objectives.data.dataset import load_dataset
from storage import attrs
from storage.rdb import open_storage
from storage.reading import Attempt
from storage.slots.slots import Slots
from study.report.build import headline, render_report, write_report
from study.report.snapshot import Snapshot
from study.spec.open import open_study
from tests.unit.competition import write
from tests.unit.reported import Page, attempt, evidence_of, params_of, snapshot_of, spec_of

BAD = "<script>alert(1)</script>&\"'</style>"
WORSE = "</script><img src=x onerror=alert(2)>{y}%{x}"
HEADINGS = [
    "Result", "The search", "Learning curves", "The choice", "Confusion and recall", "Mistakes",
    "Calibration", "Failures", "Time and cost", "Environment",
]  # fmt: skip


def hundred() -> Snapshot:
    """A finished study of 100 trials, some of them pruned and failed."""
    rows = []
    for slot in range(100):
        state = {7: TrialState.PRUNED, 8: TrialState.FAIL}.get(slot % 10, TrialState.COMPLETE)
        rows.append(attempt(slot, state))
    return snapshot_of(rows)


def figures_of(page: Page) -> list[dict[str, Any]]:
    """The figures of a page, as its script reads them."""
    found: list[dict[str, Any]] = json.loads(page.scripts[0])
    return found


def test_page_stands_alone_and_is_small() -> None:
    """It names nothing to load, holds plotly.js once, and is below 6 MB for 100 trials."""
    html = render_report(hundred(), evidence_of(), None, None)
    page = Page(html)
    assert len(html.encode()) < 6_000_000
    assert html.count("* plotly.js v") == 1
    assert not [a for _, a in page.elements if "href" in a and not str(a["href"]).startswith("#")]
    assert not [a for _, a in page.elements if "src" in a and not str(a["src"]).startswith("data:")]
    (policy,) = [a["content"] for a in page.all("meta") if "http-equiv" in a]
    assert str(policy).startswith("default-src 'none'; ")
    assert "http" not in str(policy)


def test_sections_stand_in_their_order() -> None:
    """Each has a heading that a link leads to, in every state of a study."""
    for snapshot in (hundred(), snapshot_of([])):
        page = Page(render_report(snapshot, evidence_of(), None, None))
        ids = [a["id"] for a in page.all("h2")]
        assert [f"#{name}" for name in ids] == [a["href"] for a in page.all("a")]
        places = [page.text.index(heading) for heading in HEADINGS]
        assert places == sorted(places)


def test_no_section_stands_empty_before_a_finalize() -> None:
    """One says how they come; none where they never can."""
    page = Page(render_report(snapshot_of([attempt(0)], "a b", data="0"), None, None, None))
    assert "come with study finalize --study 'a b', which" in page.text
    assert [name for name in HEADINGS if name in page.text] == HEADINGS[:4] + HEADINGS[7:]
    synthetic = Page(render_report(snapshot_of([attempt(0)]), None, None, None))
    assert "finalize" not in synthetic.text


def hostile() -> Snapshot:
    """A study in which every text is an attack."""
    space = [
        {"name": BAD, "low": 0.0, "high": 1.0},
        {"name": WORSE, "choices": [BAD, WORSE]},
    ]
    failed = {
        attrs.REASON: BAD,
        attrs.ERROR: {"type": BAD, "message": WORSE, "traceback": BAD},
        attrs.ENVIRONMENT: {BAD: WORSE},
        attrs.WORKER: BAD,
    }
    rows = [
        attempt(slot, params={BAD: slot / 20, WORSE: (BAD, WORSE)[slot % 2]}) for slot in range(20)
    ]
    rows.append(attempt(20, TrialState.FAIL, user_attrs=failed, params={}))
    options = {BAD: WORSE}
    return snapshot_of(rows, BAD, space=space, objective=BAD, options=options, data=BAD)


def test_no_text_of_a_study_becomes_markup() -> None:
    """Names, params, choices, messages and verdicts are shown, and make no element."""
    evidence = evidence_of(why=WORSE)
    html = render_report(hostile(), evidence, None, {"outputs": {BAD: WORSE}})
    page = Page(html)
    assert len(page.scripts) == 3
    assert page.all("img") == []
    assert not [name for _, a in page.elements for name in a if name.startswith("on")]
    assert page.text.count(BAD) >= 5
    assert page.text.count(WORSE) >= 3
    # Plotly knows some markup of its own: there too, text is text.
    figures = json.dumps(figures_of(page))
    assert "&lt;script&gt;" in figures
    assert "<script" not in figures
    assert "<img" not in figures


def test_text_that_got_in_would_be_seen() -> None:
    """The reader of pages finds a script, an image and a handler where they are markup."""
    page = Page(f"<p>{BAD}{WORSE}</p>")
    assert len(page.scripts) == 1
    assert page.all("img") == [{"src": "x", "onerror": "alert(2)"}]


def test_browser_runs_the_named_scripts_alone() -> None:
    """The policy names by hash what runs; a script that got in would not be among them."""
    page = Page(render_report(hundred(), None, None, None))
    (policy,) = [str(a["content"]) for a in page.all("meta") if "http-equiv" in a]

    def named(script: str) -> bool:
        return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in policy

    data, *scripts = page.scripts
    assert len(scripts) == 2
    assert all(map(named, scripts))
    assert not named(data)
    assert not named("alert(1)")
    assert "unsafe-inline" not in policy.split("script-src")[1].split(";")[0]


ODD: dict[str, list[Attempt]] = {
    "nothing planned": [],
    "nothing started": [attempt(n, TrialState.WAITING, params={}) for n in range(3)],
    "only failed": [attempt(n, TrialState.FAIL, params=params_of(n)) for n in range(3)],
    "only pruned": [attempt(n, TrialState.PRUNED, reports={0: 0.1}) for n in range(3)],
    "one finished": [attempt(0)],
    "all equal": [attempt(n, value=0.5) for n in range(12)],
    "infinite": [attempt(n, value=math.inf if n == 3 else 0.1 * n) for n in range(12)],
    "odd reports": [attempt(0, reports={0: math.nan, 5: math.inf, 9: -math.inf}), attempt(1)],
    "params of another space": [attempt(n, params={"x": 1, "rate": "text"}) for n in range(12)],
    "out of range": [attempt(n, params={"rate": 7.0, "kind": "other"}) for n in range(12)],
    "one param each": [attempt(n, params={"rate": 0.001}) for n in range(12)],
    "surrogate": [attempt(n, params={"kind": "plain"}, user_attrs={"log": "\ud800"}) for n in [0]],
}


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
@pytest.mark.parametrize("rows", ODD.values(), ids=list(ODD))
def test_odd_studies_have_a_page(rows: list[Attempt], direction: str) -> None:
    """Whatever a study holds, every section is there, and the JSON is strict."""
    snapshot = snapshot_of(rows, direction=direction)
    page = Page(render_report(snapshot, evidence_of(), None, None))
    assert len(page.all("h2")) == len(HEADINGS)
    for figure in figures_of(page):
        assert figure["data"]
        json.dumps(figure, allow_nan=False)


def test_name_that_has_no_utf8_can_be_written() -> None:
    """JSON may hold half a character."""
    render_report(snapshot_of([attempt(0)], "a\ud800b\x00"), None, None, None).encode()


def test_study_without_a_stored_space_has_a_page() -> None:
    """Without a space there are no plots of params, and the rest is there."""
    page = Page(
        render_report(snapshot_of([attempt(n) for n in range(12)], space=[]), None, None, None)
    )
    assert len(figures_of(page)) == 2


def test_headline_says_how_far_it_can_be_trusted() -> None:
    """With evidence the expected score, else a value that flatters, else nothing."""
    assert headline(hundred(), evidence_of()).replace("\N{NO-BREAK SPACE}", " ") == (
        "The expected score on the 60 test images is 80.00 % (95 % interval: 70.00 % to 88.00 %)."
    )
    assert "which is too optimistic" in headline(hundred(), None)
    assert headline(snapshot_of([attempt(0)]), None).startswith("The one finished trial, 0, has ")
    refits = snapshot_of([attempt(0), attempt(1)], refits="digits")
    assert "finalize of study 'digits'" in headline(refits, None)
    assert refits.best is None
    assert headline(snapshot_of([]), None) == "No trial has finished yet, so there is no result."


def test_unfinished_study_says_so_at_the_top() -> None:
    """With the time, and how many slots are to come; a finished one does not."""
    rows = [attempt(0), attempt(1, TrialState.RUNNING), attempt(2, TrialState.WAITING)]
    words = Page(render_report(snapshot_of(rows), None, None, None)).words
    said = (
        "This study is still running: 1 of 3 slots final, 1 in training, 1 waiting. The "
        "page shows its state at 2026-01-02 04:00:00 UTC"
    )
    assert said in words
    assert words.index(said) < words.index("The search")
    rows.pop(1)
    assert "not finished" in Page(render_report(snapshot_of(rows), None, None, None)).words
    assert "still running" not in Page(render_report(hundred(), None, None, None)).words


def test_study_between_two_rungs_is_not_finished() -> None:
    """All of its slots are final, and the best of them are to be trained again."""
    rows = [attempt(n) for n in range(3)]
    best = max(rows, key=lambda row: row.value or 0.0).slot
    on_top = {attrs.RUNG: 1, attrs.FROM_SLOT: best}
    for more, is_done in (([], False), ([attempt(3, user_attrs=on_top)], True)):
        snapshot = snapshot_of([*rows, *more], rungs=[1, 3])
        words = Page(render_report(snapshot, None, None, None)).words
        assert ("This study is not finished: 3 of 3 slots final" in words) is not is_done
        assert ("All 4 slots are final." in words) is is_done


def test_report_is_written_of_a_study_in_a_database(
    sqlite_url: str, tmp_path: Path, cache: Path
) -> None:
    """With the pictures of a dataset; a stranger's trial and its folder are not in it."""
    storage = open_storage(sqlite_url)
    study_id = storage.create_new_study([StudyDirection.MAXIMIZE], "digits")
    user_attrs = {attrs.SPEC: spec_of().to_json(), attrs.DATA_DIR: str(tmp_path / "mine" / "data")}
    Slots(storage, study_id).plan(2, define=user_attrs)
    stranger = create_trial(state=TrialState.COMPLETE, value=98765.0)
    storage.create_new_trial(study_id, stranger)
    path = tmp_path / "report.html"
    dataset = load_dataset(write(tmp_path / "data"))
    write_report(open_study(storage, "digits"), path, evidence_of(60, 3), dataset, None)
    html = path.read_text("utf-8")
    assert Page(html).all("img")
    assert "98765" not in html
    assert str(tmp_path) not in html
    storage.close()
