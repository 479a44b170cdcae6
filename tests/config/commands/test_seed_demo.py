"""The demo tenant begins on a plan, and keeps what an operator chose for it."""

import pytest
from django.core.management import call_command
from django.utils import timezone

from config.settings.base import env
from tenants.limits import services as limit_services
from tenants.limits.effective import load_limits
from tenants.models import Plan, Tenant


@pytest.fixture
def seed(db, settings, tmp_path, monkeypatch):
    monkeypatch.setitem(env.values, "TENANTRY_OPERATOR_PASSWORD", "correct horse battery staple")
    settings.HOME = tmp_path
    return lambda: call_command("seed_demo")


def test_the_demo_tenant_is_on_the_plan_starter(seed):
    seed()
    demo = Tenant.objects.get()
    limits = load_limits(demo.pk, now=timezone.now())
    assert demo.plan.name == "Starter"
    assert limits.rates[0].requests_per_minute == 60_000
    assert (limits.quotas[0].limit, limits.quotas[0].alert_at) == (1_000_000_000, (80, 100))


def test_a_second_start_leaves_the_choice_of_an_operator_alone(seed):
    seed()
    demo = Tenant.objects.get()
    limit_services.set_plan(tenant=demo, plan=None, now=timezone.now())
    seed()
    demo.refresh_from_db()
    assert demo.plan is None
    assert Plan.objects.count() == 1
