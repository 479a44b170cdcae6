"""The message object."""

from agents.schema.json_types import Json
from agents.schema.routing.messages import DeliveryRecord, MessageRecord, Reply


def message_object(message: MessageRecord) -> Json:
    """Return a message as clients see it."""
    return {
        **topic_message_object(message),
        "deliveries": [delivery_object(each) for each in message.deliveries],
    }


def topic_message_object(message: MessageRecord) -> Json:
    """Return a message without its deliveries, as subscribers of its topic see it."""
    return {
        "id": message.id,
        "object": "agent.message",
        "created_at": message.created_at,
        "sender": message.sender or None,
        "topic": message.topic or None,
        "content": message.content,
        "message_id": message.message_id or None,
        "correlation_id": message.correlation_id,
        "hops": message.hops,
        "metadata": message.metadata,
    }


def delivery_object(delivery: DeliveryRecord) -> Json:
    return {
        "agent": delivery.agent,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "next_attempt_at": delivery.next_attempt_at,
        "response_id": delivery.run_id,
        "error": delivery.error,
    }


def replied_object(reply: Reply) -> Json:
    """Return a message with the reply of its receiver."""
    (delivery,) = reply.message.deliveries
    text = {
        "text": reply.text,
        "response_id": delivery.run_id,
        "response_status": reply.run_state,
        "correlation_id": reply.message.correlation_id,
    }
    return {**message_object(reply.message), "reply": text}
