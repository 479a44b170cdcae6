"""Requests whose worker died: found in Redis, and billed with what was last seen of them."""

import json
from dataclasses import dataclass

import pytest
from django.conf import settings

from kernel.storage.redis import connect
from tenants.admission.redis_counters.keys import tenant_key
from tenants.admission.usage.records import Charge
from tenants.ledger.abandoned import bill, record_of, tenants_with_holds
from tests.fixtures.limits.usage import TIME, record


@dataclass(frozen=True, kw_only=True)
class AbandonedRequest:
    request_id: str = "req_1"
    facts: bytes = b""
    prompt_tokens: int = 30
    completion_tokens: int = 7
    cached_tokens: int = 4
    estimated: bool = True
    charges: tuple[Charge, ...] = (Charge(counter="tenant|tokens", window="0-60", amount=37),)


def facts(**more):
    """As they are known at the admission."""
    known = {"tenant_id": 5, "api_key_id": 6, "member_id": None, "door": "chat", "route": "tiny"}
    return json.dumps({"request_id": "req_1", "started_at": TIME, **known, **more}).encode()


def test_an_abandoned_request_is_billed_as_last_seen():
    bill = record_of(AbandonedRequest(facts=facts(agent="helper")))

    assert (bill.kind, bill.status, bill.error_code) == ("abandoned", "failed", "worker_died")
    assert (bill.prompt_tokens, bill.completion_tokens, bill.cached_tokens) == (30, 7, 4)
    assert (bill.tenant_id, bill.api_key_id, bill.agent) == (5, 6, "helper")
    assert (bill.started_at, bill.estimated) == (TIME, True)
    assert bill.charges == (Charge(counter="tenant|tokens", window="0-60", amount=37),)
    assert bill.duration_ms > 0


def test_facts_that_look_like_a_whole_record_do_not_outdo_the_checkpoint():
    whole = facts(prompt_tokens=0, completion_tokens=0, kind="final", status="completed")

    bill = record_of(AbandonedRequest(facts=whole))

    assert (bill.prompt_tokens, bill.kind, bill.status) == (30, "abandoned", "failed")


def test_a_bill_is_a_record_like_any_other():
    assert set(record_of(AbandonedRequest(facts=facts())).__struct_fields__) == set(
        record(1).__struct_fields__
    )


@pytest.fixture
def redis():
    with connect(settings.REDIS_LIMITS_URL) as client:
        yield client
        for tenant_id in (701, 702, 703):
            for name in ("holds", "expiries", "refusals"):
                client.delete(tenant_key(tenant_id, name))


def test_tenants_with_holds_are_found_and_others_are_not(redis):
    redis.hset(tenant_key(701, "holds"), "req_1", "x")
    redis.hset(tenant_key(702, "holds"), "req_2", "x")
    redis.hdel(tenant_key(702, "holds"), "req_2")
    redis.hset(tenant_key(703, "refusals"), "a", "b")

    assert tenants_with_holds() == [701]


@pytest.mark.parametrize("wrong", [b"", b"{", b"[]", b"{}", facts(tenant_id="five")])
def test_an_orphan_that_nobody_can_bill_is_logged_and_does_not_stop_the_others(wrong, caplog):
    assert bill(AbandonedRequest(facts=wrong)) == ()

    assert "not billable" in caplog.text
