"""Scaling policies over the management API."""

from datetime import timedelta

import pytest
from django.utils import timezone

from inference.models import ScalingDecision, ScalingPolicy
from tests.fixtures.console.people import make_person
from tests.fixtures.fleet.scaling import NOON, engine, hours, make_policy

PLACE = "/api/v1/scaling-policies"
WAITING = {"kind": "waiting", "target": 10}
SALE = {
    "name": "sale",
    "zone": "Europe/Berlin",
    "weekdays": [4],
    "starts": "08:00",
    "ends": "20:00",
    "min_replicas": 5,
    "max_replicas": 9,
}


def send(console, place="", method="post", **body):
    answer = getattr(console, method)(PLACE + place, body, content_type="application/json")
    return answer.status_code, answer.json() if answer.content else None


def test_a_policy_is_made_read_changed_and_deleted(console, pool):
    status, made = send(console, pool="small", signals=[WAITING], schedules=[SALE])
    assert (status, made["mode"], made["schedules"][0]["zone"]) == (201, "recommend", SALE["zone"])
    place = f"/{made['id']}"
    _, changed = send(console, place, "patch", max_replicas=7, signals=[{**WAITING, "target": 5}])
    assert (changed["max_replicas"], changed["signals"][0]["target"]) == (7, 5)
    assert changed["schedules"][0]["name"] == "sale"
    assert console.get(PLACE + place).json() == changed
    assert send(console, place, "delete")[0] == 204
    assert not ScalingPolicy.objects.exists()


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "scaling_policy_refused"),
        ({"signals": [{"kind": "moon"}]}, 400, "scaling_policy_refused"),
        ({"signals": [{**WAITING, "target": 0}]}, 400, "scaling_policy_refused"),
        ({"signals": [WAITING], "mode": "apply"}, 400, "scaling_policy_refused"),
        ({"signals": [WAITING], "max_replicas": 0}, 400, "invalid_parameter"),
        ({"signals": [WAITING], "schedules": [SALE, SALE]}, 400, "scaling_policy_refused"),
        (
            {"signals": [WAITING], "schedules": [{**SALE, "zone": "X"}]},
            400,
            "scaling_policy_refused",
        ),
    ],
)
def test_what_cannot_work_is_refused(console, pool, body, status, code):
    found, answer = send(console, pool="small", **body)
    assert (found, answer["error"]["code"]) == (status, code)
    assert not ScalingPolicy.objects.exists()


def test_fewer_than_there_are_needs_a_confirmation(console, pool):
    policy = make_policy(pool, mode="apply", actuator="process")
    for number in (1, 2, 3):
        engine(pool, number)
    status, body = send(console, f"/{policy.pk}", "patch", max_replicas=2)
    assert (status, body["error"]["code"]) == (409, "confirmation_needed")
    assert send(console, f"/{policy.pk}", "patch", max_replicas=2, is_confirmed=True)[0] == 200


def test_a_pool_has_one_policy(console, pool):
    make_policy(pool)
    assert send(console, pool="small", signals=[WAITING])[0] == 409


def test_it_is_paused_resumed_and_overridden(console, pool):
    place = f"/{make_policy(pool).pk}"
    assert send(console, f"{place}/pause")[1]["paused"]
    assert not send(console, f"{place}/resume")[1]["paused"]
    until = (timezone.now() + timedelta(hours=1)).isoformat()
    assert send(console, f"{place}/override", replicas=7, until=until)[1]["override_replicas"] == 7
    assert send(console, f"{place}/override", "delete")[1]["override_replicas"] is None
    long = (timezone.now() + timedelta(days=30)).isoformat()
    assert send(console, f"{place}/override", replicas=7, until=long)[0] == 400


def test_decisions_are_listed_with_their_reasons(console, pool):
    policy = make_policy(pool)
    facts = {"replicas": 1, "proposed": 3, "desired": 2, "outcome": "recommended"}
    ScalingDecision.objects.create(
        pool=pool, slot=1, at=NOON, mode="recommend", reason="So.", **facts
    )
    (found,) = console.get(f"{PLACE}/{policy.pk}/decisions").json()
    assert (found["desired"], found["reason"]) == (2, "So.")


def test_two_drafts_are_rehearsed(console, pool):
    policy = make_policy(pool, max_replicas=50, schedules=[hours()])
    drafts = [{}, {"basis": "chat", "max_replicas": 2}]
    status, found = send(console, f"/{policy.pk}/rehearse", load="sale", drafts=drafts)
    assert status == 200
    assert found[1]["peak_replicas"] == 2 < found[0]["peak_replicas"]
    assert found[0]["oracle_replica_hours"] > 0
    assert send(console, f"/{policy.pk}/rehearse", load="moon", drafts=drafts)[0] == 400
    assert send(console, f"/{policy.pk}/rehearse", load="sale", drafts=[])[0] == 400


@pytest.mark.parametrize(("old", "new"), [("leak", "ramp"), ("three", "three_days")])
def test_the_old_name_of_a_load_is_accepted(console, pool, old, new):
    policy = make_policy(pool)
    body = {"load": old, "ordinary": 3, "drafts": [{}]}
    path = f"{PLACE}/{policy.pk}/rehearse"

    answer = console.post(path, body, content_type="application/json")

    assert answer.status_code == 200
    assert answer["Warning"] == (
        '299 - "ordinary is deprecated: use base_request_rate", '
        f'299 - "load={old} is deprecated: use load={new}"'
    )
    same = {"load": new, "base_request_rate": 3, "drafts": [{}]}
    found = console.post(path, same, content_type="application/json")
    assert (found.json(), "Warning" in found) == (answer.json(), False)


def test_only_operators_see_it(client, acme, rival, pool):
    policy = make_policy(pool)
    for tenant in (acme, rival):
        client.force_login(make_person(tenant, "admin"))
        for place in ("", f"/{policy.pk}", f"/{policy.pk}/decisions"):
            assert client.get(PLACE + place).status_code == 403
