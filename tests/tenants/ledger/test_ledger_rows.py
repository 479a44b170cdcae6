"""The ledger's table: each request once, and what is written stays."""

import pytest
from django.db import IntegrityError, OperationalError, connection, transaction

from tenants import services
from tenants.admission.usage.writer import LedgerUnavailable, RecordRefused
from tenants.ledger import append_usage
from tenants.models import ApiKey, UsageEvent
from tenants.scoping import every_tenant, tenant_scope
from tests.fixtures.limits.usage import TIME, record


@pytest.fixture
def events(db):
    """Every usage event."""
    with every_tenant():
        yield UsageEvent.objects.order_by("pk")


def test_a_record_becomes_a_row(events):
    facts = {"decision": {"unreachable": ["a"]}, "ttft_ms": 1.5, "agent_revision": 2}

    assert append_usage([record(agent="helper", **facts)]).new == 1

    (event,) = events
    assert event.started_at.isoformat() == TIME
    assert {name: getattr(event, name) for name in facts} == facts
    assert (event.kind, event.agent, event.completion_tokens) == ("final", "helper", 5)


def test_a_record_appended_twice_is_one_row(events):
    assert append_usage([record(1), record(2)]).new == 2
    assert append_usage([record(2), record(3), record(3)]).new == 1

    assert [event.request_id for event in events] == ["req_1", "req_2", "req_3"]


def test_the_first_record_of_a_request_counts(events):
    append_usage([record(completion_tokens=5)])
    append_usage([record(completion_tokens=500)])

    assert events.get().completion_tokens == 5


def test_a_correction_is_a_row_of_its_own_and_may_be_negative(events):
    append_usage([record()])
    append_usage([record(kind="correction", completion_tokens=-5)])

    assert sum(event.completion_tokens for event in events) == 0


def test_an_update_is_refused_by_the_database(events):
    append_usage([record()])

    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        events.update(completion_tokens=0)

    assert events.get().completion_tokens == 5


WRONG = {
    "negative prompt": {"prompt_tokens": -1},
    "negative completion": {"completion_tokens": -1},
    "negative cost": {"cost_micro": -1},
    "too many": {"prompt_tokens": 2**63},
    "a long door": {"door": "x" * 31},
    "no time": {"started_at": "yesterday evening"},
    "a zero byte": {"client_request_id": "\x00"},
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_record_is_refused_with_its_batch(events, case):
    with pytest.raises(RecordRefused), transaction.atomic():
        append_usage([record(1), record(2, **WRONG[case])])

    assert not events.exists()


def test_a_thousand_records_take_few_statements(events, django_assert_num_queries):
    # Two around the transaction; one each for the rows, the use of keys, and the hours.
    with django_assert_num_queries(5):
        append_usage([record(number) for number in range(1000)])

    assert events.count() == 1000


def test_while_the_database_is_away_the_ledger_says_so(events, monkeypatch):
    def away():
        raise OperationalError("server closed the connection")

    with monkeypatch.context() as patch:
        patch.setattr(connection, "cursor", away)
        with pytest.raises(LedgerUnavailable):
            append_usage([record()])


def test_each_tenant_sees_its_own_rows(events):
    append_usage([record(1, tenant_id=1), record(2, tenant_id=2)])

    with tenant_scope(2):
        assert [event.request_id for event in UsageEvent.objects.all()] == ["req_2"]


def test_a_key_that_is_deleted_leaves_its_history(events):
    tenant = services.create_tenant(slug="acme", name="Acme")
    key = services.issue_key(tenant=tenant, name="ci").key
    append_usage([record(tenant_id=tenant.pk, api_key_id=key.pk)])

    ApiKey.objects.filter(pk=key.pk).delete()

    assert events.get().api_key_id == key.pk
