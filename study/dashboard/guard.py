"""Requests that another site made a browser send are refused; the headers of every answer.

A web page of somebody else may have its name moved to our address (another `Host`), and may make a
browser send us what it likes (another `Origin`), though it does not see the answer.
optuna-dashboard's own pages bring a content security policy of their own, which is kept; an answer
without one may load nothing.
"""

import base64
import hashlib
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from study.dashboard.door import Door, is_loopback
from study.dashboard.exchange import Answer, App, Request

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not `no-referrer`, under which browsers send `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
NOTHING = "default-src 'none'"
NEVER = "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
POLICY = "Content-Security-Policy"


def refusal(door: Door, request: Request) -> Answer | None:
    """Return why a request is refused; None where it is not."""
    host = request.header("Host")
    if not _is_ours(door, _host_name(host)):
        names = "http://localhost" if door.is_open else "the names given with --host-name"
        return Answer(403, f"This dashboard answers only to {names} and to its own pages.\n")
    origin = request.environ.get("HTTP_ORIGIN")
    # Whether by TLS or not: that is between the browser and a proxy.
    if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
        return Answer(403, "This dashboard answers only to its own pages.\n")
    # Browsers send no Origin with some requests, and this with all.
    is_foreign = request.header("Sec-Fetch-Site") in ("cross-site", "same-site")
    if is_foreign and not (request.is_safe and request.header("Sec-Fetch-Mode") == "navigate"):
        return Answer(403, "This dashboard answers only to its own pages.\n")
    return None


def _is_ours(door: Door, host: str) -> bool:
    if door.is_open:
        return is_loopback(host)  # any port: through a tunnel the browser sees another one
    return not door.hosts or host in door.hosts or is_loopback(host)


def _host_name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:  # a bracket without its other
        return ""


def with_headers(app: App) -> App:
    """Wrap an application: its answers carry the headers of this file."""

    def wrapped(environ: "WSGIEnvironment", start_response: "StartResponse") -> Any:
        is_static = str(environ.get("PATH_INFO", "")).startswith("/static/")

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            policy = NOTHING
            kept = []
            for name, value in headers:
                if name.lower() == POLICY.lower():
                    policy = value
                elif name not in ALWAYS:
                    kept.append((name, value))
            cache = [] if is_static else [("Cache-Control", "no-store")]
            own = [*ALWAYS.items(), *cache, (POLICY, f"{policy}; {NEVER}")]
            return start_response(status, [*kept, *own], *rest)

        return app(environ, start)

    return wrapped


def policy_of(style: str, script: str = "") -> tuple[str, str]:
    """Return the header that lets a page of ours have this style and this script alone."""
    parts = [NOTHING, f"style-src {_hash(style)}", "img-src data:"]
    if script:
        parts += [f"script-src {_hash(script)}", "connect-src 'self'"]
    return POLICY, "; ".join(parts)


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
