"""The table of runs for the gateway: on database threads, but for what every client waits for."""

from collections.abc import Awaitable, Callable

from agents.runs import paused_runs
from agents.runs import store as run_store
from agents.runs.statements import beginning, ending
from agents.schema.run_records import (
    BusyConversation,
    DuplicateRun,
    EndedRun,
    NewRun,
    RunInserted,
    RunStore,
)
from config.gateway.conversation_store import Ask, DatabaseConversations, asking
from kernel.storage.database import Rows, Statement

State = Callable[[Statement], Awaitable[Rows]]
"""`await state(statement)` asks for one by itself, without a thread. Raises DatabaseAway."""


def database_runs(ask: Ask, state: State, *, conversations: DatabaseConversations) -> RunStore:
    """`agents.schema.run_records.RunStore`: the promises are there."""

    async def begin(new: NewRun) -> RunInserted | BusyConversation | DuplicateRun:
        if not new.stands_alone:
            found: RunInserted | BusyConversation | DuplicateRun = await ask(
                run_store.begin_run, new
            )
            return found
        ((pk,),) = await state(beginning(new))
        return RunInserted(pk=pk)

    async def finish(ended: EndedRun) -> bool:
        return bool(await state(ending(ended)))

    return RunStore(
        begin=begin,
        claim=asking(ask, run_store.claim_run),
        renew=asking(ask, run_store.renew_runs),
        finish=finish,
        discard=asking(ask, run_store.discard_run),
        ask_cancel=asking(ask, run_store.ask_cancel),
        load=asking(ask, run_store.load_run),
        load_ended=asking(ask, run_store.load_ended),
        load_items=asking(ask, run_store.load_items),
        load_input=asking(ask, run_store.load_input),
        delete=asking(ask, run_store.delete_run),
        history=conversations.history,
        keep_summary=conversations.keep_summary,
        save=asking(ask, paused_runs.save_progress),
        create_approvals=asking(ask, paused_runs.create_approvals),
        pause=asking(ask, paused_runs.pause_run),
        find_decided=asking(ask, paused_runs.find_decided),
        load_decided=asking(ask, paused_runs.load_decided),
        claim_decided=asking(ask, paused_runs.claim_decided),
        decide=asking(ask, paused_runs.decide),
        begun_with=asking(ask, run_store.begun_with),
        begun_since=asking(ask, run_store.begun_since),
        last_begun=asking(ask, run_store.last_begun),
    )
