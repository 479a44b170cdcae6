"""How long a blocked key still opens the door: from the operator's commit to the first refusal.

Run with the gateway's environment and its URL; prints {"p50_ms", "p99_ms"} as JSON.
"""

import json
import os
import sys
import time
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[2]
KEYS = 100
BODY = {"model": "bench", "max_tokens": 8, "messages": [{"role": "user", "content": "hi"}]}
ANSWERED = 200


def measure(url: str) -> list[float]:
    """Milliseconds for each of many keys, the shortest first."""
    from django.utils import timezone

    from tenants import services
    from tenants.models import Tenant

    tenant = Tenant.objects.get(slug="bench")
    connection = HTTPConnection(urlsplit(url).netloc, timeout=10)
    waits = []
    for number in range(KEYS):
        issued = services.issue_key(tenant=tenant, name=f"to be blocked {number}")
        until(connection, issued.secret, answered=True)
        services.block_key(key=issued.key, now=timezone.now())
        blocked = time.perf_counter()
        until(connection, issued.secret, answered=False)
        waits.append((time.perf_counter() - blocked) * 1000)
    return sorted(waits)


def until(connection: HTTPConnection, key: str, *, answered: bool) -> None:
    """Ask until the key is taken, or until it is not."""
    while is_answered(connection, key) is not answered:
        time.sleep(0.001)


def is_answered(connection: HTTPConnection, key: str) -> bool:
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    connection.request("POST", "/v1/chat/completions", json.dumps(BODY), headers)
    answer = connection.getresponse()
    answer.read()
    return answer.status == ANSWERED


def main() -> None:
    sys.path[:0] = [str(ROOT), str(ROOT / "platform")]
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.console")
    import django

    django.setup()
    waits = measure(sys.argv[1])
    p50, p99 = waits[len(waits) // 2], waits[len(waits) * 99 // 100]
    print(json.dumps({"p50_ms": p50, "p99_ms": p99}))


if __name__ == "__main__":
    main()
