"""What every answer tells a browser: nobody may frame it, guess its kind, or keep it.

optuna-dashboard's own pages bring a content security policy of their own, which is kept; an answer
without one may load nothing.
"""

import base64
import hashlib
from typing import TYPE_CHECKING, Any

from study.web.exchange import App

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
