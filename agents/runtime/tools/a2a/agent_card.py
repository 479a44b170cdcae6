"""Reads agent cards of others. Pure: it needs no SDK, and trusts nothing in a card.

Source: A2A 1.0, section 4.4.
"""

from collections.abc import Collection
from typing import Annotated

import msgspec
from msgspec import Meta

from inference.relay.schema import explain
from kernel.egress.rules import read_origin

BINDINGS = ("JSONRPC", "HTTP+JSON")
"""The bindings that can be used, the preferred one first."""
VERSION = "1."
MAX_CARD_BYTES = 256 * 1024
Text = Annotated[str, Meta(max_length=4000)]
Address = Annotated[str, Meta(min_length=1, max_length=500)]


class WrongCard(Exception):
    """The card cannot be used; the text is a sentence for people."""


class CardInterface(msgspec.Struct, rename="camel"):
    """An address of an agent."""

    url: Address
    protocol_binding: Text
    protocol_version: Text = ""


class CardSkill(msgspec.Struct):
    """A skill of an agent."""

    id: Annotated[str, Meta(min_length=1, max_length=200)]
    name: Text = ""
    description: Text = ""


class Card(msgspec.Struct, rename="camel"):
    """What is kept of an agent card. Other members are dropped."""

    name: Annotated[str, Meta(min_length=1, max_length=200)]
    description: Text = ""
    version: Annotated[str, Meta(max_length=100)] = ""
    supported_interfaces: Annotated[list[CardInterface], Meta(max_length=20)] = []
    skills: Annotated[list[CardSkill], Meta(max_length=200)] = []


def read_card(body: bytes) -> Card:
    """Raises WrongCard."""
    try:
        return msgspec.json.decode(body, type=Card)
    except msgspec.ValidationError as error:
        raise WrongCard(f"This is no agent card: {explain(error).message}") from error
    except msgspec.DecodeError as error:
        raise WrongCard("There is no agent card at this address: it is not JSON.") from error


def choose_interface(
    card: Card, *, served_by: str, allowed_origins: Collection[str] = ()
) -> CardInterface:
    """Return the interface to use.

    It must be at the origin of `served_by`, the URL that answered with the card, or at one of
    `allowed_origins`. Otherwise whoever writes a card could send our requests, with the credential,
    to any server. Raises WrongCard, and TargetRefused for an invalid URL.
    """
    usable = [
        each
        for binding in BINDINGS
        for each in card.supported_interfaces
        if each.protocol_binding == binding and each.protocol_version.startswith(VERSION)
    ]
    if not usable:
        raise WrongCard(f"The agent has no interface of A2A 1.0 by {' or '.join(BINDINGS)}.")
    trusted = {read_origin(served_by), *map(read_origin, allowed_origins)}
    for interface in usable:
        if read_origin(interface.url) in trusted:
            return interface
    raise WrongCard(
        f"The card of {read_origin(served_by)} says that the agent is at "
        f"{read_origin(usable[0].url)}. The operator can allow that: TENANTRY_A2A_ORIGINS."
    )
