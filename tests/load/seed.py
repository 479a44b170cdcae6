"""Puts one tenant, one key and one route to the benchmark's engine into a migrated database.

Run with the gateway's environment and the engine's URL; prints {"api_key", "model"} as JSON.
"""

import json
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODEL = "bench"
MAX_CONCURRENCY = 5000
"""The engine of the benchmark is never what is waited for."""


def seed_gateway(engine_url: str) -> dict[str, str]:
    """The only place where the benchmark knows the services' names."""
    from inference import registry
    from inference import services as inference
    from tenants import services as tenants

    tenant = tenants.create_tenant(slug="bench", name="Benchmark")
    key = tenants.issue_key(tenant=tenant, name="benchmark")
    pool = inference.create_pool(name="bench", engine="openai")
    inference.create_route(name=MODEL, pool=pool)
    registry.add_static_endpoint(
        pool=pool, address=engine_url, model=MODEL, max_concurrency=MAX_CONCURRENCY
    )
    return {"api_key": key.secret, "model": MODEL}


def main() -> None:
    sys.path[:0] = [str(ROOT), str(ROOT / "platform")]
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.console")
    import django

    django.setup()
    print(json.dumps(seed_gateway(sys.argv[1])))


if __name__ == "__main__":
    main()
