"""What the sections of a report say: numbers, pictures, commands, and what of a study is drawn."""

import base64
import shlex
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer.main
from numpy.typing import NDArray
from optuna.trial import TrialState

from objectives.data.dataset import Dataset, load_dataset
from storage import attrs
from study.cli.app import app
from study.report.calibration import reliability
from study.report.candidates import render_candidates
from study.report.confusion import confusion, render_confusion
from study.report.gallery import MOST, SIGNATURE, encode_png, mistakes, render_gallery
from study.report.page import plain
from study.report.plots import (
    MOST_CURVES,
    MOST_DOTS,
    MOST_LINES,
    completed,
    curves_plot,
    frame,
    plot_study,
    search_plots,
    spread,
)
from study.report.reproduce import caveats, finalize_command_of, run_command_of
from study.report.run import render_failures, render_time
from study.view.html import Html, escape, number, table, tag
from tests.unit.reported import Page, attempt, evidence_of, snapshot_of


def pixels_of(png: bytes) -> NDArray[np.uint8]:
    """Read a PNG of eight gray bits and no filter, and check every sum in it."""
    assert png.startswith(SIGNATURE)
    place, packed, size = len(SIGNATURE), b"", (0, 0)
    while place < len(png):
        (length,) = struct.unpack(">I", png[place : place + 4])
        body = png[place + 4 : place + 8 + length]
        check = png[place + 8 + length : place + 12 + length]
        assert struct.unpack(">I", check) == (zlib.crc32(body),)
        if body.startswith(b"IHDR"):
            size = struct.unpack(">II", body[4:12])
            assert body[12:] == bytes([8, 0, 0, 0, 0])
        packed += body[4:] if body.startswith(b"IDAT") else b""
        place += 12 + length
    rows = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(size[1], size[0] + 1)
    assert not rows[:, 0].any()
    return rows[:, 1:]


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (28, 28)])
def test_png_holds_the_pixels(shape: tuple[int, int]) -> None:
    """They come back as they were."""
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    assert np.array_equal(pixels_of(encode_png(pixels)), pixels)


def test_markup_escapes_all_but_markup() -> None:
    """Text and attributes are escaped once; control characters are shown as unknown."""
    assert tag("p", "<b>&", title='"x"') == '<p title="&quot;x&quot;">&lt;b&gt;&amp;</p>'
    assert tag("p", Html("<b></b>"), None) == "<p><b></b></p>"
    assert escape("a\x00b\tc") == "a\N{REPLACEMENT CHARACTER}b\tc"
    shown = table("T", ["A", "B"], [[1, "<i>"]], numbers=["B"], marked=[0])
    assert '<tr class="marked"><th scope="row">1</th><td class="number">&lt;i&gt;</td>' in shown


def test_numbers_of_any_size_are_readable() -> None:
    """Five digits behind the point, or the power."""
    assert [number(v) for v in (0.0, 0.98765432, 12.5)] == ["0.00000", "0.98765", "12.50000"]
    assert [number(v) for v in (1.5e-7, -2e9)] == ["1.5e-07", "-2e+09"]


def test_figures_are_json_with_rounded_numbers() -> None:
    """What is no number is none; text cannot be Plotly's markup; templates are left out."""
    found = plain({"template": 1, "x": (1 / 3, np.float64("nan"), np.int64(2)), "text": "<b>"})
    assert found == {"x": [0.333333, None, 2], "text": "&lt;b&gt;"}


def test_few_bad_values_do_not_flatten_the_plot() -> None:
    """The good end is inside, a value that is far worse is not; equal values have no frame."""
    values = [0.97, 0.98, 0.985, 0.99, 0.1]
    view = frame(values, "maximize")
    assert view is not None
    assert 0.5 < view[0] < 0.97 < 0.99 < view[1] < 1.0
    mirrored = frame([-v for v in values], "minimize")
    assert mirrored == (-view[1], -view[0])
    assert frame([0.5, 0.5], "maximize") is None
    assert frame([], "maximize") is None


def test_only_trials_of_ours_that_count_are_drawn() -> None:
    """Neither an attempt that was lost, nor one that a stranger ended, nor an infinite value."""
    lost = attempt(0, TrialState.FAIL, trial=0, user_attrs={attrs.REASON: "lost"})
    stranger = attempt(1, trial=1, value=9.0)
    del stranger.user_attrs[attrs.ENDED]
    rows = [lost, stranger, attempt(0, trial=2), attempt(2, trial=3, value=float("inf"))]
    snapshot = snapshot_of([*rows, attempt(3, trial=4)])
    assert [a.trial for a in completed(snapshot)] == [2, 4]
    study = plot_study(snapshot, completed(snapshot))
    assert [t.number for t in study.trials] == [0, 1]
    assert snapshot.counts[TrialState.WAITING] == 1
    assert snapshot.n_final == 3


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_thinned_study_keeps_every_record(direction: str) -> None:
    """Of 1,000 trials a hundred or so are drawn, evenly, each best so far among them."""
    rows = [attempt(n, value=((n * 7919) % 1009) / 1009) for n in range(1000)]
    shown = spread(rows, 100, direction)
    assert 100 <= len(shown) <= 120
    best = max if direction == "maximize" else min
    assert best(rows, key=lambda a: a.value or 0.0) in shown
    assert spread(rows[:50], 100, direction) == rows[:50]


def test_plots_of_a_large_study_say_what_is_not_drawn() -> None:
    """Lines, dots and curves are capped, and the notes have the numbers."""
    snapshot = snapshot_of([attempt(n) for n in range(MOST_DOTS + 300)])
    plots = {plot.title: plot for plot in search_plots(snapshot)}
    assert list(plots)[:3] == ["History", "Importance of the params", "Parallel coordinates"]
    assert {"Value by rate", "Value by kind", "Value by depth"} == set(list(plots)[3:])
    lines = plots["Parallel coordinates"]
    assert MOST_LINES <= len(lines.figure["data"]) <= MOST_LINES + 20
    assert " of 700 finished trials, evenly, all records included." in lines.note
    assert "None: the param was not drawn" in lines.note
    assert "Drawn" not in plots["History"].note
    curves = curves_plot(snapshot)
    assert curves is not None
    assert f"of {MOST_DOTS + 299} curves" in curves.note
    assert curves.figure["data"][0]["x"].count(None) <= MOST_CURVES


def test_history_has_slots_and_the_best_on_top_of_the_curves() -> None:
    """The slot of a dot is its own where slots before it failed."""
    rows = [attempt(n, TrialState.FAIL if n < 3 else TrialState.COMPLETE) for n in range(6)]
    snapshot = snapshot_of(rows)
    assert list(search_plots(snapshot)[0].figure["data"][0]["x"]) == [3, 4, 5]
    curves = curves_plot(snapshot)
    assert curves is not None
    assert snapshot.best is not None
    assert curves.figure["data"][-1]["name"] == f"Best: trial {snapshot.best.trial}"
    assert curves.figure["data"][-1]["x"] == [1, 2, 3, None]


@pytest.fixture
def dataset(folder: Path) -> Dataset:
    """Sixty rows of three classes: 0, 5 and 10."""
    return load_dataset(folder)


def test_gallery_shows_the_surest_mistakes_first(dataset: Dataset) -> None:
    """Each picture is that of its row; the title has the row, the label, and what was said."""
    evidence = evidence_of(60, 3)
    wrong = mistakes(evidence)
    assert wrong.tolist() == list(range(55, -1, -5))
    pictures = Page(render_gallery(evidence, dataset)).all("img")
    assert len(pictures) == 12
    title = "train.csv row 56: labelled 5, predicted 10, 88 % sure"
    assert pictures[0]["title"] == pictures[0]["alt"] == title
    _, _, packed = str(pictures[0]["src"]).partition("base64,")
    assert np.array_equal(pixels_of(base64.b64decode(packed)), dataset.images[55])


def test_gallery_is_bounded_and_may_be_empty(dataset: Dataset) -> None:
    """Sixty pictures at most; where there is nothing to show, it says why."""
    evidence = evidence_of(60, 3)
    many = replace(evidence, labels=(evidence.labels + 1) % 3)
    assert len(Page(render_gallery(many, dataset)).all("img")) <= MOST
    right = evidence.probabilities.argmax(axis=1).astype(np.int64)
    none = replace(evidence, labels=right)
    assert "all 60 rows were predicted correctly" in render_gallery(none, dataset)
    assert "not available" in render_gallery(evidence, None)


def test_calibration_error_is_the_mean_distance_of_the_bins() -> None:
    """Two bins: 3 of 4 right at 0.9, 1 of 4 at 0.6; and one that is right as often as it says."""
    probabilities = np.array([[0.9, 0.1]] * 4 + [[0.6, 0.4]] * 4, np.float32)
    labels = np.array([0, 0, 0, 1, 0, 1, 1, 1])
    bins, error = reliability(probabilities, labels)
    assert [(b.n, round(b.said, 3), b.right) for b in bins] == [(4, 0.6, 0.25), (4, 0.9, 0.75)]
    assert error == pytest.approx(0.5 * 0.35 + 0.5 * 0.15, abs=1e-6)
    even = np.array([[0.5, 0.5]] * 4, np.float32)
    assert reliability(even, np.array([0, 0, 1, 1]))[1] == pytest.approx(0.0)


def test_confusion_counts_labels_down_and_answers_across() -> None:
    """Every fifth of forty rows is taken for the next class."""
    evidence = evidence_of(40, 4)
    counts = confusion(evidence)
    assert counts.sum() == 40
    assert counts.sum(axis=1).tolist() == [10, 10, 10, 10]
    assert counts.diagonal().sum() == 32
    assert counts[0, 1] == 2
    words = Page(render_confusion(evidence, ["3", "5", "7", "9"])).words
    assert "80.0 %" in words
    many = Page(render_confusion(evidence_of(90, 30), None))
    assert len(many.all("table")) == 2  # no matrix of 30 classes


def test_candidates_stand_with_their_intervals_and_the_reason() -> None:
    """The choice stands out by a word, not by colour alone."""
    html = render_candidates(evidence_of(why="It costs half."))
    page = Page(html)
    assert "It costs half." in page.words
    assert "65.00 % to 90.00 %" in page.words
    assert "Trial 3 (chosen)" in page.words
    assert len(page.all("svg")) == 2


def test_failures_have_a_row_a_reason_and_an_example() -> None:
    """The most frequent first; one that was tried again is not final."""
    error = {"type": "ValueError", "message": "bad shape\nmore", "traceback": "..."}
    why = {attrs.REASON: "error", attrs.ERROR: error}
    rows = [attempt(n, TrialState.FAIL, user_attrs=why) for n in range(2)]
    rows.append(attempt(2, TrialState.FAIL, trial=2, user_attrs={attrs.REASON: "lost"}))
    rows.append(attempt(2, trial=3))
    words = Page(render_failures(snapshot_of(rows))).words
    assert "errorthe training raised an error22trial 1: ValueError: bad shapelost" in words
    assert "grace period10trial 2" in words
    assert render_failures(snapshot_of([attempt(0)])) == "<p>None.</p>"


def test_time_is_from_the_first_start_to_the_last_end() -> None:
    """With the work of all workers, and the images where trainings say how many."""
    info = {attrs.INFO: {"train_s": 4.0, "images": 4000.0}}
    rows = [attempt(n, user_attrs=info) for n in range(3)]
    words = Page(render_time(snapshot_of(rows), {"cost": {"n_refits": 19}})).words
    assert "Wall time between them11s" in words
    assert "all workers together27s" in words
    assert "training steps12s" in words
    assert "Images trained, about12,000" in words
    assert "Trainings of the finalize19" in words
    assert "Trials started0" in Page(render_time(snapshot_of([]), None)).words


def parsed(command: str) -> tuple[str, dict[str, object]]:
    """What the command line makes of a command: its name and the values of its options."""
    program, name, *words = shlex.split(command.replace("\\\n", " "))
    assert program == "study"
    found = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    return name, found.make_context(name, list(words)).params


def test_command_line_takes_the_commands_of_the_report() -> None:
    """Every option exists and has the spec's value, whatever is in the names."""
    spec: dict[str, object] = {
        "options": {"a": "1 2", "b": "'"}, "timeout_s": 90.0, "trial_timeout_s": 5.5,
        "deterministic": False, "data": "d", "seed": 7, "objective": "/far/away/mine.py:tune",
    }  # fmt: skip
    snapshot = snapshot_of([attempt(n) for n in range(4)], "a 'name' $(x)", **spec)
    name, values = parsed(run_command_of(snapshot))
    assert (name, values["study"], values["n_trials"]) == ("run", "a 'name' $(x)", 4)
    assert (values["seed"], values["timeout_s"], values["trial_timeout_s"]) == (7, 90.0, 5.5)
    assert values["options"] == ["a=1 2", "b='"]
    assert values["deterministic"] is True
    assert str(values["space"]) == "space.toml"
    assert values["objective"] == "mine.py:tune"
    assert parsed(finalize_command_of(snapshot))[1]["study"] == "a 'name' $(x)"
    assert len(caveats(snapshot)) == 2


@pytest.mark.parametrize("spec", [{}, {"model": "/a/net.py:build", "data": "d"}])
def test_command_has_model_or_objective(spec: dict[str, object]) -> None:
    """The command line takes one of them."""
    values = parsed(run_command_of(snapshot_of([attempt(0)], **spec)))[1]
    assert [values["objective"], values["model"]] == (
        [None, "net.py:build"] if spec else ["synthetic", None]
    )
