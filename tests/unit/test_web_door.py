"""Who is let in by which settings, which settings are refused, and whom a proxy may name."""

import re
from pathlib import Path
from typing import Any

import pytest

from study.dashboard.access import PASSWORD, Access, make_access
from study.dashboard.request import Request, own_path
from study.errors import DashboardError


def access(host: str = "127.0.0.1", **given: Any) -> Access:
    """Return the settings as the command makes them."""
    values: dict[str, Any] = {
        **{"user": None, "password_file": None, "trust_header": None, "trusted_proxies": []},
        **{"host_names": [], "allow_writes": False},
    }
    return make_access(host=host, **(values | given))


def request(**environ: str) -> Request:
    """Return a request with these values of WSGI."""
    return Request({"REQUEST_METHOD": "GET", "PATH_INFO": "/", **environ})


@pytest.fixture
def password(monkeypatch: pytest.MonkeyPatch) -> str:
    """A password in the environment."""
    monkeypatch.setenv(PASSWORD, "open sesame")
    return "open sesame"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1"])
def test_loopback_is_open_and_may_write(host: str) -> None:
    """No flag and no password."""
    found = access(host)
    assert found.is_open
    assert found.allow_writes


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.5", "example.org"])
def test_host_that_others_reach_needs_a_login(host: str) -> None:
    """The error says so, and how to have one."""
    with pytest.raises(DashboardError, match="without a login") as caught:
        access(host)
    assert caught.value.hint is not None
    assert "STUDY_DASHBOARD_PASSWORD" in caught.value.hint


def test_loopback_with_a_name_of_its_own_needs_a_login() -> None:
    """A proxy on this machine would show it to everybody."""
    with pytest.raises(DashboardError, match=re.escape("as 'study.example.org'")):
        access(host_names=["study.example.org"])


@pytest.mark.usefixtures("password")
@pytest.mark.parametrize("name", ["study.example.org:8443", "https://study.example.org", "a/b", ""])
def test_name_that_no_request_could_have_is_refused(name: str) -> None:
    """It would match nothing, and everybody would be refused without a reason."""
    with pytest.raises(DashboardError, match="is not a host name"):
        access("0.0.0.0", host_names=[name])
    assert access("0.0.0.0", host_names=["Study.example.org", "10.0.0.5", "[::1]"]).hosts


@pytest.mark.usefixtures("password")
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_login_is_read_only_unless_writes_are_allowed(host: str) -> None:
    """Also on loopback, where somebody asked for a login."""
    found = access(host)
    assert (found.is_open, found.allow_writes, found.user) == (False, False, "study")
    assert access(host, allow_writes=True).allow_writes


def test_name_and_password_open_together(password: str) -> None:
    """And nothing that is like them."""
    found = access("0.0.0.0", user="ana")
    assert found.accepts("ana", password)
    tries = [("ana", ""), ("", password), ("", ""), ("Ana", password), ("ana", f"{password} ")]
    assert not any(found.accepts(*one) for one in [*tries, ("ana", "\ud800")])
    assert not Access(trust_header="X-User").accepts("", "")
    assert "sesame" not in repr(found)


def test_password_of_a_file(tmp_path: Path) -> None:
    """Its last line end is none of it; an empty or missing file is refused."""
    file = tmp_path / "secret"
    file.write_text(" of spaces \n")
    assert access("0.0.0.0", password_file=file).password == " of spaces "
    file.write_text("\n")
    with pytest.raises(DashboardError, match="is empty"):
        access("0.0.0.0", password_file=file)
    with pytest.raises(DashboardError, match="cannot be read: No such file"):
        access("0.0.0.0", password_file=tmp_path / "none")


@pytest.mark.parametrize("blank", [" ", "\t \t", "\u3000", " \n", "\u200b\u200b"])
def test_blank_password_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blank: str
) -> None:
    """It is a mistake of a script, and no secret; an empty variable is as good as none."""
    file = tmp_path / "secret"
    file.write_text(blank)
    with pytest.raises(DashboardError, match="is blank"):
        access("0.0.0.0", password_file=file)
    monkeypatch.setenv(PASSWORD, blank)
    with pytest.raises(DashboardError, match=f"{PASSWORD} is blank"):
        access()
    monkeypatch.setenv(PASSWORD, "")
    assert access().password is None


def test_password_file_of_an_editor_is_read_without_its_mark(tmp_path: Path) -> None:
    """As Windows' writes one before the text; and a file of several lines is no password."""
    file = tmp_path / "secret"
    file.write_bytes(b"\xef\xbb\xbfs3cret-word\r\n")
    assert access("0.0.0.0", password_file=file).password == "s3cret-word"
    file.write_bytes(b"\xef\xbb\xbf\n")
    with pytest.raises(DashboardError, match="is empty"):
        access("0.0.0.0", password_file=file)
    file.write_text("one\ntwo")
    with pytest.raises(DashboardError, match="several lines"):
        access("0.0.0.0", password_file=file)


def test_user_without_a_password_is_refused() -> None:
    """It would be open to everybody, or to nobody."""
    with pytest.raises(DashboardError, match="user 'ana' has no password"):
        access(user="ana")


def test_header_is_trusted_from_named_addresses_alone() -> None:
    """And without addresses not at all."""
    with pytest.raises(DashboardError, match="anybody can send a header"):
        access("0.0.0.0", trust_header="X-User")
    with pytest.raises(DashboardError, match="'everybody' is not an address"):
        access("0.0.0.0", trust_header="X-User", trusted_proxies=["everybody"])
    found = access("0.0.0.0", trust_header="X-User", trusted_proxies=["10.0.0.2", "fd00::/8"])
    for peer in ("10.0.0.2", "::ffff:10.0.0.2", "fd00::7"):
        assert found.named_by_proxy(request(REMOTE_ADDR=peer, HTTP_X_USER="ana")) == "ana"
        assert found.named_by_proxy(request(REMOTE_ADDR=peer, HTTP_X_USER=" ")) is None
        assert found.named_by_proxy(request(REMOTE_ADDR=peer)) is None
    for peer in ("10.0.0.3", "::1", "127.0.0.1", "", "nonsense"):
        assert found.named_by_proxy(request(REMOTE_ADDR=peer, HTTP_X_USER="ana")) is None


@pytest.mark.parametrize(
    ("network", "good"),
    [
        *(("0.0.0.0/0", False), ("::/0", False), ("0.0.0.0/1", False), ("10.0.0.0/7", False)),
        *(("8.0.0.0/8", False), ("203.0.0.0/23", False), ("2000::/3", False), ("::/1", False)),
        *(("fc00::/6", False), ("128.0.0.0/1", False), ("192.0.0.0/8", False)),
        *(("10.0.0.0/8", True), ("172.16.0.0/12", True), ("192.168.1.0/24", True), ("::1", True)),
        *(("203.0.113.0/24", True), ("8.8.8.8", True), ("fd00::/8", True), ("127.0.0.0/8", True)),
        *(("100.64.0.0/10", True), ("2001:db8:1:2::/64", True), ("fe80::/10", True)),
    ],
)
def test_part_of_the_internet_is_no_trusted_proxy(network: str, good: bool) -> None:
    """Anybody there could name anybody; a private network is the user's own."""
    if good:
        assert access("::1", trusted_proxies=[network]).proxies
        return
    with pytest.raises(DashboardError, match=f"{network} is not a proxy") as caught:
        access("::1", trusted_proxies=[network])
    assert caught.value.hint


def test_address_of_who_asks_is_what_the_proxy_saw() -> None:
    """The last one: whoever asks may have written the others."""
    found = Access(proxies=access("::1", trusted_proxies=["10.0.0.2"]).proxies)
    for peer, wanted in (("10.0.0.2", "2.2.2.2"), ("10.0.0.9", "10.0.0.9")):
        asked = request(REMOTE_ADDR=peer, HTTP_X_FORWARDED_FOR="1.1.1.1, 2.2.2.2")
        assert found.address_of(asked) == wanted


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        *(("2.2.2.2:51234", "2.2.2.2"), ("[2001:db8::7]:443", "2001:db8::7")),
        *(("[2001:db8::7]", "2001:db8::7"), ("2001:db8::7", "2001:db8::7"), ("x", "x")),
    ],
)
def test_port_is_no_part_of_an_address(said: str, wanted: str) -> None:
    """Else who guesses would be somebody else with every connection."""
    found = Access(proxies=access("::1", trusted_proxies=["10.0.0.2"]).proxies)
    asked = request(REMOTE_ADDR="10.0.0.2", HTTP_X_FORWARDED_FOR=said)
    assert found.address_of(asked) == wanted


@pytest.mark.parametrize(
    "path",
    [
        *("", "workers", "//evil.example", "/\\evil.example", "\\\\evil.example", "https://e.x/"),
        *("/a\nSet-Cookie: x=1", "/a\r", "/\tevil", "/ü", "javascript:alert(1)", "/a\\b"),
    ],
)
def test_way_after_the_login_stays_here(path: str) -> None:
    """Whatever a link to the login page says."""
    assert own_path(path) == "/"


def test_way_after_the_login_is_kept() -> None:
    """A page of ours, with its query."""
    assert own_path("/workers?study=digits%20a") == "/workers?study=digits%20a"
