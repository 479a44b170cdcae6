"""Who may do what over the management API: every route, asked by everybody.

A route that is not in the table fails, so that nobody adds one without saying who may use it.
"""

from datetime import timedelta

import pytest
from django.db import transaction
from django.test import Client
from django.urls import get_resolver
from django.utils import timezone

from agents import services as agents
from agents.schedules.services import create_schedule
from inference.endpoints import join_tokens
from inference.endpoints import manual as static_endpoints
from tenants import invitations
from tenants import services as tenants
from tenants.limits import services as limit_services
from tenants.limits.report import report_limits
from tenants.models import AlertRecipient
from tenants.notifications import recipients
from tests.fixtures.console.people import make_event, make_person
from tests.fixtures.fleet.scaling import make_policy
from tests.fixtures.limits.limits import make_plan, own_quota, own_rate
from tests.fixtures.nodes import node_token, register
from tests.fixtures.runs.conversations import erase_another, make_approval
from tests.fixtures.runs.messages import make_dead_letter
from tests.fixtures.runs.remote_agents import make_remote_agent
from tests.fixtures.runs.tasks import make_task
from tests.fixtures.runs.tools import make_tool

pytestmark = pytest.mark.slow

PREFIX = "api/v1/"
CAST = ("anonymous", "viewer of rival", "viewer", "developer", "admin", "operator")

EVERYBODY = (401, 200, 200, 200, 200, 200)
"""Lists: people of other tenants get a list too, of their own things."""
MEMBERS = (401, 404, 200, 200, 200, 200)
ADMINS = (401, 403, 403, 403, 200, 200)
"""What people said: a viewer is refused for the role, whatever the tenant."""
OPERATORS = (401, 403, 403, 403, 403, 200)

# (method, route): the answers to CAST, in its order, about the things of acme.
ACCESS = {
    ("get", "tenants"): EVERYBODY,
    ("post", "tenants"): (401, 403, 403, 403, 403, 201),
    ("get", "tenants/{slug}"): MEMBERS,
    ("patch", "tenants/{slug}"): OPERATORS,
    ("post", "tenants/{slug}/suspend"): OPERATORS,
    ("post", "tenants/{slug}/resume"): OPERATORS,
    ("get", "tenants/{slug}/limits"): MEMBERS,
    ("get", "plans"): OPERATORS,
    ("post", "plans"): (401, 403, 403, 403, 403, 201),
    ("get", "plans/{pk}"): OPERATORS,
    ("patch", "plans/{pk}"): OPERATORS,
    ("delete", "plans/{pk}"): (401, 403, 403, 403, 403, 409),
    ("get", "rate-limits"): EVERYBODY,
    ("post", "rate-limits"): (401, 403, 403, 403, 403, 201),
    ("get", "rate-limits/{pk}"): MEMBERS,
    ("patch", "rate-limits/{pk}"): OPERATORS,
    ("delete", "rate-limits/{pk}"): (401, 403, 403, 403, 403, 204),
    ("get", "quotas"): EVERYBODY,
    ("post", "quotas"): (401, 403, 403, 403, 403, 201),
    ("get", "quotas/{pk}"): MEMBERS,
    ("patch", "quotas/{pk}"): OPERATORS,
    ("delete", "quotas/{pk}"): (401, 403, 403, 403, 403, 204),
    ("get", "top-ups"): EVERYBODY,
    ("post", "top-ups"): (401, 403, 403, 403, 403, 201),
    ("get", "top-ups/{pk}"): MEMBERS,
    ("get", "alert-recipients"): (401, 403, 403, 403, 200, 200),
    ("post", "alert-recipients"): (401, 403, 403, 403, 403, 201),
    ("get", "alert-recipients/{pk}"): (401, 403, 403, 403, 200, 200),
    ("patch", "alert-recipients/{pk}"): OPERATORS,
    ("delete", "alert-recipients/{pk}"): (401, 403, 403, 403, 403, 204),
    ("post", "alert-recipients/{pk}/new-secret"): (401, 403, 403, 403, 403, 409),
    ("get", "members"): EVERYBODY,
    ("post", "members"): (401, 404, 403, 403, 201, 201),
    ("get", "members/{pk}"): MEMBERS,
    ("patch", "members/{pk}"): (401, 403, 403, 403, 200, 200),
    ("delete", "members/{pk}"): (401, 403, 403, 403, 204, 204),
    ("get", "invitations"): ADMINS,
    ("get", "invitations/{pk}"): ADMINS,
    ("delete", "invitations/{pk}"): (401, 403, 403, 403, 204, 204),
    ("get", "my-memberships"): EVERYBODY,
    ("get", "my-memberships/{pk}"): (401, 404, 200, 404, 404, 404),
    ("delete", "my-memberships/{pk}"): (401, 404, 204, 404, 404, 404),
    ("post", "my-memberships/{pk}/make-default"): (401, 404, 200, 404, 404, 404),
    ("get", "my-invitations"): EVERYBODY,
    ("get", "my-invitations/{pk}"): (401, 404, 404, 404, 404, 200),
    ("post", "my-invitations/{pk}/accept"): (401, 404, 404, 404, 404, 201),
    ("post", "my-invitations/{pk}/decline"): (401, 404, 404, 404, 404, 204),
    ("get", "api-keys"): EVERYBODY,
    ("post", "api-keys"): (401, 404, 403, 201, 201, 201),
    ("get", "api-keys/{pk}"): MEMBERS,
    ("patch", "api-keys/{pk}"): (401, 403, 403, 200, 200, 200),
    ("post", "api-keys/{pk}/block"): (401, 403, 403, 200, 200, 200),
    ("post", "api-keys/{pk}/unblock"): (401, 403, 403, 200, 200, 200),
    ("post", "api-keys/{pk}/rotate"): (401, 403, 403, 201, 201, 201),
    ("get", "agents"): EVERYBODY,
    ("post", "agents"): (401, 404, 403, 201, 201, 201),
    ("get", "agents/{pk}"): MEMBERS,
    ("patch", "agents/{pk}"): (401, 403, 403, 200, 200, 200),
    ("delete", "agents/{pk}"): (401, 403, 403, 204, 204, 204),
    ("post", "agents/{pk}/publish"): (401, 403, 403, 201, 201, 201),
    ("post", "agents/{pk}/rollback"): (401, 403, 403, 200, 200, 200),
    ("post", "agents/{pk}/pause"): (401, 403, 403, 200, 200, 200),
    ("post", "agents/{pk}/resume"): (401, 403, 403, 200, 200, 200),
    ("post", "agents/{pk}/deploy"): (401, 403, 403, 200, 200, 200),
    ("post", "agents/{pk}/undeploy"): (401, 403, 403, 200, 200, 200),
    ("get", "agents/{pk}/revisions"): MEMBERS,
    ("get", "conversations"): ADMINS,
    ("get", "conversations/{public_id}"): ADMINS,
    ("get", "conversations/{public_id}/items"): ADMINS,
    ("delete", "conversations/{public_id}"): ADMINS,
    ("get", "runs"): ADMINS,
    ("get", "runs/{public_id}"): ADMINS,
    ("post", "runs/{public_id}/cancel"): ADMINS,
    ("get", "tasks"): ADMINS,
    ("get", "tasks/{public_id}"): ADMINS,
    ("post", "tasks/{public_id}/cancel"): ADMINS,
    ("get", "messages"): ADMINS,
    ("get", "messages/{public_id}"): ADMINS,
    ("get", "topics"): EVERYBODY,
    ("get", "dead-letters"): ADMINS,
    ("get", "dead-letters/{public_id}"): ADMINS,
    ("post", "dead-letters/{public_id}/replay"): ADMINS,
    ("get", "schedules"): EVERYBODY,
    ("post", "schedules"): (401, 404, 403, 201, 201, 201),
    ("get", "schedules/{public_id}"): MEMBERS,
    ("patch", "schedules/{public_id}"): (401, 403, 403, 200, 200, 200),
    ("delete", "schedules/{public_id}"): (401, 403, 403, 204, 204, 204),
    ("post", "schedules/{public_id}/pause"): (401, 403, 403, 200, 200, 200),
    ("post", "schedules/{public_id}/resume"): (401, 403, 403, 200, 200, 200),
    ("get", "schedules/{public_id}/history"): MEMBERS,
    ("get", "remote-agents"): EVERYBODY,
    # Cards at addresses that are not public are not fetched.
    ("post", "remote-agents"): (401, 404, 403, 400, 400, 400),
    ("get", "remote-agents/{pk}"): MEMBERS,
    ("patch", "remote-agents/{pk}"): (401, 403, 403, 200, 200, 200),
    ("delete", "remote-agents/{pk}"): (401, 403, 403, 204, 204, 204),
    ("post", "remote-agents/{pk}/refresh"): (401, 403, 403, 400, 400, 400),
    ("get", "approvals"): ADMINS,
    ("get", "approvals/{public_id}"): ADMINS,
    ("post", "approvals/{public_id}/resolve"): ADMINS,
    ("get", "erasures"): ADMINS,
    ("post", "erasures"): (401, 404, 403, 403, 202, 202),
    ("get", "erasures/{public_id}"): ADMINS,
    ("get", "agents/{pk}/revisions/{number}"): MEMBERS,
    ("get", "agents/{pk}/differences"): MEMBERS,
    ("get", "agents/{pk}/rollouts"): MEMBERS,
    ("get", "agents/{pk}/rollout"): (401, 404, 409, 409, 409, 409),
    ("post", "agents/{pk}/rollout"): (401, 403, 403, 201, 201, 201),
    ("post", "agents/{pk}/rollout/stop"): (401, 403, 403, 409, 409, 409),
    ("post", "agents/{pk}/rollout/promote"): (401, 403, 403, 409, 409, 409),
    ("get", "tools"): EVERYBODY,
    ("post", "tools"): (401, 404, 403, 201, 201, 201),
    ("post", "tools/find-openapi"): (401, 404, 403, 200, 200, 200),
    ("post", "tools/import-openapi"): (401, 404, 403, 201, 201, 201),
    ("post", "tools/find-mcp"): (401, 404, 403, 400, 400, 400),
    ("post", "tools/import-mcp"): (401, 404, 403, 400, 400, 400),
    ("get", "tools/{pk}"): MEMBERS,
    ("patch", "tools/{pk}"): (401, 403, 403, 200, 200, 200),
    ("delete", "tools/{pk}"): (401, 403, 403, 204, 204, 204),
    ("get", "usage"): EVERYBODY,
    ("get", "usage/{request_id}"): MEMBERS,
    ("get", "usage/summary"): EVERYBODY,
    ("get", "tokens"): EVERYBODY,
    ("post", "tokens"): (401, 201, 201, 201, 201, 201),
    ("delete", "tokens/{token_key}"): (401, 404, 404, 404, 404, 404),
    ("get", "routes"): OPERATORS,
    ("post", "routes"): (401, 403, 403, 403, 403, 201),
    ("get", "routes/{pk}"): OPERATORS,
    ("patch", "routes/{pk}"): OPERATORS,
    ("delete", "routes/{pk}"): (401, 403, 403, 403, 403, 409),
    ("get", "pools"): OPERATORS,
    ("post", "pools"): (401, 403, 403, 403, 403, 201),
    ("get", "pools/{pk}"): OPERATORS,
    ("patch", "pools/{pk}"): OPERATORS,
    ("delete", "pools/{pk}"): (401, 403, 403, 403, 403, 409),
    ("get", "scaling-policies"): OPERATORS,
    ("post", "scaling-policies"): (401, 403, 403, 403, 403, 409),
    ("get", "scaling-policies/{pk}"): OPERATORS,
    ("patch", "scaling-policies/{pk}"): OPERATORS,
    ("delete", "scaling-policies/{pk}"): (401, 403, 403, 403, 403, 204),
    ("post", "scaling-policies/{pk}/pause"): OPERATORS,
    ("post", "scaling-policies/{pk}/resume"): OPERATORS,
    ("post", "scaling-policies/{pk}/override"): OPERATORS,
    ("delete", "scaling-policies/{pk}/override"): OPERATORS,
    ("get", "scaling-policies/{pk}/decisions"): OPERATORS,
    ("post", "scaling-policies/{pk}/rehearse"): OPERATORS,
    ("get", "endpoints"): OPERATORS,
    ("post", "endpoints"): (401, 403, 403, 403, 403, 201),
    ("get", "endpoints/{public_id}"): OPERATORS,
    ("patch", "endpoints/{public_id}"): OPERATORS,
    ("delete", "endpoints/{public_id}"): (401, 403, 403, 403, 403, 204),
    ("post", "endpoints/{public_id}/drain"): OPERATORS,
    ("post", "endpoints/{public_id}/activate"): OPERATORS,
    ("post", "endpoints/{public_id}/breaker"): OPERATORS,
    ("post", "endpoints/{public_id}/probe"): OPERATORS,
    ("get", "join-tokens"): OPERATORS,
    ("post", "join-tokens"): (401, 403, 403, 403, 403, 201),
    ("get", "join-tokens/{pk}"): OPERATORS,
    ("post", "join-tokens/{pk}/block"): OPERATORS,
    ("get", "nodes"): OPERATORS,
    ("get", "nodes/{name}"): OPERATORS,
    ("delete", "nodes/{name}"): (401, 403, 403, 403, 403, 409),
    ("post", "nodes/{name}/drain"): OPERATORS,
    ("post", "nodes/{name}/activate"): OPERATORS,
    ("get", "node-tokens"): OPERATORS,
    ("post", "node-tokens"): (401, 403, 403, 403, 403, 201),
    ("get", "node-tokens/{pk}"): OPERATORS,
    ("post", "node-tokens/{pk}/block"): OPERATORS,
    ("get", "audit"): OPERATORS,
    ("get", "audit/{pk}"): OPERATORS,
}
BODIES = {
    ("post", "scaling-policies"): {"pool": "small", "signals": [{"kind": "waiting", "target": 1}]},
    ("post", "scaling-policies/{pk}/override"): {
        "replicas": 2,
        "until": (timezone.now() + timedelta(hours=1)).isoformat(),
    },
    ("post", "scaling-policies/{pk}/rehearse"): {"load": "sale", "drafts": [{}]},
    ("post", "tenants"): {"slug": "third", "name": "Third"},
    ("post", "members"): {"user": "olga", "role": "viewer"},
    ("patch", "members/{pk}"): {"role": "viewer"},
    ("post", "api-keys"): {"name": "second"},
    ("post", "agents"): {"slug": "second", "name": "Second", "route": "smollm2"},
    ("post", "agents/{pk}/rollback"): {"revision": 1},
    ("post", "approvals/{public_id}/resolve"): {"decision": "approved"},
    ("post", "erasures"): {"everything_of": "acme"},
    ("post", "agents/{pk}/rollout"): {"share": 5},
    ("post", "tools"): {
        "name": "second",
        "kind": "builtin",
        "description": "The time.",
        "settings": {"function": "time"},
    },
    **{
        ("post", f"tools/{verb}-openapi"): {
            "document": "{openapi: 3.1.0, servers: [{url: 'https://93.184.216.34'}], "
            "paths: {/orders: {get: {}}}}",
            "names": ["get_orders"],
        }
        for verb in ("find", "import")
    },
    **{
        # It is not asked: nothing is sent into networks that are not public.
        ("post", f"tools/{verb}-mcp"): {"url": "https://127.0.0.1/mcp", "names": ["stock"]}
        for verb in ("find", "import")
    },
    ("post", "remote-agents"): {"name": "second", "card_url": "https://127.0.0.1/card.json"},
    ("post", "plans"): {"name": "Second"},
    ("post", "rate-limits"): {"requests_per_minute": 5, "per": "key"},
    ("post", "quotas"): {"limit": 5, "per": "key"},
    ("post", "alert-recipients"): {"kind": "email", "address": "ops@acme.example"},
    ("post", "routes"): {"name": "second", "pool": "small"},
    ("post", "pools"): {"name": "second", "engine": "vllm"},
    ("post", "endpoints"): {"pool": "small", "address": "http://10.0.0.9", "model": "smollm2"},
    ("post", "endpoints/{public_id}/breaker"): {"breaker": "open", "reason": "Broken fan"},
    ("post", "node-tokens"): {"name": "rack 2", "max_uses": 3},
    ("post", "join-tokens"): {"pool": "small", "name": "rack 2"},
}
FOR_A_NEW_ROW = {
    *("members", "api-keys", "agents", "tools", "erasures", "schedules", "remote-agents"),
    *("rate-limits", "quotas", "top-ups", "alert-recipients"),
}
"""Where `?tenant=acme` says for whom."""


def kind_of(route):
    return route.partition("/")[0]


def wired_routes():
    """(method, route) of everything under the prefix, from the URLs themselves."""
    for route, callback in walk(get_resolver().url_patterns):
        for method in getattr(callback, "actions", {}):
            if method != "head":
                yield method, route


def walk(patterns, before=""):
    for pattern in patterns:
        place = before + str(pattern.pattern)
        if hasattr(pattern, "url_patterns"):
            yield from walk(pattern.url_patterns, place)
        elif place.startswith(PREFIX):
            yield readable(place.removeprefix(PREFIX)), pattern.callback


def readable(regex):
    """`^members/(?P<pk>\\d+)$` as `members/{pk}`."""
    parts = regex.strip("^$").removesuffix("\\Z").split("/")
    return "/".join(f"{{{p[4 : p.index('>')]}}}" if p.startswith("(?P<") else p for p in parts)


def test_every_route_says_who_may_use_it():
    assert set(wired_routes()) == set(ACCESS)


@pytest.fixture
def things(acme, rival, route, pool, operator):
    """What the routes are about, by the names of their placeholders."""
    people = {
        "anonymous": None,
        "operator": operator,
        "viewer of rival": make_person(rival, "viewer"),
        **{role: make_person(acme, role) for role in ("viewer", "developer", "admin")},
    }
    agent = agents.create_agent(tenant=acme, slug="helper", name="Helper", route=route)
    agents.publish(agent=agent)
    agent.instructions = "Be brief."
    agents.save_draft(agent=agent)
    endpoint = static_endpoints.add_static_endpoint(
        pool=pool, address="http://127.0.0.1:9", model="smollm2"
    )
    limits = limits_of(acme, owner=operator)
    members = tenants.add_member(tenant=acme, user=people["viewer"], role="viewer")
    key = tenants.issue_key(tenant=acme, name="production").key
    due = {"cron": "0 9 * * 1", "input": "Report.", "agent": agent.slug, "api_key": key.pk}
    facts = {**due, "agent": agent, "api_key": key}
    schedule = create_schedule(tenant=acme, name="Daily", **facts)
    return {
        "people": people,
        "tenants": "acme",
        **limits,
        **said_in(acme),
        "members": members.pk,
        "my-memberships": members.pk,
        **dict.fromkeys(("invitations", "my-invitations"), invite(acme, operator).pk),
        "api-keys": key.pk,
        "schedules": schedule.public_id,
        "schedule": {"name": "Weekly", **due},
        "agents": agent.pk,
        "tools": make_tool(acme).pk,
        "remote-agents": make_remote_agent(acme, card_url="https://127.0.0.1/card.json").pk,
        "usage": make_event(acme).request_id,
        "tokens": "tno_nobodys",
        "routes": route.pk,
        "pools": pool.pk,
        "scaling-policies": make_policy(pool).pk,
        "endpoints": endpoint.public_id,
        "nodes": register(token=(node_key := node_token())[1]).name,
        "node-tokens": node_key[0].pk,
        "join-tokens": join_tokens.issue_join_token(pool=pool, name="rack 1")[0].pk,
        "audit": newest_audit_entry(),
    }


def invite(tenant, user):
    return invitations.invite(
        tenant=tenant, username=user.username, role="viewer", now=timezone.now()
    )


def limits_of(tenant, *, owner):
    """One of each kind of limit, and the body that grants more of the quota."""
    now = timezone.now()
    plan = make_plan()
    limit_services.set_plan(tenant=tenant, plan=plan, now=now)
    quota = own_quota(tenant, now=now)
    line = report_limits(tenant, now=now, live=None).quotas[0]
    counter = {"counter": "tenant|tokens", "window": line.window.id}
    told = {**counter, "amount": 5, "reason": "Launch day"}
    top_up = limit_services.grant_top_up(tenant_id=tenant.pk, by=owner, now=now, **told)
    recipient = AlertRecipient(tenant=tenant, address="ops@acme.example")
    recipients.save_recipient(recipient=recipient)
    return {
        "plans": plan.pk,
        "rate-limits": own_rate(tenant).pk,
        "quotas": quota.pk,
        "top-ups": top_up.pk,
        "alert-recipients": recipient.pk,
        "top-up": told,
    }


def said_in(tenant):
    """A conversation with a run that waits for a person, and one that is gone."""
    approval, letter = make_approval(tenant), make_dead_letter(tenant)
    return {
        "conversations": approval.run.conversation.public_id,
        "runs": approval.run.public_id,
        "tasks": make_task(tenant).public_id,
        "messages": letter.message.public_id,
        "dead-letters": letter.public_id,
        "approvals": approval.public_id,
        "erasures": erase_another(tenant).public_id,
    }


def newest_audit_entry():
    from auditlog.models import LogEntry

    return LogEntry.objects.latest("pk").pk


@pytest.mark.parametrize("kind", sorted({kind_of(route) for _, route in ACCESS}))
def test_a_route_answers_those_who_may_use_it(kind, things):
    asked = [ask for ask in sorted(ACCESS) if kind_of(ask[1]) == kind]
    answers = {
        ask: tuple(ask_as(things["people"][who], ask, things) for who in CAST) for ask in asked
    }
    assert answers == {ask: ACCESS[ask] for ask in asked}


def ask_as(user, ask, things):
    """The status that a user gets. Afterwards nothing happened."""
    client = Client()
    with transaction.atomic():
        if user:
            client.force_login(user)
        answer = send(client, ask, things)
        transaction.set_rollback(True)
    return answer.status_code


def send(client, ask, things):
    method, route = ask
    kind, _, rest = route.partition("/")
    head, _, tail = rest.partition("/")
    which = things[kind] if head.startswith("{") else head
    parts = [kind, which, tail.replace("{number}", "1")]
    address = f"/{PREFIX}" + "/".join(str(part) for part in parts if part)
    if method == "get":
        return client.get(address)
    if not head.startswith("{") and kind in FOR_A_NEW_ROW:
        address += "?tenant=acme"
    known = {("post", "top-ups"): "top-up", ("post", "schedules"): "schedule"}
    body = things[known[ask]] if ask in known else BODIES.get(ask, {})
    return getattr(client, method)(address, body, content_type="application/json")
