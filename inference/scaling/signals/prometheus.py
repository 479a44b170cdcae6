"""What no engine tells: CPU, memory and GPU, asked of the operator's Prometheus.

Only the one address that the operator configured can be reached, whatever a query says.
"""

import asyncio
import math
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode, urlsplit

import msgspec
from django.conf import settings

from inference.scaling.decision.types import Reading
from inference.scaling.policies.mapping import Signal
from inference.signal_kinds import MEASURES
from kernel.egress.client import Egress, EgressFailed, Request
from kernel.egress.rules import PORTS, TargetRefused, rules_of

SECONDS = 3.0
AT_ONCE = 20
OK = 200


class Series(msgspec.Struct, frozen=True):
    """One of a query's results: its value is a time and a number as text."""

    value: tuple[float, str]


class Data(msgspec.Struct, frozen=True):
    result: list[Series]


class QueryResponse(msgspec.Struct, frozen=True):
    """An instant query's answer with a vector, which aggregations have."""

    status: str
    data: Data


def ask_prometheus(
    wanted: Mapping[int, Sequence[Signal]],
) -> dict[int, dict[str, Reading]]:
    """What the queries of each pool's signals answer. A query that several have is asked once."""
    asked = {
        signal.query
        for signals in wanted.values()
        for signal in signals
        if MEASURES[signal.kind].asks_prometheus
    }
    answers = asyncio.run(ask_all(sorted(asked))) if asked else {}
    return {
        pool: {each.kind: answers[each.query] for each in signals if each.query in answers}
        for pool, signals in wanted.items()
    }


async def ask_all(queries: Sequence[str]) -> dict[str, Reading]:
    if not settings.PROMETHEUS_URL:
        missing = Reading(value=None, note="TENANTRY_PROMETHEUS_URL is not set")
        return dict.fromkeys(queries, missing)
    client, gate = prometheus_client(settings.PROMETHEUS_URL), asyncio.Semaphore(AT_ONCE)

    async def one(query: str) -> Reading:
        async with gate:
            return await ask(client, query)

    return dict(zip(queries, await asyncio.gather(*map(one, queries)), strict=True))


def prometheus_client(url: str) -> Egress:
    parts = urlsplit(url)
    port = parts.port or PORTS[parts.scheme]
    is_http = parts.scheme == "http"
    return Egress(rules_of(allow=[parts.hostname or ""], ports=[port], http=is_http))


async def ask(client: Egress, query: str) -> Reading:
    """The mean of what an instant query answers."""
    address = f"{settings.PROMETHEUS_URL.rstrip('/')}/api/v1/query?{urlencode({'query': query})}"
    try:
        answer = await client.fetch(Request(method="GET", url=address), seconds=SECONDS)
    except (EgressFailed, TargetRefused) as failure:
        return Reading(value=None, note=f"Prometheus: {failure.message}")
    if answer.status != OK:
        return Reading(value=None, note=f"Prometheus answered with status {answer.status}")
    try:
        return reading_of(msgspec.json.decode(answer.body, type=QueryResponse))
    except (msgspec.MsgspecError, ValueError):
        return Reading(value=None, note="Prometheus answered something else than numbers")


def reading_of(response: QueryResponse) -> Reading:
    """Raises ValueError for what is no number."""
    values = [float(each.value[1]) for each in response.data.result]
    values = [value for value in values if math.isfinite(value) and value >= 0]
    if not values:
        return Reading(value=None, note="Prometheus has nothing for this query")
    return Reading(value=sum(values) / len(values), telling=len(values))
