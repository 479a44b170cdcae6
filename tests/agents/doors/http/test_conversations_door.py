"""`/v1/conversations`: as OpenAI's clients use it, and closed to everybody else's tenant."""

import pytest

from agents.models import Conversation, ErasureReceipt, Item
from kernel.errors import NotFound
from tests.fixtures.gateway import in_database

PATH = "/v1/conversations"


async def begin(gateway, member, *texts, **body):
    items = [{"role": "user", "content": text} for text in texts]
    answer = await gateway.post(member, PATH, json={"items": items, **body})
    assert answer.status == 200, answer.body
    return answer.json()


async def items_of(gateway, member, conversation, **parameters):
    path = f"{PATH}/{conversation['id']}/items"
    return (await gateway.get(member, path, params=parameters)).json()


def texts(page):
    return [item["content"][0]["text"] for item in page["data"]]


async def test_a_conversation_is_begun_read_changed_and_erased(gateway, acme):
    made = await begin(gateway, acme, metadata={"topic": "demo"})
    place = f"{PATH}/{made['id']}"
    assert made == {
        "id": made["id"],
        "object": "conversation",
        "created_at": made["created_at"],
        "metadata": {"topic": "demo"},
    }
    assert (await gateway.get(acme, place)).json() == made

    changed = await gateway.post(acme, place, json={"metadata": {"topic": "other"}})
    assert changed.json()["metadata"] == {"topic": "other"}

    gone = (await gateway.ask("DELETE", acme, place)).json()
    assert (gone["id"], gone["object"], gone["deleted"]) == (
        made["id"],
        "conversation.deleted",
        True,
    )
    assert (await gateway.get(acme, place)).status == 404
    receipt = await in_database(ErasureReceipt.objects.get)
    assert gone["receipt"]["id"] == receipt.public_id
    assert receipt.requested_by.startswith("API key ")


async def test_a_body_is_not_needed_to_begin_one(gateway, acme):
    answer = await gateway.post(acme, PATH)

    assert answer.status == 200
    assert answer.json()["metadata"] == {}


async def test_items_are_listed_in_either_order_and_page_by_page(gateway, acme):
    talk = await begin(gateway, acme, "one", "two", "three")

    newest = await items_of(gateway, acme, talk, limit=2)
    oldest = await items_of(gateway, acme, talk, order="asc", limit=2)
    rest = await items_of(gateway, acme, talk, order="asc", after=oldest["last_id"])

    assert (texts(newest), newest["has_more"]) == (["three", "two"], True)
    assert (texts(oldest), oldest["has_more"]) == (["one", "two"], True)
    assert (texts(rest), rest["has_more"]) == (["three"], False)
    assert (rest["object"], rest["first_id"]) == ("list", rest["data"][0]["id"])


async def test_items_are_added_shown_and_deleted(gateway, acme):
    talk = await begin(gateway, acme, "one")
    path = f"{PATH}/{talk['id']}/items"
    call = {"type": "function_call", "call_id": "c1", "name": "time", "arguments": "{}"}

    added = (await gateway.post(acme, path, json={"items": [call]})).json()
    item = added["data"][0]
    shown = (await gateway.get(acme, f"{path}/{item['id']}")).json()
    deleted = await gateway.ask("DELETE", acme, f"{path}/{item['id']}")

    assert (item["type"], item["name"]) == ("function_call", "time")
    assert shown == item
    assert deleted.json() == talk
    assert texts(await items_of(gateway, acme, talk)) == ["one"]


async def test_conversations_are_listed_newest_first(gateway, acme, rival):
    first, second = await begin(gateway, acme), await begin(gateway, acme)
    await begin(gateway, rival)

    page = (await gateway.get(acme, PATH, params={"limit": 1})).json()
    rest = (await gateway.get(acme, PATH, params={"after": page["last_id"]})).json()

    assert ([each["id"] for each in page["data"]], page["has_more"]) == ([second["id"]], True)
    assert ([each["id"] for each in rest["data"]], rest["has_more"]) == ([first["id"]], False)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("POST", "", {"metadata": {}}),
        ("DELETE", "", None),
        ("GET", "/items", None),
        ("POST", "/items", {"items": [{"role": "user", "content": "x"}]}),
        ("GET", "/items/{item}", None),
        ("DELETE", "/items/{item}", None),
    ],
)
async def test_anothers_conversation_is_none(gateway, acme, rival, method, path, body):  # noqa: PLR0917
    talk = await begin(gateway, acme, "one")
    item = (await items_of(gateway, acme, talk))["data"][0]["id"]
    answers = [
        await gateway.ask(
            method,
            rival,
            f"{PATH}/{name}{path.format(item=item)}",
            **({"json": body} if body else {}),
        )
        for name in (talk["id"], "conv_none")
    ]

    assert [answer.status for answer in answers] == [404, 404]
    assert answers[0].body == answers[1].body
    assert answers[0].error["code"] == NotFound.code
    assert await in_database(Item.objects.count) == 1


async def test_anothers_conversation_is_no_place_in_a_list(gateway, acme, rival):
    talk = await begin(gateway, acme)

    answer = await gateway.get(rival, PATH, params={"after": talk["id"]})

    assert answer.status == 404


@pytest.mark.parametrize(
    "body",
    [
        {"metadata": {f"k{n}": "v" for n in range(17)}},
        {"metadata": {"k" * 65: "v"}},
        {"metadata": {"k": "v" * 513}},
        {"metadata": {"k": 1}},
        {"items": [{"role": "user", "content": "x"}] * 21},
        {"items": [{"type": "unheard_of"}]},
        {"items": [{"role": "user"}]},
        {"items": "no list"},
    ],
)
async def test_what_is_not_allowed_leaves_nothing(gateway, acme, body):
    answer = await gateway.post(acme, PATH, json=body)

    assert (answer.status, answer.error["type"]) == (400, "invalid_request_error")
    assert not await in_database(Conversation.objects.exists)


@pytest.mark.parametrize(
    "parameters",
    [{"limit": "0"}, {"limit": "101"}, {"limit": "ten"}, {"order": "up"}, {"after": "\x00"}],
)
async def test_a_page_that_cannot_be_is_refused(gateway, acme, parameters):
    answer = await gateway.get(acme, PATH, params=parameters)

    assert (answer.status, answer.error["code"]) == (400, "invalid_parameter")


async def test_without_a_key_nothing_is_kept(gateway):
    assert (await gateway.post(None, PATH)).status == 401
