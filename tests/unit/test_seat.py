"""Locks on GPUs: which worker gets one, which does not, and whether it is kept."""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from study.errors import StudyError
from study.machine.gpus import Gpu
from study.machine.locks import KEPT, GpuLock, GpuLocks, Holder, kept_lock
from study.machine.pin import why_taken

ONE, OTHER = Gpu("GPU-aa/11", 0, "Card", 80000), Gpu("GPU-bb", 1, "Card", 80000)
ANA, BEN = Holder("t1", "digits", "ana@host, pid 1"), Holder("t2", "fashion", "ben@host, pid 2")


class Host:
    """The locks of a machine, and what was taken of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = GpuLocks(folder)
        self.taken: list[GpuLock] = []

    def take(self, gpus: list[Gpu], n_seats: int, holder: Holder) -> tuple[str, int] | None:
        seat = self.folder.take(gpus, n_seats, holder)
        if seat is None:
            return None
        self.taken.append(seat)
        return seat.uuid, seat.number

    def leave(self) -> None:
        """As the end of the process would."""
        os.close(self.taken.pop().handle)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    found = Host(tmp_path / "locks")
    yield found
    for seat in found.taken:
        with suppress(OSError):
            os.close(seat.handle)


def test_two_studies_do_not_land_on_one_card(host: Host) -> None:
    """The second takes the other card, the third none, until one is free."""
    assert host.take([ONE, OTHER], 1, ANA) == (ONE.uuid, 0)
    assert host.take([ONE, OTHER], 1, BEN) == (OTHER.uuid, 0)
    assert host.take([ONE, OTHER], 1, Holder("t3")) is None
    host.leave()
    assert host.take([ONE, OTHER], 1, Holder("t3")) == (OTHER.uuid, 0)


def test_workers_of_a_study_share_a_card_up_to_its_seats(host: Host) -> None:
    """Evenly over the cards; no other study comes in between."""
    found = [host.take([ONE, OTHER], 2, ANA) for _ in range(4)]
    assert found == [(ONE.uuid, 0), (OTHER.uuid, 0), (ONE.uuid, 1), (OTHER.uuid, 1)]
    assert host.take([ONE, OTHER], 2, ANA) is None
    host.leave()
    assert host.take([ONE, OTHER], 8, BEN) is None
    assert host.take([ONE, OTHER], 2, ANA) == (OTHER.uuid, 1)


def test_who_waits_is_told_for_whom(host: Host) -> None:
    """Study and person, on one line; looking takes nothing."""
    host.take([ONE], 1, ANA)
    assert why_taken([ONE, OTHER], host.folder) == (
        "GPU 0 is taken by study 'digits' (ana@host, pid 1)"
    )
    assert host.take([OTHER], 1, BEN) is not None


def test_locks_are_for_every_user(host: Host, tmp_path: Path) -> None:
    """Whatever the umask of whoever came first."""
    before = os.umask(0o077)
    try:
        host.take([ONE], 1, ANA)
    finally:
        os.umask(before)
    folder = tmp_path / "locks"
    assert folder.stat().st_mode & 0o7777 == 0o1777
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o666}


def test_folder_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    """With the option that names another."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StudyError, match="the locks of the GPUs in") as refused:
        GpuLocks(tmp_path / "file").take([ONE], 1, ANA)
    assert "--gpu-locks" in str(refused.value.hint)


def test_link_in_the_place_of_a_lock_is_not_followed(host: Host, tmp_path: Path) -> None:
    """Everybody may write into the folder: nobody's own file is touched through it."""
    precious = tmp_path / "precious"
    precious.write_text("mine")
    assert host.take([OTHER], 1, ANA) is not None
    (tmp_path / "locks" / "GPU-aa-11.seat-0").symlink_to(precious)
    with pytest.raises(StudyError):
        host.take([ONE], 1, ANA)
    assert precious.read_text() == "mine"


def test_seat_is_kept_by_the_process_that_replaces_this_one(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same pid has the same handle; a child that inherited the variable has no seat."""
    monkeypatch.setenv(KEPT, "")
    assert kept_lock() is None
    host.take([ONE], 1, ANA)
    host.taken[0].keep()
    assert not os.get_inheritable(host.taken[0].handle)  # no command of a user's code has it
    host.taken[0].hand_on()
    assert os.get_inheritable(host.taken[0].handle)
    assert kept_lock() == host.taken[0]
    described = json.loads(os.environ[KEPT])
    monkeypatch.setenv(KEPT, json.dumps({**described, "pid": os.getppid()}))
    assert kept_lock() is None
    monkeypatch.setenv(KEPT, json.dumps({**described, "handle": 9999}))
    assert kept_lock() is None


DEEP, ODD = "[" * 4000, json.dumps({"token": [1], "study": None, "who": {}})


@pytest.mark.parametrize("text", [DEEP, ODD, "[1]", "3", "\x00", json.dumps({"more": "fields"})])
def test_holder_that_says_nonsense_holds_its_seat(host: Host, tmp_path: Path, text: str) -> None:
    """Whatever stands in the file: the lock counts."""
    assert host.take([ONE], 1, ANA) is not None
    (tmp_path / "locks" / "GPU-aa-11.seat-0").write_text(text)
    assert host.take([ONE], 1, BEN) is None
    assert why_taken([ONE], host.folder) == "GPU 0 is taken by study '?' (somebody)"


def test_files_that_are_no_seats_are_passed_over(host: Host, tmp_path: Path) -> None:
    """Anybody may put them there."""
    host.take([OTHER], 1, BEN)
    for name in ("abc", "", "-1", "9" * 30, "\u0663"):
        (tmp_path / "locks" / f"GPU-aa-11.seat-{name}").touch()
    os.mkfifo(tmp_path / "locks" / "GPU-aa-11.seat-7")
    (tmp_path / "locks" / "GPU-aa-11.seat-8").mkdir()
    assert host.take([ONE], 1, ANA) == (ONE.uuid, 0)


def test_name_of_a_holder_forges_no_line(host: Host) -> None:
    """It is another user's text."""
    host.take([ONE], 1, Holder("t", "a\nstudy: error: \x1b[2J", "w" * 4000))
    shown = why_taken([ONE], host.folder)
    assert shown.isprintable()
    assert len(shown) < 250
