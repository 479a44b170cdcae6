"""Services of tenants: what each changes, and that the gateways are told."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone

from kernel.publishing.publish import latest_revision, revisions_after
from tenants import services
from tenants.api_keys.keys import parse_key
from tenants.errors import KeyNotActive, SlugTaken
from tenants.models import ApiKey, Membership, Tenant, User
from tenants.scoping import every_tenant
from tenants.selectors import load_principal, tenant_ids_of

NOW = timezone.now()


@pytest.fixture
def acme(db):
    return services.create_tenant(slug="acme", name="Acme")


@pytest.fixture
def rival(db):
    return services.create_tenant(slug="rival", name="Rival")


@pytest.fixture
def issued(acme):
    return services.issue_key(tenant=acme, name="ci")


def principal_of(issued):
    return load_principal(issued.key.public_id)


def published_by(change):
    """The topics that a change published."""
    before = latest_revision()
    change()
    return [topic for _, topic in revisions_after(before)]


CHANGES = {
    "suspend": lambda key: services.suspend_tenant(tenant_id=key.tenant_id),
    "resume": lambda key: services.resume_tenant(tenant_id=key.tenant_id),
    "save a tenant": lambda key: services.save_tenant(tenant=key.tenant),
    "issue": lambda key: services.issue_key(tenant=key.tenant, name="x"),
    "save a key": lambda key: services.save_key(key=key),
    "block": lambda key: services.block_key(key=key, now=NOW),
    "unblock": lambda key: services.unblock_key(key=key),
    "rotate": lambda key: services.rotate_key(key=key, now=NOW),
}


@pytest.mark.parametrize("change", CHANGES)
def test_each_change_tells_the_gateways_of_its_tenant(acme, rival, issued, change):
    topics = published_by(lambda: CHANGES[change](issued.key))

    # A tenant's time zone is a matter of its limits, too; and what narrows a key, or all keys of a
    # tenant, is told by its name, so that it holds in an outage.
    key = issued.key.public_id
    narrowed = {f"key:{key}", f"suspended:{acme.pk}"}
    assert set(topics) - {f"limits:{acme.pk}"} - narrowed == {f"principals:{acme.pk}"}


def test_a_member_who_is_removed_is_told_of(acme):
    olga = User.objects.create_user("olga")
    membership = services.add_member(tenant=acme, user=olga)

    topics = published_by(lambda: services.remove_member(membership=membership))

    assert topics == [f"principals:{acme.pk}", f"limits:{acme.pk}"]


def test_a_short_name_is_taken_once(acme):
    with pytest.raises(SlugTaken, match="'acme'"):
        services.create_tenant(slug="acme", name="Another")

    assert Tenant.objects.count() == 1


@pytest.mark.parametrize(
    "facts",
    [
        {"slug": "two words"},
        {"slug": ""},
        {"slug": "x" * 51},
        {"name": ""},
        {"time_zone": "Europe/Atlantis"},
        {"time_zone": ""},
    ],
)
def test_what_no_form_would_accept_no_service_does(db, facts):
    with pytest.raises(ValidationError):
        services.create_tenant(**{"slug": "acme", "name": "Acme", **facts})


@pytest.mark.parametrize(
    "facts",
    [
        {"name": ""},
        {"scopes": ["admin"]},
        {"allowed_networks": ["10.0.0.0/33"]},
        {"allowed_networks": ["example.org"]},
        {"allowed_models": ["x" * 101]},
    ],
)
def test_a_key_with_impossible_facts_is_not_made(acme, facts):
    with pytest.raises(ValidationError):
        services.issue_key(**{"tenant": acme, "name": "ci", **facts})

    with every_tenant():
        assert not ApiKey.objects.exists()


def test_a_key_is_never_given_to_another_tenants_member(acme, rival):
    olga = User.objects.create_user("olga")
    theirs = services.add_member(tenant=rival, user=olga)

    with pytest.raises(ValidationError):
        services.issue_key(tenant=acme, name="ci", member=theirs)


def test_an_issued_key_opens_its_tenant(acme, issued):
    principal = principal_of(issued)

    assert parse_key(issued.secret).public_id == principal.public_id
    assert (principal.tenant_id, principal.tenant) == (acme.pk, "acme")
    assert principal.scopes == {"chat", "embeddings", "models"}


def test_a_key_without_scopes_has_none(acme):
    issued = services.issue_key(tenant=acme, name="ci", scopes=[])

    assert principal_of(issued).scopes == frozenset()


def everything_stored():
    """Every value of every column of every table, as text."""
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT row_to_json(t)::text FROM "{table}" t')
            yield from (row for (row,) in cursor.fetchall())


def test_the_secret_is_stored_nowhere(acme, issued):
    services.rotate_key(key=issued.key, now=NOW)
    key = parse_key(issued.secret)

    stored = "\n".join(everything_stored())

    assert key.public_id in stored
    for text in (issued.secret, key.secret, key.secret.encode().hex(), issued.secret[-20:]):
        assert text not in stored


def test_an_issued_key_does_not_show_itself(issued):
    assert issued.secret not in repr(issued)


@pytest.mark.parametrize("pepper", ["pep-1", "pep-2"])
def test_a_key_remembers_its_pepper(acme, settings, pepper):
    settings.KEY_PEPPERS = [pepper, "older"]
    first = principal_of(services.issue_key(tenant=acme, name="ci"))
    settings.KEY_PEPPERS = ["newer", pepper]
    second = principal_of(services.issue_key(tenant=acme, name="ci"))

    assert first.pepper != second.pepper


def test_a_key_is_blocked_once(issued):
    assert services.block_key(key=issued.key, now=NOW)
    assert not services.block_key(key=issued.key, now=NOW)
    assert principal_of(issued).blocked


def test_a_blocked_key_can_be_accepted_again(issued):
    services.block_key(key=issued.key, now=NOW)

    assert services.unblock_key(key=issued.key)
    assert not services.unblock_key(key=issued.key)
    assert not principal_of(issued).blocked


def test_a_tenant_is_suspended_and_resumed_once(acme, rival, issued):
    assert services.suspend_tenant(tenant_id=acme.pk)
    assert not services.suspend_tenant(tenant_id=acme.pk)
    assert not principal_of(issued).tenant_active
    assert Tenant.objects.get(slug="rival").status == "active"
    assert services.resume_tenant(tenant_id=acme.pk)
    assert not services.resume_tenant(tenant_id=acme.pk)
    assert principal_of(issued).tenant_active


def test_a_rotated_key_works_until_the_overlap_has_passed(issued):
    services.rotate_key(key=issued.key, now=NOW, overlap=timedelta(hours=1))

    assert principal_of(issued).expires_at == (NOW + timedelta(hours=1)).timestamp()


def test_rotation_does_not_prolong_a_key(acme):
    soon = NOW + timedelta(minutes=5)
    issued = services.issue_key(tenant=acme, name="ci", expires_at=soon)

    services.rotate_key(key=issued.key, now=NOW)

    assert principal_of(issued).expires_at == soon.timestamp()


def test_the_new_key_may_do_what_the_old_one_did(acme):
    facts = {"scopes": ["chat"], "allowed_models": ["tiny"], "allowed_networks": ["10.0.0.0/8"]}
    issued = services.issue_key(tenant=acme, name="ci", **facts)

    fresh = services.rotate_key(key=issued.key, now=NOW)

    old, new = principal_of(issued), principal_of(fresh)
    for fact in ("scopes", "allowed_models", "allowed_networks", "member_id", "tenant_id"):
        assert getattr(new, fact) == getattr(old, fact)
    assert fresh.key.replaces_id == issued.key.pk
    assert fresh.secret != issued.secret


def test_a_second_call_changes_a_members_role(acme):
    olga = User.objects.create_user("olga")
    services.add_member(tenant=acme, user=olga, role="viewer")
    services.add_member(tenant=acme, user=olga, role="admin")

    with every_tenant():
        assert [each.role for each in Membership.objects.all()] == ["admin"]


def test_a_member_who_leaves_leaves_the_keys(acme):
    membership = services.add_member(tenant=acme, user=User.objects.create_user("olga"))
    issued = services.issue_key(tenant=acme, name="ci", member=membership)
    assert principal_of(issued).member_id == membership.pk

    services.remove_member(membership=membership)

    assert principal_of(issued).member_id is None


def test_a_user_has_the_tenants_of_the_memberships(acme, rival):
    olga = User.objects.create_user("olga")
    services.add_member(tenant=acme, user=olga)

    assert tenant_ids_of(user=olga) == [acme.pk]


def test_a_rotated_key_lives_as_long_as_the_old_one_was_made_for(acme):
    old = services.issue_key(tenant=acme, name="k", expires_at=NOW + timedelta(days=9)).key

    new = services.rotate_key(key=old, now=NOW).key

    assert new.expires_at - NOW == old.expires_at - old.created_at


@pytest.mark.parametrize("ended", ["blocked_at", "expires_at"])
def test_a_key_that_has_ended_is_not_rotated(acme, ended):
    key = services.issue_key(tenant=acme, name="k").key
    setattr(key, ended, NOW - timedelta(days=1))

    with pytest.raises(KeyNotActive):
        services.rotate_key(key=key, now=NOW)
