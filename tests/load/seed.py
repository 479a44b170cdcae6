"""Puts one tenant, one key and one route to the benchmark's engine into a migrated database.

Run with the gateway's environment and the engine's URL; prints {"api_key", "model"} as JSON.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MODEL = "bench"
SCOPES = (
    {"per": "key"},
    {"per": "member"},
    {"per": "tenant"},
    {"per": "tenant", "route": MODEL},
)
"""Each with requests and tokens per minute, concurrency and a quota: everything on."""
MAX_CONCURRENCY = 5000
"""The engine of the benchmark is never what is waited for."""


def seed_gateway(engine_url: str) -> dict[str, str]:
    """The only place where the benchmark knows the services' names."""
    from inference import services as inference
    from inference.endpoints import manual as static_endpoints
    from tenants import services as tenants
    from tenants.models import User

    tenant = tenants.create_tenant(slug="bench", name="Benchmark")
    user = User(username="bench")
    tenants.save_user(user=user)
    member = tenants.add_member(tenant=tenant, user=user)
    key = tenants.issue_key(tenant=tenant, name="benchmark", member=member)
    for scope in SCOPES:
        limit(tenant, **scope)
    pool = inference.create_pool(name="bench", engine="openai")
    inference.create_route(name=MODEL, pool=pool)
    static_endpoints.add_static_endpoint(
        pool=pool, address=engine_url, model=MODEL, max_concurrency=MAX_CONCURRENCY
    )
    return {"api_key": key.secret, "model": MODEL}


def limit(tenant: Any, **scope: str) -> None:
    """Every kind of limit in one scope, none of which the load ever reaches."""
    from django.utils import timezone

    from tenants.limits import services as limit_services
    from tenants.models import Quota, RateLimit

    rates = {"requests_per_minute": 10**7, "tokens_per_minute": 10**10, "concurrency": 10**6}
    limit_services.save_rate_limit(rule=RateLimit(tenant=tenant, **scope, **rates))
    quota = Quota(tenant=tenant, **scope, unit="tokens", limit=10**15)
    limit_services.save_quota(rule=quota, now=timezone.now())


def main() -> None:
    sys.path[:0] = [str(ROOT), str(ROOT / "platform")]
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.console")
    import django

    django.setup()
    print(json.dumps(seed_gateway(sys.argv[1])))


if __name__ == "__main__":
    main()
