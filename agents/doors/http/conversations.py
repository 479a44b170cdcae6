"""`/v1/conversations`: what was said, kept on the server (OpenAI's Conversations API)."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from agents.doors.base.call import Call
from agents.doors.base.paging import read_page, render_page
from agents.doors.http.create_response import Metadata
from agents.runtime.context.input_items import read_items
from agents.schema.history import ConversationFacts
from agents.schema.items import Item, StoredItem, shown_json
from inference.relay.schema import parse

MAX_ITEMS = 20
"""In one request."""

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
    asked = parse(await call.body() or b"{}", NewConversation)
    facts = await call.gateway.conversations.create(
        principal.tenant_id, metadata=asked.metadata or {}, items=brought(asked.items or [])
    )
    await call.respond_json(conversation_object(facts))


async def list_conversations(call: Call) -> None:
    """Of the key's tenant, by when they were begun."""
    principal = await call.authenticate("chat")
    question = read_page(call.scope)
    page = await call.gateway.conversations.list(principal.tenant_id, question=question)
    await call.respond_json(
        render_page(map(conversation_object, page.data), has_more=page.has_more)
    )


async def show_conversation(call: Call) -> None:
    principal = await call.authenticate("chat")
    facts = await call.gateway.conversations.read(
        principal.tenant_id, conversation=name_in(call, "conversation")
    )
    await call.respond_json(conversation_object(facts))


async def change_conversation(call: Call) -> None:
    """Put other metadata in the place of what was there."""
    principal = await call.authenticate("chat")
    asked = parse(await call.body(), ChangedConversation)
    facts = await call.gateway.conversations.change(
        principal.tenant_id,
        conversation=name_in(call, "conversation"),
        metadata=asked.metadata,
    )
    await call.respond_json(conversation_object(facts))


async def erase_conversation(call: Call) -> None:
    """Erase it with all of its items and runs. The answer carries the receipt's number."""
    principal = await call.authenticate("chat")
    conversation = name_in(call, "conversation")
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
        conversation=name_in(call, "conversation"),
        question=read_page(call.scope),
    )
    await call.respond_json(render_page(map(shown_json, page.data), has_more=page.has_more))


async def add_items(call: Call) -> None:
    """At the end of the conversation."""
    principal = await call.authenticate("chat")
    items = brought(parse(await call.body(), NewItems).items)
    await call.gateway.conversations.append(
        principal.tenant_id, conversation=name_in(call, "conversation"), run=None, items=items
    )
    said = [shown_json(each.item) for each in items]
    await call.respond_json(render_page(said, has_more=False))


async def show_item(call: Call) -> None:
    principal = await call.authenticate("chat")
    item: Item = await call.gateway.conversations.item(
        principal.tenant_id,
        conversation=name_in(call, "conversation"),
        item=name_in(call, "item"),
    )
    await call.respond_json(shown_json(item))


async def delete_item(call: Call) -> None:
    """Delete one item. The answer is its conversation."""
    principal = await call.authenticate("chat")
    facts = await call.gateway.conversations.delete_item(
        principal.tenant_id,
        conversation=name_in(call, "conversation"),
        item=name_in(call, "item"),
    )
    await call.respond_json(conversation_object(facts))


def brought(items: list[dict[str, Any]]) -> list[StoredItem]:
    """Items of a client, under ids of ours. Raises InvalidParameter."""
    if not items:
        return []
    return [StoredItem(item=item, is_input=True) for item in read_items(items, name="items")]


def name_in(call: Call, name: str) -> str:
    """A part of the address, as the gateway's routes call it."""
    value: str = call.scope["url_route"]["kwargs"][name]
    return value


def conversation_object(facts: ConversationFacts) -> dict[str, Any]:
    return {
        "id": facts.id,
        "object": "conversation",
        "created_at": facts.created_at,
        "metadata": facts.metadata,
    }
