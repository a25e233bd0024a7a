"""Past the login and past read-only, as somebody tries who should not get there."""

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from html import unescape

import pytest

from storage.rdb import open_storage
from study.dashboard.access import make_access
from study.dashboard.login import FREE_TRIES
from tests.integration.dashboards import LOCKED, PASSWORD, USER, Client, plan, served

PATHS = [
    *("/", "/dashboard", "/dashboard/studies/1", "/api/studies", "/api/studies/1?after=0"),
    *("/api/meta", "/csv/1", "/static/bundle.js", "/workers", "/workers/log", "/metrics"),
    *("/incompatible-rdb-schema", "/artifacts/1/00", "/logout", "/nothing", "//api/studies"),
    *("/%61pi/studies", "/api/../api/studies", "/login/../api/studies", "/healthz/../api/studies"),
    *("/login/", "/login%00", "/healthz/", "/healthz%2f..%2fapi/studies", "/LOGIN"),
    *("/api/studies#/login", "/api/studies?/login", "/static/../api/studies", "/;/healthz"),
]
WRITES = [
    ("DELETE", "/api/studies/1", ""),
    ("POST", "/api/studies", '{"study_name": "new", "directions": ["maximize"]}'),
    ("POST", "/api/studies/1/rename", '{"study_name": "other"}'),
    ("PUT", "/api/studies/1/note", '{"body": "x", "version": 1}'),
    ("PUT", "/api/studies/1/1/note", '{"body": "x", "version": 1}'),
    ("POST", "/api/trials/1/tell", '{"state": "Fail"}'),
    ("POST", "/api/trials/1/user-attrs", '{"user_attrs": {"slot": 7}}'),
    ("POST", "/api/studies/1/1/skip", ""),
    (
        "POST",
        "/api/studies/1/preference",
        '{"mode": "ChooseWorst", "candidates": [0], "clicked": 0}',
    ),
    ("PUT", "/api/studies/1/preference_feedback_component", "{}"),
    ("POST", "/api/artifacts/1", "{}"),
    ("POST", "/incompatible-rdb-schema", ""),
    *(("POST", f"/workers/{order}", "study=digits") for order in ("stop", "resume", "retry")),
]
TRICKS = [
    *("/{}", "//{}", "///{}", "/./{}", "/x/../{}", "/%2e/{}", "/%2e%2e/{}", "/{}/", "/{}//"),
    *("/{}?_method=GET", "/{}%00", "/{};x", "/login/../{}", "/healthz/../{}", "/logout/%2e%2e/{}"),
]
METHODS = ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "get", "Head", "X")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a storage with a study of three slots."""
    found = f"sqlite:///{tmp_path_factory.mktemp('login')}/study.db"
    plan(found, 3)
    return found


@pytest.fixture(scope="module")
def server(url: str) -> Iterator[Client]:
    """Return a client of a dashboard behind a login; nobody is logged in."""
    with served(url, LOCKED) as client:
        yield client


@pytest.fixture
def client(server: Client) -> Client:
    """Return a client of its own."""
    return Client(server.port)


def dump(url: str) -> list[str]:
    """Return every row of the database."""
    storage = open_storage(url, create=False)
    try:
        raw = storage.engine.raw_connection()
        try:
            return list(raw.driver_connection.iterdump())  # type: ignore[union-attr]
        finally:
            raw.close()
    finally:
        storage.close()


@pytest.mark.parametrize("path", PATHS)
def test_no_path_answers_without_a_login(client: Client, path: str) -> None:
    """Programs get 401, browsers the way to the login page, and nobody anything else."""
    got = client.ask(path)
    assert got.status == 401, got
    assert b"digits" not in got.body
    got = client.ask(path, Accept="text/html")
    assert got.status in (401, 303), got
    assert got.headers.get("location", "/login?next=/").startswith("/login?next=/")
    for method in METHODS:
        status = client.ask(path, method).status
        # A method in small letters is none of HTTP's.
        assert status == (401 if method.isupper() else 400), (method, status)


def test_only_health_and_login_answer_without_a_login(client: Client) -> None:
    """And tell nothing of the studies."""
    assert client.ask("/healthz").text == "ok\n"
    got = client.ask("/login")
    assert got.status == 200
    assert "digits" not in got.text
    assert client.ask("/login", "PUT").status == 405


def test_login_opens_and_logout_closes(client: Client) -> None:
    """Also for who has kept the cookie."""
    got = client.log_in()
    assert (got.status, got.headers["location"]) == (303, "/")
    flags = got.headers["set-cookie"].split("; ")
    assert "HttpOnly" in flags
    assert "Secure" not in flags
    assert client.ask("/api/studies").status == 200
    assert client.ask("/").headers["location"] == "/dashboard"
    assert client.ask("/login").status == 303
    assert client.ask("/logout").status == 403
    assert client.send("/logout", {"token": "guessed"}).status == 403
    assert client.ask("/api/studies").status == 200


def test_cookie_goes_by_tls_alone_behind_a_proxy_with_tls(client: Client) -> None:
    """As its proxy says."""
    form = {"user": USER, "password": PASSWORD}
    got = client.send("/login", form, X_Forwarded_Proto="https")
    assert got.headers["set-cookie"].endswith("; Secure")


@pytest.mark.parametrize(
    "cookie",
    [
        *("study_session=", "study_session=ana", "study_session=YW5h.00.9999999999.00"),
        *("study_session=..." + "0" * 64, 'study_session="', "study_session", '=;;=,\\"'),
        "study_session=" + "A" * 8000,
    ],
)
def test_made_up_cookie_does_not_open(client: Client, cookie: str) -> None:
    """Every byte of a real one is tried in the unit tests."""
    cookie = cookie.replace("study_session", f"study_session_{client.port}")
    assert client.ask("/api/studies", Cookie=cookie).status == 401


@pytest.mark.parametrize(
    "other", ['prefs={"a": "b"}', "x=a b", "flag", "k[1]=3", "study_session_1=x", "study_session=x"]
)
def test_cookies_of_other_programs_end_no_session(client: Client, other: str) -> None:
    """A browser sends those of every port of a host, in an order of its own."""
    own = client.log_in().cookie
    assert client.ask("/api/studies", Cookie=f"{other}; {own}").status == 200
    assert client.ask("/api/studies", Cookie=f"{own}; {other}").status == 200


def test_two_dashboards_on_one_machine_keep_their_sessions(url: str, client: Client) -> None:
    """Their cookies reach both, and differ in their names."""
    mine = client.log_in().cookie
    with served(url, LOCKED) as other:
        theirs = other.log_in().cookie
        assert mine.partition("=")[0] != theirs.partition("=")[0]
        for one in (client, other):
            assert one.ask("/api/studies", Cookie=f"{mine}; {theirs}").status == 200


@pytest.mark.parametrize("header", ["X-User", "Remote-User", "X-Remote-User", "Authorization"])
def test_header_that_nobody_trusts_does_not_open(client: Client, header: str) -> None:
    """Name and password in the request itself are for the metrics alone."""
    basic = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    value = basic if header == "Authorization" else USER
    assert client.ask("/api/studies", **{header: value}).status == 401


def test_metrics_open_to_name_and_password(client: Client) -> None:
    """As Prometheus sends them; wrong ones are counted as at the login page."""
    right = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    assert client.ask("/metrics", Authorization=f"Basic {right}").status == 200
    got = client.ask("/metrics", Authorization="Basic bm8=")
    assert got.status == 401
    assert got.headers["www-authenticate"].startswith("Basic")
    assert client.ask("/metrics", Authorization="Basic ?").status == 401
    assert client.ask("/metrics", Authorization=f"Basic {right}").status == 200


def test_guessing_is_slowed_down(url: str, caplog: pytest.LogCaptureFixture) -> None:
    """Then even the right password has to wait; that it was tried is logged, without it."""
    with served(url, LOCKED) as client:
        for _ in range(FREE_TRIES):
            got = client.log_in(password="wrong")
            assert got.status == 401
            assert "Wrong user or password" in got.text
        got = client.log_in()
        assert got.status == 429
        assert int(got.headers["retry-after"]) >= 1
        assert client.ask("/api/studies").status == 401
    assert f"1 failed login, the last as '{USER}' from 127.0.0.1" in caplog.messages
    assert "wrong" not in caplog.text
    assert PASSWORD not in caplog.text


@pytest.mark.parametrize("to", ["https://evil.example/", "//evil.example", "/\\evil.example"])
def test_login_leads_nobody_away(client: Client, to: str) -> None:
    """A link to our login page may say where to go then: only to us."""
    got = client.send("/login", {"user": USER, "password": PASSWORD, "next": to})
    assert got.headers["location"] == "/"


def test_login_leads_to_the_page_that_was_asked_for(client: Client) -> None:
    """A link to one of several studies, most of all."""
    wanted = "/workers?study=a%26b%20c&x=1"
    way = client.ask(wanted, Accept="text/html").headers["location"]
    assert unescape(client.ask(way).text).count(f'value="{wanted}"') == 1
    got = client.send("/login", {"user": USER, "password": PASSWORD, "next": wanted})
    assert got.headers["location"] == wanted


def test_login_page_takes_text_for_text(client: Client) -> None:
    """What a link says is in the page, and no markup."""
    got = client.ask("/login?next=/%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
    assert "<script>alert" not in got.text


def test_foreign_site_cannot_log_anybody_in(client: Client) -> None:
    """Its form would be sent with its own origin."""
    form = {"user": USER, "password": PASSWORD}
    assert client.send("/login", form, Origin="http://evil.example").status == 403
    assert client.send("/login", form, Origin="null").status == 403


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_nothing_is_written_in_read_only_mode(
    client: Client, url: str, method: str, path: str, body: str
) -> None:
    """By no method and no spelling of a path: 403, and not a byte of the database changes."""
    client.log_in()
    before = dump(url)
    kind = "application/json" if body.startswith("{") else "application/x-www-form-urlencoded"
    for trick in TRICKS:
        got = client.ask(trick.format(path[1:]), method, body, Content_Type=kind)
        assert got.status == 403, (trick, got)
    for override in ("X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"):
        got = client.ask(path, "GET", body, Content_Type=kind, **{override: method})
        assert got.status in (200, 302, 400, 404, 405), (override, got)
    assert client.ask(path, method.lower(), body, Content_Type=kind).status == 400
    assert dump(url) == before


def test_writes_that_are_allowed_are_those_of_our_own_pages(url: str) -> None:
    """With --allow-writes who is in may write a note; another site may not make them."""
    with served(url, replace(LOCKED, allow_writes=True)) as client:
        note = json.dumps({"body": "seen", "version": 1})
        kind = {"Content-Type": "application/json"}
        assert client.ask("/api/studies/1/note", "PUT", note, **kind).status == 401
        client.log_in()
        own, foreign = f"http://127.0.0.1:{client.port}", "http://evil.example"
        assert client.ask("/api/studies/1/note", "PUT", note, Origin=foreign, **kind).status == 403
        assert client.ask("/api/studies/1/note", "PUT", note, Origin=own, **kind).status == 204


def test_names_of_the_host_are_those_that_were_given(url: str) -> None:
    """Others are refused, before anything else is looked at; health is asked by any name."""
    with served(url, replace(LOCKED, hosts=frozenset({"study.example.org"}))) as client:
        named = {"Host": "study.example.org", "Accept": "text/html"}
        assert client.ask("/dashboard", **named).status == 303
        assert client.ask("/dashboard", Host="evil.example").status == 403
        assert client.ask("/login", Host="evil.example").status == 403
        assert client.ask("/healthz", Host="evil.example").status == 200
        form = {"user": USER, "password": PASSWORD}
        origin = "https://study.example.org"
        got = client.send("/login", form, Host="study.example.org", Origin=origin)
        assert got.status == 303


def test_trusted_proxy_says_who_is_there(url: str) -> None:
    """From its address; without a password there is no login page, and no way round."""
    given = {"user": None, "password_file": None, "host_names": [], "allow_writes": False}
    for proxy, status in (("127.0.0.1", 200), ("10.0.0.2", 401)):
        access = make_access(
            host="0.0.0.0",
            trust_header="X-User",
            trusted_proxies=[proxy],
            **given,  # type: ignore[arg-type]
        )
        with served(url, access) as client:
            assert client.ask("/api/studies", X_User="ana").status == status
            assert client.ask("/api/studies").status == 401
            assert client.ask("/api/studies", X_Userx="ana").status == 401
            assert client.ask("/login").status in (303, 401)
            assert client.ask("/api/studies/1", "DELETE", X_User="ana").status in (401, 403)


@pytest.mark.parametrize(
    "path", ["/login", "/dashboard", "/api/studies", "/static/bundle.js", "/x"]
)
def test_every_answer_has_the_headers(client: Client, path: str) -> None:
    """Nobody frames it, guesses its kind or keeps it."""
    client.log_in()
    for got in (client.ask(path), Client(client.port).ask(path)):
        assert got.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in got.headers["content-security-policy"]
        assert "default-src" in got.headers["content-security-policy"]
        assert got.headers["referrer-policy"] == "same-origin"
        assert got.headers.get("cache-control") == "no-store" or path.startswith("/static/")
        assert "waitress" not in got.headers.get("server", "").lower()
