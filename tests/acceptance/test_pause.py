"""`study pause` and `study resume`: workers stay, claim nothing, and go on."""

from storage.rdb import open_storage
from study.spec.open import open_study
from study.spec.orders import pause
from tests.acceptance.processes import Place
from tests.acceptance.synthetic import expected, look, results, rows_of, slots

N_SLOTS = 4


def test_paused_worker_ends_what_it_has_claims_nothing_and_goes_on(
    place: Place, sqlite_url: str
) -> None:
    """The same process, and the same results as if nobody had paused it."""
    where = ["--storage", sqlite_url, "--study", "s"]
    objective = place.synthetic(sleep_s=2, n_steps=20)
    defining = ["--n-trials", str(N_SLOTS), *objective, "--grace", "6s", "--heartbeat", "1s"]
    with place.start("run", *where, *defining, "--workers", 1) as run:
        run.wait_until(lambda: slots(place.ledger_lines(), "start").total() == 1)
        storage = open_storage(sqlite_url, create=False)
        pause(open_study(storage, "s"), paused=True)
        storage.close()

        def is_paused() -> bool:
            workers = look(sqlite_url, "s").workers
            return [worker.state for worker in workers] == ["paused"]

        run.wait_until(is_paused)
        status = look(sqlite_url, "s")
        assert status.running == 0
        assert 1 <= status.complete < N_SLOTS
        (log,) = place.folder.parent.rglob("worker-*.log")
        assert "study 's' is paused; study resume lets it go on" in log.read_text()
        assert place.run("resume", *where).err == "'s' goes on\n"
        assert run.wait().code == 0
    assert results(rows_of(sqlite_url, "s")) == expected(N_SLOTS)
    assert len({line["pid"] for line in place.ledger_lines()}) == 1
