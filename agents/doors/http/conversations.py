"""`/v1/conversations`: conversations that the server stores (OpenAI's Conversations API)."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from agents.doors.base.call import Call
from agents.doors.base.paging import read_page, render_page
from agents.doors.http.create_response import Metadata
from agents.runtime.context.input_items import read_items
from agents.schema.history import ConversationFacts
from agents.schema.items import Item, StoredItem, client_json
from inference.relay.schema import parse

MAX_ITEMS = 20
"""Maximum number of items in one request."""

Items = Annotated[list[dict[str, Any]], Meta(max_length=MAX_ITEMS)]


class NewConversation(msgspec.Struct):
    """The body of `POST /v1/conversations`."""

    metadata: Metadata | None = None
    items: Items | None = None


class ChangedConversation(msgspec.Struct):
    """The body of `POST /v1/conversations/{id}`."""

    metadata: Metadata


class NewItems(msgspec.Struct):
    """The body of `POST /v1/conversations/{id}/items`."""

    items: Annotated[list[dict[str, Any]], Meta(min_length=1, max_length=MAX_ITEMS)]


async def create_conversation(call: Call) -> None:
    principal = await call.authenticate("chat")
    body = parse(await call.body() or b"{}", NewConversation)
    facts = await call.gateway.conversations.create(
        principal.tenant_id, metadata=body.metadata or {}, items=client_items(body.items or [])
    )
    await call.respond_json(conversation_object(facts))


async def list_conversations(call: Call) -> None:
    """List the tenant's conversations by creation time."""
    principal = await call.authenticate("chat")
    paging = read_page(call.scope)
    page = await call.gateway.conversations.list(principal.tenant_id, paging=paging)
    await call.respond_json(
        render_page(map(conversation_object, page.data), has_more=page.has_more)
    )


async def show_conversation(call: Call) -> None:
    principal = await call.authenticate("chat")
    facts = await call.gateway.conversations.read(
        principal.tenant_id, conversation=path_parameter(call, "conversation")
    )
    await call.respond_json(conversation_object(facts))


async def change_conversation(call: Call) -> None:
    """Replace the metadata."""
    principal = await call.authenticate("chat")
    body = parse(await call.body(), ChangedConversation)
    facts = await call.gateway.conversations.change(
        principal.tenant_id,
        conversation=path_parameter(call, "conversation"),
        metadata=body.metadata,
    )
    await call.respond_json(conversation_object(facts))


async def erase_conversation(call: Call) -> None:
    """Erase a conversation with its items and runs. The response has the receipt."""
    principal = await call.authenticate("chat")
    conversation = path_parameter(call, "conversation")
    receipt = await call.gateway.conversations.erase(
        principal.tenant_id, conversation=conversation, by=f"API key {principal.public_id}"
    )
    await call.respond_json(
        {
            "id": conversation,
            "object": "conversation.deleted",
            "deleted": True,
            "receipt": {"id": receipt.id, "counts": receipt.counts, "finished": receipt.finished},
        }
    )


async def list_items(call: Call) -> None:
    principal = await call.authenticate("chat")
    page = await call.gateway.conversations.items(
        principal.tenant_id,
        conversation=path_parameter(call, "conversation"),
        paging=read_page(call.scope),
    )
    await call.respond_json(render_page(map(client_json, page.data), has_more=page.has_more))


async def add_items(call: Call) -> None:
    """Append items to the conversation."""
    principal = await call.authenticate("chat")
    items = client_items(parse(await call.body(), NewItems).items)
    await call.gateway.conversations.append(
        principal.tenant_id,
        conversation=path_parameter(call, "conversation"),
        run=None,
        items=items,
    )
    data = [client_json(each.item) for each in items]
    await call.respond_json(render_page(data, has_more=False))


async def show_item(call: Call) -> None:
    principal = await call.authenticate("chat")
    item: Item = await call.gateway.conversations.item(
        principal.tenant_id,
        conversation=path_parameter(call, "conversation"),
        item=path_parameter(call, "item"),
    )
    await call.respond_json(client_json(item))


async def delete_item(call: Call) -> None:
    """Delete one item. The response is its conversation."""
    principal = await call.authenticate("chat")
    facts = await call.gateway.conversations.delete_item(
        principal.tenant_id,
        conversation=path_parameter(call, "conversation"),
        item=path_parameter(call, "item"),
    )
    await call.respond_json(conversation_object(facts))


def client_items(items: list[dict[str, Any]]) -> list[StoredItem]:
    """Return the items of a client, with new ids. Raises InvalidParameter."""
    if not items:
        return []
    return [StoredItem(item=item, is_input=True) for item in read_items(items, name="items")]


def path_parameter(call: Call, name: str) -> str:
    """Return a parameter of the path, by its name in the gateway's routes."""
    value: str = call.scope["url_route"]["kwargs"][name]
    return value


def conversation_object(facts: ConversationFacts) -> dict[str, Any]:
    return {
        "id": facts.id,
        "object": "conversation",
        "created_at": facts.created_at,
        "metadata": facts.metadata,
    }
