"""Background runs that no request starts: of schedules and of messages.

Each is inserted into the run queue, in the transaction of its caller.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Self

import msgspec
from django.utils import timezone

from agents.errors import AgentPaused, NotPublished
from agents.models import Agent, AgentRevision, Run
from agents.runs.store import insert_run
from agents.schema.checkpoint import RunCheckpoint, dump_checkpoint
from agents.schema.items import user_message
from agents.schema.json_types import Json
from agents.schema.run_records import DuplicateRun, NewRun, QueueEntry, RunInserted
from agents.schema.run_request import RunRequest
from agents.schema.run_settings import RunSettings
from kernel.ids import new_id
from tenants.models import ApiKey

NO_WORKER = ""


class RunKey(NamedTuple):
    """The key whose limits and usage count a run."""

    pk: int
    public_id: str
    member_id: int | None

    @classmethod
    def of(cls, key: ApiKey) -> Self:
        return cls(pk=key.pk, public_id=key.public_id, member_id=key.member_id)


class InsertedRun(NamedTuple):
    """A run that is in the table."""

    pk: int
    public_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BackgroundRun:
    """A run of the published revision of an agent, with one user message."""

    agent: Agent
    api_key: RunKey
    door: str
    input: str
    client_id: str
    """Of the runs with one id there is only one."""
    metadata: Json
    conversation: str | None = None
    hops: int = 0
    deadline: datetime | None = None
    max_queued: int


def insert_background_run(run: BackgroundRun) -> InsertedRun:
    """Insert a queued run, or return the one of its `client_id`.

    Raises NotPublished, AgentPaused and QueueFull. Needs a tenant scope.
    """
    new = new_run(run)
    result = insert_run(new)
    if isinstance(result, RunInserted):
        return InsertedRun(pk=result.pk, public_id=new.id)
    assert isinstance(result, DuplicateRun), "a run that waits is inserted, or has been"
    row = Run.objects.only("pk").get(public_id=result.run_id)
    return InsertedRun(pk=row.pk, public_id=result.run_id)


def current_key(api_key_id: int | None) -> ApiKey | None:
    """Return the newest of the keys that replaced this one by rotation and are not blocked; else
    the key itself, and None if it does not exist. Needs a tenant scope.
    """
    if api_key_id is None:
        return None
    lineage = list(ApiKey.objects.of_lineage(api_key_id))
    usable = [key for key in lineage if key.blocked_at is None]
    own = [key for key in lineage if key.pk == api_key_id]
    return next(reversed(usable or own), None)


def ensure_startable(agent: Agent) -> AgentRevision:
    """Return the published revision of an agent. Raises NotPublished and AgentPaused."""
    if agent.published is None:
        raise NotPublished
    if agent.is_paused:
        raise AgentPaused
    revision: AgentRevision = agent.published
    return revision


def new_run(run: BackgroundRun) -> NewRun:
    """Raises NotPublished and AgentPaused."""
    revision = ensure_startable(run.agent)
    agent, key = run.agent, run.api_key
    request = RunRequest(
        door=run.door,
        model=agent.slug,
        input=(user_message(run.input),),
        client_id=run.client_id,
        background=True,
        conversation=run.conversation,
        hops=run.hops,
        metadata=run.metadata,
    )
    settings = RunSettings(
        response_id=new_id("resp"),
        model=agent.slug,
        created_at=int(timezone.now().timestamp()),
        metadata=request.metadata,
        background=True,
        conversation=run.conversation,
        fingerprint=request.fingerprint,
    )
    checkpoint = RunCheckpoint(
        run_request=request,
        settings=settings,
        key=key.public_id,
        agent=agent.slug,
        revision=revision.number,
    )
    return NewRun(
        id=settings.response_id,
        tenant_id=agent.tenant_id,
        worker=NO_WORKER,
        door=run.door,
        model=agent.slug,
        agent=agent.slug,
        agent_revision=revision.number,
        route=revision.route.name,
        api_key_id=key.pk,
        member_id=key.member_id,
        conversation=run.conversation,
        client_id=request.client_id,
        fingerprint=request.fingerprint,
        request=msgspec.to_builtins(settings),
        background=True,
        waits=True,
        queue=QueueEntry(deadline=run.deadline, max_queued=run.max_queued),
        checkpoint=dump_checkpoint(checkpoint),
    )
