"""An engine that says what a script tells it to, for the agent loop without a network."""

import asyncio
import json

from agents.runtime.loop.model_delta import ModelDelta, ToolCallDelta
from tenants.admission.usage.records import Usage

USAGE = Usage(prompt_tokens=10, completion_tokens=5)


def says(text, *, finish="stop", usage=USAGE):
    """A turn of text, in two pieces."""
    half = len(text) // 2
    pieces = [ModelDelta(text=part) for part in (text[:half], text[half:]) if part]
    return [*pieces, ModelDelta(finish_reason=finish), ModelDelta(usage=usage)]


def calls(*called, text="", usage=USAGE, finish="tool_calls"):
    """A turn that calls tools: names, or (name, arguments), where arguments may be any text."""
    pieces = [ModelDelta(text=text)] if text else []
    for index, each in enumerate(called):
        name, arguments = each if isinstance(each, tuple) else (each, {})
        written = arguments if isinstance(arguments, str) else json.dumps(arguments)
        pieces += [
            ModelDelta(calls=(ToolCallDelta(index=index, id=f"{name}-{index}", name=name),)),
            ModelDelta(calls=(ToolCallDelta(index=index, arguments=written),)),
        ]
    return [*pieces, ModelDelta(finish_reason=finish), ModelDelta(usage=usage)]


class ScriptedModel:
    """Plays one turn of the script per question; the last one for all that follow."""

    def __init__(self, *script, pause=0.0):
        self.script = list(script)
        self.pause = pause
        self.asked = []
        self.closed = 0

    async def __call__(self, request):
        self.asked.append(request)
        turn = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        try:
            for piece in turn:
                await asyncio.sleep(self.pause)
                if isinstance(piece, Exception):
                    raise piece
                yield piece
        finally:
            self.closed += 1

    def messages(self, turn=-1):
        """What the model was told at a turn, as (role, content) and the calls' arguments."""
        return [
            (message.role, message.content)
            if not isinstance(message.tool_calls, list)
            else (
                message.role,
                [(c.function.name, c.function.arguments) for c in message.tool_calls],
            )
            for message in self.asked[turn].messages
        ]
