import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.remote.webdriver import WebDriver

from tests.made_up_runs import fake_run
from tsl.report.__main__ import main

FLAGS = (
    *("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking"),
    *("disable-component-update", "disable-sync", "window-size=1200,900"),
)


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """`fake_run` with the name of a run instead of its path."""
    return lambda name="run", **settings: fake_run(tmp_path / "runs" / name, **settings)


@pytest.fixture
def report(tmp_path: Path) -> Callable[..., Path]:
    """Write a report of runs; gives the file."""

    def write(*runs: Path) -> Path:
        out = tmp_path / "report.html"
        assert main([*map(str, runs), "--out", str(out)]) == 0
        return out

    return write


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    """A headless Chromium that finds no network; skips where there is none, except in CI, which installs it."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        if os.environ.get("CI"):
            pytest.fail("CI has to have Chromium: .ci/run installs the Debian packages chromium and chromium-driver")
        pytest.skip("no Chromium: install the Debian packages chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"user-data-dir={tmp_path_factory.mktemp('chromium')}", "host-resolver-rules=MAP * ~NOTFOUND"):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with webdriver.Chrome(options=options, service=Service(driver)) as started:
        yield started
