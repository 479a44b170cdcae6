"""The search of the whole console finds objects of every kind, and says if there is none."""

import re
from html import unescape

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from agents import services as agents
from agents.models import AgentRevision, Approval, Conversation, ErasureReceipt, Run
from config.console.global_search import SOURCES
from inference.endpoints import join_tokens
from inference.endpoints import manual as static_endpoints
from tenants import services
from tenants.models import Membership, UsageEvent
from tests.fixtures.console.one_of_everything import platform
from tests.fixtures.console.people import make_event, make_person, rows

__all__ = ["platform"]


def search(client, text):
    """The results: what each leads to, by its title."""
    page = client.get(reverse("admin:search"), {"s": text, "extended": "1"})
    assert page.status_code == 200
    found = re.findall(r'<a [^>]*href="([^"]+)" data-title="([^"]*)"', page.content.decode())
    return {unescape(title): unescape(link) for link, title in found}


def page_of(row):
    return reverse(f"admin:{row._meta.label_lower.replace('.', '_')}_change", args=(row.pk,))


@pytest.mark.parametrize("text", ["nordki", "NordKI", "ordk", "Nord KI GmbH", " nordki "])
def test_a_tenant_is_found_by_its_short_name_or_a_part_of_its_name(console, rival, text):
    tenant = services.create_tenant(slug="nordki", name="Nord KI GmbH (NordKI)")
    assert search(console, text) == {str(tenant): page_of(tenant)}


def test_a_tenant_is_found_in_any_script(console, acme):
    tenant = services.create_tenant(slug="sh", name="上海智能科技")
    assert search(console, "智能") == {"上海智能科技": page_of(tenant)}


def test_a_key_is_found_by_what_pages_show_of_it(console, acme, rival):
    issued = services.issue_key(tenant=acme, name="Laptop")
    services.issue_key(tenant=rival, name="other")
    key = issued.key
    shown = [key.prefix, f"{key.prefix}…", key.public_id, key.prefix[:10], "laptop", "Lap"]
    assert [search(console, text) for text in shown] == [{str(key): page_of(key)}] * len(shown)


def test_a_secret_finds_nothing(console, acme):
    secret = services.issue_key(tenant=acme, name="Laptop").secret
    answer = console.get(reverse("admin:search"), {"s": secret}).content.decode()
    assert "which is a secret" in answer
    assert secret not in answer
    for part in (secret[:30], secret[17:], secret[17:29], secret[-12:]):
        assert search(console, part) == {}


def test_a_request_is_found_by_our_id_and_by_the_clients(console, acme, rival):
    make_event(acme, client_request_id="order-17")
    make_event(rival)
    link = reverse("admin:explain") + "?id=req_acme_1"
    for text in ("req_acme_1", "order-17"):
        assert search(console, text) == {"req_acme_1": link}


@pytest.mark.parametrize("model", [Run, Conversation, Approval, ErasureReceipt])
def test_what_has_an_id_is_found_by_its_beginning(console, platform, model):
    row = rows(model).order_by("pk").first()
    for text in (row.public_id, row.public_id[:-4]):
        assert search(console, text)[row.public_id] == page_of(row)


def test_agents_revisions_and_people_are_found(console, acme, route, operator):
    agent = agents.create_agent(tenant=acme, slug="kefu", name="客服", route=route)
    agents.publish(agent=agent, user=operator)
    assert search(console, "客服") == search(console, "kef") == {"kefu": page_of(agent)}
    revision = rows(AgentRevision).get()
    assert search(console, "kefu@1") == {"kefu@1": page_of(revision)}
    assert search(console, "olga@example.org") == {"olga": page_of(operator)}


def test_parts_of_the_fleet_are_found(console, pool, route):
    endpoint = static_endpoints.add_static_endpoint(
        pool=pool, address="http://10.0.0.5:8000", model="smollm2"
    )
    token, _secret = join_tokens.issue_join_token(pool=pool, name="rack 1")
    assert search(console, "small") == {"small": page_of(pool)}
    assert search(console, "10.0.0.5") == {str(endpoint): page_of(endpoint)}
    assert search(console, endpoint.public_id) == {str(endpoint): page_of(endpoint)}
    assert search(console, f"tnj_{token.public_id}…") == {str(token): page_of(token)}
    assert set(search(console, "smollm2")) == {str(endpoint), str(route)}


def test_pages_are_found_by_their_names(console):
    assert search(console, "quota win") == {
        "Quota windows": reverse("admin:tenants_quotawindow_changelist")
    }


@pytest.mark.parametrize("text", ["no-such-thing", "%", "_", "\0", "x" * 500, "<b>", "99@99"])
def test_it_says_that_nothing_was_found(console, acme, text):
    answer = console.get(reverse("admin:search"), {"s": text})
    assert answer.status_code == 200
    assert "No results" in answer.content.decode()
    assert "<b>" not in answer.content.decode()


def test_of_many_a_few_are_shown_and_a_way_to_all(console, db):
    for number in range(7):
        services.create_tenant(slug=f"shop-{number}", name=f"Shop {number}")
    found = search(console, "shop")
    assert len(found) == 6
    more = found["More tenants"]
    assert more == reverse("admin:tenants_tenant_changelist") + "?q=shop"
    assert "Shop 6" in console.get(more).content.decode()


def test_what_was_renamed_is_not_found_by_its_old_name(console, acme):
    assert search(console, "acme")
    type(acme).objects.filter(pk=acme.pk).update(slug="zebra", name="Zebra")
    assert search(console, "acme") == {}


def test_it_is_closed_to_people_who_are_no_operators(acme):
    client = Client()
    client.force_login(make_person(acme, Membership.Role.ADMIN))
    page = client.get(reverse("admin:search"), {"s": "acme"})
    assert page.status_code == 302


def test_it_asks_a_bounded_number_of_questions(console, platform, django_assert_max_num_queries):
    with django_assert_max_num_queries(20):
        search(console, "req_acme_1")


def test_ids_are_looked_up_along_an_index(db):
    """Whatever the planner prefers for a small table: with scans forbidden it has another way."""
    large = {Run: "resp_1", Conversation: "conv_1", Approval: "apr_1", ErasureReceipt: "erase_1"}
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        for source in (each for each in SOURCES if each.model in large):
            plan = source.model._base_manager.filter(source.matches(large[source.model])).explain()
            assert "Index" in plan or "Bitmap" in plan
            assert "Seq Scan" not in plan
    assert UsageEvent not in {each.model for each in SOURCES}
