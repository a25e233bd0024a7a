"""The page of the workers over HTTP: what it shows, what its buttons do, what nobody runs on it."""

import csv
import io
import json
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from storage import ends
from storage.rdb import SlotStorage, open_storage
from storage.registry import NO_STOP
from study.cli.look import trials_command
from study.cli.steer import pause_command, resume_command
from study.dashboard.access import Access
from study.spec.open import open_study
from study.view.status import read_status
from tests.integration.dashboards import LOCKED, OPEN, Client, plan, served
from tests.integration.ourstudies import EVIL, in_progress, make_study, url_in

NAME = 'digits <b>&"'
WRITER = replace(LOCKED, allow_writes=True)


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[SlotStorage]:
    """A storage with a study in progress."""
    with closing(open_storage(url_in(tmp_path))) as found:
        in_progress(found, NAME)
        yield found


def text_of(page: str) -> str:
    """Return what a page says, without its tags."""
    return re.sub(r"<[^>]*>", " ", page.partition("<body>")[2])


def token_of(client: Client) -> str:
    """Return what the page's forms carry."""
    found = re.search(r'name="token" value="([0-9a-f]+)"', client.ask("/workers").text)
    assert found is not None
    return found[1]


def test_page_shows_workers_slots_and_failures(storage: SlotStorage) -> None:
    """Numbers of the study, a line a worker, the end of each failed one's log."""
    with served(storage.url, OPEN) as client:
        got = client.ask("/workers")
        assert got.status == 200
        said = re.sub(r"\s+", " ", text_of(got.text))
        assert "done 3 of 8" in said
        assert "waiting 4" in said
        assert "images/s 1,234" in said
        assert "ab12cd:77 training 3 0 1,234" in said
        assert "error 1 1 timeout 1 1" in said
        assert "trial 2, slot 2: timeout: ValueError: too slow" in said
        assert "line 49" in said
        assert "line 5 " not in said


def test_no_text_of_a_study_becomes_markup(storage: SlotStorage) -> None:
    """Names, params, messages and logs; terminals' escapes are gone."""
    with served(storage.url, OPEN) as client:
        page = client.ask("/workers").text
        assert "&lt;/pre&gt;&lt;script&gt;alert(1)&lt;/script&gt;" in page
        assert "<script>alert" not in page
        assert "<b>" not in page
        assert "\x1b" not in page
        assert len(re.findall("<script", page)) == 1  # our own
        policy = client.ask("/workers").headers["content-security-policy"]
        assert "unsafe" not in policy
        nothing = client.ask("/workers?study=%3Cscript%3Ealert(1)%3C/script%3E")
        assert nothing.status == 404
        assert client.ask("/workers?study=%ff").status == 404
        assert "<script>alert" not in nothing.text
        assert "<i>" not in client.ask("/workers?done=%3Ci%3E").text


def test_csv_of_the_dashboard_runs_no_formula(storage: SlotStorage) -> None:
    """A param's value that begins like one gets an apostrophe."""
    with served(storage.url, OPEN) as client:
        got = client.ask("/csv/1")
        assert got.headers["content-type"].startswith("text/csv")
        assert ",'=cmd()," in got.text
        assert ",=cmd()" not in got.text
        assert got.text.startswith("Number,State,Value,Param kind,Param x")


def test_csv_of_the_command_line_runs_no_formula(
    storage: SlotStorage, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same for `study trials --csv`; numbers stay numbers."""
    assert trials_command(storage.url, NAME, as_csv=True) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["params.kind"] for row in rows[:2]] == ["'=cmd()", EVIL.replace("\x1b", "\\x1b")]
    assert [row["value"] for row in rows[:2]] == ["0.75", ""]


def test_dashboard_links_to_the_page_and_back(storage: SlotStorage) -> None:
    """The link is in its page, whatever the browser has of it already."""
    with served(storage.url, OPEN) as client:
        for path in ("/dashboard", "/dashboard/studies/1", "/dashboard/"):
            got = client.ask(path, If_Modified_Since="Fri, 01 Jan 2100 00:00:00 GMT")
            assert got.status == 200
            assert 'href="/workers"' in got.text
            assert int(got.headers["content-length"]) == len(got.body)
        assert 'href="/dashboard/studies/1"' in client.ask("/workers").text


def test_buttons_are_for_who_may_write(storage: SlotStorage) -> None:
    """In read-only mode there are none, and what they send is refused."""
    with served(storage.url, LOCKED) as client:
        client.log_in()
        page = client.ask("/workers").text
        assert "/workers/stop" not in page
        assert client.send("/workers/stop", {"study": NAME}).status == 403


def test_orders_are_carried_out(storage: SlotStorage) -> None:
    """Pause, resume, stop and retry, for the study that the page shows."""
    opened = open_study(storage, NAME)
    with served(storage.url, WRITER) as client:
        client.log_in()
        fields = {"study": NAME, "token": token_of(client)}
        for order, is_paused in (("pause", True), ("resume", False)):
            got = client.send(f"/workers/{order}", fields)
            assert got.status == 303
            assert opened.registry().look().paused is is_paused
            assert ("Paused:" in client.ask(got.headers["location"]).text) == is_paused
        assert client.send("/workers/retry", {**fields, "trial": 2}).status == 303
        assert read_status(opened).failed == 1
        again = client.send("/workers/retry", {**fields, "trial": 2})
        assert again.status == 409
        assert "has a later attempt" in again.text
        assert client.send("/workers/retry", fields).status == 303
        assert read_status(opened).failed == 0
        assert opened.registry().stop_seen(lambda: 0.0) == NO_STOP
        assert client.send("/workers/stop", fields).status == 303
        assert opened.registry().look().stop is not None
        assert "Asked to stop at" in client.ask("/workers").text


def test_commands_pause_and_resume(
    storage: SlotStorage, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the buttons do, from a terminal."""
    opened = open_study(storage, NAME)
    for command, is_paused in ((pause_command, True), (resume_command, False)):
        assert command(storage.url, NAME) == 0
        assert opened.registry().look().paused is is_paused
    assert capsys.readouterr().err == (
        f"paused '{NAME}'; study resume lets it go on\n'{NAME}' goes on\n"
    )


@pytest.mark.parametrize("access", [WRITER, OPEN])
def test_order_without_the_forms_token_is_refused(storage: SlotStorage, access: Access) -> None:
    """Another site's form does not know it; nor do other ways to send it help."""
    opened = open_study(storage, NAME)
    with served(storage.url, access) as client:
        client.log_in()
        token = token_of(client)
        for fields in ({}, {"token": ""}, {"token": "0" * 64}, {"token": token[:-1]}):
            assert client.send("/workers/stop", {"study": NAME, **fields}).status == 403
        asked = f"/workers/stop?study=digits&token={token}"
        assert client.ask(asked).status == 405
        assert client.ask(asked, "POST").status == 403
        body = json.dumps({"study": NAME, "token": token})
        assert client.ask("/workers/stop", "POST", body, Content_Type="text/plain").status == 403
        assert opened.registry().look().stop is None


def test_page_of_a_storage_without_studies_of_ours(tmp_path: Path) -> None:
    """It says so; one of plain Optuna is none of ours."""
    url = url_in(tmp_path)
    plan(url, 1)
    with served(url, OPEN) as client:
        got = client.ask("/workers")
        assert (got.status, "there is no study yet" in got.text) == (200, True)
        assert client.ask("/metrics").status == 200


def test_each_study_has_its_page(storage: SlotStorage) -> None:
    """The newest is shown where none is named; the others are linked."""
    make_study(storage, "second")
    with served(storage.url, OPEN) as client:
        assert "<h1>second</h1>" in client.ask("/workers").text
        assert "study=digits+%3Cb%3E%26amp%3B%22" not in client.ask("/workers").text
        assert "study=digits+%3Cb%3E%26%22" in client.ask("/workers").text
        assert "<h1>second</h1>" not in client.ask("/workers?study=digits+%3Cb%3E%26%22").text


def test_metrics_are_prometheus_text(storage: SlotStorage) -> None:
    """Slots, workers, speed, heartbeats and attempts, with names as they are."""
    with served(storage.url, OPEN) as client:
        got = client.ask("/metrics")
    assert got.headers["content-type"].startswith("text/plain; version=0.0.4")
    study = 'study="digits <b>&\\""'
    lines = got.text.splitlines()
    for wanted in (
        f'study_slots{{{study},state="waiting"}} 4',
        f'study_slots{{{study},state="failed"}} 2',
        f'study_workers{{{study},state="training"}} 1',
        f"study_images_per_second{{{study}}} 1234.5",
        f'study_attempts{{{study},reason="timeout"}} 1',
        f'study_attempts{{{study},reason="complete"}} 1',
        f"study_best_value{{{study}}} 0.75",
        f"study_paused{{{study}}} 0",
    ):
        assert wanted in lines, got.text
    assert any(line.startswith("study_worker_heartbeat_age_seconds{") for line in lines)
    pattern = r'(# (HELP|TYPE) study_\w+ .+|study_\w+\{(\w+="([^"\\\n]|\\.)*",?)+\} [-+.\w]+)'
    assert [line for line in lines if not re.fullmatch(pattern, line)] == []


def test_evil_is_what_would_be_seen() -> None:
    """The text that the other tests look for is in the study they look at."""
    assert "<script>" in EVIL
    assert ends.ERROR == "error"
