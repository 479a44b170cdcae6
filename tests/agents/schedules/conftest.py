"""An agent and a key of each tenant, for schedules."""

from types import SimpleNamespace

import pytest

from agents import services as agents
from agents.schedules import services
from tenants import services as tenants
from tests.fixtures.console.people import acme, console, operator, pool, rival, route

__all__ = ["acme", "console", "operator", "pool", "rival", "route"]


def equip(tenant, route, **key):
    """Give a tenant a published agent and a key."""
    agent = agents.create_agent(tenant=tenant, slug="reporter", name="Reporter", route=route)
    agents.publish(agent=agent)
    issued = tenants.issue_key(tenant=tenant, name="schedules", **key)
    return SimpleNamespace(tenant=tenant, agent=agent, api_key=issued.key)


@pytest.fixture
def ours(acme, route):
    return equip(acme, route)


@pytest.fixture
def theirs(rival, route):
    return equip(rival, route)


def daily(owner, **changes):
    """Create a schedule for nine o'clock in Berlin."""
    fields = {
        "tenant": owner.tenant,
        "agent": owner.agent,
        "api_key": owner.api_key,
        "name": "morning",
        "input": "Write the report.",
        "cron": "0 9 * * *",
        "time_zone": "Europe/Berlin",
    }
    return services.create_schedule(**{**fields, **changes})
