"""The console in exactly the files that its image has, with the settings of production."""

import json
import os
import re
import secrets
import shlex
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

import pytest
from cryptography.fernet import Fernet
from django.conf import settings
from django.urls import reverse

from tests.fixtures.fleet.manifests import documents
from tests.fixtures.servers.ports import free_port
from tests.fixtures.servers.processes import test_database_url as database_url

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

CHECKOUT = Path(__file__).resolve().parents[3]
CONTAINERFILE = (CHECKOUT / "deploy" / "Containerfile").read_text().replace("\\\n", " ")
(DEPLOYMENT,) = (
    each
    for each in documents(CHECKOUT / "deploy" / "k8s" / "platform" / "console.yaml")
    if each["kind"] == "Deployment"
)
COMMAND = DEPLOYMENT["spec"]["template"]["spec"]["containers"][0]["command"]
PROXY = {"Host": "console.example.org", "X-Forwarded-Proto": "https"}


def instructions(name):
    return re.findall(rf"^{name} (.*)$", CONTAINERFILE, re.MULTILINE)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A folder with what the image copies, after the commands that use it."""
    folder = tmp_path_factory.mktemp("image")
    for sources, target in (line.rsplit(" ", 1) for line in instructions("COPY")):
        for source in sources.split():
            place = folder / (source if target == "./" else target)
            place.parent.mkdir(parents=True, exist_ok=True)
            copy = shutil.copytree if (CHECKOUT / source).is_dir() else shutil.copy
            copy(CHECKOUT / source, place)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for command in instructions("RUN"):
        if "manage.py" in command:
            subprocess.run(
                ["/bin/sh", "-ec", command],
                cwd=folder,
                env={**paths_of(folder), "PATH": path},
                check=True,
            )
    return folder


def paths_of(folder):
    """The variables of the image that name its folders."""
    variables = dict(
        word.partition("=")[::2] for word in shlex.split(" ".join(instructions("ENV")))
    )
    return {"PYTHONPATH": variables["PYTHONPATH"].replace("/srv/tenantry", str(folder))}


@contextmanager
def console(folder, home):
    port = free_port()
    env = {
        **paths_of(folder),
        "PATH": os.environ["PATH"],
        "DATABASE_URL": database_url(),
        "REDIS_URL": settings.REDIS_LIMITS_URL,
        "DJANGO_SETTINGS_MODULE": "config.settings.console",
        "TENANTRY_HOME": str(home),
        "TENANTRY_SECRET_KEY": secrets.token_urlsafe(50),
        "TENANTRY_KEY_PEPPERS": secrets.token_urlsafe(32),
        "TENANTRY_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
        "TENANTRY_ALLOWED_HOSTS": PROXY["Host"],
        "TENANTRY_CONSOLE_URL": f"https://{PROXY['Host']}",
    }
    command = [sys.executable, *COMMAND[1:]]
    command[command.index("-b") + 1], command[command.index("-p") + 1] = "127.0.0.1", str(port)
    with (home / "log").open("wb") as log, subprocess.Popen(
        command, cwd=folder, env=env, stdout=log, stderr=log
    ) as process:  # fmt: skip
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until_served(url, process, home / "log")
            yield url
        finally:
            process.terminate()


def wait_until_served(url, process, log):
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        assert process.poll() is None, log.read_text()[-2000:]
        try:
            fetch(url + "/healthz")
        except URLError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(log.read_text()[-2000:])


class NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *_, **__):
        return None


def fetch(url):
    """The status and the body, as a browser behind the proxy gets them."""
    try:
        with build_opener(NoRedirects).open(Request(url, headers=PROXY), timeout=10) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        return error.code, error.read()


class Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = set()

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        link = (
            found.get("src")
            if tag in {"script", "img"}
            else found.get("href")
            if tag == "link"
            else None
        )
        if link and link.startswith("/static/"):
            self.found.add(link)


def test_the_page_of_the_login_has_its_styles_and_scripts(tree, tmp_path):
    with console(tree, tmp_path) as url:
        status, page = fetch(url + reverse("admin:login"))
        links = Links()
        links.feed(page.decode())

        assert status == 200
        assert len(links.found) > 5
        missing = {link for link in links.found if fetch(url + link)[0] != 200}
        assert missing == set()
    for line in (tmp_path / "log").read_text().splitlines():
        assert json.loads(line)["level"], "the log is JSON, and nothing else"


def test_the_image_has_no_secrets_and_no_tests(tree):
    ignored = (CHECKOUT / ".dockerignore").read_text().splitlines()
    assert {".git", ".tenantry", ".env", "tests"} <= set(ignored)
    assert not (tree / "tests").exists()
