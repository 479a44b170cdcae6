"""The topics of tenants: who subscribes to them, and how many messages they had.

A topic exists because an agent subscribes to it; one that got messages without having subscribers
is listed, too, because that is often a mistyped name.
"""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec
from django.db.models import Count, Max

from agents.models import Agent, AgentMessage
from tenants.models import Tenant

RATE_PERIOD = timedelta(hours=1)
MAX_AGENTS_READ = 10_000
MAX_TOPICS = 500

Key = tuple[int, str]
"""The id of a tenant, and the name of a topic."""


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    tenant_id: int
    tenant: str
    name: str
    subscribers: tuple[str, ...]
    """The slugs of the agents that subscribe to it."""
    messages: int
    """The number of messages within the last hour."""
    last_message_at: datetime | None
    """The last one within the last hour."""


class TopicTraffic(msgspec.Struct, frozen=True, kw_only=True):
    messages: int = 0
    last_message_at: datetime | None = None


def list_topics(*, now: datetime, tenant: str = "", prefix: str = "") -> list[Topic]:
    """Return topics by tenant and name; only those of a tenant's short name, and of a prefix.

    At most MAX_TOPICS. Needs a tenant scope.
    """
    subscribers = find_subscribers(tenant=tenant, prefix=prefix)
    traffic = find_traffic(now=now, tenant=tenant, prefix=prefix)
    keys = {*subscribers, *traffic}
    slugs = dict(
        Tenant.objects.filter(pk__in={tenant_id for tenant_id, _ in keys}).values_list("pk", "slug")
    )
    ordered = sorted(keys, key=lambda key: (slugs[key[0]], key[1]))
    return [
        Topic(
            tenant_id=key[0],
            tenant=slugs[key[0]],
            name=key[1],
            subscribers=tuple(subscribers.get(key, ())),
            messages=traffic.get(key, TopicTraffic()).messages,
            last_message_at=traffic.get(key, TopicTraffic()).last_message_at,
        )
        for key in ordered[:MAX_TOPICS]
    ]


def find_subscribers(*, tenant: str, prefix: str) -> Mapping[Key, list[str]]:
    agents = Agent.objects.exclude(subscriptions=[]).order_by("tenant_id", "slug")
    if tenant:
        agents = agents.filter(tenant__slug=tenant)
    rows = agents.values_list("tenant_id", "slug", "subscriptions")[:MAX_AGENTS_READ]
    found: defaultdict[Key, list[str]] = defaultdict(list)
    for tenant_id, slug, topics in rows:
        for topic in topics:
            if topic.startswith(prefix):
                found[tenant_id, topic].append(slug)
    return found


def find_traffic(*, now: datetime, tenant: str, prefix: str) -> Mapping[Key, TopicTraffic]:
    recent = AgentMessage.objects.filter(created_at__gte=now - RATE_PERIOD).exclude(topic="")
    if tenant:
        recent = recent.filter(tenant__slug=tenant)
    if prefix:
        recent = recent.filter(topic__startswith=prefix)
    grouped = recent.order_by().values("tenant_id", "topic")
    rows = grouped.annotate(number=Count("pk"), last=Max("created_at"))
    return {
        (row["tenant_id"], row["topic"]): TopicTraffic(
            messages=row["number"], last_message_at=row["last"]
        )
        for row in rows
    }
