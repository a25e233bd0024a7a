"""The dashboard in a real browser: log in, look around, be refused a delete, log out.

The study's texts are an attacker's: what they hold must be shown and not run.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from selenium.common.exceptions import StaleElementReferenceException, WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.ui import WebDriverWait

from storage.rdb import open_storage
from tests.acceptance.processes import Place, Running
from tests.browser import LIMIT_S
from tests.integration.ourstudies import fail, in_progress

EVIL = '<img src=x onerror="window.ran=1"><script>window.ran=1</script>'
NAME = "digits <b onmouseover=window.ran=1>&amp;"
LOGIN = {"STUDY_DASHBOARD_USER": "ana", "STUDY_DASHBOARD_PASSWORD": "a password of the tests"}


class Site:
    """A dashboard as one sees it in a browser."""

    def __init__(self, driver: WebDriver, url: str) -> None:
        self.driver, self.url = driver, url

    def open(self, path: str) -> None:
        """Go to a page."""
        self.driver.get(f"{self.url}{path}")

    def until(self, condition: Callable[[WebDriver], Any]) -> Any:
        """Wait for what the page is to become, and return it."""
        ignored = (WebDriverException, StaleElementReferenceException)
        return WebDriverWait(self.driver, LIMIT_S, 0.1, ignored).until(condition)

    def find(self, selector: str) -> Any:
        """Return the first element of a CSS selector, once it is there and seen."""

        def seen(driver: WebDriver) -> Any:
            found = driver.find_elements(By.CSS_SELECTOR, selector)
            return next((one for one in found if one.is_displayed()), None)

        return self.until(seen)

    def has(self, text: str) -> None:
        """Wait until the page says something."""
        self.until(lambda driver: text in driver.find_element(By.TAG_NAME, "body").text)

    def log_in(self, password: str) -> None:
        """Fill the login page in."""
        for name, text in (("user", LOGIN["STUDY_DASHBOARD_USER"]), ("password", password)):
            field = self.find(f"input[name={name}]")
            field.clear()
            field.send_keys(text)
        self.find("button.main").click()

    def ran_nothing(self) -> None:
        """Check that no text of the study was run on this page."""
        assert self.driver.execute_script("return window.ran") is None


@contextmanager
def dashboard(place: Place, *arguments: str) -> Iterator[str]:
    """Serve the study of a place behind a login, and yield the URL."""
    command = ("dashboard", "--host", "0.0.0.0", "--port", "0", *arguments)
    with place.start(*command, **LOGIN) as running:
        yield running.wait_until(lambda: url_said(running))


def url_said(running: Running) -> str | None:
    """Return the URL that a dashboard has printed by now."""
    found = re.search(r"dashboard on (http://localhost:\d+)/", running.err())
    return found and found[1]


def make_study(place: Place) -> str:
    """Make a study whose texts are an attacker's; return the storage's URL."""
    storage = open_storage(f"sqlite:///{place.folder}/study.db")
    opened = in_progress(storage, NAME)
    fail(opened, text=EVIL)
    for i in range(8):  # a note, as optuna-dashboard keeps it
        for key, value in ((f"dashboard:{i}:note_ver", 1), (f"dashboard:{i}:note_str:0", EVIL)):
            storage.set_study_system_attr(opened.study_id, key, value)
    storage.close()
    return storage.url


def test_one_logs_in_looks_around_is_refused_a_delete_and_logs_out(
    place: Place, browser: WebDriver
) -> None:
    """The way of somebody who may only look."""
    url = make_study(place)
    with dashboard(place) as address:
        site = Site(browser, address)
        site.open("/dashboard")
        site.log_in("wrong")
        site.has("Wrong user or password")
        site.log_in(LOGIN["STUDY_DASHBOARD_PASSWORD"])
        site.has(NAME)
        site.ran_nothing()

        site.find("button[aria-label='delete study']").click()
        site.find("[role=dialog] button:last-of-type").click()
        site.has("Failed to delete")
        storage = open_storage(url, create=False)
        assert [study.study_name for study in storage.get_all_studies()] == [NAME]
        storage.close()

        site.open("/dashboard/studies/1/trials?numbers=2")
        site.has("Trial 2 (trial_id=3)")
        site.has("Note")
        site.ran_nothing()

        site.find("#study-workers").click()
        site.has("slots given up")
        for details in browser.find_elements(By.TAG_NAME, "details"):
            details.find_element(By.TAG_NAME, "summary").click()
        site.has(f"ValueError: {EVIL}")
        site.has(f"line 49\n{EVIL}")
        assert "Stop all workers" not in browser.find_element(By.TAG_NAME, "body").text
        site.ran_nothing()

        site.find("header button.link").click()
        site.find("input[name=password]")
        site.open("/dashboard")
        site.find("input[name=password]")
        assert browser.get_cookies() == []
        seen = [one for one in browser.get_log("browser") if "Content Security" in one["message"]]
        assert not [one for one in seen if "/dashboard" not in one["message"]]
