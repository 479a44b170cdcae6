"""A database of the landed version is migrated forward with its rows, and its pages open.

`before_renames.sql` was made at the version before public names were changed (2026-11-30): a test
migrated an empty database, let a gateway serve two tenants (a chat, a response, a run that waits
for an approval), ran `manage.py seed_demo`, and added one row of every other kind through the
services. `pg_dump --inserts --rows-per-insert=200 --no-owner --no-privileges` wrote it, without
its comments and `SET` lines. It is never made anew: it stands for the databases that are installed.
"""

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from django.contrib import admin
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse

from agents.models import AgentRevision, Rollout, Run
from agents.schema.checkpoint import load_checkpoint
from agents.schema.items import ApprovalRequest, FunctionCall
from config.api.urls import router
from inference.models import ModelPool, ScalingSchedule
from inference.models.scaling_record import PoolSample, ScalingDecision
from tenants.models import Plan, PlanQuota, Quota, RateLimit, UsageEvent, User
from tenants.scoping import every_tenant

pytestmark = [pytest.mark.django_db, pytest.mark.slow, pytest.mark.timeout(300)]

DUMP = Path(__file__).with_name("before_renames.sql")
DATABASE = f"upgrade_with_rows_{os.getpid()}"
MADE_BY_MIGRATE = {"django_migrations", "django_content_type", "auth_permission"}

TABLE = re.compile(r"CREATE TABLE public\.(\w+) \((.*?)^\);", re.DOTALL | re.MULTILINE)
COLUMN = re.compile(r'^    "?([a-z_]+)"? ', re.MULTILINE)
READ_BY_THE_CONSOLE_ALONE = {
    "inference_poolsample",
    "inference_scalingdecision",
    "inference_scalingstate",
}
"""Their columns may be renamed without a trace: console and Celery are replaced together."""

VALUES = (
    (
        *(Rollout, {"state": "running", "tenant__slug": "acme"}),
        {
            "share": 10,
            "min_runs": 30,
            "max_error_rate_increase_points": 2,
            "max_latency_increase_percent": 25,
        },
    ),
    (
        *(AgentRevision, {"agent__slug": "support", "tenant__slug": "acme", "number": 1}),
        {"busy_policy": "reject", "response_cache": "deterministic", "overflow": "summarise"},
    ),
    (Run, {"pk": 1}, {"door": "responses", "state": "requires_approval", "completion_tokens": 5}),
    (
        *(RateLimit, {"requests_per_minute": 120, "tenant__slug": "acme"}),
        {"request_kind": "chat", "request_burst": 20, "concurrency": 8},
    ),
    (
        *(Quota, {"limit": 50_000, "tenant__slug": "acme"}),
        {
            "request_kind": "chat",
            "hold": "extend",
            "on_redis_outage": "closed",
            "outage_cap": 77,
        },
    ),
    (
        PlanQuota,
        {"plan__name": "Team"},
        {"request_kind": "embeddings", "limit": 9000, "roll_over": True},
    ),
    (Plan, {"name": "Team"}, {"default_max_completion_tokens": 4000, "weight": 3}),
    (
        *(UsageEvent, {"request_id": "req_acme_1", "kind": "final"}),
        {"door": "chat.completions", "agent": "support", "prompt_tokens": 1000, "cost_micro": 120},
    ),
    (ModelPool, {"name": "large"}, {"engine": "vllm", "strategy": "prefix_affinity"}),
    (ScalingSchedule, {"name": "sale"}, {"min_replicas": 5, "max_replicas": 9}),
    (
        *(ScalingDecision, {"slot": 119684160}),
        {
            "limited_by": "bounds",
            "signal_results": [
                {
                    "kind": "waiting",
                    "value": 0,
                    "target": 10.0,
                    "replicas": 1,
                    "message": "Waiting requests: 0 in all, but not every replica tells: "
                    "1 replica stay.",
                }
            ],
        },
    ),
    (ScalingDecision, {"slot": 1}, {"proposed": 5, "desired": 4, "outcome": "applied"}),
    (
        *(PoolSample, {"stretch": 300, "at": datetime(2026, 11, 21, 12, 5, tzinfo=UTC)}),
        {"desired": 4, "min_replicas": 2, "max_replicas": 10, "request_rate": 2.5},
    ),
)
"""A model, which of its rows, and what the dump has there, under today's names."""


@pytest.fixture(scope="module")
def upgraded(django_db_setup, django_db_blocker) -> Iterator[dict[str, int]]:
    """The migrated database is the default one meanwhile. The value: rows by table before."""
    name = connection.settings_dict["NAME"]
    with django_db_blocker.unblock():
        with connection._nodb_cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
            cursor.execute(f"CREATE DATABASE {DATABASE}")
        try:
            use_database(DATABASE)
            counted = restore()
            call_command("migrate", verbosity=0)
            yield counted
        finally:
            use_database(name)
            with connection._nodb_cursor() as cursor:
                cursor.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")


def use_database(name: str) -> None:
    connection.close()
    connection.close_pool()
    connection.settings_dict["NAME"] = name


def restore() -> dict[str, int]:
    facts = connection.get_connection_params()
    names = ("dbname", "user", "password", "host", "port")
    with psycopg.connect(**{name: facts[name] for name in names if name in facts}) as database:
        database.execute(DUMP.read_text())
    return count_rows()


def count_rows() -> dict[str, int]:
    with connection.cursor() as cursor:
        names = set(connection.introspection.table_names(cursor)) - MADE_BY_MIGRATE
        counted = {}
        for name in sorted(names):
            cursor.execute(f'SELECT count(*) FROM "{name}"')
            counted[name] = cursor.fetchone()[0]
    return counted


@pytest.fixture
def browser(upgraded) -> Client:
    """The operator's."""
    client = Client()
    client.force_login(User.objects.get(username="operator"))
    return client


def test_no_row_is_lost(upgraded):
    assert {name: rows for name, rows in count_rows().items() if name in upgraded} == upgraded
    assert sum(upgraded.values()) > 200


@pytest.mark.usefixtures("upgraded")
@pytest.mark.parametrize(("model", "which", "values"), VALUES)
def test_each_value_is_found_under_its_name_of_today(model, which, values):
    with every_tenant():
        row = model._base_manager.get(**which)

    assert {name: getattr(row, name) for name in values} == values


@pytest.mark.usefixtures("upgraded")
@pytest.mark.parametrize(
    ("query", "row"),
    [
        ("SELECT DISTINCT door FROM tenants_ratelimit WHERE requests_per_minute = 120", ("chat",)),
        (
            "SELECT DISTINCT door, when_redis_is_away FROM tenants_quota WHERE outage_cap = 77",
            ("chat", "closed"),
        ),
        ("SELECT longest_answer FROM tenants_plan WHERE name = 'Team'", (4000,)),
        (
            "SELECT least_runs, most_errors, most_latency FROM agents_rollout WHERE id = 2",
            (30, 2, 25),
        ),
        ("SELECT DISTINCT forced FROM inference_modelendpoint", ("",)),
    ],
)
def test_an_older_gateway_still_reads_rows_by_the_old_columns(query, row):
    with connection.cursor() as cursor:
        cursor.execute(query)

        assert cursor.fetchall() == [row]


@pytest.mark.usefixtures("upgraded")
def test_tables_that_gateways_read_have_every_column_of_the_version_before():
    before = dict(TABLE.findall(DUMP.read_text()))
    lost = {}
    with connection.cursor() as cursor:
        for name in before.keys() - READ_BY_THE_CONSOLE_ALONE:
            described = connection.introspection.get_table_description(cursor, name)
            gone = set(COLUMN.findall(before[name])) - {column.name for column in described}
            if gone:
                lost[name] = gone

    assert len(before) > 50
    assert not lost, "add the old name as a generated column (ADR 41)"


@pytest.mark.usefixtures("upgraded")
def test_a_run_that_waits_for_an_approval_can_be_resumed():
    checkpoint = load_checkpoint(Run._base_manager.get(pk=1).checkpoint)

    assert checkpoint is not None
    assert checkpoint.usage.completion_tokens == 5
    assert [type(item) for item in checkpoint.items] == [FunctionCall, ApprovalRequest]


@pytest.mark.usefixtures("upgraded")
def test_models_and_tables_agree():
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


@pytest.mark.parametrize("model", sorted(admin.site._registry, key=lambda each: each._meta.label))
def test_each_list_and_row_of_the_console_opens(browser, model):
    name = model._meta.label_lower.replace(".", "_")
    row = model._base_manager.order_by("-pk").first()
    addresses = [reverse(f"admin:{name}_changelist")]
    addresses += [reverse(f"admin:{name}_change", args=(row.pk,))] if row else []

    assert {address: browser.get(address).status_code for address in addresses} == dict.fromkeys(
        addresses, 200
    )


@pytest.mark.parametrize("path", ["", *sorted(prefix for prefix, _, _ in router.registry)])
def test_each_list_of_the_api_answers(browser, path):
    page = browser.get(f"/api/v1/{path}" if path else "/admin/")

    assert page.status_code == 200
