"""What a run does between its turn and its end: the plan, the agent loop, and who answers it."""

from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from agents.runtime.catalog.prompt import apply_agent
from agents.runtime.context.builder import build_context
from agents.runtime.context.chat_request import chat_of
from agents.runtime.context.input_items import ensure_calls
from agents.runtime.execution.dependencies import RunDependencies
from agents.runtime.execution.handoffs import HandoffResolver
from agents.runtime.execution.run_context import RunContext
from agents.runtime.loop.loop import run_agent
from agents.runtime.loop.null_ports import deny_all, no_checkpoint
from agents.runtime.loop.ports import AskModel, LoopResult, RunPlan
from agents.runtime.pausing.checkpoint_writer import CheckpointWriter, IsBegun
from agents.runtime.response_cache.cache import HIT
from agents.runtime.response_cache.cached_model import CachedModel, may_be_kept
from agents.runtime.tools.tool_choice import offer_tools
from agents.runtime.tools.toolbox import KindToolbox
from agents.schema.history import History
from agents.schema.items import Item, Summary
from inference.relay.schema import ChatRequest


class RunExecutor:
    """The work of one run. Afterwards it knows what there is to tell about it."""

    def __init__(
        self,
        run: RunContext,
        dependencies: RunDependencies,
        *,
        admitted: Callable[..., None],
        is_begun: IsBegun,
    ) -> None:
        """`admitted` is told of answers that need no model."""
        self.tool_calls = 0
        self._run = run
        self._dependencies = dependencies
        self._admitted = admitted
        self._is_begun = is_begun
        self._cached: CachedModel | None = None
        self._kept: CheckpointWriter | None = None

    @property
    def is_hit(self) -> bool:
        """Whether a kept answer was given."""
        return self._cached is not None and self._cached.is_hit

    def checkpoint(self, ended: LoopResult) -> str:
        """What another worker needs to go on after `ended`."""
        assert self._kept is not None, "only a run that has worked waits"
        return self._kept.text(ended.progress, ended.items)

    async def to_end(self) -> LoopResult:
        """Work until there is nothing to do, or until people must decide. Raises what ends it."""
        run = self._run
        box = await self._helpers().toolbox(run.target.agent)
        plan = (
            run.paused.plan(run.target, limits=run.limits) if run.paused else await self._plan(box)
        )
        self._kept = kept = CheckpointWriter(run, plan, is_begun=self._is_begun)
        ended = await run_agent(
            plan,
            ask=self._asking(plan.request),
            tools=box,
            tell=run.recorder,
            approvals=kept.create_approvals if run.create.store else deny_all,
            checkpoint=kept.save if run.create.store else no_checkpoint,
        )
        self.tool_calls = ended.progress.tool_calls
        return ended

    async def _plan(self, box: KindToolbox) -> RunPlan:
        create, agent = self._run.create, self._run.target.agent
        asked = await self._asked() if create.chat is None else create.chat
        offer = offer_tools(box.offer(), create.tools, create.tool_choice)
        request = msgspec.structs.replace(
            apply_agent(asked, agent),
            tools=list(offer.tools) or None,
            # Engines take no choice without tools.
            tool_choice=offer.choice if offer.tools else None,
        )
        return RunPlan(
            request=request,
            limits=self._run.limits,
            client_tools=offer.client_tools,
            agents=(agent.slug,) if agent else (),
        )

    async def _asked(self) -> ChatRequest:
        """What was said before and the input, as a chat request."""
        create = self._run.create
        history = await self._history()
        if history.is_whole and not any(isinstance(item, Summary) for item in history.items):
            ensure_calls(history.items, create.input)
        context_items = await self._context_items(history)
        return chat_of(msgspec.structs.replace(create, input=()), tuple(context_items))

    async def _history(self) -> History:
        run, create = self._run, self._run.create
        if create.before:
            return History(items=create.before)
        if not (create.conversation or create.previous_response):
            return History()
        return await run.store.history(
            run.tenant_id,
            conversation=create.conversation,
            previous_response=create.previous_response,
        )

    async def _context_items(self, history: History) -> Sequence[Item]:
        """What of the history and the input the route's context takes."""
        run, dependencies = self._run, self._dependencies
        return await build_context(
            run.create,
            history,
            target=run.target,
            estimate=partial(dependencies.gate.estimate_prompt, run.target.route.name),
            ask=run.calls,
            keep_summary=partial(run.store.keep_summary, run.tenant_id),
        )

    def _asking(self, request: ChatRequest) -> AskModel:
        """Who answers: a model, or what one said before."""
        run, agent = self._run, self._run.target.agent
        if agent is None or not may_be_kept(request, agent):
            return run.calls
        self._cached = CachedModel(
            run.calls,
            gate=self._dependencies.gate,
            answers=self._dependencies.answers,
            subject=run.calls.subject,
            agent=agent,
            tag=(run.create.conversation or run.id) if run.create.store else "",
            admitted=partial(self._admitted, marks=(HIT,)),
        )
        return self._cached

    def _helpers(self) -> HandoffResolver:
        """Other agents that may take part; each of their model calls counts for this run."""
        run, dependencies = self._run, self._dependencies
        return HandoffResolver(
            dependencies.tool_dependencies,
            principal=run.principal,
            catalog=dependencies.catalog,
            fleet=dependencies.fleet,
            ask_as=run.calls.asked_as,
        )
