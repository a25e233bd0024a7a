"""What the compose files promise without an engine: no default password, data read-only, an end."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FILES = ("docker-compose.yml", "docker-compose.worker.yml")
OF_THE_PROGRAM = ("create", "worker", "dashboard", "finalize")


def services_of(name: str) -> dict[str, Any]:
    services: dict[str, Any] = yaml.safe_load((ROOT / name).read_text("utf-8"))["services"]
    return services


def test_the_stack_has_its_services() -> None:
    """The names that a person types."""
    assert set(services_of(FILES[0])) == {"db", *OF_THE_PROGRAM}
    assert set(services_of(FILES[1])) == {"worker"}


def with_a_default(text: str) -> list[str]:
    """Return the passwords in a compose file that are not `${NAME:?what to set}`."""
    values = re.findall(r"^\s*(?:\w*PASSWORD|STUDY_STORAGE): *(.*)$", text, re.MULTILINE)
    return [v for v in values if not re.match(r"\$\{\w+:\?|postgresql://study@db/study$", v)]


@pytest.mark.parametrize("name", FILES)
def test_no_password_has_a_default(name: str) -> None:
    """Without one, compose says what to set."""
    text = (ROOT / name).read_text("utf-8")
    assert with_a_default(text) == []
    assert ":?set it in .env" in text


@pytest.mark.parametrize("line", ["PGPASSWORD: study", "POSTGRES_PASSWORD: ${X:-study}"])
def test_default_password_is_found(line: str) -> None:
    """Written out, or as a default of a variable."""
    assert with_a_default(f"  {line}\n") != []


def test_env_example_has_no_password() -> None:
    """Whoever copies it has to choose."""
    lines = (ROOT / ".env.example").read_text("utf-8").splitlines()
    found = [line for line in lines if "_PASSWORD=" in line and not line.startswith("#")]
    assert found == ["POSTGRES_PASSWORD=", "STUDY_DASHBOARD_PASSWORD="]


@pytest.mark.parametrize("name", FILES)
def test_data_are_mounted_read_only(name: str) -> None:
    """No container can change the files that a study is about."""
    for service in services_of(name).values():
        mounts = [mount for mount in service["volumes"] if "STUDY_DATA" in mount]
        assert all(mount.endswith(":/data:ro") for mount in mounts)
        assert mounts or service["image"] == "postgres:17"


def test_the_dashboard_cannot_write_what_workers_read() -> None:
    """Whoever gets into it finds checkpoints and logs read-only, and a place for large answers."""
    dashboard = services_of(FILES[0])["dashboard"]
    assert all("ro" in options_of(mount) for mount in dashboard["volumes"])
    assert dashboard["environment"]["TMPDIR"] == dashboard["tmpfs"]


def test_one_container_copies_the_folders_of_the_image_into_the_volume() -> None:
    """Docker creates the containers of `up` at once, and fails where two of them copy."""
    started = {n: s for n, s in services_of(FILES[0]).items() if n not in ("db", "finalize")}
    copies = [
        name
        for name, service in started.items()
        for mount in service["volumes"]
        if mount.startswith("work:") and "nocopy" not in options_of(mount)
    ]
    assert copies == ["create"]


def options_of(mount: str) -> list[str]:
    """The options of a mount in Compose's short form, such as `ro`."""
    return mount.rpartition(":")[2].split(",")


@pytest.mark.parametrize("name", FILES)
def test_worker_drains_and_ends(name: str) -> None:
    """It has the time to hand its slot back, and the end of the study does not start it again."""
    worker = services_of(name)["worker"]
    assert int(worker["stop_grace_period"].removesuffix("s")) > 8 + 5
    assert worker["restart"].startswith("on-failure")


@pytest.mark.parametrize("service", ["db", "dashboard"])
def test_ports_are_this_machines_alone(service: str) -> None:
    """Only an address in .env shows them to others."""
    assert all("_ADDRESS:-127.0.0.1}:" in p for p in services_of(FILES[0])[service]["ports"])


@pytest.mark.parametrize("name", FILES)
def test_programs_have_no_privileges(name: str) -> None:
    """They run as the image's user, without capabilities; finalize alone looks whose ./out is."""
    for service_name, service in services_of(name).items():
        if service_name == "db":
            continue
        assert service["cap_drop"] == ["ALL"]
        assert ("user" in service) == (service_name == "finalize")
    image = (ROOT / "Dockerfile").read_text("utf-8")
    assert "\nUSER study\n" in image
    assert "HEALTHCHECK" in image


def test_gpu_machine_has_one_worker_container() -> None:
    """It supervises a worker a card; replicas would land on one."""
    worker = services_of("docker-compose.gpu.yml")["worker"]
    assert (worker["scale"], worker["command"]) == (1, ["--workers", "auto"])
    (devices,) = worker["deploy"]["resources"]["reservations"]["devices"]
    assert devices["capabilities"] == ["gpu"]
    assert worker["build"]["args"] == {"REQUIREMENTS": "requirements-gpu.lock"}


@pytest.mark.parametrize("name", [*FILES, "docker-compose.gpu.yml"])
def test_every_variable_is_explained(name: str) -> None:
    """`.env.example` names what the file reads."""
    explained = (ROOT / ".env.example").read_text("utf-8")
    read = set(re.findall(r"\$\{(\w+)", (ROOT / name).read_text("utf-8")))
    assert [variable for variable in read if f"{variable}=" not in explained] == []
