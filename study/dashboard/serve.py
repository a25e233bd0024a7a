"""Runs `study dashboard`: listen, wait for the database, serve until a signal.

It listens before the database is open, so that `/healthz` can report the wait.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from study.dashboard.access import SHORT, Access, is_loopback
from study.dashboard.server import Server, listen, url_of


def serve_dashboard(
    storage_url: str, *, host: str, port: int, access: Access, say: Callable[[str], None]
) -> None:
    """Serve optuna-dashboard and the workers' page until Ctrl-C or SIGTERM.

    Args:
        storage_url: URL of the database. Nothing is created there; an unreachable server is
            waited for.
        host: Address to listen on.
        port: Port to listen on; 0 for any free port.
        access: Who may use the dashboard.
        say: Is given lines for the terminal: the URL, and warnings.

    Raises:
        DashboardError: The address is not available.
        StorageError: Waiting for the storage would not help.
    """
    # Not at the top: they load Optuna, and errors about options should come sooner.
    from study.dashboard.app import Application
    from study.dashboard.database import Database

    with closing(listen(host, port)) as listening, closing(Database(storage_url)) as database:
        application = Application(access, database)
        server = Server(application, listening, access.is_proxy)

        def ready() -> None:
            if database.failure is not None:
                server.stop()
                return
            application.prepare()
            threading.Thread(target=database.warm, name="warm", daemon=True).start()

        with _ended_by_signals(server):
            if database.waits_for is None:
                ready()
            else:
                say(f"waiting for the database: {database.waits_for}")
                database.wait(ready)
            say(f"dashboard on {url_of(host, server.port)}   (Ctrl-C ends it)")
            if not access.is_open:
                if access.password is not None and len(access.password) < SHORT:
                    say(f"warning: the password has fewer than {SHORT} characters")
                if not is_loopback(host):
                    say("passwords are sent in clear unless a proxy adds TLS: docs/dashboard.md")
            server.serve()
        if database.failure is not None:
            raise database.failure


@contextmanager
def _ended_by_signals(server: Server) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end `serve`.

    A KeyboardInterrupt could be lost inside code that ignores all exceptions, such as a finalizer.
    """
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {n: signal.signal(n, lambda number, frame: server.stop()) for n in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
