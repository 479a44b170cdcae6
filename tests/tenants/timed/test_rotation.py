"""What hangs on a key goes with it when the key is rotated."""

from datetime import UTC, datetime, timedelta

import pytest
from django.apps import apps

from tenants import services
from tenants.limits.effective import load_limits
from tenants.limits.quota_status import counters_of, load_quota_lines
from tenants.models import ApiKey, Quota
from tenants.owner_names import key_names, owner_names
from tenants.selectors import as_principal, load_principal
from tests.fixtures.limits.limits import make_plan, own_quota, own_rate, plan_quota

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)

HANDED_ON = "moves to the new key in the transaction of the rotation"
COUNTED = "counts under the first key of the rotations, so nothing moves"
HISTORY = "says which secret was used, and stays so"
JUDGED = {
    "tenants.quota.api_key": HANDED_ON,
    "tenants.ratelimit.api_key": HANDED_ON,
    "tenants.quotausage.counter": COUNTED,
    "tenants.chargedsum.counter": COUNTED,
    "tenants.quotawindow.slot": COUNTED,
    "tenants.quotatopup.counter": COUNTED,
    "tenants.quotaalert.counter": COUNTED,
    "tenants.apikey.replaces": HISTORY,
    "tenants.usageevent.api_key": HISTORY,
    "tenants.usagehour.api_key_id": HISTORY,
    "agents.agentmessage.api_key_id": "its runs are billed to the newest key of the lineage",
    "agents.task.api_key_id": "a client that repeats itself is found by all keys of the lineage",
    "agents.schedule.api_key": "its runs are billed to the newest key of the lineage",
    "agents.run.api_key_id": "a client that repeats itself is found by all keys of the lineage",
}
"""Every field that refers to a key, by id or by the name of its counters."""

TEXTS = ("counter", "slot")


def refers_to_a_key(field):
    is_text = field.name in TEXTS and field.model._meta.app_label == "tenants"
    related = getattr(field, "remote_field", None) is not None and field.related_model is ApiKey
    return related or "api_key" in field.name or "key_id" in field.name or is_text


def test_everything_that_refers_to_a_key_was_judged():
    found = {
        f"{model._meta.label_lower}.{field.name}"
        for model in apps.get_models()
        if model.__module__.partition(".")[0] in {"tenants", "inference", "agents"}
        for field in model._meta.concrete_fields
        if refers_to_a_key(field)
    }
    assert found == set(JUDGED)


@pytest.fixture
def old(acme):
    return services.issue_key(tenant=acme, name="Laptop").key


def rotate(key):
    return services.rotate_key(key=key, now=NOW, overlap=timedelta(hours=1)).key


def counters(tenant, key):
    limits = load_limits(tenant.pk, now=NOW)
    return [counter for _, counter, _ in counters_of(limits, as_principal(key), now=NOW)]


def test_old_and_new_are_counted_together_however_often_they_are_rotated(acme, rival, old):
    plan_quota(make_plan(), per="key")
    own_quota(acme, per="key")
    newer = rotate(old)
    newest = rotate(newer)
    beside = rotate(old)

    names = {counters(acme, key)[0] for key in (old, newer, newest, beside)}

    assert names == {f"key:{old.pk}|tokens"}
    stranger = services.issue_key(tenant=acme, name="other").key
    assert counters(acme, stranger) == [f"key:{stranger.pk}|tokens"]


def test_a_keys_own_limits_hold_for_the_new_one(acme, old):
    own_quota(acme, per="key", api_key=old, limit=3)
    own_rate(acme, per="key", api_key=old, concurrency=1)
    new = rotate(rotate(old))

    limits = load_limits(acme.pk, now=NOW)

    assert [each.key_id for each in (*limits.quotas, *limits.rates)] == [old.pk, old.pk]
    assert counters(acme, new) == [f"key:{old.pk}|tokens"]
    assert load_principal(new.public_id).counted_as == old.pk


def test_a_limit_that_is_made_for_a_rotated_key_is_the_new_ones(acme, old):
    new = rotate(old)
    own_quota(acme, per="key", api_key=old)
    assert Quota._base_manager.get().api_key == new


def test_counters_have_the_name_of_the_newest_key_and_refusals_of_the_one_refused(acme, old):
    new = rotate(old)
    assert owner_names(acme.pk, [f"key:{old.pk}"])[f"key:{old.pk}"] == str(new)
    assert key_names(acme.pk, [f"key:{old.pk}"]) == {f"key:{old.pk}": str(old)}


def test_callers_are_not_told_of_quotas_in_shadow_mode(acme, old):
    own_quota(acme, limit=7)
    own_quota(acme, limit=5, shadow=True)
    lines = load_quota_lines(as_principal(old), now=NOW)
    assert [(line.scope, line.limit) for line in lines] == [("this tenant", 7)]
