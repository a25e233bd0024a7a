"""Two projects as two machines, two stacks side by side, two studies in one database."""

import ipaddress
import json
from pathlib import Path
from urllib.parse import quote

from tests.compose.stack import PASSWORD, Stack, docker
from tests.compose.test_faults import SYNTHETIC, assert_exact


def reachable_address() -> str:
    """An address of this machine that containers reach: the engine's own bridge."""
    (bridge,) = json.loads(docker("network", "inspect", "bridge"))
    (network,) = bridge["IPAM"]["Config"][:1]
    return network.get("Gateway") or str(next(ipaddress.ip_network(network["Subnet"]).hosts()))


def joined(first: Stack, folder: Path, name: str) -> Stack:
    """A project that shares nothing with the first one but its database, by its address."""
    address = first.compose("port", "db", "5432").strip()
    url = f"postgresql://study:{quote(PASSWORD, safe='')}@{address}/study"
    return Stack(folder, folder, "docker-compose.worker.yml", name=name, STUDY_STORAGE=url)


def hosts_waiting(stack: Stack) -> set[str]:
    """The machines of which a worker waits for a paused study to go on."""
    return {one.host for one in stack.status().workers if one.state == "paused"}


def test_second_machine_joins_by_the_database_alone(folder: Path) -> None:
    """Both have their share of the trials, and a stack beside them has its own study."""
    here, there, beside = (folder / part for part in ("here", "there", "beside"))
    port = {"POSTGRES_ADDRESS": reachable_address()}
    with (
        Stack(here, folder, name="shared", **SYNTHETIC, **port) as first,
        Stack(beside, folder, name="shared", **{**SYNTHETIC, "STUDY_N_TRIALS": 4}) as other,
    ):
        other.up(workers=1)
        first.up("create", "dashboard")
        first.wait_left("create")
        first.compose("exec", "-T", "dashboard", "study", "pause")
        with joined(first, there, "shared") as second:
            first.up(workers=1)
            second.up(workers=1)
            first.wait_until(lambda: len(hosts_waiting(first)) == 2, "a worker of each machine")
            first.compose("exec", "-T", "dashboard", "study", "resume")
            assert_exact(first, 24)
            second.wait_left()
            assert second.states("worker") == [("exited", 0)]
            hosts = {row["worker"].split(":")[0] for row in first.rows()}
            assert len(hosts) == 2
        assert_exact(other, 4)


def test_two_studies_in_one_database(folder: Path) -> None:
    """A worker of each, at the same time; neither sees the other's slots."""
    port = {"POSTGRES_ADDRESS": reachable_address()}
    with Stack(folder / "one", folder, name="one", **SYNTHETIC, **port) as stack:
        stack.up(workers=1)
        named = ("--env", "STUDY_NAME=two", "--env", "STUDY_N_TRIALS=5")
        stack.compose("run", "--rm", "--no-TTY", "--no-deps", *named, "create")
        with joined(stack, folder / "two", "two") as second:
            second.up(workers=1)
            assert_exact(stack, 5, "two")
            second.wait_left()
        assert_exact(stack, 24, "one")
