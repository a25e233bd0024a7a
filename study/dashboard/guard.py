"""Protection against cross-site requests, and the security headers of every response.

Another site may point its own name at this address (then `Host` differs), or make a browser send
requests here (then `Origin` differs), though it cannot read the answers. The content security
policy of optuna-dashboard's pages is kept; a response without a policy may load nothing.
"""

from urllib.parse import urlsplit

from bottle import HTTPResponse

from study.dashboard.access import Access, is_loopback
from study.dashboard.request import TEXT, Request
from study.view.html import policy_hash

POLICY = "Content-Security-Policy"
NOTHING = "default-src 'none'"
NEVER = "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not `no-referrer`, under which browsers send `Origin: null` even with this site's forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def refuse_foreign(access: Access, request: Request) -> None:
    """Raise a 403 for a request to another host name, or from another site's page."""
    host = request.header("Host")
    if not _is_ours(access, host):
        names = "http://localhost" if access.is_open else "the names given with --host-name"
        raise _foreign(f"only to {names} and to its own pages")
    origin = request.environ.get("HTTP_ORIGIN")
    # Either scheme, as a proxy may add TLS.
    if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
        raise _foreign("only to its own pages")
    # Browsers send this header with every request, `Origin` only with some.
    is_foreign = request.header("Sec-Fetch-Site") in ("cross-site", "same-site")
    if is_foreign and not (request.is_safe and request.header("Sec-Fetch-Mode") == "navigate"):
        raise _foreign("only to its own pages")


def _foreign(whom: str) -> HTTPResponse:
    return HTTPResponse(f"This dashboard answers {whom}.\n", 403, Content_Type=TEXT)


def _is_ours(access: Access, host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:  # an unpaired bracket
        name = ""
    if is_loopback(name):
        return True  # with any port, as a tunnel may use another one
    return not access.is_open and (not access.hosts or name in access.hosts)


def add_headers(answer: HTTPResponse, *, is_static: bool) -> None:
    """Add the headers of every response."""
    policy = answer.get_header(POLICY, NOTHING)
    for name, value in {**ALWAYS, POLICY: f"{policy}; {NEVER}"}.items():
        answer.set_header(name, value)
    if not is_static:
        answer.set_header("Cache-Control", "no-store")


def policy_of(style: str, script: str) -> str:
    """Return the policy that allows a page only this style and this script."""
    parts = [NOTHING, f"style-src {policy_hash(style)}", "img-src data:"]
    if script:
        parts += [f"script-src {policy_hash(script)}", "connect-src 'self'"]
    return "; ".join(parts)
