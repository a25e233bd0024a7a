"""Requests that are refused whoever sends them: those that another site made a browser send.

A web page of somebody else may have its name moved to our address (another `Host`), and may make a
browser send us what it likes (another `Origin`), though it does not see the answer.
"""

from urllib.parse import urlsplit

from study.web.door import Door
from study.web.exchange import Answer, Request
from study.web.listening import is_loopback


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
