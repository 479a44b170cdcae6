"""Whom a key is counted for, and who may undo what somebody did to a key."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tenants import services
from tenants.api_keys.bounds import Rank
from tenants.models import ApiKey, Membership, Quota, RateLimit
from tests.fixtures.console.people import make_person, rows
from tests.fixtures.limits.limits import own_quota, own_rate

API = "/api/v1/api-keys"
NETWORKS = ["203.0.113.0/24"]


class Person:
    """Somebody at the management API; operators say for which tenant."""

    def __init__(self, user, tenant=None):
        self.member = rows(Membership).filter(user=user).first()
        self.client = Client()
        self.client.force_login(user)
        self.asked = f"?tenant={tenant.slug}" if tenant else ""

    def post(self, place="", **body):
        return self.client.post(API + place + self.asked, body, content_type="application/json")

    def patch(self, key, **body):
        place = f"{API}/{key.pk}{self.asked}"
        return self.client.patch(place, body, content_type="application/json")


@pytest.fixture
def developer(acme):
    return Person(make_person(acme, "developer"))


@pytest.fixture
def admin(acme):
    return Person(make_person(acme, "admin"))


@pytest.fixture
def boss(operator, acme):
    return Person(operator, acme)


@pytest.fixture
def people(developer, admin, boss):
    return {"developer": developer, "admin": admin, "operator": boss}


@pytest.fixture
def key(acme):
    return services.issue_key(tenant=acme, name="production").key


def test_a_developers_key_is_counted_for_the_developer(developer):
    assert developer.post(name="ci").json()["member"] == developer.member.pk


@pytest.mark.parametrize("body", [{"member": None}, {"member": "admin"}])
def test_a_developer_names_nobody_else(developer, admin, body):
    member = admin.member.pk if body["member"] else None
    answer = developer.post(name="ci", member=member)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "key_restricted")
    assert not rows(ApiKey).exists()


@pytest.mark.parametrize("who", ["admin", "operator"])
def test_admins_and_operators_name_whom_they_like_or_nobody(people, developer, who):
    mine = people[who].post(name="ci")
    theirs = people[who].post(name="ci", member=developer.member.pk)
    assert (mine.json()["member"], theirs.json()["member"]) == (None, developer.member.pk)


@pytest.mark.parametrize("whose", ["developer", "admin"])
def test_a_developer_takes_no_key_from_a_member(people, developer, acme, whose):
    key = services.issue_key(tenant=acme, name="k", member=people[whose].member).key
    other = people["admin" if whose == "developer" else "developer"].member
    for member in (None, other.pk):
        assert developer.patch(key, member=member).status_code == 403
    assert rows(ApiKey).get().member == people[whose].member


def test_a_developer_may_take_a_key_that_is_counted_for_no_member(developer, key):
    assert developer.patch(key, member=developer.member.pk).json()["member"] == developer.member.pk


def test_an_admin_gives_a_key_to_another_member_or_none(admin, developer, acme):
    key = services.issue_key(tenant=acme, name="k", member=developer.member).key
    assert admin.patch(key, member=admin.member.pk).status_code == 200
    assert admin.patch(key, member=None).json()["member"] is None


@pytest.mark.parametrize("before", ["nobody", "another"])
def test_a_key_that_a_developer_rotates_is_counted_for_the_developer(
    developer, admin, acme, before
):
    member = admin.member if before == "another" else None
    key = services.issue_key(tenant=acme, name="k", member=member).key
    assert developer.post(f"/{key.pk}/rotate").json()["member"] == developer.member.pk


def test_a_key_that_an_admin_rotates_stays_its_members(admin, developer, acme):
    key = services.issue_key(tenant=acme, name="k", member=developer.member).key
    assert admin.post(f"/{key.pk}/rotate").json()["member"] == developer.member.pk


RANKS = ["developer", "admin", "operator"]


@pytest.mark.parametrize("blocker", RANKS)
@pytest.mark.parametrize("lifter", RANKS)
def test_a_block_is_lifted_by_the_same_rank_or_a_higher_one(people, key, blocker, lifter):
    blocked = people[blocker].post(f"/{key.pk}/block").json()
    assert (blocked["status"], blocked["blocked_by"]) == ("blocked", blocker)

    answer = people[lifter].post(f"/{key.pk}/unblock")

    if RANKS.index(lifter) >= RANKS.index(blocker):
        assert (answer.json()["status"], answer.json()["blocked_by"]) == ("active", None)
    else:
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "key_restricted")
        assert rows(ApiKey).get().blocked_at


def test_a_block_of_ones_own_is_no_shield_against_one_from_above(developer, boss, key):
    developer.post(f"/{key.pk}/block")
    boss.post(f"/{key.pk}/block")
    assert developer.post(f"/{key.pk}/unblock").status_code == 403


def test_a_lower_block_does_not_weaken_a_higher_one(developer, boss, key):
    boss.post(f"/{key.pk}/block")
    developer.post(f"/{key.pk}/block")
    assert developer.post(f"/{key.pk}/unblock").status_code == 403


def test_the_consoles_block_is_an_operators(console, developer, key):
    services.block_key(key=key, now=timezone.now())
    assert developer.post(f"/{key.pk}/unblock").status_code == 403


def test_a_block_from_before_ranks_were_recorded_is_an_operators(people, key):
    rows(ApiKey).update(blocked_at=timezone.now(), blocked_by=None)
    assert people["admin"].post(f"/{key.pk}/unblock").status_code == 403
    assert people["operator"].post(f"/{key.pk}/unblock").json()["status"] == "active"


WIDER = [
    ("scopes", ["chat"], ["chat", "models"]),
    ("allowed_models", ["tiny"], []),
    ("allowed_networks", NETWORKS, []),
    ("expires_at", "2030-01-01T00:00:00Z", None),
    ("expires_at", "2030-01-01T00:00:00Z", "2031-01-01T00:00:00Z"),
]


@pytest.mark.parametrize(("field", "value", "wider"), WIDER)
def test_what_an_operator_limited_only_an_operator_widens(people, key, field, value, wider):
    people["operator"].patch(key, **{field: value})

    for who in ("developer", "admin"):
        assert people[who].patch(key, **{field: wider}).status_code == 403
        assert people[who].patch(key, **{field: value}).status_code == 200

    assert people["operator"].patch(key, **{field: wider}).status_code == 200
    assert people["developer"].patch(key, **{field: wider}).status_code == 200


@pytest.mark.parametrize(("field", "value", "wider"), WIDER)
def test_what_a_key_was_made_with_is_bound_by_who_made_it(people, field, value, wider):
    made = people["admin"].post(name="k", **{field: value}).json()
    key = rows(ApiKey).get(pk=made["id"])
    assert people["developer"].patch(key, **{field: wider}).status_code == 403
    assert people["admin"].patch(key, **{field: wider}).status_code == 200


@pytest.mark.parametrize(("field", "value", "wider"), WIDER)
def test_limits_from_before_ranks_were_recorded_are_an_admins(people, key, field, value, wider):
    people["developer"].patch(key, **{field: value})
    rows(ApiKey).update(bounds=None)
    assert people["developer"].patch(key, **{field: wider}).status_code == 403
    assert people["admin"].patch(key, **{field: wider}).status_code == 200


def test_a_refused_change_changes_nothing(developer, boss, key):
    boss.patch(key, allowed_networks=NETWORKS)
    developer.patch(key, name="new", allowed_networks=[])
    stored = rows(ApiKey).get()
    assert (stored.name, stored.allowed_networks) == ("production", NETWORKS)


def test_rotation_hands_bounds_on(developer, boss, key):
    boss.patch(key, allowed_networks=NETWORKS)
    new = rows(ApiKey).get(pk=developer.post(f"/{key.pk}/rotate").json()["id"])
    assert new.allowed_networks == NETWORKS
    assert developer.patch(new, allowed_networks=[]).status_code == 403


def test_rotation_outlives_no_end_that_a_higher_rank_has_set(developer, boss, key):
    end = timezone.now() + timedelta(days=1)
    rows(ApiKey).update(created_at=end - timedelta(days=400))
    boss.patch(key, expires_at=end.isoformat())
    new = rows(ApiKey).get(pk=developer.post(f"/{key.pk}/rotate").json()["id"])
    assert new.expires_at == end


def test_a_developer_prolongs_no_key_that_an_operator_has_rotated_away(developer, boss, key):
    boss.post(f"/{key.pk}/rotate", overlap_seconds=60)
    assert developer.patch(key, expires_at=None).status_code == 403
    again = developer.post(f"/{key.pk}/rotate").json()
    left = rows(ApiKey).get(pk=again["id"]).expires_at - timezone.now()
    assert left <= timedelta(seconds=60)


def test_a_change_stores_what_it_names_and_nothing_else(acme, key, developer):
    seen = rows(ApiKey).get(pk=key.pk)
    developer.patch(key, name="late")
    seen.allowed_models = ["tiny"]
    services.save_key(key=seen, fields=["allowed_models"], by=Rank.DEVELOPER)
    stored = rows(ApiKey).get()
    assert (stored.name, stored.allowed_models) == ("late", ["tiny"])


@pytest.mark.parametrize("who", RANKS)
def test_rotation_hands_a_keys_own_limits_on(people, acme, key, who):
    own_quota(acme, per="key", api_key=key)
    own_rate(acme, per="key", api_key=key)
    new = people[who].post(f"/{key.pk}/rotate").json()
    assert (rows(Quota).get().api_key_id, rows(RateLimit).get().api_key_id) == (new["id"],) * 2
    assert new["counted_as"] == key.pk


def test_an_operator_who_renames_a_key_does_not_take_over_its_limits(console, developer, acme):
    made = developer.post(name="k", allowed_networks=NETWORKS).json()
    key = rows(ApiKey).get(pk=made["id"])
    form = {
        "name": "renamed",
        "member": developer.member.pk,
        "scopes": key.scopes,
        "allowed_networks": NETWORKS[0],
    }
    place = reverse("admin:tenants_apikey_change", args=(key.pk,))
    assert console.post(place, form).status_code == 302

    assert developer.patch(key, allowed_networks=[]).status_code == 200
    assert rows(ApiKey).get().name == "renamed"
