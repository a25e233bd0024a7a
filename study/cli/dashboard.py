"""The dashboard's command: its options, and the settings that they make.

Imports stand inside the command, so that `study --help` stays quick.
"""

from pathlib import Path
from typing import Annotated, Any

import typer

from study.options import DEFAULT_STORAGE, Storage, by_lines

PANEL = "Who may come in"


def _option(flag: str, help_text: str, **more: Any) -> Any:
    variable = "STUDY_" + flag[2:].replace("-", "_").upper()
    return typer.Option(flag, envvar=variable, help=help_text, **more)


User = Annotated[
    str | None,
    _option(
        "--dashboard-user",
        "Who may log in (study); the password is in STUDY_DASHBOARD_PASSWORD or a file",
        rich_help_panel=PANEL,
    ),
]
PasswordFile = Annotated[
    Path | None, _option("--password-file", "File with the password", rich_help_panel=PANEL)
]
TrustHeader = Annotated[
    str | None,
    _option("--trust-header", "Header in which a proxy says who it is", rich_help_panel=PANEL),
]
TrustedProxy = Annotated[
    list[str] | None,
    _option(
        "--trusted-proxy",
        "Address of that proxy; repeatable",
        rich_help_panel=PANEL,
        callback=by_lines,
    ),
]
HostName = Annotated[
    list[str] | None,
    _option(
        "--host-name",
        "Name in the browser's address, others are refused; repeatable",
        rich_help_panel=PANEL,
        callback=by_lines,
    ),
]
AllowWrites = Annotated[
    bool,
    _option("--allow-writes", "Let who is in rename, delete, stop, retry", rich_help_panel=PANEL),
]


def dashboard_command(
    storage: Storage = DEFAULT_STORAGE,
    host: Annotated[str, _option("--host", "Address to listen on")] = "127.0.0.1",
    port: Annotated[int, _option("--port", "Port to listen on")] = 8080,
    dashboard_user: User = None,
    password_file: PasswordFile = None,
    trust_header: TrustHeader = None,
    trusted_proxy: TrustedProxy = None,
    host_name: HostName = None,
    allow_writes: AllowWrites = False,
) -> int:
    """Serve optuna-dashboard and the page of the workers.

    On this machine alone it needs no login. On any other --host it wants one, and only shows.
    """
    from study.dashboard.access import make_access
    from study.dashboard.serve import serve_dashboard
    from study.view.console import View

    access = make_access(
        host=host,
        user=dashboard_user,
        password_file=password_file,
        trust_header=trust_header,
        trusted_proxies=_split(trusted_proxy),
        host_names=_split(host_name),
        allow_writes=allow_writes,
    )
    serve_dashboard(storage, host=host, port=port, access=access, say=View().say)
    return 0


def _split(values: list[str] | None) -> list[str]:
    """Return the values of a repeatable option; in the environment commas or spaces part them."""
    return [word for value in values or [] for word in value.replace(",", " ").split()]
