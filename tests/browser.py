"""A real browser for the tests: Debian's Chromium, without a window, driven by Selenium.

Nothing is downloaded: both programs are looked for where the system has them.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

NO_BROWSER = "this machine has no chromium with its chromedriver"
LIMIT_S = 120.0


def find_browser() -> tuple[str, str] | None:
    """Return the paths of Chromium and of its driver; None where one of them is missing."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    return None if browser is None or driver is None else (browser, driver)


@contextmanager
def open_browser(folder: Path) -> Iterator[webdriver.Chrome]:
    """Open a browser that keeps its profile in an empty folder; it ends with the block."""
    found = find_browser()
    assert found is not None, NO_BROWSER
    options = webdriver.ChromeOptions()
    options.binary_location, driver_path = found
    arguments = [
        *("--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
        *("--disable-background-networking", "--window-size=1300,1000"),
        f"--user-data-dir={folder}",
    ]
    # Its sandbox refuses root, and containers without user namespaces; the pages are ours.
    arguments.append("--no-sandbox")
    for argument in arguments:
        options.add_argument(argument)
    driver = webdriver.Chrome(options, Service(driver_path))
    try:
        driver.set_page_load_timeout(LIMIT_S)
        yield driver
    finally:
        driver.quit()
