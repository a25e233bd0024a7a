"""A dashboard in this process, on a real socket, and requests to it as an attacker writes them."""

import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode

from optuna.study import StudyDirection

from storage.rdb import open_storage
from storage.slots.slots import Slots
from study.dashboard.access import Access
from study.dashboard.app import Application
from study.dashboard.database import Database
from study.dashboard.server import Server, listen

OPEN = Access(is_open=True, allow_writes=True)
USER, PASSWORD = "ana", "a password of the tests"
LOCKED = Access(user=USER, password=PASSWORD)


def plan(url: str, n_slots: int, name: str = "digits") -> None:
    """Make a study with `n_slots` WAITING trials."""
    storage = open_storage(url)
    study_id = storage.create_new_study([StudyDirection.MAXIMIZE], name)
    Slots(storage, study_id).plan(n_slots)
    storage.close()


@dataclass(frozen=True)
class Got:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @property
    def cookie(self) -> str:
        """Name and value of the cookie that was set."""
        return self.headers["set-cookie"].partition(";")[0]


@dataclass
class Client:
    """Sends requests to a port; `headers` go with each of them."""

    port: int
    headers: dict[str, str] = field(default_factory=dict)

    def ask(self, path: str, method: str = "GET", body: str | None = None, **headers: str) -> Got:
        """Send one request; a header's underscores are dashes."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers=self.headers | named)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Got(response.status, found, response.read())
        finally:
            connection.close()

    def send(self, path: str, fields: dict[str, object], **headers: str) -> Got:
        """Send a form."""
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.ask(path, "POST", urlencode(fields), **kind, **headers)

    def json(self, path: str) -> Any:
        """Return the JSON of a request that succeeds."""
        got = self.ask(path)
        assert got.status == 200, got
        return json.loads(got.body)

    def log_in(self, user: str = USER, password: str = PASSWORD) -> Got:
        """Log in, and bring the cookie along from now on."""
        got = self.send("/login", {"user": user, "password": password})
        if "set-cookie" in got.headers:
            self.headers["Cookie"] = got.cookie
        return got


@contextmanager
def served(url: str, access: Access = OPEN) -> Iterator[Client]:
    """Serve a storage that is there on a free port."""
    with closing(Database(url)) as database:
        application = Application(access, database)
        application.prepare()
        server = Server(application, listen("127.0.0.1", 0))
        thread = threading.Thread(target=server.serve)
        thread.start()
        try:
            yield Client(server.port)
        finally:
            server.stop()
            thread.join()
