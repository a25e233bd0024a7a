"""A worker's name is that of one process, whatever machine it is on."""

import os

import pytest

from study.machine.identity import KEY, host_of, name_of, new_key, own_name, pid_of


def test_processes_of_one_host_and_id_have_two_names() -> None:
    """As in two containers on the host's network; host and id are still read from them."""
    names = [name_of(7, new_key()) for _ in range(2)]
    assert names[0] != names[1]
    assert len({host_of(name) for name in names}) == 1
    assert [pid_of(name) for name in names] == [7, 7]


def test_process_that_replaces_itself_keeps_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its key stands in its environment, also one that its supervisor gave it."""
    monkeypatch.delenv(KEY, raising=False)
    before = own_name()
    assert own_name() == before
    assert pid_of(before) == os.getpid()
    monkeypatch.setenv(KEY, "abcdef")
    assert own_name() == name_of(os.getpid(), "abcdef")


def test_name_that_is_not_ours_has_no_process() -> None:
    """A trial of somebody else may say anything of its worker."""
    assert (host_of("unknown"), pid_of("unknown")) == ("unknown", None)
