"""What exists is documented, and what is documented exists: settings, errors, metrics, commands."""

import ast
import re

import pytest
from django.conf import settings

from config.celery import app
from config.settings.base import env
from inference.models.pool import Strategy
from inference.signal_kinds import MEASURES
from tests.architecture.source import DOCS, ROOT, product
from tests.architecture.test_errors import LEAVES

READERS = {
    *("text", "secret", "required_secret", "integer", "port", "seconds", "boolean"),
    *("choice", "listed", "url"),
}
METRICS = {"Counter", "Gauge", "Histogram", "Summary", "GaugeMetricFamily"}

PRODUCT = product()


def documented(page):
    """The `names` in the first column of the page's tables."""
    text = (DOCS / page).read_text(encoding="utf-8")
    cells = re.findall(r"^\| *(`[^|]*`[^|]*)\|", text, flags=re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def row(page, name):
    text = (DOCS / page).read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("|") and f"`{name}`" in line]
    assert rows, f"platform/docs/{page} has no row for `{name}`"
    return rows[0]


def first_arguments(names):
    """The constant first argument of every call of something that is called one of `names`."""
    calls = re.compile(rf"\b({'|'.join(names)})\(")
    for source in filter(lambda source: calls.search(source.text), PRODUCT):
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Call) and called(node) in names and node.args:
                first = node.args[0]
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    yield first.value


def called(call):
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def variables():
    """Every variable that the product reads through an Environment."""
    return {name for name in first_arguments(READERS) if re.fullmatch(r"[A-Z][A-Z0-9_]+", name)}


def metrics():
    return {name for name in first_arguments(METRICS) if name.startswith("tenantry_")}


def commands():
    paths = ROOT.glob("**/management/commands/[a-z]*.py")
    return {path.stem for path in paths if not {".venv", ".tenantry"} & set(path.parts)}


def test_every_variable_is_documented():
    assert settings.configured
    assert variables() | set(env.declared) <= documented("configuration.md")


def test_every_documented_variable_is_read_somewhere():
    read = "\n".join(source.text for source in PRODUCT)
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("*.py"))

    gone = {name for name in documented("configuration.md") if f'"{name}"' not in read + tests}

    assert not {name for name in gone if f'"{name.removesuffix("_FILE")}"' not in read}


@pytest.mark.parametrize("name", sorted(env.declared))
def test_a_documented_number_is_the_default(name):
    default = env.declared[name].default
    if default.replace(".", "", 1).isdigit():
        assert default in row("configuration.md", name).replace(",", "")


def test_errors_are_documented_and_exist():
    text = (DOCS / "protocols.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `([a-z_]+)` \| \d{3} \|", text, flags=re.MULTILINE)

    assert sorted(listed) == sorted(leaf.code for leaf in LEAVES)


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.code)
def test_an_errors_status_is_documented(leaf):
    assert str(leaf.status) in row("protocols.md", leaf.code)


def test_metrics_are_documented_and_exist():
    listed = {name for name in documented("operations.md") if name.startswith("tenantry_")}

    assert listed == metrics()


def test_commands_are_documented_and_exist():
    listed = {
        name.removeprefix("manage.py ").split()[0]
        for name in documented("operations.md")
        if name.startswith("manage.py ")
    }

    assert commands() <= listed
    assert listed - commands() <= {"migrate", "createsuperuser", "check", "shell"}


def test_timed_jobs_are_documented_with_their_periods():
    rows = re.findall(
        r"^\| ([a-z_, ]+) \| ([\d s,]+) \|",
        (DOCS / "operations.md").read_text(encoding="utf-8"),
        flags=re.MULTILINE,
    )
    documented_periods = {
        name: int(period.removesuffix(" s"))
        for names, periods in rows
        for name, period in zip(names.split(", "), periods.split(", "), strict=True)
    }

    assert documented_periods == {
        job["task"].rpartition(".")[2]: job["schedule"].run_every.total_seconds()
        for job in app.conf.beat_schedule.values()
    }


def test_strategies_are_documented_and_exist():
    text = (DOCS / "operations.md").read_text(encoding="utf-8")
    table = text.partition("### Which strategy for what")[2].partition("###")[0]
    rows = re.findall(r"^\| ([a-z][\w ]+) \|", table, flags=re.MULTILINE)[1:]

    labels = [re.sub(r"[(,].*", "", label).strip().lower() for label in Strategy.labels]
    assert sorted(row.lower() for row in rows) == sorted(labels)


def test_scaling_signals_are_documented_and_exist():
    text = (DOCS / "scaling.md").read_text(encoding="utf-8")
    table = text.partition("## Signals")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?`) \|", table, flags=re.MULTILINE)

    assert sorted(re.findall(r"`(\w+)`", " ".join(rows))) == sorted(MEASURES)


def test_doors_are_documented_and_exist():
    text = (DOCS / "protocols.md").read_text(encoding="utf-8")
    documented_doors = set(re.findall(r"/v1/[\w/-]+", text))
    sources = (ROOT / "platform/config/gateway/routing.py").read_text(encoding="utf-8")
    addresses = re.findall(r'at\(\s*r"\^(v1/[\w/-]+)\\Z"', sources)

    assert addresses
    assert {f"/{address}" for address in addresses} <= documented_doors
