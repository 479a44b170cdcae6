"""The cast of the console's tests: two tenants, their people, and an operator."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from inference import services as inference
from tenants import services
from tenants.models import Tenant, UsageEvent, User

PASSWORD = "correct horse battery staple"


@pytest.fixture
def acme(db):
    return services.create_tenant(slug="acme", name="Acme")


@pytest.fixture
def rival(db):
    return services.create_tenant(slug="rival", name="Rival")


@pytest.fixture
def operator(db):
    return User.objects.create_superuser("olga", "olga@example.org", PASSWORD)


@pytest.fixture
def console(operator):
    """The operator's browser. Every page is asked for as an operator would."""
    client = Client()
    client.force_login(operator)
    return client


@pytest.fixture
def pool(db):
    return inference.create_pool(name="small", engine="vllm")


@pytest.fixture
def route(pool):
    return inference.create_route(name="smollm2", pool=pool)


def rows(model):
    """Every tenant's rows. Not a scope: one that leaked into a view would hide a missing fence."""
    return model._base_manager.all()


def make_person(tenant: Tenant, role: str) -> User:
    user = User.objects.create_user(f"{role}-of-{tenant.slug}", password=PASSWORD)
    services.add_member(tenant=tenant, user=user, role=role)
    return user


def make_event(tenant: Tenant, number: int = 1, **facts) -> UsageEvent:
    began = facts.pop("started_at", timezone.now() - timedelta(minutes=1))
    return UsageEvent._base_manager.create(
        **{
            "tenant": tenant,
            "request_id": f"req_{tenant.slug}_{number}",
            "kind": "final",
            "door": "chat.completions",
            "route": "smollm2",
            "prompt_tokens": 1000,
            "completion_tokens": 234,
            "status": "completed",
            "duration_ms": 800,
            "started_at": began,
            "ended_at": began,
            **facts,
        }
    )
