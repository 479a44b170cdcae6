"""Validates the subscriptions of an agent, with sentences for forms and the API. Pure."""

from collections.abc import Sequence

from agents.schema.routing.messages import TOPIC, TOPIC_RULE
from kernel.errors import InvalidParameter

MAX_SUBSCRIPTIONS = 64


def check_subscriptions(topics: Sequence[str]) -> None:
    """Raises InvalidParameter for words that are no topics, or that repeat."""
    for topic in topics:
        if not TOPIC.fullmatch(topic):
            raise InvalidParameter(
                f"{topic[:80]!r} is not a topic. {TOPIC_RULE}", param="subscriptions"
            )
    if len(set(topics)) < len(topics):
        raise InvalidParameter("Name each topic once.", param="subscriptions")
    if len(topics) > MAX_SUBSCRIPTIONS:
        raise InvalidParameter(
            f"An agent has at most {MAX_SUBSCRIPTIONS} subscriptions.", param="subscriptions"
        )
