"""Agent cards: public for offered agents only, with capabilities as skills."""

import pytest
from django.conf import settings

from agents import services
from agents.doors.http.a2a.library import import_protocol
from tests.fixtures.cast import hire
from tests.fixtures.gateway import in_database
from tests.fixtures.runs.a2a import address, offer, read_card

CARD = "/.well-known/agent-card.json"


async def test_a_card_says_what_the_agent_can_do_and_how_to_authenticate(gateway, acme, tiny):
    await in_database(
        offer, acme.tenant, tiny, description="Translates.", capabilities=["translate.de-en"]
    )

    answer = await gateway.get(None, address(acme) + CARD)

    card = answer.json()
    assert answer.status == 200
    assert (card["name"], card["description"], card["version"]) == ("Helper", "Translates.", "1")
    assert [skill["id"] for skill in card["skills"]] == ["translate.de-en"]
    assert card["skills"][0]["tags"] == ["translate.de-en", "translate"]
    assert [
        (each["protocolBinding"], each["url"], each["protocolVersion"])
        for each in card["supportedInterfaces"]
    ] == [
        ("JSONRPC", settings.GATEWAY_URL + address(acme), "1.0"),
        ("HTTP+JSON", settings.GATEWAY_URL + address(acme), "1.0"),
    ]
    scheme = card["securitySchemes"]["api_key"]["httpAuthSecurityScheme"]
    assert scheme["scheme"] == "Bearer"
    assert card["capabilities"]["streaming"] is True


async def test_a_client_that_has_the_card_gets_no_body(gateway, acme, tiny):
    await in_database(offer, acme.tenant, tiny)
    first = await gateway.get(None, address(acme) + CARD)

    again = await gateway.get(
        None, address(acme) + CARD, headers={"if-none-match": first.headers["etag"]}
    )

    assert (again.status, again.body) == (304, b"")
    assert "max-age" in again.headers["cache-control"]


async def test_the_official_client_reads_the_card(gateway, acme, tiny):
    await in_database(offer, acme.tenant, tiny)

    card = await read_card(gateway, acme)

    assert card.skills[0].id == "helper"


async def test_agents_that_are_not_offered_unpublished_or_foreign_have_no_card(
    gateway, acme, rival, tiny
):
    await in_database(hire, acme.tenant, tiny, slug="private")
    await in_database(
        services.create_agent,
        tenant=acme.tenant,
        route=tiny,
        slug="draft",
        name="Draft",
        offered_over_a2a=True,
    )
    await in_database(offer, rival.tenant, tiny, slug="theirs")

    for tenant, agent in (
        ("acme", "private"),
        ("acme", "draft"),
        ("acme", "theirs"),
        ("acme", "nobody"),
        ("nobody", "helper"),
    ):
        answer = await gateway.get(acme, f"/a2a/{tenant}/{agent}{CARD}")
        assert answer.status == 404, (tenant, agent)


async def test_an_agent_is_withdrawn_without_publishing(gateway, acme, tiny):
    agent = await in_database(offer, acme.tenant, tiny)
    assert (await gateway.get(None, address(acme) + CARD)).status == 200

    agent.offered_over_a2a = False
    await in_database(services.save_draft, agent=agent)
    await gateway.worker.follower.catch_up()

    assert (await gateway.get(None, address(acme) + CARD)).status == 404


@pytest.mark.usefixtures("acme")
async def test_without_the_library_the_door_says_what_is_missing(gateway, acme, tiny, monkeypatch):
    await in_database(offer, acme.tenant, tiny)
    import_protocol.cache_clear()
    monkeypatch.setattr("agents.doors.http.a2a.library.find_spec", lambda _: None)

    answer = await gateway.get(None, address(acme) + CARD)

    assert answer.status == 501
    assert answer.error["details"][0]["reason"] == "NOT_INSTALLED"
