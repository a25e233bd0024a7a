"""Register a worker with its study, send its heartbeat, and follow the study's orders.

A thread reads the orders every second, so that `study stop` from another machine takes effect soon.
It goes on while the database is unreachable.
"""

import logging
import os
import socket
import threading
import time
from contextlib import AbstractContextManager
from typing import Any

from storage.errors import StorageError
from storage.registry import Seen
from study.machine.environment import read_environment
from study.spec.open import OpenStudy, Say, read_spec
from study.view.cost import Speed
from study.worker.signals import StopRequest

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
LEAVE_WAIT_S = 0.5  # the database may be unreachable; the record expires anyway


class Presence(AbstractContextManager["Presence"]):
    """Registers the worker during the `with` block.

    Args:
        worker: Name of the worker.
        stop: Receives the study's orders to drain or to end now.
        stop_seen: Id of the latest stop order issued before this worker started, or "none"; this
            order is ignored.

    Attributes:
        state: State in the list of workers: "starting", "waiting", "paused" or "training".
        stays: Whether to stay registered, because a new process takes over the name.
        speed: Training speed, for the list of workers; None before the first trial.
        is_paused: Whether the study is paused, so that the worker may not claim a slot.
    """

    def __init__(
        self, opened: OpenStudy, worker: str, *, stop: StopRequest, stop_seen: str, say: Say
    ) -> None:
        self.state = "starting"
        self.stays = False
        self.speed: Speed | None = None
        self.is_paused = False
        self._opened, self._worker, self._say = opened, worker, say
        environment = read_environment()
        self._facts: dict[str, Any] = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "device": environment.get("device"),
            "threads": opened.spec.threads,
            "versions": environment,
        }
        self._stop, self.stop_seen = stop, stop_seen
        self._heard = stop_seen
        self._registry = opened.registry()
        self._timeout_s = opened.spec.timeout_s
        self._beaten_at = time.monotonic()
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="presence", daemon=True)

    def __enter__(self) -> "Presence":
        self._facts["since"] = self._registry.join(self._worker, self._described())
        self.look()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        if not self.stays:
            self.leave()

    def leave(self) -> None:
        """Remove the worker from the list; may be called from another thread."""
        self._ended.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(LEAVE_WAIT_S)  # its last heartbeat could register the worker again
        try:
            self._opened.registry(LEAVE_WAIT_S).leave(self._worker)
        except Exception as failure:
            logger.info("could not leave the list of workers: %s", failure)

    def tell(self, **facts: Any) -> None:
        """Change facts in the list of workers from the next heartbeat on."""
        self._facts.update(facts)

    def look(self) -> None:
        """Read and follow the study's orders now."""
        seen = self._registry.look()
        with self._lock:  # otherwise two threads could make two requests from one order
            self._follow(seen)

    def _described(self) -> dict[str, Any]:
        speed = None if self.speed is None else self.speed.images_per_s
        return {**self._facts, "state": self.state, "images_per_s": speed}

    def _run(self) -> None:
        heartbeat_s = self._opened.spec.heartbeat_s
        while not self._ended.wait(min(LOOK_EVERY_S, heartbeat_s)):
            try:
                if time.monotonic() - self._beaten_at >= heartbeat_s:
                    self._registry.beat(self._worker, self._described())
                    self._beaten_at = time.monotonic()
                self.look()
            except StorageError as error:  # the study was deleted, or a long outage of the database
                logger.warning("%s", error)
                if "was deleted" in str(error):
                    self._leave(f"study '{self._opened.name}' was deleted")
            except Exception as error:
                logger.warning("the study's orders could not be read: %s", error)

    def _follow(self, seen: Seen) -> None:
        self.is_paused = seen.paused
        if seen.token != self._opened.token:
            self._leave(f"study '{self._opened.name}' was deleted")
        elif seen.stop is not None and seen.stop.id != self._heard:
            self._heard = seen.stop.id
            self._leave("asked to stop" + (" after repeated errors" if seen.stop.why else ""))
            if seen.stop.now:
                self._stop.request()
        elif self._is_over(seen.used_s):
            self._leave(f"the study's {self._timeout_s:g} s are over")

    def _is_over(self, used_s: float) -> bool:
        if self._timeout_s is None or used_s < self._timeout_s:
            return False
        # The timeout may have been raised since this worker read it.
        opened = self._opened
        self._timeout_s = read_spec(opened.storage, opened.study_id, opened.name).timeout_s
        return self._timeout_s is not None and used_s >= self._timeout_s

    def _leave(self, why: str) -> None:
        if not self._stop.event.is_set():
            self._say(why)
            self._stop.request()
