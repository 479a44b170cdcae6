"""The agent loop: the model is asked, what it calls is carried out, until it has nothing to call.

Own and small on purpose (ADR 0009). It knows no door, no Redis, no Django; whatever it needs comes
through `agents.runtime.loop.ports`.
"""

import time
from collections.abc import Sequence
from contextlib import aclosing

from agents.runtime.loop.budget import Budget
from agents.runtime.loop.call_validation import (
    ClientCall,
    InvalidCall,
    Judged,
    error_for_model,
    validate_call,
)
from agents.runtime.loop.model_response import ModelResponse, RunTimeout
from agents.runtime.loop.next_request import next_request
from agents.runtime.loop.pending_calls import open_calls, output_of, requests_of, verdicts_of
from agents.runtime.loop.ports import (
    ApprovalDecision,
    Approvals,
    AskModel,
    CallContext,
    Checkpoint,
    Clock,
    ExecutableCall,
    LoopResult,
    Reason,
    RunPlan,
    State,
    Toolbox,
    ToolResult,
)
from agents.runtime.loop.tool_executor import ToolExecutor
from agents.schema.items import (
    ApprovalRequest,
    ApprovalResponse,
    FunctionCallOutput,
    Item,
    new_item_id,
)
from agents.schema.loop_events import ApprovalNeeded, EmitEvent, ItemDone, StepEnded, StepStarted
from inference.relay.schema import ChatRequest
from kernel.errors import PlatformError

NO_CALLS_LEFT = "Error: The tool was not called: this run may not call any more tools."
NO_AGENT = "tenantry"
"""Labels calls for which a plain model has no tool: the gateway answers them."""
NO_TIME_LEFT = "Error: The run ended before the tool had answered."


async def run_agent(
    plan: RunPlan,
    *,
    ask: AskModel,
    tools: Toolbox,
    tell: EmitEvent,
    approvals: Approvals,
    checkpoint: Checkpoint,
    clock: Clock = time.monotonic,
    above: Budget | None = None,
) -> LoopResult:
    """Run `plan` to its end, or to where it must wait for a person.

    Limits end a run as incomplete. Tools that fail do not end it: the model reads why. `above` is
    the budget of the run that handed over to this one. Raises what `ask` raises, with everything
    said so far told as items; cancelled, it stops within a second, and tells nothing more.
    """
    budget = Budget(plan.limits, plan.done, clock=clock, above=above)
    context = CallContext(budget=budget, agents=plan.agents)
    carrier = ToolExecutor(tools, tell=tell, context=context, clock=clock)
    run = AgentRun(
        plan,
        budget=budget,
        ask=ask,
        tools=tools,
        carrier=carrier,
        tell=tell,
        approvals=approvals,
        checkpoint=checkpoint,
        clock=clock,
    )
    return await run.to_end()


class AgentRun:
    """A run on its way. Its items say what is left to do, so that it can go on anywhere."""

    def __init__(
        self,
        plan: RunPlan,
        *,
        budget: Budget,
        ask: AskModel,
        tools: Toolbox,
        carrier: ToolExecutor,
        tell: EmitEvent,
        approvals: Approvals,
        checkpoint: Checkpoint,
        clock: Clock,
    ) -> None:
        self._plan = plan
        self._budget = budget
        self._ask = ask
        self._tools = tools
        self._carrier = carrier
        self._tell = tell
        self._approvals = approvals
        self._checkpoint = checkpoint
        self._clock = clock
        self._items: list[Item] = list(plan.items)
        self._saved = len(self._items)
        self._repairing = False
        """Whether the model has its one chance to correct a call that was not valid."""

    async def to_end(self) -> LoopResult:
        while True:
            if open_calls(self._items):
                ended = await self._carry_out()
                if ended is not None:
                    return ended
                await self._save()
            ended = await self._take_turn()
            if ended is not None:
                return ended

    # The model's turn

    async def _take_turn(self) -> LoopResult | None:
        """Ask the model once. None if it has called something."""
        first = self._budget.progress.steps == 0
        request = next_request(self._plan.request, self._items, first=first)
        reason = self._budget.end_before_step(request)
        if reason is not None:
            return self._end("incomplete", reason=reason)
        asked, limit = self._budget.capped(request)
        number, started = self._budget.step(), self._clock()
        await self._tell(StepStarted(number=number))
        turn = ModelResponse(self._tell)
        reason = await self._hear(turn, asked, limit)
        seconds = self._clock() - started
        await self._tell(StepEnded(number=number, usage=turn.used(), seconds=seconds))
        if reason is not None:
            await self._keep_words(turn, complete=False)
            return self._end("incomplete", reason=reason)
        await self._keep_words(turn, complete=True)
        calls = await turn.close_calls(
            taken=self._call_ids(),
            only_one=self._plan.request.parallel_tool_calls is False,
            label_of=self._label_of,
        )
        self._items.extend(calls)
        return None if calls else self._end("completed")

    async def _hear(self, turn: ModelResponse, asked: ChatRequest, limit: Reason) -> Reason | None:
        """Listen to the answer. Why it is not whole; None if it is."""
        try:
            async with aclosing(self._ask(asked)) as answer:
                await turn.hear(answer, seconds_left=lambda: self._budget.seconds_left)
        except RunTimeout:
            return "max_run_seconds"
        except PlatformError:
            await self._keep_words(turn, complete=False)
            raise
        finally:
            self._budget.answered(turn.used())
        match turn.finish_reason:
            case "length" | "model_length" | "max_tokens":
                return limit
            case "content_filter" | "sensitive":
                return "content_filter"
            case _:
                return None

    async def _keep_words(self, turn: ModelResponse, *, complete: bool) -> None:
        words = await turn.close_words(
            "completed" if complete else "incomplete",
            even_if_empty=complete and not turn.has_calls,
        )
        self._items.extend(words)

    def _label_of(self, tool: str) -> str:
        """Who executes a call of `tool`: this agent, or the client, which has no label."""
        if tool in self._plan.client_tools:
            return ""
        return self._plan.agents[-1] if self._plan.agents else NO_AGENT

    def _call_ids(self) -> set[str]:
        """Ids of calls that were made before, which a new one must not have."""
        ids = {item.call_id for item in self._items if isinstance(item, FunctionCallOutput)}
        for message in self._plan.request.messages:
            if isinstance(message.tool_calls, list):
                ids.update(call.id for call in message.tool_calls)
        return ids

    # What the model called

    async def _carry_out(self) -> LoopResult | None:
        """Do what can be done of the open calls. None if nothing of them is left."""
        judged = [validate_call(call, self._plan, self._tools) for call in open_calls(self._items)]
        ours = [each for each in judged if not isinstance(each, ClientCall)]
        room = self._budget.calls_left
        outputs = {each.call.call_id: failure(NO_CALLS_LEFT) for each in ours[room:]}
        outputs |= self._explain(ours[:room])
        allowed = await self._let_people_decide(ours[:room], outputs)
        done = await self._carrier.carry_out(allowed, seconds=self._budget.seconds_left)
        late = [each for each in allowed if each.call.call_id not in done]
        outputs |= done | {each.call.call_id: failure(NO_TIME_LEFT) for each in late}
        await self._answer(judged, outputs)
        if late:
            return self._end("incomplete", reason="max_run_seconds")
        if ours[room:]:
            return self._end("incomplete", reason="max_tool_calls")
        return await self._wait_for_others()

    def _explain(self, judged: Sequence[Judged]) -> dict[str, ToolResult]:
        """What is wrong with calls, for the model: once it is asked to correct them."""
        wrong = [each for each in judged if isinstance(each, InvalidCall)]
        again, self._repairing = not self._repairing, bool(wrong)
        return {
            each.call.call_id: failure(error_for_model(each.problem, again=again)) for each in wrong
        }

    async def _let_people_decide(
        self, judged: Sequence[Judged], outputs: dict[str, ToolResult]
    ) -> list[ExecutableCall]:
        """The calls to carry out now; those that were refused go to `outputs`."""
        ready = [each for each in judged if isinstance(each, ExecutableCall)]
        verdicts = await self._verdicts([each for each in ready if each.tool.needs_approval])
        allowed = []
        for each in ready:
            verdict = verdicts.get(each.call.call_id)
            if not each.tool.needs_approval or (verdict and verdict.approve):
                allowed.append(each)
            elif verdict:
                reason = f": {verdict.reason}" if verdict.reason else "."
                outputs[each.call.call_id] = failure(f"Error: A person refused this call{reason}")
        return allowed

    async def _verdicts(self, needing: Sequence[ExecutableCall]) -> dict[str, ApprovalDecision]:
        """What people have said by now, by call id."""
        requests = [await self._request_for(each) for each in needing]
        decided = verdicts_of(self._items)
        unknown = [request for request in requests if request.id not in decided]
        if unknown:
            for request_id, verdict in (await self._approvals(unknown)).items():
                decided[request_id] = verdict
                await self._add(
                    ApprovalResponse(
                        id=new_item_id("tenantry:approval_response"),
                        approval_request_id=request_id,
                        approve=verdict.approve,
                        reason=verdict.reason,
                    )
                )
        return {each.call_id: decided[each.id] for each in requests if each.id in decided}

    async def _request_for(self, each: ExecutableCall) -> ApprovalRequest:
        known = requests_of(self._items).get(each.call.call_id)
        if known is not None:
            return known
        request = ApprovalRequest(
            id=new_item_id("tenantry:approval_request"),
            call_id=each.call.call_id,
            name=each.call.name,
            arguments=each.call.arguments,
            server_label=each.call.server_label,
        )
        await self._add(request)
        await self._tell(ApprovalNeeded(request=request))
        return request

    async def _answer(self, judged: Sequence[Judged], outputs: dict[str, ToolResult]) -> None:
        """Give the calls their outputs, in the order in which the model made them."""
        self._budget.called(len(outputs))
        for each in judged:
            result = outputs.get(each.call.call_id)
            if result is not None:
                await self._add(
                    output_of(each.call, result.parts or result.text, is_error=result.is_error)
                )

    async def _wait_for_others(self) -> LoopResult | None:
        """The end, if a person or the client has to act first."""
        left = open_calls(self._items)
        if not left:
            return None
        requests = requests_of(self._items)
        waiting = tuple(requests[call.call_id] for call in left if call.call_id in requests)
        if waiting:
            await self._save()
            return self._end("paused", approvals=waiting)
        return self._end("completed")

    # What stays

    async def _add(self, item: Item) -> None:
        self._items.append(item)
        await self._tell(ItemDone(item=item))

    async def _save(self) -> None:
        await self._checkpoint(self._budget.progress, self._items[self._saved :])
        self._saved = len(self._items)

    def _end(
        self,
        state: State,
        *,
        reason: Reason | None = None,
        approvals: tuple[ApprovalRequest, ...] = (),
    ) -> LoopResult:
        return LoopResult(
            state=state,
            progress=self._budget.progress,
            items=tuple(self._items),
            unsaved=tuple(self._items[self._saved :]),
            reason=reason,
            approvals=approvals,
            client_calls=open_calls(self._items) if state == "completed" else (),
        )


def failure(text: str) -> ToolResult:
    """What the model reads where a call gave nothing."""
    return ToolResult(text=text, is_error=True)
