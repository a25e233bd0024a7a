"""How a study looks: durations, the line, the table, and when a line is printed at all."""

import io
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, cast

import pytest
from rich.console import Console

from storage.registry import Seen
from study.spec.open import OpenStudy
from study.text import duration
from study.view import watch
from study.view.cost import Cost
from study.view.listing import render_list
from study.view.status import Best, StudyStatus, WorkerStatus
from study.view.watch import Watch, render, render_trials, show_params, summary

NOBODY = cast(OpenStudy, None)
STATUS = StudyStatus(
    study="digits",
    n_slots=10,
    waiting=5,
    running=1,
    complete=3,
    pruned=0,
    failed=1,
    attempts=5,
    lost=0,
    workers=[WorkerStatus("host:12", "host", 12, None, 4, 4, 2, 1.0, "training")],
    best=Best(2, 2, 0.98765432, {"lr": 0.00123456, "kind": "deep", "n": 3, "bn": True}),
    done=False,
    eta_s=200.0,
    reasons={"error": 1},
    images_per_s=1234.5,
    trial_s=30.0,
    seen=Seen(token="t", stop=None, used_s=60.0),
)
DONE = replace(STATUS, waiting=0, running=0, complete=9, workers=[], done=True, eta_s=0.0)


@pytest.fixture(autouse=True)
def no_study(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is none whose lost trials could be looked for."""
    monkeypatch.setattr(Watch, "_requeue", lambda self, now_s: None)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0.0, "0s"),
        (0.4, "0s"),
        (59.4, "59s"),
        (59.6, "1m 00s"),
        (200.0, "3m 20s"),
        (3599.9, "1h 00m"),
        (3900.0, "1h 05m"),
        (360000.0, "100h 00m"),
    ],
)
def test_duration_has_two_units_at_most(seconds: float | None, text: str) -> None:
    """Rounded first, so that there are never 60 seconds."""
    assert duration(seconds) == text


def test_params_are_short() -> None:
    """Floats with three digits, everything else as it is."""
    assert STATUS.best is not None
    assert show_params(STATUS.best.params) == "lr=0.00123 kind=deep n=3 bn=True"


def test_line_has_what_is_known() -> None:
    """And leaves out what is not."""
    assert summary(STATUS) == (
        "digits: 4/10 done, 1 running, 1 failed, best 0.98765 (trial 2), 1,234 images/s, ETA 3m 20s"
    )
    early = replace(STATUS, failed=0, best=None, images_per_s=None, eta_s=None)
    assert summary(early) == "digits: 3/10 done, 1 running, ETA -"
    assert summary(DONE).endswith("1,234 images/s")


def drawn(renderable: Any, width: int) -> str:
    """Return what stands on a terminal of that width, without colours."""
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(renderable)
    return cast(io.StringIO, console.file).getvalue()


def test_table_has_counts_best_and_a_row_for_each_worker() -> None:
    """The numbers of the status, in words."""
    text = drawn(render(STATUS), 120)
    assert (
        "digits  4 of 10 done   5 waiting   1 running   1 failed   1,234 images/s   ETA 3m 20s"
        in text
    )
    assert "best 0.98765  trial 2  lr=0.00123" in text
    assert text.splitlines()[-1].split() == ["host:12", "4", "4", "2", "1s", "ago", "training"]
    assert "ETA" not in drawn(render(DONE), 120)
    cost = Cost(1200.0, 3.45e12, 2.5, None)
    told = drawn(render(replace(STATUS, trial_cost=cost)), 120)
    assert "a trial costs 1,200 images, 3.45 TFLOP, 2.5 s in steps on average" in told
    assert "a trial 1,200 images, 3.45 TFLOP" in summary(replace(STATUS, trial_cost=cost))
    assert "2 pruned" in drawn(render(replace(STATUS, pruned=2)), 120)


ROW = {
    "trial": 0, "slot": 0, "attempt": 1, "state": "FAIL", "reason": "lost", "value": None,
    "params": {"x": 0.5}, "seed": 1, "worker": "host:12", "started_at": None, "finished_at": None,
    "intermediate": {"0": 0.1},
}  # fmt: skip


def test_trials_have_a_row_and_their_params_each() -> None:
    """With the reason beside the state, the error below, and nothing for what is not known."""
    complete = {**ROW, "trial": 1, "state": "COMPLETE", "reason": None, "value": 0.25}
    cost = Cost(1200.0, None, 2.5, 480.0)
    assert str(cost) == "1,200 images, 2.5 s in steps"
    stranger = {**ROW, "trial": 2, "slot": None, "attempt": None, "worker": None, "params": {}}
    text = drawn(render_trials([ROW, complete, stranger], {0: "ValueError: no"}, {1: cost}), 120)
    assert [line.split() for line in text.splitlines()] == [
        ["trial", "slot", "attempt", "state", "value", "steps", "cost", "worker"],
        ["0", "0", "1", "FAIL", "(lost)", "1", "host:12"],
        ["ValueError:", "no"],
        ["x=0.5"],
        ["1", "0", "1", "COMPLETE", "0.25000", "1", *str(cost).split(), "host:12"],
        ["x=0.5"],
        ["2", "FAIL", "(lost)", "1"],
    ]


def test_brackets_are_no_markup() -> None:
    """Neither in what a user's code raised nor in a param."""
    text = drawn(render_trials([{**ROW, "params": {"x": "[red]"}}], {0: "bad [/x]"}, {}), 120)
    assert "  bad [/x]" in text
    assert "x=[red]" in text


def test_list_shows_values_as_the_other_views_do() -> None:
    """Five digits; a study that is not ours has no numbers."""
    ours = {
        "study": "a",
        "created_by": "ana@host",
        "age_s": 300000.0,
        "n_slots": 3,
        "done": 2,
        "failed": 0,
    }
    plain = dict.fromkeys(ours) | {"study": "b", "best": None}
    text = drawn(render_list([{**ours, "best": 0.98765432}, {**ours, "best": "inf"}, plain]), 80)
    assert [line.split() for line in text.splitlines()[1:]] == [
        ["a", "ana@host", "2", "of", "3", "0", "0.98765", "3d", "11h"],
        ["a", "ana@host", "2", "of", "3", "0", "inf", "3d", "11h"],
        ["b"],
    ]


def test_odd_values_are_shown() -> None:
    """NaN and infinities are text in the documented form."""
    assert "inf" in drawn(render_trials([{**ROW, "value": "inf"}], {}, {}), 120)


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_no_width_is_overflowed(width: int) -> None:
    """Long params and hosts are wrapped or cut."""
    long = replace(
        STATUS,
        workers=[replace(STATUS.workers[0], id="a-host-with-a-very-long-name.example.org:123456")],
        best=Best(2, 2, 0.5, {f"param_{n}": 0.123 for n in range(30)}),
    )
    for renderable in (render(long), render_trials([ROW], {}, {1: Cost(1.0, None, None, None)})):
        assert max(map(len, drawn(renderable, width).splitlines())) <= width


@pytest.mark.parametrize("width", [40, 60, 80, 140])
def test_workers_are_told_apart_at_any_width(width: int) -> None:
    """Columns that have no room are left out, and those that nobody has anything to say in."""
    one = replace(STATUS.workers[0], device="GPU 0 (H100)")
    status = replace(STATUS, workers=[one, replace(one, id="host:13", state="gone")], lost=2)
    text = drawn(render(status), width)
    header = next(line for line in text.splitlines() if line.startswith("worker")).split()
    assert {"worker", "trial", "epochs", "seen"} <= set(header)
    assert ("device" in header) == (width >= 100)
    assert ("state" in header) == (width >= 60)
    assert "images/s" not in header
    assert "host:13" in text
    assert "failed: 1 error" in text
    assert "lost and opened again: 2" in " ".join(text.split())


def test_speed_of_a_worker_is_shown_where_it_says_so() -> None:
    """Of one that trains nothing it is not known."""
    fast = WorkerStatus("host:12", "host", 12, None, 4, 4, 2, 1.0, "training", 4321.4)
    assert "4,321" in drawn(render(replace(STATUS, workers=[fast])), 80)


class Clock:
    """Time that passes only when somebody says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Replaces the clock of the view."""
    made = Clock()
    monkeypatch.setattr(watch.time, "monotonic", made.monotonic)
    return made


def shows(monkeypatch: pytest.MonkeyPatch, statuses: Iterable[StudyStatus]) -> None:
    """Let each look at the study find the next of `statuses`."""
    found = iter(statuses)
    monkeypatch.setattr(watch, "read_status", lambda opened, wait_s: next(found))


def written() -> Console:
    """A console that is no terminal."""
    return Console(file=io.StringIO(), width=80, highlight=False)


def test_lines_come_at_most_every_ten_seconds_and_when_something_changed(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    """A change of the ETA alone is none; the last state is always shown."""
    changed = replace(STATUS, complete=4, waiting=4)
    shows(monkeypatch, [STATUS, changed, changed, replace(changed, eta_s=1.0), DONE])
    console = written()
    with Watch(NOBODY, console) as view:
        for _ in range(4):  # at 0, 6, 12 and 18 s
            view.tick()
            clock.now += 6
        view.tick(now=True)
    lines = cast(io.StringIO, console.file).getvalue().splitlines()
    assert [line.split(" done")[0] for line in lines] == [
        "digits: 4/10",
        "digits: 5/10",
        "digits: 10/10",
    ]


def test_study_is_not_looked_at_more_often_than_it_can_be_read(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    """A look that took a second is followed by twenty."""
    looks: list[float] = []

    def slow(opened: OpenStudy, *, wait_s: float) -> StudyStatus:
        looks.append(clock.now)
        clock.now += 1
        return STATUS

    monkeypatch.setattr(watch, "read_status", slow)
    with Watch(NOBODY, written()) as view:
        for _ in range(45):
            view.tick()
            clock.now += 1
    assert looks == [100.0, 120.0, 140.0]


def test_quiet_view_says_nothing(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    """Neither states nor lines."""
    shows(monkeypatch, [DONE])
    console = written()
    with Watch(NOBODY, console, quiet=True) as view:
        view.say("a line")
        assert view.tick(now=True) == DONE
    assert cast(io.StringIO, console.file).getvalue() == ""


def test_markup_in_a_line_is_text() -> None:
    """A path with brackets is shown as it is."""
    console = written()
    Watch(NOBODY, console).say("logs in [bold]x[/bold] 12")
    assert cast(io.StringIO, console.file).getvalue() == "logs in [bold]x[/bold] 12\n"


def test_watching_ends_with_the_study(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    """It looks until every slot is final, and no longer."""
    shows(monkeypatch, [STATUS, STATUS, DONE, DONE])

    def sleep(seconds: float) -> None:
        clock.now += seconds

    assert watch.watch_until_done(NOBODY, written(), sleep) == DONE


def test_paused_study_says_so() -> None:
    """Else a run that waits would seem to hang; one that is done has nothing to pause."""
    paused = replace(STATUS.seen, paused=True)
    assert ", paused, " in summary(replace(STATUS, seen=paused))
    assert "paused" not in summary(STATUS)
    assert "paused" not in summary(replace(DONE, seen=paused))
