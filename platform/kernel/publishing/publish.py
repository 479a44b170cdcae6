"""Publishing of changes: every gateway worker reads the changed topics again.

A revision is written in the transaction of the change itself, so there is no commit without its
revision. After the commit the revision is pushed over Redis; workers also poll the table each
second, so that a lost push only delays the change by a second (ADR 0003).
"""

import logging
from functools import partial

import redis
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max

from kernel.models import Publication
from kernel.storage.redis import connect

log = logging.getLogger(__name__)

CHANNEL = "tenantry:published"
LOCK = 7_234_001
"""The key of the advisory lock of publishing."""


def publish(*topics: str) -> int:
    """Record, in the running transaction, that `topics` changed. Returns the last revision.

    The lock is held until the commit, so revisions become visible in the order of their numbers
    and a reader that has received N never misses a smaller one.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        latest = Publication.objects.aggregate(Max("revision"))["revision__max"] or 0
        for revision, topic in enumerate(topics, start=latest + 1):
            Publication.objects.update_or_create(topic=topic, defaults={"revision": revision})
        last = latest + len(topics)
        transaction.on_commit(partial(push, last))
    return last


def push(revision: int) -> None:
    """Trigger the poll of the gateways now."""
    try:
        client = connect(settings.REDIS_URL, timeout=0.5)
        with client:
            client.publish(CHANNEL, str(revision))
    except redis.RedisError:
        # The change is committed, and gateways poll for it within a second.
        log.warning("publishing: push failed, Redis unavailable (revision=%d)", revision)


def revisions_after(revision: int) -> list[tuple[int, str]]:
    """Return the changes since `revision`, the oldest first."""
    rows = Publication.objects.filter(revision__gt=revision).order_by("revision")
    return list(rows.values_list("revision", "topic"))


def latest_revision() -> int:
    """Return the revision of the newest change; 0 before the first."""
    return Publication.objects.aggregate(Max("revision"))["revision__max"] or 0
