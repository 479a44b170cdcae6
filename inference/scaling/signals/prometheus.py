"""Queries the operator's Prometheus for CPU, memory and GPU.

Only the configured address can be reached.
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

QUERY_TIMEOUT_SECONDS = 3.0
MAX_CONCURRENT_QUERIES = 20
OK = 200


class PrometheusSeries(msgspec.Struct, frozen=True):
    """One series of a result; its value is a time and a number as text."""

    value: tuple[float, str]


class Data(msgspec.Struct, frozen=True):
    result: list[PrometheusSeries]


class QueryResponse(msgspec.Struct, frozen=True):
    """The response to an instant query with a vector."""

    status: str
    data: Data


def query_prometheus(
    signals_by_pool: Mapping[int, Sequence[Signal]],
) -> dict[int, dict[str, Reading]]:
    """Return the readings of each pool's signals. A query that several signals use is sent once."""
    queries = {
        signal.query
        for signals in signals_by_pool.values()
        for signal in signals
        if MEASURES[signal.kind].uses_prometheus
    }
    answers = asyncio.run(query_all(sorted(queries))) if queries else {}
    return {
        pool: {each.kind: answers[each.query] for each in signals if each.query in answers}
        for pool, signals in signals_by_pool.items()
    }


async def query_all(queries: Sequence[str]) -> dict[str, Reading]:
    if not settings.PROMETHEUS_URL:
        missing = Reading(value=None, note="TENANTRY_PROMETHEUS_URL is not set")
        return dict.fromkeys(queries, missing)
    client, gate = (
        prometheus_client(settings.PROMETHEUS_URL),
        asyncio.Semaphore(MAX_CONCURRENT_QUERIES),
    )

    async def one(query: str) -> Reading:
        async with gate:
            return await run_query(client, query)

    return dict(zip(queries, await asyncio.gather(*map(one, queries)), strict=True))


def prometheus_client(url: str) -> Egress:
    parts = urlsplit(url)
    port = parts.port or PORTS[parts.scheme]
    is_http = parts.scheme == "http"
    return Egress(rules_of(allow=[parts.hostname or ""], ports=[port], http=is_http))


async def run_query(client: Egress, query: str) -> Reading:
    """Return the mean of the series of an instant query."""
    address = f"{settings.PROMETHEUS_URL.rstrip('/')}/api/v1/query?{urlencode({'query': query})}"
    try:
        answer = await client.fetch(
            Request(method="GET", url=address), seconds=QUERY_TIMEOUT_SECONDS
        )
    except (EgressFailed, TargetRefused) as failure:
        return Reading(value=None, note=f"Prometheus: {failure.message}")
    if answer.status != OK:
        return Reading(value=None, note=f"Prometheus answered with status {answer.status}")
    try:
        return reading_of(msgspec.json.decode(answer.body, type=QueryResponse))
    except (msgspec.MsgspecError, ValueError):
        return Reading(value=None, note="Prometheus returned no numbers")


def reading_of(response: QueryResponse) -> Reading:
    """Raise ValueError for a value that is not a number."""
    values = [float(each.value[1]) for each in response.data.result]
    values = [value for value in values if math.isfinite(value) and value >= 0]
    if not values:
        return Reading(value=None, note="Prometheus has no series for this query")
    return Reading(value=sum(values) / len(values), reporting=len(values))
