"""Sessions that nobody can forge, and how long who guesses passwords has to wait."""

import pytest
from bottle import FormsDict

from study.dashboard.login import (
    FORGOTTEN_AFTER_S,
    FREE_TRIES,
    LASTS_S,
    LONGEST_DELAY_S,
    MOST_ADDRESSES,
    MOST_SESSIONS,
    SAID_EVERY_S,
    Sessions,
    Throttle,
    Visitor,
    make_cookie,
)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_session_is_read_until_it_is_over() -> None:
    """Whatever characters the user's name has."""
    clock = Clock()
    sessions = Sessions(clock)
    value = sessions.begin("Ana.Ñ; \x00=")
    found = sessions.read(value)
    assert found is not None
    assert found.user == "Ana.Ñ; \x00="
    assert set(value) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")
    clock.now += LASTS_S
    assert sessions.read(value) is None


def test_session_that_was_ended_is_over_and_others_are_not() -> None:
    """Logging out ends a cookie that somebody has copied, too."""
    sessions = Sessions()
    first, second = sessions.begin("ana"), sessions.begin("ana")
    found = sessions.read(first)
    assert found is not None
    sessions.end(found)
    assert sessions.read(first) is None
    assert sessions.read(second) is not None


def test_forged_cookies_are_none() -> None:
    """Each character of a cookie changed, pieces, its session's id and token, and nonsense."""
    sessions = Sessions()
    value = sessions.begin("ana")
    found = sessions.read(value)
    assert found is not None
    forged = [
        value[:i] + ("A" if value[i] != "A" else "B") + value[i + 1 :] for i in range(len(value))
    ]
    forged += [
        *("", ".", "....", "\u00fc", "\ud800", "ana", value[:-1], f"{value}=", f"{value}\x00"),
        *(value.upper(), value.lower(), f" {value}", found.id, sessions.form_token(found.id)),
        Sessions().begin("ana"),
    ]
    assert [one for one in forged if sessions.read(one) is not None] == []


def test_sessions_hold_no_cookie_and_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that leaks opens nothing; the oldest session ends where there are too many."""
    assert MOST_SESSIONS <= 10_000
    monkeypatch.setattr("study.dashboard.login.MOST_SESSIONS", 20)
    sessions = Sessions()
    first = sessions.begin("ana")
    assert first not in repr(sessions._open)
    for _ in range(20):
        last = sessions.begin("ana")
    assert len(sessions._open) == 20
    assert sessions.read(first) is None
    assert sessions.read(last) is not None


def test_form_token_is_that_of_one_session() -> None:
    """And no part of its cookie."""
    sessions = Sessions()
    first, second = (sessions.read(sessions.begin("ana")) for _ in range(2))
    assert first is not None
    assert second is not None
    token = sessions.form_token(first.id)
    visitor = Visitor("ana", token, True, first)
    assert visitor.owns(FormsDict(token=token))
    assert first.id not in token
    for wrong in (sessions.form_token(second.id), "", "\u00fc", token[:-1]):
        assert not visitor.owns(FormsDict(token=wrong))
    assert not visitor.owns(FormsDict())


@pytest.mark.parametrize("is_secure", [True, False])
def test_cookie_is_out_of_reach_of_scripts_and_other_sites(is_secure: bool) -> None:
    """And goes by TLS alone where the browser came by it."""
    flags = make_cookie("study_session", "x", LASTS_S, is_secure=is_secure).split("; ")
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(flags)
    assert ("Secure" in flags) == is_secure
    assert not any(flag.startswith("Domain") for flag in flags)


def test_wait_doubles_after_failures_and_ends_with_a_success() -> None:
    """A few tries are free; nobody waits for longer than a minute."""
    clock = Clock()
    throttle = Throttle(clock)
    assert [throttle.begin_try("10.0.0.1") for _ in range(FREE_TRIES)] == [0.0] * FREE_TRIES
    waits = []
    for _ in range(10):
        waits.append(throttle.begin_try("10.0.0.1"))
        clock.now += waits[-1]
        assert throttle.begin_try("10.0.0.1") == 0.0
    assert waits[:4] == [1, 2, 4, 8]
    assert waits[-1] == LONGEST_DELAY_S
    assert throttle.begin_try("10.0.0.2") == 0.0
    clock.now += LONGEST_DELAY_S
    throttle.succeeded("10.0.0.1", "ana")
    assert throttle.begin_try("10.0.0.1") == 0.0


def test_addresses_of_one_network_wait_together() -> None:
    """Whoever has one IPv6 address has 2**64 of them."""
    throttle = Throttle(Clock())
    for i in range(FREE_TRIES):
        assert throttle.begin_try(f"2001:db8::{i}") == 0.0
    assert throttle.begin_try("2001:db8::ffff:1") > 0
    assert throttle.begin_try("2001:db8:0:1::1") == 0.0
    for i in range(FREE_TRIES):
        assert throttle.begin_try(f"::ffff:10.0.0.{i}") == 0.0
    assert throttle.begin_try("::ffff:10.0.0.9") == 0.0


def test_failures_of_long_ago_cost_nothing() -> None:
    """Who mistypes once today does not wait for what was tried yesterday."""
    clock = Clock()
    throttle = Throttle(clock)
    for _ in range(FREE_TRIES + 5):
        clock.now += LONGEST_DELAY_S
        assert throttle.begin_try("10.0.0.1") == 0.0
    clock.now += FORGOTTEN_AFTER_S
    assert [throttle.begin_try("10.0.0.1") for _ in range(FREE_TRIES)] == [0.0] * FREE_TRIES
    assert throttle.begin_try("10.0.0.1") > 0


def test_throttle_forgets() -> None:
    """Its memory is bounded, whoever knocks."""
    throttle = Throttle(Clock())
    for i in range(FREE_TRIES):
        throttle.begin_try(f"name {i}")
    throttle._failures.update({str(i): throttle._failures["name 0"] for i in range(MOST_ADDRESSES)})
    throttle.begin_try("one more")
    assert len(throttle._failures) <= MOST_ADDRESSES


def test_failed_logins_are_logged_without_a_line_for_each(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Who, from where, how many; nothing that a terminal would obey."""
    clock = Clock()
    throttle = Throttle(clock)
    for _ in range(100):
        throttle.failed("10.0.0.7", "ana\x1b[2J\n" + "x" * 1000)
    (first,) = caplog.messages
    assert first.startswith("1 failed login, the last as 'ana\\x1b[2J\\nxxx")
    assert first.endswith("' from 10.0.0.7")
    assert len(first) < 150
    clock.now += SAID_EVERY_S
    throttle.failed("10.0.0.8", "bob")
    assert caplog.messages[1] == "100 failed logins, the last as 'bob' from 10.0.0.8"
    throttle.succeeded("10.0.0.8", "bob")
    assert len(caplog.messages) == 2
    throttle.failed("10.0.0.8", "bob")
    throttle.succeeded("10.0.0.8", "bob")
    assert caplog.messages[2] == "1 failed login, then 'bob' logged in from 10.0.0.8"
