"""How soon a request that meets a pool at zero is a decision to wake it: real beat and worker.

As a script, run with the gateway's environment and its URL, it asks and prints {"seconds": …}.
"""

import json
import os
import sys
import tempfile
import time
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[2]
ROUTE = "asleep"
AT_MOST = 20


def report_demand() -> None:
    """Print it."""
    from tests.fixtures.servers.ports import free_port
    from tests.fixtures.servers.timed_work import timed_work
    from tests.load import stack
    from tests.load.servers import UVICORN, running

    with tempfile.TemporaryDirectory(prefix="tenantry-bench-") as folder:
        home = Path(folder)
        with stack.databases(home) as env:
            stack.manage(env, "migrate", "--verbosity", "0")
            port = free_port()
            command = [*UVICORN, "--port", str(port), "config.gateway.asgi:application"]
            gateway = {**env, "DJANGO_SETTINGS_MODULE": "config.settings.gateway"}
            with (
                running(
                    "demand", command, port=port, where=set(), env=gateway, ready_path="/readyz"
                ),
                timed_work(home / "celery", env),
            ):
                printed = stack.finish(env, __file__, f"http://127.0.0.1:{port}")
    seconds = json.loads(printed.splitlines()[-1])["seconds"]
    print(f"from demand on a pool at zero to the decision: {seconds:.1f} s (at most {AT_MOST})")


def measure(url: str) -> float:
    """Seconds from a request that comes just after a look, which waits longest."""
    from django.utils import timezone

    from inference.models import ScalingDecision, ScalingState

    key = prepare()
    slots = ScalingState.objects.values_list("slot", flat=True)
    # The first look at a new pool comes at once, the second one with the clock.
    for _ in range(2):
        before = slots.first()
        until(lambda: slots.first() != before)  # noqa: B023 - called at once
    began = timezone.now()
    ask(url, key)
    woken = ScalingDecision.objects.filter(desired__gt=0)
    until(woken.exists)
    return (woken.latest("at").at - began).total_seconds()


def prepare() -> str:
    """A pool at zero that wakes on demand. Returns a key that may ask for it."""
    from django.utils import timezone

    from inference import services
    from inference.models import ScalingPolicy
    from inference.scaling.policies.mapping import Signal
    from inference.scaling.policies.services import save_policy
    from tenants import services as tenants

    pool = services.create_pool(name=ROUTE, engine="vllm")
    services.create_route(name=ROUTE, pool=pool)
    policy = ScalingPolicy(pool=pool, max_replicas=4, idle_seconds=600)
    save_policy(policy=policy, signals=[Signal(kind="waiting", target=4)], now=timezone.now())
    tenant = tenants.create_tenant(slug="bench", name="Benchmark")
    return tenants.issue_key(tenant=tenant, name="benchmark").secret


def ask(url: str, key: str) -> None:
    body = {"model": ROUTE, "messages": [{"role": "user", "content": "hi"}]}
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    connection = HTTPConnection(urlsplit(url).netloc, timeout=10)
    connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
    connection.getresponse().read()


def until(condition, *, seconds: float = 60) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ends:
            sys.exit("waited in vain")
        time.sleep(0.05)


def main() -> None:
    sys.path[:0] = [str(ROOT), str(ROOT / "platform")]
    import django

    django.setup()
    print(json.dumps({"seconds": measure(sys.argv[1])}))


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.console")
    main()
