"""The table of runs for the gateway: on database threads, but for what every client waits for."""

from collections.abc import Awaitable, Callable

from agents import run_store, waiting_runs
from agents.run_statements import beginning, ending
from agents.runtime.run_rows import Begun, Busy, EndedRun, Joined, NewRun, RunStore
from config.conversations import Ask, DatabaseConversations, asking
from kernel.database import Rows, Statement

State = Callable[[Statement], Awaitable[Rows]]
"""`await state(statement)` asks for one by itself, without a thread. Raises DatabaseAway."""


def database_runs(ask: Ask, state: State, *, conversations: DatabaseConversations) -> RunStore:
    """`agents.runtime.run_rows.RunStore`: the promises are there."""

    async def begin(new: NewRun) -> Begun | Busy | Joined:
        if not new.stands_alone:
            found: Begun | Busy | Joined = await ask(run_store.begin_run, new)
            return found
        ((pk,),) = await state(beginning(new))
        return Begun(pk=pk)

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
        save=asking(ask, waiting_runs.save_progress),
        ask_people=asking(ask, waiting_runs.ask_people),
        pause=asking(ask, waiting_runs.pause_run),
        find_decided=asking(ask, waiting_runs.find_decided),
        load_decided=asking(ask, waiting_runs.load_decided),
        take_up=asking(ask, waiting_runs.take_up),
        decide=asking(ask, waiting_runs.decide),
        begun_with=asking(ask, run_store.begun_with),
        begun_since=asking(ask, run_store.begun_since),
        last_begun=asking(ask, run_store.last_begun),
    )
