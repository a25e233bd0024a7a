"""The command `study dashboard`, and its options.

Imports stand inside the command, so that `study --help` stays quick.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

from study.options import DEFAULT_STORAGE, Storage, by_lines, expand, option

_option = partial(option, panel="Access")


@dataclass(frozen=True)
class AccessOptions:
    """The options that control access to the dashboard."""

    dashboard_user: Annotated[
        str | None,
        _option(
            "--dashboard-user",
            "User who may log in (study); the password is in STUDY_DASHBOARD_PASSWORD or a file",
        ),
    ] = None
    password_file: Annotated[Path | None, _option("--password-file", "File with the password")] = (
        None
    )
    trust_header: Annotated[
        str | None, _option("--trust-header", "Header in which a proxy names the user")
    ] = None
    trusted_proxy: Annotated[
        list[str] | None,
        _option("--trusted-proxy", "Address of that proxy; repeatable", callback=by_lines),
    ] = None
    host_name: Annotated[
        list[str] | None,
        _option(
            "--host-name",
            "Host name in the browser's address; others are refused; repeatable",
            callback=by_lines,
        ),
    ] = None
    allow_writes: Annotated[
        bool, _option("--allow-writes", "Let users rename, delete, stop, retry")
    ] = False


@expand
def dashboard_command(
    storage: Storage = DEFAULT_STORAGE,
    host: Annotated[str, option("--host", "Address to listen on")] = "127.0.0.1",
    port: Annotated[int, option("--port", "Port to listen on")] = 8080,
    *,
    wanted: AccessOptions,
) -> int:
    """Serve optuna-dashboard and a page of the workers.

    On this machine's own address no login is needed. On any other --host users log in, read-only.
    """
    from study.dashboard.access import make_access
    from study.dashboard.serve import serve_dashboard
    from study.view.console import View

    access = make_access(
        host=host,
        user=wanted.dashboard_user,
        password_file=wanted.password_file,
        trust_header=wanted.trust_header,
        trusted_proxies=_split(wanted.trusted_proxy),
        host_names=_split(wanted.host_name),
        allow_writes=wanted.allow_writes,
    )
    serve_dashboard(storage, host=host, port=port, access=access, say=View().say)
    return 0


def _split(values: list[str] | None) -> list[str]:
    """Return a repeatable option's values; in a variable, commas or spaces separate them."""
    return [word for value in values or [] for word in value.replace(",", " ").split()]
