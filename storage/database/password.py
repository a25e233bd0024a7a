"""Mask passwords in storage URLs for display, and name characters that need percent-encoding.

Decides which part of a text may be a password, even if the text is not a valid URL. Any part that
may be a password is hidden.
"""

import re
from typing import NamedTuple
from urllib.parse import unquote

HIDDEN = "***"
ENCODED = {"@": "%40", "/": "%2F", "#": "%23", "?": "%3F", ":": "%3A", "%": "%25"}

# The parts as SQLAlchemy parses them: a password ends at the first @.
_URL = re.compile(
    r"(?P<scheme>[A-Za-z][\w+]*)://(?:(?P<user>[^:/]*)(?::(?P<secret>[^@]*))?@)?(?P<tail>.*)",
    re.DOTALL,
)
_FILE = re.compile(r"(?i)sqlite3?(\+(pysqlite|aiosqlite))?:(///|[^@]*$)")  # it has no password
_KNOWN = re.compile(r"(?i)(sqlite3?|postgres(ql)?|mysql|mariadb|oracle|mssql)[:+]")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ASKS = re.compile(r"(?i)(pass|pwd|secret)\w*\s*[=:]")  # as in `password=`
_ENDS_USER = re.compile(r"[:/?#;,\s]")
_SECRET_OPTIONS = frozenset({"password", "passwd", "sslpassword", "passfile", "pwd"})
_HIGHEST_PORT = 65535

_SHOWN_OPTION = re.compile(
    r"host(addr)?|port|user|db(name)?|options|service|target_session_attrs|(client_encoding|charset)"
    r"|(fallback_)?application_name|(connect_|read_|write_|tcp_user_)?timeout|keepalives(_\w+)?"
    r"|ssl(mode|cert|key|rootcert|crl|sni|negotiation|compression)?|ssl_(?!pass)\w+"
    r"|(gssenc|sql_)?mode|channel_binding|require_?(peer|auth)|load_balance_hosts|replication"
    r"|unix_socket|auth_plugin|autocommit|init_command|local_infile|use_unicode|uri|cached_statements"
    r"|check_same_thread"
)
"""Options of a URL with harmless values. Any other option may be the rest of a password."""


class _Parts(NamedTuple):
    scheme: str
    user: str | None
    secret: str | None
    tail: str


def redact(text: str) -> str:
    """Return a URL, even an invalid one, without its password."""
    text = text.strip()
    if _FILE.match(text):
        path, _, query = text.partition("?")
        return path + _shown_query(query)
    parts = _split(text)
    if parts is None or not _KNOWN.match(text):
        return _shown_text(text)
    return f"{parts.scheme}://{_shown_rest(parts)}"


def is_misread(text: str) -> bool:
    """Whether an @ would be parsed as part of a host, a database's name or an option."""
    parts = _split(text.strip())
    if parts is None or _FILE.match(text.strip()):
        return False
    return _is_port(parts) or "@" in parts.tail.partition("?")[0] or _has_stray_option(parts.tail)


def query_of(text: str) -> str:
    """Return the options of a URL as written after its ?."""
    parts = _split(text)
    return "" if parts is None else parts.tail.partition("?")[2]


def to_encode(text: str) -> str | None:
    """Return which characters of user and password need percent-encoding.

    Returns:
        Text such as `write @ as %40, / as %2F in its user and password`; None if there are none.
    """
    parts = _split(text.strip())
    if parts is None or _FILE.match(text.strip()):
        return None
    if _is_port(parts):
        return "write @ as %40 in its options"
    rest = text.strip().partition("://")[2]
    end = rest.rfind("@") if is_misread(text) else rest.rfind("@", 0, len(rest) - len(parts.tail))
    user, _, secret = rest[: max(end, 0)].partition(":")
    found = [sign for sign in "@/#?" if sign in user + secret]
    found += [":"] if ":" in secret else []
    found += ["%"] if _BAD_PERCENT.search(user + secret) or "\ufffd" in unquote(secret) else []
    if not found:
        return None
    rules = ", ".join(f"{sign} as {ENCODED[sign]}" for sign in found)
    return f"write {rules} in its user and password"


def _split(text: str) -> _Parts | None:
    found = _URL.fullmatch(text)
    return None if found is None else _Parts(**found.groupdict())


def _is_port(parts: _Parts) -> bool:
    """Whether `host:5432/name?user=ana@corp` was parsed as user and password."""
    found = re.fullmatch(r"\d{1,5}/[^?]*\?(.*)", parts.secret or "", re.DOTALL)
    return found is not None and not _has_stray_option(f"?{found[1]}@")


def _has_stray_option(tail: str) -> bool:
    pieces = [piece for piece in tail.partition("?")[2].split("&") if "@" in piece]
    return not all(_is_known(piece.partition("=")[0]) for piece in pieces)


def _is_known(name: str) -> bool:
    return name in _SECRET_OPTIONS or _SHOWN_OPTION.fullmatch(name) is not None


def _shown_rest(parts: _Parts) -> str:
    if _is_port(parts):  # the text before the @ is no password, but hiding it does no harm
        return f"{parts.user}:{HIDDEN}"
    before, _, query = parts.tail.partition("?")
    if "@" in before or _has_stray_option(parts.tail):
        head, _, tail = before.rpartition("@")
        known = (parts.user, parts.secret)
        written = "" if known == (None, None) else f"{parts.user}:"
        shown = _shown_user(written + head, is_hidden=True)
        if _has_stray_option(parts.tail):
            return f"{shown}@{HIDDEN}"
        return f"{shown}@{_shown_tail(tail, is_host=True)}{_shown_query(query)}"
    if parts.user is None:
        return _shown_tail(before, is_host=False) + _shown_query(query)
    user = _shown_user(parts.user, is_hidden=parts.secret is not None)
    tail = _shown_tail(before, is_host=parts.secret is not None)
    return f"{user}@{tail}{_shown_query(query)}"


def _shown_user(user: str, *, is_hidden: bool) -> str:
    """Return a user's name; hide a possible password after it."""
    found = _ENDS_USER.search(user)
    name = user[: found.start()] if found else user
    return f"{name}:{HIDDEN}" if is_hidden or found else name


def _shown_tail(tail: str, *, is_host: bool) -> str:
    """Return host, port and name, but hide the second part of a possible `user:password`."""
    address, _, _ = tail.partition("/")
    host, colon, port = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(:?)(.*)", address, re.DOTALL).groups()  # type: ignore[union-attr]
    is_number = port.isdecimal() and 0 < int(port) <= _HIGHEST_PORT
    if colon and port and not is_number and not is_host:
        return f"{host}:{HIDDEN}"
    return tail


def _shown_query(query: str) -> str:
    if not query:
        return ""
    pieces = query.split("&")
    has_secret = any(piece.partition("=")[0] in _SECRET_OPTIONS for piece in pieces)
    return "?" + "&".join(_shown_option(piece, is_rest=has_secret) for piece in pieces)


def _shown_option(piece: str, *, is_rest: bool) -> str:
    """Return one option; `is_rest`: it may be the end of a password that contains an &."""
    name, equals, value = piece.partition("=")
    value = unquote(value)
    if _SHOWN_OPTION.fullmatch(name) and not _ASKS.search(value) and not re.search(r":.*@", value):
        return piece
    is_name = name in _SECRET_OPTIONS or (not is_rest and name.isidentifier() and equals)
    return f"{name}={HIDDEN}" if is_name else HIDDEN


def _shown_text(text: str) -> str:
    """Return a text that is not a URL: a path unchanged, else without a possible password."""
    head, at, tail = text.rpartition("@")
    before, _, query = tail.partition("?")
    if _ASKS.search(before) or _ASKS.search(head):
        return HIDDEN
    if at:
        return f"{HIDDEN}@{before}{_shown_query(query)}"
    if _DRIVE.match(text) or ":" not in text:
        return before + _shown_query(query)
    return f"{text.partition(':')[0]}:{HIDDEN}"
