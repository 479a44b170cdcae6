"""Puts a node token and an agent with a capability beside the tenant of the benchmark.

Run with the gateway's environment; prints {"token", "capability"} as JSON.
"""

import json
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CAPABILITY = "bench.echo"


def seed_nodes() -> dict[str, str]:
    from agents.models import Agent
    from agents.nodes.tokens import issue_node_token
    from agents.services import create_agent, publish, save_draft
    from inference.models import ModelRoute
    from tenants.models import Tenant
    from tenants.scoping import every_tenant

    tenant = Tenant.objects.get(slug="bench")
    route = ModelRoute.objects.get(name="bench")
    agent = create_agent(tenant=tenant, route=route, slug="echo", name="Echo")
    # Short runs, so that a node is idle again at once.
    agent.parameters = {"max_tokens": 1}
    save_draft(agent=agent)
    publish(agent=agent)
    with every_tenant():
        Agent.objects.filter(pk=agent.pk).update(capabilities=[CAPABILITY])
    return {"token": issue_node_token(name="bench")[1], "capability": CAPABILITY}


def main() -> None:
    sys.path[:0] = [str(ROOT), str(ROOT / "platform")]
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings.console"
    import django

    django.setup()
    print(json.dumps(seed_nodes()))


if __name__ == "__main__":
    main()
