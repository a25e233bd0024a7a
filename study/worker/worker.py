"""The loop of a worker: claim a trial, train it, until every slot is final.

Decides which trial is next and when the worker stops. A worker without a trial waits while others
are running, to claim a slot that a crash leaves open.
"""

import logging
import time

from storage import attrs
from storage.errors import ClaimLostError, StorageError
from storage.reading import count_unfinished
from storage.slots.rungs import Rungs
from storage.slots.slots import Draw, Slot
from study.machine.environment import read_environment
from study.machine.identity import own_name
from study.spec.draw import draw_params, given_seed, training_seed
from study.spec.open import Loaded, OpenStudy, Say
from study.text import counted
from study.view.cost import Speed, images_of
from study.worker.ending import Ending, Recycling
from study.worker.presence import Presence
from study.worker.suggest import Suggester
from study.worker.told import WorkerOptions
from study.worker.trial import TrialRunner, Workplace

logger = logging.getLogger(__name__)

SHORTEST_WAIT_S, LONGEST_WAIT_S = 0.05, 1.0
LONGEST_OUTAGE_S = 3600.0
"""Time that a worker waits for an unreachable database; then its supervisor starts another."""

LAST_WAIT_S = 1.0
"""The same for a process that must end now; if the release fails, the slot is lost."""


class Worker:
    """Works on one study until it is done or the process is asked to stop.

    Args:
        loaded: The study's objective and data, in this process.
        say: Called with one line for each finished trial.
        presence: Publishes what the worker does, and follows the study's orders.
        ending: The end of this process.

    Attributes:
        is_old: Whether the loop ended so that a new process takes over.
    """

    def __init__(
        self,
        opened: OpenStudy,
        loaded: Loaded,
        options: WorkerOptions,
        say: Say,
        presence: Presence,
        ending: Ending,
    ) -> None:
        self.is_old = False
        self._id = own_name()
        self._opened, self._loaded, self._say = opened, loaded, say
        self._spec, self._slots = opened.spec, opened.patient_slots(LONGEST_OUTAGE_S)
        self._stop, self._presence = ending.stop.event, presence
        self._recycling = Recycling(options.recycle_after)
        self._suggester = Suggester(opened, loaded.objective.space)
        presence.speed = Speed(images_of(loaded.dataset, refits=self._spec.refits is not None))
        place = Workplace(
            opened=opened,
            loaded=loaded,
            slots=self._slots,
            suggester=self._suggester,
            work=opened.work_dir(options.work_dir),
            stop=self._stop,
            say=say,
            drain_s=options.drain_s,
            stop_seen=presence.stop_seen,
            look=presence.look,
            replace=ending.replace,
            speed=presence.speed,
        )
        self._runner = TrialRunner(place)
        self._looked_at = time.monotonic()

    def run(self) -> int:
        """Work until every slot is final or until stopped; return how many trials it finished."""
        n_finished = 0
        wait_s = SHORTEST_WAIT_S
        while not self._stop.is_set() and not self.is_old:
            self._requeue(every_s=self._spec.heartbeat_s)
            claim = None if self._is_paused() else self._slots.claim(self._id, self._draw)
            if claim is not None:
                self._presence.state = "training"
                n_finished += self._runner.run(claim)
                self.is_old = self._recycling.is_due()
                self._presence.state = "waiting"
                wait_s = SHORTEST_WAIT_S
            elif self._is_done():
                break
            else:
                self._stop.wait(wait_s)
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)
        return n_finished

    def release_current(self) -> None:
        """Release the trial in progress; called from another thread when the process must end."""
        claim = self._runner.current
        if claim is not None:
            try:
                self._opened.patient_slots(LAST_WAIT_S).release(claim)
            except ClaimLostError:
                logger.info("trial %d was lost before its release", claim.slot.trial)
            except StorageError as error:
                logger.warning("trial %d was not released: %s", claim.slot.trial, error)

    def _is_paused(self) -> bool:
        """Whether the study is paused; says so once, as the run would seem to hang."""
        is_paused, before = self._presence.is_paused, self._presence.state
        if is_paused and before != "paused":
            self._presence.state = "paused"
            self._say(f"study '{self._opened.name}' is paused; study resume lets it go on")
        elif not is_paused and before == "paused":
            self._presence.state = "waiting"
            self._say(f"study '{self._opened.name}' goes on")
        return is_paused

    def _is_done(self) -> bool:
        self._requeue(every_s=0.5)
        if self._count_unfinished():
            return False
        self._requeue(every_s=0.0)  # for trials that another program ended a moment ago
        if self._spec.promotion is not None:
            self._promote(self._spec.promotion)
        return self._count_unfinished() == 0

    def _promote(self, rungs: Rungs) -> None:
        """Plan the slots of the next rung if all slots are final; every idle worker does so."""
        n_promoted = self._slots.promote(rungs)
        if n_promoted:
            self._say(f"rung complete: {counted(n_promoted, 'slot')} promoted to the next one")

    def _count_unfinished(self) -> int:
        engine = self._opened.storage.engine
        return count_unfinished(engine, self._opened.study_id, wait_s=LONGEST_OUTAGE_S)

    def _requeue(self, *, every_s: float) -> None:
        """Requeue lost trials, and trials that another program ended; every worker does so."""
        now = time.monotonic()
        if now - self._looked_at < every_s:
            return
        self._looked_at = now
        for trial in self._slots.requeue_lost(self._spec.grace_s, self._spec.max_attempts):
            self._say(f"trial {trial} was lost; its slot is open again")
        for trial in self._slots.requeue_strangers():
            self._say(f"another program ended a slot; trial {trial} runs it again")

    def _draw(self, slot: Slot) -> Draw:
        own = {attrs.SEED: self._seed_of(slot), attrs.ENVIRONMENT: read_environment()}
        if self._spec.rungs:
            own |= {attrs.RUNG: slot.rung, attrs.EPOCHS: self._spec.epochs_on(slot.rung)}
        if self._suggester.is_needed or slot.fixed_params:
            return Draw(user_attrs=own)
        space = self._loaded.objective.space
        params = draw_params(space, self._spec.seed, slot.slot, slot.redraw)
        return Draw(params, space.distributions(params), own)

    def _seed_of(self, slot: Slot) -> int:
        if self._spec.refits is None:
            return training_seed(self._spec.seed, slot.slot)
        # The seed depends on params only, so that a finalize with a larger budget reuses trainings.
        return given_seed(self._spec.seed, slot.fixed_params or {})
