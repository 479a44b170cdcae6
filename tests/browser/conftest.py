"""A real Chromium before a live console. Without one, tests skip, or fail if it is required."""

import shutil
from pathlib import Path

import pytest

from tests.fakes.model_server import ModelServer, in_thread
from tests.fixtures.cast import serve
from tests.fixtures.console.people import operator
from tests.fixtures.extras import missing
from tests.fixtures.gateway import gateway_in_thread

__all__ = ["operator"]

FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]


@pytest.fixture
def chromium():
    """The browser's path."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        missing("browser", "Chromium is not installed.")
    return Path(path)


@pytest.fixture
def page(live_server, operator, chromium):
    """A page of a fresh browser. What fails to load, and what a script reports, fails the test."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("browser", "playwright is not installed.")
    problems = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(base_url=live_server.url, viewport={"width": 1440, "height": 900})
        page.on("pageerror", lambda error: problems.append(str(error)))
        # Among them what the Content-Security-Policy did not let happen.
        page.on(
            "console",
            lambda said: problems.append(said.text) if said.type == "error" else None,
        )
        page.on(
            "response",
            lambda answer: problems.append(answer.url) if answer.status >= 400 else None,
        )
        yield page
        browser.close()
    assert not problems


@pytest.fixture
def gateway_url(transactional_db):
    """Where a gateway on the same database answers."""
    with in_thread(ModelServer()) as engine:
        serve(engine.url)
        with gateway_in_thread() as url:
            yield url
