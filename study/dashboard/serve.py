"""`study dashboard` from its start to its end: listen, wait for the database, serve, leave.

It listens before the database is there, so that who watches the container sees why it waits.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from study.dashboard.door import SHORT, Door, is_loopback
from study.dashboard.server import Server, listen, url_of

Say = Callable[[str], None]


def serve_dashboard(storage_url: str, *, host: str, port: int, door: Door, say: Say) -> None:
    """Serve optuna-dashboard and our pages on a storage until Ctrl-C or SIGTERM.

    Args:
        storage_url: Nothing is created there; a server that is away is waited for.
        host: Address to listen on.
        port: 0 for any free one.
        door: Who may come in.
        say: Is told the URL, once the dashboard listens there.

    Raises:
        DashboardError: The address cannot be had.
        StorageError: The storage is one that waiting does not mend.
    """
    # Here, not above: they load Optuna, which a wrong address need not wait for.
    from study.dashboard.app import Application, make_site
    from study.dashboard.database import Database

    listening = listen(host, port)
    try:
        database = Database(storage_url)
    except BaseException:
        listening.close()
        raise
    with closing(database):
        application = Application(door, database)
        server = Server(make_site(application), listening, door.is_proxy)

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
            for line in _hello(host, server.port, door):
                say(line)
            server.serve()
        if database.failure is not None:
            raise database.failure


def _hello(host: str, port: int, door: Door) -> Iterator[str]:
    yield f"dashboard on {url_of(host, port)}   (Ctrl-C ends it)"
    if door.is_open:
        return
    if door.password is not None and len(door.password) < SHORT:
        yield f"warning: the password has fewer than {SHORT} characters"
    if not is_loopback(host):
        yield "passwords travel in clear unless TLS stands before it: docs/dashboard.md"


@contextmanager
def _ended_by_signals(server: Server) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end `serve`.

    A KeyboardInterrupt would be lost where it is raised inside what ignores every exception, such
    as the end of a request's objects.
    """

    def ask(number: int, frame: object) -> None:
        server.stop()

    before = {n: signal.signal(n, ask) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
