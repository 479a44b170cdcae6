"""`manage.py seed_demo_agents`: gives the demo tenant five agents with capabilities."""

from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction

from agents.models import Agent
from agents.services import create_agent, publish, save_draft
from config.demo_agents import AGENTS, DemoAgent
from config.management.commands.seed_demo import MODEL, OPERATOR, TENANT
from inference.models import ModelRoute
from tenants.models import Tenant, User
from tenants.scoping import tenant_scope

PARAMETERS = {"max_tokens": 400, "stop": [".", "\n"]}
"""One sentence is enough: a small model often does not end its answers by itself."""


class Command(BaseCommand):
    help = "Create five agents with capabilities in the demo tenant. Existing ones do not change."

    def handle(self, **_: Any) -> None:
        tenant = Tenant.objects.get(slug=TENANT)
        route = ModelRoute.objects.get(name=MODEL)
        operator = User.objects.get(username=OPERATOR)
        with transaction.atomic(), tenant_scope(tenant.pk):
            known = set(Agent.objects.values_list("slug", flat=True))
            for each in AGENTS:
                if each.slug not in known:
                    add_agent(each, tenant, route=route, operator=operator)


def add_agent(new: DemoAgent, tenant: Tenant, *, route: ModelRoute, operator: User) -> None:
    """Create and publish an agent of the demonstration."""
    agent = create_agent(
        tenant=tenant,
        slug=new.slug,
        name=new.name,
        instructions=new.instructions,
        route=route,
        parameters=PARAMETERS,
    )
    agent.capabilities = list(new.capabilities)
    save_draft(agent=agent)
    publish(agent=agent, note="First revision", user=operator)
