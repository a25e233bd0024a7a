"""The lease of a claimed trial: a thread that sends its heartbeat during training.

The thread runs until the training ends. It survives all errors of the database, and stops once the
trial belongs to another worker.
"""

import logging
import threading

from storage.errors import ClaimLostError
from storage.slots.slots import Claim, Slots

logger = logging.getLogger(__name__)


class Lease:
    """Sends heartbeats for a claim from `__enter__` to `__exit__`.

    Attributes:
        lost: Set when the claim is lost; then nothing more may be written for the trial.
    """

    def __init__(self, slots: Slots, claim: Claim, *, interval_s: float) -> None:
        self.lost = threading.Event()
        self._slots = slots
        self._claim = claim
        self._interval_s = interval_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)

    def __enter__(self) -> "Lease":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(timeout=self._interval_s)

    def _beat(self) -> None:
        while not self._ended.wait(self._interval_s):
            try:
                self._slots.beat(self._claim)
            except ClaimLostError:
                if not self._ended.is_set():
                    self.lost.set()
                return
            except Exception as error:
                # The trial goes on. After an outage longer than the grace period another worker
                # takes the slot, and the next heartbeat raises ClaimLostError.
                logger.warning("heartbeat of trial %d failed: %s", self._claim.slot.trial, error)
