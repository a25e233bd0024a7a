"""Sessions that nobody can forge, and how long who guesses passwords has to wait."""

import pytest

from study.dashboard.login import (
    FORGOTTEN_AFTER_S,
    FREE_TRIES,
    LASTS_S,
    LONGEST_DELAY_S,
    MOST_ADDRESSES,
    SAID_EVERY_S,
    Doorkeeper,
    Sessions,
    set_cookie,
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
    """Each character of a cookie changed, pieces left out, keys of another server, and nonsense."""
    sessions = Sessions()
    value = sessions.begin("ana")
    forged = [
        value[:i] + ("A" if value[i] != "A" else "B") + value[i + 1 :] for i in range(len(value))
    ]
    text, _, signature = value.rpartition(".")
    user, session_id, ends_at = text.split(".")
    forged += [
        *("", ".", "...", "....", "ü", "a.b.c.d", text, f"{text}.", f".{signature}"),
        f"{user}.{session_id}.{int(ends_at) + 1}.{signature}",
        f"cm9vdA.{session_id}.{ends_at}.{signature}",
        f"{text}.{signature.upper()}",
        f"{text}.{sessions.form_token(text)}",
        Sessions().begin("ana"),
    ]
    assert [one for one in forged if sessions.read(one) is not None] == []


def test_form_token_is_that_of_one_session() -> None:
    """And no part of its cookie."""
    sessions = Sessions()
    first, second = (sessions.read(sessions.begin("ana")) for _ in range(2))
    assert first is not None
    assert second is not None
    assert sessions.is_form_token(first.id, sessions.form_token(first.id))
    assert not sessions.is_form_token(second.id, sessions.form_token(first.id))
    assert not sessions.is_form_token(first.id, "")
    assert not sessions.is_form_token(first.id, "ü")


@pytest.mark.parametrize("is_secure", [True, False])
def test_cookie_is_out_of_reach_of_scripts_and_other_sites(is_secure: bool) -> None:
    """And goes by TLS alone where the browser came by it."""
    flags = set_cookie("study_session", "x", is_secure=is_secure).split("; ")
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(flags)
    assert ("Secure" in flags) == is_secure
    assert not any(flag.startswith("Domain") for flag in flags)


def test_wait_doubles_after_failures_and_ends_with_a_success() -> None:
    """A few tries are free; nobody waits for longer than a minute."""
    clock = Clock()
    keeper = Doorkeeper(clock)
    assert [keeper.try_now("10.0.0.1") for _ in range(FREE_TRIES)] == [0.0] * FREE_TRIES
    waits = []
    for _ in range(10):
        waits.append(keeper.try_now("10.0.0.1"))
        clock.now += waits[-1]
        assert keeper.try_now("10.0.0.1") == 0.0
    assert waits[:4] == [1, 2, 4, 8]
    assert waits[-1] == LONGEST_DELAY_S
    assert keeper.try_now("10.0.0.2") == 0.0
    clock.now += LONGEST_DELAY_S
    keeper.let_in("10.0.0.1", "ana")
    assert keeper.try_now("10.0.0.1") == 0.0


def test_addresses_of_one_network_wait_together() -> None:
    """Whoever has one IPv6 address has 2**64 of them."""
    keeper = Doorkeeper(Clock())
    for i in range(FREE_TRIES):
        assert keeper.try_now(f"2001:db8::{i}") == 0.0
    assert keeper.try_now("2001:db8::ffff:1") > 0
    assert keeper.try_now("2001:db8:0:1::1") == 0.0
    for i in range(FREE_TRIES):
        assert keeper.try_now(f"::ffff:10.0.0.{i}") == 0.0
    assert keeper.try_now("::ffff:10.0.0.9") == 0.0


def test_failures_of_long_ago_cost_nothing() -> None:
    """Who mistypes once today does not wait for what was tried yesterday."""
    clock = Clock()
    keeper = Doorkeeper(clock)
    for _ in range(FREE_TRIES + 5):
        clock.now += LONGEST_DELAY_S
        assert keeper.try_now("10.0.0.1") == 0.0
    clock.now += FORGOTTEN_AFTER_S
    assert [keeper.try_now("10.0.0.1") for _ in range(FREE_TRIES)] == [0.0] * FREE_TRIES
    assert keeper.try_now("10.0.0.1") > 0


def test_doorkeeper_forgets() -> None:
    """Its memory is bounded, whoever knocks."""
    keeper = Doorkeeper(Clock())
    for i in range(FREE_TRIES):
        keeper.try_now(f"name {i}")
    keeper._failures.update({str(i): keeper._failures["name 0"] for i in range(MOST_ADDRESSES)})
    keeper.try_now("one more")
    assert len(keeper._failures) <= MOST_ADDRESSES


def test_failed_logins_are_logged_without_a_line_for_each(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Who, from where, how many; nothing that a terminal would obey."""
    clock = Clock()
    keeper = Doorkeeper(clock)
    for _ in range(100):
        keeper.keep_out("10.0.0.7", "ana\x1b[2J\n" + "x" * 1000)
    (first,) = caplog.messages
    assert first.startswith("1 failed login, the last as 'ana\\x1b[2J\\nxxx")
    assert first.endswith("' from 10.0.0.7")
    assert len(first) < 150
    clock.now += SAID_EVERY_S
    keeper.keep_out("10.0.0.8", "bob")
    assert caplog.messages[1] == "100 failed logins, the last as 'bob' from 10.0.0.8"
    keeper.let_in("10.0.0.8", "bob")
    assert len(caplog.messages) == 2
    keeper.keep_out("10.0.0.8", "bob")
    keeper.let_in("10.0.0.8", "bob")
    assert caplog.messages[2] == "1 failed login, then 'bob' logged in from 10.0.0.8"
