"""Items as the messages of a chat request, which engines read. Pure."""

from collections.abc import Iterable, Sequence

from agents.schema.items import (
    TEXTS,
    FunctionCall,
    FunctionCallOutput,
    InputAudio,
    InputImage,
    InputText,
    Item,
    McpCall,
    Message,
    OutputPart,
    Part,
    Reasoning,
    Summary,
    text_of,
)
from inference.relay.requests.content_parts import AudioData, AudioPart
from inference.relay.schema import (
    CalledFunction,
    ChatMessage,
    ContentPart,
    ImagePart,
    ImageUrl,
    TextPart,
    ToolCall,
)


def chat_messages(items: Iterable[Item]) -> list[ChatMessage]:
    """Return the items as chat messages. The calls of one response become one assistant message.

    Reasoning since the user's last message goes with the message that followed it: models that
    reason between their calls need it, and older reasoning is dropped. Approvals are left out.
    """
    messages: list[ChatMessage] = []
    ordered = tuple(items)
    last_question = max((n for n, item in enumerate(ordered) if is_question(item)), default=-1)
    thought: Reasoning | None = None
    for place, item in enumerate(ordered):
        match item:
            case Message():
                messages.append(ChatMessage(role=item.role, content=chat_content(item)))
            case Reasoning():
                thought = item if place > last_question else None
                continue
            case FunctionCall():
                add_call(messages, item)
            case FunctionCallOutput():
                messages.append(output_message(item.call_id, item.output))
            case McpCall():
                add_call(messages, item)
                thought = recall(messages[-1], thought)
                messages.append(output_message(item.call_id or item.id, mcp_output(item)))
            case Summary():
                messages.append(ChatMessage(role="system", content=item.text))
            case _:
                continue
        thought = recall(messages[-1], thought)
    return messages


def is_question(item: Item) -> bool:
    return isinstance(item, Message) and item.role == "user"


def recall(message: ChatMessage, thought: Reasoning | None) -> Reasoning | None:
    """Put reasoning into the assistant's message that followed it. Returns it if none has yet."""
    if thought is None or message.role != "assistant":
        return thought
    if thought.member and thought.text:
        setattr(message, thought.member, thought.text)
    return None


def add_call(messages: list[ChatMessage], call: FunctionCall | McpCall) -> None:
    """Add a call to the last assistant message: engines expect text and calls in one message."""
    called = CalledFunction(name=call.name, arguments=call.arguments)
    last = messages[-1] if messages else None
    if last is None or last.role != "assistant":
        last = ChatMessage(role="assistant")
        messages.append(last)
    earlier = last.tool_calls if isinstance(last.tool_calls, list) else []
    last.tool_calls = [*earlier, ToolCall(id=call.call_id or call.id, function=called)]


def output_message(call_id: str, output: str | Sequence[OutputPart]) -> ChatMessage:
    """Return the output of a call.

    Texts become one text; images and audio make it a list of parts.
    """
    if isinstance(output, str) or all(isinstance(part, InputText) for part in output):
        return ChatMessage(role="tool", content=text_of(output), tool_call_id=call_id)
    content = [chat_part(part) for part in output]
    return ChatMessage(role="tool", content=content, tool_call_id=call_id)


def mcp_output(call: McpCall) -> str | Sequence[OutputPart]:
    """Return the output of a call that the server executed, as the model reads it."""
    if call.error is not None:
        return f"Error: {call.error}"
    return call.output or ""


def chat_content(message: Message) -> str | list[ContentPart]:
    """Return a text if the message has one text part only; else a list of parts."""
    if len(message.content) == 1 and isinstance(message.content[0], TEXTS):
        return message.content[0].text
    return [chat_part(part) for part in message.content]


def chat_part(part: Part) -> ContentPart:
    if isinstance(part, InputAudio):
        audio = part.input_audio
        return AudioPart(input_audio=AudioData(data=audio.data, format=audio.format))
    if isinstance(part, InputImage):
        # Engines have no `original`; their best is `high`.
        detail = "high" if part.detail == "original" else part.detail
        return ImagePart(image_url=ImageUrl(url=part.image_url, detail=detail))
    return TextPart(text=part.text)
