"""A real headless Chromium for tests of pages; they are skipped, and say so, where there is none."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

REQUIRED = "DIVBENCH_BROWSER"
"""Set to "required" where a missing browser is to fail tests instead of skipping them."""
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--force-color-profile=srgb",
)  # fmt: skip


@contextmanager
def open_browser() -> Iterator:
    """A selenium driver whose console log is kept."""
    programs = [shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")]
    program, driver = next((one for one in programs if one), None), shutil.which("chromedriver")
    if program is None or driver is None:
        missing = "no Chromium with its chromedriver on this machine (Debian: apt-get install chromium chromium-driver)"
        (pytest.fail if os.environ.get(REQUIRED) == "required" else pytest.skip)(missing)
    from selenium import webdriver

    with tempfile.TemporaryDirectory() as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = program
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        for flag in (*_FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        found = webdriver.Chrome(options, webdriver.ChromeService(driver))
        try:
            yield found
        finally:
            found.quit()


def size(driver, width, height=900, *, phone=False):
    """Show pages at so many CSS pixels."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 2 if phone else 1, "mobile": phone}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
