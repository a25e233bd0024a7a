"""The heartbeat of a claimed trial, in a thread beside its training.

A thread beats until the training ends. It survives every error of the database, and stops once the
trial is another worker's.
"""

import logging
import threading

from storage.errors import ClaimLostError
from storage.slots.slots import Claim, Slots

logger = logging.getLogger(__name__)


class Lease:
    """Beats for a claim from `__enter__` to `__exit__`.

    Attributes:
        lost: Set when the trial is no longer this claim's; nothing more may be written of it.
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
                # The trial goes on: where the database is away for longer than the grace period,
                # another worker takes the slot and the next beat says so.
                logger.warning("heartbeat of trial %d failed: %s", self._claim.slot.trial, error)
