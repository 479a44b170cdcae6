"""What a run does between its turn and its end: the plan, the agent loop, and who answers it."""

from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from agents.runtime.alone import keep_nothing, nobody_approves
from agents.runtime.cached_calls import CachedCalls, may_be_kept
from agents.runtime.delegates import TenantAgents
from agents.runtime.history import History
from agents.runtime.input_items import ensure_calls
from agents.runtime.instructions import apply_agent
from agents.runtime.items import Item, Summary
from agents.runtime.kept_progress import IsBegun, KeptProgress
from agents.runtime.loop import run_agent
from agents.runtime.machinery import Machinery
from agents.runtime.ports import AskModel, Ended, Plan
from agents.runtime.response_cache import HIT
from agents.runtime.run_in_hand import RunInHand
from agents.runtime.run_request import chat_of
from agents.runtime.told import items_to_tell
from agents.runtime.tool_choice import offer_tools
from agents.runtime.tools.toolbox import KindToolbox
from inference.relay.parameters import ChatRequest


class RunWork:
    """The work of one run. Afterwards it knows what there is to tell about it."""

    def __init__(
        self,
        run: RunInHand,
        machinery: Machinery,
        *,
        admitted: Callable[..., None],
        is_begun: IsBegun,
    ) -> None:
        """`admitted` is told of answers that need no model."""
        self.tool_calls = 0
        self._run = run
        self._machinery = machinery
        self._admitted = admitted
        self._is_begun = is_begun
        self._cached: CachedCalls | None = None
        self._kept: KeptProgress | None = None

    @property
    def is_hit(self) -> bool:
        """Whether a kept answer was given."""
        return self._cached is not None and self._cached.is_hit

    def checkpoint(self, ended: Ended) -> str:
        """What another worker needs to go on after `ended`."""
        assert self._kept is not None, "only a run that has worked waits"
        return self._kept.text(ended.progress, ended.items)

    async def to_end(self) -> Ended:
        """Work until there is nothing to do, or until people must decide. Raises what ends it."""
        run = self._run
        box = await self._helpers().toolbox(run.target.agent)
        plan = (
            run.paused.plan(run.target, limits=run.limits) if run.paused else await self._plan(box)
        )
        self._kept = kept = KeptProgress(run, plan, is_begun=self._is_begun)
        ended = await run_agent(
            plan,
            ask=self._asking(plan.request),
            tools=box,
            tell=run.narrator,
            approvals=kept.ask_people if run.create.store else nobody_approves,
            checkpoint=kept.save if run.create.store else keep_nothing,
        )
        self.tool_calls = ended.progress.tool_calls
        return ended

    async def _plan(self, box: KindToolbox) -> Plan:
        create, agent = self._run.create, self._run.target.agent
        asked = await self._asked() if create.chat is None else create.chat
        offer = offer_tools(box.offer(), create.tools, create.tool_choice)
        request = msgspec.structs.replace(
            apply_agent(asked, agent),
            tools=list(offer.tools) or None,
            # Engines take no choice without tools.
            tool_choice=offer.choice if offer.tools else None,
        )
        return Plan(
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
        told = await self._told(history)
        return chat_of(msgspec.structs.replace(create, input=()), tuple(told))

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

    async def _told(self, history: History) -> Sequence[Item]:
        """What of the history and the input the route's context takes."""
        run, machinery = self._run, self._machinery
        return await items_to_tell(
            run.create,
            history,
            target=run.target,
            estimate=partial(machinery.gate.estimate_prompt, run.target.route.name),
            ask=run.calls,
            keep_summary=partial(run.store.keep_summary, run.tenant_id),
        )

    def _asking(self, request: ChatRequest) -> AskModel:
        """Who answers: a model, or what one said before."""
        run, agent = self._run, self._run.target.agent
        if agent is None or not may_be_kept(request, agent):
            return run.calls
        self._cached = CachedCalls(
            run.calls,
            gate=self._machinery.gate,
            answers=self._machinery.answers,
            subject=run.calls.subject,
            agent=agent,
            tag=(run.create.conversation or run.id) if run.create.store else "",
            admitted=partial(self._admitted, marks=(HIT,)),
        )
        return self._cached

    def _helpers(self) -> TenantAgents:
        """Other agents that may take part; each of their model calls counts for this run."""
        run, machinery = self._run, self._machinery
        return TenantAgents(
            machinery.workshop,
            principal=run.principal,
            catalog=machinery.catalog,
            fleet=machinery.fleet,
            ask_as=run.calls.asked_as,
        )
