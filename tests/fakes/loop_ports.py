"""Everything around the agent loop, kept in lists: what it told, saved, and asked people."""

import asyncio
from dataclasses import replace

from agents.runtime.catalog.agents import RunLimits
from agents.runtime.loop.loop import run_agent
from agents.runtime.loop.ports import ApprovalDecision, RunPlan, ToolResult, ToolSpec
from agents.schema.items import item_json, read_item
from agents.schema.loop_events import ItemDone, TextDelta
from inference.relay.schema import ChatMessage, ChatRequest, FunctionTool, ToolDefinition

ANY = {"type": "object"}


class PythonTools:
    """A toolbox of coroutine functions: `async def name(arguments) -> str`."""

    def __init__(self, *functions, **changed):
        self.functions = {function.__name__: function for function in functions}
        self.specs = {
            name: ToolSpec(
                name=name,
                kind="builtin",
                schema=getattr(function, "schema", ANY),
                **changed.get(name, {}),
            )
            for name, function in self.functions.items()
        }
        self.called = []
        self.contexts = []

    def find(self, name):
        return self.specs.get(name)

    async def call(self, tool, arguments, context):
        self.called.append((tool.name, arguments))
        self.contexts.append(context)
        answer = await self.functions[tool.name](arguments)
        return answer if isinstance(answer, ToolResult) else ToolResult(text=answer)


class Stage:
    """Runs the loop with a scripted model and keeps what comes out."""

    def __init__(self, model, *functions, decision=None, **changed):
        self.model = model
        self.tools = PythonTools(*functions, **changed)
        self.decision = decision
        self.facts = []
        self.saves = []
        self.starts = []
        """The ids of the calls that were about to be executed."""
        self.begun = []
        """The items that were saved with them, and not yet with a step."""
        self.requests = []
        self.emitting = 0

    async def emit(self, fact):
        assert not self.emitting, "facts are told one at a time"
        self.emitting += 1
        await asyncio.sleep(0)
        self.emitting -= 1
        self.facts.append(fact)

    async def checkpoint(self, progress, items, *, starting=()):
        self.begun += items
        if starting:
            self.starts.append(tuple(starting))
        else:
            self.saves.append((progress, tuple(self.begun)))
            self.begun = []

    async def approvals(self, requests):
        self.requests.append(tuple(requests))
        if self.decision is None:
            return {}
        return {
            request.id: ApprovalDecision(approve=self.decision, reason="so") for request in requests
        }

    def plan(self, *, text="Hi", limits=None, client_tools=(), done=None, **changed):
        names = [*self.tools.specs, *client_tools]
        request = ChatRequest(
            model="tiny",
            messages=[ChatMessage(role="user", content=text)],
            tools=[ToolDefinition(function=FunctionTool(name=name)) for name in names] or None,
            **changed,
        )
        plan = RunPlan(
            request=request,
            limits=limits or RunLimits(),
            client_tools=frozenset(client_tools),
            agents=("desk",),
        )
        return plan if done is None else replace(plan, done=done)

    async def run(self, plan=None, *, parent=None, **changed):
        ended = await run_agent(
            plan or self.plan(**changed),
            stream_model=self.model,
            tools=self.tools,
            emit=self.emit,
            approvals=self.approvals,
            checkpoint=self.checkpoint,
            parent=parent,
        )
        self.check(ended)
        return ended

    def check(self, ended):
        """What holds however a run ends."""
        told = [fact.item for fact in self.facts if isinstance(fact, ItemDone)]
        assert list(ended.items)[-len(told) :] == told if told else True
        assert all(read_item(item_json(item)) == item for item in ended.items)
        new = [item for _, items in self.saves for item in items]
        assert [*new, *self.begun, *ended.unsaved] == told

    def told(self, kind):
        return [fact for fact in self.facts if isinstance(fact, kind)]

    @property
    def text(self):
        return "".join(fact.text for fact in self.told(TextDelta))


def outputs(ended):
    return [item.output for item in ended.items if hasattr(item, "output")]


def kinds(ended):
    return [item.__struct_config__.tag for item in ended.items]
