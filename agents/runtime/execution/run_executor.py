"""Executes the work of a run: prepares its plan, and drives the agent loop to an end or a pause."""

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from agents.errors import RunNotStored
from agents.runtime.catalog.model_resolution import ResolvedModel
from agents.runtime.execution.dependencies import RunDependencies
from agents.runtime.execution.handoffs import HandoffResolver
from agents.runtime.execution.outcome import RunLost
from agents.runtime.execution.plan import new_plan, resumed_plan
from agents.runtime.execution.run_context import RunContext
from agents.runtime.loop.loop import run_agent
from agents.runtime.loop.null_ports import deny_all, no_checkpoint
from agents.runtime.loop.ports import LoopResult, RunPlan, RunProgress, StreamModel
from agents.runtime.response_cache.cached_model import CachedModel, is_cacheable
from agents.runtime.tools.messages.ports import SendingRun
from agents.schema.approval_decision import ApprovalDecision
from agents.schema.checkpoint import dump_checkpoint
from agents.schema.items import ApprovalRequest, Item
from kernel.errors import Overloaded
from tenants.admission.gate import Admission, Subject

log = logging.getLogger(__name__)


class RunExecutor:
    """Executes one run, and implements the loop's `Approvals` and `Checkpoint` for it."""

    def __init__(
        self,
        run: RunContext,
        dependencies: RunDependencies,
        *,
        model: StreamModel,
        model_for: Callable[[ResolvedModel], StreamModel],
        subject: Subject,
        on_cache_hit: Callable[[Admission], None],
        persisted: Callable[[], Awaitable[bool]],
    ) -> None:
        """`model_for` returns the model of another agent, for hand-offs. `on_cache_hit` gets the
        admission of a cached response. `persisted` waits until the row of the run is inserted, and
        returns False if that failed.
        """
        self.tool_calls = 0
        self._run = run
        self._dependencies = dependencies
        self._model = model
        self._subject = subject
        self._handoffs = HandoffResolver(
            dependencies.tools,
            run=SendingRun(principal=run.principal, id=run.id, hops=run.request.hops),
            catalog=dependencies.catalog,
            fleet=dependencies.fleet,
            model_for=model_for,
        )
        self._on_cache_hit = on_cache_hit
        self._persisted = persisted
        self._cached: CachedModel | None = None
        self._plan: RunPlan | None = None
        self._items: list[Item] = []

    @property
    def is_cache_hit(self) -> bool:
        """Whether the response came from the response cache."""
        return self._cached is not None and self._cached.is_hit

    async def execute(self) -> LoopResult:
        """Execute the run until it ends or waits for approvals. Raises the error that ends it."""
        run, dependencies = self._run, self._dependencies
        toolbox = await self._handoffs.toolbox(run.target.agent)
        saved = run.checkpoint
        if saved is not None and saved.request is not None:
            plan = resumed_plan(run, saved, saved.request)
        else:
            plan = await new_plan(
                run, gate=dependencies.gate, model=self._model, own_tools=toolbox.offer()
            )
        self._plan, self._items = plan, list(plan.items)
        ended = await run_agent(
            plan,
            stream_model=self._model_for(plan),
            tools=toolbox,
            emit=run.recorder,
            approvals=self._create_approvals if run.request.store else deny_all,
            checkpoint=self._save if run.request.store else no_checkpoint,
        )
        self.tool_calls = ended.progress.tool_calls
        return ended

    def checkpoint(
        self, progress: RunProgress, items: Sequence[Item], *, starting: Collection[str] = ()
    ) -> str:
        """Return the checkpoint of the run, as the table stores it."""
        assert self._plan is not None, "only a run that was executed has a plan"
        run = self._run.as_checkpoint(self._plan, progress, items, starting=starting)
        return dump_checkpoint(run)

    def _model_for(self, plan: RunPlan) -> StreamModel:
        """Return the model itself, or the response cache in front of it."""
        run, agent = self._run, self._run.target.agent
        if agent is None or not is_cacheable(plan.request, agent):
            return self._model
        self._cached = CachedModel(
            self._model,
            gate=self._dependencies.gate,
            answers=self._dependencies.response_cache,
            subject=self._subject,
            agent=agent,
            tag=(run.request.conversation or run.id) if run.request.store else "",
            on_admitted=self._on_cache_hit,
        )
        return self._cached

    async def _save(
        self, progress: RunProgress, items: Sequence[Item], *, starting: Collection[str] = ()
    ) -> None:
        """Store the progress. While PostgreSQL is unavailable the run continues: its end stores
        everything.

        Before calls that must not be repeated, a background run waits for PostgreSQL: a worker that
        continues it must know of them. Other runs end with their worker. Raises RunLost.
        """
        self._items += items
        if not await self._persisted():
            return
        if not starting:
            try:
                await self._save_checkpoint(progress)
            except Overloaded as error:
                log.warning("runs: checkpoint not saved (error=%s)", error.code)
        elif self._run.request.background:
            await self._run.retry_while_unavailable(
                lambda: self._save_checkpoint(progress, starting=starting)
            )

    async def _save_checkpoint(
        self, progress: RunProgress, *, starting: Collection[str] = ()
    ) -> None:
        run = self._run
        text = self.checkpoint(progress, self._items, starting=starting)
        if not await run.store.save_checkpoint(run.id, run.worker, text):
            raise RunLost

    async def _create_approvals(
        self, requests: Sequence[ApprovalRequest]
    ) -> Mapping[str, ApprovalDecision]:
        """Create approvals. Raises Overloaded: a call without its approval is not executed."""
        if not await self._persisted():
            raise RunNotStored(retry_after=1)
        return await self._run.store.create_approvals(self._run.tenant_id, self._run.id, requests)
