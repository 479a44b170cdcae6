"""Whatever comes, in whatever order and however often: ledger = counters = hours."""

from collections import Counter

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenants.ledger import append_usage
from tenants.ledger.batch_sums import SUMS
from tenants.models import QuotaUsage, UsageEvent, UsageHour
from tenants.scoping import every_tenant
from tests.fixtures.limits.usage import charge, record

pytestmark = pytest.mark.slow

HOURS = ["2026-01-02T03:00:00+00:00", "2026-01-02T04:59:59+00:00"]
COUNTERS = ["tenant|tokens", "tenant|requests", "key:1|tokens"]
WINDOWS = ["1767225600-1769904000", "1767312000-1767398400"]

charges = st.lists(
    st.builds(charge, st.integers(0, 1000), st.sampled_from(COUNTERS), st.sampled_from(WINDOWS)),
    max_size=4,
).map(tuple)
records = st.builds(
    record,
    st.integers(1, 6),
    tenant_id=st.sampled_from([1, 2]),
    kind=st.sampled_from(["final", "final", "abandoned"]),
    api_key_id=st.sampled_from([None, 1]),
    route=st.sampled_from(["tiny", "large"]),
    status=st.sampled_from(["completed", "failed"]),
    started_at=st.sampled_from(HOURS),
    completion_tokens=st.integers(0, 100),
    cost_micro=st.integers(0, 100),
    charges=charges,
)
histories = st.lists(st.lists(records, min_size=1, max_size=6), min_size=1, max_size=6)


def charged_by_ledger():
    sums = Counter()
    for event in UsageEvent.objects.all():
        for each in event.charges:
            sums[event.tenant_id, each["counter"], each["window"]] += each["amount"]
    return {key: amount for key, amount in sums.items() if amount}


def counted():
    rows = QuotaUsage.objects.exclude(used=0)
    return {(row.tenant_id, row.counter, row.window): row.used for row in rows}


def summed_by_ledger():
    sums = Counter()
    for event in UsageEvent.objects.all():
        is_request = event.kind != "correction"
        sums["requests"] += is_request
        sums["failed"] += is_request and event.status == "failed"
        for name in SUMS[2:]:
            sums[name] += getattr(event, name)
    return {name: sums[name] for name in SUMS}


def summed_by_hours():
    return {name: sum(UsageHour.objects.values_list(name, flat=True)) for name in SUMS}


@pytest.mark.django_db
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(history=histories)
def test_ledger_counters_and_hours_agree(history):
    with every_tenant(), transaction.atomic():
        for batch in history:
            append_usage(batch)
            append_usage(batch)

        assert charged_by_ledger() == counted()
        assert summed_by_ledger() == summed_by_hours()
        assert not UsageEvent.objects.exclude(kind="correction").filter(cost_micro__lt=0).exists()
        for event in UsageEvent.objects.filter(kind="correction"):
            assert UsageEvent.objects.filter(request_id=event.request_id).count() == 2
        transaction.set_rollback(True)
