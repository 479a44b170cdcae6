"""What vLLM puts on the wire: chunks, complete answers, usage, embeddings, metrics."""

import base64
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.fakes import script
from tests.fakes.behaviour import Behaviour, UsageForm

CREATED = 1_700_000_000
DIMENSIONS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One answer, decided before its first byte."""

    id: str
    model: str
    chat: bool
    behaviour: Behaviour
    prompt_tokens: int
    tokens: int
    """Per choice."""
    choices: int
    finish_reason: str
    include_usage: bool
    continuous_usage: bool
    turn: script.Turn | None = None
    """The scripted one, if there is a script."""

    @property
    def pause(self) -> float:
        return self.behaviour.first_token_seconds + self.behaviour.token_seconds * self.tokens

    def usage(self, tokens: int) -> dict[str, int] | None:
        form = self.behaviour.usage
        if form is UsageForm.ABSENT or form is UsageForm.NULL:
            return None
        prompt, made = (0, 0) if form is UsageForm.ZERO else (self.prompt_tokens, tokens)
        return {"prompt_tokens": prompt, "total_tokens": prompt + made, "completion_tokens": made}


def plan(body: dict[str, Any], *, behaviour: Behaviour, number: int, chat: bool) -> Plan:
    """The answer to `body`. As in vLLM, `continuous_usage_stats` needs `include_usage`."""
    options = body.get("stream_options") or {}
    cap = body.get("max_completion_tokens") or body.get("max_tokens")
    turn = script.turn_of(behaviour.script, body) if behaviour.script and chat else None
    wanted = behaviour.tokens if turn is None else len(script.deltas(turn, behaviour.call_style))
    is_cut = cap is not None and cap < wanted
    include_usage = bool(options.get("include_usage"))
    return Plan(
        id=f"{'chatcmpl' if chat else 'cmpl'}-{number}",
        model=body.get("model", ""),
        chat=chat,
        behaviour=behaviour,
        prompt_tokens=count_tokens(prompt_of(body)),
        tokens=cap if is_cut else wanted,
        choices=body.get("n") or 1,
        finish_reason="length" if is_cut else finish_of(turn, behaviour),
        include_usage=include_usage,
        continuous_usage=include_usage and bool(options.get("continuous_usage_stats")),
        turn=turn,
    )


def finish_of(turn: script.Turn | None, behaviour: Behaviour) -> str:
    calls = turn is not None and script.parts(turn)[1]
    return behaviour.calls_finish if calls else "stop"


def prompt_of(body: dict[str, Any]) -> str:
    """All text of a chat's messages, a completion's prompt or an embedding's input."""
    parts = [message.get("content") for message in body.get("messages") or []]
    return " ".join(text_of(part) for part in [*parts, body.get("prompt"), body.get("input")])


def text_of(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return " ".join(text_of(part) for part in content)
    if isinstance(content, dict):
        return str(content.get("text", ""))
    return ""


def count_tokens(text: str) -> int:
    """One per word, so that a test can count them too."""
    return len(text.split())


def dump(value: object) -> str:
    """Compact and in UTF-8, as pydantic writes it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def word(answer: Plan, index: int) -> str:
    return f"{' ' if index else ''}{answer.behaviour.word}{index}"


def deltas(answer: Plan) -> Iterator[dict[str, Any]]:
    """What each token of the answer adds to it, made when it is its turn: some are very long."""
    if answer.turn is None:
        return ({"content": word(answer, index)} for index in range(answer.tokens))
    return iter(script.deltas(answer.turn, answer.behaviour.call_style)[: answer.tokens])


def text(answer: Plan) -> str:
    return "".join(word(answer, index) for index in range(answer.tokens))


def chunk(
    answer: Plan,
    *,
    choice: int = 0,
    delta: dict[str, Any] | None = None,
    opens: bool = False,
    finish: str | None = None,
    made: int = 0,
) -> dict[str, Any]:
    """One chunk of a stream after which the answer has `made` tokens."""
    entry: dict[str, Any] = {"index": choice}
    if answer.chat:
        role = {"role": "assistant"} if opens else {}
        said = {"content": ""} if delta is None else delta
        entry |= {"delta": {**role, **said}, "logprobs": None, "finish_reason": finish}
    else:
        said = delta or {"content": ""}
        entry |= {"text": said["content"], "logprobs": None, "finish_reason": finish}
    if finish is not None:
        entry["stop_reason"] = None
    return {
        "id": answer.id,
        "object": "chat.completion.chunk" if answer.chat else "text_completion",
        "created": CREATED,
        "model": answer.model,
        "choices": [entry],
        **(usage_field(answer, made) if answer.continuous_usage else {}),
    }


def usage_chunk(answer: Plan) -> dict[str, Any]:
    """The last one of a stream with `include_usage`."""
    made = answer.tokens * answer.choices
    return {**chunk(answer), "choices": [], **usage_field(answer, made)}


def usage_field(answer: Plan, made: int) -> dict[str, Any]:
    if answer.behaviour.usage is UsageForm.ABSENT:
        return {}
    return {"usage": answer.usage(made)}


def complete(answer: Plan) -> dict[str, Any]:
    """The answer in one piece."""
    return {
        "id": answer.id,
        "object": "chat.completion" if answer.chat else "text_completion",
        "created": CREATED,
        "model": answer.model,
        "choices": [complete_choice(answer, index) for index in range(answer.choices)],
        **usage_field(answer, answer.tokens * answer.choices),
    }


def complete_choice(answer: Plan, index: int) -> dict[str, Any]:
    said = text(answer)
    body: dict[str, Any] = {"text": said}
    if answer.chat:
        body = {
            "message": {"role": "assistant", "content": said, "refusal": None, "tool_calls": []}
        }
        if answer.turn is not None:
            body["message"] |= script.message(answer.turn)
    return {
        "index": index,
        **body,
        "logprobs": None,
        "finish_reason": answer.finish_reason,
        "stop_reason": None,
    }


def embeddings(body: dict[str, Any]) -> dict[str, Any]:
    """One vector per input; equal texts have equal vectors."""
    given = body.get("input", "")
    inputs = given if isinstance(given, list) else [given]
    used = sum(count_tokens(text_of(text)) for text in inputs)
    in_base64 = body.get("encoding_format") == "base64"
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": vector(text, in_base64=in_base64)}
            for index, text in enumerate(inputs)
        ],
        "model": body.get("model", ""),
        "usage": {"prompt_tokens": used, "total_tokens": used, "completion_tokens": 0},
    }


def vector(given: Any, *, in_base64: bool) -> list[float] | str:
    seed = sum(str(given).encode())
    numbers = [((seed * (index + 1)) % 100) / 100 for index in range(DIMENSIONS)]
    if in_base64:
        return base64.b64encode(struct.pack(f"<{DIMENSIONS}f", *numbers)).decode()
    return numbers


def metrics(*, model: str, running: int, prompt_tokens: int, tokens: int) -> str:
    """The series of vLLM's /metrics that the platform reads."""
    values = {
        ("gauge", "vllm:num_requests_running"): running,
        ("gauge", "vllm:num_requests_waiting"): 0,
        ("gauge", "vllm:kv_cache_usage_perc"): min(1.0, running / 100),
        ("counter", "vllm:prompt_tokens_total"): prompt_tokens,
        ("counter", "vllm:generation_tokens_total"): tokens,
    }
    return "".join(
        f'# TYPE {name} {kind}\n{name}{{model_name="{model}"}} {float(value)}\n'
        for (kind, name), value in values.items()
    )


def has_open_calls(body: dict[str, Any]) -> bool:
    """Whether anything but their outputs follows the calls of a message, or they of nothing."""
    left: set[str] = set()
    for message in body.get("messages", []):
        if message["role"] == "tool":
            if message["tool_call_id"] not in left:
                return True
            left.discard(message["tool_call_id"])
        elif left:
            return True
        else:
            left = {call["id"] for call in message.get("tool_calls") or ()}
    return bool(left)
