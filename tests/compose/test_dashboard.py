"""The dashboard as the stack shows it: behind a login, on this machine's address alone."""

import base64
import urllib.error
import urllib.request
from pathlib import Path

from tests.compose.stack import Stack
from tests.compose.test_faults import SYNTHETIC


def answer(url: str, login: str | None = None) -> int:
    """Return the status of a GET; 0 where nobody answers."""
    request = urllib.request.Request(url)
    if login is not None:
        request.add_header("Authorization", f"Basic {base64.b64encode(login.encode()).decode()}")
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def test_dashboard_wants_the_login_of_the_settings(folder: Path) -> None:
    """Its health without a login, all else with the password of `.env`."""
    with Stack(folder, folder, name="shown", **SYNTHETIC) as stack:
        stack.up("create", "dashboard")
        published = stack.compose("port", "dashboard", "8080").strip()
        assert published.startswith("127.0.0.1:")
        url = f"http://{published}"
        stack.wait_until(lambda: answer(f"{url}/healthz") == 200, "a healthy dashboard")
        assert answer(f"{url}/metrics") == 401
        assert answer(f"{url}/api/studies") == 401
        password = stack.environment["STUDY_DASHBOARD_PASSWORD"]
        assert answer(f"{url}/metrics", f"study:{password}") == 200
        assert answer(f"{url}/metrics", f"study:not-{password}") == 401
