"""Nobody becomes a member of a tenant without consent, and no tenant learns who has an account."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tenants import invitations, services
from tenants.models import Invitation, Membership, User
from tenants.scoping import tenant_scope
from tests.config.console.api.test_management_api_tenants import API, Script
from tests.fixtures.console.people import PASSWORD, make_person, rows


@pytest.fixture
def admin(acme):
    return Script(make_person(acme, "admin"))


@pytest.fixture
def stranger(rival):
    """A developer of rival, with whom acme has nothing to do."""
    return make_person(rival, "developer")


def invite(admin, name, role="viewer"):
    return admin.send("post", "members", {"user": name, "role": role})


def my_invitation(script):
    return script.get(API + "my-invitations").json()["results"][0]["id"]


def accept(script):
    return script.send("post", f"my-invitations/{my_invitation(script)}/accept")


@pytest.mark.parametrize("name", ["developer-of-rival", "olga", "nobody-has-this-name"])
@pytest.mark.usefixtures("stranger", "operator")
def test_an_admin_gets_one_answer_for_every_name(admin, name):
    answer = invite(admin, name)
    body = answer.json()
    assert answer.status_code == 201
    assert set(body) == {"id", "tenant", "user", "role", "created_at", "expires_at"}
    assert (body["tenant"], body["user"], body["role"]) == ("acme", name, "viewer")
    assert not rows(Membership).filter(user__username=name, tenant__slug="acme").exists()
    assert admin.get(f"{API}invitations/{body['id']}").json() == body


@pytest.mark.usefixtures("stranger")
def test_an_existing_and_an_unknown_name_cost_the_same_statements(admin):
    statements = []
    for name in ("developer-of-rival", "nobody-has-this-name"):
        with CaptureQueriesContext(connection) as asked:
            invite(admin, name)
        statements.append([each["sql"].split()[0] for each in asked.captured_queries])
    assert statements[0] == statements[1]


@pytest.mark.usefixtures("stranger")
def test_an_admin_is_told_of_a_broken_name_whether_or_not_it_exists(admin):
    for name in ("a b", "nul\x00", "", "n" * 151, None, ["olga"], {"a": 1}):
        answer = invite(admin, name)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "user"), name


def test_an_invitation_changes_nothing_for_the_person_until_it_is_accepted(admin, stranger, rival):
    script = Script(stranger)
    services.issue_key(tenant=rival, name="ours")
    invite(admin, stranger.username, role="admin")

    assert [key["name"] for key in script.get(API + "api-keys").json()["results"]] == ["ours"]
    assert script.get(API + "api-keys?tenant=acme").status_code == 404
    assert [each["slug"] for each in script.get(API + "tenants").json()["results"]] == ["rival"]


def test_also_after_accepting_calls_mean_the_tenant_that_they_meant(admin, stranger):
    script = Script(stranger)
    invite(admin, stranger.username, role="admin")
    accepted = accept(script)

    assert (accepted.status_code, accepted.json()["tenant"]) == (201, "acme")
    made = script.send("post", "api-keys", {"name": "ci"})
    assert (made.status_code, made.json()["tenant"]) == (201, "rival")
    assert script.send("post", "api-keys?tenant=acme", {"name": "ci"}).json()["tenant"] == "acme"
    assert script.get(API + "my-invitations").json()["results"] == []


def test_an_operator_who_adds_somebody_does_not_change_what_their_calls_mean(
    acme, stranger, operator
):
    body = {"user": stranger.username, "role": "viewer"}
    added = Script(operator).send("post", "members?tenant=acme", body)

    assert added.status_code == 201
    made = Script(stranger).send("post", "api-keys", {"name": "ci"})
    assert made.json()["tenant"] == "rival"


def test_who_is_removed_from_the_default_tenant_never_acts_for_another_one(acme, stranger, rival):
    services.add_member(tenant=acme, user=stranger, role="developer")
    with tenant_scope(rival.pk):
        services.remove_member(membership=Membership.objects.get(user=stranger))

    refused = Script(stranger).send("post", "api-keys", {"name": "ci"})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "tenant")

    services.add_member(tenant=rival, user=stranger, role="developer")
    again = Script(stranger).send("post", "api-keys", {"name": "ci"})
    assert again.json()["tenant"] == "rival"


def test_a_removal_from_a_further_tenant_changes_nothing_in_the_default_one(acme, stranger):
    further = services.add_member(tenant=acme, user=stranger, role="developer")
    services.remove_member(membership=further)
    made = Script(stranger).send("post", "api-keys", {"name": "ci"})
    assert made.json()["tenant"] == "rival"


def test_a_person_chooses_another_default_tenant(acme, stranger):
    membership = services.add_member(tenant=acme, user=stranger, role="developer")
    script = Script(stranger)

    chosen = script.send("post", f"my-memberships/{membership.pk}/make-default")

    assert chosen.json()["is_default"] is True
    assert script.send("post", "api-keys", {"name": "ci"}).json()["tenant"] == "acme"
    listed = script.get(API + "my-memberships").json()["results"]
    assert {each["tenant"]: each["is_default"] for each in listed} == {"acme": True, "rival": False}


def test_a_person_leaves_and_the_one_tenant_that_is_left_is_meant(acme, stranger):
    services.add_member(tenant=acme, user=stranger, role="developer")
    script = Script(stranger)
    default = rows(Membership).get(user=stranger, tenant__slug="rival")

    assert script.send("delete", f"my-memberships/{default.pk}").status_code == 204

    assert script.get(API + "api-keys?tenant=rival").status_code == 404
    assert script.send("post", "api-keys", {"name": "ci"}).json()["tenant"] == "acme"


def test_nobody_touches_anothers_memberships_or_invitations(admin, acme, stranger, rival):
    invite(admin, stranger.username)
    invitation = rows(Invitation).get()
    theirs = rows(Membership).get(tenant=rival)
    other = Script(make_person(acme, "viewer"))
    for place in (
        f"my-invitations/{invitation.pk}/accept",
        f"my-invitations/{invitation.pk}/decline",
        f"my-memberships/{theirs.pk}/make-default",
    ):
        assert other.send("post", place).status_code == 404
        assert admin.send("post", place).status_code == 404
    assert admin.send("delete", f"my-memberships/{theirs.pk}").status_code == 404
    assert Script(stranger).get(API + "invitations").status_code == 403


def test_a_declined_invitation_looks_open_to_the_tenant(admin, stranger):
    invite(admin, stranger.username)
    before = admin.get(API + "invitations").json()
    script = Script(stranger)
    place = f"my-invitations/{my_invitation(script)}"

    assert script.send("post", f"{place}/decline").status_code == 204

    assert script.send("post", f"{place}/accept").status_code == 404
    assert admin.get(API + "invitations").json() == before


def test_an_invitation_ends_when_it_is_withdrawn_or_old(admin, acme, stranger):
    script = Script(stranger)
    invite(admin, stranger.username)
    withdrawn = my_invitation(script)
    assert admin.send("delete", f"invitations/{withdrawn}").status_code == 204
    assert script.send("post", f"my-invitations/{withdrawn}/accept").status_code == 404

    invitations.invite(
        tenant=acme,
        username=stranger.username,
        role="viewer",
        now=timezone.now() - invitations.MAX_INVITATION_AGE - timedelta(seconds=1),
    )
    assert script.get(API + "my-invitations").json()["results"] == []
    assert admin.get(API + "invitations").json()["results"] == []


def test_a_name_is_invited_before_it_exists_and_never_passes_to_somebody_else(admin):
    invite(admin, "later")
    later = User.objects.create_user("later", password=PASSWORD)
    assert accept(Script(later)).json()["tenant"] == "acme"

    invite(admin, "gone")
    gone = User.objects.create_user("gone", password=PASSWORD)
    invite(admin, "gone")
    User.objects.filter(pk=gone.pk).update(username="renamed")
    another = User.objects.create_user("gone", password=PASSWORD)
    assert Script(another).get(API + "my-invitations").json()["results"] == []


def test_a_second_invitation_of_a_member_changes_the_role(admin, acme):
    viewer = make_person(acme, "viewer")
    answer = invite(admin, viewer.username, role="developer")
    assert answer.json()["role"] == "developer"
    assert rows(Membership).get(user=viewer).role == "developer"
    assert not rows(Invitation).exists()


def test_a_tenant_has_a_bounded_number_of_open_invitations(admin, acme, monkeypatch):
    monkeypatch.setattr(invitations, "MAX_OPEN_INVITATIONS", 2)
    answers = [invite(admin, name) for name in ("one", "two", "three", "two")]
    assert [answer.status_code for answer in answers] == [201, 201, 409, 201]
    assert answers[2].json()["error"]["code"] == "too_many_invitations"


def test_somebody_without_a_default_says_which_tenant(acme, rival):
    """As it was stored before people had a default tenant."""
    anna = make_person(acme, "viewer")
    services.add_member(tenant=rival, user=anna, role="viewer")
    User.objects.filter(pk=anna.pk).update(default_tenant=None)
    answer = Script(anna).get(API + "api-keys")
    assert "acme, rival" in answer.json()["error"]["message"]
    assert Script(anna).get(API + "api-keys?tenant=rival").status_code == 200
