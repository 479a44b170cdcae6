"""The agent loop: call the model, execute its tool calls, and repeat until it makes none.

It is small and our own on purpose (ADR 0009). It does not depend on doors, Redis or Django: what
it needs comes through `agents.runtime.loop.ports`.
"""

import time
from collections.abc import Collection, Sequence
from contextlib import aclosing

from agents.errors import ToolOutcomeUnknown
from agents.runtime.loop.budget import Budget
from agents.runtime.loop.call_validation import (
    CheckedCall,
    ClientCall,
    InvalidCall,
    error_for_model,
    validate_call,
)
from agents.runtime.loop.model_response import ModelResponse, RunTimeout
from agents.runtime.loop.next_request import next_request
from agents.runtime.loop.pending_calls import decisions_of, requests_of
from agents.runtime.loop.ports import (
    ApprovalDecision,
    Approvals,
    CallContext,
    Checkpoint,
    Clock,
    ExecutableCall,
    LoopResult,
    Reason,
    RunPlan,
    State,
    StreamModel,
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
from agents.schema.stored_items import open_calls, output_of
from inference.relay.schema import ChatRequest
from kernel.errors import PlatformError

NO_CALLS_LEFT = "Error: The tool was not called: this run may not call any more tools."
NO_AGENT = "tenantry"
"""The label of calls to a plain model without tools: the gateway answers them."""
MAY_BE_DONE = (
    "The node that executed this call has failed. The call may have been executed already; approve "
    "it to execute it again."
)
NO_TIME_LEFT = "Error: The run ended before the tool had answered."


async def run_agent(
    plan: RunPlan,
    *,
    stream_model: StreamModel,
    tools: Toolbox,
    emit: EmitEvent,
    approvals: Approvals,
    checkpoint: Checkpoint,
    clock: Clock = time.monotonic,
    parent: Budget | None = None,
) -> LoopResult:
    """Execute `plan` to its end, or until it must wait for an approval.

    Limits end a run as incomplete. A tool that fails does not end it: the model reads the error.
    `parent` is the budget of the run that handed off to this one. Raises what `stream_model`
    raises, after the output so far was emitted as items. A cancelled run stops within a second,
    and emits nothing more.
    """
    budget = Budget(plan.limits, plan.done, clock=clock, parent=parent)
    context = CallContext(budget=budget, agents=plan.agents, call=plan.call)
    executor = ToolExecutor(tools, emit=emit, context=context, clock=clock)
    run = AgentRun(
        plan,
        budget=budget,
        stream_model=stream_model,
        tools=tools,
        executor=executor,
        emit=emit,
        approvals=approvals,
        checkpoint=checkpoint,
        clock=clock,
    )
    return await run.execute()


class AgentRun:
    """One execution of a plan. Its items contain what is left to do, so that it can be resumed."""

    def __init__(
        self,
        plan: RunPlan,
        *,
        budget: Budget,
        stream_model: StreamModel,
        tools: Toolbox,
        executor: ToolExecutor,
        emit: EmitEvent,
        approvals: Approvals,
        checkpoint: Checkpoint,
        clock: Clock,
    ) -> None:
        self._plan = plan
        self._budget = budget
        self._stream_model = stream_model
        self._tools = tools
        self._executor = executor
        self._emit = emit
        self._approvals = approvals
        self._checkpoint = checkpoint
        self._clock = clock
        self._items: list[Item] = list(plan.items)
        self._saved = len(self._items)
        self._repairing = False
        """Whether the model was requested to correct an invalid call, which happens once."""

    async def execute(self) -> LoopResult:
        while True:
            if open_calls(self._items):
                ended = await self._execute_calls()
                if ended is not None:
                    return ended
                await self._save()
            ended = await self._call_model()
            if ended is not None:
                return ended

    # Model calls

    async def _call_model(self) -> LoopResult | None:
        """Call the model once. None if it has made tool calls."""
        first = self._budget.progress.steps == 0
        request = next_request(self._plan.request, self._items, first=first)
        reason = self._budget.end_before_step(request)
        if reason is not None:
            return self._end("incomplete", reason=reason)
        limited, limit = self._budget.with_token_cap(request)
        number, started = self._budget.step(), self._clock()
        await self._emit(StepStarted(number=number))
        response = ModelResponse(self._emit)
        reason = await self._stream_response(response, limited, limit)
        seconds = self._clock() - started
        await self._emit(StepEnded(number=number, usage=response.usage(), seconds=seconds))
        if reason is not None:
            await self._finish_message(response, complete=False)
            return self._end("incomplete", reason=reason)
        await self._finish_message(response, complete=True)
        calls = await response.finish_tool_calls(
            taken=self._call_ids(),
            only_one=self._plan.request.parallel_tool_calls is False,
            label_of=self._label_of,
        )
        self._items.extend(calls)
        return None if calls else self._end("completed")

    async def _stream_response(
        self, response: ModelResponse, limited: ChatRequest, limit: Reason
    ) -> Reason | None:
        """Stream one response. Returns why it is incomplete; None if it is complete."""
        try:
            async with aclosing(self._stream_model(limited)) as answer:
                await response.consume(answer, seconds_left=lambda: self._budget.seconds_left)
        except RunTimeout:
            return "max_run_seconds"
        except PlatformError:
            await self._finish_message(response, complete=False)
            raise
        finally:
            self._budget.add_model_usage(response.usage())
        match response.finish_reason:
            case "length" | "model_length" | "max_tokens":
                return limit
            case "content_filter" | "sensitive":
                return "content_filter"
            case _:
                return None

    async def _finish_message(self, response: ModelResponse, *, complete: bool) -> None:
        items = await response.finish_message(
            "completed" if complete else "incomplete",
            even_if_empty=complete and not response.has_calls,
        )
        self._items.extend(items)

    def _label_of(self, tool: str) -> str:
        """Return the label of this agent for calls of `tool`; empty for a tool of the client."""
        if tool in self._plan.client_tools:
            return ""
        return self._plan.agents[-1] if self._plan.agents else NO_AGENT

    def _call_ids(self) -> set[str]:
        """Return the ids of earlier calls, which new calls must not have."""
        ids = {item.call_id for item in self._items if isinstance(item, FunctionCallOutput)}
        for message in self._plan.request.messages:
            if isinstance(message.tool_calls, list):
                ids.update(call.id for call in message.tool_calls)
        return ids

    # Tool calls

    async def _execute_calls(self) -> LoopResult | None:
        """Execute the open calls. None if all have an output, so that the run continues."""
        checked = [validate_call(call, self._plan, self._tools) for call in open_calls(self._items)]
        ours = [each for each in checked if not isinstance(each, ClientCall)]
        room = self._budget.calls_left
        outputs = {each.call.call_id: failure(NO_CALLS_LEFT) for each in ours[room:]}
        outputs |= self._describe_invalid(ours[:room])
        allowed = await self._collect_approvals(ours[:room], outputs)
        if once := [each.call.call_id for each in allowed if not each.tool.is_idempotent]:
            await self._save(starting=once)
        done = await self._executor.execute(allowed, seconds=self._budget.seconds_left)
        late = [each for each in allowed if each.call.call_id not in done]
        outputs |= done | {each.call.call_id: failure(NO_TIME_LEFT) for each in late}
        await self._record_outputs(checked, outputs)
        if late:
            return self._end("incomplete", reason="max_run_seconds")
        if ours[room:]:
            return self._end("incomplete", reason="max_tool_calls")
        return await self._pending_external()

    def _describe_invalid(self, checked: Sequence[CheckedCall]) -> dict[str, ToolResult]:
        """Return error outputs for invalid calls. One correction is requested."""
        wrong = [each for each in checked if isinstance(each, InvalidCall)]
        may_retry, self._repairing = not self._repairing, bool(wrong)
        return {
            each.call.call_id: failure(error_for_model(each.problem, may_retry=may_retry))
            for each in wrong
        }

    async def _collect_approvals(
        self, checked: Sequence[CheckedCall], outputs: dict[str, ToolResult]
    ) -> list[ExecutableCall]:
        """Return the calls to execute now; those that were denied get an entry in `outputs`."""
        ready = [each for each in checked if isinstance(each, ExecutableCall)]
        needing = [each for each in ready if self._needs_approval(each)]
        decisions = await self._decisions(needing)
        allowed = []
        for each in ready:
            decision = decisions.get(each.call.call_id)
            if each not in needing or (decision and decision.approve):
                allowed.append(each)
            elif decision:
                reason = f": {decision.reason}" if decision.reason else "."
                outputs[each.call.call_id] = failure(f"Error: A person refused this call{reason}")
        return allowed

    def _needs_approval(self, each: ExecutableCall) -> bool:
        requested = each.call.call_id in requests_of(self._items)
        return each.tool.needs_approval or requested or self._may_be_done(each)

    def _may_be_done(self, each: ExecutableCall) -> bool:
        """Return whether a dead worker may have executed a call that must not be repeated."""
        is_started = each.call.call_id in self._plan.started_calls
        return is_started and not each.tool.is_idempotent

    async def _decisions(self, needing: Sequence[ExecutableCall]) -> dict[str, ApprovalDecision]:
        """Return the decisions so far, by call id."""
        requests = [await self._request_for(each) for each in needing]
        decided = decisions_of(self._items)
        unknown = [request for request in requests if request.id not in decided]
        if unknown:
            for request_id, decision in (await self._approvals(unknown)).items():
                decided[request_id] = decision
                await self._add(
                    ApprovalResponse(
                        id=new_item_id("tenantry:approval_response"),
                        approval_request_id=request_id,
                        approve=decision.approve,
                        reason=decision.reason,
                    )
                )
        return {each.call_id: decided[each.id] for each in requests if each.id in decided}

    async def _request_for(self, each: ExecutableCall) -> ApprovalRequest:
        known = requests_of(self._items).get(each.call.call_id)
        if known is not None and self._may_be_done(each):
            # The approval was given, and used: nobody has approved a repetition.
            raise ToolOutcomeUnknown
        if known is not None:
            return known
        request = ApprovalRequest(
            id=new_item_id("tenantry:approval_request"),
            call_id=each.call.call_id,
            name=each.call.name,
            arguments=each.call.arguments,
            server_label=each.call.server_label,
            note=MAY_BE_DONE if self._may_be_done(each) else "",
        )
        await self._add(request)
        await self._emit(ApprovalNeeded(request=request))
        return request

    async def _record_outputs(
        self, checked: Sequence[CheckedCall], outputs: dict[str, ToolResult]
    ) -> None:
        """Add the outputs, in the order in which the model made the calls."""
        self._budget.add_tool_calls(len(outputs))
        for each in checked:
            result = outputs.get(each.call.call_id)
            if result is not None:
                await self._add(
                    output_of(each.call, result.parts or result.text, is_error=result.is_error)
                )

    async def _pending_external(self) -> LoopResult | None:
        """Return the result, if a person or the client must act first; else None."""
        left = open_calls(self._items)
        if not left:
            return None
        requests = requests_of(self._items)
        waiting = tuple(requests[call.call_id] for call in left if call.call_id in requests)
        if waiting:
            await self._save()
            return self._end("paused", approvals=waiting)
        return self._end("completed")

    # Items and result

    async def _add(self, item: Item) -> None:
        self._items.append(item)
        await self._emit(ItemDone(item=item))

    async def _save(self, *, starting: Collection[str] = ()) -> None:
        new = self._items[self._saved :]
        await self._checkpoint(self._budget.progress, new, starting=starting)
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
    """Return an output with an error message for the model."""
    return ToolResult(text=text, is_error=True)
